//! Gaps: stretches of the log whose bytes are bad, each between two records that can be read; and the survey that finds them while a store runs.
//!
//! A gap says which records lay in it, by their positions, and so where the log goes on behind it. Once all that counted of them has been
//! written anew, a record of the log says so ([`Record::Healed`](super::Record::Healed)), and the next start passes over just this gap.

use super::Location;
use super::disk::{Disk, DiskError, Mode};
use super::frame::{self, FRAME_BYTES, MARK_BYTES, UNIT};
use super::recovery::read_record;
use super::segment::{HEADER_BYTES, SegmentInfo, segment_path};
use super::window::Window;
use crate::message::Position;

/// A stretch of a segment that holds no whole record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Gap {
    /// The number of the segment.
    pub segment: u32,
    /// The first bad byte: where a record should begin.
    pub from: u64,
    /// Where the next sound record begins; the size of the segment, if that is the first one of a later segment.
    pub to: u64,
    /// The first record that lay in it.
    pub first: Position,
    /// The next sound record.
    pub next: Position,
}

impl Gap {
    /// True if a record lay in it.
    pub(super) fn holds(&self, location: Location) -> bool {
        location.segment == self.segment && (self.from..self.to).contains(&location.byte())
    }

    /// True if it may be one: it lies behind the first record of its segment, and what it says has been lost found room in it.
    pub(super) fn is_plausible(&self) -> bool {
        let is_aligned = self.from.is_multiple_of(UNIT as u64) && self.to.is_multiple_of(UNIT as u64);
        let room = self.to.saturating_sub(self.from) / frame::padded(FRAME_BYTES) as u64;
        let lost = self.next.0.saturating_sub(self.first.0);
        is_aligned && self.from >= HEADER_BYTES + MARK_BYTES as u64 && (1..=room).contains(&lost)
    }
}

/// A segment to be looked through for gaps.
#[derive(Clone, PartialEq, Debug)]
pub struct SurveySegment {
    /// The segment.
    pub segment: SegmentInfo,
    /// Those after it, in order: the first of them that has been begun says where it ends.
    pub later: Vec<SegmentInfo>,
    /// Up to here the log is durable: behind it nothing is looked at, since it may be being written.
    pub until: Position,
}

/// A segment that was looked through.
#[derive(Clone, PartialEq, Debug)]
pub struct SegmentSurveyed {
    /// Its number.
    pub segment: u32,
    /// What is bad in it, in order.
    pub result: Result<Vec<Gap>, DiskError>,
}

/// Finds the gaps of a segment. None, if its very first record cannot be read: then nothing is known of where it stands in the log.
pub(super) fn survey<D: Disk>(disk: &D, job: &SurveySegment) -> Result<Vec<Gap>, DiskError> {
    let mut gaps = Vec::new();
    let Some(first) = first_position(disk, job.segment)? else { return Ok(gaps) };
    let mut end = Position(job.until.0.saturating_add(1));
    let mut next_segment = None;
    for later in &job.later {
        if let Some(begun) = first_position(disk, *later)?
            && begun > first
        {
            (next_segment, end) = (Some(begun).filter(|begun| *begun <= end), end.min(begun));
            break;
        }
    }
    let segment = job.segment;
    let file = disk.open(&segment_path(segment.id), Mode::Read)?;
    let mut window = Window::new(disk, &file, segment.size);
    let (mut at, mut expected) = (HEADER_BYTES, first);
    while expected < end {
        if let Ok(bytes) = read_record(&mut window, segment, at, expected)? {
            at += bytes.len() as u64;
            expected.0 += 1;
            continue;
        }
        let found = next_sound(&mut window, segment, at, (expected, end))?;
        let Some((to, next)) = found.or(next_segment.map(|next| (segment.size, next))) else { break };
        gaps.push(Gap { segment: segment.id, from: at, to, first: expected, next });
        (at, expected) = (to, next);
    }
    gaps.retain(Gap::is_plausible);
    Ok(gaps)
}

/// The first place behind `from` where a whole record lies that comes after `expected` and before `end`.
fn next_sound<D: Disk>(
    window: &mut Window<'_, D>,
    segment: SegmentInfo,
    from: u64,
    (expected, end): (Position, Position),
) -> Result<Option<(u64, Position)>, DiskError> {
    let mut at = from + UNIT as u64;
    while at < segment.size {
        let head = window.get(at, FRAME_BYTES)?;
        if head.len() < FRAME_BYTES {
            break;
        }
        let position = Position(u64::from_le_bytes(head[8..16].try_into().expect("eight bytes")));
        if position > expected && position < end && read_record(window, segment, at, position)?.is_ok() {
            return Ok(Some((at, position)));
        }
        at += UNIT as u64;
    }
    Ok(None)
}

/// The position of the first record of a segment, if that is a whole mark or seal.
fn first_position<D: Disk>(disk: &D, segment: SegmentInfo) -> Result<Option<Position>, DiskError> {
    let path = segment_path(segment.id);
    let file = match disk.open(&path, Mode::Read) {
        // One that has been planned, and is not there yet.
        Err(error) if error.reason == super::Reason::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut head = [0; MARK_BYTES];
    let count = disk.read_at(&file, HEADER_BYTES, &mut head)?;
    Ok(frame::read_proof(&head[..count], segment.salt, HEADER_BYTES).map(|(position, _)| position))
}
