//! What goes in comes out; and changes of parts agree with RFC 7396 as it is written.

use super::*;
use crate::vclock::sampling::{check, name, path};
use crate::vclock::{Actor, Entry, Seen, pack, unpack};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;

/// A JSON value as the tests know it: scalars by their text.
#[derive(Clone, PartialEq, Debug)]
enum Doc {
    Scalar(String),
    Array(Vec<Doc>),
    Object(BTreeMap<String, Doc>),
}
use Doc::{Array, Object, Scalar};

impl Doc {
    /// The text that is expected in answers.
    fn text(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(",");
        match self {
            Scalar(text) => text.clone(),
            Array(items) => format!("[{}]", joined(items.iter().map(Doc::text).collect())),
            Object(members) => {
                format!("{{{}}}", joined(members.iter().map(|(name, doc)| format!("{}:{}", quoted(name), doc.text())).collect()))
            }
        }
    }

    /// The same value as people might write it: members the other way round, some twice, white space, needless escapes.
    fn sloppy_text(&self) -> String {
        match self {
            Scalar(text) => format!(" {}\t", text.replace('a', "\\u0061").replace("f\\u0061lse", "false")),
            Array(items) => format!("[\n{} ]", items.iter().map(Doc::sloppy_text).collect::<Vec<_>>().join(" ,")),
            Object(members) => {
                let mut parts: Vec<String> = members
                    .iter()
                    .rev()
                    .map(|(name, doc)| format!("{} : {}", quoted(name).replace('a', "\\u0061"), doc.sloppy_text()))
                    .collect();
                parts.extend(members.first_key_value().map(|(name, doc)| format!("{}:{}", quoted(name), doc.sloppy_text())));
                parts.splice(0..0, members.first_key_value().map(|(name, _)| format!("{}:[{{\"lost\":0}}]", quoted(name))));
                format!("{{ {}\r\n}}", parts.join(",\n"))
            }
        }
    }

    fn leaf_count(&self) -> usize {
        match self {
            Object(members) if !members.is_empty() => members.values().map(Doc::leaf_count).sum(),
            _ => 1,
        }
    }

    /// RFC 7396, section 2, as it is written there.
    fn merge_patch(target: Option<Doc>, patch: &Doc) -> Doc {
        let Object(patch) = patch else { return patch.clone() };
        let mut members = if let Some(Object(members)) = target { members } else { BTreeMap::new() };
        for (name, value) in patch {
            if *value == Scalar("null".into()) {
                members.remove(name);
            } else {
                let member = members.get(name).cloned();
                members.insert(name.clone(), Doc::merge_patch(member, value));
            }
        }
        Object(members)
    }

    /// Puts a value at a path, making objects on the way.
    fn set(target: Option<Doc>, path: &[String], value: Doc) -> Doc {
        let Some((name, below)) = path.split_first() else { return value };
        let mut members = if let Some(Object(members)) = target { members } else { BTreeMap::new() };
        let member = members.remove(name);
        members.insert(name.clone(), Doc::set(member, below, value));
        Object(members)
    }

    /// Removes what lies at a path that is not the root.
    fn remove(&mut self, path: &[String]) {
        let Object(members) = self else { return };
        match path {
            [name] => drop(members.remove(name)),
            [name, below @ ..] => members.get_mut(name).into_iter().for_each(|member| member.remove(below)),
            [] => {}
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn scalar() -> impl Strategy<Value = Doc> {
    let fixed = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.0",
        "1e400",
        "1E+2",
        "-12.50e-7",
        "9007199254740993",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        "\"\"",
        "\"null\"",
        r#""\u0000\"\\""#,
        "\"größe 名前 \u{1F5FF}\"",
    ];
    prop_oneof![
        3 => prop::sample::select(fixed.to_vec()).prop_map(|text| Scalar(text.to_owned())),
        1 => name().prop_map(|text| Scalar(quoted(&text))),
        1 => any::<i64>().prop_map(|number| Scalar(number.to_string())),
    ]
}

fn doc() -> impl Strategy<Value = Doc> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Array),
            4 => prop::collection::btree_map(name(), inner, 0..6).prop_map(Object),
        ]
    })
}

/// Patches that often meet what is there.
fn patch() -> impl Strategy<Value = Doc> {
    let leaf = prop_oneof![2 => Just(Scalar("null".into())), 1 => scalar()];
    leaf.prop_recursive(4, 30, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Array),
            6 => prop::collection::btree_map(name(), inner, 0..6).prop_map(Object),
        ]
    })
}

/// A store of one key with one author who sees everything.
#[derive(Default)]
struct Key {
    entry: Entry,
    counter: u64,
}

impl Key {
    fn change(&mut self, changes: &[Change]) -> Draft {
        let draft = draft(&self.entry, changes);
        let covers: Seen = draft.covers.iter().copied().collect();
        self.entry.cover(&covers);
        self.write(draft.leaves.clone());
        draft
    }

    /// Adds leaves, covering nothing.
    fn write(&mut self, leaves: Vec<Leaf>) {
        let (mut versions, context) = std::mem::take(&mut self.entry).into_parts();
        for leaf in leaves {
            self.counter += 1;
            versions.push(leaf.into_version(Dot { actor: Actor(5), counter: self.counter }, Timestamp(self.counter << 16), 0));
        }
        // Over the wire and back, each time.
        self.entry = unpack(&pack(&Entry::new(versions, context))).unwrap();
    }

    fn with(text: &str) -> Key {
        let mut key = Key::default();
        key.change(&set(Path::ROOT, text.as_bytes()).unwrap());
        key
    }

    fn sibling(&mut self, at: &str, text: &str) {
        self.write(leaves_from_json(text.as_bytes(), &Path::parse(at).unwrap()).unwrap());
    }

    fn read(&self, at: &str, last_writer_wins: bool) -> Option<Rendered> {
        render(&self.entry, &Path::parse(at).unwrap(), 0, last_writer_wins)
    }

    /// The value at a path as text; it has no conflict.
    fn text(&self, at: &Path) -> Option<String> {
        let rendered = render(&self.entry, at, 0, false)?;
        assert_eq!((rendered.conflicts.as_slice(), rendered.hidden), (&[][..], 0));
        rendered.value.map(text_of)
    }

    /// The value, and the conflicts as (path, values).
    fn shown(&self, at: &str) -> (Option<String>, Vec<(String, Vec<String>)>) {
        let rendered = self.read(at, false).unwrap();
        let conflicts = rendered.conflicts.into_iter().map(|it| (it.path, it.values.into_iter().map(text_of).collect()));
        (rendered.value.map(text_of), conflicts.collect())
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::Json(text) => String::from_utf8(text.to_vec()).unwrap(),
        Value::Bytes(bytes) => format!("bytes {bytes:?}"),
    }
}

#[test]
fn what_goes_in_comes_out_and_so_does_every_part_of_it() {
    let (leaves_seen, largest) = (Cell::new(0), Cell::new(0));
    check("documents", 3_000, (doc(), path()), |(doc, at)| {
        for text in [doc.text(), doc.sloppy_text()] {
            let mut key = Key::default();
            let draft = key.change(&set(at.clone(), text.as_bytes()).unwrap());
            prop_assert_eq!(draft.leaves.len(), doc.leaf_count());
            prop_assert!(draft.leaves.is_sorted_by(|a, b| a.path < b.path));
            prop_assert_eq!(key.text(&at), Some(doc.text()));
            leaves_seen.set(leaves_seen.get() + draft.leaves.len());
            largest.set(largest.get().max(draft.leaves.len()));
            if let Object(members) = &doc {
                for (name, member) in members {
                    prop_assert_eq!(key.text(&at.push(name).unwrap()), Some(member.text()));
                }
            }
            for above in at.ancestors() {
                let ending = doc.text() + &"}".repeat(at.depth() - above.depth());
                prop_assert!(key.text(&above).unwrap().ends_with(&ending));
            }
        }
        Ok(())
    });
    println!("  {} leaves, at most {}", leaves_seen.get(), largest.get());
}

#[test]
fn what_comes_out_is_json_to_others() {
    check("documents as serde_json reads them", 1_000, doc(), |doc| {
        let text = Key::with(&doc.sloppy_text()).text(&Path::ROOT).unwrap();
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        if !text.contains("$serde_json") {
            let (ours, theirs): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(&text).unwrap(), serde_json::from_str(&doc.sloppy_text()).unwrap());
            prop_assert_eq!(ours, theirs);
        }
        Ok(())
    });
}

#[test]
fn a_member_with_serde_jsons_private_name_is_a_member_like_any_other() {
    for text in [
        r#"{"$serde_json::private::Number":"1"}"#,
        r#"{"$serde_json::private::Number":"no number"}"#,
        r#"{"$serde_json::private::Number":{"a":1},"b":2}"#,
        r#"{"a":[{"$serde_json::private::Number":"12"}]}"#,
        r#"{"$serde_json::private::RawValue":"{"}"#,
    ] {
        assert_eq!(Key::with(text).text(&Path::ROOT).as_deref(), Some(text));
        let mut key = Key::default();
        key.change(&merge_patch(text.as_bytes()).unwrap());
        assert_eq!(key.text(&Path::ROOT).as_deref(), Some(text));
    }
    // The control: serde_json's own value loses the object.
    let value: serde_json::Value = serde_json::from_str(r#"{"$serde_json::private::Number":"1"}"#).unwrap();
    assert!(!value.is_object());
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (text, line, column) in [
        ("", 1, 1),
        ("  \n ", 2, 2),
        ("{", 1, 2),
        ("{\"a\":1,}", 1, 8),
        ("{\"a\" 1}", 1, 6),
        ("{a:1}", 1, 2),
        ("[1,]", 1, 4),
        ("[1 2]", 1, 4),
        ("[1}", 1, 3),
        ("nul", 1, 1),
        ("truex", 1, 5),
        ("01", 1, 2),
        ("-", 1, 2),
        ("+1", 1, 1),
        ("1.", 1, 3),
        (".5", 1, 1),
        ("1e", 1, 3),
        ("1e+", 1, 4),
        ("1.2.3", 1, 4),
        ("0x10", 1, 2),
        ("NaN", 1, 1),
        ("'a'", 1, 1),
        ("{\"é\":\n \"x\ty\"}", 2, 4),
        ("\"abc", 1, 1),
        ("\"abc\\", 1, 1),
        ("1 2", 1, 3),
        ("{}\n}", 2, 1),
        ("\u{feff}1", 1, 1),
    ] {
        let error = leaves_from_json(text.as_bytes(), &Path::ROOT).unwrap_err();
        let DocumentError::Syntax { line: found_line, column: found_column, .. } = &error else { panic!("{text}: {error}") };
        assert_eq!((*found_line, *found_column), (line, column), "{text}: {error}");
        assert_eq!(merge_patch(text.as_bytes()).unwrap_err(), error);
    }
    for escape in [r#"["\x"]"#, r#"["\ud800"]"#, r#"["\ud800\u0041"]"#, r#"["\u12"]"#, r#"{"\udc00":1}"#] {
        let error = leaves_from_json(escape.as_bytes(), &Path::ROOT).unwrap_err();
        assert!(matches!(error, DocumentError::Syntax { what: "a wrong escape in a string", line: 1, .. }), "{escape}: {error}");
    }
    let error = leaves_from_json(b"{\"a\":\"\xff\"}", &Path::ROOT).unwrap_err();
    assert_eq!(error, DocumentError::Syntax { what: "bytes that are not UTF-8", line: 1, column: 7 });
}

#[test]
fn the_reader_accepts_what_serde_json_accepts_and_nothing_else() {
    let accepted = Cell::new(0u32);
    let texts = crate::vclock::sampling::mangled(doc().prop_map(|doc| doc.sloppy_text().into()));
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "1",
        "-",
        ".5",
        "e3",
        "null",
        " ",
        "\"\\u00e9\"",
        "\\",
        "\"",
    ]);
    let made_up = prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat().into_bytes());
    check("mangled JSON", 20_000, prop_oneof![texts, made_up], |text| {
        let ours = leaves_from_json(&text, &Path::ROOT);
        // An empty exponent apart, `IgnoredAny` lets lone surrogates pass, and `Value` the private names.
        let theirs = serde_json::from_slice::<Strict>(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}: {:?}, {:?}", String::from_utf8_lossy(&text), ours.err(), theirs.err());
        accepted.set(accepted.get() + u32::from(theirs.is_ok()));
        let _ = merge_patch(&text);
        Ok(())
    });
    println!("  {} of them were accepted", accepted.get());
}

/// Any JSON whose strings are all decoded, and whose private names do no harm.
struct Strict;

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Strict;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
                while items.next_element::<Strict>()?.is_some() {}
                Ok(Strict)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
                while members.next_entry::<String, Strict>()?.is_some() {}
                Ok(Strict)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[test]
fn a_document_over_a_limit_is_refused() {
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for text in [nested(DOCUMENT_DEPTH_MAX), arrays(DOCUMENT_DEPTH_MAX)] {
        assert_eq!(Key::with(&text).text(&Path::ROOT), Some(text.clone()));
        let error = leaves_from_json(text.as_bytes(), &Path::parse("x").unwrap()).unwrap_err();
        assert!(matches!(error, DocumentError::TooDeep { line: 1, .. }));
    }
    let is_too_deep = |text: String| matches!(leaves_from_json(text.as_bytes(), &Path::ROOT), Err(DocumentError::TooDeep { .. }));
    assert!(
        is_too_deep(nested(DOCUMENT_DEPTH_MAX + 1))
            && is_too_deep(arrays(DOCUMENT_DEPTH_MAX + 1))
            && is_too_deep("[".repeat(1 << 20))
    );

    let bytes = DOCUMENT_BYTES_MAX + 1;
    assert_eq!(leaves_from_json(&vec![b' '; bytes], &Path::ROOT), Err(DocumentError::TooLarge { bytes }));

    let many = |count: usize| format!("{{{}}}", (0..count).map(|n| format!(r#""{n}":1"#)).collect::<Vec<_>>().join(","));
    assert_eq!(leaves_from_json(many(DOCUMENT_LEAVES_MAX).as_bytes(), &Path::ROOT).unwrap().len(), DOCUMENT_LEAVES_MAX);
    assert_eq!(leaves_from_json(many(DOCUMENT_LEAVES_MAX + 1).as_bytes(), &Path::ROOT), Err(DocumentError::TooManyLeaves));
    assert_eq!(merge_patch(many(DOCUMENT_LEAVES_MAX + 1).as_bytes()), Err(DocumentError::TooManyLeaves));

    let long = format!(r#"{{"{}":1}}"#, "x".repeat(PATH_BYTES_MAX));
    assert!(matches!(leaves_from_json(long.as_bytes(), &Path::ROOT), Err(DocumentError::PathTooLong { .. })));
    let long_above_many = format!(r#"{{"{}":{}}}"#, "x".repeat(PATH_BYTES_MAX - 10), many(10_000));
    assert_eq!(leaves_from_json(long_above_many.as_bytes(), &Path::ROOT), Err(DocumentError::PathsTooLong));
}

#[test]
fn a_merge_patch_does_what_rfc_7396_says() {
    let changed = Cell::new(0u32);
    check("merge patches", 6_000, (doc(), prop::collection::vec(patch(), 1..4)), |(doc, patches)| {
        let mut key = Key::with(&doc.text());
        let mut model = doc;
        for patch in patches {
            let before = model.clone();
            model = Doc::merge_patch(Some(model), &patch);
            let draft = key.change(&merge_patch(patch.sloppy_text().as_bytes()).unwrap());
            prop_assert_eq!(key.text(&Path::ROOT), Some(model.text()), "{} patched with {}", before.text(), patch.text());
            prop_assert_eq!(key.entry.versions().len(), model.leaf_count(), "no leaf too many");
            prop_assert!(draft.leaves.is_sorted_by(|a, b| a.path < b.path));
            changed.set(changed.get() + u32::from(before != model));
        }
        Ok(())
    });
    println!("  {} patches changed something", changed.get());
}

#[test]
fn setting_and_removing_paths_does_what_a_plain_tree_does() {
    let (removed, emptied) = (Cell::new(0u32), Cell::new(0u32));
    let names = || prop::collection::vec(prop::sample::select(vec!["a", "b", "c", ""]).prop_map(str::to_owned), 1..4);
    let step = (names(), prop_oneof![1 => doc().prop_map(Some), 2 => scalar().prop_map(Some), 4 => Just(None)]);
    check("sets and removals", 4_000, prop::collection::vec(step, 1..12), |steps| {
        let (mut key, mut model) = (Key::with("{}"), Object(BTreeMap::new()));
        for (names, value) in steps {
            let path = Path::from_segments(&names).unwrap();
            let draft = match value {
                Some(value) => {
                    let changes = set(path, value.sloppy_text().as_bytes()).unwrap();
                    model = Doc::set(Some(model), &names, value);
                    key.change(&changes)
                }
                None => {
                    model.remove(&names);
                    key.change(&remove(path))
                }
            };
            removed.set(removed.get() + u32::from(!draft.removed.is_empty() && !draft.covers.is_empty()));
            emptied.set(emptied.get() + u32::from(!draft.removed.is_empty() && !draft.leaves.is_empty()));
            prop_assert_eq!(key.text(&Path::ROOT), Some(model.text()));
            prop_assert_eq!(key.entry.versions().len(), model.leaf_count(), "no leaf too many");
        }
        Ok(())
    });
    println!("  {} removals removed something, {} left an empty map", removed.get(), emptied.get());
    assert!(emptied.get() > 100);
}

#[test]
fn the_examples_of_rfc_7396_hold() {
    for (original, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, r#"null"#, r#"null"#),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
        (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        // Not from the RFC's list, but from its rules.
        (r#"{"a":1}"#, r#"{"a":{"b":null}}"#, r#"{"a":{}}"#),
        (r#"{"a":{"x":1}}"#, r#"{"a":{"x":null,"y":2}}"#, r#"{"a":{"y":2}}"#),
        (r#"{"a":{"x":1}}"#, r#"{"a":{}}"#, r#"{"a":{"x":1}}"#),
    ] {
        let mut key = Key::with(original);
        key.change(&merge_patch(patch.as_bytes()).unwrap());
        assert_eq!(key.text(&Path::ROOT).as_deref(), Some(result), "{original} patched with {patch}");
    }
    let mut nothing = Key::default();
    nothing.change(&merge_patch(b"{}").unwrap());
    assert_eq!(nothing.text(&Path::ROOT).as_deref(), Some("{}"));
}

#[test]
fn a_draft_says_what_it_writes_and_what_it_replaces() {
    let key = Key::with(r#"{"a":{"x":1,"y":2},"b":3}"#);
    let path = |text: &str| Path::parse(text).unwrap();
    let dots: Vec<Dot> = key.entry.dots().collect();

    let over_a_scalar = draft(&key.entry, &set(path("b.c"), b"4").unwrap());
    assert_eq!((over_a_scalar.covers, over_a_scalar.paths), (vec![dots[2]], vec![path("b.c")]));
    assert_eq!(over_a_scalar.leaves.iter().map(|leaf| leaf.path.to_text()).collect::<Vec<_>>(), ["b.c"]);

    let of_an_object = draft(&key.entry, &remove(path("a")));
    assert_eq!((of_an_object.covers, of_an_object.leaves, of_an_object.removed), (dots[..2].to_vec(), vec![], vec![path("a")]));

    let of_nothing = draft(&key.entry, &remove(path("b.c.d")));
    assert_eq!((of_nothing.covers, of_nothing.leaves), (vec![], vec![]), "a removal covers nothing above");

    let of_all = draft(&key.entry, &remove(Path::ROOT));
    assert_eq!((of_all.covers, of_all.leaves), (dots.clone(), vec![]), "a key that is removed leaves no empty map");

    let last_members = draft(&key.entry, &merge_patch(br#"{"a":{"x":null,"y":null},"b":null}"#).unwrap());
    assert_eq!(last_members.leaves, [Leaf { path: path("a"), kind: Kind::EmptyMap, value: Bytes::new() }]);
    assert_eq!(last_members.removed, [path("a.x"), path("a.y"), path("b")]);
    assert_eq!(last_members.objects, [Path::ROOT, path("a")]);

    let one_after_the_other = [set(path("a.z"), b"1").unwrap(), remove(path("a")), set(path("a.q"), b"2").unwrap()].concat();
    assert_eq!(draft(&key.entry, &one_after_the_other).leaves.len(), 1);
}

#[test]
fn siblings_show_at_their_path_and_nowhere_else() {
    let mut key = Key::with(r#"{"a":{"x":1,"y":2},"b":3}"#);
    key.sibling("a.x", "10");
    key.sibling("a.x", "1");
    let conflict = ("a.x".to_owned(), vec!["1".to_owned(), "10".to_owned()]);
    assert_eq!(key.shown(""), (Some(r#"{"a":{"y":2},"b":3}"#.into()), vec![conflict.clone()]));
    assert_eq!(key.shown("a"), (Some(r#"{"y":2}"#.into()), vec![conflict.clone()]));
    assert_eq!(key.shown("a.x"), (None, vec![conflict]));
    assert_eq!(key.shown("b"), (Some("3".into()), vec![]));
    assert_eq!(key.read("", false).unwrap().dots.len(), 5);

    let newest = key.read("", true).unwrap();
    assert_eq!(
        (newest.value.map(text_of), newest.conflicts, newest.hidden),
        (Some(r#"{"a":{"x":1,"y":2},"b":3}"#.into()), vec![], 1)
    );
    assert_eq!(newest.dots.len(), 5);

    // One write that has seen them resolves them.
    key.change(&set(Path::parse("a.x").unwrap(), b"11").unwrap());
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":11,"y":2},"b":3}"#));
}

#[test]
fn a_scalar_over_an_object_is_a_conflict_if_concurrent_and_replaces_it_if_not() {
    let mut key = Key::with(r#"{"a":{"x":1,"y":2},"b":3}"#);
    key.change(&set(Path::parse("a").unwrap(), b"[5]").unwrap());
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(r#"{"a":[5],"b":3}"#));
    assert_eq!(key.read("a.x", false), None, "below an array there is nothing");
    key.change(&set(Path::parse("a.x").unwrap(), b"1").unwrap());
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":1},"b":3}"#));

    key.sibling("a", "7");
    key.sibling("a.x", "2");
    let (value, conflicts) = key.shown("");
    assert_eq!((value.as_deref(), conflicts), (Some(r#"{"b":3}"#), vec![("a".into(), vec![r#"{"x":2}"#.into(), "7".into()])]));
    assert_eq!(key.read("", false).unwrap().hidden, 1, "inside the object the newest is shown");
    let newest = key.read("", true).unwrap();
    assert_eq!((newest.value.map(text_of), newest.hidden), (Some(r#"{"a":{"x":2},"b":3}"#.into()), 2), "the newest leaf decides");
    assert_eq!(key.shown("a.x").1, vec![("a.x".into(), vec!["1".into(), "2".into()])]);

    // An empty map says no more than its members do.
    let mut key = Key::with(r#"{"a":{}}"#);
    key.sibling("a.x", "1");
    key.sibling("", "{}");
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":1}}"#));
}

#[test]
fn a_conflict_of_the_whole_value_leaves_no_value() {
    let mut key = Key::default();
    key.write(vec![Leaf::bytes(Bytes::from_static(b"\xff\x00"))]);
    assert_eq!(key.shown("").0.as_deref(), Some(r#"bytes b"\xff\0""#));
    key.sibling("", r#"{"a":1}"#);
    let rendered = key.read("", false).unwrap();
    assert_eq!(rendered.value, None);
    let values = vec![Value::Bytes(Bytes::from_static(b"\xff\x00")), Value::Json(Bytes::from_static(br#"{"a":1}"#))];
    assert_eq!(rendered.conflicts, [Conflict { path: String::new(), values }]);
}

#[test]
fn amounts_add_up_and_elements_gather() {
    let leaf =
        |path: &str, kind, value: &[u8]| Leaf { path: Path::parse(path).unwrap(), kind, value: Bytes::copy_from_slice(value) };
    let mut key = Key::with(r#"{"z":0}"#);
    key.write(vec![leaf("n", Kind::Amount, &i64::MAX.to_le_bytes()), leaf("n", Kind::Amount, &5i64.to_le_bytes())]);
    key.write(vec![leaf("n", Kind::Amount, b"broken"), leaf("s.b", Kind::Element, b""), leaf("s.b", Kind::Element, b"")]);
    key.write(vec![leaf("s.a", Kind::Element, b""), leaf("t", Kind::Bytes, b"text"), leaf("u", Kind::Bytes, b"\xff\x01")]);
    let expected = r#"{"n":9223372036854775812,"s":["a","b"],"t":"text","u":"ff01","z":0}"#;
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(expected));
    assert_eq!(key.text(&Path::parse("s.a").unwrap()).as_deref(), Some("\"a\""));
    assert_eq!(key.text(&Path::parse("n").unwrap()).as_deref(), Some("9223372036854775812"));
    // A register beside them is a sibling of the sum, and an object beside a set one of the set.
    key.sibling("n", "1");
    key.sibling("s.x", "1");
    let conflicts = vec![
        ("n".to_owned(), vec!["9223372036854775812".to_owned(), "1".to_owned()]),
        ("s".to_owned(), vec![r#"["a","b"]"#.to_owned(), r#"{"x":1}"#.to_owned()]),
    ];
    assert_eq!(key.shown("").1, conflicts);
    key.write(vec![leaf("", Kind::Element, b"")]);
    assert!(key.read("", true).is_some() && key.read("", false).is_some());
}

#[test]
fn expired_versions_are_hidden_by_the_readers_clock() {
    let version = |path: &str, n, expiry_ms| Version {
        dot: Dot { actor: Actor(1), counter: n },
        path: Path::parse(path).unwrap(),
        kind: Kind::Scalar,
        value: Bytes::from(n.to_string()),
        time: Timestamp(n),
        expiry_ms,
    };
    let entry = Entry::new(vec![version("a", 1, 1_000), version("a", 2, 0), version("b.c", 3, 500)], Seen::new());
    let at = |now_ms| render(&entry, &Path::ROOT, now_ms, false).unwrap();
    assert_eq!((at(499).conflicts.len(), at(499).dots.len(), at(499).value.map(text_of)), (1, 3, Some(r#"{"b":{"c":3}}"#.into())));
    assert_eq!((at(500).conflicts.len(), at(500).dots.len(), at(500).value.map(text_of)), (1, 2, Some("{}".into())));
    assert_eq!((at(1_000).conflicts.len(), at(1_000).dots.len(), at(1_000).value.map(text_of)), (0, 1, Some(r#"{"a":2}"#.into())));
    assert_eq!(render(&entry, &Path::parse("b").unwrap(), 500, false), None);
}

#[test]
fn whatever_versions_an_entry_has_a_reading_accounts_for_each_of_them() {
    let conflicts = Cell::new(0);
    check("readings", 4_000, (crate::vclock::sampling::entry(), path()), |(entry, at)| {
        let live = |v: &&Version| at.contains(&v.path) && (v.expiry_ms == 0 || v.expiry_ms > 50);
        let dots: Vec<Dot> = entry.versions().iter().filter(live).map(|v| v.dot).collect();
        for last_writer_wins in [false, true] {
            let Some(rendered) = render(&entry, &at, 50, last_writer_wins) else {
                prop_assert!(dots.is_empty());
                continue;
            };
            prop_assert_eq!(&rendered.dots, &dots);
            prop_assert!((rendered.hidden as usize) < dots.len());
            prop_assert!(rendered.conflicts.iter().all(|conflict| conflict.values.len() > 1));
            let at_itself = rendered.conflicts.iter().any(|conflict| conflict.path == at.to_text());
            prop_assert_eq!(rendered.value.is_none(), at_itself);
            if last_writer_wins {
                prop_assert!(rendered.conflicts.is_empty());
            }
            conflicts.set(conflicts.get() + rendered.conflicts.len());
        }
        Ok(())
    });
    println!("  {} conflicts", conflicts.get());
}
