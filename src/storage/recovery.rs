//! Recovery: reads the log from its beginning, and decides at the first bad record whether it was ever durable.
//!
//! * **Rot**: a later mark or seal says that it was durable, or a later segment has begun (the one before it was synced first).
//!   Then nothing is changed, and the caller gets an error that names the place.
//! * **A torn tail**: nothing says so. The power failed while it was being written, and nobody was told that it was safe.
//!   It is dropped: the log goes on in a *new* segment, whose first record takes the position of the first dropped one. That
//!   position says, from then on, where the old segment ends; the torn bytes stay where they are and are never looked at again.
//!
//! Rot that a later record says has been healed while a store ran is passed over (see `healed`): exactly the bytes that it names, and only if
//! that record is reached, and what has been read by then is all that the store held when it wrote it.
//!
//! What was read of the last segment behind its last proof may, after a crash of the process alone, be in the page cache only;
//! after a failed sync it may even count as clean there and never reach the disk. So it is written once more, as it is, and synced.
//! A crash in the middle of all this changes nothing that a second recovery would see differently.

use super::disk::{Disk, DiskError, Mode};
use super::evidence::{Evidence, search};
use super::frame::{self, Bad, FRAME_BYTES, MARK_BYTES};
use super::gap::Gap;
use super::healed::{Notes, find_notes};
use super::location::Location;
use super::record::{Malformed, Record};
use super::segment::{BadHeader, HEADER_BYTES, LOG_DIR, SegmentInfo, decode_header, parse_file_name, segment_path};
use super::window::Window;
use crate::broken::{Rule, is_broken};
use crate::message::Position;
use crate::vclock::Start;
use std::collections::{BTreeSet, VecDeque};

/// What a recovery has found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Recovered {
    /// The last record.
    pub last: Position,
    /// Records handed to the visitor.
    pub records: u64,
    /// Bytes of all records, marks and seals included.
    pub bytes: u64,
    /// Bytes of the torn tail that was dropped; 0 if there was none.
    pub cut_bytes: u64,
    /// The start that stopped cleanly as the last thing that it did, if so.
    pub clean: Option<Start>,
    /// The newest start that wrote a mark, if one did.
    pub last_start: Option<Start>,
    /// The segments, in order.
    pub segments: Vec<SegmentInfo>,
    /// Of those, segments at the end that were prepared and never written to.
    pub unused: Vec<SegmentInfo>,
    /// Files in the log's folder that are no segments; they are left alone.
    pub strangers: Vec<String>,
    /// Bad places that were passed over, since all that counted in them has been written anew.
    pub gaps: Vec<Gap>,
}

/// Why a log was not recovered. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something that was durable once has been damaged.
    #[error(transparent)]
    Rot(Box<Rot>),
    /// A segment's header is damaged: nothing in the file can be read.
    #[error("{file} is damaged: {found}. {ADVICE}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong with it.
        found: String,
    },
    /// A segment's file is missing.
    #[error("{file} is missing, but {named_by}. {ADVICE}")]
    Missing {
        /// The file.
        file: String,
        /// How we know of it.
        named_by: String,
    },
    /// Written by a newer version of henge.
    #[error("{file} at byte {offset}: {found}; start this folder with a newer henge")]
    Newer {
        /// The file.
        file: String,
        /// The record in it; 0 for the file as a whole.
        offset: u64,
        /// What is not known.
        found: String,
    },
    /// A record has the right checksum and makes no sense: it was written wrongly.
    #[error("{file} at byte {offset}: {found}, though its checksum is right: this is a bug in henge. {ADVICE}")]
    Malformed {
        /// The file.
        file: String,
        /// The record in it.
        offset: u64,
        /// What is wrong.
        found: Malformed,
    },
}

/// A place in the log that was durable once, and is bad now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file} is damaged at byte {offset}: expected record {}, found {found}; {proof}, so this is no torn write. {ADVICE}", .position.0)]
pub struct Rot {
    /// The file.
    pub file: String,
    /// The first byte of the bad record.
    pub offset: u64,
    /// The record that should be there.
    pub position: Position,
    /// What is there.
    pub found: String,
    /// How we know that it was durable.
    pub proof: String,
}

const ADVICE: &str = "Nothing was changed. Check the disk; then put a copy of the file back, or run `henge serve --quarantine` once, \
    with the peer's usual flags: what can be read is kept, the damaged log is moved to quarantine/, and the other owners make the peer whole again";

/// Whom recovery tells of each record: where it lies, and what it says, in the order of their positions. Marks and seals are left out.
pub(super) trait Visitor {
    /// The next record.
    fn visit(&mut self, location: Location, position: Position, record: &Record<'_>);

    /// True if, at the last record of a healed place, all that had been told came to what that record says.
    fn vouches(&self) -> bool;
}

/// A visitor that looks at single records, and asks nothing of them together.
pub(super) struct Onlooker<'a>(pub &'a mut dyn FnMut(Location, Position, &Record<'_>));

impl Visitor for Onlooker<'_> {
    fn visit(&mut self, location: Location, position: Position, record: &Record<'_>) {
        (self.0)(location, position, record);
    }

    fn vouches(&self) -> bool {
        true
    }
}

/// Recovers the log.
///
/// `newest_known`: the newest segment that the identity knows of, which must be there; 0 for none.
pub(super) fn recover<D: Disk>(disk: &D, newest_known: u32, visitor: &mut dyn Visitor) -> Result<Recovered, RecoveryError> {
    let (segments, strangers) = find_segments(disk)?;
    let found = Recovered { strangers, ..Recovered::default() };
    let mut replay = Replay { disk, visitor, found, tail: None, notes: None, passed: Vec::new(), healed: BTreeSet::new() };
    replay.found.segments = segments.iter().map(|found| found.info).collect();
    if newest_known > 0 && replay.is_missing(newest_known) {
        let named_by = "the log had it when this peer was started the last time".into();
        return Err(RecoveryError::Missing { file: segment_path(newest_known), named_by });
    }
    let silent = segments.iter().take_while(|segment| segment.first.is_none()).count();
    if segments.len() > silent {
        replay.refuse_proofs(&segments[..silent])?;
    }
    for (index, segment) in segments.iter().enumerate() {
        let Some(first) = segment.first else { continue };
        let later = &segments[index + 1..];
        let silent = later.iter().take_while(|later| later.first.is_none()).count();
        let next = later.get(silent).map(|next| (next.info.id, next.first.expect("it is not silent")));
        replay.segment(segment.info, first, next, &later[..silent])?;
    }
    let torn = replay.settle(&segments)?;
    replay.settle_gaps()?;
    replay.rewrite_tail()?;
    let mut found = replay.found;
    found.cut_bytes = torn;
    Ok(found)
}

/// A segment's file, and the position of its first record, if that is a whole mark or seal.
struct Found {
    info: SegmentInfo,
    first: Option<Position>,
}

/// Reads the header and the first record of every segment, in order.
fn find_segments<D: Disk>(disk: &D) -> Result<(Vec<Found>, Vec<String>), RecoveryError> {
    let (mut ids, mut strangers) = (Vec::new(), Vec::new());
    for name in disk.list(LOG_DIR)? {
        match parse_file_name(&name) {
            Some(id) => ids.push(id),
            None => strangers.push(name),
        }
    }
    ids.sort_unstable();
    let segments = ids.into_iter().map(|id| find_segment(disk, id)).collect::<Result<_, _>>()?;
    Ok((segments, strangers))
}

fn find_segment<D: Disk>(disk: &D, id: u32) -> Result<Found, RecoveryError> {
    let path = segment_path(id);
    let file = disk.open(&path, Mode::Read)?;
    let size = disk.size(&file)?;
    let mut head = vec![0; HEADER_BYTES as usize + MARK_BYTES];
    let count = disk.read_at(&file, 0, &mut head)?;
    head.truncate(count);
    let info = decode_header(&head, id).map_err(|bad| match bad {
        BadHeader::Version(_) => RecoveryError::Newer { file: path.clone(), offset: 0, found: bad.to_string() },
        BadHeader::Damaged | BadHeader::Misplaced(_) => RecoveryError::Header { file: path.clone(), found: bad.to_string() },
    })?;
    if size != info.size {
        let found = format!("it has {size} bytes, but its header says {}", info.size);
        return Err(RecoveryError::Header { file: path, found });
    }
    let first = head.get(HEADER_BYTES as usize..).and_then(|bytes| frame::read_proof(bytes, info.salt, HEADER_BYTES));
    Ok(Found { info, first: first.map(|(position, _)| position) })
}

struct Replay<'a, D: Disk> {
    disk: &'a D,
    visitor: &'a mut dyn Visitor,
    found: Recovered,
    /// The segment that was replayed last.
    tail: Option<Tail>,
    /// What is said behind the first rot of places that have been healed; none: no rot has been met.
    notes: Option<Notes>,
    /// The bad places that were passed over, and what they are refused with if that was wrong.
    passed: Vec<(Gap, Rot)>,
    /// The healed places whose notes were reached.
    healed: BTreeSet<Gap>,
}

/// The segment that was replayed last, and how far.
struct Tail {
    info: SegmentInfo,
    /// Where its last record ends.
    end: u64,
    /// Why the log does not go on there.
    bad: Bad,
    /// From here on, no mark says that what was read is durable.
    unproven: u64,
}

impl<D: Disk> Replay<'_, D> {
    fn is_missing(&self, id: u32) -> bool {
        self.found.segments.binary_search_by_key(&id, |segment| segment.id).is_err()
    }

    fn expected(&self) -> Position {
        Position(self.found.last.0 + 1)
    }

    /// Replays a segment that begins with `first`. `next`: the next segment that was begun, and its first position; `silent`: those
    /// in between, whose first record is bad.
    fn segment(
        &mut self,
        info: SegmentInfo,
        first: Position,
        next: Option<(u32, Position)>,
        silent: &[Found],
    ) -> Result<(), RecoveryError> {
        if first != self.expected() {
            let found = format!("record {}", first.0);
            let proof = "a segment is begun only when all before it is durable".into();
            return Err(self.rot(info.id, HEADER_BYTES, found, proof));
        }
        // A sound beginning is never begun again, but by a log begun anew whose making broke off: see `renewal`.
        if let Some((id, begun_again)) = next.filter(|next| next.1 <= first) {
            let found = format!("record {}", begun_again.0);
            let proof = format!("{} begins with record {}", segment_path(info.id), first.0);
            return Err(self.rot(id, HEADER_BYTES, found, proof));
        }
        let path = segment_path(info.id);
        let file = self.disk.open(&path, Mode::Read)?;
        let mut window = Window::new(self.disk, &file, info.size);
        let mut at = HEADER_BYTES;
        let mut marks = Marks::new(first);
        let bad = loop {
            if next.is_some_and(|(_, first)| first == self.expected()) {
                break Bad::Length(0);
            }
            match read_record(&mut window, info, at, self.expected())? {
                Err(bad) => match self.pass_over(info, at, bad, next)? {
                    Some(to) => at = to,
                    None => break bad,
                },
                Ok(bytes) => {
                    let size = bytes.len();
                    self.record(info, at, bytes, &mut marks)?;
                    at += size as u64;
                }
            }
        };
        if let Some((id, first)) = next
            && first > self.expected()
        {
            let written = self.refuse_proofs(silent)?;
            let proof = format!("{} begins with record {}", segment_path(id), first.0);
            // If nothing at all stands here, the log went on in the segment that has been written to.
            if bad == Bad::Length(0)
                && let Some((info, _)) = written.iter().find(|(_, written)| *written > 0)
            {
                return Err(self.rot(info.id, HEADER_BYTES, "no mark".into(), proof));
            }
            return Err(self.rot(info.id, at, bad.to_string(), proof));
        }
        self.tail = Some(Tail { info, end: at, bad, unproven: marks.unproven() });
        Ok(())
    }

    fn record(&mut self, info: SegmentInfo, at: u64, bytes: &[u8], marks: &mut Marks) -> Result<(), RecoveryError> {
        let file = || segment_path(info.id);
        let (position, record) = Record::read(bytes).map_err(|bad| match bad {
            Malformed::Unknown { .. } => RecoveryError::Newer { file: file(), offset: at, found: bad.to_string() },
            Malformed::Body { .. } => RecoveryError::Malformed { file: file(), offset: at, found: bad },
        })?;
        self.found.clean = None;
        match record {
            Record::Mark { durable, start, clean } => {
                marks.add(position, at, durable);
                self.found.last_start = self.found.last_start.max(Some(start));
                self.found.clean = clean.then_some(start);
            }
            Record::Seal { durable, next } => {
                marks.add(position, at, durable);
                if self.is_missing(next) {
                    let named_by = format!("{} goes on in it", file());
                    return Err(RecoveryError::Missing { file: segment_path(next), named_by });
                }
            }
            _ => {
                if let Record::Healed { gap, .. } = record {
                    self.healed.insert(gap);
                }
                self.visitor.visit(Location::new(info.id, at, bytes.len()), position, &record);
                self.found.records += 1;
            }
        }
        self.found.last = position;
        self.found.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Where the log goes on behind a bad record, if that is rot that has been healed.
    fn pass_over(
        &mut self,
        info: SegmentInfo,
        at: u64,
        bad: Bad,
        next: Option<(u32, Position)>,
    ) -> Result<Option<u64>, RecoveryError> {
        let position = self.expected();
        let proof = match (next, self.search(info, at, position)?.proof) {
            (Some((id, first)), _) => format!("{} begins with record {}", segment_path(id), first.0),
            (None, Some(mark)) => format!("the mark at byte {mark} says that it was durable"),
            (None, None) => return Ok(None),
        };
        if self.notes.is_none() {
            let from = self.found.segments.partition_point(|segment| segment.id < info.id);
            self.notes = Some(find_notes(self.disk, &self.found.segments[from..], at)?);
        }
        let known = self.notes.as_ref().and_then(|notes| notes.get(&(info.id, at, position)));
        let Some(gap) = known.copied().filter(|gap| gap.to <= info.size) else { return Ok(None) };
        let RecoveryError::Rot(rot) = self.rot(info.id, at, bad.to_string(), proof) else { return Ok(None) };
        self.passed.push((gap, *rot));
        self.found.last = Position(gap.next.0 - 1);
        self.found.clean = None;
        Ok(Some(gap.to))
    }

    /// Refuses what was passed over if the log does not say after all that it may be.
    fn settle_gaps(&mut self) -> Result<(), RecoveryError> {
        let vouched = self.passed.is_empty() || self.visitor.vouches();
        if let Some((_, rot)) = self.passed.iter().find(|(gap, _)| !vouched || !self.healed.contains(gap)) {
            return Err(RecoveryError::Rot(Box::new(rot.clone())));
        }
        self.found.gaps = self.passed.iter().map(|(gap, _)| *gap).collect();
        Ok(())
    }

    /// Behind the last record: rot, or a torn tail of so many bytes?
    fn settle(&mut self, segments: &[Found]) -> Result<u64, RecoveryError> {
        let mut torn = 0;
        let position = self.expected();
        if let Some(Tail { info, end, bad, .. }) = self.tail {
            let evidence = self.search(info, end, position)?;
            if let Some(at) = evidence.proof {
                let proof = format!("the mark at byte {at} says that it was durable");
                return Err(self.rot(info.id, end, bad.to_string(), proof));
            }
            torn += evidence.end - end;
        }
        let last = self.tail.as_ref().map_or(0, |tail| tail.info.id);
        let behind = segments.partition_point(|segment| segment.info.id <= last);
        for (info, written) in self.refuse_proofs(&segments[behind..])? {
            if written == 0 {
                self.found.unused.push(info);
            }
            torn += written;
        }
        Ok(torn)
    }

    /// Refuses if one of these segments, whose first records are bad, proves that the log went on in it. Else says how many bytes
    /// have been written to each.
    fn refuse_proofs(&self, silent: &[Found]) -> Result<Vec<(SegmentInfo, u64)>, RecoveryError> {
        let look = |&Found { info, .. }: &Found| {
            let evidence = self.search(info, HEADER_BYTES, self.expected())?;
            if let Some(at) = evidence.proof {
                let proof = format!("the mark at byte {at} says that it was durable");
                return Err(self.rot(info.id, HEADER_BYTES, "no mark".into(), proof));
            }
            Ok((info, evidence.end - HEADER_BYTES))
        };
        silent.iter().map(look).collect()
    }

    fn search(&self, info: SegmentInfo, from: u64, position: Position) -> Result<Evidence, DiskError> {
        let file = self.disk.open(&segment_path(info.id), Mode::Read)?;
        search(&mut Window::new(self.disk, &file, info.size), info, from, position)
    }

    /// Makes sure that all that was read is on the disk, and not only in its cache.
    fn rewrite_tail(&mut self) -> Result<(), RecoveryError> {
        if is_broken(Rule::TailUnsynced) {
            return Ok(());
        }
        let Some(Tail { info, end, unproven, .. }) = self.tail else { return Ok(()) };
        let file = self.disk.open(&segment_path(info.id), Mode::Write)?;
        let mut window = Window::new(self.disk, &file, end);
        let mut at = unproven;
        while at < end {
            let bytes = window.get(at, REWRITE_BYTES)?;
            self.disk.write_at(&file, at, bytes)?;
            at += bytes.len() as u64;
        }
        Ok(self.disk.sync(&file)?)
    }

    fn rot(&self, id: u32, offset: u64, found: String, proof: String) -> RecoveryError {
        RecoveryError::Rot(Box::new(Rot { file: segment_path(id), offset, position: self.expected(), found, proof }))
    }
}

/// Bytes that are written again at a time.
const REWRITE_BYTES: usize = 1 << 20;

/// The bytes of the record with this position at this place; or why there is none.
pub(super) fn read_record<'w, D: Disk>(
    window: &'w mut Window<'_, D>,
    info: SegmentInfo,
    at: u64,
    expected: Position,
) -> Result<Result<&'w [u8], Bad>, DiskError> {
    let head = window.get(at, FRAME_BYTES)?;
    if head.len() < FRAME_BYTES {
        return Ok(Err(Bad::Length(0)));
    }
    let position = u64::from_le_bytes(head[8..16].try_into().expect("eight bytes"));
    let size = match frame::size(head, info.size - at) {
        Ok(size) => size,
        Err(bad) => return Ok(Err(bad)),
    };
    let bytes = window.get(at, size)?;
    if bytes.len() < size {
        return Ok(Err(Bad::Length(size as u32)));
    }
    let checked = frame::verify(bytes, info.salt, at);
    Ok(checked.and(if position == expected.0 { Ok(bytes) } else { Err(Bad::Position(position)) }))
}

/// The marks of a segment, as far as they are needed to know what no mark covers.
struct Marks {
    durable: Position,
    /// Position and place of the marks behind `durable`, in order.
    later: VecDeque<(Position, u64)>,
    /// Where the last mark at or before the first position that is not proven lies.
    from: u64,
}

impl Marks {
    /// Of a segment that begins with this position: all before it is durable.
    fn new(first: Position) -> Marks {
        Marks { durable: Position(first.0 - 1), later: VecDeque::new(), from: HEADER_BYTES }
    }

    fn add(&mut self, position: Position, at: u64, durable: Position) {
        self.durable = self.durable.max(durable);
        self.later.push_back((position, at));
        while let Some((_, place)) = self.later.front().copied().filter(|(own, _)| own.0 <= self.durable.0.saturating_add(1)) {
            self.from = place;
            self.later.pop_front();
        }
    }

    fn unproven(&self) -> u64 {
        self.from
    }
}
