//! What a store knows without looking at the disk: the membership list, and each partition's trie, clock and contexts.

use super::authors::Authors;
use super::hints::Hints;
use super::partition::Partition;
use super::trie::Slot;
use super::{Expiry, Location};
use crate::broken::{Rule, is_broken};
use crate::ring::{Change, PartitionId, Placement};
use crate::vclock::{Actor, Dot, Entry, Plain, Seen, Start, leaf_hash, plain_leaf_hash};
use bytes::Bytes;
use std::collections::BTreeSet;

/// The tables of a store. They follow from the log alone: a start makes them anew from it.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub membership: Vec<Change>,
    pub partitions: Vec<Partition>,
    /// What is kept for owners that are down.
    pub hints: Hints,
    /// When the first version of a key expires (milliseconds since 1970), of which key.
    due: BTreeSet<(u64, PartitionId, Bytes)>,
    authors: Authors,
    hash_key: [u8; 16],
}

/// The slot's flag for a single version at the root path: its dot stands in the slot.
const PLAIN: u8 = 1;

impl Tables {
    pub fn take_membership(&mut self, change: Change, placement: &Placement) {
        self.membership.push(change);
        self.hash_key = *placement.secret();
        self.partitions = placement.partition_ids().map(|_| Partition::default()).collect();
    }

    pub fn has(&self, partition: PartitionId) -> bool {
        usize::from(partition.0) < self.partitions.len()
    }

    pub fn partition(&self, partition: PartitionId) -> &Partition {
        &self.partitions[usize::from(partition.0)]
    }

    pub fn partition_mut(&mut self, partition: PartitionId) -> &mut Partition {
        &mut self.partitions[usize::from(partition.0)]
    }

    /// Forgets what is held of a partition.
    pub fn clear(&mut self, partition: PartitionId) {
        let place = &mut self.partitions[usize::from(partition.0)];
        for (key, expiry) in &place.expiries {
            self.due.remove(&(expiry.first_ms, partition, key.clone()));
        }
        place.clear();
    }

    pub fn mint(&mut self, partition: PartitionId, actor: Actor, start: Start, count: u32) -> Dot {
        self.partition_mut(partition).mint(actor, start, count)
    }

    /// Where the record of a live key lies.
    pub fn location(&self, partition: PartitionId, key: &[u8]) -> Option<Location> {
        self.partition(partition).trie.get(key).map(location_of)
    }

    /// Where the record of a live key lies, and its dot if the slot holds it.
    pub fn glance(&self, partition: PartitionId, key: &[u8]) -> Option<(Location, Option<Dot>)> {
        let slot = self.partition(partition).trie.get(key)?;
        let dot = (slot.flags & PLAIN != 0).then(|| self.authors.dot(slot.author, slot.count));
        Some((location_of(slot), dot))
    }

    /// The explicit context of a key.
    pub fn context(&self, partition: PartitionId, key: &[u8]) -> Seen {
        let contexts = &self.partition(partition).contexts;
        if contexts.is_empty() { Seen::new() } else { contexts.get(key).cloned().unwrap_or_default() }
    }

    /// Lets trie and contexts say what the record at this place says. Returns where the record before lay.
    pub fn index(&mut self, partition: PartitionId, key: &Bytes, entry: &Entry, location: Location) -> Option<Location> {
        let old = if entry.versions().is_empty() {
            self.partition_mut(partition).trie.remove(key)
        } else {
            let slot = self.slot_of(entry, leaf_hash(key, entry, &self.hash_key), location);
            self.partition_mut(partition).trie.insert(key, slot)
        };
        self.partition_mut(partition).set_context(key, entry.context().clone());
        self.set_expiry(partition, key, Expiry::of(entry));
        old.map(location_of)
    }

    /// The same for a plain version that has no context. An error if all aliases of authors are given out.
    pub fn index_plain(
        &mut self,
        partition: PartitionId,
        key: &[u8],
        plain: &Plain,
        value: &[u8],
        location: Location,
    ) -> Result<Option<Location>, AuthorsUsedUp> {
        let author = self.authors.alias(plain.dot).ok_or(AuthorsUsedUp)?;
        let hash = plain_leaf_hash(key, plain.dot, plain.kind, plain.expiry_ms, value, &self.hash_key);
        let place = self.partition_mut(partition);
        if !place.contexts.is_empty() {
            place.contexts.remove(key);
        }
        let old = place.trie.insert(key, slot(location, hash, author, plain.dot, PLAIN)).map(location_of);
        if !is_broken(Rule::ExpiryUnindexed) {
            self.set_expiry(partition, key, Expiry::of_plain(plain.expiry_ms));
        }
        Ok(old)
    }

    fn set_expiry(&mut self, partition: PartitionId, key: &[u8], expiry: Option<Expiry>) {
        let expiries = &mut self.partitions[usize::from(partition.0)].expiries;
        if expiry.is_none() && expiries.is_empty() {
            return;
        }
        // A copy: the key may be a slice of a large buffer.
        let key = Bytes::copy_from_slice(key);
        let old = match expiry {
            Some(expiry) => expiries.insert(key.clone(), expiry),
            None => expiries.remove(&key),
        };
        if let Some(old) = old {
            self.due.remove(&(old.first_ms, partition, key.clone()));
        }
        if let Some(expiry) = expiry {
            self.due.insert((expiry.first_ms, partition, key));
        }
    }

    /// The keys of which a version expires first, in that order: when (milliseconds since 1970), and which key.
    pub fn due(&self) -> impl Iterator<Item = &(u64, PartitionId, Bytes)> {
        self.due.iter()
    }

    /// True if the author of this dot has an alias, or can be given one.
    pub fn can_name(&mut self, dot: Dot) -> bool {
        self.authors.alias(dot).is_some()
    }

    /// The keyed hash of a key's live state.
    pub fn leaf_hash(&self, key: &[u8], entry: &Entry) -> u64 {
        leaf_hash(key, entry, &self.hash_key)
    }

    /// The key of the hashes.
    pub fn hash_key(&self) -> &[u8; 16] {
        &self.hash_key
    }

    fn slot_of(&mut self, entry: &Entry, hash: u64, location: Location) -> Slot {
        if let [only] = entry.versions()
            && only.path.is_root()
            && let Some(author) = self.authors.alias(only.dot)
        {
            return slot(location, hash, author, only.dot, PLAIN);
        }
        slot(location, hash, 0, Dot { actor: Actor(0), counter: 0 }, 0)
    }
}

/// All aliases of authors are given out: the dot cannot stand in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AuthorsUsedUp;

fn slot(location: Location, hash: u64, author: u16, dot: Dot, flags: u8) -> Slot {
    let count = (dot.counter & 0xffff_ffff) as u32;
    Slot { hash, segment: location.segment, offset: location.offset, class: location.class, author, count, flags }
}

fn location_of(slot: Slot) -> Location {
    Location { segment: slot.segment, offset: slot.offset, class: slot.class }
}
