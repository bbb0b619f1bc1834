//! What goes wrong, when, and how it is mended.

use super::{Event, World};
use crate::dice::Dice;
use crate::machine_clock::TRUE_RATE;
use crate::node::{Down, Node};
use crate::plan::{ClockFault, ProcessPlan};
use crate::schedule::{Kind, Name, Strike};
use henge::message::SyncMode;

/// A kind of fault that comes again and again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// One peer goes down.
    Crash,
    /// All peers lose power.
    Blackout,
    /// A peer stands still.
    Pause,
    /// A peer stands still for minutes.
    LongPause,
    /// Something happens to a machine's clocks.
    Clock,
    /// Links are cut.
    Cut,
    /// A disk is lost, hurt, or put back from an earlier time.
    Disaster,
}

impl Fault {
    /// What it is in a schedule.
    fn kind(self) -> Kind {
        match self {
            Fault::Crash => Kind::Crash,
            Fault::Blackout => Kind::Blackout,
            Fault::Pause => Kind::Pause,
            Fault::LongPause => Kind::LongPause,
            Fault::Clock => Kind::Clock,
            Fault::Cut => Kind::Cut,
            Fault::Disaster => Kind::Disaster,
        }
    }
}

impl World {
    /// Something has gone wrong: it has a place in the schedule.
    pub(crate) fn note(&mut self, name: Name, words: impl FnOnce(&World) -> String) {
        let words = if self.schedule.tells { words(self) } else { String::new() };
        self.schedule.note(name, self.time, words);
    }

    /// From now on faults happen.
    pub(crate) fn start_faults(&mut self) {
        self.is_chaotic = true;
        for fault in [Fault::Crash, Fault::Blackout, Fault::Pause, Fault::LongPause, Fault::Clock, Fault::Cut, Fault::Disaster] {
            self.schedule(fault);
        }
        self.start_disk_faults();
    }

    /// Nothing goes wrong any more, and what is wrong is mended.
    pub(crate) fn stop_faults(&mut self) {
        self.is_chaotic = false;
        self.idle_until = self.time;
        self.slow_jobs = self.jobs;
        self.plan.network = self.plan.network.calm();
        self.plan.process = ProcessPlan::calm();
        self.plan.disk.tail = 0.0;
        self.network.mend();
        self.stop_disk_faults();
        self.latest_wall();
        for n in 0..self.nodes.len() {
            self.resume(n);
            self.nodes[n].is_away = false;
            self.nodes[n].clock.set_rate(self.time, TRUE_RATE);
            self.nodes[n].clock.freeze(self.time, false);
            if self.plan.expiry.is_some() {
                // Where clocks differ for ever, nothing is dropped by those that are wrong.
                self.nodes[n].clock.set_wall_off(self.time, 0);
            }
            self.set_timer_anew(n);
            self.after(0, Event::Start { node: n });
        }
        for (a, b) in self.network.pairs() {
            if !self.network.link(a, b).is_up {
                self.dial_after(1_000, a, b);
            }
        }
    }

    /// A peer that stands still goes on at once, with all that has waited for it.
    fn resume(&mut self, n: usize) {
        let until = self.nodes[n].paused_until;
        if until > self.time {
            self.nodes[n].paused_until = self.time;
            let waited = self.heap.extract_if((until, 0)..(until + 1, 0), |_, event| event.node() == Some(n));
            let waited: Vec<Event> = waited.map(|(_, event)| event).collect();
            waited.into_iter().for_each(|event| self.after(0, event));
        }
    }

    pub(super) fn schedule(&mut self, fault: Fault) {
        let plan = &self.plan.process;
        let interval = match fault {
            Fault::Crash => plan.crash_interval,
            Fault::Blackout => plan.blackout_interval,
            Fault::Pause => plan.pause_interval,
            Fault::LongPause => plan.long_pause.map(|_| self.plan.chaos / 3),
            Fault::Clock => plan.clock_interval,
            Fault::Cut => self.plan.network.cut_interval,
            Fault::Disaster => self.plan.disasters.interval,
        };
        if let Some(interval) = interval {
            let delay = (-(1.0 - self.schedule.dice(fault.kind()).unit()).ln() * interval as f64) as u64;
            self.after(delay, Event::Fault(fault));
        }
    }

    pub(super) fn on_fault(&mut self, fault: Fault) {
        if !self.is_chaotic {
            return;
        }
        if fault == Fault::Disaster {
            return self.on_disaster();
        }
        self.schedule(fault);
        let strike = self.schedule.strikes(fault.kind());
        if self.time < self.idle_until {
            return;
        }
        let Some(Strike { name, mut dice }) = strike else { return };
        let n = dice.below(self.nodes.len() as u64) as usize;
        if !matches!(fault, Fault::Crash) {
            self.stats.count_fault(&format!("{fault:?}"));
        }
        match fault {
            Fault::Crash => self.crash(n, name, dice),
            Fault::Blackout => {
                self.note(name, |_| "all peers lose power".to_string());
                (0..self.nodes.len()).for_each(|n| self.go_down(n, Down::PowerCut));
            }
            Fault::Pause => {
                let length = dice.spread(10_000, 3_000_000);
                self.nodes[n].paused_until = self.time + length;
                self.note(name, |world| format!("{} stands still for {} ms", world.nodes[n].name, length / 1_000));
                self.trace.event(self.time, format_args!("pause {n} {length}"), || {
                    format!("{} stands still for {} ms", self.nodes[n].name, length / 1_000)
                });
            }
            Fault::LongPause => {
                let Some(length) = self.plan.process.long_pause.take() else { return };
                self.idle_until = self.time + length;
                self.note(name, |world| format!("{} does nothing for {} s", world.nodes[n].name, length / 1_000_000));
                if self.has_no_power_for(length) {
                    self.go_down_for(n, Down::PowerCut, length);
                    return;
                }
                self.nodes[n].paused_until = self.time + length;
                self.trace.event(self.time, format_args!("pause {n} {length}"), || {
                    format!("{} stands still for {} s", self.nodes[n].name, length / 1_000_000)
                });
            }
            Fault::Clock => self.disturb_clock(n, name, dice),
            Fault::Cut => self.cut(name, dice),
            Fault::Disaster => {}
        }
    }

    /// True if whoever is away for a long time has no power, and does not only stand still: where a crash may be, in half of the seeds.
    fn has_no_power_for(&self, length: u64) -> bool {
        let is_absence = self.plan.expiry.as_ref().is_some_and(|expiry| expiry.absence == Some(length));
        is_absence && self.plan.sync == SyncMode::Always && self.plan.seed.is_multiple_of(2)
    }

    pub(super) fn crash(&mut self, n: usize, name: Name, mut dice: Dice) {
        let process = &self.plan.process;
        let is_up = self.nodes[n].peer.is_some();
        if dice.chance(process.clean_stops) {
            if is_up {
                self.note(name, |world| format!("{} is asked to stop", world.nodes[n].name));
            }
            let node = &mut self.nodes[n];
            if let Some(peer) = node.peer.as_mut()
                && !node.stopping
            {
                node.stopping = true;
                peer.stop();
                self.trace.event(self.time, format_args!("stop {n}"), || format!("{} is asked to stop", node.name));
                self.settle(n);
            }
        } else {
            let how = if dice.chance(process.kills) { Down::Kill } else { Down::PowerCut };
            if is_up {
                self.note(name, |world| match how {
                    Down::PowerCut => format!("{} loses power", world.nodes[n].name),
                    _ => format!("{} is killed", world.nodes[n].name),
                });
            }
            self.go_down(n, how);
        }
    }

    fn disturb_clock(&mut self, n: usize, name: Name, mut dice: Dice) {
        self.clocks_jumped = true;
        self.latest_wall();
        let fault = *dice.pick(&self.plan.process.clock_faults);
        let (time, clock) = (self.time, &mut self.nodes[n].clock);
        let what = match fault {
            ClockFault::Jump => {
                let years = 10 * 365 * 24 * 3_600 * 1_000;
                let by = *dice.pick(&[0, 1_000, -1_000, 120_000, -120_000, years, -years]);
                clock.set_wall_off(time, by);
                format!("wall clock is off by {by} ms")
            }
            ClockFault::Rate => {
                let rate = *dice.pick(&[500, 900, TRUE_RATE, 1_100, 2_000]);
                clock.set_rate(time, rate);
                format!("clocks run at {rate} thousandths")
            }
            ClockFault::Freeze => {
                let is_frozen = dice.chance(0.7);
                clock.freeze(time, is_frozen);
                format!("wall clock {}", if is_frozen { "stands still" } else { "runs" })
            }
        };
        self.note(name, |world| format!("{}'s {what}", world.nodes[n].name));
        self.trace.event(time, format_args!("clock {n} {what}"), || format!("{}'s {what}", self.nodes[n].name));
        self.set_timer_anew(n);
    }

    /// A machine's clocks have changed: its next timer is due at another time.
    fn set_timer_anew(&mut self, n: usize) {
        self.nodes[n].wake_at = None;
        self.settle(n);
    }

    pub(super) fn cut(&mut self, name: Name, mut dice: Dice) {
        let shape = *dice.pick(&self.plan.network.cut_shapes);
        let directions = self.network.draw_cut(shape, self.plan.network.one_way, &mut dice);
        let flaps = if dice.chance(self.plan.network.flapping) { dice.between(2, 8) } else { 1 };
        let length = dice.spread(20_000, 3_000_000) / flaps;
        if !directions.is_empty() {
            self.note(name, |world| {
                let times = if flaps > 1 { format!(", {flaps} times") } else { String::new() };
                format!("nothing passes for {} ms{times}: {}", length / 1_000, told(&world.nodes, &directions))
            });
        }
        self.cut_these(directions, length, flaps - 1, dice);
    }

    /// Cuts these directions for a while, and so many times again.
    pub(crate) fn cut_these(&mut self, directions: Vec<(usize, usize)>, length: u64, again: u64, mut dice: Dice) {
        if !self.is_chaotic {
            return;
        }
        self.trace.event(self.time, format_args!("cut {directions:?} {length}"), || {
            format!("cut for {} ms: {}", length / 1_000, told(&self.nodes, &directions))
        });
        let is_noticed = dice.chance(0.7);
        for (from, to) in &directions {
            self.network.set_cut(*from, *to, true);
            if is_noticed && self.network.link(*from, *to).is_up {
                self.break_link(*from, *to, 1_000_000);
            }
        }
        if again > 0 {
            let gap = dice.spread(1_000, length.max(1_001));
            let event = Event::CutAgain { directions: directions.clone(), length, again: again - 1, dice: Box::new(dice) };
            self.after(length + gap, event);
        }
        self.after(length, Event::Mend { directions });
    }
}

/// Directions in few words: `A→B`, or `A↔B` for both.
pub(super) fn told(nodes: &[Node], directions: &[(usize, usize)]) -> String {
    let name = |n: usize| &nodes[n].name;
    let told = directions.iter().filter_map(|(from, to)| match directions.contains(&(*to, *from)) {
        true => (from < to).then(|| format!("{}↔{}", name(*from), name(*to))),
        false => Some(format!("{}→{}", name(*from), name(*to))),
    });
    told.collect::<Vec<_>>().join(" ")
}
