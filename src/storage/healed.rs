//! What lets a start pass over a gap: the notes in the log that all that counted in it has been written anew.
//!
//! A note is a record like any other, behind all that was written anew for it. So a start that reaches it in the order of the log has all of
//! that; one that is torn, damaged or behind a torn end is never reached, and then the gap is refused as ever. And it carries a digest of
//! all that the store held when it was written: a start that passed over a gap and has not come to the very same is refused, too.

use super::disk::{Disk, DiskError, Mode};
use super::frame::{self, FRAME_BYTES, UNIT};
use super::gap::Gap;
use super::record::{HEALED_BYTES, Record, kind};
use super::segment::{HEADER_BYTES, SegmentInfo, segment_path};
use super::standing::Fence;
use super::tables::Tables;
use super::window::Window;
use crate::message::Position;
use crate::vclock::{Actor, encode_seen};
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::hash::Hasher;

/// Gaps of which a note says that they have been healed, by segment, first byte, and first position.
pub(super) type Notes = BTreeMap<(u32, u64, Position), Gap>;

/// Looks for notes behind a place of the log: in these segments, in the first of them from `from` on.
pub(super) fn find_notes<D: Disk>(disk: &D, segments: &[SegmentInfo], from: u64) -> Result<Notes, DiskError> {
    let mut notes = Notes::new();
    for (index, segment) in segments.iter().enumerate() {
        let file = disk.open(&segment_path(segment.id), Mode::Read)?;
        let mut window = Window::new(disk, &file, segment.size);
        let mut at = if index == 0 { from } else { HEADER_BYTES };
        while at < segment.size {
            // Each piece overlaps the next by a note, so that none is missed at a border.
            let piece = window.get(at, PIECE_BYTES + HEALED_BYTES)?;
            if piece.is_empty() {
                break;
            }
            if piece.iter().any(|byte| *byte != 0) {
                for begin in (0..PIECE_BYTES.min(piece.len())).step_by(UNIT) {
                    if let Some(gap) = read_note(&piece[begin..], segment.salt, at + begin as u64) {
                        // The last one counts: the gap may have grown.
                        notes.insert((gap.segment, gap.from, gap.first), gap);
                    }
                }
            }
            at += PIECE_BYTES as u64;
        }
    }
    Ok(notes)
}

/// The search takes this many bytes at a time.
const PIECE_BYTES: usize = 64 << 10;

/// If these bytes are a note in the segment with this salt: of which gap. It proves itself with the salt, as marks do.
fn read_note(bytes: &[u8], salt: u64, offset: u64) -> Option<Gap> {
    let length = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    let padded = frame::padded(HEALED_BYTES);
    let likely = bytes.get(FRAME_BYTES - 1) == Some(&kind::HEALED)
        && length as usize == HEALED_BYTES
        && bytes.get(HEALED_BYTES - 8..HEALED_BYTES)? == salt.to_le_bytes();
    if !likely {
        return None;
    }
    let bytes = bytes.get(..padded)?;
    frame::verify(bytes, salt, offset).ok()?;
    match Record::read(bytes).ok()? {
        (_, Record::Healed { gap, .. }) if gap.is_plausible() => Some(gap),
        _ => None,
    }
}

/// The digest of all that a store holds and that its log has to bring back: entries, clocks, contexts, hints, promises.
///
/// Contexts count without what the clock has seen, since that is dropped from them in memory whenever there is time for it.
pub(super) fn digest(tables: &Tables, fences: &BTreeMap<Actor, Fence>) -> u64 {
    let mut hasher = SipHasher13::new_with_key(tables.hash_key());
    let mut text = Vec::new();
    hasher.write_usize_le(tables.membership.len());
    for partition in &tables.partitions {
        hasher.write(&partition.trie.len().to_le_bytes());
        hasher.write(&partition.trie.sum().to_le_bytes());
        encode_seen(&partition.clock, &mut text);
        hasher.put(&mut text);
        for (key, context) in &partition.contexts {
            let mut context = context.clone();
            context.subtract(&partition.clock);
            if !context.is_empty() {
                hasher.write_usize_le(key.len());
                hasher.write(key);
                encode_seen(&context, &mut text);
                hasher.put(&mut text);
            }
        }
        hasher.write(&[0xff, u8::from(partition.standing == super::Standing::Complete)]);
        text.extend(partition.standing.coded());
        hasher.put(&mut text);
    }
    for ((partition, key), hint) in tables.hints.iter() {
        hasher.write(&partition.0.to_le_bytes());
        hasher.write_usize_le(key.len());
        hasher.write(key);
        hasher.write(&hint.position.0.to_le_bytes());
        hasher.write(&hint.since_ms.to_le_bytes());
        text.extend(super::hinting::coded_members(&hint.owed));
        hasher.put(&mut text);
    }
    for (actor, fence) in fences {
        hasher.write(&actor.0.to_le_bytes());
        hasher.write(&fence.below.0.to_le_bytes());
    }
    hasher.finish()
}

/// Lengths stand before what they measure; the same on every machine.
trait Feed: Hasher {
    fn write_usize_le(&mut self, value: usize) {
        self.write(&(value as u64).to_le_bytes());
    }

    /// Takes a text, and empties it.
    fn put(&mut self, text: &mut Vec<u8>) {
        self.write_usize_le(text.len());
        self.write(text);
        text.clear();
    }
}

impl Feed for SipHasher13 {}
