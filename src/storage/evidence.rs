//! What lies behind a bad record: proof that it was durable once, or only what a power cut leaves.

use super::disk::{Disk, DiskError};
use super::frame::{MARK_BYTES, UNIT, read_proof};
use super::segment::SegmentInfo;
use super::window::Window;
use crate::message::Position;

/// What a search has found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Evidence {
    /// A mark or seal that says that the position in question was durable: where it lies.
    pub proof: Option<u64>,
    /// The end of the last bytes that are not zero; where the search began, if all are.
    pub end: u64,
}

/// Looks, from `from` to the end of a segment, for a mark or a seal that says that `position` was durable.
///
/// Unsynced sectors reach the disk in any order. So a valid record behind a bad one proves nothing by itself; a mark does,
/// because it was made after the sync that it speaks of.
pub(super) fn search<D: Disk>(
    window: &mut Window<'_, D>,
    segment: SegmentInfo,
    from: u64,
    position: Position,
) -> Result<Evidence, DiskError> {
    let mut evidence = Evidence { proof: None, end: from };
    let mut at = from;
    while at < segment.size {
        // Each piece overlaps the next by a mark, so that none is missed at a border.
        let piece = window.get(at, PIECE_BYTES + MARK_BYTES)?;
        if piece.is_empty() {
            break;
        }
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            evidence.end = at + last as u64 + 1;
            for begin in (0..PIECE_BYTES.min(piece.len())).step_by(UNIT) {
                let proof = read_proof(&piece[begin..], segment.salt, at + begin as u64);
                if proof.is_some_and(|(own, durable)| own > durable && durable >= position) {
                    evidence.proof = Some(at + begin as u64);
                    return Ok(evidence);
                }
            }
        }
        at += PIECE_BYTES as u64;
    }
    Ok(evidence)
}

/// The search takes this many bytes at a time.
const PIECE_BYTES: usize = 64 << 10;
