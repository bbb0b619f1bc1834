//! What can still be read of a damaged log: an unknown part of it is gone, so nothing that is left may speak for more than itself.
//!
//! Of each key the latest readable record survives. It may be an older one than the last that was written, so only its live dots and the
//! explicit context in it count; what the clock said beside it (seen, and gone) is believed no more (rules `hole_clock`, `hole_fill`).

use super::disk::{Disk, DiskError, Mode};
use super::frame::{self, FRAME_BYTES, MARK_BYTES};
use super::hinting::decoded_members;
use super::members::Members;
use super::record::{Malformed, Record};
use super::recovery::RecoveryError;
use super::segment::{BadHeader, HEADER_BYTES, LOG_DIR, SegmentInfo, decode_header, parse_file_name, segment_path};
use super::store::decoded;
use super::window::Window;
use crate::broken::{Rule, is_broken};
use crate::message::Position;
use crate::ring::MemberId;
use crate::vclock::{Actor, Entry, Seen, Start, unpack};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Where the latest record of a hint lies, its position, and the members that it is still owed to.
type SurvivingHint = (SegmentInfo, u64, Position, Vec<MemberId>);

/// What a damaged log still tells.
#[derive(Default)]
pub(super) struct Survivors {
    /// The coded changes of the membership list by their place in it.
    pub changes: BTreeMap<u32, Vec<u8>>,
    /// Where the latest readable record of each key lies.
    pub entries: BTreeMap<(u16, Vec<u8>), (SegmentInfo, u64)>,
    /// The same of hints, with the position of the record and the members that it is still owed to.
    pub hints: BTreeMap<(u16, Vec<u8>), SurvivingHint>,
    /// Promises.
    pub fences: BTreeMap<Actor, (MemberId, Start)>,
    /// What the members have said of themselves.
    pub members: Members,
    /// Readable records.
    pub records: u64,
    /// What the clocks said before the damage. Only a rule broken on purpose looks at it.
    pub clocks: BTreeMap<u16, Seen>,
}

impl Survivors {
    /// Reads what can be read. Nothing is changed.
    ///
    /// # Errors
    /// The disk refused; or a readable record is of a newer version of henge.
    pub(super) fn find<D: Disk>(disk: &D) -> Result<Survivors, RecoveryError> {
        let mut survivors = Survivors::default();
        let segments = readable_segments(disk)?;
        let mut last = Position(0);
        for (at, (info, first)) in segments.iter().enumerate() {
            // Behind a torn end the log goes on in the next segment: what stands behind it here was never told to anybody. (A segment that
            // begins with the first record of all is what an earlier attempt to begin the log anew has left, and no next one.)
            let begun = last.max(first.unwrap_or(Position(1))).max(Position(1));
            let next = segments[at + 1..].iter().find_map(|(_, first)| first.filter(|first| *first > begun));
            let limit = next.unwrap_or(Position(u64::MAX));
            last = survivors.scan(disk, *info, (last, limit))?;
        }
        Ok(survivors)
    }

    /// Looks at every place of a segment for a record behind `last` and before `limit`; returns the last one found.
    fn scan<D: Disk>(
        &mut self,
        disk: &D,
        info: SegmentInfo,
        (mut last, limit): (Position, Position),
    ) -> Result<Position, RecoveryError> {
        let file = disk.open(&segment_path(info.id), Mode::Read)?;
        let mut window = Window::new(disk, &file, info.size);
        let mut at = HEADER_BYTES;
        while at < info.size {
            let Some(size) = plausible(window.get(at, FRAME_BYTES)?, info.size - at, last, limit) else {
                at += frame::UNIT as u64;
                continue;
            };
            let bytes = window.get(at, size)?;
            if bytes.len() < size || frame::verify(bytes, info.salt, at).is_err() {
                at += frame::UNIT as u64;
                continue;
            }
            match Record::read(bytes) {
                Ok((position, record)) => {
                    last = position;
                    self.records += 1;
                    self.take(&record, (info, at), position);
                }
                Err(unknown @ Malformed::Unknown { .. }) => {
                    let (file, found) = (segment_path(info.id), unknown.to_string());
                    return Err(RecoveryError::Newer { file, offset: at, found });
                }
                Err(Malformed::Body { .. }) => {}
            }
            at += size as u64;
        }
        Ok(last)
    }

    fn take(&mut self, record: &Record<'_>, place: (SegmentInfo, u64), position: Position) {
        match record {
            Record::Membership { index, change } => drop(self.changes.insert(*index, change.to_vec())),
            Record::Entry { partition, key, entry, gone, .. } => {
                self.remember_clock(*partition, entry, gone);
                if entry.is_empty() {
                    self.entries.remove(&(*partition, key.to_vec()));
                } else {
                    self.entries.insert((*partition, key.to_vec()), place);
                }
            }
            Record::Hint { partition, owed, key, .. } => {
                let owed = decoded_members(owed).unwrap_or_default();
                self.hints.insert((*partition, key.to_vec()), (place.0, place.1, position, owed));
            }
            Record::HintPaid { partition, member, position: paid, key, .. } => {
                let place = (*partition, key.to_vec());
                if let Some((_, _, known, owed)) = self.hints.get_mut(&place)
                    && *known == *paid
                {
                    owed.retain(|owed| owed.0 != *member);
                }
            }
            Record::PartitionDropped { partition, .. } => self.entries.retain(|(of, _), _| of != partition),
            Record::Fence { actor, member, below } => drop(self.fences.insert(*actor, (*member, *below))),
            Record::Member(note) => self.members.replay_or_tell(note),
            Record::Batch(batch) => batch.iter().for_each(|record| self.take(&record, place, position)),
            Record::Clock { partition, clock, .. } => self.remember_clock(*partition, &[], clock),
            Record::Standing { .. } | Record::Mark { .. } | Record::Seal { .. } | Record::Healed { .. } => {}
        }
    }

    fn remember_clock(&mut self, partition: u16, entry: &[u8], seen: &[u8]) {
        if !is_broken(Rule::HoleClock) && !is_broken(Rule::HoleFill) {
            return;
        }
        let clock = self.clocks.entry(partition).or_default();
        if let Ok(seen) = decoded(seen) {
            clock.union_with(&seen);
        }
        if let Ok(entry) = unpack(&Bytes::copy_from_slice(entry)) {
            entry.dots().for_each(|dot| clock.insert(dot));
        }
    }

    /// The surviving state of a key, read once more from where it lies. None: it makes no sense.
    pub(super) fn read<D: Disk>(
        &self,
        disk: &D,
        (partition, key): (u16, &[u8]),
        (info, at): (SegmentInfo, u64),
    ) -> Result<Option<Entry>, DiskError> {
        let bytes = read_again(disk, (info, at))?;
        let Ok((_, record)) = Record::read(&bytes) else { return Ok(None) };
        let mut packed: &[u8] = &[];
        entry_of(&record, (partition, key), &mut packed);
        let Ok(mut entry) = unpack(&Bytes::copy_from_slice(packed)) else { return Ok(None) };
        if is_broken(Rule::HoleFill)
            && let Some(clock) = self.clocks.get(&partition)
        {
            entry.fill(clock);
        }
        Ok(Some(entry))
    }
}

/// A surviving hint, read once more: since when it has been owed, and its packed entry. None: it makes no sense.
pub(super) fn read_hint<D: Disk>(
    disk: &D,
    (partition, key): (u16, &[u8]),
    place: (SegmentInfo, u64),
) -> Result<Option<(u64, Bytes)>, DiskError> {
    let bytes = read_again(disk, place)?;
    let mut found = None;
    if let Ok((_, record)) = Record::read(&bytes) {
        hint_of(&record, (partition, key), &mut found);
    }
    Ok(found.map(|(since_ms, packed)| (since_ms, Bytes::copy_from_slice(packed))))
}

/// The bytes of a record; none if they cannot be read any more.
fn read_again<D: Disk>(disk: &D, (info, at): (SegmentInfo, u64)) -> Result<Vec<u8>, DiskError> {
    let file = disk.open(&segment_path(info.id), Mode::Read)?;
    let mut head = [0; FRAME_BYTES];
    disk.read_at(&file, at, &mut head)?;
    let Ok(size) = frame::size(&head, info.size - at) else { return Ok(Vec::new()) };
    let mut bytes = vec![0; size];
    let found = disk.read_at(&file, at, &mut bytes)?;
    let is_sound = found == size && frame::verify(&bytes, info.salt, at).is_ok();
    Ok(if is_sound { bytes } else { Vec::new() })
}

fn hint_of<'a>(record: &Record<'a>, (partition, key): (u16, &[u8]), found: &mut Option<(u64, &'a [u8])>) {
    match record {
        Record::Hint { partition: of, key: its, entry, since_ms, .. } if *of == partition && *its == key => {
            *found = Some((*since_ms, entry));
        }
        Record::Batch(batch) => batch.iter().for_each(|record| hint_of(&record, (partition, key), found)),
        _ => {}
    }
}

/// The packed entry of a key in a record; the last one, if a batch holds several.
fn entry_of<'a>(record: &Record<'a>, (partition, key): (u16, &[u8]), found: &mut &'a [u8]) {
    match record {
        Record::Entry { partition: of, key: its, entry, .. } if *of == partition && *its == key => *found = entry,
        Record::Batch(batch) => batch.iter().for_each(|record| entry_of(&record, (partition, key), found)),
        _ => {}
    }
}

/// The size of what may be a record here. That its position lies ahead, and not far, is asked before anything is read for it:
/// damaged bytes hardly ever pass, and cost nothing.
fn plausible(head: &[u8], room: u64, last: Position, limit: Position) -> Option<usize> {
    let head: &[u8; FRAME_BYTES] = head.try_into().ok()?;
    let position = u64::from_le_bytes(head[8..16].try_into().expect("eight bytes"));
    let is_ahead = position > last.0 && position - last.0 <= POSITIONS_AHEAD_MAX && position < limit.0;
    if is_ahead { frame::size(head, room).ok() } else { None }
}

/// So many records may lie in a hole.
const POSITIONS_AHEAD_MAX: u64 = 1 << 32;

/// The segments whose header can be read, in order, and the position of their first record, if that can.
fn readable_segments<D: Disk>(disk: &D) -> Result<Vec<(SegmentInfo, Option<Position>)>, RecoveryError> {
    let mut ids: Vec<u32> = disk.list(LOG_DIR)?.iter().filter_map(|name| parse_file_name(name)).collect();
    ids.sort_unstable();
    let mut segments = Vec::new();
    for id in ids {
        let path = segment_path(id);
        let file = disk.open(&path, Mode::Read)?;
        let mut head = vec![0; HEADER_BYTES as usize + MARK_BYTES];
        let count = disk.read_at(&file, 0, &mut head)?;
        head.truncate(count);
        match decode_header(&head, id) {
            Ok(info) => {
                let size = disk.size(&file)?.min(info.size);
                let first = head.get(HEADER_BYTES as usize..).and_then(|bytes| frame::read_proof(bytes, info.salt, HEADER_BYTES));
                segments.push((SegmentInfo { size, ..info }, first.map(|(position, _)| position)));
            }
            Err(bad @ BadHeader::Version(_)) => return Err(RecoveryError::Newer { file: path, offset: 0, found: bad.to_string() }),
            Err(BadHeader::Damaged | BadHeader::Misplaced(_)) => {}
        }
    }
    Ok(segments)
}
