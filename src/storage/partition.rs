//! What a peer holds of one partition: its trie, its clock, and the few contexts that the clock has not swallowed yet.

use super::Expiry;
use super::standing::Standing;
use super::trie::Trie;
use crate::broken::{Rule, is_broken};
use crate::message::Position;
use crate::vclock::{Actor, Dot, Seen, Start};
use bytes::Bytes;
use std::collections::BTreeMap;

/// One partition of a store. Nothing in here is shared with another partition.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// The live keys.
    pub trie: Trie,
    /// Every dot that has been seen here.
    pub clock: Seen,
    /// Where the clock that was last taken over from another owner stands in the log. What an entry shows as seen and gone may come from it.
    pub clock_at: Position,
    /// Keys with an explicit context: what they have seen that the clock has not. Live keys and deleted ones alike.
    pub contexts: BTreeMap<Bytes, Seen>,
    /// Keys with versions that expire. None of them is missing, and most stores have none.
    pub expiries: BTreeMap<Bytes, Expiry>,
    /// How whole it is.
    pub standing: Standing,
    /// Dots issued in this start. Never set back within it (rule `drop_counter`).
    issued: u32,
    /// How many of them were issued before this copy of the partition began.
    issued_before: u32,
}

impl Partition {
    /// Issues a run of `count` dots and returns the first; they enter the clock with their versions.
    pub fn mint(&mut self, actor: Actor, start: Start, count: u32) -> Dot {
        let first = self.issued + 1;
        // 2^32 dots in one start take a year at 136 a second in one partition; going on would issue dots of the next start.
        self.issued = self.issued.checked_add(count).expect("a start issues fewer than 2^32 dots in a partition: restart the peer");
        Dot { actor, counter: start.base() | u64::from(first) }
    }

    /// The last dot that was issued in this start before this copy of the partition began: what came after it this copy has seen all of.
    pub fn began_behind(&self, actor: Actor, start: Start) -> Dot {
        Dot { actor, counter: start.base() | u64::from(self.issued_before) }
    }

    /// Counters go on from where the clock says. Right only for a store that forgets nothing: this is what breaks the rule `no_start`.
    pub fn go_on(&mut self, actor: Actor, start: Start) {
        let own = self.clock.intervals(actor).iter().filter(|interval| interval.last > start.base());
        self.issued = own.map(|interval| (interval.last - start.base()) as u32).max().unwrap_or(0);
    }

    /// Forgets everything but how many dots were issued: they may live on elsewhere, and a dot names one value.
    pub fn clear(&mut self) {
        let issued = if is_broken(Rule::DropCounter) { 0 } else { self.issued };
        *self = Partition { issued, issued_before: issued, ..Partition::default() };
    }

    /// Replaces the explicit context of a key.
    pub fn set_context(&mut self, key: &Bytes, context: Seen) {
        if !context.is_empty() {
            // A copy: the key may be a slice of a large buffer.
            self.contexts.insert(Bytes::copy_from_slice(key), context);
        } else if !self.contexts.is_empty() {
            self.contexts.remove(key);
        }
    }

    /// Drops from all contexts what the clock has seen meanwhile, and forgets the empty ones.
    pub fn strip_contexts(&mut self) {
        let clock = &self.clock;
        self.contexts.retain(|_, context| {
            context.subtract(clock);
            !context.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_run_on_within_a_start() {
        let (mut partition, actor) = (Partition::default(), Actor(7));
        let first = partition.mint(actor, Start(5), 3);
        assert_eq!(first.counter, Start(5).base() + 1);
        assert_eq!(partition.mint(actor, Start(5), 1).counter, Start(5).base() + 4);
    }

    #[test]
    fn what_is_dropped_is_forgotten_and_its_dots_are_not_issued_again() {
        let (mut partition, actor) = (Partition::default(), Actor(7));
        let first = partition.mint(actor, Start(5), 3);
        partition.clock.insert(first);
        partition.clear();
        assert!(partition.clock.is_empty());
        assert_eq!(partition.mint(actor, Start(5), 1).counter, Start(5).base() + 4);
    }
}
