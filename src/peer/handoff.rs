//! A peer among stand-ins: whom it stands in for, who stands in for the owners of its writes, and handing over what it owes.

use super::replica::Task;
use super::{Now, Output, Peer};
use crate::broken::{Rule, is_broken};
use crate::coordinator::Walk;
use crate::hinted_handoff::without_expired;
use crate::limits::KEY_BYTES_MAX;
use crate::message::{Applied, Apply, DebtStatus, Message, OperationId, Position};
use crate::ring::{MemberId, PartitionId};
use crate::storage::StoreError;

/// In which capacity a peer takes an entry in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Capacity {
    /// It owns the key.
    Owner,
    /// It keeps the entry for owners that are down.
    StandIn,
}

impl Peer {
    /// Who can be reached of a partition's preference list. Nothing is listed while all owners can be.
    pub(super) fn walk_of(&self, partition: PartitionId) -> Walk {
        let down: Vec<MemberId> = self.owners_of(partition).iter().copied().filter(|owner| !self.is_live(*owner)).collect();
        let stand_ins = if down.is_empty() { Vec::new() } else { self.live_stand_ins(partition).collect() };
        Walk { down, stand_ins }
    }

    /// The live members that do not own a partition, in the order in which they stand in.
    pub(super) fn live_stand_ins(&self, partition: PartitionId) -> impl Iterator<Item = MemberId> {
        let placement = self.placement.as_ref();
        let all = placement
            .into_iter()
            .flat_map(move |placement| placement.stand_ins(partition).iter().map(move |member| placement.member(*member).member));
        all.filter(|member| self.is_live(*member))
    }

    pub(super) fn is_owner(&self, partition: PartitionId) -> bool {
        self.owners_of(partition).contains(&self.me)
    }

    /// In which capacity this peer takes an entry in; else why it does not, for people.
    pub(super) fn capacity_for(&self, key: &[u8], owed: &[MemberId]) -> Result<(PartitionId, Capacity), String> {
        let Some(placement) = &self.placement else {
            return Err(format!("{} belongs to no cluster yet", self.config.name));
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len()));
        }
        let partition = placement.partition(key);
        if self.is_owner(partition) {
            return Ok((partition, Capacity::Owner));
        }
        // A debt to somebody who is no owner could never be paid.
        if !owed.is_empty() && owed.iter().all(|member| self.owners_of(partition).contains(member)) {
            return Ok((partition, Capacity::StandIn));
        }
        Err(format!("{} does not own partition {}", self.config.name, partition.0))
    }

    /// Hands over what is owed to whoever can be reached, as fast as they take it.
    pub(super) fn pay_hints(&mut self, now: Now, outbox: &mut Vec<Output>) {
        let store = self.replica.store();
        // On a full disk there is no room to write down that something was paid.
        if store.hints() == 0 || store.is_full() {
            return;
        }
        let debtors: Vec<MemberId> = store.debtors().collect();
        for member in debtors {
            if self.is_live(member) {
                self.pay_member(now, member, outbox);
            } else {
                self.handoff.forget(member);
            }
        }
    }

    /// When something may be handed over that nothing else brings up (monotonic milliseconds). On a full disk that is when there is room.
    pub(super) fn next_payment(&self) -> Option<u64> {
        if self.replica.store().is_full() { None } else { self.handoff.next_wake() }
    }

    fn pay_member(&mut self, now: Now, member: MemberId, outbox: &mut Vec<Output>) {
        while let Some(after) = self.handoff.turn(now.monotonic_ms, member) {
            let Some(hint) = self.replica.store().next_hint_for(member, after) else {
                if self.replica.store().next_hint_for(member, Position(0)).is_some() {
                    self.handoff.end_round(now.monotonic_ms, member);
                }
                return;
            };
            let id = self.next_operation_id();
            let (partition, key) = (hint.partition, hint.key.clone());
            self.handoff.send(now.monotonic_ms, id, member, hint);
            self.run_in_order(now, partition, key, Task::Pay(id), outbox);
        }
    }

    /// The record of a hint that is to be paid is in memory: it goes.
    pub(super) fn try_pay(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) -> Result<(), StoreError> {
        let Some(payment) = self.handoff.payment(id).cloned() else { return Ok(()) };
        match self.replica.store_mut().hint_to_pay(payment.partition, &payment.key)? {
            Some((entry, position)) if position == payment.position => {
                // By a clock that cannot be believed nothing has expired.
                let entry = match self.believes_its_clock() {
                    true => without_expired(&entry, now.wall_ms).unwrap_or(entry),
                    false => entry,
                };
                let apply = Apply { operation: id, key: payment.key.clone(), entry, naming: None, owed: Vec::new(), relief: true };
                outbox.push(Output::Send { to: payment.member, message: Message::Apply(apply), after: Position(0) });
                if is_broken(Rule::HintDropped) {
                    self.on_hint_paid(payment.member, id);
                }
            }
            // It has grown since, and has its turn later; or nobody needs it any more.
            _ => self.handoff.cancel(id),
        }
        Ok(())
    }

    /// An answer to a hint, if it is one. False: it belongs to something else.
    pub(super) fn on_hint_applied(&mut self, now: Now, from: MemberId, applied: &Applied) -> bool {
        if self.handoff.payment(applied.operation).is_none() {
            return false;
        }
        match &applied.refused {
            None => self.on_hint_paid(from, applied.operation),
            Some(reason) => {
                if self.handoff.on_refused(now.monotonic_ms, applied.operation, from) {
                    tracing::debug!(from = ?from, reason, "what is owed to a peer was refused by it");
                }
            }
        }
        true
    }

    /// The record of a hint cannot be read: it has its turn again later.
    pub(super) fn on_hint_unreadable(&mut self, now: Now, id: OperationId, reason: &str) {
        if let Some(member) = self.handoff.payment(id).map(|payment| payment.member) {
            tracing::warn!(owed_to = ?member, reason, "what is owed to a peer cannot be read");
            self.handoff.on_refused(now.monotonic_ms, id, member);
        }
    }

    fn on_hint_paid(&mut self, from: MemberId, id: OperationId) {
        if let Some(payment) = self.handoff.on_paid(id, from) {
            self.replica.store_mut().pay_hint(payment.partition, &payment.key, payment.member, payment.position);
        }
    }

    /// What this peer owes, for people.
    pub(super) fn debts(&self, now: Now) -> Vec<DebtStatus> {
        let status = |debt: crate::storage::Debt| {
            let founder = self.founders().iter().find(|founder| founder.member == debt.member);
            let (paid, in_flight) = self.handoff.progress(debt.member);
            DebtStatus {
                member: debt.member,
                name: founder.map_or_else(|| format!("{:?}", debt.member), |founder| founder.name.clone()),
                hints: debt.hints,
                bytes: debt.bytes,
                oldest_ms: now.wall_ms.saturating_sub(debt.since_ms),
                paid,
                in_flight,
            }
        };
        self.replica.store().debts().map(status).collect()
    }
}
