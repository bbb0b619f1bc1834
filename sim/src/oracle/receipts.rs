//! What a receipt may say: enough replicas, each with a right to take the write, and nothing covered that lies beside its paths.

use super::Violation;
use crate::history::{History, KeyId, Write};
use henge::ring::MemberId;
use std::collections::BTreeSet;
use std::fmt::Debug;

/// Who has to do with a write.
#[derive(Clone, Debug)]
pub struct Takers<'a> {
    /// The owners of the key.
    pub owners: &'a BTreeSet<MemberId>,
    /// Who has acknowledged it.
    pub acked: &'a BTreeSet<MemberId>,
    /// Who stood in for an owner.
    pub standing_in: &'a BTreeSet<MemberId>,
}

/// Oracle a, where the promise is made: W replicas, owners or stand-ins, and nobody both. `told`: what the receipt says, for the message.
pub fn judge_acks(key: KeyId, w: usize, takers: &Takers<'_>, told: &dyn Debug) -> Option<Violation> {
    let Takers { owners, acked, standing_in } = takers;
    let is_taker = |member| owners.contains(member) || standing_in.contains(member);
    let is_right = acked.len() >= w && acked.iter().all(is_taker) && standing_in.is_disjoint(owners);
    (!is_right).then(|| Violation::new("a", format!("a write of key {} with W={w} is acknowledged by {told:?}", key.0)))
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
