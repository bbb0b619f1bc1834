//! One peer and what lies under it: its disk, its disk jobs, its clock. The driver's half of "a peer is a function".

use crate::dice::Dice;
use crate::disk::{Fate, SimDisk};
use crate::machine_clock::MachineClock;
use crate::oracle::durability::Shadow;
use bytes::Bytes;
use henge::broken::{Rule, is_broken};
use henge::message::{Message, OperationId, Position, Request, SyncMode};
use henge::peer::{Now, Output, Peer, PeerConfig};
use henge::ring::MemberId;
use henge::storage::{DiskDone, DiskJob, LogWrite, OpenFiles, OpenOptions, Store, StoreOptions, execute};
use henge::vclock::{Actor, Entry, Start};
use std::collections::BTreeMap;

/// Small segments, so that a run goes through several of them.
const SEGMENT_BYTES_MIN: u64 = 32 << 10;
const SEGMENT_BYTES_MAX: u64 = 256 << 10;
/// A small cache, so that reads go to the disk.
const CACHE_BYTES: usize = 2 << 10;

/// How a peer goes down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    /// The process ends; what it has written stays.
    Kill,
    /// The machine loses power; of what is unsynced any part may be lost.
    PowerCut,
    /// It was asked to stop and has finished its log.
    Clean,
}

/// What has happened to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hurt {
    /// Bytes that were durable have changed.
    Damaged,
    /// It is a copy from some time ago.
    Old,
    /// The same, and others have refused it.
    Refused,
}

/// An output that waits for the log.
pub struct Held {
    /// How far.
    pub after: Position,
    /// What waits.
    pub output: Output,
}

/// What has been asked of a peer by a message, and will be answered.
pub enum Asked {
    /// To take in an entry.
    Apply(Bytes, Entry),
    /// To tell what it holds.
    Fetch(Bytes),
    /// To answer a read of a key, in the place of who was asked.
    Get(Bytes),
}

/// One peer, up or down.
pub struct Node {
    /// What people call it: A, B, C…
    pub name: String,
    /// The peer; none while it is down.
    pub peer: Option<Peer>,
    /// Its member id; known from its first start on.
    pub member: MemberId,
    /// The actor under which it writes.
    pub actor: Actor,
    /// The number of its present or last start.
    pub start: Start,
    /// Counts its starts in this run, so that events for an earlier one find nobody.
    pub incarnation: u64,
    /// Disk jobs under way.
    pub jobs: BTreeMap<u64, DiskJob>,
    /// Outputs that wait for the log, in order.
    pub held: Vec<Held>,
    /// For when a wake-up is on its way (microseconds).
    pub wake_at: Option<u64>,
    /// It stands still until then (microseconds).
    pub paused_until: u64,
    /// It was asked to stop, and does nothing but finish its log.
    pub stopping: bool,
    /// The clocks of its machine.
    pub clock: MachineClock,
    /// What it has promised.
    pub shadow: Shadow,
    /// Messages that it has not answered yet.
    pub asked: BTreeMap<(MemberId, OperationId), Asked>,
    /// It has acknowledged change 0: from then on it has it.
    pub has_formed: bool,
    /// The disk as it was after the first start, for a planted bug.
    first_identity: Vec<(String, Vec<u8>)>,
    /// What has happened to its disk that it has not yet come up from.
    pub hurt: Option<Hurt>,
    /// It stays down when it goes down, until somebody says otherwise.
    pub is_away: bool,
    /// It is started with `--quarantine`.
    pub(crate) quarantine: bool,
    /// The disk of some time ago.
    pub(crate) old_disk: Option<SimDisk>,
    /// The start in which that was made.
    pub(crate) old_start: Start,
    zone: String,
    pub(crate) disk: SimDisk,
    pub(crate) files: OpenFiles<SimDisk>,
}

impl Node {
    /// True while the peer fetches records from the others that its disk has damaged.
    pub fn is_healing(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.load().healings > 0)
    }

    /// A peer that was never started, with an empty disk.
    pub fn new(index: usize, zones: u64) -> Node {
        Node {
            name: char::from(b'A' + index as u8).to_string(),
            peer: None,
            member: MemberId(0),
            actor: Actor(0),
            start: Start(0),
            incarnation: 0,
            jobs: BTreeMap::new(),
            held: Vec::new(),
            wake_at: None,
            paused_until: 0,
            stopping: false,
            clock: MachineClock::default(),
            shadow: Shadow::default(),
            asked: BTreeMap::new(),
            has_formed: false,
            first_identity: Vec::new(),
            hurt: None,
            is_away: false,
            quarantine: false,
            old_disk: None,
            old_start: Start(0),
            zone: format!("zone {}", index as u64 % zones),
            disk: SimDisk::new(),
            files: OpenFiles::default(),
        }
    }

    /// The time as this peer is told it.
    pub fn now(&self, time: u64) -> Now {
        self.clock.now(time)
    }

    /// Where others would reach it.
    pub fn address(&self) -> String {
        format!("{}:7400", self.name)
    }

    /// Its failure zone.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// From now on the disk's syncs do nothing.
    pub fn make_disk_lie(&self) {
        self.disk.set_faults(crate::disk::Faults { sync_lies: true, ..Default::default() });
    }

    /// How its log is opened at this time.
    pub(crate) fn open_options(&self, time: u64, dice: &mut Dice) -> OpenOptions {
        OpenOptions {
            segment_bytes_min: SEGMENT_BYTES_MIN,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            quarantine: self.quarantine,
            ..OpenOptions::new(self.now(time).wall_ms, dice.number())
        }
    }

    /// Starts it. With `crash_at` the power fails at that call to the disk, in the middle of the recovery; then the answer is `Ok(false)`.
    pub fn start(&mut self, time: u64, sync: SyncMode, crash_at: Option<u64>, dice: &mut Dice) -> Result<bool, String> {
        let now = self.now(time);
        let log = self.open_options(time, dice);
        let peer_seed = dice.number();
        if let Some(call) = crash_at {
            self.disk.set_faults(crate::disk::Faults { crash: Some(call), ..Default::default() });
        }
        let opened = Store::open(&self.disk, &StoreOptions { sync, cache_bytes: CACHE_BYTES, log });
        let has_crashed = crash_at.is_some_and(|call| self.disk.calls() > call);
        if crash_at.is_some() {
            self.disk.set_faults(crate::disk::Faults::default());
        }
        if has_crashed {
            self.lose_power(dice);
            return Ok(false);
        }
        if opened.is_err() && self.hurt == Some(Hurt::Damaged) && !self.quarantine {
            // A person has read what it says, and starts it with `--quarantine`.
            self.quarantine = true;
            return self.start(time, sync, None, dice);
        }
        let (store, _) = opened.map_err(|error| error.to_string())?;
        if self.hurt.is_some_and(|hurt| hurt != Hurt::Old) {
            // Whatever it comes up with by that: what it promised before is not asked of it. But it is of one whose damage was healed.
            if self.quarantine || self.hurt != Some(Hurt::Damaged) {
                self.forget();
            }
            (self.hurt, self.quarantine) = (None, false);
        }
        if store.start() <= self.start && !is_broken(Rule::NoStart) {
            return Err(format!("start {} comes after start {}", store.start().0, self.start.0));
        }
        (self.member, self.actor, self.start) = (store.member(), store.actor(), store.start());
        self.incarnation += 1;
        (self.wake_at, self.stopping) = (None, false);
        let config =
            PeerConfig { name: self.name.clone(), address: self.address(), zone: self.zone.clone(), weight: 1, hedges: true };
        self.peer = Some(Peer::new(store, config, peer_seed, now));
        Ok(true)
    }

    /// Puts the identity of the first start back, as if no later one had been synced. For a planted bug.
    pub fn forget_starts(&mut self) {
        let files = self.disk.durable_files().into_iter().filter(|(path, _)| path.starts_with("NODE"));
        if self.first_identity.is_empty() {
            self.first_identity = files.map(|(path, bytes)| (path, bytes.to_vec())).collect();
            return;
        }
        for (path, bytes) in self.first_identity.clone() {
            self.disk.damage(&path, |now| *now = bytes);
        }
        self.start = Start(0);
    }

    /// It goes down. Its memory is gone; what becomes of its disk depends.
    pub fn go_down(&mut self, how: Down, dice: &mut Dice) {
        self.peer = None;
        self.held.clear();
        self.asked.clear();
        for (_, job) in std::mem::take(&mut self.jobs) {
            // What was under way may have come any way.
            match job {
                DiskJob::Read(_) => {}
                DiskJob::Write(write) if dice.chance(0.7) => {
                    let write = LogWrite { sync: write.sync && dice.chance(0.2), ..write };
                    execute(&self.disk, &mut self.files, DiskJob::Write(write));
                }
                job if dice.chance(0.3) => {
                    execute(&self.disk, &mut self.files, job);
                }
                _ => {}
            }
        }
        if how == Down::PowerCut {
            self.lose_power(dice);
        }
        self.files = OpenFiles::default();
    }

    /// Keeps any subset of what is unsynced. Whole files lost and kept are as likely as mixtures.
    pub(crate) fn lose_power(&mut self, dice: &mut Dice) {
        let kept = *dice.pick(&[0.0, 0.0, 0.2, 0.5, 0.8, 1.0]);
        self.disk = self.disk.after_power_cut(|_| match dice.unit() {
            share if share >= kept => Fate::Lost,
            share if share < kept * 0.1 => Fate::Torn((share * 1e6) as usize % 512),
            _ => Fate::Kept,
        });
        self.files = OpenFiles::default();
    }

    /// Does a disk job.
    pub fn execute(&mut self, job: DiskJob) -> DiskDone {
        execute(&self.disk, &mut self.files, job)
    }
}

/// What a message asks for, if its answer is a promise.
pub fn asks(message: &Message) -> Option<(OperationId, Asked)> {
    let found = asked_by(message)?;
    // All that nobody waits for has this number: two such questions cannot be told apart by their answers.
    (found.0 != OperationId(0)).then_some(found)
}

fn asked_by(message: &Message) -> Option<(OperationId, Asked)> {
    match message {
        // What a stand-in promises it may have handed over before it is asked again.
        Message::Apply(apply) if apply.owed.is_empty() => {
            let entry = henge::vclock::unpack(&apply.entry).ok()?;
            Some((apply.operation, Asked::Apply(apply.key.clone(), entry)))
        }
        Message::Fetch(fetch) => Some((fetch.operation, Asked::Fetch(fetch.key.clone()))),
        Message::Forward(forward) => match &forward.request {
            Request::Get(get) => Some((forward.operation, Asked::Get(get.key.clone()))),
            _ => None,
        },
        _ => None,
    }
}
