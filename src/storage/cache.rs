//! Records kept in memory for reads.

use super::Location;
use bytes::Bytes;
use lru::LruCache;
use std::hash::{BuildHasherDefault, Hasher};

/// The packed entries read or written last, up to a number of bytes.
#[derive(Debug)]
pub(super) struct Cache {
    entries: LruCache<u64, Bytes, BuildHasherDefault<Spread>>,
    bytes: usize,
    bytes_max: usize,
}

/// What an entry costs beside its bytes: a node, a bucket, an allocation.
const OVERHEAD_BYTES: usize = 96;

impl Cache {
    pub fn new(bytes_max: usize) -> Cache {
        Cache { entries: LruCache::unbounded_with_hasher(BuildHasherDefault::default()), bytes: 0, bytes_max }
    }

    pub fn get(&mut self, location: Location) -> Option<Bytes> {
        self.entries.get(&place(location)).cloned()
    }

    pub fn insert(&mut self, location: Location, entry: Bytes) {
        self.bytes += entry.len() + OVERHEAD_BYTES;
        if let Some(old) = self.entries.put(place(location), entry) {
            self.bytes -= old.len() + OVERHEAD_BYTES;
        }
        // The newest stays, however large: a record that was read for somebody must be there when he comes for it, else he reads for ever.
        while self.bytes > self.bytes_max
            && self.entries.len() > 1
            && let Some((_, oldest)) = self.entries.pop_lru()
        {
            self.bytes -= oldest.len() + OVERHEAD_BYTES;
        }
    }

    pub fn remove(&mut self, location: Location) {
        if let Some(old) = self.entries.pop(&place(location)) {
            self.bytes -= old.len() + OVERHEAD_BYTES;
        }
    }
}

fn place(location: Location) -> u64 {
    u64::from(location.segment) << 32 | u64::from(location.offset)
}

/// Spreads places over the buckets. Nobody outside chooses a place, so nothing stronger is needed.
#[derive(Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, place: u64) {
        // Fibonacci hashing, and the upper half folded down: the table looks at both ends.
        let mixed = (self.0 ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_to_its_bytes_and_drops_the_oldest() {
        let mut cache = Cache::new(3 * (100 + OVERHEAD_BYTES));
        let at = |offset| Location { segment: 1, offset, class: 0 };
        (0..4).for_each(|n| cache.insert(at(n), Bytes::from(vec![n as u8; 100])));
        assert!(cache.get(at(0)).is_none() && cache.get(at(1)).is_some() && cache.get(at(3)).is_some());
        cache.insert(at(3), Bytes::from(vec![9; 50]));
        cache.remove(at(1));
        assert_eq!(cache.bytes, 100 + 50 + 2 * OVERHEAD_BYTES);
    }

    #[test]
    fn an_entry_larger_than_the_cache_is_kept_until_the_next_one() {
        let mut cache = Cache::new(100);
        let at = |offset| Location { segment: 1, offset, class: 0 };
        cache.insert(at(0), Bytes::from(vec![0; 500]));
        assert!(cache.get(at(0)).is_some());
        cache.insert(at(1), Bytes::from(vec![1; 500]));
        assert!(cache.get(at(0)).is_none() && cache.get(at(1)).is_some());
    }
}
