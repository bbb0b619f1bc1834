//! What this replica has seen and lost since: its clock says *seen*, its entry does not hold it, and nobody has replaced it.
//!
//! Elsewhere "seen, and not held" means *gone*. Of a record that was given up, and of a copy that was dropped, it does not: a first try whose dots lay
//! there alone took no effect in the end, and a retry must not be told that it did. It is not written down: an earlier start's first tries are
//! forgotten with a dropped copy, and a folder with a record that was given up does not start again as it is.

use crate::ring::PartitionId;
use crate::vclock::{Actor, Dot, Seen};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Dots of this store's own actor that may have been lost.
#[derive(Debug, Default)]
pub(super) struct Losses {
    of_keys: BTreeMap<(PartitionId, Bytes), Seen>,
    of_partitions: BTreeMap<PartitionId, Seen>,
}

impl Losses {
    /// A key's record has been given up, which may have held these.
    pub fn note_record(&mut self, place: &(PartitionId, Bytes), lost: &Seen, own: Actor) {
        self.of_keys.entry(place.clone()).or_default().union_with(&of(own, lost));
    }

    /// A copy of a partition has been dropped, which may have held these.
    pub fn note_copy(&mut self, partition: PartitionId, lost: &Seen, own: Actor) {
        self.of_partitions.entry(partition).or_default().union_with(&of(own, lost));
    }

    /// True if a dot of a key may have been lost here. Requires: it is not live.
    pub fn may_hold(&self, place: &(PartitionId, Bytes), dot: Dot) -> bool {
        let lost = self.of_keys.get(place).into_iter().chain(self.of_partitions.get(&place.0));
        lost.into_iter().any(|lost| lost.contains(dot))
    }
}

fn of(actor: Actor, seen: &Seen) -> Seen {
    let mut own = Seen::new();
    seen.intervals(actor).iter().for_each(|interval| own.insert_interval(actor, *interval));
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_record_its_own_dots_are_lost_and_of_a_copy_those_of_all_its_keys() {
        let (own, other) = (Actor(1), Actor(2));
        let dot = |actor, counter| Dot { actor, counter };
        let place = |partition, key: &'static str| (PartitionId(partition), Bytes::from_static(key.as_bytes()));
        let seen: Seen = [dot(own, 3), dot(own, 4), dot(other, 3)].into_iter().collect();
        let mut losses = Losses::default();
        losses.note_record(&place(0, "a"), &seen, own);
        assert!(losses.may_hold(&place(0, "a"), dot(own, 4)) && !losses.may_hold(&place(0, "a"), dot(own, 5)));
        assert!(!losses.may_hold(&place(0, "a"), dot(other, 3)), "whoever issued it remembers what became of it");
        assert!(!losses.may_hold(&place(0, "b"), dot(own, 3)) && !losses.may_hold(&place(1, "a"), dot(own, 3)));
        losses.note_copy(PartitionId(0), &seen, own);
        assert!(losses.may_hold(&place(0, "b"), dot(own, 3)) && !losses.may_hold(&place(1, "b"), dot(own, 3)));
    }
}
