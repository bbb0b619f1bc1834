//! What happened in a run, in figures.

use std::collections::BTreeMap;

/// What happened in a run, in figures.
#[derive(Clone, Default, Debug)]
pub struct Stats {
    /// Requests begun while faults happened.
    pub asked: u64,
    /// Those of them that were answered as they should be.
    pub answered: u64,
    /// Requests begun after healing.
    pub asked_healed: u64,
    /// Those of them that were answered as they should be.
    pub answered_healed: u64,
    /// Writes acknowledged.
    pub acked: u64,
    /// Of these, how many have an expiry.
    pub expiring: u64,
    /// Versions that had expired by the end and were dropped by then.
    pub dropped: u64,
    /// Writes of which it is not known whether they took effect.
    pub unknown: u64,
    /// Answers with siblings.
    pub conflicts: u64,
    /// Most versions in one answer.
    pub versions_max: u64,
    /// Tries beyond the first of a request.
    pub retries: u64,
    /// Writes acknowledged in a later try.
    pub retried: u64,
    /// Writes acknowledged with stand-ins among those who did.
    pub stood_in: u64,
    /// Acknowledged increments, and changes of sets.
    pub counted: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
}

impl Stats {
    /// Counts a fault.
    pub(crate) fn count_fault(&mut self, kind: &str) {
        match self.faults.get_mut(kind) {
            Some(count) => *count += 1,
            None => _ = self.faults.insert(kind.to_string(), 1),
        }
    }
}
