//! What a receipt may say: enough replicas, each with a right to take the write, and nothing covered that lies beside its paths.

use super::Violation;
use crate::history::{History, Write};
use henge::message::StoodIn;
use henge::ring::MemberId;
use std::collections::BTreeSet;

/// Who has to do with a write.
#[derive(Clone, Copy, Debug)]
pub struct Takers<'a> {
    /// The owners of the key.
    pub owners: &'a BTreeSet<MemberId>,
    /// Who has acknowledged it.
    pub acked: &'a BTreeSet<MemberId>,
    /// Who stood in, and for which owners.
    pub stood_in: &'a [StoodIn],
}

impl Takers<'_> {
    /// On how many disks it will be, whatever is handed over: a stand-in forgets what it owes to those that hold it already.
    fn disks(&self) -> usize {
        let Takers { owners, acked, stood_in } = self;
        let owes =
            |stood_in: &&StoodIn| acked.contains(&stood_in.member) && !stood_in.owed.iter().all(|owner| acked.contains(owner));
        acked.intersection(owners).count() + stood_in.iter().filter(owes).count()
    }
}

/// Oracle a, where the promise is made: W replicas, owners or stand-ins, and nobody both; a removal without a context is for owners alone.
pub fn judge_acks(write: &Write, w: usize, takers: &Takers<'_>) -> Option<Violation> {
    let Takers { owners, acked, stood_in } = takers;
    let is_taker = |member| owners.contains(member) || stood_in.iter().any(|stood_in| stood_in.member == *member);
    let is_distinct = stood_in
        .iter()
        .all(|stood_in| !owners.contains(&stood_in.member) && stood_in.owed.iter().all(|owed| owners.contains(owed)));
    let is_for_owners = write.is_removal() && write.context.is_none();
    let counted = if is_for_owners { acked.intersection(owners).count() } else { takers.disks() };
    let is_right = counted >= w && acked.iter().all(is_taker) && is_distinct;
    let deed = if write.is_removal() { "removal" } else { "write" };
    let what = || {
        format!("a {deed} of key {} with W={w} is acknowledged by {acked:?}, of the owners {owners:?}; {stood_in:?}", write.key.0)
    };
    (!is_right).then(|| Violation::new("a", what()))
}

/// A write covers nothing that lies beside its paths, and nothing of another key.
pub fn judge_scope(history: &History, write: &Write) -> Vec<Violation> {
    let covered = write.covered.iter().filter_map(|value| Some((value, history.author(*value)?)));
    let beside = covered.filter(|(_, (other, path))| !write.scope.may_replace(path) || other.key != write.key);
    let what = |(value, (other, path)): (_, (&Write, &str))| {
        format!("{value} at `{path}` of key {} is covered by a write of {:?}", other.key.0, write.scope)
    };
    beside.map(|found: (&crate::history::ValueId, _)| Violation::new("b: scope", what(found))).collect()
}
