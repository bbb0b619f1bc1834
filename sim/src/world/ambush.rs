//! Ambushes: faults that wait for a rare moment, and hit just there. What they wait for happens by itself, only hardly ever together.

use super::{Event, World, key_name};
use crate::dice::Dice;
use crate::node::Down;
use crate::node::Node;
use crate::plan::{PAYMENT_CUT, STALL};
use crate::schedule::Kind;
use henge::message::{Message, Reply};
use henge::ring::{MemberId, PartitionId};

/// How long a peer that learns, and the one whose disk is hurt meanwhile, can reach nobody else (microseconds): that one is up again by then.
const ISOLATION: u64 = 8_000_000;

impl World {
    /// A coordinator has acknowledged a write. If its own disk does not hold all that it has taken in, it may lose power now.
    pub(super) fn wait_for_acknowledgement(&mut self, n: usize, reply: &Reply) {
        let is_unsynced =
            |world: &World| world.nodes[n].peer.as_ref().is_some_and(|peer| peer.released() < peer.store().appended());
        if self.is_chaotic
            && self.plan.ambush.behind_acknowledgement > 0.0
            && matches!(reply, Reply::Written(_))
            && is_unsynced(self)
            && self.schedule.chance(Kind::CutAcknowledgement, self.plan.ambush.behind_acknowledgement)
            && let Some(strike) = self.schedule.strikes(Kind::CutAcknowledgement)
        {
            self.note(strike.name, |world| format!("{} loses power behind an acknowledgement", world.nodes[n].name));
            self.stats.count_fault("power cut behind an acknowledgement");
            self.is_payment_awaited = true;
            let incarnation = self.nodes[n].incarnation;
            self.after(0, Event::Down { node: n, incarnation, how: Down::PowerCut });
        }
    }

    /// How much longer a write of the log takes than it would by itself (microseconds): now and then a disk stands still.
    pub(super) fn stall(&mut self, n: usize) -> u64 {
        if !self.is_chaotic || !self.schedule.chance(Kind::StalledDisk, self.plan.ambush.stalls) {
            return 0;
        }
        let Some(mut strike) = self.schedule.strikes(Kind::StalledDisk) else { return 0 };
        self.stats.count_fault("stalled disk");
        let length = strike.dice.spread(STALL / 50, STALL);
        self.note(strike.name, |world| format!("the disk of {} stands still for {} ms", world.nodes[n].name, length / 1_000));
        length
    }

    /// True once the disks have done all that they began while faults happened.
    pub(crate) fn has_done_slow_jobs(&self) -> bool {
        self.nodes.iter().all(|node| node.jobs.keys().all(|job| *job > self.slow_jobs))
    }

    /// A stand-in hands over what it owes. After a coordinator has lost power behind an acknowledgement the way there may be cut now; nothing
    /// else goes wrong meanwhile, so that gaps are closed.
    pub(super) fn waylay_hint(&mut self, n: usize, to: MemberId, message: &Message) {
        if self.is_chaotic
            && self.is_payment_awaited
            && matches!(message, Message::Apply(apply) if apply.relief && apply.owed.is_empty())
            && let Some(to) = self.index_of(to)
            && self.schedule.chance(Kind::CutPayment, self.plan.ambush.before_payment)
            && let Some(mut strike) = self.schedule.strikes(Kind::CutPayment)
        {
            self.stats.count_fault("cut before a payment");
            self.is_payment_awaited = false;
            let length = strike.dice.spread(PAYMENT_CUT / 4, PAYMENT_CUT);
            self.idle_until = self.idle_until.max(self.time + length);
            self.note(strike.name, |world| {
                let names = (&world.nodes[n].name, &world.nodes[to].name);
                format!("{} and {} are cut off from each other for {} ms, before a hint is paid", names.0, names.1, length / 1_000)
            });
            self.cut_these(vec![(n, to), (to, n)], length, 0, strike.dice);
        }
    }

    /// One that learns, and the peer whose disk is about to be hurt, may be cut off together from everybody else.
    pub(super) fn isolate_learner(&mut self, learner: usize, teacher: usize) {
        if self.plan.ambush.isolates_learners
            && let Some(mut strike) = self.schedule.strikes(Kind::IsolatedLearner)
        {
            self.stats.count_fault("isolated learner");
            let others = (0..self.nodes.len()).filter(|other| ![learner, teacher].contains(other));
            let both = |other: usize| [(learner, other), (other, learner), (teacher, other), (other, teacher)];
            let directions = others.flat_map(both).collect();
            let length = strike.dice.spread(ISOLATION / 8, ISOLATION);
            self.note(strike.name, |world| {
                let names = (&world.nodes[learner].name, &world.nodes[teacher].name);
                format!("{} and {} are cut off from all others for {} ms", names.0, names.1, length / 1_000)
            });
            self.cut_these(directions, length, 0, strike.dice);
        }
    }

    /// A peer drops its copy of one of the partitions that it owns, if there is one about which nobody asks it at this moment.
    pub(super) fn drop_copy(&mut self, n: usize, dice: &mut Dice) -> bool {
        let member = self.nodes[n].member;
        let is_asked = |world: &World, partition: PartitionId| {
            world.nodes.iter().filter_map(|node| node.peer.as_ref()).any(|peer| peer.is_learning(partition, member))
        };
        // What it has promised and not said yet, or counts for a write that it coordinates, would be said of a copy that is not there any more.
        let is_at_rest = |node: &Node| node.held.is_empty() && node.peer.as_ref().is_some_and(|peer| peer.load().operations == 0);
        let is_up = is_at_rest(&self.nodes[n]) && !self.nodes[n].stopping;
        let owned: Vec<PartitionId> = self
            .partitions()
            .into_iter()
            .filter(|partition| self.owners_of(*partition).contains(&n) && !is_asked(self, *partition))
            .collect();
        if !is_up || owned.is_empty() {
            return false;
        }
        let partition = *dice.pick(&owned);
        self.begin_anew(n, partition);
        true
    }

    /// A peer drops its copy of a partition and owns it again at once. Requires: nobody asks it about that partition at this moment.
    pub(crate) fn begin_anew(&mut self, n: usize, partition: PartitionId) {
        if let Some(peer) = self.nodes[n].peer.as_mut() {
            peer.begin_anew(partition);
            let keys = self.keys().chain(crate::tally::KEYS);
            let dropped: Vec<_> = keys.filter(|key| self.partition(*key) == partition).map(key_name).collect();
            self.nodes[n].shadow.forget(|key| dropped.contains(key));
            self.settle(n);
        }
    }
}
