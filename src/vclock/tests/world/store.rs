//! One partition at one owner.

use super::*;
use crate::vclock::Interval;

/// Another one after every start and every change of ownership: comparisons are bound to it.
#[derive(Clone)]
pub(super) struct Store {
    pub id: u64,
    broken: Option<Rule>,
    pub entries: BTreeMap<u8, Entry>,
    /// The record before, which stays in the log for a while.
    pub old: BTreeMap<u8, Entry>,
    pub clock: Seen,
}

/// Counters `first..=last` of an actor.
pub(super) fn range(actor: Actor, first: u64, last: u64) -> Seen {
    let mut seen = Seen::new();
    seen.insert_interval(actor, Interval { first, last });
    seen
}

impl Store {
    pub fn new(id: u64, broken: Option<Rule>) -> Store {
        Store { id, broken, entries: BTreeMap::new(), old: BTreeMap::new(), clock: Seen::new() }
    }

    pub fn explicit(&self, key: u8) -> Entry {
        self.entries.get(&key).cloned().unwrap_or_default()
    }

    pub fn filled(&self, key: u8) -> Entry {
        let mut entry = self.explicit(key);
        entry.fill(&self.clock);
        entry
    }

    pub fn live(&self, key: u8) -> BTreeSet<Dot> {
        self.entries.get(&key).into_iter().flat_map(Entry::dots).collect()
    }

    pub fn take(&mut self, key: u8, incoming: &Entry) {
        let mut entry = self.explicit(key);
        entry.take(incoming.clone(), &mut self.clock);
        self.put(key, entry);
        if self.broken == Some(Rule::AddContext) {
            self.clock.union_with(incoming.context());
        }
    }

    /// Stores an entry that was put together elsewhere; its live versions become seen with it.
    pub fn restore(&mut self, key: u8, mut entry: Entry) {
        entry.dots().for_each(|dot| self.clock.insert(dot));
        entry.strip(&self.clock);
        self.put(key, entry);
    }

    pub fn take_clock(&mut self, clock: &Seen) {
        self.clock.union_with(clock);
        for (key, mut entry) in self.entries.clone() {
            entry.strip(&self.clock);
            self.put(key, entry);
        }
    }

    fn put(&mut self, key: u8, entry: Entry) {
        if let Some(before) = self.entries.remove(&key) {
            self.old.insert(key, before);
        }
        if !entry.is_empty() {
            self.entries.insert(key, entry);
        }
    }
}
