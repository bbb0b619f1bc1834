//! What comparisons ask of a store: sums and keys of its tries, its explicit contexts, and taking over another owner's clock.

use super::store::{Store, coded};
use super::trie::{Children, Nibbles, Summary};
use super::{Record, StoreError};
use crate::limits::LATE_KEYS_MAX;
use crate::message::Position;
use crate::ring::PartitionId;
use crate::vclock::{Dot, Entry, Seen, encode_seen};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use twox_hash::XxHash3_64;

/// Live dots that arrive while a pull is under way, and that the clock it is going to take over has seen: whether the other owner still holds
/// them has to be asked again.
#[derive(Debug)]
pub(super) struct Watch {
    partition: PartitionId,
    /// What that clock has seen and this store has not: a dot that it has seen is not taken in again.
    clock: Seen,
    late: Late,
}

/// What came late.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Late {
    /// These keys; none: nothing.
    Keys(BTreeSet<Bytes>),
    /// More than are remembered.
    TooMany,
}

/// Watches by the pulls that have set them.
pub(super) type Watches = BTreeMap<u64, Watch>;

impl Store {
    /// Sums of the sub-trees one half byte below a prefix.
    pub fn children(&self, partition: PartitionId, prefix: &Nibbles) -> Children {
        self.tables.partition(partition).trie.children(prefix)
    }

    /// The keys below a prefix with the hashes of their states, unless there are more than `count_max`.
    pub fn list_below(&self, partition: PartitionId, prefix: &Nibbles, count_max: usize) -> Option<Vec<(Vec<u8>, u64)>> {
        self.tables.partition(partition).trie.list(prefix, count_max)
    }

    /// The longest prefix that all keys below this one share; none if there is no key.
    pub fn common_below(&self, partition: PartitionId, prefix: &Nibbles) -> Option<Nibbles> {
        self.tables.partition(partition).trie.common(prefix)
    }

    /// Count and sum of a whole partition.
    pub fn root(&self, partition: PartitionId) -> Summary {
        self.tables.partition(partition).trie.summary(&[])
    }

    /// The hash of a key's live state; 0 if nothing is live.
    pub fn state_hash(&self, partition: PartitionId, key: &[u8]) -> u64 {
        self.tables.partition(partition).trie.get(key).map_or(0, |slot| slot.hash)
    }

    /// Every explicit context of a partition, without what its clock has seen.
    pub fn explicit_contexts(&mut self, partition: PartitionId) -> &BTreeMap<Bytes, Seen> {
        let place = self.tables.partition_mut(partition);
        place.strip_contexts();
        &place.contexts
    }

    /// True if a partition exists.
    pub fn has_partition(&self, partition: PartitionId) -> bool {
        self.tables.has(partition)
    }

    /// True if all these dots have been seen here of this key.
    pub fn has_seen_of(&self, partition: PartitionId, key: &[u8], dots: &Seen) -> bool {
        let place = self.tables.partition(partition);
        if dots.is_subset_of(&place.clock) {
            return true;
        }
        let Some(context) = place.contexts.get(key) else { return false };
        let mut rest = dots.clone();
        rest.subtract(&place.clock);
        rest.is_subset_of(context)
    }

    /// What a key holds, its context such that it is complete together with a clock: one that this partition's clock had at the time of that,
    /// or earlier.
    pub fn read_beside(&mut self, partition: PartitionId, key: &[u8], beside: &Seen) -> Result<Entry, StoreError> {
        let (mut entry, _) = self.read(partition, key)?;
        entry.fill(self.clock(partition));
        entry.strip(beside);
        Ok(entry)
    }

    /// Takes over the clock of another owner, with all of whose entries this store has been compared: what it has seen and this store does not
    /// hold is gone. Appends a record if that adds anything. Answers with what has to be durable before anybody relies on it.
    pub fn take_clock(&mut self, partition: PartitionId, clock: &Seen) -> Position {
        if !clock.is_subset_of(self.clock(partition)) {
            let place = self.tables.partition_mut(partition);
            place.clock.union_with(clock);
            place.strip_contexts();
            let whole = coded(&place.clock);
            let (position, _) = self.append(&Record::Clock { partition: partition.0, epoch: 0, clock: &whole });
            self.tables.partition_mut(partition).clock_at = position;
        }
        self.appended()
    }

    /// In every sync mode: the log is synced up to this position as soon as may be.
    pub fn want_durable(&mut self, position: Position) {
        self.sync_wanted = self.sync_wanted.max(position);
    }

    /// From now on, live dots that arrive in a partition and that this clock has seen are noted for a pull.
    pub fn watch(&mut self, pull: u64, partition: PartitionId, clock: &Seen) {
        let mut clock = clock.clone();
        clock.subtract(self.clock(partition));
        if !clock.is_empty() {
            self.watches.insert(pull, Watch { partition, clock, late: Late::Keys(BTreeSet::new()) });
        }
    }

    /// Notes nothing for this pull any more.
    pub fn unwatch(&mut self, pull: u64) {
        self.watches.remove(&pull);
    }

    /// What came late during a pull, and has not been answered for yet.
    pub fn late(&self, pull: u64) -> Option<&Late> {
        self.watches.get(&pull).map(|watch| &watch.late)
    }

    /// The pull has taken in what the other owner says of this key: whatever had come late is settled by it.
    pub fn settle_late(&mut self, pull: u64, key: &Bytes) {
        if let Some(Watch { late: Late::Keys(keys), .. }) = self.watches.get_mut(&pull) {
            keys.remove(key);
        }
    }

    /// The pull compares everything once more: what had come late is compared with it.
    pub fn settle_all_late(&mut self, pull: u64) {
        if let Some(watch) = self.watches.get_mut(&pull) {
            watch.late = Late::Keys(BTreeSet::new());
        }
    }

    /// Dots of live versions have arrived.
    #[cold]
    pub(super) fn note_arrival(&mut self, partition: PartitionId, key: &Bytes, dots: &[Dot]) {
        for watch in self.watches.values_mut().filter(|watch| watch.partition == partition) {
            if let Late::Keys(keys) = &mut watch.late
                && dots.iter().any(|dot| watch.clock.contains(*dot))
            {
                keys.insert(Bytes::copy_from_slice(key));
                if keys.len() > LATE_KEYS_MAX {
                    watch.late = Late::TooMany;
                }
            }
        }
    }
}

/// Tells clocks apart; never 0.
pub fn clock_digest(clock: &Seen) -> u64 {
    let mut coded = Vec::new();
    encode_seen(clock, &mut coded);
    XxHash3_64::oneshot(&coded).max(1)
}
