//! Ambushes: faults that wait for a rare moment, and hit just there. What they wait for happens by itself, only hardly ever together.

use super::{Event, World, key_name};
use crate::node::Down;
use crate::plan::PAYMENT_CUT;
use henge::message::{Message, Reply};
use henge::ring::{MemberId, PartitionId};

/// How long a peer that learns from one whose disk is hurt can reach nobody else (microseconds): the other one is up again by then.
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
            && self.ambush_dice.chance(self.plan.ambush.behind_acknowledgement)
        {
            self.stats.count_fault("power cut behind an acknowledgement");
            let incarnation = self.nodes[n].incarnation;
            self.after(0, Event::Down { node: n, incarnation, how: Down::PowerCut });
        }
    }

    /// A stand-in hands over what it owes. The way there may be cut now.
    pub(super) fn waylay_hint(&mut self, n: usize, to: MemberId, message: &Message) {
        if self.is_chaotic
            && self.plan.ambush.before_payment > 0.0
            && matches!(message, Message::Apply(apply) if apply.relief && apply.owed.is_empty())
            && let Some(to) = self.index_of(to)
            && self.ambush_dice.chance(self.plan.ambush.before_payment)
        {
            self.stats.count_fault("cut before a payment");
            let length = self.ambush_dice.spread(PAYMENT_CUT / 20, PAYMENT_CUT);
            self.cut_these(vec![(n, to), (to, n)], length, 0);
        }
    }

    /// One that learns from a peer whose disk is about to be hurt may be cut off from everybody else.
    pub(super) fn isolate_learner(&mut self, learner: usize, teacher: usize) {
        if self.plan.ambush.isolates_learners {
            self.stats.count_fault("isolated learner");
            let others = (0..self.nodes.len()).filter(|other| ![learner, teacher].contains(other));
            let directions = others.flat_map(|other| [(learner, other), (other, learner)]).collect();
            let length = self.ambush_dice.spread(ISOLATION / 8, ISOLATION);
            self.cut_these(directions, length, 0);
        }
    }

    /// A peer drops its copy of one of the partitions that it owns, if there is one about which nobody asks it at this moment.
    pub(super) fn drop_copy(&mut self, n: usize) -> bool {
        let member = self.nodes[n].member;
        let is_asked = |world: &World, partition: PartitionId| {
            world.nodes.iter().filter_map(|node| node.peer.as_ref()).any(|peer| peer.is_learning(partition, member))
        };
        let is_up = self.nodes[n].peer.is_some() && !self.nodes[n].stopping;
        let owned: Vec<PartitionId> = self
            .partitions()
            .into_iter()
            .filter(|partition| self.owners_of(*partition).contains(&n) && !is_asked(self, *partition))
            .collect();
        if !is_up || owned.is_empty() {
            return false;
        }
        let partition = *self.ambush_dice.pick(&owned);
        self.begin_anew(n, partition);
        true
    }

    /// A peer drops its copy of a partition and owns it again at once. Requires: nobody asks it about that partition at this moment.
    pub(crate) fn begin_anew(&mut self, n: usize, partition: PartitionId) {
        if let Some(peer) = self.nodes[n].peer.as_mut() {
            peer.begin_anew(partition);
            let dropped: Vec<_> = self.keys().filter(|key| self.partition(*key) == partition).map(key_name).collect();
            self.nodes[n].shadow.forget(|key| dropped.contains(key));
            self.settle(n);
        }
    }
}
