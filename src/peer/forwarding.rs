//! Requests handed on to an owner, by a peer that is none, or whose disk is full.
//!
//! They go to the first owner that can be reached and is not slow. A read that waits there longer than usual is handed to another owner
//! too, as reads of an owner ask another replica (`pace`): the first good answer counts. A write is handed to one owner alone: two would
//! make two writes of it, since no coordinator knows what another one has begun.

use super::operation::{Machine, Operation, ReplyTo};
use super::requests::{Refusal, Write, deadline, deadline_of};
use super::{Now, Output, Peer};
use crate::broken::{Rule, is_broken};
use crate::coordinator::Pace;
use crate::limits::RETRY_HINT_MS;
use crate::message::{Attempt, FailureKind, Forward, Forwarded, Get, Message, OperationId, Position, Reply, Request, Retry};
use crate::ring::{MemberId, PartitionId};

/// A request handed on.
#[derive(Debug)]
pub(super) struct Forwarding {
    /// To whom, and since when (monotonic milliseconds); those that have answered, or cannot any more, have no time.
    asked: Vec<(MemberId, Option<u64>)>,
    /// What is read, to be handed on again; none of a write.
    read: Option<Box<Get>>,
    /// The first try of a write that this peer, an owner of its key, has handed on: session and number.
    first_try: Option<(u64, u64)>,
}

impl Forwarding {
    /// True if it is a write.
    pub(super) fn is_write(&self) -> bool {
        self.read.is_none()
    }

    /// Whoever it was handed to first.
    pub(super) fn first(&self) -> MemberId {
        self.asked[0].0
    }

    /// Those who may still answer, and since when they have it (monotonic milliseconds).
    pub(super) fn waits_for(&self) -> impl Iterator<Item = (MemberId, u64)> {
        self.asked.iter().filter_map(|(member, since)| Some((*member, (*since)?)))
    }

    /// A member has answered, or cannot be reached any more: since when it had the request, if it was waited for.
    fn take(&mut self, member: MemberId) -> Option<u64> {
        self.asked.iter_mut().find(|(asked, _)| *asked == member)?.1.take()
    }
}

impl Peer {
    /// The first owner that can be reached and is not slow; if all of those are slow, the first of them.
    fn best_owner(&self, partition: PartitionId, counts: impl Fn(MemberId) -> bool) -> Option<MemberId> {
        let paces = self.owner_paces(partition).into_iter();
        let best = paces.filter(|(owner, pace)| *pace != Pace::Down && counts(*owner)).min_by_key(|(_, pace)| *pace);
        best.map(|(owner, _)| owner)
    }

    /// An owner that a read can be handed to besides those that have it.
    pub(super) fn another_owner(&self, forwarding: &Forwarding) -> Option<MemberId> {
        let get = forwarding.read.as_ref()?;
        let is_new = |owner| forwarding.asked.iter().all(|(asked, _)| *asked != owner);
        self.best_owner(self.partition_of(&get.key), is_new)
    }

    /// Where a request is to be handed on: nowhere if this peer can coordinate it. A retry goes to whoever took the first try.
    pub(super) fn forward_to(
        &self,
        to: ReplyTo,
        partition: PartitionId,
        write: Option<&Write<'_>>,
    ) -> Result<Option<MemberId>, Refusal> {
        let (retry, strict) = write.map_or((None, false), |write| (write.retry, write.strict));
        let is_write = write.is_some();
        let owners = self.owners_of(partition);
        let was_forwarded = matches!(to, ReplyTo::Peer(..));
        if let Some(first) = retry.and_then(|retry| self.first_coordinator(&retry))
            && first.member != self.me
            && (!was_forwarded || retry.and_then(|retry| retry.first) != Some(first))
            && !is_broken(Rule::RetryElsewhere)
        {
            if matches!(to, ReplyTo::Peer(from, _) if from == first.member) {
                // Whoever took it would know it, and not ask here.
                let message = format!("{} does not know the first try any more: read the key to see", self.name_of(first.member));
                return Err(Refusal(FailureKind::Unknown, message, 0));
            }
            if self.is_live(first.member) {
                return Ok(Some(first.member));
            }
            let message = format!(
                "{}, which took the first try, cannot be reached, so it is not known whether the write took effect: read the key to see",
                self.name_of(first.member)
            );
            return Err(Refusal(FailureKind::Unknown, message, 0));
        }
        if retry.is_some_and(|retry| self.retries.get(retry.session, retry.number).is_some()) {
            // It has begun it, as an owner, or in the place of all of them: another one would not know that, even if this is its first try,
            // which came later than the second one.
            return Ok(None);
        }
        if owners.contains(&self.me) {
            let was_tried = retry.is_some_and(|retry| retry.first.is_some());
            return if is_write && self.replica.store().is_full() {
                self.other_coordinator(partition, was_forwarded || was_tried)
            } else {
                Ok(None)
            };
        }
        let live = self.best_owner(partition, |_| true);
        if is_write && !strict && live.is_none() {
            return self.stand_in_coordinator(partition, retry, was_forwarded);
        }
        if was_forwarded && (is_write || live.is_some()) {
            let message =
                format!("{} does not own partition {}: the peers differ about the ring; try again", self.config.name, partition.0);
            return Err(Refusal(FailureKind::Unavailable, message, RETRY_HINT_MS));
        }
        match live {
            Some(owner) => Ok(Some(owner)),
            // Anybody can ask those who stand in.
            None if !is_write => Ok(None),
            None => Err(self.too_few(0, 1, "owner", partition)),
        }
    }

    /// Who coordinated the first try of a write, if its client knows whom it asked: that peer may have handed it on, to this one too.
    fn first_coordinator(&self, retry: &Retry) -> Option<Attempt> {
        let first = retry.first?;
        if self.retries.get(retry.session, retry.number).is_some() {
            return Some(Attempt { member: self.me, start: self.replica.store().start() });
        }
        match self.retries.handed_on(retry.session, retry.number) {
            Some(to) if first.member == self.me && first.start == self.replica.store().start() => Some(to),
            _ => Some(first),
        }
    }

    /// An owner hands a write on: from now on it knows to whom, and whoever gets it is told which try it was of which of its starts. Answers
    /// with session and number of a first try.
    fn remember_handing_on(&mut self, now: Now, target: MemberId, request: &mut Request) -> Option<(u64, u64)> {
        let (key, retry) = match request {
            Request::Put(put) => (&put.key, &mut put.retry),
            Request::Update(update) => (&update.key, &mut update.retry),
            Request::Remove(remove) => (&remove.key, &mut remove.retry),
            Request::Expire(expire) => (&expire.key, &mut expire.retry),
            _ => return None,
        };
        if !self.is_owner(self.partition_of(key)) {
            return None;
        }
        let retry = retry.as_mut()?;
        match (self.first_coordinator(retry), self.links.get(&target)) {
            (Some(first), _) => {
                retry.first = Some(first);
                None
            }
            (None, Some(linked)) => {
                let to = Attempt { member: target, start: linked.start };
                self.retries.hand_on(now.monotonic_ms, retry, to);
                Some((retry.session, retry.number))
            }
            (None, None) => None,
        }
    }

    /// Who coordinates a write while no owner can be reached: the first that stands in for them, where reads will look for it too. This peer
    /// itself if it was asked to by another one.
    fn stand_in_coordinator(
        &self,
        partition: PartitionId,
        retry: Option<Retry>,
        was_forwarded: bool,
    ) -> Result<Option<MemberId>, Refusal> {
        let name = &self.config.name;
        if retry.is_some_and(|retry| retry.first.is_some()) {
            let message =
                format!("{name} does not know the first try, and no owner of the key can be asked: read the key later to see");
            return Err(Refusal(FailureKind::Unknown, message, 0));
        }
        match self.live_stand_ins(partition).next() {
            Some(first) if first != self.me && !was_forwarded => Ok(Some(first)),
            _ if self.replica.store().is_full() => {
                let message = format!("the disk of {name} is full: it takes no writes until there is room; reads go on");
                Err(Refusal(FailureKind::Storage, message, RETRY_HINT_MS))
            }
            _ => Ok(None),
        }
    }

    /// Who coordinates a write in the place of a peer whose disk is full.
    fn other_coordinator(&self, partition: PartitionId, was_forwarded: bool) -> Result<Option<MemberId>, Refusal> {
        match self.best_owner(partition, |owner| owner != self.me).filter(|_| !was_forwarded) {
            Some(other) => Ok(Some(other)),
            None => {
                let name = &self.config.name;
                let message = format!("the disk of {name} is full: it takes no writes until there is room; reads go on");
                Err(Refusal(FailureKind::Storage, message, RETRY_HINT_MS))
            }
        }
    }

    pub(super) fn forward(
        &mut self,
        now: Now,
        to: ReplyTo,
        target: MemberId,
        mut request: Request,
        outbox: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let id = self.next_operation_id();
        let first_try = self.remember_handing_on(now, target, &mut request);
        let deadline_ms = deadline(now, deadline_of(&request));
        let read = match &request {
            Request::Get(get) => Some(Box::new(get.clone())),
            _ => None,
        };
        if let Some(get) = &read {
            let owners = self.owner_paces(self.partition_of(&get.key));
            self.try_the_slow(now, &get.key, &owners);
        }
        let forwarding = Forwarding { asked: vec![(target, Some(now.monotonic_ms))], read, first_try };
        let is_read = !forwarding.is_write();
        self.begin(now, id, Operation { to, deadline_ms, machine: Machine::Forward(forwarding), retry: None });
        self.effects.send(target, Message::Forward(Box::new(Forward { operation: id, request })));
        if is_read {
            self.plan_hedge(now, id);
        }
        self.flush_effects(outbox);
        Ok(())
    }

    /// Hands a read to one owner more, if there is one. True if it did.
    pub(super) fn forward_on(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) -> bool {
        let Some(Machine::Forward(forwarding)) = self.operations.get(&id).map(|operation| &operation.machine) else { return false };
        let Some(another) = self.another_owner(forwarding) else { return false };
        let Some(Machine::Forward(forwarding)) = self.operations.get_mut(&id).map(|operation| &mut operation.machine) else {
            return false;
        };
        let Some(get) = &forwarding.read else { return false };
        let request = Request::Get(Get::clone(get));
        forwarding.asked.push((another, Some(now.monotonic_ms)));
        self.effects.send(another, Message::Forward(Box::new(Forward { operation: id, request })));
        self.flush_effects(outbox);
        true
    }

    /// An owner to which a request was handed on has answered. A failure is none yet while another one may do better.
    pub(super) fn on_forwarded(&mut self, now: Now, from: MemberId, forwarded: Forwarded, outbox: &mut Vec<Output>) {
        let id = forwarded.operation;
        self.paces.on_forwarded(from);
        let Some(Machine::Forward(forwarding)) = self.operations.get_mut(&id).map(|operation| &mut operation.machine) else {
            return;
        };
        let Some(since) = forwarding.take(from) else { return };
        let is_last = forwarding.waits_for().next().is_none();
        if !forwarding.is_write() {
            self.paces.note_forward(from, now.monotonic_ms.saturating_sub(since), true);
        }
        if (is_last || !matches!(forwarded.reply, Reply::Failed(_)))
            && let Some(operation) = self.operations.remove(&id)
        {
            if let Machine::Forward(forwarding) = &operation.machine {
                let late = forwarding.waits_for();
                late.for_each(|(member, since)| self.paces.note_forward(member, now.monotonic_ms.saturating_sub(since), false));
                if let (Some((session, number)), Reply::Failed(failure)) = (forwarding.first_try, &forwarded.reply)
                    && failure.kind != FailureKind::Unknown
                {
                    // Nothing was done: the next try is a first one, wherever it is.
                    self.retries.take_back(session, number);
                }
            }
            self.reply(operation.to, forwarded.reply, Position(0), outbox);
        }
    }

    /// A member cannot be reached any more. A read that it had goes to another owner.
    pub(super) fn forward_without(&mut self, id: OperationId, member: MemberId, outbox: &mut Vec<Output>) {
        let Some(Machine::Forward(forwarding)) = self.operations.get_mut(&id).map(|operation| &mut operation.machine) else {
            return;
        };
        let is_waiting = forwarding.take(member).is_none() || forwarding.waits_for().next().is_some();
        if !is_waiting && !self.forward_on(self.now, id, outbox) {
            self.end_late(id, outbox);
        }
    }
}
