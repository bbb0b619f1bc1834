//! The bytes of the formats one by one, as a disk holds them: for tools that try what damaged or made-up bytes do. The store itself
//! reads and writes whole logs. The page: docs/storage-format.md.

use super::frame::{place, put_unplaced, size, verify};
use super::members;
use super::segment::{decode_header, encode_header};
use super::{Identity, Malformed, MemberNote, Record, SegmentInfo, identity};
use crate::message::{MemberRecord, Position};
use crate::ring::Change;
use bytes::{Bytes, BytesMut};

/// A record as it stands at this offset of a segment, in bytes: with its frame, checksum and padding.
pub fn encode_record(record: &Record<'_>, segment: SegmentInfo, offset: u64, position: Position) -> Bytes {
    let mut out = BytesMut::new();
    put_unplaced(&mut out, record, segment.salt);
    place(&mut out, segment.salt, offset, position);
    out.freeze()
}

/// The record with which these bytes begin, if they stand at this offset of a segment. `None`: they are none, by length or checksum.
///
/// # Errors
/// [`Malformed`]: a record whose checksum is right, and that makes no sense.
pub fn decode_record(bytes: &[u8], segment: SegmentInfo, offset: u64) -> Option<Result<(Position, Record<'_>), Malformed>> {
    let record = &bytes[..size(bytes.first_chunk::<8>()?, bytes.len() as u64).ok()?];
    verify(record, segment.salt, offset).ok()?;
    Some(Record::read(record))
}

/// Makes the checksum of the record with which these bytes begin a right one again, if its length is possible.
pub fn mend_record(bytes: &mut [u8], segment: SegmentInfo, offset: u64) {
    let Some(head) = bytes.first_chunk::<16>() else { return };
    let position = Position(u64::from_le_bytes(head[8..].try_into().expect("eight bytes")));
    if let Ok(size) = size(&head[..8], bytes.len() as u64) {
        place(&mut bytes[..size], segment.salt, offset, position);
    }
}

/// Writes a right checksum over the last four of these bytes: of all those before, as headers of segments and slots of the identity end.
/// Requires: at least four bytes.
pub fn mend_checksum(bytes: &mut [u8]) {
    let (covered, checksum) = bytes.split_last_chunk_mut::<4>().expect("a checksum has four bytes");
    *checksum = crc32c::crc32c(covered).to_le_bytes();
}

/// The header of a segment; `wall_ms`: when it was made, in milliseconds since 1970.
pub fn encode_segment_header(segment: SegmentInfo, wall_ms: u64) -> Vec<u8> {
    encode_header(segment, wall_ms)
}

/// Reads the header of the segment with this number.
///
/// # Errors
/// It is damaged, of another version, or of another segment: in words for people.
pub fn decode_segment_header(bytes: &[u8], id: u32) -> Result<SegmentInfo, String> {
    decode_header(bytes, id).map_err(|error| error.to_string())
}

/// A slot of the identity.
pub fn encode_identity(identity: &Identity) -> Vec<u8> {
    identity::encode(identity)
}

/// Reads a slot of the identity. `None`: it is no whole slot.
///
/// # Errors
/// A whole slot of another version of the format: that version.
pub fn decode_identity(bytes: &[u8]) -> Option<Result<Identity, u32>> {
    identity::decode(bytes)
}

/// Hands over what a member says of itself in the form of the log.
pub fn encode_member(record: &MemberRecord, take: impl FnOnce(MemberNote<'_>)) {
    members::with_note(record, take);
}

/// Reads what the log says of a member.
///
/// # Errors
/// What is wrong with it, in words for people.
pub fn decode_member(note: &MemberNote<'_>) -> Result<MemberRecord, String> {
    members::decoded(note)
}

/// A membership change, as its record holds it.
pub fn encode_change(change: &Change) -> Vec<u8> {
    rmp_serde::to_vec(change).expect("a change is plain data")
}

/// Reads a membership change.
///
/// # Errors
/// What is wrong with it, in words for people.
pub fn decode_change(bytes: &[u8]) -> Result<Change, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}
