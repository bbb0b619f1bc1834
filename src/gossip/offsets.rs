//! How far this machine's wall clock is off those of the others, measured by probes.

use super::swim::Moment;
use crate::limits::CLOCK_AHEAD_MS_MAX;
use crate::ring::MemberId;
use std::collections::BTreeMap;

/// An answer that took longer than this (milliseconds) measures nothing: half of it is the error.
const ROUND_TRIP_MS_MAX: u64 = 2_000;

/// The wall clocks of others, each against this machine's monotonic clock: so a jump of its own wall clock shows at once.
#[derive(Clone, Default, Debug)]
pub(super) struct Offsets {
    others: BTreeMap<MemberId, i64>,
}

impl Offsets {
    /// An answer to a probe that was sent at `sent_ms` (monotonic) has told the other's wall clock.
    pub(super) fn note(&mut self, member: MemberId, now: Moment, sent_ms: u64, wall_ms: u64) {
        let round_trip_ms = now.monotonic_ms.saturating_sub(sent_ms);
        if round_trip_ms <= ROUND_TRIP_MS_MAX {
            self.others.insert(member, difference(wall_ms, now.monotonic_ms - round_trip_ms / 2));
        }
    }

    /// How far a member's wall clock is ahead of this machine's (milliseconds).
    pub(super) fn of(&self, member: MemberId, now: Moment) -> Option<i64> {
        self.others.get(&member).map(|other| other.saturating_sub(own(now)))
    }

    /// How far the others' wall clocks are ahead (milliseconds), in the middle of them; of two in the middle the one that is nearer to ours.
    pub(super) fn median(&self, now: Moment, counts: impl Fn(MemberId) -> bool) -> Option<i64> {
        let mut offsets: Vec<i64> =
            self.others.iter().filter(|(member, _)| counts(**member)).map(|(_, other)| other.saturating_sub(own(now))).collect();
        offsets.sort_unstable();
        let upper = *offsets.get(offsets.len() / 2)?;
        let lower = offsets[(offsets.len() - 1) / 2];
        Some(if lower.unsigned_abs() <= upper.unsigned_abs() { lower } else { upper })
    }

    /// What is wrong with this machine's wall clock, if something is; for people.
    pub(super) fn trouble(&self, now: Moment, counts: impl Fn(MemberId) -> bool) -> Option<String> {
        let median = self.median(now, counts)?;
        (median.unsigned_abs() > CLOCK_AHEAD_MS_MAX).then(|| {
            let (seconds, way) = (median.unsigned_abs() / 1_000, if median > 0 { "behind" } else { "ahead of" });
            format!("the clock of this machine is {seconds} s {way} those of the other peers; set it right, best by a time service")
        })
    }
}

fn own(now: Moment) -> i64 {
    difference(now.wall_ms, now.monotonic_ms)
}

/// `a - b`, or the nearest number there is: a clock may say anything.
fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(if a > b { i64::MAX } else { i64::MIN })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_is_taken_into_account_and_a_slow_answer_measures_nothing() {
        let mut offsets = Offsets::default();
        let now = Moment { monotonic_ms: 10_000, wall_ms: 1_000_000 };
        offsets.note(MemberId(1), now, 9_000, 1_000_000);
        assert_eq!(offsets.of(MemberId(1), now), Some(500), "it said so half a second ago");
        offsets.note(MemberId(1), now, 1_000, 5);
        assert_eq!(offsets.of(MemberId(1), now), Some(500));
        let jumped = Moment { monotonic_ms: 10_001, wall_ms: 1_100_001 };
        assert_eq!(offsets.of(MemberId(1), jumped), Some(-99_500), "a jump of our own shows at once");
    }

    #[test]
    fn whoever_is_off_the_middle_of_the_others_by_more_than_a_minute_is_told() {
        let now = Moment { monotonic_ms: 10_000, wall_ms: 10_000_000 };
        let with = |clocks: &[u64]| {
            let mut offsets = Offsets::default();
            clocks.iter().zip(0..).for_each(|(wall_ms, id)| offsets.note(MemberId(id), now, 10_000, *wall_ms));
            offsets.trouble(now, |_| true)
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[10_060_000]), None, "a minute");
        assert!(with(&[10_060_001]).is_some_and(|trouble| trouble.contains("is 60 s behind")));
        assert!(with(&[9_000_000, 9_000_000, 10_000_000]).is_some_and(|trouble| trouble.contains("is 1000 s ahead of")));
        assert_eq!(with(&[0, 10_000_000, 10_000_000]), None, "one of three is off, and it is another's trouble");
        assert_eq!(with(&[u64::MAX, 10_000_000]), None, "the nearer one of two");
        assert!(with(&[u64::MAX]).is_some());
    }
}
