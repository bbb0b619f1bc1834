//! What a coordinator remembers of its writes, so that a retry does not become a second write.

use crate::limits::{RETRY_MEMORY_MAX, RETRY_MEMORY_MS, RETRY_NUMBERS_MAX};
use crate::vclock::{Dot, Seen};
use std::collections::{BTreeMap, VecDeque};

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
    /// When it began, in milliseconds since 1970.
    pub wall_ms: u64,
}

impl Remembered {
    /// The dots of the write.
    pub fn dots(&self) -> Vec<Dot> {
        (0..u64::from(self.count)).map(|n| Dot { actor: self.first.actor, counter: self.first.counter + n }).collect()
    }
}

/// The memory: for each client session its last writes, for some minutes.
#[derive(Debug, Default)]
pub struct RetryMemory {
    sessions: BTreeMap<u64, VecDeque<(u64, Remembered)>>,
    /// In the order in which they came: monotonic time, session, number.
    order: VecDeque<(u64, u64, u64)>,
}

impl RetryMemory {
    /// Looks for a write of this session and number.
    pub fn get(&self, session: u64, number: u64) -> Option<&Remembered> {
        let writes = self.sessions.get(&session)?;
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
    use crate::vclock::Actor;

    fn write(n: u64) -> Remembered {
        Remembered { digest: n, first: Dot { actor: Actor(1), counter: n }, count: 2, covered: Seen::new(), wall_ms: 0 }
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
