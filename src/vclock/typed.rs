//! Bytes of a content type, which belongs to them: whoever reads them is told what the writer has said that they are.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes and their content type (RFC 9110, section 8.3), which is kept as the writer spelled it. Packed as they travel and as they are stored: the
/// length of the content type (1 byte), the content type, and the bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Bytes", into = "Bytes")]
pub struct Typed(Bytes);

/// Why something is no content type, or why bytes have none. Nothing was done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TypedError {
    /// It is empty, or too long.
    #[error("a content type has 1 to {CONTENT_TYPE_BYTES_MAX} bytes, and this one has {0}")]
    Length(usize),
    /// It does not have the form of one.
    #[error("`{0}` is no content type: that is type/subtype, such as image/png, or with parameters text/html; charset=utf-8")]
    Form(String),
    /// The packed bytes end before their content type does.
    #[error("the bytes end before their content type does")]
    Truncated,
}

/// Longest content type, in bytes: those that are registered have fewer than 100, and its length fits a byte with room for more.
pub const CONTENT_TYPE_BYTES_MAX: usize = 127;

impl Typed {
    /// These bytes of this content type.
    pub fn new(content_type: &str, bytes: &[u8]) -> Result<Typed, TypedError> {
        check(content_type.as_bytes())?;
        // Of exactly this size it becomes `Bytes` without another allocation.
        let mut packed = Vec::with_capacity(1 + content_type.len() + bytes.len());
        packed.push(content_type.len() as u8);
        packed.extend(content_type.bytes());
        packed.extend(bytes);
        Ok(Typed(packed.into()))
    }

    /// Takes the packed form as it came from somebody else.
    pub fn from_packed(packed: Bytes) -> Result<Typed, TypedError> {
        let (length, rest) = packed.split_first().ok_or(TypedError::Truncated)?;
        match usize::from(*length) {
            length @ 1..=CONTENT_TYPE_BYTES_MAX => check(rest.get(..length).ok_or(TypedError::Truncated)?)?,
            length => return Err(TypedError::Length(length)),
        }
        Ok(Typed(packed))
    }

    /// The packed form.
    pub fn as_packed(&self) -> &Bytes {
        &self.0
    }

    /// The content type: `type/subtype`, with parameters behind it if the writer gave some; visible ASCII and spaces.
    pub fn content_type(&self) -> &str {
        std::str::from_utf8(&self.0[1..self.begin()]).expect("it was checked when this was made")
    }

    /// The bytes, as a slice of the packed form.
    pub fn bytes(&self) -> Bytes {
        self.0.slice(self.begin()..)
    }

    /// Where the bytes begin.
    fn begin(&self) -> usize {
        1 + usize::from(self.0[0])
    }
}

impl TryFrom<Bytes> for Typed {
    type Error = TypedError;

    fn try_from(packed: Bytes) -> Result<Typed, TypedError> {
        Typed::from_packed(packed)
    }
}

impl From<Typed> for Bytes {
    fn from(typed: Typed) -> Bytes {
        typed.0
    }
}

/// A content type is `type/subtype`, two tokens. Behind it may stand a semicolon and parameters, in which people write many things: they are
/// visible ASCII and spaces here, and whoever reads them judges them. At the ends there are no spaces.
fn check(content_type: &[u8]) -> Result<(), TypedError> {
    if content_type.is_empty() || content_type.len() > CONTENT_TYPE_BYTES_MAX {
        return Err(TypedError::Length(content_type.len()));
    }
    let (essence, parameters) = match content_type.iter().position(|byte| *byte == b';') {
        Some(at) => (content_type[..at].trim_ascii_end(), &content_type[at..]),
        None => (content_type, &[][..]),
    };
    let mut names = essence.split(|byte| *byte == b'/');
    let is_whole = names.clone().count() == 2 && names.all(is_token);
    let is_shown = parameters.iter().all(|byte| matches!(byte, b' '..=b'~')) && parameters.last() != Some(&b' ');
    if is_whole && is_shown { Ok(()) } else { Err(TypedError::Form(content_type.escape_ascii().to_string())) }
}

/// True for a token of RFC 9110, section 5.6.2.
fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::sampling::{check, mangled};
    use proptest::prelude::*;

    fn content_type() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9.+-]{1,30}/[a-zA-Z0-9.+-]{1,30}( ?; ?[!-~]{1,20})?"
    }

    #[test]
    fn bytes_come_back_with_their_content_type_as_it_was_said() {
        check("typed bytes", 1_000, (content_type(), any::<Vec<u8>>()), |(content_type, bytes)| {
            let typed = Typed::new(&content_type, &bytes).expect("a content type");
            let again = Typed::from_packed(typed.as_packed().clone()).expect("what was packed here");
            prop_assert_eq!((again.content_type(), &again.bytes()[..]), (content_type.as_str(), &bytes[..]));
            prop_assert_eq!(again.as_packed().len(), 1 + content_type.len() + bytes.len());
            prop_assert_eq!(again, typed.clone());
            for end in 0..=content_type.len() {
                prop_assert_eq!(Typed::from_packed(typed.as_packed().slice(..end)), Err(TypedError::Truncated));
            }
            Ok(())
        });
    }

    #[test]
    fn mangled_bytes_are_refused_or_have_a_content_type_that_can_be_sent() {
        let valid = (content_type(), any::<Vec<u8>>()).prop_map(|(one, bytes)| Typed::new(&one, &bytes).unwrap().0);
        let refused = std::cell::Cell::new(0);
        check("mangled typed bytes", 10_000, mangled(valid), |bytes| {
            match Typed::from_packed(bytes.into()) {
                Ok(typed) => {
                    let said = typed.content_type();
                    prop_assert!(said.len() <= CONTENT_TYPE_BYTES_MAX && said.bytes().all(|byte| matches!(byte, b' '..=b'~')));
                    prop_assert_eq!(Typed::new(said, &typed.bytes()), Ok(typed.clone()));
                }
                Err(_) => refused.set(refused.get() + 1),
            }
            Ok(())
        });
        assert!(refused.get() > 1_000, "only {} were refused", refused.get());
    }

    #[test]
    fn what_has_not_the_form_of_a_content_type_is_refused_and_the_odd_ones_that_people_send_are_kept() {
        for kept in [
            "image/png",
            "Text/HTML;Charset=\"utf-8\"",
            "text/html ; charset=utf-8",
            "text/plain;",
            "text/plain; charset",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "multipart/form-data; boundary=----a/b?c",
            "x/y",
        ] {
            assert_eq!(Typed::new(kept, b"").expect(kept).content_type(), kept);
        }
        for wrong in [
            "image",
            "/",
            "image/",
            "/png",
            "a/b/c",
            "a b/c",
            "a/b c",
            " a/b",
            "a/b ",
            "a/b; c ",
            "a/b;\tc",
            "a/b; é",
            "a/b\r\nX: y",
            "ä/b",
        ] {
            assert!(matches!(Typed::new(wrong, b""), Err(TypedError::Form(_))), "{wrong}");
        }
        for length in [127, 128, 300] {
            let long = format!("a/{}", "b".repeat(length - 2));
            assert_eq!(Typed::new(&long, b"").is_ok(), length <= CONTENT_TYPE_BYTES_MAX, "{length}");
        }
        assert_eq!(Typed::new("", b""), Err(TypedError::Length(0)));
        let packed = |bytes: &'static [u8]| Typed::from_packed(Bytes::from_static(bytes));
        assert_eq!(packed(b""), Err(TypedError::Truncated));
        assert_eq!(packed(b"\x00image"), Err(TypedError::Length(0)));
        assert_eq!(packed(&[0x80; 200]), Err(TypedError::Length(128)));
        assert_eq!(packed(b"\x05a/bcd").map(|typed| typed.bytes()), Ok(Bytes::new()));
    }
}
