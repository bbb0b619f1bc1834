//! Known damage: a key's record that cannot be read any more. Its place in the trie still says which state it was, by its hash, and of a
//! plain value which dot; the other owners are asked for it, and what they have is written down anew.

use super::Location;
use super::store::Store;
use crate::message::Position;
use crate::ring::PartitionId;
use crate::vclock::{Dot, Entry, Seen, Version};
use bytes::Bytes;

/// A record that cannot be read, and what is known of it all the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Lost {
    /// Where it lies.
    pub location: Location,
    /// The hash of the state that it holds.
    pub hash: u64,
    /// Its dot, if it is a plain value.
    pub dot: Option<Dot>,
    /// What had been seen of the partition when it was found to be lost.
    pub clock: Seen,
}

impl Store {
    /// What is known of a key's record without reading it; none if the key is not live here.
    pub fn lost(&self, partition: PartitionId, key: &[u8]) -> Option<Lost> {
        let (location, dot) = self.tables.glance(partition, key)?;
        let hash = self.tables.partition(partition).trie.get(key)?.hash;
        Some(Lost { location, hash, dot, clock: self.clock(partition).clone() })
    }

    /// True if these versions are just what the lost record holds, byte for byte.
    pub fn is_lost_state(&self, key: &[u8], lost: &Lost, versions: &[Version]) -> bool {
        let entry = Entry::new(versions.to_vec(), Seen::new());
        !versions.is_empty() && self.tables.leaf_hash(key, &entry) == lost.hash
    }

    /// Writes the state of a key anew in the place of a record that cannot be read; its explicit context is known without that record.
    /// None, and nothing is done, if another record has taken its place meanwhile.
    ///
    /// Requires: the clock has seen the dots of the versions.
    pub fn mend(&mut self, partition: PartitionId, key: &Bytes, lost: &Lost, versions: Vec<Version>) -> Option<Position> {
        if self.tables.location(partition, key) != Some(lost.location) {
            return None;
        }
        let entry = Entry::new(versions, self.tables.context(partition, key));
        Some(self.put(partition, key, &entry, &Seen::new(), None))
    }
}
