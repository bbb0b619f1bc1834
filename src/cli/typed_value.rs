//! What a value that somebody typed is meant to be.
//!
//! * JSON is a document, or a scalar: `{"a": 1}`, `[1, 2]`, `42`, `true`, `"two words"`.
//! * Text that begins like JSON's brackets or strings and is none is a mistake, and an error.
//! * Any other text is a string: `hello` means what `"hello"` means.

use super::Exit;
use crate::message::Body;
use crate::vclock::{DocumentError, Path, leaves_from_json};
use bytes::Bytes;

/// The JSON text that a typed value stands for. `at` says where it will stand, for the depth. Exit code 2 if it is broken JSON, 4 if it is
/// over a limit.
pub(super) fn typed_json(text: &str, at: &Path) -> Result<Bytes, Exit> {
    match leaves_from_json(text.as_bytes(), at) {
        Ok(_) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Err(DocumentError::Syntax { .. }) if !looks_like_json(text.as_bytes()) => {
            Ok(serde_json::Value::from(text).to_string().into())
        }
        Err(error) => Err(refused(&error)),
    }
}

/// What comes through a pipe: JSON is a document, everything else is kept as the bytes that it is.
/// Exit codes as of [`typed_json`].
pub(super) fn piped_body(bytes: Bytes) -> Result<Body, Exit> {
    match leaves_from_json(&bytes, &Path::ROOT) {
        Ok(_) => Ok(Body::Json(bytes)),
        Err(DocumentError::Syntax { .. }) if !looks_like_json(&bytes) => Ok(Body::Bytes(bytes)),
        Err(error) => Err(refused(&error)),
    }
}

/// JSON and nothing else, for a merge patch. Exit codes as of [`typed_json`].
pub(super) fn strict_json(text: &str) -> Result<Bytes, Exit> {
    match leaves_from_json(text.as_bytes(), &Path::ROOT) {
        Ok(_) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Err(error) => Err(refused(&error)),
    }
}

fn looks_like_json(bytes: &[u8]) -> bool {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'[' | b'"')) && std::str::from_utf8(bytes).is_ok()
}

fn refused(error: &DocumentError) -> Exit {
    match error {
        DocumentError::Syntax { .. } => Exit::new(
            Exit::USAGE,
            format!("the value is {error}; nothing was written; to keep text that is no JSON, use put --raw"),
        ),
        error => Exit::new(Exit::REFUSED, format!("{error}; nothing was written")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_itself_and_a_bare_word_is_a_string() {
        for (text, json) in [
            (r#"{"a": 1}"#, r#"{"a": 1}"#),
            ("42", "42"),
            ("1e400", "1e400"),
            ("true", "true"),
            (r#""two words""#, r#""two words""#),
            ("hello", r#""hello""#),
            ("two words", r#""two words""#),
            ("007", r#""007""#),
            ("-", r#""-""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            ("", r#""""#),
        ] {
            assert_eq!(typed_json(text, &Path::ROOT).unwrap(), json, "{text}");
        }
    }

    #[test]
    fn broken_json_is_told_with_its_place_and_not_kept_as_a_string() {
        for text in [r#"{"a": }"#, "[1, 2", r#""open"#, "  {a: 1}"] {
            let exit = typed_json(text, &Path::ROOT).unwrap_err();
            assert_eq!(exit.code, Exit::USAGE);
            assert!(exit.message.unwrap().contains("column"), "{text}");
        }
        assert!(strict_json("hello").is_err());
    }

    #[test]
    fn what_is_piped_is_a_document_if_it_is_json_and_bytes_if_it_is_anything_else() {
        let body = |bytes: &'static [u8]| piped_body(Bytes::from_static(bytes));
        assert!(matches!(body(b"{\"a\":1}\n"), Ok(Body::Json(_))));
        assert!(matches!(body(b"hello\n"), Ok(Body::Bytes(bytes)) if &bytes[..] == b"hello\n"));
        assert!(matches!(body(b"{\xff"), Ok(Body::Bytes(_))));
        assert_eq!(body(b"{\"a\":").unwrap_err().code, Exit::USAGE);
    }
}
