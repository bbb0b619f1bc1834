//! One peer and what lies under it: its disk, its disk jobs, its clock. The driver's half of "a peer is a function".

use crate::dice::Dice;
use crate::disk::{Fate, Faults, NO_ROOM, SimDisk};
use crate::machine_clock::MachineClock;
use crate::oracle::durability::Shadow;
use crate::oracle::views::Beliefs;
use crate::questions::{Asked, Questions};
use crate::tuning::Tuning;
use henge::broken::{Rule, is_broken};
use henge::message::{Position, SyncMode};
use henge::peer::{Now, Output, Peer, PeerConfig};
use henge::ring::MemberId;
use henge::storage::{DiskDone, DiskJob, LogWrite, OpenFiles, OpenOptions, Store, StoreOptions, execute};
use henge::vclock::{Actor, Start};
use std::collections::BTreeMap;

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

/// What became of a start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    /// It is up.
    Up,
    /// The power failed in the middle of it.
    Crashed,
    /// A call to the disk failed, and the process has ended with what it says.
    Failed,
    /// The disk has no room for what a start has to write.
    NoRoom,
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
    /// What it answers, if it answers a message.
    pub asked: Option<Asked>,
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
    pub asked: Questions,
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
    /// What it has believed of the others in this start.
    pub(crate) beliefs: Beliefs,
    /// When it last woke, by its own clock (milliseconds), and how often in that millisecond.
    pub(crate) woken: (u64, u32),
    /// All files together have room for so many bytes, if the disk is full.
    pub(crate) capacity: Option<u64>,
    /// A call of its disk has failed: the process is about to end.
    pub(crate) has_failed: bool,
    /// The process has ended by itself; nothing reaches the peer any more.
    pub(crate) is_halted: bool,
    /// The power fails so long after its next start (microseconds).
    pub(crate) cut_after_start: Option<u64>,
    zone: String,
    tuning: Tuning,
    pub(crate) disk: SimDisk,
    pub(crate) files: OpenFiles<SimDisk>,
}

impl Node {
    /// True while the peer fetches records from the others that its disk has damaged.
    pub fn is_healing(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.load().healings > 0)
    }

    /// A peer that was never started, with an empty disk.
    pub fn new(index: usize, zones: u64, tuning: Tuning) -> Node {
        Node {
            name: match index {
                0..26 => char::from(b'A' + index as u8).to_string(),
                _ => format!("P{index}"),
            },
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
            asked: Questions::default(),
            has_formed: false,
            first_identity: Vec::new(),
            hurt: None,
            is_away: false,
            quarantine: false,
            old_disk: None,
            old_start: Start(0),
            beliefs: Beliefs::default(),
            woken: (0, 0),
            capacity: None,
            has_failed: false,
            is_halted: false,
            cut_after_start: None,
            zone: format!("zone {}", index as u64 % zones),
            tuning,
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
        self.disk.set_faults(Faults { sync_lies: true, ..Faults::default() });
    }

    /// How its log is opened at this time.
    pub(crate) fn open_options(&self, time: u64, dice: &mut Dice) -> OpenOptions {
        OpenOptions {
            segment_bytes_min: self.tuning.segment_bytes_min,
            segment_bytes_max: self.tuning.segment_bytes_max,
            quarantine: self.quarantine,
            ..OpenOptions::new(self.now(time).wall_ms, dice.number())
        }
    }

    /// Starts it, with what is to go wrong with its disk in the middle of the recovery.
    pub fn start(&mut self, time: u64, sync: SyncMode, faults: Faults, dice: &mut Dice) -> Result<Started, String> {
        let now = self.now(time);
        let log = self.open_options(time, dice);
        let peer_seed = dice.number();
        self.disk.set_faults(Faults { capacity: self.capacity, ..faults });
        let opened = Store::open(&self.disk, &StoreOptions { sync, cache_bytes: self.tuning.cache_bytes, log });
        let has_met = |call: Option<u64>| call.is_some_and(|call| self.disk.calls() > call);
        let (has_crashed, has_failed) = (has_met(faults.crash), has_met(faults.fail));
        self.settle_disk();
        if has_crashed {
            self.lose_power(dice);
            return Ok(Started::Crashed);
        }
        if opened.is_err() && has_failed {
            return Ok(Started::Failed);
        }
        if self.capacity.is_some() && opened.as_ref().is_err_and(|error| finds_no_room(&error.to_string())) {
            return Ok(Started::NoRoom);
        }
        if opened.is_err() && self.hurt == Some(Hurt::Damaged) && !self.quarantine {
            // A person has read what it says, and starts it with `--quarantine`.
            self.quarantine = true;
            return self.start(time, sync, Faults::default(), dice);
        }
        let (mut store, _) = opened.map_err(|error| error.to_string())?;
        store.set_bounds(self.tuning.bounds);
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
        (self.has_failed, self.is_halted, self.beliefs) = (false, false, Beliefs::default());
        let (name, address, zone) = (self.name.clone(), self.address(), self.zone.clone());
        let config = PeerConfig { name, address, zone, weight: 1, hedges: self.tuning.hedges };
        let mut peer = Peer::new(store, config, peer_seed, now);
        if self.tuning.compare_round_ms.is_some() {
            peer.set_comparing(self.tuning.compare_round_ms);
        }
        self.peer = Some(peer);
        Ok(Started::Up)
    }

    /// From now on nothing goes wrong with the disk but that it is full, if it is.
    pub(crate) fn settle_disk(&self) {
        self.disk.set_faults(Faults { capacity: self.capacity, ..Faults::default() });
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
        self.settle_disk();
    }

    /// Does a disk job.
    pub fn execute(&mut self, job: DiskJob) -> DiskDone {
        execute(&self.disk, &mut self.files, job)
    }
}

/// True if a start has ended as the disk is full; a log that is begun anew says so in words of its own.
fn finds_no_room(error: &str) -> bool {
    error.contains(NO_ROOM) || error.contains("there is no room for the new log")
}
