//! Dots, contexts, partition clocks, versions and siblings, documents: pure values.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod document;
mod dot;
mod element;
mod entry;
mod leaf_hash;
mod packed;
mod path;
#[cfg(test)]
mod sampling;
mod sealed;
mod seen;
mod seen_codec;
#[cfg(test)]
mod tests;
mod time;
mod typed;
mod varint;

pub use document::{
    Change, Conflict, DocumentError, Draft, Leaf, Members, Rendered, Value, draft, elements, leaves_from_json, merge_patch, remove,
    render, set,
};
pub use dot::{Actor, Dot, Start};
pub use element::{element_member, element_name};
pub use entry::{Entry, Kind, Version, expiry_among, term_of};
pub use leaf_hash::{leaf_hash, plain_leaf_hash};
pub use packed::{PackError, Plain, pack, pack_bare, pack_plain, plain, plain_with_context, select, unpack};
pub use path::{Path, PathError};
pub use sealed::{SealError, SealKey, SealKeys, Sealed};
pub use seen::{Interval, Seen};
pub use seen_codec::{decode_seen, encode_seen};
pub use time::{HybridClock, Timestamp};
pub use typed::{CONTENT_TYPE_BYTES_MAX, Typed, TypedError};
