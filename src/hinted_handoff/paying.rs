//! The machine that pays: so many hints on their way to each debtor as it keeps up with.
//!
//! Its window opens by one with every acknowledgement, and halves, with a rest, when a hint is refused or not answered: as a sender
//! finds the pace of a link (additive increase, multiplicative decrease). A hint that cannot be paid now does not hold up those behind
//! it: it has its turn again in the next round.

use crate::broken::{Rule, is_broken};
use crate::limits::{HINT_ANSWER_MS, HINT_BYTES_IN_FLIGHT_MAX, HINT_REST_MS_MAX, HINT_REST_MS_MIN, HINTS_IN_FLIGHT_MAX};
use crate::message::{OperationId, Position};
use crate::ring::{MemberId, PartitionId};
use crate::storage::OwedHint;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Hints on their way to whoever was down and is back.
#[derive(Debug, Default)]
pub struct Handoff {
    debtors: BTreeMap<MemberId, Debtor>,
    payments: BTreeMap<OperationId, Payment>,
    paid: BTreeMap<MemberId, u64>,
}

/// A hint on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    /// To whom.
    pub member: MemberId,
    /// The partition of its key.
    pub partition: PartitionId,
    /// Its key.
    pub key: Bytes,
    /// The position that names it.
    pub position: Position,
    bytes: u64,
    sent_ms: u64,
}

/// How it goes with one of them.
#[derive(Debug)]
struct Debtor {
    /// Up to here this round has come.
    cursor: Position,
    window: usize,
    in_flight: usize,
    bytes_in_flight: u64,
    /// Nothing is sent before then, on the monotonic clock.
    rests_until: u64,
    /// How long the next rest is.
    rest_ms: u64,
    /// True if something waits for the end of the rest.
    waits: bool,
}

/// How many hints go first, before the debtor has shown what it can take.
const WINDOW_FIRST: usize = 4;

impl Handoff {
    /// Whether another hint may go to this member, which can be reached; if so, the position after which to look for it.
    pub fn turn(&mut self, now_ms: u64, member: MemberId) -> Option<Position> {
        let debtor = self.debtors.entry(member).or_insert(Debtor {
            cursor: Position(0),
            window: WINDOW_FIRST,
            in_flight: 0,
            bytes_in_flight: 0,
            rests_until: 0,
            rest_ms: HINT_REST_MS_MIN,
            waits: false,
        });
        debtor.waits = now_ms < debtor.rests_until;
        let has_room =
            debtor.in_flight < debtor.window && (debtor.in_flight == 0 || debtor.bytes_in_flight < HINT_BYTES_IN_FLIGHT_MAX);
        (!debtor.waits && has_room).then_some(debtor.cursor)
    }

    /// There is nothing more to send in this round. What is owed all the same has failed: it comes again after a rest.
    pub fn end_round(&mut self, now_ms: u64, member: MemberId) {
        if let Some(debtor) = self.debtors.get_mut(&member)
            && debtor.in_flight == 0
        {
            if !is_broken(Rule::PaysOnce) {
                debtor.cursor = Position(0);
            }
            debtor.rests_until = debtor.rests_until.max(now_ms + debtor.rest_ms);
            debtor.waits = true;
        }
    }

    /// A hint is sent, or being read so that it can be, under this operation.
    pub fn send(&mut self, now_ms: u64, id: OperationId, member: MemberId, hint: OwedHint) {
        let Some(debtor) = self.debtors.get_mut(&member) else { return };
        debtor.cursor = debtor.cursor.max(hint.position);
        debtor.in_flight += 1;
        debtor.bytes_in_flight += hint.bytes;
        let OwedHint { partition, key, position, bytes } = hint;
        self.payments.insert(id, Payment { member, partition, key, position, bytes, sent_ms: now_ms });
    }

    /// The hint on its way under this operation.
    pub fn payment(&self, id: OperationId) -> Option<&Payment> {
        self.payments.get(&id)
    }

    /// The member has it durably: it is not owed any more. None if this was not asked of it.
    pub fn on_paid(&mut self, id: OperationId, from: MemberId) -> Option<Payment> {
        let payment = self.take(id, Some(from))?;
        let debtor = self.debtors.get_mut(&payment.member)?;
        debtor.window = (debtor.window + 1).min(HINTS_IN_FLIGHT_MAX);
        debtor.rest_ms = HINT_REST_MS_MIN;
        *self.paid.entry(payment.member).or_default() += 1;
        Some(payment)
    }

    /// It was refused, or could not be read. False if this was not asked of that member.
    pub fn on_refused(&mut self, now_ms: u64, id: OperationId, from: MemberId) -> bool {
        let payment = self.take(id, Some(from));
        if let Some(debtor) = payment.as_ref().and_then(|payment| self.debtors.get_mut(&payment.member)) {
            debtor.slow_down(now_ms);
        }
        payment.is_some()
    }

    /// It is not to be sent under this operation after all: it has grown, or is gone.
    pub fn cancel(&mut self, id: OperationId) {
        self.take(id, None);
    }

    /// The member cannot be reached: what is on its way to it may never arrive. It begins anew when it is back.
    pub fn forget(&mut self, member: MemberId) {
        if self.debtors.remove(&member).is_some() {
            self.payments.retain(|_, payment| payment.member != member);
        }
    }

    /// Gives up waiting for answers that are overdue, and ends the rests that are over.
    pub fn on_wake(&mut self, now_ms: u64) {
        // Whatever is owed to one that has rested has its turn at once; if nothing is, nobody is to be woken for it again.
        self.debtors.values_mut().for_each(|debtor| debtor.waits &= now_ms < debtor.rests_until);
        // In the order in which they were sent: operations are numbered.
        while let Some((id, payment)) = self.payments.first_key_value()
            && payment.sent_ms + HINT_ANSWER_MS <= now_ms
        {
            let (id, member) = (*id, payment.member);
            self.on_refused(now_ms, id, member);
        }
    }

    /// When there is something to do that nothing else will bring up (monotonic milliseconds).
    pub fn next_wake(&self) -> Option<u64> {
        let overdue = self.payments.first_key_value().map(|(_, payment)| payment.sent_ms + HINT_ANSWER_MS);
        let rested = self.debtors.values().filter(|debtor| debtor.waits).map(|debtor| debtor.rests_until);
        rested.chain(overdue).min()
    }

    /// How many hints have been paid to a member since this peer started, and how many are on their way.
    pub fn progress(&self, member: MemberId) -> (u64, u32) {
        let in_flight = self.debtors.get(&member).map_or(0, |debtor| debtor.in_flight as u32);
        (self.paid.get(&member).copied().unwrap_or(0), in_flight)
    }

    fn take(&mut self, id: OperationId, from: Option<MemberId>) -> Option<Payment> {
        if from.is_some_and(|from| self.payments.get(&id).is_some_and(|payment| payment.member != from)) {
            return None;
        }
        let payment = self.payments.remove(&id)?;
        if let Some(debtor) = self.debtors.get_mut(&payment.member) {
            debtor.in_flight -= 1;
            debtor.bytes_in_flight -= payment.bytes;
        }
        Some(payment)
    }
}

impl Debtor {
    /// Once for each rest: a whole window that fails is one failure.
    fn slow_down(&mut self, now_ms: u64) {
        if now_ms >= self.rests_until {
            self.window = (self.window / 2).max(1);
            self.rests_until = now_ms + self.rest_ms;
            self.rest_ms = (self.rest_ms * 2).min(HINT_REST_MS_MAX);
            self.waits = true;
        }
    }
}
