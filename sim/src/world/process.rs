//! A peer as its driver sees it: inputs handed in, outputs held until the log allows them, disk jobs, timers, going down and coming up.

use super::{Event, Stream, World};
use crate::conversation::About;
use crate::disk::Faults;
use crate::node::{Down, Held, Hurt, Started};
use crate::oracle::Violation;
use crate::plan::Plant;
use crate::questions::Asked;
use crate::schedule::{Kind, Strike};
use crate::trace;
use henge::message::{FetchMode, Position, SyncMode};
use henge::peer::{Input, Output};
use henge::storage::DiskJob;

impl World {
    /// Hands an input to a peer that is up, and does what it wants done.
    pub(crate) fn step(&mut self, n: usize, input: Input) {
        let node = &mut self.nodes[n];
        let now = node.now(self.time);
        let Some(peer) = node.peer.as_mut().filter(|_| !node.is_halted) else { return };
        if node.stopping && !matches!(input, Input::Disk(_) | Input::Wake) {
            return;
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        peer.step(now, input, &mut outbox);
        outbox.drain(..).for_each(|output| self.route(n, output));
        self.outbox = outbox;
        self.settle(n);
    }

    pub(super) fn route(&mut self, n: usize, output: Output) {
        match output {
            Output::Send { to, after, ref message } => {
                let asked = self.nodes[n].asked.answer(to, message);
                self.nodes[n].held.push(Held { after, output, asked });
            }
            Output::Reply { after, .. } => self.nodes[n].held.push(Held { after, output, asked: None }),
            Output::Disk(job) => self.start_job(n, job),
            Output::Members => self.dial_all(n),
            Output::HangUp => self.hang_up(n),
            Output::Refused { reason } if self.nodes[n].hurt == Some(Hurt::Old) => {
                let incarnation = self.nodes[n].incarnation;
                self.after(0, Event::Refused { node: n, incarnation, reason });
            }
            Output::Halt { .. } if self.nodes[n].has_failed => self.halt(n),
            Output::Halt { reason } | Output::Refused { reason } => {
                self.violations.push(Violation::new("halt", format!("{} stops: {reason}", self.nodes[n].name)));
            }
        }
    }

    /// Starts the next log write, lets go what may leave, sets the timer.
    pub(super) fn settle(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let now = node.now(self.time);
        let Some(peer) = node.peer.as_mut().filter(|_| !node.is_halted) else { return };
        if let Some(job) = peer.take_log_write(now) {
            self.start_job(n, job);
        }
        let node = &mut self.nodes[n];
        let Some(peer) = node.peer.as_ref() else { return };
        let released = if self.plan.plant == Plant::EarlyRelease { Position(u64::MAX) } else { peer.released() };
        let (leave, stay) = std::mem::take(&mut node.held).into_iter().partition(|held| held.after <= released);
        node.held = stay;
        let is_finished = node.stopping && peer.is_drained() && node.jobs.is_empty();
        if let Some(wake_ms) = peer.next_wake() {
            let at = node.clock.when(wake_ms).max(self.time + 1);
            if node.wake_at.is_none_or(|earlier| at < earlier) {
                node.wake_at = Some(at);
                let incarnation = node.incarnation;
                self.after(at - self.time, Event::Wake { node: n, incarnation, at });
            }
        }
        let leave: Vec<Held> = leave;
        leave.into_iter().for_each(|held| self.leave(n, held.output, held.asked));
        if self.trace.events().is_multiple_of(64) {
            self.check_bounds(n);
        }
        if self.disks_lost > 0 && self.nodes[n].is_healing() {
            self.healed_at = self.time;
        }
        if is_finished {
            self.go_down(n, Down::Clean);
        }
    }

    /// An output leaves its peer: from here on it is a promise of what it was asked for.
    pub(super) fn leave(&mut self, n: usize, output: Output, asked: Option<Asked>) {
        match output {
            Output::Send { to, message, .. } => {
                self.note_promise(n, &message, asked);
                self.strike(n, to, &message);
                self.waylay_hint(n, to, &message);
                self.send(n, to, message);
            }
            Output::Reply { to, reply, .. } => {
                self.note_receipt(n, to, &reply);
                self.trace.event_about(&About::Answer(to), self.time, format_args!("reply {n} {to:?}"), || {
                    format!("{} ⇒ client {}.{}: {}", self.nodes[n].name, to.client, to.request, trace::reply(&reply))
                });
                let usual = self.plan.network.usual_delay(self.network_dice.of(n, n));
                let delay =
                    self.delay(usual, |world| format!("slow: an answer of {} to client {}", world.nodes[n].name, to.client));
                self.send_reply(delay, to, &reply);
                self.wait_for_acknowledgement(n, &reply);
            }
            Output::Disk(_) | Output::Members | Output::HangUp | Output::Halt { .. } | Output::Refused { .. } => {
                unreachable!("only what names a position is held")
            }
        }
        if self.is_chaotic
            && self.schedule.chance(Kind::CrashAtSend, self.plan.process.crash_at_send)
            && let Some(mut strike) = self.schedule.strikes(Kind::CrashAtSend)
        {
            let incarnation = self.nodes[n].incarnation;
            let delay = strike.dice.below(200);
            self.note(strike.name, |world| format!("{} loses power just after it has sent something", world.nodes[n].name));
            self.after(delay, Event::Down { node: n, incarnation, how: Down::PowerCut });
        }
    }

    pub(super) fn start_job(&mut self, n: usize, job: DiskJob) {
        self.jobs += 1;
        let number = self.jobs;
        let mut latency = self.plan.disk.usual_latency(&mut self.disk_dice[n]);
        if self.schedule.chance(Kind::SlowDisk, self.plan.disk.tail)
            && let Some(mut strike) = self.schedule.strikes(Kind::SlowDisk)
        {
            latency *= strike.dice.spread(1, 100);
            self.note(strike.name, |world| format!("the disk of {} takes {} ms", world.nodes[n].name, latency / 1_000));
        }
        if matches!(job, DiskJob::Write(_)) {
            latency += self.stall(n);
        }
        self.nodes[n].jobs.insert(number, job);
        let incarnation = self.nodes[n].incarnation;
        self.after(latency, Event::Job { node: n, incarnation, job: number });
    }

    pub(super) fn on_job(&mut self, n: usize, incarnation: u64, number: u64) {
        if self.nodes[n].incarnation != incarnation {
            return;
        }
        let Some(job) = self.nodes[n].jobs.remove(&number) else { return };
        let name = &self.nodes[n].name;
        match &job {
            DiskJob::Write(write) => {
                let (last, sync, bytes) = (write.last.0, write.sync, write.bytes.len());
                self.trace.event_about(&About::Routine, self.time, format_args!("write {n} {last} {bytes} {sync}"), || {
                    format!("{name} disk: {bytes} bytes up to {last}{}", if sync { ", synced" } else { "" })
                });
            }
            other => {
                self.trace.event_about(&About::Routine, self.time, format_args!("job {n} {other:?}"), || {
                    format!("{name} disk: {}", format!("{other:?}").chars().take(90).collect::<String>())
                });
            }
        }
        let is_to_fail = self.fail_job(n, &job);
        let done = self.nodes[n].execute(job);
        self.note_failure(n, is_to_fail);
        self.step(n, Input::Disk(done));
        self.expect_halt(n);
    }

    /// A peer goes down, for a while that is drawn.
    pub(crate) fn go_down(&mut self, n: usize, how: Down) {
        if self.nodes[n].peer.is_some() {
            self.go_down_and_wait(n, how, None);
        }
    }

    /// A peer goes down, for just so long (microseconds).
    pub(crate) fn go_down_for(&mut self, n: usize, how: Down, away: u64) {
        if self.nodes[n].peer.is_some() {
            self.go_down_and_wait(n, how, Some(away));
        }
    }

    fn go_down_and_wait(&mut self, n: usize, how: Down, away: Option<u64>) {
        self.trace.event(self.time, format_args!("down {n} {how:?}"), || format!("{} goes down: {how:?}", self.nodes[n].name));
        self.stats.count_fault(&format!("{how:?}"));
        let mut shadow = std::mem::take(&mut self.nodes[n].shadow);
        shadow.before_crash(|key| self.ask(n, key, FetchMode::Dots));
        shadow.kept_before_crash(|key| self.ask_kept(n, key));
        self.nodes[n].shadow = shadow;
        let mut dice = self.dice_of(Stream::Downs, n);
        self.nodes[n].go_down(how, &mut dice);
        self.break_connections(n);
        for other in (0..self.nodes.len()).filter(|other| *other != n) {
            self.network.set_belief(n, other, false);
            self.break_link(n, other, 2_000_000);
        }
        if self.plan.plant == Plant::OldIdentity {
            self.nodes[n].forget_starts();
        }
        let away = match (away, self.is_chaotic) {
            (Some(away), _) => away,
            (None, true) => dice.spread(20_000, 2_000_000),
            (None, false) => 1_000,
        };
        self.after(away, Event::Start { node: n });
    }

    /// Starts a peer; its recovery may be cut short by the next crash, twice.
    pub(crate) fn start_node(&mut self, n: usize) {
        if self.nodes[n].peer.is_some() || self.nodes[n].is_away {
            return;
        }
        let (hurt, actor) = (self.nodes[n].hurt, self.nodes[n].actor);
        let is_cut = self.is_chaotic && self.schedule.chance(Kind::CrashInRecovery, self.plan.process.crash_in_recovery);
        let mut strike = if is_cut { self.schedule.strikes(Kind::CrashInRecovery) } else { None };
        let cuts = strike.as_mut().map_or(0, |strike| strike.dice.between(1, 2));
        for _ in 0..cuts {
            let Some(Strike { name, dice }) = &mut strike else { break };
            let faults = Faults { crash: Some(dice.below(40)), ..Faults::default() };
            match self.nodes[n].start(self.time, self.plan.sync, faults, dice) {
                Ok(Started::Up | Started::NoRoom) => break,
                Ok(_) => {
                    self.stats.count_fault("crash in recovery");
                    self.note(*name, |world| format!("the start of {} is cut short", world.nodes[n].name));
                }
                Err(reason) => self.take_over(n, reason),
            }
        }
        self.fail_starts(n);
        let mut dice = self.dice_of(Stream::Starts, n);
        while self.nodes[n].peer.is_none() && self.violations.is_empty() {
            match self.nodes[n].start(self.time, self.plan.sync, Faults::default(), &mut dice) {
                Ok(Started::NoRoom) => return self.wait_for_room(n),
                Ok(started) => assert_eq!(started, Started::Up, "nothing was to go wrong"),
                Err(reason) => self.take_over(n, reason),
            }
        }
        if self.nodes[n].peer.is_none() {
            return;
        }
        let node = &self.nodes[n];
        if hurt.is_some_and(|hurt| hurt != Hurt::Old) && node.actor != actor {
            // It goes on with what could be read, and what it has come to hold since it was hurt is lost, too.
            self.note_what_is_lost(n);
        }
        let node = &self.nodes[n];
        if hurt == Some(Hurt::Damaged) {
            let is_healed = node.actor == actor;
            self.stats.count_fault(if is_healed { "came up with a healed log" } else { "came up with what could be read" });
        }
        self.trace.event(self.time, format_args!("start {n} {:?}", node.start), || {
            format!("{} comes up, start {}", node.name, node.start.0)
        });
        if self.plan.plant == Plant::LyingSync {
            node.make_disk_lie();
        }
        if self.plan.plant == Plant::OldIdentity && node.incarnation == 1 {
            self.nodes[n].forget_starts();
        }
        let shadow = std::mem::take(&mut self.nodes[n].shadow);
        if self.plan.sync == SyncMode::Always {
            let name = self.nodes[n].name.clone();
            let broken = shadow.after_recovery(|key| self.ask(n, key, FetchMode::Dots));
            self.violations.extend(broken.into_iter().map(|mut violation| {
                violation.what = format!("{name}: {}", violation.what);
                violation
            }));
            let broken = shadow.kept_after_recovery(|key| self.ask_kept(n, key));
            self.violations.extend(broken);
        }
        self.nodes[n].shadow = shadow;
        self.cut_after_start(n);
        self.dial_all(n);
        self.settle(n);
    }

    pub(super) fn cannot_start(&mut self, n: usize, reason: String) {
        self.violations.push(Violation::new("a′", format!("{} cannot start: {reason}", self.nodes[n].name)));
    }
}
