//! Oracle c for one key, when all is at rest: all owners hold the same, and what was read from all of them is what they hold.

use super::Violation;
use crate::history::{History, KeyId, ValueId, Values};
use henge::limits::EXPIRED_KEPT_MS;
use henge::storage::has_expired;
use henge::vclock::{Entry, Version};

/// What an owner holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// Who.
    pub owner: String,
    /// Its entry; none if it does not tell.
    pub entry: Option<Entry>,
    /// The values that its live dots name.
    pub values: Values,
}

/// Judges what the owners of a key hold, of which R=all has read `live`. `wall_ms`: what right clocks say (milliseconds since 1970).
pub fn judge(history: &History, (key, live): (KeyId, &Values), owners: &[Held], wall_ms: u64) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut accuse = |what| violations.push(Violation::new("c", what));
    // What expires meanwhile is hidden before it is dropped, and by one owner before another.
    let is_over = |value: &ValueId| history.author(*value).is_some_and(|(write, _)| write.may_have_expired(wall_ms));
    let mut first: Option<(&str, &Entry)> = None;
    for Held { owner, entry, values } in owners {
        let Some(entry) = entry else {
            accuse(format!("{owner} does not tell what it holds of key {}", key.0));
            continue;
        };
        if values.symmetric_difference(live).any(|value| !is_over(value)) {
            accuse(format!("{owner} holds {values:?} of key {}, and R=all read {live:?}", key.0));
        }
        let (other, theirs) = *first.get_or_insert((owner, entry));
        if that_stay(theirs, wall_ms) != that_stay(entry, wall_ms) {
            let (ours, theirs) = (entry.versions(), theirs.versions());
            accuse(format!("{owner} and {other} differ in key {}: {ours:?} and {theirs:?}", key.0));
        }
    }
    violations
}

/// The versions that are not to be dropped yet.
fn that_stay(entry: &Entry, wall_ms: u64) -> Vec<&Version> {
    entry.versions().iter().filter(|version| !has_expired(entry, version, wall_ms.saturating_sub(EXPIRED_KEPT_MS))).collect()
}
