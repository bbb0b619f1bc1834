//! `KEY.path.to.leaf` on a command line.
//!
//! The key ends at the first dot without a backslash. In it `\.` is a dot and `\\` a backslash. What follows is a path in the
//! client's syntax (`vclock::Path`). Where a command has the path as an argument of its own, the key is taken as it stands.

use super::Exit;
use crate::limits::KEY_BYTES_MAX;
use crate::vclock::Path;
use bytes::Bytes;

/// A key, and a path in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KeyPath {
    /// The key, without its escapes.
    pub(super) key: Bytes,
    /// The path in the client's syntax; empty for the whole key.
    pub(super) path: String,
}

impl KeyPath {
    /// Reads `KEY.path`, or `KEY` as it stands beside a path. Exit code 2 if it is neither.
    pub(super) fn read(key: &str, path: Option<&str>) -> Result<KeyPath, Exit> {
        let (key, path) = match path {
            Some(path) => (key.to_string(), path),
            None => split(key).map_err(|reason| Exit::new(Exit::USAGE, format!("{key:?} is not KEY.path: {reason}")))?,
        };
        if let Err(error) = Path::parse(path) {
            return Err(Exit::new(Exit::USAGE, format!("the path {path:?} cannot be read: {error}")));
        }
        Ok(KeyPath { key: whole_key(&key)?, path: path.to_string() })
    }

    /// The same, and there has to be a path.
    pub(super) fn read_with_path(key: &str, path: Option<&str>) -> Result<KeyPath, Exit> {
        let read = KeyPath::read(key, path)?;
        if read.path.is_empty() {
            let message = format!("{key:?} names a key but no path; write KEY.path, or the path as an argument of its own");
            return Err(Exit::new(Exit::USAGE, message));
        }
        Ok(read)
    }
}

/// A key as it stands. Exit code 2 if its length is wrong.
pub(super) fn whole_key(key: &str) -> Result<Bytes, Exit> {
    match key.len() {
        0 => Err(Exit::new(Exit::USAGE, "a key must not be empty")),
        1..=KEY_BYTES_MAX => Ok(Bytes::copy_from_slice(key.as_bytes())),
        bytes => Err(Exit::new(Exit::USAGE, format!("the key has {bytes} bytes; at most {KEY_BYTES_MAX} are allowed"))),
    }
}

/// The key without its escapes, and the text behind the dot that ends it.
fn split(text: &str) -> Result<(String, &str), String> {
    let mut key = String::with_capacity(text.len());
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some((_, escaped @ ('.' | '\\'))) => key.push(escaped),
                _ => return Err("a backslash in the key stands before a dot or another backslash".to_string()),
            },
            '.' => {
                let path = &text[at + 1..];
                return match path.is_empty() {
                    true => Err("the path behind the dot is missing; write \\. for a dot that belongs to the key".to_string()),
                    false => Ok((key, path)),
                };
            }
            c => key.push(c),
        }
    }
    Ok((key, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String)> {
        let read = KeyPath::read(text, None).ok()?;
        Some((String::from_utf8(read.key.to_vec()).unwrap(), read.path))
    }

    #[test]
    fn the_key_ends_at_the_first_dot_that_has_no_backslash() {
        for (text, key, path) in [
            ("ada", "ada", ""),
            ("ada.name", "ada", "name"),
            ("ada.a.b.c", "ada", "a.b.c"),
            (r"www\.example\.org.owner", "www.example.org", "owner"),
            (r"a\\.b", r"a\", "b"),
            (r"a.b\.c.d", "a", r"b\.c.d"),
            (r"a.\e", "a", r"\e"),
            ("käse.größe", "käse", "größe"),
        ] {
            assert_eq!(read(text), Some((key.to_string(), path.to_string())), "{text}");
        }
    }

    #[test]
    fn a_missing_name_and_a_lone_backslash_are_no_key_and_path() {
        for text in ["", ".a", "a.", "a..b", "a.b.", r"a\b", r"a\", r"a.b\"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn beside_a_path_the_key_is_taken_as_it_stands() {
        let both = KeyPath::read(r"a.b\c", Some("d.e")).unwrap();
        assert_eq!((&both.key[..], both.path.as_str()), (&br"a.b\c"[..], "d.e"));
        assert!(KeyPath::read_with_path("a", None).is_err());
        assert!(KeyPath::read("k", Some("a..b")).is_err());
        assert!(whole_key(&"x".repeat(KEY_BYTES_MAX)).is_ok() && whole_key(&"x".repeat(KEY_BYTES_MAX + 1)).is_err());
    }
}
