//! Randomness: one stream for each concern, all from one seed, so that taking away one kind of fault does not reshuffle the rest.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// One stream of draws.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of this concern of this seed.
    pub fn of(seed: u64, concern: u64) -> Dice {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(concern);
        Dice(rng)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is far below anything that a simulation could notice.
        if bound == 0 { 0 } else { self.0.next_u64() % bound }
    }

    /// A number from `low` to `high`, both included. Requires: `low <= high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a range runs upwards");
        low + self.below((high - low).saturating_add(1))
    }

    /// A number from `low` to `high` whose logarithm is uniform: small ones are as likely as large ones. Requires: `1 <= low <= high`.
    pub fn spread(&mut self, low: u64, high: u64) -> u64 {
        let exponent = self.unit() * (high as f64 / low as f64).ln();
        ((low as f64 * exponent.exp()) as u64).clamp(low, high)
    }

    /// A number from 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of these. Requires: there is one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        assert!(!from.is_empty(), "there is something to pick from");
        &from[self.below(from.len() as u64) as usize]
    }

    /// The index of one of these weights, each as likely as it is heavy. Requires: one of them is positive.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        assert!(total > 0, "something can be drawn");
        let mut left = self.below(total);
        for (at, weight) in weights.iter().enumerate() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return at,
            }
        }
        unreachable!("the draw is below the total")
    }

    /// Puts them in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_are_apart_and_repeat() {
        let draw = |concern| (0..4).map(|_| Dice::of(7, concern).number()).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1)[0], draw(2)[0]);
    }

    #[test]
    fn draws_keep_to_their_bounds() {
        let mut dice = Dice::of(1, 1);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&dice.between(3, 5)) && (10..=1_000).contains(&dice.spread(10, 1_000)));
            assert!(dice.weighted(&[0, 2, 0, 1]) % 2 == 1);
        }
    }
}
