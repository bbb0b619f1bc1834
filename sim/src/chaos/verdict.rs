//! What must hold of a cluster that has been healed and come to rest: the simulator's oracles, fed with what real peers have answered.

use super::witness::key_named;
use crate::history::{History, KeyId, Values};
use crate::oracle::siblings::Healed;
use crate::oracle::{Violation, reads, siblings};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What is there after healing, as often as it was asked for.
#[derive(Clone, Default, Debug)]
pub struct Aftermath {
    /// For each key: who said it, and the values that are live.
    pub states: BTreeMap<KeyId, Vec<(String, Values)>>,
    /// Who listed the keys, and which there are.
    pub listings: Vec<(String, Vec<Bytes>)>,
}

impl Aftermath {
    /// Somebody has said what is live of a key.
    pub fn note(&mut self, who: String, key: KeyId, live: Values) {
        self.states.entry(key).or_default().push((who, live));
    }

    /// True if nobody has said of a key what another did not say.
    pub fn is_agreed(&self) -> bool {
        self.states.values().all(|states| states.iter().all(|(_, live)| *live == states[0].1))
    }
}

/// What the trouble was, as far as less is promised under it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Trouble {
    /// A disk was lost, or an old one came back.
    pub disks_lost: bool,
    /// An old copy of a folder was started: before it meets others it does not know what it is.
    pub old_disk_back: bool,
    /// A wall clock jumped.
    pub clocks_jumped: bool,
}

/// Judges what was told before, during and after trouble of the network alone. `replicas` is N.
///
/// No acknowledged write is lost, nothing that was replaced or removed is back, nothing is there that nobody wrote (oracles a and b);
/// whoever is asked says the same (c); every read has seen what it had to (d, e).
pub fn judge(history: &History, aftermath: &Aftermath, replicas: usize) -> Vec<Violation> {
    judge_after(Trouble::default(), history, 0, aftermath, replicas)
}

/// Judges the same after other trouble. Reads are judged from number `first_read` on.
pub fn judge_after(
    trouble: Trouble,
    history: &History,
    first_read: usize,
    aftermath: &Aftermath,
    replicas: usize,
) -> Vec<Violation> {
    let least = if trouble.disks_lost { replicas / 2 + 1 } else { 1 };
    let mut violations = reads::judge_from(history, first_read, replicas, least);
    violations.retain(|violation| !trouble.old_disk_back || violation.oracle != "e");
    for (key, states) in &aftermath.states {
        let distinct: BTreeSet<&Values> = states.iter().map(|(_, live)| live).collect();
        for live in &distinct {
            let Trouble { disks_lost, clocks_jumped, .. } = trouble;
            let (live, clocks_agree) = ((*live).clone(), !clocks_jumped);
            let healed = Healed { key: *key, live, replicas, disks_lost, clocks_agree, wall_ms: 0 };
            violations.extend(siblings::judge(history, &healed));
        }
        if distinct.len() > 1 {
            violations.push(Violation::new("c", format!("peers disagree about key {}: {states:?}", key.0)));
        }
    }
    violations.extend(aftermath.listings.iter().flat_map(|(who, names)| judge_listing(who, names, aftermath)));
    violations
}

/// A listing names just the keys of which something is live, each once.
pub fn judge_listing(who: &str, names: &[Bytes], aftermath: &Aftermath) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut listed = BTreeSet::new();
    for name in names {
        match key_named(name).filter(|key| aftermath.states.contains_key(key)) {
            Some(key) if listed.insert(key) => {}
            Some(key) => violations.push(Violation::new("c", format!("{who} lists a key twice: {}", key.0))),
            None => violations.push(Violation::new("b: phantom", format!("{who} lists {name:?}, which nobody wrote"))),
        }
    }
    for (key, states) in &aftermath.states {
        let is_there = states.iter().any(|(_, live)| !live.is_empty());
        let what = match (is_there, listed.contains(key)) {
            (true, false) => "does not list a key that is there",
            (false, true) => "lists a key that is gone",
            _ => continue,
        };
        violations.push(Violation::new("c", format!("{who} {what}: {}", key.0)));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Expiry, Outcome, Read, Scope, ValueId, Write};

    const LOADED: u64 = 1;
    const LEFT: u64 = 2;
    const RIGHT: u64 = 3;

    fn ids(values: &[u64]) -> Values {
        values.iter().map(|value| ValueId(*value)).collect()
    }

    fn write(history: &mut History, key: u16, value: Option<u64>, context: &[u64]) {
        let at = history.writes().len() as u64 * 10_000;
        history.invoke(Write {
            client: 0,
            key: KeyId(key),
            scope: Scope::Whole,
            values: value.map(|value| (String::new(), ValueId(value))).into_iter().collect(),
            context: Some(ids(context)),
            expiry: Expiry::default(),
            invoked: at,
            until: at + 5_000,
            is_retried: false,
            outcome: Outcome::Acked { at: at + 5_000, w: 2 },
            covered: ids(context),
        });
    }

    /// Key 0 was replaced in both halves, key 1 was removed in one; then everybody says this of them.
    fn told(one: &[u64], other: &[u64], keys: &[&'static str]) -> (History, Aftermath) {
        let (mut history, mut aftermath) = (History::default(), Aftermath::default());
        write(&mut history, 0, Some(LOADED), &[]);
        write(&mut history, 0, Some(LEFT), &[LOADED]);
        write(&mut history, 0, Some(RIGHT), &[LOADED]);
        write(&mut history, 1, Some(11), &[]);
        write(&mut history, 1, None, &[11]);
        for who in ["peer-1", "peer-2"] {
            aftermath.note(who.to_string(), KeyId(0), ids(one));
            aftermath.note(who.to_string(), KeyId(1), ids(other));
            aftermath.listings.push((who.to_string(), keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect()));
        }
        (history, aftermath)
    }

    fn oracles((history, aftermath): (History, Aftermath)) -> BTreeSet<&'static str> {
        judge(&history, &aftermath, 3).into_iter().map(|violation| violation.oracle).collect()
    }

    #[test]
    fn siblings_where_there_was_a_conflict_and_nothing_where_it_was_removed_are_accepted() {
        assert_eq!(oracles(told(&[LEFT, RIGHT], &[], &["key:0"])), BTreeSet::new());
    }

    #[test]
    fn a_lost_write_is_refused() {
        assert_eq!(oracles(told(&[LEFT], &[], &["key:0"])), BTreeSet::from(["a"]));
        assert_eq!(oracles(told(&[], &[], &[])), BTreeSet::from(["a"]));
    }

    #[test]
    fn what_was_replaced_or_removed_and_is_back_is_refused() {
        assert_eq!(oracles(told(&[LOADED, LEFT, RIGHT], &[], &["key:0"])), BTreeSet::from(["b: false sibling"]));
        assert_eq!(oracles(told(&[LEFT, RIGHT], &[11], &["key:0", "key:1"])), BTreeSet::from(["b: resurrected"]));
    }

    #[test]
    fn a_value_that_nobody_wrote_and_one_of_another_key_are_refused() {
        assert_eq!(oracles(told(&[LEFT, RIGHT, 99], &[], &["key:0"])), BTreeSet::from(["b: phantom"]));
        assert_eq!(oracles(told(&[LEFT, RIGHT, 11], &[], &["key:0"])), BTreeSet::from(["b: phantom"]));
    }

    #[test]
    fn a_listing_that_lacks_a_key_or_has_one_too_many_is_refused() {
        assert_eq!(oracles(told(&[LEFT, RIGHT], &[], &[])), BTreeSet::from(["c"]));
        assert_eq!(oracles(told(&[LEFT, RIGHT], &[], &["key:0", "key:1"])), BTreeSet::from(["c"]));
        assert_eq!(oracles(told(&[LEFT, RIGHT], &[], &["key:0", "nonsense"])), BTreeSet::from(["b: phantom"]));
    }

    #[test]
    fn peers_that_disagree_are_refused() {
        let (history, mut aftermath) = told(&[LEFT, RIGHT], &[], &["key:0"]);
        aftermath.note("peer-3".to_string(), KeyId(0), ids(&[RIGHT]));
        assert_eq!(oracles((history, aftermath)), BTreeSet::from(["a", "c"]));
    }

    #[test]
    fn a_read_that_has_missed_an_acknowledged_write_is_refused() {
        let (mut history, aftermath) = told(&[LEFT, RIGHT], &[], &["key:0"]);
        let (client, path, session) = (0, String::new(), Values::new());
        let (invoked, ended) = (60_000, 70_000);
        history.note_read(Read { client, key: KeyId(0), path, r: 3, invoked, ended, wall_ms: 0, shown: ids(&[LOADED]), session });
        assert_eq!(oracles((history, aftermath)), BTreeSet::from(["e"]));
    }
}
