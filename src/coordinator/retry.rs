//! What a coordinator remembers of its writes, so that a retry does not become a second write.

use super::write::Demand;
use crate::broken::{Rule, is_broken};
use crate::limits::{RETRY_MEMORY_MAX, RETRY_MEMORY_MS, RETRY_NUMBERS_MAX};
use crate::message::{Attempt, Receipt, Retry};
use crate::vclock::{Dot, Seen};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A write that was begun here.
#[derive(Clone, PartialEq, Debug)]
pub struct Remembered {
    /// Tells whether the retry is the same request.
    pub digest: u64,
    /// The first of the write's dots; the others follow it without a gap. Meaningless if there are none.
    pub first: Dot,
    /// How many dots the write made.
    pub count: u32,
    /// What it replaced, as far as its coordinator saw when it began.
    pub covered: Seen,
    /// Until when its first try may be under way (monotonic milliseconds); 0: it was begun in an earlier start.
    pub until_ms: u64,
    /// How it was acknowledged; kept only of a removal without a context that made no dot.
    pub acknowledged: Option<Arc<Acknowledged>>,
}

/// How a removal was acknowledged.
#[derive(Clone, PartialEq, Debug)]
pub struct Acknowledged {
    /// What was asked of those who did.
    pub demand: Demand,
    /// What its client was told.
    pub receipt: Receipt,
}

/// What has become of the first try of a removal without a context.
///
/// Such a removal covers whatever its replicas hold and makes no dot of its own. So nothing tells a version that was there before it from one
/// that was written after it: not a dot, and not a time, since clocks differ. Therefore it is done once, by one try, and a retry adds nothing:
/// what it covered besides might have been acknowledged after the removal, and what it left might have been before.
#[derive(Clone, PartialEq, Debug)]
pub enum FirstTry {
    /// It still goes on: its end is the retry's.
    UnderWay,
    /// It was acknowledged, by as many as the retry asks for.
    Acknowledged(Arc<Acknowledged>),
    /// It ended without that, or with the start in which it was begun.
    Unknown,
}

impl Remembered {
    /// The dots of the write.
    pub fn dots(&self) -> Vec<Dot> {
        (0..u64::from(self.count)).map(|n| Dot { actor: self.first.actor, counter: self.first.counter + n }).collect()
    }

    /// What has become of the first try, of a removal without a context.
    pub fn first_try(&self, monotonic_ms: u64, demand: Demand) -> FirstTry {
        match &self.acknowledged {
            Some(acknowledged) if acknowledged.demand.is_at_least(demand) => FirstTry::Acknowledged(acknowledged.clone()),
            None if monotonic_ms < self.until_ms => FirstTry::UnderWay,
            _ => FirstTry::Unknown,
        }
    }
}

/// The memory: for each client session its last writes, for some minutes.
#[derive(Debug, Default)]
pub struct RetryMemory {
    sessions: BTreeMap<u64, VecDeque<(u64, Remembered)>>,
    /// In the order in which they came: monotonic time, session, number.
    order: VecDeque<(u64, u64, u64)>,
    /// Writes that were handed on, by session and number: a retry must go where the first try went.
    handed_on: BTreeMap<(u64, u64), Attempt>,
    /// As `order`.
    handed_order: VecDeque<(u64, u64, u64)>,
}

impl RetryMemory {
    /// Looks for a write of this session and number.
    pub fn get(&self, session: u64, number: u64) -> Option<&Remembered> {
        let writes = self.sessions.get(&session).filter(|_| !is_broken(Rule::RetryForgotten))?;
        writes.binary_search_by_key(&number, |write| write.0).ok().map(|at| &writes[at].1)
    }

    /// Remembers a write that begins now.
    pub fn insert(&mut self, monotonic_ms: u64, session: u64, number: u64, write: Remembered) {
        let writes = self.sessions.entry(session).or_default();
        match writes.binary_search_by_key(&number, |write| write.0) {
            Ok(at) => writes[at].1 = write,
            Err(at) => writes.insert(at, (number, write)),
        }
        if writes.len() > RETRY_NUMBERS_MAX {
            writes.pop_front();
        }
        self.order.push_back((monotonic_ms, session, number));
        while self.order.len() > RETRY_MEMORY_MAX
            || self.order.front().is_some_and(|first| first.0.saturating_add(RETRY_MEMORY_MS) < monotonic_ms)
        {
            self.forget_oldest();
        }
    }

    /// Notes how a write of this session and number was acknowledged.
    pub fn acknowledge(&mut self, session: u64, number: u64, acknowledged: Acknowledged) {
        if let Some(writes) = self.sessions.get_mut(&session)
            && let Ok(at) = writes.binary_search_by_key(&number, |write| write.0)
        {
            writes[at].1.acknowledged = Some(Arc::new(acknowledged));
        }
    }

    /// Remembers that a write is handed on to another owner, which coordinates it in the place of this peer.
    pub fn hand_on(&mut self, monotonic_ms: u64, retry: &Retry, to: Attempt) {
        self.handed_on.insert((retry.session, retry.number), to);
        self.handed_order.push_back((monotonic_ms, retry.session, retry.number));
        while self.handed_order.len() > RETRY_MEMORY_MAX
            || self.handed_order.front().is_some_and(|first| first.0.saturating_add(RETRY_MEMORY_MS) < monotonic_ms)
        {
            let Some((_, session, number)) = self.handed_order.pop_front() else { break };
            self.handed_on.remove(&(session, number));
        }
    }

    /// Whoever was handed that write has refused it, and nothing was done.
    pub fn take_back(&mut self, session: u64, number: u64) {
        self.handed_on.remove(&(session, number));
    }

    /// To whom a write of this session and number was handed on.
    pub fn handed_on(&self, session: u64, number: u64) -> Option<Attempt> {
        self.handed_on.get(&(session, number)).copied().filter(|_| !is_broken(Rule::HandedOnForgotten))
    }

    fn forget_oldest(&mut self) {
        let Some((_, session, number)) = self.order.pop_front() else { return };
        let Some(writes) = self.sessions.get_mut(&session) else { return };
        if let Ok(at) = writes.binary_search_by_key(&number, |write| write.0) {
            writes.remove(at);
        }
        if writes.is_empty() {
            self.sessions.remove(&session);
        }
    }

    /// How many writes are remembered.
    pub fn len(&self) -> usize {
        self.sessions.values().map(VecDeque::len).sum()
    }

    /// True if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Attempt;
    use crate::ring::MemberId;
    use crate::vclock::{Actor, Start};
    use bytes::Bytes;

    fn write(n: u64) -> Remembered {
        let first = Dot { actor: Actor(1), counter: n };
        Remembered { digest: n, first, count: 2, covered: Seen::new(), until_ms: 0, acknowledged: None }
    }

    fn demand(w: usize, strict: bool) -> Demand {
        Demand { w, strict, needs_owners: true }
    }

    #[test]
    fn a_removal_is_under_way_until_its_deadline_acknowledged_for_ever_after_and_unknown_else() {
        let mut memory = RetryMemory::default();
        memory.insert(1_000, 7, 1, Remembered { until_ms: 6_000, count: 0, ..write(1) });
        let first_try = |memory: &RetryMemory, at, demand| memory.get(7, 1).map(|write| write.first_try(at, demand));
        assert_eq!(first_try(&memory, 5_999, demand(2, false)), Some(FirstTry::UnderWay));
        assert_eq!(first_try(&memory, 6_000, demand(2, false)), Some(FirstTry::Unknown));
        let coordinator = Attempt { member: MemberId(1), start: Start(1) };
        let receipt = Receipt {
            coordinator,
            acks: Vec::new(),
            dots: Vec::new(),
            covered: Vec::new(),
            context: Bytes::new(),
            stood_in: Vec::new(),
        };
        memory.acknowledge(7, 2, Acknowledged { demand: demand(2, false), receipt: receipt.clone() });
        assert_eq!(first_try(&memory, 5_999, demand(2, false)), Some(FirstTry::UnderWay), "another number");
        memory.acknowledge(7, 1, Acknowledged { demand: demand(2, false), receipt });
        for (at, asked, is_answered) in [
            (5_999, demand(2, false), true),
            (9_000, demand(2, false), true),
            (9_000, demand(1, false), true),
            (9_000, demand(3, false), false),
            (9_000, demand(2, true), false),
        ] {
            let first_try = first_try(&memory, at, asked);
            assert_eq!(matches!(first_try, Some(FirstTry::Acknowledged(_))), is_answered, "{asked:?} at {at}");
            assert!(is_answered || first_try == Some(FirstTry::Unknown));
        }
    }

    #[test]
    fn the_last_numbers_of_a_session_are_remembered_and_no_more() {
        let mut memory = RetryMemory::default();
        for n in 0..RETRY_NUMBERS_MAX as u64 + 5 {
            memory.insert(1_000, 7, n, write(n));
        }
        assert_eq!(memory.len(), RETRY_NUMBERS_MAX);
        assert!(memory.get(7, 4).is_none() && memory.get(7, 5).is_some() && memory.get(8, 5).is_none());
        assert_eq!(memory.get(7, 5).map(|write| write.dots().len()), Some(2));
    }

    #[test]
    fn a_write_is_forgotten_after_some_minutes() {
        let mut memory = RetryMemory::default();
        memory.insert(1_000, 7, 1, write(1));
        memory.insert(1_001 + RETRY_MEMORY_MS, 8, 1, write(2));
        assert!(memory.get(7, 1).is_none() && memory.get(8, 1).is_some());
        assert_eq!(memory.len(), 1);
    }

    #[test]
    fn numbers_may_come_in_any_order() {
        let mut memory = RetryMemory::default();
        [5, 1, 3, 1].into_iter().for_each(|n| memory.insert(0, 7, n, write(n)));
        assert!([1, 3, 5].into_iter().all(|n| memory.get(7, n) == Some(&write(n))));
    }
}
