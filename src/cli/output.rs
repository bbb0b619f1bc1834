//! What commands print: values on standard output as people or machines want them, remarks on standard error.

use super::Exit;
use super::indent::indent;
use crate::gateway::json::{ConflictShown, ValueShown};
use crate::message::{Conflict, Value};
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes to standard output and makes sure that it is out. A reader that goes away early, such as `head`, ends the command
/// quietly.
pub(super) fn print(bytes: &[u8]) -> Result<(), Exit> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Exit::silent(0)),
        Err(error) => Err(Exit::new(Exit::REFUSED, format!("standard output cannot be written: {error}"))),
    }
}

/// Writes one line to standard output.
pub(super) fn print_line(line: impl std::fmt::Display) -> Result<(), Exit> {
    print(format!("{line}\n").as_bytes())
}

/// A remark for a person; not part of the output. Nobody may be listening.
pub(super) fn remark(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A remark that only somebody at a terminal wants.
pub(super) fn remark_at_terminal(line: impl std::fmt::Display) {
    if std::io::stderr().is_terminal() {
        remark(line);
    }
}

/// A value as its reader wants it: bytes as they are, a string as its text, other scalars as JSON writes them, and a document as
/// JSON, indented if asked for. No line end is added.
pub(super) fn value_bytes(value: &Value, indented: bool) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) | Value::Counter(bytes) => bytes.to_vec(),
        Value::Typed(typed) => typed.bytes().to_vec(),
        Value::Set(_) => value_json(value).to_string().into_bytes(),
        Value::Json(json) => match json.first() {
            Some(b'"') => serde_json::from_slice::<String>(json).map_or_else(|_| json.to_vec(), String::into_bytes),
            Some(b'{' | b'[') if indented => indent(json),
            _ => json.to_vec(),
        },
    }
}

/// Prints a value on standard output. A document or a scalar has a line of its own; bytes come as they are, with a line end only for
/// a person.
pub(super) fn print_value(value: &Value) -> Result<(), Exit> {
    let at_terminal = std::io::stdout().is_terminal();
    let mut out = value_bytes(value, at_terminal);
    if !matches!(value, Value::Bytes(_) | Value::Typed(_)) || (at_terminal && !out.ends_with(b"\n")) {
        out.push(b'\n');
    }
    print(&out)
}

/// A value for a JSON answer, in the shape of the HTTP door: a document is itself, a counter a number, a set an array; bytes are `{"text": …}` if they
/// are UTF-8, else `{"base64": …}`, with their `content_type` if they have one.
pub(super) fn value_json(value: &Value) -> serde_json::Value {
    as_json(&ValueShown::new(value))
}

/// What is in conflict, for a JSON answer.
pub(super) fn conflicts_json(conflicts: &[Conflict]) -> serde_json::Value {
    as_json(&ConflictShown::all(conflicts))
}

fn as_json(shown: &impl serde::Serialize) -> serde_json::Value {
    // Maps with text as names, numbers and texts: there is nothing in it that JSON cannot say.
    serde_json::to_value(shown).expect("what is shown can be written as JSON")
}

/// A key for people and for JSON: its text, or what can be shown of it.
pub(super) fn key_text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// Bytes in a unit that a person grasps.
pub(super) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut amount = bytes as f64;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

/// Milliseconds as a person says them.
pub(super) fn duration_text(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn json(text: &'static str) -> Value {
        Value::Json(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_string_is_printed_as_its_text_and_a_number_as_it_was_written() {
        assert_eq!(value_bytes(&json(r#""a \"b\"\n""#), true), b"a \"b\"\n");
        assert_eq!(value_bytes(&json("12345678901234567890.10"), true), b"12345678901234567890.10");
        assert_eq!(value_bytes(&json(r#"{"a":1}"#), false), br#"{"a":1}"#);
        assert_eq!(value_bytes(&json(r#"{"a":1}"#), true), b"{\n  \"a\": 1\n}");
        assert_eq!(value_bytes(&Value::Bytes(Bytes::from_static(b"\"x\"")), true), b"\"x\"");
    }

    #[test]
    fn bytes_in_a_json_answer_are_told_apart_from_documents() {
        assert_eq!(value_json(&json(r#"{"a":1.0}"#)).to_string(), r#"{"a":1.0}"#);
        assert_eq!(value_json(&Value::Bytes(Bytes::from_static(b"hi"))).to_string(), r#"{"text":"hi"}"#);
        assert_eq!(value_json(&Value::Bytes(Bytes::from_static(b"\xff\xfe"))).to_string(), r#"{"base64":"//4="}"#);
        let typed = Value::Typed(crate::message::Typed::new("image/png", b"\xff\xfe").unwrap());
        assert_eq!(value_json(&typed).to_string(), r#"{"base64":"//4=","content_type":"image/png"}"#);
        assert_eq!(value_bytes(&typed, true), b"\xff\xfe");
        let names = Value::Set(crate::message::Members::of([&b"a"[..], b"\xff"]));
        assert_eq!(value_bytes(&names, true), br#"["a",{"base64":"/w=="}]"#);
    }

    #[test]
    fn amounts_and_times_have_units() {
        assert_eq!([0, 1_023, 1_024, 5 << 30].map(bytes_text), ["0 B", "1023 B", "1.0 KiB", "5.0 GiB"]);
        assert_eq!([59_999, 61_000, 7_260_000, 90_000_000].map(duration_text), ["59 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]);
    }
}
