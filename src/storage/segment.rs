//! Segments: the files that the log consists of.
//!
//! A segment is written full of zeros under a temporary name, gets its header, is synced, and only then takes its place in
//! `log/`. So every file there has a whole header, whatever moment the power fails: a bad header is damage, never a torn write.
//!
//! ```text
//!    0   u64  magic "HENGELOG"            32  u64  salt, random for each use of the file
//!    8   u32  format version              40  u64  size of the file in bytes
//!   12   u32  stream: 0 new records       48  u64  made at, in milliseconds since 1970
//!   16   u64  number of the segment       56  u32  zero
//!   24   u64  zero                        60  u32  CRC32C of the 60 bytes before
//! 2048   the same 64 bytes again: all records of the segment hang on the salt
//! 4096   records
//! ```
//!
//! The first record is always a mark or a seal; its position says where the segment begins in the log, and by that where
//! the one before it ends, whatever else stands there.

use super::frame::UNIT;
use super::varint::Reader;
use std::ops::RangeInclusive;

/// Where the records begin.
pub(super) const HEADER_BYTES: u64 = 4_096;
/// Where the second copy of the header lies.
const COPY_AT: usize = 2_048;
const COPY_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"HENGELOG";
/// The version of the format that this program reads and writes.
const VERSION: u32 = 1;

/// A segment holds at least a mark, and its offsets fit a [`Location`](super::Location).
const SIZES: RangeInclusive<u64> = 2 * HEADER_BYTES..=(u32::MAX as u64) * UNIT as u64;

/// The folder of the segments.
pub(super) const LOG_DIR: &str = "log";
/// The folder of what is under way; emptied at every start.
pub(super) const TMP_DIR: &str = "tmp";

/// What has to be known of a segment to read its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// Its number; numbers only grow.
    pub id: u32,
    /// The salt of its records.
    pub salt: u64,
    /// The size of its file in bytes.
    pub size: u64,
}

/// The path of a segment, relative to the store's folder.
pub fn segment_path(id: u32) -> String {
    format!("{LOG_DIR}/{}", file_name(id))
}

/// Where a segment is while it is being made.
pub(super) fn temporary_path(id: u32) -> String {
    format!("{TMP_DIR}/{}", file_name(id))
}

fn file_name(id: u32) -> String {
    format!("{id:016x}.seg")
}

/// The number of the segment with this file name; `None` for any other file.
pub(super) fn parse_file_name(name: &str) -> Option<u32> {
    let id = u32::from_str_radix(name.strip_suffix(".seg")?, 16).ok()?;
    (id > 0 && file_name(id) == name).then_some(id)
}

/// Why a header cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum BadHeader {
    /// Neither copy is whole.
    #[error("neither copy of the segment's header is whole")]
    Damaged,
    /// Written by another version.
    #[error("format version {0}, but this program knows only version {VERSION}")]
    Version(u32),
    /// A whole header of another segment.
    #[error("the header of segment {0:016x}")]
    Misplaced(u64),
}

/// The first `HEADER_BYTES` of a segment's file.
pub(super) fn encode_header(segment: SegmentInfo, wall_ms: u64) -> Vec<u8> {
    let mut copy = [0; COPY_BYTES];
    copy[..8].copy_from_slice(&MAGIC);
    copy[8..12].copy_from_slice(&VERSION.to_le_bytes());
    copy[16..24].copy_from_slice(&u64::from(segment.id).to_le_bytes());
    copy[32..40].copy_from_slice(&segment.salt.to_le_bytes());
    copy[40..48].copy_from_slice(&segment.size.to_le_bytes());
    copy[48..56].copy_from_slice(&wall_ms.to_le_bytes());
    let crc = crc32c::crc32c(&copy[..60]);
    copy[60..].copy_from_slice(&crc.to_le_bytes());
    let mut header = vec![0; HEADER_BYTES as usize];
    header[..COPY_BYTES].copy_from_slice(&copy);
    header[COPY_AT..COPY_AT + COPY_BYTES].copy_from_slice(&copy);
    header
}

/// Reads the header of the segment with this number; a shorter file gives fewer bytes.
pub(super) fn decode_header(bytes: &[u8], id: u32) -> Result<SegmentInfo, BadHeader> {
    let copies = [0, COPY_AT].map(|at| bytes.get(at..at + COPY_BYTES).and_then(decode_copy));
    let [first, second] = copies;
    let (version, segment, salt, size) = first.or(second).ok_or(BadHeader::Damaged)?;
    if version != VERSION {
        return Err(BadHeader::Version(version));
    }
    if segment != u64::from(id) {
        return Err(BadHeader::Misplaced(segment));
    }
    if !SIZES.contains(&size) || !size.is_multiple_of(UNIT as u64) {
        return Err(BadHeader::Damaged);
    }
    Ok(SegmentInfo { id, salt, size })
}

fn decode_copy(copy: &[u8]) -> Option<(u32, u64, u64, u64)> {
    let crc = u32::from_le_bytes(copy[60..64].try_into().ok()?);
    if copy[..8] != MAGIC || crc32c::crc32c(&copy[..60]) != crc {
        return None;
    }
    let mut reader = Reader::new(&copy[8..]);
    let version = reader.u32()?;
    let _stream = reader.u32()?;
    let segment = reader.u64()?;
    let _zero = reader.u64()?;
    Some((version, segment, reader.u64()?, reader.u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentInfo = SegmentInfo { id: 7, salt: 0x1234_5678_9abc_def0, size: 1 << 20 };

    #[test]
    fn a_header_survives_any_flipped_bit() {
        let whole = encode_header(SEGMENT, 5);
        assert_eq!(decode_header(&whole, 7), Ok(SEGMENT));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_header(&flipped, 7), Ok(SEGMENT), "bit {bit}");
        }
    }

    #[test]
    fn a_header_with_both_copies_hurt_or_of_another_segment_or_version_is_refused() {
        let mut hurt = encode_header(SEGMENT, 5);
        assert_eq!(decode_header(&hurt, 8), Err(BadHeader::Misplaced(7)));
        assert_eq!(decode_header(&hurt[..10], 7), Err(BadHeader::Damaged));
        assert_eq!(decode_header(&[], 7), Err(BadHeader::Damaged));
        hurt[33] ^= 1;
        hurt[COPY_AT + 41] ^= 1;
        assert_eq!(decode_header(&hurt, 7), Err(BadHeader::Damaged));
        let mut newer = encode_header(SEGMENT, 5);
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..60]);
        newer[60..64].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode_header(&newer, 7), Err(BadHeader::Version(2)));
    }

    #[test]
    fn only_the_names_of_segments_are_taken_for_segments() {
        assert_eq!(parse_file_name("00000000000000ff.seg"), Some(255));
        for name in ["ff.seg", "00000000000000FF.seg", "00000000000000ff.seg~", "0000000000000000.seg", "+0000000000000ff.seg", "x"]
        {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }
}
