//! The index of hints: which keys are kept for whom, and where their records lie.

use super::Location;
use crate::broken::{Rule, is_broken};
use crate::limits::{HINT_BYTES_MAX, HINTS_MAX};
use crate::message::Position;
use crate::ring::{MemberId, PartitionId};
use crate::vclock::{Actor, Dot, Entry, Seen, Start, decode_seen, encode_seen};
use bytes::Bytes;
use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

/// A key of a partition.
pub(super) type Place = (PartitionId, Bytes);

/// All hints of a store. They follow from the log alone.
#[derive(Debug)]
pub(super) struct Hints {
    hints: BTreeMap<Place, Hint>,
    debts: BTreeMap<MemberId, Debts>,
    /// In how many hints of a partition a start of an actor has live dots.
    authors: BTreeMap<(Actor, Start), BTreeMap<PartitionId, u32>>,
    bytes: u64,
    bytes_max: u64,
    count_max: usize,
    /// Every dot that was ever taken in as a hint. Kept only while the rule `standin_clock` is broken.
    ghosts: BTreeMap<PartitionId, Seen>,
}

/// One hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hint {
    pub location: Location,
    /// That of its record: a hint that has grown has another one.
    pub position: Position,
    /// Since when it has been owed, by the wall clock.
    pub since_ms: u64,
    /// About what its record takes.
    pub bytes: u64,
    /// Whom it is owed to, in order.
    pub owed: Vec<MemberId>,
    /// Who made its live versions, in which start; in order, each once.
    pub authors: Vec<(Actor, Start)>,
    /// Its live dots and its context, coded: what is known of it if its record cannot be read any more.
    pub dots: Box<[u8]>,
}

/// What is owed to one member.
#[derive(Debug, Default)]
pub(super) struct Debts {
    /// In the order in which they were written down.
    by_position: BTreeSet<(Position, Place)>,
    pub bytes: u64,
}

impl Default for Hints {
    fn default() -> Hints {
        Hints {
            hints: BTreeMap::new(),
            debts: BTreeMap::new(),
            authors: BTreeMap::new(),
            bytes: 0,
            bytes_max: HINT_BYTES_MAX,
            count_max: HINTS_MAX,
            ghosts: BTreeMap::new(),
        }
    }
}

impl Hint {
    pub fn new(key: &[u8], entry: &Entry, packed: &[u8], owed: Vec<MemberId>, since_ms: u64) -> Hint {
        let mut authors: Vec<(Actor, Start)> = entry.dots().map(|dot| (dot.actor, dot.start())).collect();
        authors.sort_unstable();
        authors.dedup();
        let (bytes, mut dots) = (bytes_of(key, packed, owed.len()), Vec::new());
        encode_seen(&entry.dots().collect(), &mut dots);
        encode_seen(entry.context(), &mut dots);
        let location = Location { segment: 0, offset: 0, class: 0 };
        Hint { location, position: Position(0), since_ms, bytes, owed, authors, dots: dots.into() }
    }

    /// Its live dots, and its context.
    pub fn dots(&self) -> (Seen, Seen) {
        let mut coded = &*self.dots;
        let mut next = || decode_seen(&mut coded).expect("what was encoded here");
        (next(), next())
    }
}

/// About what the record of a hint takes.
pub(super) fn bytes_of(key: &[u8], packed: &[u8], owed: usize) -> u64 {
    const FRAME_BYTES: usize = 32;
    (FRAME_BYTES + key.len() + packed.len() + owed * size_of::<MemberId>()) as u64
}

impl Hints {
    /// Bytes of all of them, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn get(&self, place: &Place) -> Option<&Hint> {
        self.hints.get(place)
    }

    /// Takes a hint in, in place of what was kept of the key. Returns where that lay.
    pub fn set(&mut self, place: &Place, hint: Hint, dots: impl Iterator<Item = Dot>) -> Option<Location> {
        if is_broken(Rule::StandInClock) {
            let ghost = self.ghosts.entry(place.0).or_default();
            dots.for_each(|dot| ghost.insert(dot));
        }
        let old = self.remove(place);
        self.bytes += hint.bytes;
        for author in &hint.authors {
            *self.authors.entry(*author).or_default().entry(place.0).or_default() += 1;
        }
        for member in &hint.owed {
            let debts = self.debts.entry(*member).or_default();
            debts.by_position.insert((hint.position, place.clone()));
            debts.bytes += hint.bytes;
        }
        self.hints.insert(place.clone(), hint);
        old.map(|old| old.location)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        (self.hints, self.debts, self.authors, self.bytes) = Default::default();
    }

    /// The member has it: a hint that is owed to nobody any more goes. False if it was not owed to this member, or has grown since. The
    /// location is that of a record that is not needed any more.
    pub fn pay(&mut self, place: &Place, member: MemberId, position: Position) -> (bool, Option<Location>) {
        let Some(hint) = self.hints.get_mut(place).filter(|hint| hint.position == position) else { return (false, None) };
        let Some(at) = hint.owed.iter().position(|owed| *owed == member) else { return (false, None) };
        if hint.owed.len() == 1 {
            return (true, self.remove(place).map(|hint| hint.location));
        }
        hint.owed.remove(at);
        let bytes = hint.bytes;
        self.settle(member, (position, place.clone()), bytes);
        (true, None)
    }

    fn remove(&mut self, place: &Place) -> Option<Hint> {
        let hint = self.hints.remove(place)?;
        self.bytes -= hint.bytes;
        for author in hint.authors.iter().filter(|_| !is_broken(Rule::AuthorsStay)) {
            if let Slot::Occupied(mut partitions) = self.authors.entry(*author) {
                if let Slot::Occupied(mut count) = partitions.get_mut().entry(place.0) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
                if partitions.get().is_empty() {
                    partitions.remove();
                }
            }
        }
        for member in &hint.owed {
            self.settle(*member, (hint.position, place.clone()), hint.bytes);
        }
        Some(hint)
    }

    fn settle(&mut self, member: MemberId, row: (Position, Place), bytes: u64) {
        if let Slot::Occupied(mut debts) = self.debts.entry(member) {
            if debts.get_mut().by_position.remove(&row) {
                debts.get_mut().bytes -= bytes;
            }
            if debts.get().by_position.is_empty() {
                debts.remove();
            }
        }
    }

    /// Those to whom something is owed, in order.
    pub fn debtors(&self) -> impl Iterator<Item = (MemberId, &Debts)> {
        self.debts.iter().map(|(member, debts)| (*member, debts))
    }

    /// What is owed to a member, written down after a position, oldest record first.
    pub fn owed_to(&self, member: MemberId, after: Position) -> impl Iterator<Item = (Position, &Place, &Hint)> {
        let from = (Position(after.0.saturating_add(1)), (PartitionId(0), Bytes::new()));
        let debts = self.debts.get(&member).into_iter().flat_map(move |debts| debts.by_position.range(from.clone()..));
        debts.filter_map(|(position, place)| Some((*position, place, self.hints.get(place)?)))
    }

    /// The partitions in which a hint holds a live dot of this actor with a start below this one, in order.
    pub fn hold(&self, actor: Actor, below: Start) -> Vec<PartitionId> {
        let starts = self.authors.range((actor, Start(0))..(actor, below));
        let mut partitions: Vec<PartitionId> = starts.flat_map(|(_, partitions)| partitions.keys().copied()).collect();
        partitions.sort_unstable();
        partitions.dedup();
        partitions
    }

    /// True if a hint of so many bytes in place of one of `before` would go over the bound.
    pub fn would_overflow(&self, before: Option<u64>, after: u64) -> bool {
        let grows = after > before.unwrap_or(0);
        (before.is_none() && self.hints.len() >= self.count_max)
            || (grows && self.bytes - before.unwrap_or(0) + after > self.bytes_max)
    }

    /// True if nothing new is taken, or all but nothing.
    pub fn is_full(&self) -> bool {
        // The last sixty-fourth: what is left takes small hints and refuses larger ones.
        self.hints.len() >= self.count_max || self.bytes >= self.bytes_max - self.bytes_max / 64
    }

    pub fn len(&self) -> usize {
        self.hints.len()
    }

    /// All of them, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Place, &Hint)> {
        self.hints.iter()
    }

    pub fn set_bounds(&mut self, bytes_max: u64, count_max: usize) {
        (self.bytes_max, self.count_max) = (bytes_max, count_max);
    }

    /// What a stand-in would fill contexts from if the rule `standin_clock` were broken.
    pub fn ghost(&self, partition: PartitionId) -> Option<&Seen> {
        if is_broken(Rule::StandInClock) { self.ghosts.get(&partition) } else { None }
    }
}

impl Debts {
    pub fn count(&self) -> u64 {
        self.by_position.len() as u64
    }
}

#[cfg(test)]
#[path = "hints_tests.rs"]
mod tests;
