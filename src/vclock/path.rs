//! Paths of leaves inside a document.
//!
//! **Client's syntax.** Names joined with dots: `address.city`. In a name, `\.` is a dot and `\\` a backslash; the empty name,
//! which JSON allows, is written `\e`, alone. The empty text is the root: the value as a whole. So every path has exactly one
//! spelling, and what is left out by mistake (`a..b`, `a.`) is an error and not a path.

use crate::limits::{DOCUMENT_DEPTH_MAX, PATH_BYTES_MAX};
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;

/// The path of a leaf, encoded so that byte order is path order, parents stand before their children, and "starts with" is
/// "lies below": each segment is escaped (0 becomes 1 1, 1 becomes 1 2) and ended with a 0.
///
/// The empty path is the key's value as a whole. A path has at most `limits::DOCUMENT_DEPTH_MAX` segments, each of them UTF-8,
/// and at most `limits::PATH_BYTES_MAX` encoded bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(Bytes);

/// Why something is not a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// A name between two dots, or before the first or after the last, is missing.
    #[error("a name is missing at character {position} of the path; write \\e if you mean the empty name")]
    EmptySegment {
        /// Where the name should begin, in characters, from 1.
        position: usize,
    },
    /// A backslash stands before something that it does not change.
    #[error("the backslash at character {position} of the path stands alone; write \\. for a dot, \\\\ for a backslash")]
    BadEscape {
        /// Where the backslash stands, in characters, from 1.
        position: usize,
    },
    /// `\e` has company.
    #[error("the \\e at character {position} of the path is the empty name and must stand alone between dots")]
    BadEmptyName {
        /// Where the backslash stands, in characters, from 1.
        position: usize,
    },
    /// More segments than a document may be deep.
    #[error("the path has more than {DOCUMENT_DEPTH_MAX} segments")]
    TooDeep,
    /// More bytes than a path may have.
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// Encoded bytes that no path encodes to.
    #[error("the bytes are not an encoded path")]
    BadEncoding,
}

const END: u8 = 0;
const ESCAPE: u8 = 1;

impl Path {
    /// The path of the whole value.
    pub const ROOT: Path = Path(Bytes::new());

    /// Reads a path in the client's syntax.
    pub fn parse(text: &str) -> Result<Path, PathError> {
        if text.is_empty() {
            return Ok(Path::ROOT);
        }
        let (mut encoded, mut name, mut begin) = (Vec::with_capacity(text.len() + 1), String::new(), 1);
        let mut empty_name = None;
        let mut rest = (1..).zip(text.chars()).peekable();
        loop {
            let next = rest.next();
            match next {
                Some((position, '\\')) => match rest.next() {
                    Some((_, escaped @ ('.' | '\\'))) => name.push(escaped),
                    Some((_, 'e')) if name.is_empty() && matches!(rest.peek(), None | Some((_, '.'))) => {
                        empty_name = Some(position)
                    }
                    Some((_, 'e')) => return Err(PathError::BadEmptyName { position }),
                    _ => return Err(PathError::BadEscape { position }),
                },
                Some((_, c)) if c != '.' => name.push(c),
                dot_or_end => {
                    if name.is_empty() && empty_name.take().is_none() {
                        return Err(PathError::EmptySegment { position: begin });
                    }
                    push_segment(&mut encoded, &name);
                    name.clear();
                    match dot_or_end {
                        Some((position, _)) => begin = position + 1,
                        None => return Path::from_encoded(encoded.into()),
                    }
                }
            }
        }
    }

    /// The path of these names, one below the other.
    pub fn from_segments<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Result<Path, PathError> {
        let mut encoded = Vec::new();
        segments.into_iter().for_each(|segment| push_segment(&mut encoded, segment.as_ref()));
        Path::from_encoded(encoded.into())
    }

    /// Takes the encoded form as it came from a peer or a disk, and checks it.
    pub fn from_encoded(encoded: Bytes) -> Result<Path, PathError> {
        check_encoded(&encoded)?;
        Ok(Path(encoded))
    }

    /// Requires: the bytes have passed `check_encoded`.
    pub(super) fn from_checked(encoded: Bytes) -> Path {
        Path(encoded)
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

    /// How many names the path has; 0 for the root.
    pub fn depth(&self) -> usize {
        self.0.iter().filter(|byte| **byte == END).count()
    }

    /// The names, from the top down, as they were before escaping.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split_inclusive(|byte| *byte == END).map(|segment| segment_name(&segment[..segment.len() - 1]))
    }

    /// The path one name shorter; none for the root.
    pub fn parent(&self) -> Option<Path> {
        let inner = self.0.len().checked_sub(1)?;
        let end = self.0[..inner].iter().rposition(|byte| *byte == END).map_or(0, |at| at + 1);
        Some(Path(self.0.slice(..end)))
    }

    /// The paths above this one, from the root down; none for the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Path> {
        (0..self.0.len()).filter(|end| *end == 0 || self.0[end - 1] == END).map(|end| Path(self.0.slice(..end)))
    }

    /// The path of a member of what lies here.
    pub fn push(&self, segment: &str) -> Result<Path, PathError> {
        let mut encoded = self.0.to_vec();
        push_segment(&mut encoded, segment);
        Path::from_encoded(encoded.into())
    }

    /// The path in the client's syntax.
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for (index, segment) in self.segments().enumerate() {
            if index > 0 {
                f.write_char('.')?;
            }
            if segment.is_empty() {
                f.write_str("\\e")?;
            }
            for c in segment.chars() {
                if matches!(c, '.' | '\\') {
                    f.write_char('\\')?;
                }
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

/// Appends a name to an encoded path.
pub(super) fn push_segment(encoded: &mut Vec<u8>, segment: &str) {
    for byte in segment.bytes() {
        match byte {
            END => encoded.extend([ESCAPE, 1]),
            ESCAPE => encoded.extend([ESCAPE, 2]),
            _ => encoded.push(byte),
        }
    }
    encoded.push(END);
}

/// The name that an escaped segment, without its end, stands for.
pub(super) fn segment_name(escaped: &[u8]) -> Cow<'_, str> {
    if !escaped.contains(&ESCAPE) {
        return String::from_utf8_lossy(escaped);
    }
    let (mut name, mut bytes) = (Vec::with_capacity(escaped.len()), escaped.iter());
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            &ESCAPE => bytes.next().map_or(ESCAPE, |escaped| escaped.saturating_sub(1)),
            byte => *byte,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&name).into_owned())
}

/// Checks that bytes are an encoded path. (Escapes are ASCII, so the names are UTF-8 exactly if the whole is.)
pub(super) fn check_encoded(encoded: &[u8]) -> Result<(), PathError> {
    if encoded.len() > PATH_BYTES_MAX {
        return Err(PathError::TooLong);
    }
    let (mut depth, mut escaping) = (0, false);
    for byte in encoded {
        match (escaping, byte) {
            (true, 1 | 2) => escaping = false,
            (true, _) => return Err(PathError::BadEncoding),
            (false, &ESCAPE) => escaping = true,
            (false, &END) => depth += 1,
            (false, _) => {}
        }
    }
    if depth > DOCUMENT_DEPTH_MAX {
        return Err(PathError::TooDeep);
    }
    if escaping || encoded.last().is_some_and(|byte| *byte != END) || std::str::from_utf8(encoded).is_err() {
        return Err(PathError::BadEncoding);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::sampling::{check, name};
    use proptest::prelude::*;

    fn path(segments: &[&str]) -> Path {
        Path::from_segments(segments).unwrap()
    }

    #[test]
    fn the_clients_syntax_has_escapes_for_dots_backslashes_and_empty_names() {
        for (text, segments) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a.b.c", &["a", "b", "c"]),
            (r"a\.b", &["a.b"]),
            (r"a\\.b", &["a\\", "b"]),
            (r"\e", &[""]),
            (r"a.\e.b", &["a", "", "b"]),
            (r"\\e", &["\\e"]),
            ("größe.名", &["größe", "名"]),
            (" a ", &[" a "]),
        ] {
            assert_eq!(Path::parse(text).unwrap(), path(segments), "{text}");
            assert_eq!(path(segments).to_text(), text);
            assert!(path(segments).segments().eq(segments.iter().copied()));
            assert_eq!(path(segments).depth(), segments.len());
        }
    }

    #[test]
    fn a_path_that_is_written_wrongly_is_refused_with_the_place() {
        use PathError::*;
        for (text, error) in [
            (".", EmptySegment { position: 1 }),
            ("a..b", EmptySegment { position: 3 }),
            ("é.", EmptySegment { position: 3 }),
            (".a", EmptySegment { position: 1 }),
            (r"a\", BadEscape { position: 2 }),
            (r"a.b\n", BadEscape { position: 4 }),
            (r"a\e", BadEmptyName { position: 2 }),
            (r"\ea", BadEmptyName { position: 1 }),
            (r"\e\e", BadEmptyName { position: 1 }),
        ] {
            assert_eq!(Path::parse(text), Err(error), "{text}");
        }
        assert_eq!(Path::parse(&vec!["a"; DOCUMENT_DEPTH_MAX + 1].join(".")), Err(TooDeep));
        assert!(Path::parse(&vec!["a"; DOCUMENT_DEPTH_MAX].join(".")).is_ok());
        assert_eq!(Path::parse(&"a".repeat(PATH_BYTES_MAX)), Err(TooLong));
        assert!(Path::parse(&"a".repeat(PATH_BYTES_MAX - 1)).is_ok());
    }

    #[test]
    fn bytes_that_no_path_encodes_to_are_refused() {
        for bad in [&b"a"[..], b"a\x01\0", b"a\x01\x03\0", b"a\x01", b"\xff\0", b"\0a"] {
            assert_eq!(Path::from_encoded(Bytes::copy_from_slice(bad)), Err(PathError::BadEncoding), "{bad:?}");
        }
    }

    #[test]
    fn paths_come_back_from_text_and_bytes_and_sort_as_their_names_do() {
        let names = || proptest::collection::vec(name(), 0..6);
        check("paths", 4_000, (names(), names()), |(a, b)| {
            let (path_a, path_b) = (Path::from_segments(&a).unwrap(), Path::from_segments(&b).unwrap());
            prop_assert_eq!(&Path::parse(&path_a.to_text()).unwrap(), &path_a);
            prop_assert_eq!(&Path::from_encoded(Bytes::copy_from_slice(path_a.as_bytes())).unwrap(), &path_a);
            prop_assert!(path_a.segments().eq(a.iter().map(String::as_str)));
            prop_assert_eq!(path_a.cmp(&path_b), a.cmp(&b));
            prop_assert_eq!(path_a.contains(&path_b), b.starts_with(&a));
            prop_assert_eq!(path_a.parent(), a.split_last().map(|(_, above)| Path::from_segments(above).unwrap()));
            prop_assert!(path_a.ancestors().eq((0..a.len()).map(|depth| Path::from_segments(&a[..depth]).unwrap())));
            prop_assert_eq!(path_a.push("x.y").unwrap().parent(), Some(path_a));
            Ok(())
        });
    }

    #[test]
    fn any_bytes_are_a_path_or_an_error_and_what_is_accepted_reads_back_the_same() {
        let bytes = proptest::collection::vec(prop_oneof![4 => 0u8..4, 1 => any::<u8>()], 0..12);
        check("encoded paths", 4_000, bytes, |bytes| {
            if let Ok(path) = Path::from_encoded(bytes.clone().into()) {
                let again = Path::from_segments(path.segments()).unwrap();
                prop_assert_eq!(again.as_bytes(), &bytes[..]);
            }
            Ok(())
        });
    }
}
