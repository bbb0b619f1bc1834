//! Documents: JSON as leaves, each of which is written, and versioned, alone.
//!
//! A scalar is a leaf, as its JSON text; an array is one leaf, whole; an object is its members' leaves, or, without any, a leaf of its
//! own. **What goes in comes out**, up to spelling: numbers stay as they were written (`1.0`, `-0`, `1e400`, integers of any length);
//! strings are kept in their shortest escapes, so that equal strings are equal bytes; white space goes; the members of an object
//! are in the order of their names' bytes, also inside arrays; of members of one name the last counts.

mod json;
mod members;
mod merge_patch;
mod render;
#[cfg(test)]
mod tests;

pub use members::Members;
pub use merge_patch::{Change, Draft, draft, elements, merge_patch, remove, set};
pub use render::{Conflict, Rendered, Value, render};

use super::path::push_segment;
use super::{Dot, Kind, Path, Timestamp, Version};
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_LEAVES_MAX, DOCUMENT_PATH_BYTES_MAX, PATH_BYTES_MAX};
use bytes::Bytes;
use json::{Json, Parsed};
use std::ops::Range;

/// A leaf to be written: a version that has no dot yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Where.
    pub path: Path,
    /// What the value is.
    pub kind: Kind,
    /// The value: raw bytes, JSON text, or what else `kind` says.
    pub value: Bytes,
}

/// Why a text is not a document. Nothing was done.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not JSON.
    #[error("not JSON: {what} at line {line}, column {column}")]
    Syntax {
        /// What was found, or missed.
        what: &'static str,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// It has too many bytes.
    #[error(
        "the document has {bytes} bytes, and at most {DOCUMENT_BYTES_MAX} are kept; split it over several keys, or put it as one value of bytes"
    )]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// It has too many leaves (or a patch too many changes).
    #[error("the document has more than {DOCUMENT_LEAVES_MAX} leaves; split it over several keys, or put it as one value of bytes")]
    TooManyLeaves,
    /// It is nested too deeply, the path at which it is put counted in.
    #[error("the document is nested more than {DOCUMENT_DEPTH_MAX} deep at line {line}, column {column}")]
    TooDeep {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// The path of a leaf is too long.
    #[error("a path of the document is longer than {PATH_BYTES_MAX} bytes: it begins with {beginning:?}")]
    PathTooLong {
        /// Some of its first characters.
        beginning: String,
    },
    /// The paths of all leaves are too long together.
    #[error(
        "the paths of the document have more than {DOCUMENT_PATH_BYTES_MAX} bytes together; use shorter names, or fewer leaves"
    )]
    PathsTooLong,
}

impl Leaf {
    /// The leaf of an opaque value.
    pub fn bytes(value: Bytes) -> Leaf {
        Leaf { path: Path::ROOT, kind: Kind::Bytes, value }
    }

    /// The version that this leaf becomes when it is written.
    pub fn into_version(self, dot: Dot, time: Timestamp, expiry_ms: u64) -> Version {
        Version { dot, path: self.path, kind: self.kind, value: self.value, time, expiry_ms }
    }
}

/// The leaves of a JSON text that is put at a path, in the order of their paths, each path once. A scalar or an array makes one leaf,
/// at `at`; an empty object too.
pub fn leaves_from_json(text: &[u8], at: &Path) -> Result<Vec<Leaf>, DocumentError> {
    let parsed = json::parse(text, at.depth())?;
    let mut growing = Growing::new(at);
    growing.add(&parsed.root)?;
    Ok(growing.into_leaves(&parsed))
}

/// Leaves as they are gathered. All their paths go into one allocation.
struct Growing {
    /// Of the place where we are.
    path: Vec<u8>,
    paths: Vec<u8>,
    leaves: Vec<(Range<usize>, Kind, Range<usize>)>,
}

impl Growing {
    fn new(at: &Path) -> Growing {
        Growing { path: at.as_bytes().to_vec(), paths: Vec::new(), leaves: Vec::new() }
    }

    fn add(&mut self, json: &Json) -> Result<(), DocumentError> {
        match json {
            Json::Scalar(text) => self.add_leaf(Kind::Scalar, text.clone()),
            Json::Array(text) => self.add_leaf(Kind::Array, text.clone()),
            Json::Object(members) if members.is_empty() => self.add_leaf(Kind::EmptyMap, 0..0),
            // The parser bounds how deep this goes.
            Json::Object(members) => members.iter().try_for_each(|(name, member)| {
                let above = self.enter(name)?;
                self.add(member)?;
                self.leave(above);
                Ok(())
            }),
        }
    }

    /// Goes to a member of the place where we are; `leave` with what this says goes back.
    fn enter(&mut self, name: &str) -> Result<usize, DocumentError> {
        let above = self.path.len();
        push_segment(&mut self.path, name);
        if self.path.len() > PATH_BYTES_MAX {
            let beginning = Path::from_checked(Bytes::copy_from_slice(&self.path)).to_text().chars().take(40).collect();
            return Err(DocumentError::PathTooLong { beginning });
        }
        Ok(above)
    }

    fn leave(&mut self, above: usize) {
        self.path.truncate(above);
    }

    fn add_leaf(&mut self, kind: Kind, value: Range<usize>) -> Result<(), DocumentError> {
        let place = self.place()?;
        if self.leaves.len() == DOCUMENT_LEAVES_MAX {
            return Err(DocumentError::TooManyLeaves);
        }
        self.leaves.push((place, kind, value));
        Ok(())
    }

    /// Notes down the path of the place where we are.
    fn place(&mut self) -> Result<Range<usize>, DocumentError> {
        let begin = self.paths.len();
        if begin + self.path.len() > DOCUMENT_PATH_BYTES_MAX {
            return Err(DocumentError::PathsTooLong);
        }
        self.paths.extend(&self.path);
        Ok(begin..self.paths.len())
    }

    fn into_leaves(self, parsed: &Parsed) -> Vec<Leaf> {
        let paths = Bytes::from(self.paths);
        let leaf =
            |(path, kind, value)| Leaf { path: Path::from_checked(paths.slice(path)), kind, value: parsed.texts.slice(value) };
        self.leaves.into_iter().map(leaf).collect()
    }
}
