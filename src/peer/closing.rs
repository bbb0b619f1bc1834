//! Closing gaps, as a peer does it: which are open, who is asked, and what every member promises.
//!
//! Who can be asked is the one question `Peer::is_live`. What the links are asked here is another one: under which actor a member writes
//! in which start. That holds for a member that is thought dead too, and has to: its actor has not ended, and nobody may promise so
//! (rule `no_fence`).
//!
//! An actor has ended if a record or a promise says so. Where all have forgotten it, since the disks are lost that knew, every member is asked by
//! itself: whoever writes under another actor now does not go back to one that is older than its answer. So one of whom all have said that it is not
//! theirs is nobody's. That a member is not linked under an actor says nothing: its old link may not have been noticed to be gone.

use super::{Now, Output, Peer};
use crate::anti_entropy::Gap;
use crate::broken::{Rule, is_broken};
use crate::message::{ActorAsk, ActorDenial, FenceAsk, FencePromise, Message, Position};
use crate::ring::{MemberId, PartitionId};
use crate::vclock::{Actor, Seen, Start};
use std::collections::{BTreeMap, BTreeSet};

/// An actor that nobody has any more: all its starts are over.
const ENDED: Start = Start(u32::MAX);
/// Stands for the member of an actor of which it is not known whose it was.
const NOBODY: MemberId = MemberId(0);
/// Explicit contexts of a partition that are looked at for gaps. As long as there are more, closing what these speak of goes first.
const CONTEXTS_LOOKED_AT: usize = 256;

impl Peer {
    /// Whether a message comes from a start that this peer has promised to hear no more.
    pub(super) fn is_fenced(&self, from: MemberId, start: Start) -> bool {
        if is_broken(Rule::NoFence) {
            return false;
        }
        let store = self.replica.store();
        match self.links.get(&from) {
            Some(linked) if linked.start == start => store.fence(linked.actor).is_some_and(|below| start < below),
            // Under which actor it said this is not known: any promise about that member counts, and any about an actor that may have been its
            // own. It will say it again over a link.
            _ => store.fences().any(|(_, fence)| (fence.member == from || fence.member == NOBODY) && start < fence.below),
        }
    }

    /// Looks for open gaps now and then, and asks again whoever has not promised.
    pub(super) fn wake_closing(&mut self, now: Now, outbox: &mut Vec<Output>) {
        if self.closing.is_due(now.monotonic_ms) {
            self.look_for_gaps(now);
        }
        self.closing.ask(now.monotonic_ms, &mut self.effects);
        self.flush_effects(outbox);
        self.close_what_is_pulled(now);
    }

    /// Begins to close whatever is open and this peer's to close. As long as a member is away nothing can be closed.
    fn look_for_gaps(&mut self, now: Now) {
        let members: BTreeSet<MemberId> = self.founders().iter().map(|founder| founder.member).collect();
        if members.is_empty() || !members.iter().all(|member| self.is_live(*member)) {
            return;
        }
        let told = self.told_ended();
        let ended = self.ended_actors();
        let mut strange = BTreeSet::new();
        let mut open: BTreeMap<Gap, BTreeSet<PartitionId>> = BTreeMap::new();
        let mut later = None;
        for partition in (0..self.owners.len()).map(|partition| PartitionId(partition as u16)) {
            let Some(rank) =
                self.owners_of(partition).iter().filter(|owner| self.is_live(**owner)).position(|owner| *owner == self.me)
            else {
                continue;
            };
            if !self.replica.store().is_complete(partition) {
                continue;
            }
            let gaps = self.open_gaps(partition, &ended);
            let strangers = self.strangers_of(partition, &told);
            if gaps.is_empty() && strangers.is_empty() {
                continue;
            }
            if !self.closing.may_care(now.monotonic_ms, rank) {
                later = later.max(Some(rank));
                continue;
            }
            strange.extend(strangers);
            for gap in gaps {
                open.entry(gap).or_default().insert(partition);
            }
        }
        if let Some(rank) = later {
            self.closing.look_for_rank(rank);
        }
        if !open.is_empty() {
            let operation = self.next_operation_id();
            self.closing.begin(now.monotonic_ms, operation, open, &members);
        }
        let others: BTreeSet<MemberId> = members.into_iter().filter(|member| *member != self.me).collect();
        for (to, actor) in self.strangers.look_into(&strange, &others) {
            self.effects.send(to, Message::ActorAsk(ActorAsk { actor }));
        }
    }

    /// The actors that have ended, and whose they were.
    fn ended_actors(&self) -> BTreeMap<Actor, MemberId> {
        let mut ended: BTreeMap<Actor, MemberId> =
            self.strangers.denied_by_all().filter(|actor| !self.is_present(*actor)).map(|actor| (actor, NOBODY)).collect();
        ended.extend(self.told_ended());
        ended
    }

    /// The actors that have ended, as members' records and promises tell, and whose they were.
    fn told_ended(&self) -> BTreeMap<Actor, MemberId> {
        let records = self.founders().iter().filter_map(|founder| self.gossip.record(founder.member));
        let told = records.chain([self.gossip.own_record()]).flat_map(|record| {
            let member = record.member;
            record.ended.iter().map(move |ended| (ended.actor, member))
        });
        let promised = self.replica.store().fences().filter(|(_, fence)| fence.below == ENDED);
        promised.map(|(actor, fence)| (actor, fence.member)).chain(told).collect()
    }

    /// The open gaps of a partition. Requires: all members are live, and so linked.
    fn open_gaps(&self, partition: PartitionId, ended: &BTreeMap<Actor, MemberId>) -> Vec<Gap> {
        self.open_of(partition, |actor| self.gap_of(actor, ended))
    }

    /// The actors that a partition speaks of, with a gap if they have ended, and of which it is not known here whether they have. Requires: all
    /// members are live.
    fn strangers_of(&self, partition: PartitionId, told: &BTreeMap<Actor, MemberId>) -> Vec<Actor> {
        let gap = |actor| {
            let is_known = self.gap_of(actor, told).is_some() || self.is_present(actor);
            (!is_known).then_some(Gap { actor, member: NOBODY, below: ENDED })
        };
        self.open_of(partition, gap).into_iter().map(|gap| gap.actor).collect()
    }

    /// Those of the gaps of a partition's actors that are open.
    fn open_of(&self, partition: PartitionId, gap_of: impl Fn(Actor) -> Option<Gap>) -> Vec<Gap> {
        let store = self.replica.store();
        let clock = store.clock(partition);
        let contexts: Vec<&Seen> = store.contexts_of(partition).take(CONTEXTS_LOOKED_AT).collect();
        let actors: BTreeSet<Actor> =
            clock.runs().chain(contexts.iter().flat_map(|context| context.runs())).map(|(actor, _)| actor).collect();
        actors.into_iter().filter_map(gap_of).filter(|gap| gap.is_open(clock, contexts.iter().copied())).collect()
    }

    /// What of an actor's starts is over, as far as is known here. Of an actor that nobody is linked under nothing is, as long as nobody says
    /// that it has ended: it may be the new one of a member whose old link has not been noticed to be gone.
    fn gap_of(&self, actor: Actor, ended: &BTreeMap<Actor, MemberId>) -> Option<Gap> {
        let store = self.replica.store();
        if actor == store.actor() {
            return Some(Gap { actor, member: self.me, below: store.start() });
        }
        match self.links.iter().find(|(_, linked)| linked.actor == actor) {
            Some((member, linked)) => Some(Gap { actor, member: *member, below: linked.start }),
            None => ended.get(&actor).map(|member| Gap { actor, member: *member, below: ENDED }),
        }
    }

    /// A member closes a gap: what that start said is refused from now on, and the answer says so durably. One whose start is not over
    /// for all that is known here gets no promise.
    pub(super) fn on_fence_ask(&mut self, from: MemberId, ask: &FenceAsk, outbox: &mut Vec<Output>) {
        let FenceAsk { operation, actor, member, below } = *ask;
        let store = self.replica.store();
        let is_mine = actor == store.actor() && below > store.start();
        let is_somebodys = below == ENDED && self.is_present(actor);
        // What that start said and is still waiting for the disk would be taken in behind the promise. Whoever asks asks again.
        let is_waiting = self.replica.waits_with_words_of(member);
        if self.placement.is_none() || is_mine || is_somebodys || is_waiting {
            return;
        }
        let position = self.replica.store_mut().raise_fence(actor, member, below);
        let hinted = self.hinted(actor, below);
        let promise = Message::FencePromise(FencePromise { operation, actor, below, hinted });
        self.respond(from, promise, position, outbox);
    }

    /// A member is asked whether an actor is its own. It answers at once: what it says is of the store that it runs on.
    pub(super) fn on_actor_ask(&mut self, from: MemberId, ask: ActorAsk, outbox: &mut Vec<Output>) {
        let ActorAsk { actor } = ask;
        if self.placement.is_some() && actor != self.replica.store().actor() && !self.is_present(actor) {
            outbox.push(Output::Send { to: from, message: Message::ActorDenial(ActorDenial { actor }), after: Position(0) });
        }
    }

    /// A member has said that an actor is not its own. When all have, it has ended.
    pub(super) fn on_actor_denial(&mut self, now: Now, from: MemberId, denial: ActorDenial) {
        if self.strangers.on_denial(from, denial.actor) {
            self.closing.look_again(now.monotonic_ms);
        }
    }

    /// True if a member writes as this actor now, as far as its link or its record tells.
    fn is_present(&self, actor: Actor) -> bool {
        let of_record = |member: MemberId| self.gossip.record(member).is_some_and(|record| record.actor == actor);
        self.links.values().any(|linked| linked.actor == actor) || self.founders().iter().any(|founder| of_record(founder.member))
    }

    /// The partitions for which a hint here holds a dot of that actor from a start below.
    fn hinted(&self, actor: Actor, below: Start) -> Vec<u16> {
        self.replica.store().hints_hold(actor, below).into_iter().map(|partition| partition.0).collect()
    }

    /// A member has promised. When all have, every other owner is pulled from.
    pub(super) fn on_fence_promise(&mut self, now: Now, from: MemberId, promise: &FencePromise) {
        let partitions = self.closing.on_promise(now.monotonic_ms, from, promise);
        for partition in partitions {
            let others: Vec<MemberId> = self.owners_of(partition).iter().copied().filter(|owner| *owner != self.me).collect();
            let wishes = others.into_iter().map(|other| (other, self.rounds.want(partition, other))).collect();
            self.closing.wait_for(partition, wishes);
        }
        self.close_what_is_pulled(now);
    }

    /// Marks as seen what nobody can hold any more.
    pub(super) fn close_what_is_pulled(&mut self, now: Now) {
        let rounds = &self.rounds;
        let closed = self.closing.take_closed(now.monotonic_ms, &|partition, partner| rounds.finished(partition, partner));
        for (partition, seen) in closed {
            if self.owners_of(partition).contains(&self.me) && self.replica.store().is_complete(partition) {
                self.replica.store_mut().take_clock(partition, &seen);
            }
        }
    }

    /// Open gaps of the partitions that this peer owns, as far as it can tell.
    pub(super) fn open_gap_count(&self) -> u32 {
        if !self.founders().iter().all(|founder| self.is_live(founder.member)) {
            return 0;
        }
        let ended = self.ended_actors();
        let owned = (0..self.owners.len()).map(|at| PartitionId(at as u16)).filter(|at| self.owners_of(*at).contains(&self.me));
        owned.map(|partition| self.open_gaps(partition, &ended).len() as u32).sum()
    }
}
