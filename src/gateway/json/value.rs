//! Keys and values inside a JSON answer.

use crate::message::{Conflict, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

/// A key: its text if it is UTF-8, else `{"base64": …}`.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
#[serde(untagged)]
pub enum KeyShown {
    /// Text.
    Text(String),
    /// Anything else.
    Bytes {
        /// With padding (RFC 4648, section 4).
        base64: String,
    },
}

impl KeyShown {
    /// The key to be shown.
    pub fn new(key: &[u8]) -> KeyShown {
        match std::str::from_utf8(key) {
            Ok(text) => KeyShown::Text(text.to_string()),
            Err(_) => KeyShown::Bytes { base64: STANDARD.encode(key) },
        }
    }
}

/// A value: a document is itself, to the last digit of its numbers; bytes are `{"text": …}` if they are UTF-8, else `{"base64": …}`; beside it
/// stands their `content_type` if they have one.
#[derive(Serialize, Clone, Debug)]
#[serde(untagged)]
pub enum ValueShown {
    /// JSON.
    Json(Box<RawValue>),
    /// The members of a set.
    Set(Vec<KeyShown>),
    /// Bytes that are UTF-8.
    Text {
        /// Their content type.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// Their text.
        text: String,
    },
    /// Other bytes.
    Bytes {
        /// Their content type.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// With padding (RFC 4648, section 4).
        base64: String,
    },
}

impl ValueShown {
    /// The value to be shown.
    pub fn new(value: &Value) -> ValueShown {
        match value {
            Value::Set(members) => ValueShown::Set(members.iter().map(|member| KeyShown::new(&member)).collect()),
            Value::Json(json) | Value::Counter(json) => match serde_json::from_slice(json) {
                Ok(raw) => ValueShown::Json(raw),
                Err(_) => ValueShown::Text { content_type: None, text: String::from_utf8_lossy(json).into_owned() },
            },
            Value::Bytes(bytes) => ValueShown::bytes(None, bytes),
            Value::Typed(typed) => ValueShown::bytes(Some(typed.content_type().to_string()), &typed.bytes()),
        }
    }

    fn bytes(content_type: Option<String>, bytes: &[u8]) -> ValueShown {
        match std::str::from_utf8(bytes) {
            Ok(text) => ValueShown::Text { content_type, text: text.to_string() },
            Err(_) => ValueShown::Bytes { content_type, base64: STANDARD.encode(bytes) },
        }
    }
}

/// What is in conflict at a path.
#[derive(Serialize, Clone, Debug)]
pub struct ConflictShown {
    /// The path in the client's syntax; empty for the whole value.
    path: String,
    /// The siblings.
    values: Vec<ValueShown>,
}

impl ConflictShown {
    /// All of these.
    pub fn all(conflicts: &[Conflict]) -> Vec<ConflictShown> {
        let shown = |conflict: &Conflict| ConflictShown {
            path: conflict.path.clone(),
            values: conflict.values.iter().map(ValueShown::new).collect(),
        };
        conflicts.iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_document_is_itself_and_bytes_are_told_apart_from_it() {
        let shown = |value: Value| serde_json::to_string(&ValueShown::new(&value)).unwrap();
        let json = r#"{"$serde_json::private::Number":"1","n":1.0,"e":1e400}"#;
        assert_eq!(shown(Value::Json(Bytes::from_static(json.as_bytes()))), json);
        assert_eq!(shown(Value::Bytes(Bytes::from_static(b"hi"))), r#"{"text":"hi"}"#);
        assert_eq!(shown(Value::Bytes(Bytes::from_static(b"\xff\xfe"))), r#"{"base64":"//4="}"#);
        let typed = |bytes| Value::Typed(crate::message::Typed::new("text/css", bytes).unwrap());
        assert_eq!(shown(typed(b"a{}")), r#"{"content_type":"text/css","text":"a{}"}"#);
        assert_eq!(shown(typed(b"\xff\xfe")), r#"{"content_type":"text/css","base64":"//4="}"#);
    }

    #[test]
    fn a_key_is_its_text_if_it_has_one() {
        let shown = |key: &[u8]| serde_json::to_string(&KeyShown::new(key)).unwrap();
        assert_eq!(shown("käse".as_bytes()), r#""käse""#);
        assert_eq!(shown(b"\xff"), r#"{"base64":"/w=="}"#);
    }
}
