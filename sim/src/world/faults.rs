//! What goes wrong, when, and how it is mended.

use super::{Event, World};
use crate::node::Down;
use crate::plan::ProcessPlan;

/// A kind of fault that comes again and again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// One peer goes down.
    Crash,
    /// All peers lose power.
    Blackout,
    /// A peer stands still.
    Pause,
    /// A wall clock jumps.
    Clock,
    /// Links are cut.
    Cut,
}

impl World {
    /// From now on faults happen.
    pub(crate) fn start_faults(&mut self) {
        self.is_chaotic = true;
        for fault in [Fault::Crash, Fault::Blackout, Fault::Pause, Fault::Clock, Fault::Cut] {
            self.schedule(fault);
        }
    }

    /// Nothing goes wrong any more, and what is wrong is mended.
    pub(crate) fn stop_faults(&mut self) {
        self.is_chaotic = false;
        self.plan.network = self.plan.network.calm();
        self.plan.process = ProcessPlan::calm();
        self.plan.disk.tail = 0.0;
        self.network.mend();
        for n in 0..self.nodes.len() {
            self.nodes[n].paused_until = self.nodes[n].paused_until.min(self.time);
            self.after(0, Event::Start { node: n });
        }
        for (a, b) in self.network.pairs() {
            if !self.network.link(a, b).is_up {
                self.dial_after(1_000, a, b);
            }
        }
    }

    pub(super) fn schedule(&mut self, fault: Fault) {
        let plan = &self.plan.process;
        let interval = match fault {
            Fault::Crash => plan.crash_interval,
            Fault::Blackout => plan.blackout_interval,
            Fault::Pause => plan.pause_interval,
            Fault::Clock => plan.clock_interval,
            Fault::Cut => self.plan.network.cut_interval,
        };
        if let Some(interval) = interval {
            let delay = (-(1.0 - self.fault_dice.unit()).ln() * interval as f64) as u64;
            self.after(delay, Event::Fault(fault));
        }
    }

    pub(super) fn on_fault(&mut self, fault: Fault) {
        if !self.is_chaotic {
            return;
        }
        self.schedule(fault);
        let n = self.fault_dice.below(self.nodes.len() as u64) as usize;
        if !matches!(fault, Fault::Crash) {
            self.stats.count_fault(&format!("{fault:?}"));
        }
        match fault {
            Fault::Crash => self.crash(n),
            Fault::Blackout => (0..self.nodes.len()).for_each(|n| self.go_down(n, Down::PowerCut)),
            Fault::Pause => {
                let length = self.fault_dice.spread(10_000, 3_000_000);
                self.nodes[n].paused_until = self.time + length;
                self.trace.event(self.time, format_args!("pause {n} {length}"), || {
                    format!("{} stands still for {} ms", self.nodes[n].name, length / 1_000)
                });
            }
            Fault::Clock => {
                let years = 365 * 24 * 3_600 * 1_000;
                let by = *self.fault_dice.pick(&[0, 1_000, -1_000, 120_000, -120_000, years, -years]);
                self.nodes[n].clock_off_ms = by;
                self.clocks_jumped = true;
                self.trace.event(self.time, format_args!("clock {n} {by}"), || {
                    format!("{}'s wall clock is off by {by} ms", self.nodes[n].name)
                });
            }
            Fault::Cut => self.cut(),
        }
    }

    pub(super) fn crash(&mut self, n: usize) {
        let process = &self.plan.process;
        if self.fault_dice.chance(process.clean_stops) {
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
            let how = if self.fault_dice.chance(process.kills) { Down::Kill } else { Down::PowerCut };
            self.go_down(n, how);
        }
    }

    pub(super) fn cut(&mut self) {
        let directions = self.network.draw_cut(self.plan.network.one_way, &mut self.fault_dice);
        let length = self.fault_dice.spread(20_000, 3_000_000);
        self.trace.event(self.time, format_args!("cut {directions:?} {length}"), || {
            format!("cut for {} ms: {directions:?}", length / 1_000)
        });
        let is_noticed = self.fault_dice.chance(0.7);
        for (from, to) in &directions {
            self.network.set_cut(*from, *to, true);
            if is_noticed && self.network.link(*from, *to).is_up {
                self.break_link(*from, *to, 1_000_000);
            }
        }
        self.after(length, Event::Mend { directions });
    }
}
