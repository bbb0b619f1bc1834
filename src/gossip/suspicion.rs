//! A suspicion, and how long the suspected member has to refute it.

use crate::ring::MemberId;
use std::collections::BTreeSet;

/// Lifeguard's dynamic suspicion: the time begins at its longest and shrinks, logarithmically, with each other member that suspects it, too.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    began_ms: u64,
    least_ms: u64,
    longest_ms: u64,
    /// So many witnesses beside the first make it the least.
    wanted: usize,
    witnesses: BTreeSet<MemberId>,
}

/// What part of the way from the longest to the least time is gone (thousandths), with so many confirmations out of so many:
/// log(c + 1) / log(k + 1).
const GONE_PERMILLE: [&[u64]; 4] = [&[1_000], &[0, 1_000], &[0, 631, 1_000], &[0, 500, 792, 1_000]];

impl Suspicion {
    /// With no more members than can confirm it, fewer are waited for.
    pub(super) fn new(now_ms: u64, from: MemberId, (least_ms, longest_ms): (u64, u64), wanted: usize) -> Suspicion {
        let wanted = wanted.min(GONE_PERMILLE.len() - 1);
        Suspicion { began_ms: now_ms, least_ms, longest_ms, wanted, witnesses: BTreeSet::from([from]) }
    }

    /// Another witness. True if it shortens the time, and is worth telling on.
    pub(super) fn confirm(&mut self, from: MemberId) -> bool {
        self.witnesses.len() <= self.wanted && self.witnesses.insert(from)
    }

    /// When it is too late (monotonic milliseconds).
    pub(super) fn expires_ms(&self) -> u64 {
        let confirmations = (self.witnesses.len() - 1).min(self.wanted);
        let gone = (self.longest_ms - self.least_ms) * GONE_PERMILLE[self.wanted][confirmations] / 1_000;
        self.began_ms + self.longest_ms - gone
    }

    /// Time in which this process did not run does not count.
    pub(super) fn delay(&mut self, by_ms: u64) {
        self.began_ms += by_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_independent_witness_shortens_the_time_down_to_the_least() {
        let witness = |id| MemberId(id);
        let mut suspicion = Suspicion::new(1_000, witness(1), (3_000, 18_000), 3);
        assert_eq!(suspicion.expires_ms(), 19_000);
        assert!(!suspicion.confirm(witness(1)), "it has said so already");
        let mut times = Vec::new();
        for id in 2..6 {
            suspicion.confirm(witness(id));
            times.push(suspicion.expires_ms());
        }
        assert_eq!(times, [11_500, 7_120, 4_000, 4_000]);
        assert!(!suspicion.confirm(witness(9)), "nobody needs to hear of one more");
        suspicion.delay(500);
        assert_eq!(suspicion.expires_ms(), 4_500);
    }

    #[test]
    fn where_nobody_else_could_confirm_it_the_time_is_the_least() {
        assert_eq!(Suspicion::new(0, MemberId(1), (3_000, 18_000), 0).expires_ms(), 3_000);
    }
}
