//! The log as the core sees it: records go in, batches for the disk come out. No I/O happens here.
//!
//! There is no timer: while a batch is being written, whatever is appended waits, and is the next batch (group commit). A
//! batch never crosses the end of a segment: a full one ends with a seal and is synced, whatever the sync mode, before
//! anything is written to the next. So the first record of a segment is proof that all before it was durable.

use super::disk::{DiskError, Reason};
use super::frame::{self, MARK_BYTES};
use super::gap::SurveySegment;
use super::job::{LogDone, LogWrite, PrepareSegment, ReadRecord, SegmentPrepared};
use super::location::Location;
use super::record::Record;
use super::segment::{HEADER_BYTES, SegmentInfo};
use crate::broken::{Rule, is_broken};
use crate::limits::RECORD_BYTES_MAX;
use crate::message::Position;
use crate::vclock::Start;
use bytes::{Bytes, BytesMut};
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};

/// The end of the log: appends to it, and knows how far it is written and durable.
#[derive(Debug)]
pub struct Log {
    start: Start,
    /// The segments that can be read or written, by number.
    segments: BTreeMap<u32, SegmentInfo>,
    /// The one that takes the next record.
    current: SegmentInfo,
    /// Where in it.
    offset: u64,
    /// The segments after it that have been asked for, in order.
    ahead: VecDeque<SegmentInfo>,
    /// Those that the disk still has to be asked for.
    to_prepare: VecDeque<SegmentInfo>,
    /// The one that the disk has been asked for.
    preparing: Option<SegmentInfo>,
    /// A segment could not be prepared because the disk is full: when that is tried again, in monotonic milliseconds.
    full_until: Option<u64>,
    /// Up to this one, segments are ready to be written to.
    ready: u32,
    /// The number of the next segment to be made, and its size if nothing large needs more.
    next_segment: (u32, u64),
    segment_bytes_max: u64,
    /// What waits for the disk, in order: all but the last one end with a seal.
    pending: VecDeque<Chunk>,
    pending_bytes: usize,
    in_flight: Option<Flight>,
    /// The last record that was appended, or was there at the start.
    last: Position,
    written: Position,
    durable: Position,
    /// The last record that a mark is known to cover, or that needs none.
    marked: Position,
    stop: Stop,
    failed: bool,
    /// When a segment was last asked for, in monotonic milliseconds.
    asked_ms: u64,
    /// The buffer of an earlier batch, to be used again: fresh memory costs more than filling it.
    spare: BytesMut,
    random: ChaCha8Rng,
}

#[derive(Debug)]
/// A batch that is being collected. It begins with a mark, or is a seal alone.
struct Chunk {
    segment: SegmentInfo,
    offset: u64,
    bytes: BytesMut,
    first: Position,
    last: Position,
    /// The segment that its seal names, if it ends with one.
    sealed: Option<u32>,
}

#[derive(Debug)]
/// A batch on its way.
struct Flight {
    segment: u32,
    offset: u64,
    bytes: Bytes,
    last: Position,
    sync: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    Running,
    /// No more appends; the clean mark comes when all before it is durable.
    Asked,
    /// The clean mark is pending, on its way, or done.
    Marked,
}

impl Chunk {
    /// The segment that must be ready before this is written: a seal names the next one, which must be there by then.
    fn needs(&self) -> u32 {
        self.sealed.unwrap_or(self.segment.id)
    }
}

/// Where an appended record will lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Its number in the log: what waits for it to be durable waits for this position.
    pub position: Position,
    /// Its place.
    pub location: Location,
}

/// How far the log has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Up to here it has been handed to the operating system.
    pub written: Position,
    /// Up to here it survives a power cut.
    pub durable: Position,
}

/// A record above `limits::RECORD_BYTES_MAX`; nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a record of {bytes} bytes is larger than the log takes ({RECORD_BYTES_MAX} bytes); split the value into several keys")]
pub struct TooLarge {
    /// What it would have taken.
    pub bytes: usize,
}

/// Where a log goes on after recovery.
pub(super) struct Resume {
    pub start: Start,
    /// All segments, with the one to go on in and those ahead.
    pub segments: Vec<SegmentInfo>,
    /// Ready and never written to: the log goes on in the first of them.
    pub ready: Vec<SegmentInfo>,
    /// The last record that was recovered.
    pub last: Position,
    pub segment_bytes_min: u64,
    pub segment_bytes_max: u64,
    pub seed: u64,
}

impl Log {
    pub(super) fn resume(resume: Resume) -> Log {
        let mut ahead: VecDeque<_> = resume.ready.into();
        let current = ahead.pop_front().expect("recovery leaves a segment to go on in");
        let newest = resume.segments.iter().map(|segment| segment.id).max().expect("the current one is among them");
        let ready = ahead.back().map_or(current.id, |segment| segment.id);
        let next_size = (current.size * 2).clamp(resume.segment_bytes_min, resume.segment_bytes_max);
        Log {
            start: resume.start,
            segments: resume.segments.into_iter().map(|segment| (segment.id, segment)).collect(),
            current,
            offset: HEADER_BYTES,
            ahead,
            to_prepare: VecDeque::new(),
            preparing: None,
            full_until: None,
            asked_ms: 0,
            ready,
            next_segment: (newest + 1, next_size),
            segment_bytes_max: resume.segment_bytes_max,
            pending: VecDeque::new(),
            pending_bytes: 0,
            in_flight: None,
            last: resume.last,
            written: resume.last,
            durable: resume.last,
            // A mark in the new segment says that all in the old ones was durable.
            marked: Position(0),
            stop: Stop::Running,
            failed: false,
            spare: BytesMut::new(),
            random: ChaCha8Rng::seed_from_u64(resume.seed),
        }
    }

    /// Appends a record. It is on its way with the next batch; until then, and as long as that is under way,
    /// [`peek`](Log::peek) shows it. Requires: no mark or seal (the log writes them), and not after [`stop`](Log::stop).
    pub fn append(&mut self, record: &Record<'_>) -> Result<Appended, TooLarge> {
        assert!(!matches!(record, Record::Mark { .. } | Record::Seal { .. }), "the log writes marks and seals itself");
        assert!(self.stop == Stop::Running, "nothing is appended after a stop");
        self.open_chunk();
        let room = self.room();
        let chunk = self.open_chunk();
        let begin = chunk.bytes.len();
        let bytes = frame::put_unplaced(&mut chunk.bytes, record, chunk.segment.salt);
        if bytes > RECORD_BYTES_MAX {
            chunk.bytes.truncate(begin);
            return Err(TooLarge { bytes });
        }
        if (bytes + MARK_BYTES) as u64 <= room {
            return Ok(self.place(begin, bytes));
        }
        let moved = self.open_chunk().bytes.split_off(begin);
        while self.room() < (2 * MARK_BYTES + bytes) as u64 {
            self.seal(bytes);
        }
        let chunk = self.open_chunk();
        let begin = chunk.bytes.len();
        chunk.bytes.unsplit(moved);
        Ok(self.place(begin, bytes))
    }

    /// The next batch, if there is one and none is under way. `sync`: whether it is to be synced, and with it everything
    /// before; with nothing to write, a mark alone is synced if anything before it is not durable yet.
    pub fn take_write(&mut self, sync: bool) -> Option<LogWrite> {
        if self.in_flight.is_some() || self.failed {
            return None;
        }
        let sync = sync || self.stop != Stop::Running;
        if self.pending.is_empty() {
            if self.stop == Stop::Asked && self.durable == self.last {
                self.open_chunk();
                self.stop = Stop::Marked;
            } else if sync && self.durable < self.last {
                self.open_chunk();
            }
        }
        if self.waits_for_segment() {
            return None;
        }
        let chunk = self.pending.pop_front()?;
        Some(self.send(chunk, sync))
    }

    /// A synced mark, if the last batch was synced and nothing was appended since. To be asked for when nothing has happened
    /// for `limits::IDLE_MARK_MS`: without it a start could not tell damage of the last batch from a torn write.
    pub fn take_idle_mark(&mut self) -> Option<LogWrite> {
        if !self.needs_idle_mark() {
            return None;
        }
        self.open_chunk();
        self.take_write(true)
    }

    /// True if [`take_idle_mark`](Log::take_idle_mark) would have something to do.
    pub fn needs_idle_mark(&self) -> bool {
        let idle = self.in_flight.is_none() && self.pending.is_empty() && self.stop == Stop::Running && !self.failed;
        idle && self.durable == self.last && self.marked < self.last
    }

    /// Takes in what became of a batch. After an error the log gives out nothing any more: the peer has to stop, since it cannot
    /// know what the disk holds. Requires: `done` belongs to the batch under way.
    pub fn on_write_done(&mut self, done: LogDone) -> Result<Progress, DiskError> {
        let flight = self.in_flight.take().expect("a batch is under way");
        assert!(flight.last == done.last && flight.sync == done.sync, "the batch under way is the one that is done");
        if let Err(error) = done.result
            && !is_broken(Rule::FailureIgnored)
        {
            self.failed = true;
            self.in_flight = Some(flight);
            return Err(error);
        }
        self.written = flight.last;
        if flight.sync {
            self.durable = flight.last;
        }
        if let Ok(mut buffer) = flight.bytes.try_into_mut()
            && buffer.capacity() <= SPARE_BYTES_MAX
        {
            buffer.clear();
            self.spare = buffer;
        }
        Ok(self.progress())
    }

    /// A segment that has to be prepared in the background, if there is one. One at a time; on a full disk, one a second.
    pub fn take_prepare(&mut self, monotonic_ms: u64, wall_ms: u64) -> Option<PrepareSegment> {
        if self.preparing.is_some() || self.failed || self.full_until.is_some_and(|until| monotonic_ms < until) {
            return None;
        }
        let half_full = self.offset > self.current.size / 2;
        if half_full && self.ahead.is_empty() && self.stop == Stop::Running {
            self.plan(0);
        }
        self.asked_ms = monotonic_ms;
        self.preparing = self.to_prepare.pop_front();
        self.preparing.map(|segment| PrepareSegment { segment, wall_ms })
    }

    /// Takes in that a segment is ready. A full disk is no error, since nothing is lost: see [`is_full`](Log::is_full). After any
    /// other the peer has to stop.
    pub fn on_prepared(&mut self, done: SegmentPrepared) -> Result<(), DiskError> {
        let segment = self.preparing.take().expect("a segment is being prepared");
        assert!(done.id == segment.id && segment.id > self.ready, "segments are prepared one by one, in order");
        match done.result {
            Ok(()) => {
                self.ready = segment.id;
                self.full_until = None;
            }
            Err(error) if error.reason == Reason::Full => {
                self.full_until = Some(self.asked_ms + FULL_RETRY_MS);
                self.to_prepare.push_front(segment);
            }
            Err(error) => {
                self.failed = true;
                return Err(error);
            }
        }
        Ok(())
    }

    /// True while the next segment cannot be prepared because the disk is full. What still fits is written; the owner refuses
    /// new writes, and goes on asking [`take_prepare`](Log::take_prepare).
    pub fn is_full(&self) -> bool {
        self.full_until.is_some()
    }

    /// When [`take_prepare`](Log::take_prepare) tries a full disk again, in monotonic milliseconds.
    pub fn next_try(&self) -> Option<u64> {
        self.full_until.filter(|_| self.preparing.is_none() && !self.failed)
    }

    /// Begins a clean stop: no more appends. What is pending is written and synced, then a mark that says that this start
    /// stopped cleanly; [`is_stopped`](Log::is_stopped) tells when that is durable.
    pub fn stop(&mut self) {
        if self.stop == Stop::Running {
            self.stop = Stop::Asked;
        }
    }

    /// True when the mark of a clean stop is durable.
    pub fn is_stopped(&self) -> bool {
        self.stop == Stop::Marked && self.durable == self.last
    }

    /// How far the log has come.
    pub fn progress(&self) -> Progress {
        Progress { written: self.written, durable: self.durable }
    }

    /// The last record that was appended.
    pub fn last(&self) -> Position {
        self.last
    }

    /// Bytes that wait for the disk or are on their way to it; the owner refuses work above `limits::LOG_PENDING_BYTES_MAX`.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes + self.in_flight.as_ref().map_or(0, |flight| flight.bytes.len())
    }

    /// True while what is to be written next waits for a segment that is not ready.
    pub fn waits_for_segment(&self) -> bool {
        self.pending.front().is_some_and(|front| front.needs() > self.ready)
    }

    /// True while a batch is under way.
    pub fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Bytes of all segments together.
    pub fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.size).sum()
    }

    /// The bytes of a record that has not been written yet, for [`Record::read`]; `None`: ask the disk.
    pub fn peek(&self, location: Location) -> Option<&[u8]> {
        let flight = self.in_flight.iter().map(|flight| (flight.segment, flight.offset, &flight.bytes[..]));
        let pending = self.pending.iter().map(|chunk| (chunk.segment.id, chunk.offset, &chunk.bytes[..]));
        flight.chain(pending).find_map(|(segment, offset, bytes)| {
            let inside = usize::try_from(location.byte().checked_sub(offset)?).ok()?;
            if segment != location.segment || inside >= bytes.len() {
                return None;
            }
            let rest = &bytes[inside..];
            let size = frame::size(rest, rest.len() as u64).expect("a location is that of a record");
            Some(&rest[..size])
        })
    }

    /// The job that reads a record. Requires: the location came from this store.
    pub fn read_job(&self, ticket: u64, location: Location) -> ReadRecord {
        let segment = *self.segments.get(&location.segment).expect("a location names a segment of this store");
        ReadRecord { ticket, location, segment }
    }

    /// The job that looks a segment through, as far as it is durable. None if there is no such segment, or the log is being stopped.
    pub fn survey_job(&self, segment: u32) -> Option<SurveySegment> {
        let later = self.segments.range(segment + 1..).map(|(_, segment)| *segment).collect();
        let segment = *self.segments.get(&segment)?;
        (self.stop == Stop::Running).then_some(SurveySegment { segment, later, until: self.durable })
    }

    /// True if it takes records.
    pub fn is_running(&self) -> bool {
        self.stop == Stop::Running
    }

    /// The chunk that takes the next record; a new one begins with a mark.
    fn open_chunk(&mut self) -> &mut Chunk {
        if self.pending.back().is_none_or(|chunk| chunk.sealed.is_some()) {
            if self.room() < (2 * MARK_BYTES) as u64 {
                self.seal(0);
            }
            self.begin_chunk();
            self.append_own(&Record::Mark { durable: Position(0), start: self.start, clean: false });
        }
        self.pending.back_mut().expect("there is one now")
    }

    fn begin_chunk(&mut self) {
        let (segment, offset) = (self.current, self.offset);
        let bytes = std::mem::take(&mut self.spare);
        let (first, last) = (Position(self.last.0 + 1), self.last);
        self.pending.push_back(Chunk { segment, offset, bytes, first, last, sealed: None });
    }

    /// Appends a mark or a seal to the last chunk. There is always room for a seal.
    fn append_own(&mut self, record: &Record<'_>) {
        let chunk = self.pending.back_mut().expect("a chunk has been begun");
        let begin = chunk.bytes.len();
        let bytes = frame::put_unplaced(&mut chunk.bytes, record, chunk.segment.salt);
        self.place(begin, bytes);
    }

    /// Gives the record at the end of the last chunk its position, its place and its checksum.
    fn place(&mut self, begin: usize, bytes: usize) -> Appended {
        let chunk = self.pending.back_mut().expect("the record is in it");
        let position = Position(self.last.0 + 1);
        frame::place(&mut chunk.bytes[begin..], chunk.segment.salt, self.offset, position);
        chunk.last = position;
        let location = Location::new(chunk.segment.id, self.offset, bytes);
        self.offset += bytes as u64;
        self.last = position;
        self.pending_bytes += bytes;
        assert!(self.offset <= self.current.size, "a record lies within its segment");
        Appended { position, location }
    }

    fn room(&self) -> u64 {
        self.current.size - self.offset
    }

    /// Ends the current segment, and goes on in the next, which is made for a record of this many bytes if it is not made yet.
    fn seal(&mut self, bytes: usize) {
        if self.ahead.is_empty() {
            self.plan(bytes);
        }
        if self.pending.back().is_none_or(|chunk| chunk.sealed.is_some()) {
            self.begin_chunk();
        }
        let next = self.ahead.pop_front().expect("it has been planned");
        self.append_own(&Record::Seal { durable: self.durable, next: next.id });
        self.pending.back_mut().expect("the seal is in it").sealed = Some(next.id);
        self.current = next;
        self.offset = HEADER_BYTES;
    }

    /// Decides on one more segment. It doubles the last one's size, unless a record of this many bytes needs more.
    fn plan(&mut self, bytes: usize) {
        let (id, size) = self.next_segment;
        let needed = (HEADER_BYTES + (2 * MARK_BYTES + bytes) as u64).next_power_of_two();
        let segment = SegmentInfo { id, salt: self.random.next_u64(), size: size.max(needed) };
        self.next_segment = (id + 1, (segment.size * 2).min(self.segment_bytes_max));
        self.segments.insert(id, segment);
        self.ahead.push_back(segment);
        self.to_prepare.push_back(segment);
    }

    /// Sets off a chunk: now it is known what is durable before it.
    fn send(&mut self, mut chunk: Chunk, sync: bool) -> LogWrite {
        let sync = sync || chunk.sealed.is_some();
        let clean = self.stop == Stop::Marked && self.pending.is_empty() && chunk.sealed.is_none();
        let alone = chunk.first == chunk.last;
        if !(chunk.sealed.is_some() && alone) {
            let mark = Record::Mark { durable: self.durable, start: self.start, clean };
            let mut bytes = BytesMut::with_capacity(MARK_BYTES);
            frame::put_unplaced(&mut bytes, &mark, chunk.segment.salt);
            frame::place(&mut bytes, chunk.segment.salt, chunk.offset, chunk.first);
            chunk.bytes[..MARK_BYTES].copy_from_slice(&bytes);
        }
        if alone {
            // Nobody waits for a mark or a seal, so that it needs no further mark.
            self.marked = chunk.last;
        }
        self.pending_bytes -= chunk.bytes.len();
        let Chunk { segment: SegmentInfo { id: segment, .. }, offset, last, .. } = chunk;
        let bytes = chunk.bytes.freeze();
        self.in_flight = Some(Flight { segment, offset, bytes: bytes.clone(), last, sync });
        LogWrite { segment, offset, bytes, last, sync }
    }
}

/// How long to wait before a full disk is tried again (milliseconds): making zeros is not free.
const FULL_RETRY_MS: u64 = 1_000;
/// A buffer larger than this is not kept for the next batch (bytes): one giant batch must not hold its memory for ever.
const SPARE_BYTES_MAX: usize = 4 << 20;
