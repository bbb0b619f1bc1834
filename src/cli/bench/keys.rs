//! The keys of a benchmark, and which connection uses which.

use crate::message::RingTable;
use crate::ring::partition_of;
use bytes::{BufMut, Bytes, BytesMut};

/// Every key has this many bytes: `bench:` and ten digits.
const KEY_BYTES: usize = 16;

/// All keys, in one allocation; a key is a slice of it.
pub(super) struct Keys {
    all: Bytes,
}

/// Numbers of keys that a connection draws from.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// Any of so many.
    Any(u32),
    /// These: the ones that the peer at the other end owns first.
    Some(std::sync::Arc<Vec<u32>>),
}

impl Keys {
    pub(super) fn new(count: u32) -> Keys {
        let mut all = BytesMut::with_capacity(count as usize * KEY_BYTES);
        (0..count).for_each(|number| all.put_slice(format!("bench:{number:010}").as_bytes()));
        Keys { all: all.freeze() }
    }

    pub(super) fn count(&self) -> u32 {
        (self.all.len() / KEY_BYTES) as u32
    }

    /// Shares the allocation.
    pub(super) fn key(&self, number: u32) -> Bytes {
        let begin = number as usize * KEY_BYTES;
        self.all.slice(begin..begin + KEY_BYTES)
    }

    /// For each member of the ring the keys that it owns first. None if the ring is malformed.
    pub(super) fn by_first_owner(&self, table: &RingTable) -> Option<Vec<Vec<u32>>> {
        let partitions = u16::try_from(table.owners.len()).ok().filter(|count| count.is_power_of_two())?;
        let mut owned = vec![Vec::new(); table.members.len()];
        for number in 0..self.count() {
            let partition = usize::from(partition_of(&self.key(number), partitions).0);
            let first = table.owners.get(partition)?.first()?;
            owned.get_mut(usize::from(*first))?.push(number);
        }
        Some(owned)
    }
}

impl Choice {
    pub(super) fn draw(&self, dice: &mut Dice) -> u32 {
        match self {
            Choice::Any(count) => dice.below(*count),
            Choice::Some(numbers) => numbers[dice.below(numbers.len() as u32) as usize],
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Choice::Any(count) => *count as usize,
            Choice::Some(numbers) => numbers.len(),
        }
    }

    pub(super) fn at(&self, place: usize) -> u32 {
        match self {
            Choice::Any(_) => place as u32,
            Choice::Some(numbers) => numbers[place],
        }
    }
}

/// A generator of numbers that costs next to nothing (SplitMix64; Steele, Lea, Flood 2014): good enough to choose keys with.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `bound` - 1. Requires: `bound` is not 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_are_fair_enough_and_stay_below_their_bound() {
        let mut dice = Dice(7);
        let mut seen = [0_u32; 10];
        (0..10_000).for_each(|_| seen[dice.below(10) as usize] += 1);
        assert!(seen.iter().all(|count| (850..1_150).contains(count)), "{seen:?}");
        assert_eq!(dice.below(1), 0);
    }

    #[test]
    fn keys_are_told_apart_and_have_one_length() {
        let keys = Keys::new(1_000);
        assert_eq!((keys.count(), &keys.key(42)[..]), (1_000, &b"bench:0000000042"[..]));
    }
}
