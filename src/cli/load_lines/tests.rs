use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Map, Number, Value};

fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(22), ..Config::default() }
}

fn read(line: &str) -> (String, String) {
    let line = parse_line(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}")).expect("not blank");
    (line.key, line.json)
}

fn refused(line: impl AsRef<[u8]>) -> String {
    parse_line(line.as_ref()).expect_err("it must be refused").to_string()
}

/// How one value is written down; drawn from, round and round.
struct Style<'a> {
    draws: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    text: String,
}

impl Style<'_> {
    fn one_of<'b>(&mut self, choices: &[&'b str]) -> &'b str {
        choices[usize::from(*self.draws.next().expect("there are draws")) % choices.len()]
    }

    fn push_one_of(&mut self, choices: &[&str]) {
        let choice = self.one_of(choices).to_string();
        self.text.push_str(&choice);
    }

    fn space(&mut self) {
        self.push_one_of(&["", "", " ", "  ", "\t"]);
    }

    fn string(&mut self, text: &str) {
        let quote = self.one_of(&["'", "\""]);
        self.text.push_str(quote);
        for c in text.chars() {
            let mut pair = [0; 2];
            let unicode: String = c.encode_utf16(&mut pair).iter().map(|unit| format!("\\u{unit:04x}")).collect();
            match c {
                '\\' => self.push_one_of(&["\\\\", "\\x5c", &unicode]),
                '\n' => self.push_one_of(&["\\n", &unicode]),
                '\'' | '"' if quote.starts_with(c) => self.push_one_of(&[&format!("\\{c}"), &unicode]),
                _ => self.push_one_of(&[&c.to_string(), &c.to_string(), &unicode, &format!("\\U{:08X}", u32::from(c))]),
            }
        }
        self.text.push_str(quote);
    }

    fn value(&mut self, value: &Value) {
        self.space();
        match value {
            Value::Null => self.push_one_of(&["null", "None"]),
            Value::Bool(true) => self.push_one_of(&["true", "True"]),
            Value::Bool(false) => self.push_one_of(&["false", "False"]),
            Value::Number(number) => self.text.push_str(&number.to_string()),
            Value::String(text) => self.string(text),
            Value::Array(elements) => self.members("[", "]", elements, |style, element| style.value(element)),
            Value::Object(members) => self.members("{", "}", members, |style, (name, value)| {
                style.space();
                style.string(name);
                style.space();
                style.text.push(':');
                style.value(value);
            }),
        }
        self.space();
    }

    fn members<T>(&mut self, open: &str, close: &str, members: impl IntoIterator<Item = T>, one: fn(&mut Self, T)) {
        self.text.push_str(open);
        let mut some = false;
        for member in members {
            if some {
                self.push_one_of(&[",", ",", ";"]);
            }
            some = true;
            one(self, member);
        }
        if some {
            self.push_one_of(&["", "", ",", ";"]);
        }
        self.space();
        self.text.push_str(close);
    }
}

fn number() -> impl Strategy<Value = Value> {
    let written = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    proptest::string::string_regex(written).unwrap().prop_map(|text| Value::Number(text.parse::<Number>().unwrap()))
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![any::<char>(), Just('\''), Just('"'), Just('\\'), Just('\n'), Just('é'), prop::char::range('a', 'z')],
        0..8,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text().prop_map(Value::from)];
    scalar.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn line() -> impl Strategy<Value = (String, Value, String)> {
    let key = text().prop_filter("a key is not empty", |key| !key.is_empty());
    (key, value(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(key, value, draws)| {
        let mut style = Style { draws: draws.iter().cycle(), text: String::new() };
        let form = style.one_of(&["loose", "loose", "json", "swapped"]);
        let named = |style: &mut Style<'_>, name: &str| {
            style.string(name);
            style.space();
            style.text.push(':');
            style.space();
        };
        style.space();
        match form {
            "loose" => {
                named(&mut style, &key);
                style.value(&value);
            }
            "json" => {
                style.text.push('{');
                named(&mut style, "key");
                style.string(&key);
                style.push_one_of(&[",", " ; "]);
                named(&mut style, "value");
                style.value(&value);
                style.text.push('}');
            }
            _ => {
                style.text.push('{');
                named(&mut style, "value");
                style.value(&value);
                style.text.push(',');
                named(&mut style, "key");
                style.string(&key);
                style.text.push('}');
            }
        }
        style.push_one_of(&["", "\n", "\r\n"]);
        let text = style.text;
        (key, value, text)
    })
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn a_value_written_in_any_style_is_read_as_it_was((key, value, line) in line()) {
        let read = parse_line(line.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(&read.json, &value.to_string(), "{}", line);
        prop_assert_eq!(read.key, key);
    }

    #[test]
    fn a_mutilated_line_is_read_or_refused_at_a_column_of_its_own((_, _, line) in line(), cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..5)) {
        let mut bytes = line.into_bytes();
        for (at, byte, how) in cuts {
            let at = at.index(bytes.len() + 1);
            match how {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.insert(at, b"{}[]'\":,;\\u-0"[usize::from(byte) % 13]),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        match parse_line(&bytes) {
            Ok(Some(line)) => prop_assert!(serde_json::from_str::<Value>(&line.json).is_ok(), "{}", line.json),
            Ok(None) => {}
            Err(error) => prop_assert!(error.column >= 1 && error.column <= bytes.len() + 1, "{}", error),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = parse_line(&bytes);
    }
}

#[test]
fn both_forms_of_a_line_are_understood() {
    let json = r#"{"name":{"age":22},"city":"Rome"}"#;
    for line in [
        r#"'key1' : {'name': {'age': 22}, 'city': 'Rome'}"#,
        r#""key1":{"name":{"age":22};"city":"Rome"}"#,
        r#"  "key1"   :   { 'name' : {"age":22} ;'city' : "Rome" , }  "#,
        r#"{"key": "key1", "value": {"name": {"age": 22}, "city": "Rome"}}"#,
        "\u{feff}'key1' : {'name': {'age': 22}, 'city': 'Rome'}\r\n",
    ] {
        assert_eq!(read(line), ("key1".into(), json.into()), "{line}");
    }
}

#[test]
fn a_value_may_be_a_scalar_an_array_or_empty() {
    for (written, json) in [
        ("22", "22"),
        ("-0.50e+7", "-0.50e+7"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        ("'it\\'s'", "\"it's\""),
        ("\"a\tb\"", "\"a\\tb\""),
        ("True", "true"),
        ("None", "null"),
        ("{}", "{}"),
        ("[]", "[]"),
        ("[1; 'a', {'b' : [ ]}]", "[1,\"a\",{\"b\":[]}]"),
        ("{'' : ''}", "{\"\":\"\"}"),
        ("'\\ud83d\\ude00 \\xe9 \\U0001F600'", "\"😀 é 😀\""),
    ] {
        assert_eq!(read(&format!("'k' : {written}")), ("k".into(), json.into()));
    }
}

#[test]
fn a_blank_line_and_a_comment_say_nothing() {
    for line in ["", "\n", "  \r\n", "\u{feff}", "\u{feff}\r\n", "# made by gen", "   # 'key1' : 1"] {
        assert_eq!(parse_line(line.as_bytes()), Ok(None), "{line:?}");
    }
}

#[test]
fn a_refusal_names_the_column_and_the_reason() {
    assert_eq!(refused("'key1'  {'a': 1}"), "column 9: expected ':' after the key");
    assert_eq!(refused("'ключ' 1"), "column 8: expected ':' after the key");
    assert_eq!(refused("key1 : 1"), "column 1: a line begins with the key in quotes, or with {\"key\": …, \"value\": …}");
    assert_eq!(refused("'' : 1"), "column 1: a key must not be empty");
    assert_eq!(refused("'k' :"), "column 6: the line ends where a value should stand");
    assert_eq!(refused("'k' : {'a' 1}"), "column 12: expected ':' after the name");
    assert_eq!(refused("'k' : {'a': 1 'b': 2}"), "column 15: expected ',' or '}', found '\\''");
    assert_eq!(refused("'k' : {'a': 1"), "column 14: the line ends where ',' or '}' should stand");
    assert_eq!(refused("'k' : {'a': 1, 'a': 2}"), "column 16: this name stands twice in its map");
    assert_eq!(refused("'k' : 'abc"), "column 7: the string that begins here has no closing quote");
    assert_eq!(refused("'k' : 'a\\qc'"), "column 9: this escape is not known; write \\\\ for a backslash");
    assert_eq!(
        refused("'k' : '\\ud83d!'"),
        "column 8: this half of a surrogate pair must be followed by the other, \\uDC00 to \\uDFFF"
    );
    assert_eq!(refused("'k' : '\\udc00'"), "column 8: this escape names no character");
    assert_eq!(refused("'k' : Rome"), "column 7: Rome is no value; put quotes round it if it is text");
    assert_eq!(refused("'k' : 012"), "column 7: 012 is not a number as JSON writes it; put quotes round it if it is text");
    assert_eq!(
        refused("'k' : 1 2"),
        "column 9: the value has ended, but '2' follows; each key and value must have a line of their own"
    );
    assert_eq!(refused("{'key': 'k'}"), "column 1: this line has no \"value\"");
    assert_eq!(refused("{'value': 1}"), "column 1: this line has no \"key\"");
    assert_eq!(
        refused("{'key': 'k', 'value': 1, 'more': 2}"),
        "column 26: a line that begins with { has the members \"key\" and \"value\" and no others"
    );
    assert_eq!(refused("{'key': 'k', 'key': 'k'}"), "column 14: \"key\" stands twice in this line");
    assert_eq!(refused(b"'k\xc3\xa9' : '\xff'"), "column 9: the bytes from here on are not UTF-8");
}

#[test]
fn the_longest_key_is_read_and_a_longer_one_refused() {
    let line = |bytes: usize| format!("'{}' : 1", "k".repeat(bytes));
    assert_eq!(read(&line(KEY_BYTES_MAX)).0.len(), KEY_BYTES_MAX);
    assert_eq!(refused(line(KEY_BYTES_MAX + 1)), "column 1: the key has 4097 bytes; at most 4096 are allowed");
}

#[test]
fn the_deepest_value_is_read_and_a_deeper_one_refused_however_deep() {
    let nested = |depth: usize| format!("'k' : {}1{}", "{'a':".repeat(depth), "}".repeat(depth));
    assert!(parse_line(nested(DOCUMENT_DEPTH_MAX).as_bytes()).is_ok());
    for depth in [DOCUMENT_DEPTH_MAX + 1, 1_000_000] {
        assert!(refused(nested(depth)).starts_with("column 327: values may be nested 64 deep"), "{}", refused(nested(depth)));
        assert!(refused(format!("'k' : {}", "[".repeat(depth))).starts_with("column 71: values may be nested 64 deep"));
    }
}

#[test]
fn numbers_are_those_of_json() {
    for number in ["0", "-0", "10", "0.5", "1e9", "1E-9", "-12.50e+07"] {
        assert!(is_json_number(number), "{number}");
    }
    for other in ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "1_000", "0x10", "1.2.3", "--1", "1e5e5", "NaN", "١"] {
        assert!(!is_json_number(other), "{other}");
    }
}
