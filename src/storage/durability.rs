//! The store and its disk: which jobs it wants run, what their ends mean, and what is durable.

use super::store::Store;
use super::{DiskDone, DiskJob, Location, Log, ReadError, ReadRecord, Record};
use crate::broken::{Rule, is_broken};
use crate::limits::IDLE_MARK_MS;
use crate::message::{Position, SyncMode};
use crate::ring::PartitionId;
use bytes::Bytes;

/// What the end of a disk job means to the peer.
#[derive(Debug)]
pub enum DiskEvent {
    /// More may be durable, or a segment is ready.
    Progress,
    /// A record that was asked for is in memory, or cannot be read; for people.
    Record {
        /// Names the question.
        ticket: u64,
        /// How it went.
        result: Result<(), Unread>,
    },
    /// Bad places of the log have been found: these keys lie in them, and their records are to be written anew.
    Damage {
        /// Partition and key.
        keys: Vec<(PartitionId, Bytes)>,
    },
    /// The disk has failed: nothing can be promised any more. The peer stops.
    Failed {
        /// For people.
        reason: String,
    },
}

/// Why a record is not in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unread {
    /// True if what lies on the disk is not what was written: reading it again is of no use.
    pub is_damaged: bool,
    /// For people.
    pub reason: String,
}

impl Store {
    /// The next batch for the log. Under `always` each is synced; under `interval` one every so often; a batch that the peer itself
    /// stands on is synced in any mode.
    pub fn take_log_write(&mut self, monotonic_ms: u64) -> Option<DiskJob> {
        let due = match self.sync {
            SyncMode::Always => true,
            SyncMode::Interval(interval_ms) => monotonic_ms >= self.synced_ms + u64::from(interval_ms),
            SyncMode::Never => false,
        };
        let sync = due || self.sync_wanted > self.log.progress().durable;
        let idle = self.sync != SyncMode::Never && monotonic_ms >= self.written_ms + IDLE_MARK_MS;
        let write = match self.log.take_write(sync) {
            None if idle => self.log.take_idle_mark(),
            write => write,
        }?;
        self.written_ms = monotonic_ms;
        if write.sync {
            self.synced_ms = monotonic_ms;
        }
        Some(DiskJob::Write(write))
    }

    /// When [`Store::take_log_write`] or [`Store::take_background_job`] has something to do that nothing else will bring up (monotonic milliseconds).
    pub fn next_wake(&self) -> Option<u64> {
        self.log.next_try().into_iter().chain(self.next_write()).min()
    }

    /// When something is to be written that nothing else will bring up. What waits for room is written when there is some.
    fn next_write(&self) -> Option<u64> {
        if self.log.is_writing() || (self.log.waits_for_segment() && !is_broken(Rule::FullSpins)) {
            return None;
        }
        let progress = self.log.progress();
        match self.sync {
            SyncMode::Interval(interval_ms) if progress.durable < self.log.last() => Some(self.synced_ms + u64::from(interval_ms)),
            SyncMode::Never => None,
            _ => self.log.needs_idle_mark().then_some(self.written_ms + IDLE_MARK_MS),
        }
    }

    /// A job that may run beside all others: a segment to prepare or to look through, an identity to store.
    pub fn take_background_job(&mut self, monotonic_ms: u64, wall_ms: u64) -> Option<DiskJob> {
        if let Some((after, identity)) = self.identity_due
            && after <= self.log.progress().durable
        {
            self.identity_due = None;
            return Some(DiskJob::StoreIdentity(identity));
        }
        match self.take_survey() {
            Some(survey) => Some(DiskJob::Survey(survey)),
            None => self.log.take_prepare(monotonic_ms, wall_ms).map(DiskJob::Prepare),
        }
    }

    /// The job that reads a cold record.
    pub fn read_job(&self, ticket: u64, location: Location) -> ReadRecord {
        self.log.read_job(ticket, location)
    }

    /// A disk job has ended.
    pub fn on_disk(&mut self, done: DiskDone) -> DiskEvent {
        let failed = |what: &str, error: &dyn std::fmt::Display| DiskEvent::Failed {
            reason: format!(
                "{what}: {error}. The peer stops, since it cannot know what the disk holds; start it again, and it recovers"
            ),
        };
        match done {
            DiskDone::Written(done) => match self.log.on_write_done(done) {
                Ok(_) => {
                    self.settle();
                    DiskEvent::Progress
                }
                Err(error) => failed("the log could not be written", &error),
            },
            DiskDone::Prepared(done) => match self.with_fullness_told(|log| log.on_prepared(done)) {
                Ok(()) => DiskEvent::Progress,
                Err(error) => failed("a segment of the log could not be made", &error),
            },
            DiskDone::IdentityStored(Ok(identity)) => {
                self.identity = identity;
                DiskEvent::Progress
            }
            DiskDone::IdentityStored(Err(error)) => failed("the identity could not be written", &error),
            DiskDone::Surveyed(done) => DiskEvent::Damage { keys: self.on_surveyed(done) },
            DiskDone::Read(read) => {
                let unread =
                    |error: ReadError| Unread { is_damaged: matches!(error, ReadError::Damaged { .. }), reason: error.to_string() };
                let senseless = |reason| Unread { is_damaged: false, reason };
                let result = read.result.map_err(unread).and_then(|bytes| self.warm(read.location, &bytes).map_err(senseless));
                DiskEvent::Record { ticket: read.ticket, result }
            }
        }
    }

    /// Does something to the log, and tells people when the disk gets full by it, or has room again.
    fn with_fullness_told<T>(&mut self, act: impl FnOnce(&mut Log) -> T) -> T {
        let was_full = self.log.is_full();
        let done = act(&mut self.log);
        match (was_full, self.log.is_full()) {
            (false, true) => {
                tracing::warn!("the disk is full: writes are refused until there is room; it is tried again every second")
            }
            (true, false) => tracing::warn!("the disk has room again: writes are taken"),
            _ => {}
        }
        done
    }

    fn warm(&mut self, location: Location, bytes: &[u8]) -> Result<(), String> {
        match Record::read(bytes).map_err(|error| error.to_string())? {
            (_, Record::Entry { entry, .. } | Record::Hint { entry, .. }) => {
                self.cache.insert(location, Bytes::copy_from_slice(entry));
                Ok(())
            }
            (position, _) => Err(format!("record {} at {location:?} holds no entry", position.0)),
        }
    }

    /// The position of the record appended last.
    pub fn appended(&self) -> Position {
        self.log.last()
    }

    /// Everything up to this position is durable.
    pub fn durable(&self) -> Position {
        self.log.progress().durable
    }

    /// What a promise that stands on a position has to wait for: under `always` that position, otherwise nothing.
    pub fn promise(&self, position: Position) -> Position {
        if self.sync == SyncMode::Always && !is_broken(Rule::AckEarly) { position } else { Position(0) }
    }

    /// True while the disk has no room for the next segment of the log. What still fits is written; the disk is tried again every second.
    pub fn is_full(&self) -> bool {
        self.log.is_full()
    }

    /// True if it takes nothing from others any more: its disk is full, and what it could keep waiting for room does.
    pub fn has_no_room(&self) -> bool {
        self.is_full() && self.pending_bytes() >= self.waiting_bytes_full
    }

    /// Bytes that wait for the disk.
    pub fn pending_bytes(&self) -> usize {
        self.log.pending_bytes()
    }

    /// Bytes of the log on the disk.
    pub fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Begins a clean stop: nothing is appended any more, and the log ends with a mark that names this start.
    pub fn stop(&mut self) {
        self.log.stop();
    }

    /// True when the mark of a clean stop is durable.
    pub fn is_stopped(&self) -> bool {
        self.log.is_stopped()
    }
}
