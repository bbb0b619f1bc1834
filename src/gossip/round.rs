//! Whom to probe next: everybody once in each round, in a new random order.

use crate::ring::MemberId;
use rand::Rng;
use rand::rngs::ChaCha8Rng;

/// SWIM's round-robin: it bounds the time until any member is probed, and by no two peers in step.
#[derive(Clone, Default, Debug)]
pub(super) struct Round {
    order: Vec<MemberId>,
    next: usize,
}

impl Round {
    /// The next of `members` for which `wanted` holds, none if there is none. A new round begins where one ends.
    pub(super) fn next(
        &mut self,
        members: impl Iterator<Item = MemberId> + Clone,
        wanted: impl Fn(MemberId) -> bool,
        rng: &mut ChaCha8Rng,
    ) -> Option<MemberId> {
        for _ in 0..2 {
            while let Some(member) = self.order.get(self.next).copied() {
                self.next += 1;
                if wanted(member) {
                    return Some(member);
                }
            }
            self.order = members.clone().collect();
            shuffle(&mut self.order, rng);
            self.next = 0;
        }
        None
    }
}

/// Puts them in a random order.
pub(super) fn shuffle(members: &mut [MemberId], rng: &mut ChaCha8Rng) {
    for at in (1..members.len()).rev() {
        members.swap(at, below(at + 1, rng));
    }
}

/// A number below `bound`. Requires: it is above 0.
pub(super) fn below(bound: usize, rng: &mut ChaCha8Rng) -> usize {
    // The bias of the remainder is beyond notice.
    (rng.next_u64() % bound as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    #[test]
    fn everybody_has_one_turn_in_each_round_and_the_orders_differ() {
        let (mut round, mut rng) = (Round::default(), ChaCha8Rng::seed_from_u64(1));
        let members = (0..20).map(MemberId);
        let mut orders = BTreeSet::new();
        for _ in 0..5 {
            let turns: Vec<MemberId> = (0..20).filter_map(|_| round.next(members.clone(), |_| true, &mut rng)).collect();
            assert_eq!(turns.iter().copied().collect::<BTreeSet<_>>(), members.clone().collect());
            orders.insert(turns);
        }
        assert_eq!(orders.len(), 5);
        assert_eq!(round.next(members.clone(), |_| false, &mut rng), None);
        assert_eq!(round.next(members, |member| member == MemberId(7), &mut rng), Some(MemberId(7)));
    }
}
