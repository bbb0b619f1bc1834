//! Paths of leaves inside a document.

use bytes::Bytes;
use std::fmt;

/// The path of a leaf, encoded so that byte order is path order, parents stand before their children, and "starts with" is
/// "lies below": each segment is escaped (0 becomes 1 1, 1 becomes 1 2) and ended with a 0.
///
/// The empty path is the key's value as a whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(Bytes);

impl Path {
    /// The path of the whole value.
    pub const ROOT: Path = Path(Bytes::new());

    /// The path of an encoded form, as it arrives from a peer or a disk; none if it is not one.
    pub fn from_encoded(encoded: Bytes) -> Option<Path> {
        // Behind an escape stands a 1 or a 2 and nothing else; the last byte ends a segment.
        let escapes_stand = encoded.split(|byte| *byte == 0).all(|segment| {
            let mut bytes = segment.iter();
            let mut next = || bytes.next();
            loop {
                match next() {
                    None => return true,
                    Some(1) if !matches!(next(), Some(1 | 2)) => return false,
                    Some(_) => {}
                }
            }
        });
        let ended = encoded.last().is_none_or(|last| *last == 0);
        (escapes_stand && ended).then_some(Path(encoded))
    }

    /// The encoded form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True for the path of the whole value.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// True if `other` is this path or lies below it.
    pub fn contains(&self, other: &Path) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encoded_paths_are_taken_for_paths() {
        for sound in [&b""[..], b"\0", b"a\0", b"a\0b\x01\x01c\x01\x02\0", b"\0\0"] {
            let path = Path::from_encoded(Bytes::copy_from_slice(sound)).expect("an encoded path");
            assert_eq!(path.as_bytes(), sound);
        }
        for broken in [&b"a"[..], b"a\0b", b"\x01\0", b"a\x01\x03\0", b"\x01\x01\x01\0"] {
            assert_eq!(Path::from_encoded(Bytes::copy_from_slice(broken)), None, "{broken:?}");
        }
    }
}
