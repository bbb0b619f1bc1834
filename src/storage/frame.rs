//! The frame of a record: what stands around its body.
//!
//! ```text
//!  0  u32  CRC32C, salted, of everything that follows, padding included
//!  4  u32  length: from the CRC to the end of the body, without the padding
//!  8  u64  log position: records are numbered from 1, marks and seals too
//! 16  u8   kind
//! 17  ...  body
//!     ...  zeros up to a multiple of 8
//! ```
//!
//! The CRC begins with the segment's random salt and the record's place in the segment. So what an earlier use of the
//! same sectors left behind never validates, nor does a sector that was written to the wrong place.

use super::record::{Record, kind};
use crate::limits::RECORD_BYTES_MAX;
use crate::message::Position;
use bytes::{BufMut, BytesMut};

/// Records begin at multiples of this, in bytes.
pub(super) const UNIT: usize = 8;
/// The bytes of a record before its body.
pub(super) const FRAME_BYTES: usize = 17;
/// A mark or a seal has exactly this many bytes.
pub(super) const MARK_BYTES: usize = 40;

/// The bytes that a record of this length takes, with its padding.
pub(super) fn padded(length: usize) -> usize {
    length.next_multiple_of(UNIT)
}

/// Appends a record without its CRC and position, which depend on where it will lie; says how many bytes it takes.
pub(super) fn put_unplaced(out: &mut BytesMut, record: &Record<'_>, salt: u64) -> usize {
    let begin = out.len();
    out.put_bytes(0, FRAME_BYTES - 1);
    record.put(out, salt);
    let length = out.len() - begin;
    out.put_bytes(0, padded(length) - length);
    // A length that does not fit is far above RECORD_BYTES_MAX; the caller refuses by the returned size.
    out[begin + 4..begin + 8].copy_from_slice(&(length as u32).to_le_bytes());
    out.len() - begin
}

/// Completes a record that [`put_unplaced`] made: `bytes` are exactly its bytes, `offset` is its place in its segment.
pub(super) fn place(bytes: &mut [u8], salt: u64, offset: u64, position: Position) {
    bytes[8..16].copy_from_slice(&position.0.to_le_bytes());
    let crc = checksum(bytes, salt, offset);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(bytes: &[u8], salt: u64, offset: u64) -> u32 {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&salt.to_le_bytes());
    seed[8..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&seed), &bytes[4..])
}

/// Why bytes are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Bad {
    /// The length is 0 (as in a part of the segment that was never written), or out of range.
    #[error("a record length of {0}")]
    Length(u32),
    /// The CRC does not fit.
    #[error("a checksum of {found:08x} where the bytes have {computed:08x}")]
    Checksum {
        /// As it stands there.
        found: u32,
        /// As it should be.
        computed: u32,
    },
    /// A whole record, but another one.
    #[error("record {0}")]
    Position(u64),
}

/// From the first 8 bytes of a record: how many bytes it takes with its padding. `room`: how many there are at most.
pub(super) fn size(head: &[u8], room: u64) -> Result<usize, Bad> {
    let length = u32::from_le_bytes(head[4..8].try_into().expect("four bytes"));
    let fits = (FRAME_BYTES..=RECORD_BYTES_MAX).contains(&(length as usize)) && padded(length as usize) as u64 <= room;
    if fits { Ok(padded(length as usize)) } else { Err(Bad::Length(length)) }
}

/// Checks the CRC of a record. `bytes` are exactly its bytes, as [`size`] says.
pub(super) fn verify(bytes: &[u8], salt: u64, offset: u64) -> Result<(), Bad> {
    let found = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"));
    let computed = checksum(bytes, salt, offset);
    if found == computed { Ok(()) } else { Err(Bad::Checksum { found, computed }) }
}

/// If these bytes are a mark or a seal of the segment with this salt: its position, and the position that it says was durable.
pub(super) fn read_proof(bytes: &[u8], salt: u64, offset: u64) -> Option<(Position, Position)> {
    let bytes = bytes.get(..MARK_BYTES)?;
    // The cheap questions first: this is asked at every place behind a bad record.
    let likely = matches!(bytes[16], kind::MARK | kind::SEAL)
        && bytes[4..8] == (MARK_BYTES as u32).to_le_bytes()
        && bytes[32..40] == salt.to_le_bytes();
    if !likely || verify(bytes, salt, offset).is_err() {
        return None;
    }
    match Record::read(bytes).ok()? {
        (position, Record::Mark { durable, .. } | Record::Seal { durable, .. }) => Some((position, durable)),
        _ => None,
    }
}
