//! Plain entries as bytes.

use super::{EXPIRY, FORM, KIND, PLAIN, PLAIN_CONTEXT, PackError, kind_of};
use crate::broken::{Rule, is_broken};
use crate::vclock::varint::{put, take_bytes, take_count};
use crate::vclock::{Actor, Dot, Entry, Kind, Path, Seen, Timestamp, Version, decode_seen, encode_seen};
use bytes::Bytes;
use std::ops::Range;

/// The head of a plain entry without an expiry, in bytes.
const HEAD_BYTES: usize = 25;
/// The same with an expiry.
const HEAD_EXPIRY_BYTES: usize = 33;

/// What the head of a plain entry says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plain {
    /// The name of the write.
    pub dot: Dot,
    /// What the value is.
    pub kind: Kind,
    /// When it was written.
    pub time: Timestamp,
    /// When it is hidden, in milliseconds since 1970; 0 for never.
    pub expiry_ms: u64,
    /// Where the value lies in the packed bytes.
    pub value: Range<usize>,
}

/// What the bytes say, if they are a plain entry: one version at the root path, nothing in the explicit context. None for any other
/// entry, and for what is none. Takes a few nanoseconds and allocates nothing.
pub fn plain(packed: &[u8]) -> Option<Plain> {
    let tag = *packed.first()?;
    if tag & FORM != PLAIN {
        return None;
    }
    let kind = kind_of(tag & KIND).ok()?;
    let (expiry_ms, head) = match tag & EXPIRY {
        0 => (0, HEAD_BYTES),
        _ => (word(packed, HEAD_BYTES).filter(|expiry_ms| *expiry_ms != 0)?, HEAD_EXPIRY_BYTES),
    };
    let dot = Dot { actor: Actor(word(packed, 1)?), counter: word(packed, 9)? };
    Some(Plain { dot, kind, time: Timestamp(word(packed, 17)?), expiry_ms, value: head..packed.len() })
}

/// The same for an entry of one version at the root path with an explicit context: what a write of a plain value sends. None for a
/// context that cannot be decoded, too.
pub fn plain_with_context(packed: &[u8]) -> Option<(Plain, Seen)> {
    let tag = *packed.first()?;
    if tag & FORM != PLAIN_CONTEXT {
        return plain(packed).map(|plain| (plain, Seen::new()));
    }
    let kind = kind_of(tag & KIND).ok()?;
    let (expiry_ms, head) = match tag & EXPIRY {
        0 => (0, HEAD_BYTES),
        _ => (word(packed, HEAD_BYTES).filter(|expiry_ms| *expiry_ms != 0)?, HEAD_EXPIRY_BYTES),
    };
    let dot = Dot { actor: Actor(word(packed, 1)?), counter: word(packed, 9)? };
    let time = Timestamp(word(packed, 17)?);
    let mut rest = packed.get(head..)?;
    let length = take_count(&mut rest, 1).ok()?;
    let mut encoded = take_bytes(&mut rest, length).ok()?;
    let context = decode_seen(&mut encoded).ok().filter(|context| encoded.is_empty() && !context.is_empty())?;
    Some((Plain { dot, kind, time, expiry_ms, value: packed.len() - rest.len()..packed.len() }, context))
}

/// The plain entry of one version. Requires: its path is the root.
pub fn pack_plain(version: &Version) -> Bytes {
    assert!(version.path.is_root(), "a plain version lies at the root");
    pack_short(version, &Seen::new(), false)
}

/// One version at the root, with its context.
pub(super) fn pack_short(version: &Version, context: &Seen, bare: bool) -> Bytes {
    let value: &[u8] = if bare { &[] } else { &version.value };
    let mut behind_head = Vec::new();
    if !context.is_empty() {
        let mut encoded = Vec::new();
        encode_seen(context, &mut encoded);
        put(&mut behind_head, encoded.len() as u64);
        behind_head.extend(encoded);
    }
    let form = if context.is_empty() { PLAIN } else { PLAIN_CONTEXT };
    let loses_expiry = is_broken(Rule::ExpiryUnpacked) && !context.is_empty();
    let (expiry, head) = if version.expiry_ms == 0 || loses_expiry { (0, HEAD_BYTES) } else { (EXPIRY, HEAD_EXPIRY_BYTES) };
    // Of exactly this size it becomes `Bytes` without another allocation.
    let mut out = Vec::with_capacity(head + behind_head.len() + value.len());
    out.push(form | expiry | version.kind as u8);
    out.extend(version.dot.actor.0.to_be_bytes());
    out.extend(version.dot.counter.to_be_bytes());
    out.extend(version.time.0.to_be_bytes());
    if expiry != 0 {
        out.extend(version.expiry_ms.to_be_bytes());
    }
    out.extend(behind_head);
    out.extend(value);
    out.into()
}

/// Requires: the first byte says one of the two plain forms.
pub(super) fn unpack_short(packed: &Bytes) -> Result<Entry, PackError> {
    let tag = packed[0];
    let kind = kind_of(tag & KIND)?;
    let head = if tag & EXPIRY == 0 { HEAD_BYTES } else { HEAD_EXPIRY_BYTES };
    let read = |at| word(packed, at).ok_or(PackError::Truncated);
    let dot = Dot { actor: Actor(read(1)?), counter: read(9)? };
    let time = Timestamp(read(17)?);
    let expiry_ms = if tag & EXPIRY == 0 { 0 } else { read(HEAD_BYTES)? };
    if tag & EXPIRY != 0 && expiry_ms == 0 {
        return Err(PackError::Spelling);
    }
    let mut rest = &packed[head..];
    let mut context = Seen::new();
    if tag & FORM == PLAIN_CONTEXT {
        let length = take_count(&mut rest, 1)?;
        let mut encoded = take_bytes(&mut rest, length)?;
        context = decode_seen(&mut encoded)?;
        if !encoded.is_empty() {
            return Err(PackError::Trailing);
        }
        if context.is_empty() {
            return Err(PackError::Spelling);
        }
    }
    let value = packed.slice(packed.len() - rest.len()..);
    Ok(Entry::new(vec![Version { dot, path: Path::ROOT, kind, value, time, expiry_ms }], context))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
}
