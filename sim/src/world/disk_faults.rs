//! Disks that fail: a call that goes wrong, a disk that is full for a while, a bit that flips.
//!
//! A sync that fails drops what it should have made durable, and the next one says that all is well: so the process must end, and its next
//! start must not believe what it reads before it has written it again. What is lost by that was never promised: it needs no budget. A flipped bit
//! does, and is a disaster like others (`disasters`).

use super::{Event, World};
use crate::disk::Faults;
use crate::node::{Down, Started};
use crate::oracle::Violation;
use crate::plan::Disaster;
use crate::schedule::{Kind, Strike};
use henge::storage::{Call, DiskJob};

/// Syncs and writes beside those of the log are so many times as likely to fail: there are few of them.
const RARE: f64 = 10.0;
/// Calls of a start among which one fails.
const FIRST_CALLS: u64 = 60;
/// A process that has found no room is started again after so long (microseconds).
const NO_ROOM_WAIT: u64 = 300_000;

impl World {
    /// From now on disks fail.
    pub(super) fn start_disk_faults(&mut self) {
        self.schedule_full_disk();
    }

    /// All disks have room again, and none fails any more.
    pub(super) fn stop_disk_faults(&mut self) {
        for n in 0..self.nodes.len() {
            self.nodes[n].cut_after_start = None;
            self.make_room(n);
        }
    }

    fn disks_may_fail(&self) -> bool {
        self.is_chaotic && self.time >= self.idle_until
    }

    /// Decides whether a call of this job fails, and which. True if one is to.
    pub(super) fn fail_job(&mut self, n: usize, job: &DiskJob) -> bool {
        let call = match job {
            DiskJob::Read(_) | DiskJob::Survey(_) => self.draw_failed_read(n),
            DiskJob::Write(write) => self.draw_failed_write(n, 1.0).or_else(|| self.draw_failed_sync(n, 1.0, write.sync)),
            DiskJob::Prepare(_) | DiskJob::StoreIdentity(_) => {
                self.draw_failed_write(n, RARE).or_else(|| self.draw_failed_sync(n, RARE, true))
            }
        };
        if let Some(call) = call {
            self.nodes[n].disk.fail_next(Some(call));
            self.nodes[n].has_failed |= call != Call::Read;
        }
        call.is_some()
    }

    /// A fault of this kind, with this probability, if disks may fail now. `what`: for the schedule and the figures.
    fn draw_disk_fault(&mut self, kind: Kind, probability: f64, n: usize, what: &str) -> Option<Strike> {
        if !self.schedule.chance(kind, probability) || !self.disks_may_fail() {
            return None;
        }
        let strike = self.schedule.strikes(kind)?;
        self.stats.count_fault(what);
        self.note(strike.name, |world| format!("{what} at {}", world.nodes[n].name));
        Some(strike)
    }

    /// The process must end by it, unless nothing came of it: a disk that was full before, a file that could not even be opened.
    pub(super) fn note_failure(&mut self, n: usize, is_to_fail: bool) {
        if is_to_fail && self.nodes[n].disk.fail_next(None) {
            self.nodes[n].has_failed = false;
        }
    }

    /// Oracle a′: whoever goes on after its disk has failed does not know what it holds.
    pub(super) fn expect_halt(&mut self, n: usize) {
        let node = &self.nodes[n];
        if node.has_failed && !node.is_halted && node.peer.is_some() {
            let what = format!("{} goes on, though a call of its disk has failed", node.name);
            self.violations.push(Violation::new("a′", what));
        }
    }

    /// A record cannot be read.
    fn draw_failed_read(&mut self, n: usize) -> Option<Call> {
        self.draw_disk_fault(Kind::FailedRead, self.plan.disk_faults.failed_reads, n, "failed read").map(|_| Call::Read)
    }

    /// A part of something is written.
    fn draw_failed_write(&mut self, n: usize, times: f64) -> Option<Call> {
        self.draw_disk_fault(Kind::FailedWrite, times * self.plan.disk_faults.failed_writes, n, "failed write").map(|_| Call::Write)
    }

    /// What was written is dropped, and not synced. Behind that the power may fail, some time after the next start.
    fn draw_failed_sync(&mut self, n: usize, times: f64, is_synced: bool) -> Option<Call> {
        let share = if is_synced { times * self.plan.disk_faults.failed_syncs } else { 0.0 };
        let mut strike = self.draw_disk_fault(Kind::FailedSync, share, n, "failed sync")?;
        let is_cut = strike.dice.chance(self.plan.disk_faults.cuts_behind);
        let delay = strike.dice.spread(1_000, 2_000_000);
        self.nodes[n].cut_after_start = is_cut.then_some(delay);
        Some(Call::Sync)
    }

    /// A peer's disk has failed, and its process ends.
    pub(super) fn halt(&mut self, n: usize) {
        self.nodes[n].is_halted = true;
        let incarnation = self.nodes[n].incarnation;
        self.after(0, Event::Halted { node: n, incarnation });
    }

    pub(super) fn on_halted(&mut self, n: usize, incarnation: u64) {
        if self.nodes[n].incarnation == incarnation {
            self.go_down(n, Down::Kill);
        }
    }

    /// A peer whose last sync failed has come up again: now the power fails, if that was drawn.
    pub(super) fn cut_after_start(&mut self, n: usize) {
        if let Some(delay) = self.nodes[n].cut_after_start.take() {
            self.stats.count_fault("power cut behind a failed sync");
            let incarnation = self.nodes[n].incarnation;
            self.after(delay, Event::Down { node: n, incarnation, how: Down::PowerCut });
        }
    }

    /// Starts a peer whose disk fails in one of the first calls; the process ends, and is started again, now and then after a power cut.
    pub(super) fn fail_starts(&mut self, n: usize) {
        if self.nodes[n].peer.is_some() || !self.violations.is_empty() {
            return;
        }
        let share = self.plan.disk_faults.failed_starts;
        let Some(mut strike) = self.draw_disk_fault(Kind::FailedStart, share, n, "failing start") else { return };
        let faults = Faults { fail: Some(strike.dice.below(FIRST_CALLS)), ..Faults::default() };
        let is_cut = strike.dice.chance(0.3);
        match self.nodes[n].start(self.time, self.plan.sync, faults, &mut strike.dice) {
            Ok(Started::Failed) => {
                self.stats.count_fault("failed start");
                if is_cut {
                    self.nodes[n].lose_power(&mut strike.dice);
                }
            }
            Ok(_) => {}
            Err(reason) => self.take_over(n, reason),
        }
    }

    fn schedule_full_disk(&mut self) {
        if let Some(interval) = self.plan.disk_faults.full_interval {
            let delay = (-(1.0 - self.schedule.dice(Kind::FullDisk).unit()).ln() * interval as f64) as u64;
            self.after(delay, Event::FillDisk);
        }
    }

    /// A disk is full for a while, but for a little.
    pub(super) fn fill_disk(&mut self) {
        if !self.is_chaotic {
            return;
        }
        self.schedule_full_disk();
        let Some(Strike { name, mut dice }) = self.schedule.strikes(Kind::FullDisk) else { return };
        let n = dice.below(self.nodes.len() as u64) as usize;
        let left = *dice.pick(&[0, 0, 100, 5_000, 20_000]);
        let length = dice.spread(200_000, 4_000_000);
        if !self.disks_may_fail() || self.nodes[n].capacity.is_some() {
            return;
        }
        self.stats.count_fault("full disk");
        self.note(name, |world| format!("the disk of {} is full for {} ms", world.nodes[n].name, length / 1_000));
        let node = &mut self.nodes[n];
        node.capacity = Some(node.disk.used() + left);
        node.settle_disk();
        self.trace.event(self.time, format_args!("full {n} {left}"), || format!("the disk of {} is full", self.nodes[n].name));
        self.after(length, Event::Room { node: n });
    }

    /// A disk has room again.
    pub(super) fn make_room(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if node.capacity.take().is_some() {
            node.settle_disk();
            self.trace.event(self.time, format_args!("room {n}"), || format!("the disk of {} has room again", self.nodes[n].name));
        }
    }

    /// True if no peer takes its disk for full.
    pub(crate) fn has_room(&self) -> bool {
        self.nodes.iter().all(|node| node.peer.as_ref().is_some_and(|peer| !peer.store().is_full()))
    }

    /// A process that has found no room to start is started again later.
    pub(super) fn wait_for_room(&mut self, n: usize) {
        self.stats.count_fault("no room to start");
        self.after(NO_ROOM_WAIT, Event::Start { node: n });
    }

    /// A bit of a peer's disk flips.
    pub(super) fn flip_bit(&mut self, n: usize, strike: &mut Strike) {
        match self.nodes[n].flip_bit(&mut strike.dice) {
            Some(true) => self.note_disaster(n, Disaster::Flip, Some(strike.name)),
            Some(false) => self.stats.count_fault("flipped bit that nothing uses"),
            None => {}
        }
    }
}
