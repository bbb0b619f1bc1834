//! The packed entry: the one byte form of an entry, on the wire and in the log.
//!
//! Numbers are `varint`s unless a width is given; the context is written as `seen_codec` says. Each entry has exactly one spelling:
//! what unpacks packs to the same bytes again. The first byte tells three forms apart.
//!
//! **A plain entry** (one version at the root path, nothing in the explicit context) has a head of fixed places, so that a put looks
//! at it without taking it apart. With a context in it, tag `2X`, it is the same with the context in its own length before the value.
//!
//! ```text
//! tag: 1 | actor: 8, big-endian | counter: 8, big-endian | time: 8, big-endian | [expiry: 8] | [length, context] | value: the rest
//! tag: 1X plain, 2X plain with context; X = kind + 8 if there is an expiry
//! ```
//!
//! **Any other entry** is a table of authors, the context, and the leaves in (path, dot) order.
//!
//! ```text
//! tag: 30
//! leaves: number | context
//! actors: number;  per actor, in order:  id: 8, big-endian | starts: number
//!   per start, in order:  start (of later ones: less the one before, less 1) | its least n
//! lowest time in milliseconds (only if there are leaves)
//! per block but the first: where it begins, counted from the first block: 4, little-endian
//! per block of 16 leaves, per leaf:
//!   path: of the first of a block  length, bytes
//!         of the others            bytes shared with the leaf before, length of the rest, the rest
//!   flags: 1 = kind (3 bits) + 8 if there is an expiry + 16 if the time has a logical part + 32 × the author's row (7: it follows)
//!   [row - 7] | n - least n of the row | milliseconds - lowest | [logical part] | [expiry] | length, value
//! ```
//!
//! Why a table of (actor, start), and least values instead of differences to the leaf before: a counter is start × 2^32 + n, and
//! starts are seconds since 1970, so the differences of neighbours written in different starts take seven bytes; and a block can be
//! read without the ones before it.

mod general;
mod read;
mod short;
#[cfg(test)]
mod tests;

pub use short::{Plain, pack_plain, plain, plain_with_context};

use super::{Entry, Kind, Path, PathError};
use bytes::Bytes;

/// Why bytes are not a packed entry or a set of dots. Nothing of them may be used; a peer or a disk that hands them out is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PackError {
    /// They end too early, or claim more than there is.
    #[error("the packed bytes end too early")]
    Truncated,
    /// They go on after their end.
    #[error("the packed bytes go on after their end")]
    Trailing,
    /// The first byte names a form that is not known here.
    #[error("the packed entry has the unknown form {0:#04x}")]
    Form(u8),
    /// A version has a kind that is not known here.
    #[error("a packed version has the unknown kind {0}")]
    Kind(u8),
    /// A number is out of its range or not in its shortest spelling.
    #[error("a packed number is out of range or not in its shortest spelling")]
    Number,
    /// Leaves, actors, starts or intervals are not in order.
    #[error("the packed parts are not in order")]
    Order,
    /// A dot stands twice.
    #[error("a dot stands twice in the packed entry")]
    Duplicate,
    /// A path is none.
    #[error("a packed version has a wrong path: {0}")]
    Path(#[from] PathError),
    /// The entry has another, shorter spelling.
    #[error("the packed entry is not in its one proper spelling")]
    Spelling,
    /// The paths would take more memory than any set of siblings needs.
    #[error("the paths of the packed entry take too much memory")]
    TooLarge,
}

const FORM: u8 = 0xf0;
const PLAIN: u8 = 0x10;
const PLAIN_CONTEXT: u8 = 0x20;
const LEAVES: u8 = 0x30;
const KIND: u8 = 0x07;
const EXPIRY: u8 = 0x08;
const LOGICAL: u8 = 0x10;
const ROW_SHIFT: u32 = 5;
/// From this row on the number stands behind the flags.
const ROW_FOLLOWS: usize = 7;
/// Leaves per block: a path is read at most this many leaves behind a whole one.
const BLOCK_LEAVES: usize = 16;

/// The entry as bytes.
pub fn pack(entry: &Entry) -> Bytes {
    pack_as(entry, false)
}

/// The entry as bytes, with all values empty: dots, paths, kinds, times, and the context.
pub fn pack_bare(entry: &Entry) -> Bytes {
    pack_as(entry, true)
}

fn pack_as(entry: &Entry, bare: bool) -> Bytes {
    match entry.versions() {
        [version] if version.path.is_root() => short::pack_short(version, entry.context(), bare),
        _ => general::pack_general(entry, bare),
    }
}

/// The entry that the bytes say. Its values are slices of `packed` and keep it alive; its paths share one allocation.
pub fn unpack(packed: &Bytes) -> Result<Entry, PackError> {
    match packed.first().ok_or(PackError::Truncated)? & FORM {
        PLAIN | PLAIN_CONTEXT => short::unpack_short(packed),
        _ => read::unpack_general(packed),
    }
}

/// Of the entry that the bytes say: the context, and the leaves at and below a path and at its proper ancestors. Reads only the
/// blocks in which they lie, so damage elsewhere goes unnoticed: bytes from outside are to be unpacked whole once.
pub fn select(packed: &Bytes, path: &Path) -> Result<Entry, PackError> {
    match packed.first().ok_or(PackError::Truncated)? & FORM {
        PLAIN | PLAIN_CONTEXT => short::unpack_short(packed),
        _ => read::select_general(packed, path),
    }
}

fn kind_of(number: u8) -> Result<Kind, PackError> {
    use Kind::*;
    [Bytes, Scalar, Array, EmptyMap, Amount, Element, Term, Typed].get(usize::from(number)).copied().ok_or(PackError::Kind(number))
}
