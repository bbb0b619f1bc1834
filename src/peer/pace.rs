//! How quick the other members are, whom a read asks first, and when it asks one more.
//!
//! A peer that is slow or paused is not down: its link is up, and it may answer at any moment. So reads ask it last while it owes
//! answers, and a read that waits for it asks another owner after the time in which it usually answers, within a budget
//! (`hedging`). Writes need none of this: they go to all owners at once and wait for W of them.

use super::operation::Machine;
use super::{Now, Output, Peer};
use crate::coordinator::{Pace, Reach};
use crate::hedging::{Budget, Latency};
use crate::limits::{READ_STAND_INS_MAX, SLOW_MS_MAX, SLOW_MS_MIN, SLOW_TRY_MS};
use crate::message::{Fetch, FetchMode, Message, OperationId};
use crate::ring::{MemberId, PartitionId};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// What is known of the others' pace, and the reads that may have to ask one owner more.
#[derive(Debug)]
pub(super) struct Paces {
    is_on: bool,
    members: BTreeMap<MemberId, Member>,
    budget: Budget,
    /// When each read may have to ask one more. Those that are done by then are dropped on the way.
    due: BinaryHeap<Reverse<(u64, OperationId)>>,
    /// Since the start: reads that asked one more.
    pub(super) hedges: u64,
}

#[derive(Default, Debug)]
struct Member {
    latency: Latency,
    /// How long it takes for reads that are handed on to it.
    forwards: Latency,
    /// The first question since its last answer (monotonic milliseconds).
    owes_since: Option<u64>,
    /// The first write since its last acknowledgement (monotonic milliseconds).
    owes_write_since: Option<u64>,
    /// When it was last tried although it was slow.
    tried_ms: u64,
}

/// A read looks again after this long (milliseconds) whether it may ask one more, if it was not allowed to.
const LOOK_AGAIN_MS: u64 = 10;

/// Who takes so many times as long as the quickest owner is slow, even if it answers in the end.
const SLOW_FACTOR: u64 = 4;

impl Paces {
    pub(super) fn new(is_on: bool) -> Paces {
        Paces { is_on, members: BTreeMap::new(), budget: Budget::default(), due: BinaryHeap::new(), hedges: 0 }
    }

    /// When the next read may have to ask one more (monotonic milliseconds).
    pub(super) fn next_wake(&self) -> Option<u64> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// What was known is old: the process has stood still, and may have been elsewhere.
    pub(super) fn forget(&mut self) {
        self.members.clear();
    }

    /// The link is gone: whatever was asked over it is answered no more.
    pub(super) fn on_link_down(&mut self, member: MemberId) {
        self.members.remove(&member);
    }

    /// A member has been asked what it holds.
    pub(super) fn on_asked(&mut self, member: MemberId, now_ms: u64) {
        self.members.entry(member).or_default().owes_since.get_or_insert(now_ms);
    }

    /// A member has been sent a write.
    pub(super) fn on_told(&mut self, member: MemberId, now_ms: u64) {
        self.members.entry(member).or_default().owes_write_since.get_or_insert(now_ms);
    }

    /// A member has acknowledged a write.
    pub(super) fn on_applied(&mut self, member: MemberId) {
        self.members.entry(member).or_default().owes_write_since = None;
    }

    /// A member has answered what was handed on to it.
    pub(super) fn on_forwarded(&mut self, member: MemberId) {
        let member = self.members.entry(member).or_default();
        (member.owes_since, member.owes_write_since) = (None, None);
    }

    /// A read that was handed on to a member has taken so long (milliseconds), or at least so long if it has not answered.
    pub(super) fn note_forward(&mut self, member: MemberId, took_ms: u64, is_answered: bool) {
        let forwards = &mut self.members.entry(member).or_default().forwards;
        if is_answered || took_ms >= forwards.hedge_ms() {
            forwards.note(took_ms);
        }
    }

    /// A member has answered: to a question of a read that still waits after so long (milliseconds), or to an older one.
    fn on_answered(&mut self, from: MemberId, id: OperationId, took_ms: Option<u64>, now_ms: u64) {
        let member = self.members.entry(from).or_default();
        member.owes_since = None;
        match took_ms {
            Some(ms) => member.latency.note(ms),
            // It was only tried: if it is quick again, what it was is forgotten.
            None if id == OperationId(0) && now_ms < member.tried_ms + SLOW_MS_MIN => member.latency = Latency::default(),
            None => {}
        }
    }

    fn p95_ms(&self, member: MemberId) -> Option<u64> {
        self.members.get(&member)?.latency.p95_ms()
    }

    fn hedge_at(&self, asked_ms: u64, latency: Option<&Latency>) -> u64 {
        asked_ms + latency.map_or_else(|| Latency::default().hedge_ms(), Latency::hedge_ms)
    }

    /// True if a member owes answers for longer than it should.
    fn is_late(&self, member: MemberId, now_ms: u64) -> bool {
        let Some(known) = self.members.get(&member) else { return false };
        let is_over = |since: Option<u64>, bound| since.is_some_and(|since| now_ms.saturating_sub(since) >= bound);
        // A write waits for a disk: that takes what it takes.
        is_over(known.owes_since, known.latency.slow_ms()) || is_over(known.owes_write_since, SLOW_MS_MAX)
    }

    /// True once in a while: a slow member is to be asked something, to see whether it still is.
    fn is_to_be_tried(&mut self, member: MemberId, now_ms: u64) -> bool {
        let Some(known) = self.members.get_mut(&member) else { return false };
        let is_due = now_ms >= known.tried_ms + SLOW_TRY_MS;
        if is_due {
            known.tried_ms = now_ms;
        }
        is_due
    }
}

impl Peer {
    /// Who can be asked for a key of this partition, and how well. With all owners there, those who stand in are asked for nothing but what a
    /// session has seen.
    pub(super) fn reach(&self, partition: PartitionId, has_session: bool) -> Reach {
        let owners = self.owner_paces(partition);
        let is_owner_down = owners.iter().any(|(_, pace)| *pace == Pace::Down);
        let stand_ins = match is_owner_down || has_session {
            true => self.live_stand_ins(partition).take(READ_STAND_INS_MAX).collect(),
            false => Vec::new(),
        };
        Reach { owners, stand_ins }
    }

    /// How well each owner can be reached, in order of preference.
    pub(super) fn owner_paces(&self, partition: PartitionId) -> Vec<(MemberId, Pace)> {
        let mut owners: Vec<(MemberId, Pace)> = self.owners_of(partition).iter().map(|owner| (*owner, Pace::Quick)).collect();
        let is_on = self.paces.is_on;
        let quickest = || owners.iter().filter_map(|(owner, _)| self.paces.p95_ms(*owner)).min();
        let slow_ms = if is_on { quickest().map(|ms| (ms * SLOW_FACTOR).max(SLOW_MS_MIN)) } else { None };
        for (owner, pace) in &mut owners {
            if !self.is_live(*owner) {
                *pace = Pace::Down;
            } else if is_on && *owner != self.me {
                let takes_long = slow_ms.zip(self.paces.p95_ms(*owner)).is_some_and(|(slow, p95)| p95 > slow);
                if takes_long || self.paces.is_late(*owner, self.now.monotonic_ms) {
                    *pace = Pace::Slow;
                }
            }
        }
        owners
    }

    /// A slow owner is asked for nothing while others answer, so nobody would learn that it is quick again: once in a while it is asked
    /// what nobody waits for.
    pub(super) fn try_the_slow(&mut self, now: Now, key: &Bytes, owners: &[(MemberId, Pace)]) {
        for (owner, _) in owners.iter().filter(|(_, pace)| *pace == Pace::Slow) {
            if self.paces.is_to_be_tried(*owner, now.monotonic_ms) {
                let fetch = Fetch { operation: OperationId(0), key: key.clone(), mode: FetchMode::Dots };
                self.effects.send(*owner, Message::Fetch(fetch));
            }
        }
    }

    /// A read has begun: when may it have to ask one more?
    pub(super) fn plan_hedge(&mut self, now: Now, id: OperationId) {
        if !self.paces.is_on {
            return;
        }
        self.paces.budget.earn();
        self.plan_next_hedge(now, id);
    }

    fn plan_next_hedge(&mut self, now: Now, id: OperationId) {
        // Whoever is over his time already was passed over for want of budget: that is looked at again a little later.
        if let Some(due) = self.hedge_due(id) {
            let due = if due > now.monotonic_ms { due } else { now.monotonic_ms + LOOK_AGAIN_MS };
            self.paces.due.push(Reverse((due, id)));
        }
    }

    /// When the first of those that a read waits for has had its time; none if there is nobody else to ask.
    fn hedge_due(&self, id: OperationId) -> Option<u64> {
        let paces = &self.paces;
        let known = |member| paces.members.get(&member);
        match &self.operations.get(&id)?.machine {
            Machine::Read { read, .. } if read.has_another() => {
                let others = read.waits_for().filter(|(member, _)| *member != self.me);
                others.map(|(member, since)| paces.hedge_at(since, known(member).map(|known| &known.latency))).min()
            }
            Machine::Forward(forwarding) if self.another_owner(forwarding).is_some() => {
                let waits_for = forwarding.waits_for();
                waits_for.map(|(member, since)| paces.hedge_at(since, known(member).map(|known| &known.forwards))).min()
            }
            _ => None,
        }
    }

    /// Looks at the reads that have waited for as long as it usually takes.
    pub(super) fn hedge(&mut self, now: Now, outbox: &mut Vec<Output>) {
        while let Some(Reverse((due, id))) = self.paces.due.peek().copied()
            && due <= now.monotonic_ms
        {
            self.paces.due.pop();
            if self.hedge_due(id).is_none() {
                continue;
            }
            // Of a member that is slow as a whole there are too many reads for a budget, and it has been given up for the moment.
            if self.waits_for_the_late(now, id) || self.paces.budget.take() {
                self.paces.hedges += 1;
                if let Some(Machine::Read { read, .. }) = self.operations.get_mut(&id).map(|operation| &mut operation.machine) {
                    read.ask_another(id, now.monotonic_ms, &mut self.effects);
                    self.flush_effects(outbox);
                } else {
                    self.forward_on(now, id, outbox);
                }
            }
            self.plan_next_hedge(now, id);
        }
    }

    fn waits_for_the_late(&self, now: Now, id: OperationId) -> bool {
        let is_late = |(member, _)| member != self.me && self.paces.is_late(member, now.monotonic_ms);
        match self.operations.get(&id).map(|operation| &operation.machine) {
            Some(Machine::Read { read, .. }) => read.waits_for().any(is_late),
            Some(Machine::Forward(forwarding)) => forwarding.waits_for().any(is_late),
            _ => false,
        }
    }

    /// Timers of reads that are done wake nobody.
    pub(super) fn drop_idle_hedges(&mut self) {
        while let Some(Reverse((_, id))) = self.paces.due.peek()
            && !self.operations.contains_key(id)
        {
            self.paces.due.pop();
        }
    }

    /// A replica has told what it holds: that says how quick it is.
    pub(super) fn note_pace(&mut self, now: Now, from: MemberId, id: OperationId) {
        if from == self.me {
            return;
        }
        let took_ms = match self.operations.get(&id).map(|operation| &operation.machine) {
            Some(Machine::Read { read, .. }) => read.took_ms(from, now.monotonic_ms),
            _ => None,
        };
        self.paces.on_answered(from, id, took_ms, now.monotonic_ms);
    }

    /// A read has ended: whom it still waited for has taken so long at least.
    pub(super) fn note_unanswered(&mut self, now: Now, read: &crate::coordinator::Read) {
        for (member, since) in read.waits_for().filter(|(member, _)| *member != self.me) {
            let waited_ms = now.monotonic_ms.saturating_sub(since);
            if let Some(known) = self.paces.members.get_mut(&member)
                && waited_ms >= known.latency.hedge_ms()
            {
                known.latency.note(waited_ms);
            }
        }
    }
}
