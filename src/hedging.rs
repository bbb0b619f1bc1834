//! When to ask somebody else as well: how long an answer of somebody usually takes, and how often one may be impatient.
//!
//! Most answers that are late are late because of one slow peer. Asking a second one after the time in which 19 of 20 answers come
//! costs a few per cent more questions and takes the slow peer out of the tail (Dean & Barroso, *The Tail at Scale*, 2013).
//! No clock in here: milliseconds come in, milliseconds go out.

use crate::limits::{HEDGE_BURST, HEDGE_MS_MAX, HEDGE_MS_MIN, HEDGE_MS_UNKNOWN, HEDGE_PERCENT, SLOW_MS_MAX, SLOW_MS_MIN};

/// Upper bounds of the buckets, in milliseconds; what takes longer than the last one counts there too.
const BOUNDS_MS: [u64; 20] = [0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 512, 1_024, 4_096];

/// Answers after which all counts are halved: what happened some hundred answers ago fades.
const ANSWERS_KEPT: u32 = 256;

/// With fewer answers than this nothing is known.
const ANSWERS_MIN: u32 = 8;

/// How long the answers of somebody take: a histogram that forgets.
#[derive(Clone, Default, Debug)]
pub struct Latency {
    counts: [u16; BOUNDS_MS.len()],
    answers: u32,
}

impl Latency {
    /// An answer took this long (milliseconds).
    pub fn note(&mut self, ms: u64) {
        let bucket = BOUNDS_MS.partition_point(|bound| *bound < ms).min(BOUNDS_MS.len() - 1);
        self.counts[bucket] += 1;
        self.answers += 1;
        if self.answers >= ANSWERS_KEPT {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.answers = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
    }

    /// The time within which 19 of 20 answers come (milliseconds, rounded up to a bucket); none while too little is known.
    pub fn p95_ms(&self) -> Option<u64> {
        if self.answers < ANSWERS_MIN {
            return None;
        }
        let mut left = self.answers - self.answers / 20;
        for (count, bound) in self.counts.iter().zip(BOUNDS_MS) {
            left = left.saturating_sub(u32::from(*count));
            if left == 0 {
                return Some(bound);
            }
        }
        BOUNDS_MS.last().copied()
    }

    /// After this long (milliseconds) without an answer somebody else is asked as well.
    pub fn hedge_ms(&self) -> u64 {
        self.p95_ms().map_or(HEDGE_MS_UNKNOWN, |p95| (p95 + 1).clamp(HEDGE_MS_MIN, HEDGE_MS_MAX))
    }

    /// Who has owed answers for this long (milliseconds), and given none meanwhile, is slow: asked last.
    pub fn slow_ms(&self) -> u64 {
        self.p95_ms().map_or(SLOW_MS_MAX, |p95| (p95 * 4).clamp(SLOW_MS_MIN, SLOW_MS_MAX))
    }
}

/// How often one may ask a second one: a share of all questions, and a small burst.
#[derive(Clone, Debug)]
pub struct Budget {
    /// In hundredths of a hedge.
    hundredths: u32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { hundredths: HEDGE_BURST * 100 }
    }
}

impl Budget {
    /// A question has been asked: a small part of a hedge is earned.
    pub fn earn(&mut self) {
        self.hundredths = (self.hundredths + HEDGE_PERCENT).min(HEDGE_BURST * 100);
    }

    /// Takes one hedge, if there is one.
    pub fn take(&mut self) -> bool {
        let left = self.hundredths.checked_sub(100);
        self.hundredths = left.unwrap_or(self.hundredths);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_follows_what_is_seen_and_forgets_what_was() {
        let mut latency = Latency::default();
        assert_eq!((latency.p95_ms(), latency.hedge_ms()), (None, HEDGE_MS_UNKNOWN));
        (0..1_000).for_each(|n| latency.note(if n % 100 == 0 { 200 } else { 1 }));
        assert_eq!(latency.p95_ms(), Some(1), "one in a hundred does not move it");
        assert_eq!(latency.hedge_ms(), 2);
        (0..1_000).for_each(|n| latency.note(if n % 10 == 0 { 200 } else { 1 }));
        assert_eq!((latency.p95_ms(), latency.hedge_ms()), (Some(256), HEDGE_MS_MAX), "one in ten does, up to the ceiling");
        (0..1_000).for_each(|_| latency.note(0));
        assert_eq!((latency.p95_ms(), latency.hedge_ms()), (Some(0), HEDGE_MS_MIN));
        (0..10_000).for_each(|_| latency.note(u64::MAX));
        assert_eq!(latency.hedge_ms(), HEDGE_MS_MAX);
    }

    #[test]
    fn hedges_are_a_share_of_the_questions_and_a_burst_at_most() {
        let mut budget = Budget::default();
        let mut taken = 0;
        for _ in 0..10_000 {
            budget.earn();
            taken += u32::from(budget.take());
        }
        assert!((500..=500 + HEDGE_BURST).contains(&taken), "{taken}");
        (0..100_000).for_each(|_| budget.earn());
        assert_eq!((0..1_000).filter(|_| budget.take()).count() as u32, HEDGE_BURST, "what is not used is not saved up");
    }
}
