//! A peer: an owner with its store, or a stand-in with its hints.

use super::store::range;
use super::*;
use crate::vclock::Start;

/// What a stand-in holds for others: the entry with its explicit context, and who is owed it.
#[derive(Clone, Default)]
pub(super) struct Hint {
    pub entry: Entry,
    pub owed: BTreeSet<usize>,
}

/// What a start finds again.
#[derive(Clone)]
struct Disk {
    store: Store,
    hints: BTreeMap<u8, Hint>,
    used: u64,
    complete: bool,
    partners: BTreeSet<usize>,
}

pub(super) struct Peer {
    broken: Option<Rule>,
    pub actor: Actor,
    pub start: u32,
    /// Counters of this start.
    pub used: u64,
    pub owner: bool,
    pub complete: bool,
    pub gone: bool,
    pub leaving: bool,
    /// Starts of an actor below this one are refused.
    pub fence: BTreeMap<Actor, u32>,
    /// Owners with which an incomplete one has compared.
    pub partners: BTreeSet<usize>,
    pub store: Store,
    pub hints: BTreeMap<u8, Hint>,
    /// Every dot that was ever held here; only for a broken `StandinClock`.
    ghost: Seen,
    disk: Disk,
}

impl Peer {
    pub fn new(actor: Actor, store: Store, broken: Option<Rule>) -> Peer {
        let disk = Disk { store: store.clone(), hints: BTreeMap::new(), used: 0, complete: false, partners: BTreeSet::new() };
        Peer {
            broken,
            actor,
            start: 0,
            used: 0,
            owner: false,
            complete: false,
            gone: false,
            leaving: false,
            fence: BTreeMap::new(),
            partners: BTreeSet::new(),
            store,
            hints: BTreeMap::new(),
            ghost: Seen::new(),
            disk,
        }
    }

    /// Syncs everything.
    pub fn save(&mut self) {
        let (store, hints, partners) = (self.store.clone(), self.hints.clone(), self.partners.clone());
        self.disk = Disk { store, hints, used: self.used, complete: self.complete, partners };
    }

    pub fn mint(&mut self) -> Dot {
        self.used += 1;
        Dot { actor: self.actor, counter: Start(self.start).base() + self.used }
    }

    /// What this peer may say of a key: its context lists the live dots, too.
    pub fn view(&self, key: u8) -> Entry {
        let mut entry = if self.owner { self.store.filled(key) } else { self.hints.get(&key).cloned().unwrap_or_default().entry };
        if !self.owner && self.broken == Some(Rule::StandinClock) {
            entry.fill(&self.ghost);
        }
        let live: Seen = entry.dots().collect();
        entry.fill(&live);
        entry
    }

    /// The one way in: a store takes it, a stand-in holds it for those it owes.
    pub fn take(&mut self, key: u8, entry: &Entry, owed: &BTreeSet<usize>) {
        if self.owner {
            return self.store.take(key, entry);
        }
        let hint = self.hints.entry(key).or_default();
        hint.entry.merge(entry.clone());
        hint.owed.extend(owed);
        entry.dots().for_each(|dot| self.ghost.insert(dot));
    }

    /// A new start: another start number, synced before anything else.
    pub fn begin(&mut self, clean: bool, store: u64) {
        if clean {
            self.save();
        }
        let Disk { store: found, hints, used, complete, partners } = self.disk.clone();
        (self.store, self.hints, self.used, self.complete, self.partners) = (found, hints, used, complete, partners);
        self.store.id = store;
        if self.owner && (clean || self.broken == Some(Rule::SkipSeen)) {
            // A store that knows what it issued closes its own range.
            let first = Start(self.start).base() + self.used + 1;
            self.store.take_clock(&range(self.actor, first, Start(self.start + 1).base()));
        }
        if clean || self.broken != Some(Rule::NoStart) {
            (self.start, self.used) = (self.start + 1, 0);
        }
        self.save();
    }

    /// A new identity of a store that has lost something.
    pub fn renew(&mut self, actor: Actor) {
        (self.actor, self.start, self.used) = (actor, 0, 0);
        (self.complete, self.partners) = (false, BTreeSet::new());
        self.save();
    }

    /// Becomes an owner, with what it held as a stand-in.
    pub fn join(&mut self, store: Store) {
        let hints = std::mem::take(&mut self.hints);
        (self.ghost, self.store, self.partners) = (Seen::new(), store, BTreeSet::new());
        (self.owner, self.complete) = (true, false);
        hints.iter().for_each(|(key, hint)| self.store.take(*key, &hint.entry));
        self.save();
    }
}
