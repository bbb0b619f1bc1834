//! One life of a store: open it, append, commit; and the oracle that judges what a start finds.

use crate::disk::SimDisk;
use henge::message::Position;
use henge::storage::{
    DiskDone, DiskError, DiskJob, Location, Log, LogWrite, OpenError, OpenFiles, OpenOptions, Opened, Record, RetryRecord, execute,
    open,
};
use henge::vclock::Start;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;
use std::fmt;

/// The segments of the tries are small, so that many of them are crossed (bytes).
pub const SEGMENT_BYTES_MIN: u64 = 8 << 10;
/// See there.
pub const SEGMENT_BYTES_MAX: u64 = 16 << 10;

/// What was appended, in order, and how much of it was acknowledged as synced.
#[derive(Clone, Default, Debug)]
pub struct History {
    /// The records.
    pub records: Vec<Written>,
    /// So many of them were acknowledged.
    pub acknowledged: usize,
    /// The start numbers up to this one may have been used; 0 before the first.
    pub start: u32,
    /// Whether the last life has begun to stop cleanly.
    pub stopping: bool,
}

/// A record that was appended. Its bytes follow from its number and length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Where it stands in the log.
    pub position: Position,
    /// Its place.
    pub location: Location,
    /// Its number.
    pub number: u64,
    /// The bytes of its value.
    pub length: usize,
}

/// The oracle does not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What is wrong.
    pub what: String,
    /// How we got there.
    pub place: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.place)
    }
}

impl Violation {
    /// Of this kind, at this place.
    pub fn new(what: impl Into<String>, place: impl Into<String>) -> Violation {
        Violation { what: what.into(), place: place.into() }
    }
}

/// Why a life ended early.
pub enum Halt {
    /// The disk failed, as it was told to.
    Disk(DiskError),
    /// The store was not opened.
    Open(OpenError),
    /// The oracle does not hold.
    Violation(Violation),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Disk(error) => error.fmt(f),
            Halt::Open(error) => error.fmt(f),
            Halt::Violation(violation) => violation.fmt(f),
        }
    }
}

/// One thing that a life does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Appends a record with a value of so many bytes.
    Append(usize),
    /// Appends the record once more that the crash before this life has lost first, with the same length and number: what the lost
    /// one has left on the disk begins and ends at the same bytes.
    Again,
    /// Writes what is pending, and syncs it or not.
    Commit(bool),
    /// Syncs an idle mark.
    Idle,
    /// Stops cleanly.
    Stop,
}

/// A first life: small batches, some of many sectors, some without a sync, a record larger than a segment.
pub fn script(seed: u64, batches: usize) -> Vec<Step> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut steps = Vec::new();
    for batch in 0..batches {
        for _ in 0..random.random_range(1..=4) {
            let length = match random.random_range(0..10) {
                0..4 => random.random_range(0..40),
                4..9 => random.random_range(40..500),
                _ => random.random_range(500..2_500),
            };
            steps.push(Step::Append(length));
        }
        if batch == batches / 2 {
            steps.push(Step::Append(SEGMENT_BYTES_MIN as usize));
        }
        steps.push(Step::Commit(random.random_range(0..6) > 0));
        if random.random_range(0..5) == 0 {
            steps.push(Step::Idle);
        }
    }
    steps.push(Step::Commit(true));
    steps
}

/// A second life, shorter, with batches that end where torn bytes of the first may lie.
pub fn second_script(seed: u64) -> Vec<Step> {
    let lengths = [30, 200, 500];
    let length = lengths[seed as usize % lengths.len()];
    let first = if seed.is_multiple_of(3) { Step::Append(length) } else { Step::Again };
    let last = if seed.is_multiple_of(5) { Step::Stop } else { Step::Commit(true) };
    let sync = Step::Commit(seed.is_multiple_of(2));
    vec![first, Step::Commit(true), Step::Again, sync, Step::Append(300), last]
}

/// How far a life had come when the disk had been called so often.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// Copies that the disk had kept.
    pub recorded: usize,
    /// Records that were appended.
    pub appended: usize,
    /// Records that were acknowledged.
    pub acknowledged: usize,
    /// The newest start number that may have been used.
    pub start: u32,
    /// Whether it had begun to stop.
    pub stopping: bool,
}

/// A life under way.
pub struct Life<'d> {
    disk: &'d SimDisk,
    files: OpenFiles<SimDisk>,
    /// What has been appended.
    pub history: History,
    /// The lengths of the records that the crash before this life has lost.
    lost: VecDeque<usize>,
    /// How it went.
    pub notes: Vec<Note>,
}

impl<'d> Life<'d> {
    /// A life that goes on from this history.
    pub fn new(disk: &'d SimDisk, history: History) -> Life<'d> {
        let mut life = Life { disk, files: OpenFiles::default(), history, lost: VecDeque::new(), notes: Vec::new() };
        life.note();
        life
    }

    fn note(&mut self) {
        let History { ref records, acknowledged, start, stopping } = self.history;
        let (recorded, appended) = (self.disk.recorded(), records.len());
        self.notes.push(Note { recorded, appended, acknowledged, start, stopping });
    }

    /// What may be found on the copy with this number: history as far as it had come, and how much of it must be there.
    pub fn at(&self, copy: usize) -> History {
        let note = self.notes.iter().rev().find(|note| note.recorded <= copy + 1).expect("the first note is from before");
        // A start that recovers less than was appended takes the rest back; what came before that is in the first note's history.
        let records = self.history.records[..note.appended.min(self.history.records.len())].to_vec();
        History { records, acknowledged: note.acknowledged, start: note.start, stopping: note.stopping }
    }

    /// Opens the store, judges what is found, and does these steps.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), Halt> {
        let (opened, found) = judge(self.disk, &self.history, "a life").map_err(|refusal| match refusal {
            Refusal::Open(error) => Halt::Open(error),
            Refusal::Violation(violation) => Halt::Violation(violation),
        })?;
        // Opening has made durable what it found, and decided that there is no more.
        self.lost = self.history.records.drain(found..).map(|lost| lost.length).collect();
        self.history.acknowledged = found;
        self.history.start = opened.identity.start.0;
        self.history.stopping = false;
        self.note();
        let mut log = opened.log;
        steps.iter().try_for_each(|step| self.step(&mut log, *step)).map_err(Halt::Disk)
    }

    fn step(&mut self, log: &mut Log, step: Step) -> Result<(), DiskError> {
        match step {
            Step::Append(length) => self.append(log, length),
            Step::Again => {
                let length = self.lost.pop_front().unwrap_or(30);
                self.append(log, length);
            }
            Step::Commit(sync) => {
                while let Some(write) = self.next_write(log, sync)? {
                    self.write(log, write)?;
                }
                self.prepare(log)?;
            }
            Step::Idle => {
                if let Some(write) = log.take_idle_mark() {
                    self.write(log, write)?;
                }
            }
            Step::Stop => {
                log.stop();
                self.history.stopping = true;
                self.note();
                while let Some(write) = self.next_write(log, true)? {
                    self.write(log, write)?;
                }
                assert!(log.is_stopped(), "nothing is left to write after a stop");
            }
        }
        Ok(())
    }

    fn append(&mut self, log: &mut Log, length: usize) {
        let number = self.history.records.len() as u64;
        let (key, value) = content(number, length);
        let appended = log.append(&record(number, &key, &value)).expect("it is not too large");
        let read = log.peek(appended.location).map(|bytes| Record::read(bytes).expect("it is whole"));
        assert_eq!(read, Some((appended.position, record(number, &key, &value))), "what is pending can be read");
        self.history.records.push(Written { position: appended.position, location: appended.location, number, length });
        self.note();
    }

    /// The next batch, after preparing a segment for it if it needs one.
    fn next_write(&mut self, log: &mut Log, sync: bool) -> Result<Option<LogWrite>, DiskError> {
        if let Some(write) = log.take_write(sync) {
            return Ok(Some(write));
        }
        let more = self.prepare(log)?;
        Ok(if more { log.take_write(sync) } else { None })
    }

    fn prepare(&mut self, log: &mut Log) -> Result<bool, DiskError> {
        let mut any = false;
        while let Some(prepare) = log.take_prepare(0, 7) {
            let DiskDone::Prepared(done) = execute(self.disk, &mut self.files, DiskJob::Prepare(prepare)) else { unreachable!() };
            log.on_prepared(done)?;
            any = true;
        }
        Ok(any)
    }

    fn write(&mut self, log: &mut Log, write: LogWrite) -> Result<(), DiskError> {
        let DiskDone::Written(done) = execute(self.disk, &mut self.files, DiskJob::Write(write)) else { unreachable!() };
        let progress = log.on_write_done(done)?;
        let History { records, acknowledged, .. } = &mut self.history;
        *acknowledged = records.partition_point(|record| record.position <= progress.durable);
        self.note();
        Ok(())
    }
}

/// What a start does instead of opening the store as it should.
#[derive(Debug)]
pub enum Refusal {
    /// It refuses.
    Open(OpenError),
    /// It finds what it must not, or does not find what it must.
    Violation(Violation),
}

/// Opens the store on this disk, and holds what it finds against the history; says how many records it found.
pub fn judge(disk: &SimDisk, history: &History, place: &str) -> Result<(Opened, usize), Refusal> {
    let mut found = 0;
    let mut wrong = None;
    let options = OpenOptions {
        segment_bytes_min: SEGMENT_BYTES_MIN,
        segment_bytes_max: SEGMENT_BYTES_MAX,
        ..OpenOptions::new(0, u64::from(history.start) << 32 | disk.syncs())
    };
    let opened = open(disk, &options, &mut |location, position, got| {
        let right = history.records.get(found).is_some_and(|written| {
            (written.position, written.location) == (position, location) && is_record(written.number, written.length, got)
        });
        if !right && wrong.is_none() {
            wrong = Some(format!("record {found} at position {} is not what was appended there", position.0));
        }
        found += 1;
    });
    let opened = opened.map_err(Refusal::Open)?;
    if found < history.acknowledged {
        wrong = wrong.or(Some(format!("{} records were acknowledged, {found} are found", history.acknowledged)));
    }
    if opened.identity.start <= Start(history.start) {
        wrong = wrong.or(Some(format!("start number {} is used again", opened.identity.start.0)));
    }
    if opened.stopped_cleanly && !history.stopping {
        wrong = wrong.or(Some("a start counts as stopped cleanly that did not".into()));
    }
    match wrong {
        None => Ok((opened, found)),
        Some(what) => Err(Refusal::Violation(Violation::new(what, place))),
    }
}

/// For what a crash has left: it must be opened, and be right.
pub fn must_open(disk: &SimDisk, history: &History, place: &dyn Fn() -> String) -> Result<usize, Violation> {
    match judge(disk, history, "") {
        Ok((_, found)) => Ok(found),
        Err(Refusal::Open(error)) => Err(Violation::new(format!("refused: {error}"), place())),
        Err(Refusal::Violation(violation)) => Err(Violation { place: place(), ..violation }),
    }
}

fn content(number: u64, length: usize) -> ([u8; 8], Vec<u8>) {
    (number.to_le_bytes(), (0..length).map(|at| byte(number, at)).collect())
}

fn byte(number: u64, at: usize) -> u8 {
    (number as u8).wrapping_mul(31).wrapping_add(at as u8) | 1
}

fn record<'a>(number: u64, key: &'a [u8], value: &'a [u8]) -> Record<'a> {
    let retry = number.is_multiple_of(5).then_some(RetryRecord {
        session: number,
        number,
        digest: !number,
        wall_ms: 7,
        first_counter: number << 32,
        count: 1,
        covered: &key[..3],
    });
    let gone = if number.is_multiple_of(7) { &key[..2] } else { &[] };
    match number % 11 {
        10 => Record::Clock { partition: number as u16, epoch: 3, clock: value },
        _ => Record::Entry { partition: number as u16, epoch: number as u32, key, entry: value, gone, retry },
    }
}

fn is_record(number: u64, length: usize, got: &Record<'_>) -> bool {
    let (Record::Entry { entry: value, .. } | Record::Clock { clock: value, .. }) = got else { return false };
    let same = value.len() == length && value.iter().enumerate().all(|(at, found)| *found == byte(number, at));
    same && *got == record(number, &number.to_le_bytes(), value)
}
