//! Where two tries differ: a walk down, 16-way, only where sums differ.
//!
//! The two tries go on changing while it lasts. It compares each key with a state of the other side that is as of the beginning of the pull
//! or later, which is all that a pull needs.

use crate::broken::{Rule, is_broken};
use crate::limits::{KEY_BYTES_MAX, WALK_ALONE_KEYS_MAX, WALK_ANSWER_BYTES, WALK_LIST_KEYS_MAX, WALK_PREFIXES_MAX};
use crate::message::{Prefix, Step};
use crate::ring::PartitionId;
use crate::storage::Store;
use crate::storage::trie::Nibbles;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What a comparison has found to do.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// Sub-trees that differ.
    pub below: Vec<Nibbles>,
    /// Keys that differ.
    pub keys: BTreeSet<Bytes>,
}

/// An answer that no trie would give.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the other side told of keys that do not lie where it was asked, or are too long")]
pub(super) struct Senseless;

/// Sending the keys themselves saves a step that costs about this many bytes.
const STEP_SAVED_BYTES: usize = 40;

/// b: what lies below the first of these prefixes, as many as fit an answer. None if one of them is no prefix.
pub(super) fn answer(store: &Store, partition: PartitionId, prefixes: &[Prefix]) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut bytes = 0;
    for prefix in prefixes.iter().take(WALK_PREFIXES_MAX) {
        let step = step(store, partition, &Nibbles::from_parts(&prefix.bytes, prefix.odd)?);
        bytes += step.bytes_about();
        if bytes > WALK_ANSWER_BYTES && !steps.is_empty() {
            break;
        }
        steps.push(step);
    }
    Some(steps)
}

fn step(store: &Store, partition: PartitionId, prefix: &Nibbles) -> Step {
    let Some(at) = store.common_below(partition, prefix) else { return Step::Keys(Vec::new()) };
    let whole = prefix.len() / 2;
    let children = store.children(partition, &at);
    let sums: Vec<(u8, u64)> =
        (0..16).zip(&children.branches).filter(|(_, branch)| branch.count > 0).map(|(half, branch)| (half, branch.sum)).collect();
    let beyond = halves(&at).split_off(prefix.len());
    let sums = Step::Sums { beyond, own: children.own, sums };
    match store.list_below(partition, prefix, WALK_LIST_KEYS_MAX) {
        Some(keys) => {
            let keys = Step::Keys(keys.into_iter().map(|(key, hash)| (Bytes::from(key).slice(whole..), hash)).collect());
            if keys.bytes_about() <= sums.bytes_about() + STEP_SAVED_BYTES { keys } else { sums }
        }
        None => sums,
    }
}

/// a: holds what b has below a prefix against its own keys.
pub(super) fn compare(
    store: &Store,
    partition: PartitionId,
    prefix: &Nibbles,
    theirs: &Step,
    found: &mut Found,
) -> Result<(), Senseless> {
    match theirs {
        Step::Sums { beyond, own, sums } => compare_sums(store, partition, prefix, (beyond, *own, sums), found),
        Step::Keys(keys) => compare_keys(store, partition, prefix, keys, found),
    }
}

fn compare_sums(
    store: &Store,
    partition: PartitionId,
    prefix: &Nibbles,
    (beyond, own, sums): (&[u8], Option<u64>, &[(u8, u64)]),
    found: &mut Found,
) -> Result<(), Senseless> {
    if prefix.len() + beyond.len() > 2 * KEY_BYTES_MAX || beyond.iter().any(|half| *half > 15) {
        return Err(Senseless);
    }
    let mut at = prefix.clone();
    beyond.iter().for_each(|half| at.push(*half));
    if !beyond.is_empty() {
        beside(store, partition, prefix, beyond, &at, found);
    }
    let mine = store.children(partition, &at);
    if own != mine.own {
        let (key, odd) = at.to_parts();
        if odd {
            return Err(Senseless);
        }
        found.keys.insert(key.into());
    }
    let theirs: BTreeMap<u8, u64> = sums.iter().copied().collect();
    for (half, mine) in (0..16).zip(mine.branches) {
        match theirs.get(&half) {
            None if mine.count == 0 => {}
            None => alone(store, partition, at.with(half), found),
            Some(sum) if mine.count > 0 && mine.sum == *sum => {}
            Some(_) => found.below.push(at.with(half)),
        }
    }
    Ok(())
}

/// All keys of b below `prefix` lie below `at`: those that a has elsewhere below `prefix`, b lacks.
fn beside(store: &Store, partition: PartitionId, prefix: &Nibbles, beyond: &[u8], at: &Nibbles, found: &mut Found) {
    match store.common_below(partition, prefix) {
        None => return,
        Some(mine) if mine.len() >= at.len() && at.begins(&mine.to_parts().0) => return,
        Some(_) => {}
    }
    let mut above = prefix.clone();
    for half in beyond {
        let mine = store.children(partition, &above);
        if mine.own.is_some() {
            found.keys.insert(above.to_parts().0.into());
        }
        for (other, branch) in (0..16).zip(mine.branches) {
            if other != *half && branch.count > 0 {
                alone(store, partition, above.with(other), found);
            }
        }
        above.push(*half);
    }
}

/// b has nothing below this prefix: a few keys are asked for at once, more of them further down.
fn alone(store: &Store, partition: PartitionId, prefix: Nibbles, found: &mut Found) {
    match store.list_below(partition, &prefix, WALK_ALONE_KEYS_MAX) {
        Some(keys) => found.keys.extend(keys.into_iter().map(|(key, _)| Bytes::from(key))),
        None => found.below.push(prefix),
    }
}

fn compare_keys(
    store: &Store,
    partition: PartitionId,
    prefix: &Nibbles,
    theirs: &[(Bytes, u64)],
    found: &mut Found,
) -> Result<(), Senseless> {
    let (mut whole, odd) = prefix.to_parts();
    if odd {
        whole.pop();
    }
    let mut there: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for (rest, hash) in theirs {
        let key = [&whole[..], rest].concat();
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !prefix.begins(&key) {
            return Err(Senseless);
        }
        there.insert(key, *hash);
    }
    let looked_at = there.len() - usize::from(is_broken(Rule::WalkSkips) && there.len() > 1);
    for (key, hash) in there.iter().take(looked_at) {
        if store.state_hash(partition, key) != *hash {
            found.keys.insert(key.clone().into());
        }
    }
    match store.list_below(partition, prefix, WALK_ALONE_KEYS_MAX + theirs.len()) {
        Some(_) if is_broken(Rule::WalkOneWay) => {}
        Some(mine) => {
            let lacking = mine.into_iter().filter(|(key, _)| !there.contains_key(key));
            found.keys.extend(lacking.map(|(key, _)| Bytes::from(key)));
        }
        None => {
            // Many that b lacks: further down, part by part.
            let at = store.common_below(partition, prefix).unwrap_or_else(|| prefix.clone());
            let mine = store.children(partition, &at);
            let (key, _) = at.to_parts();
            if mine.own.is_some() && !there.contains_key(&key) {
                found.keys.insert(key.into());
            }
            let branches = (0..16).zip(mine.branches).filter(|(_, branch)| branch.count > 0);
            found.below.extend(branches.map(|(half, _)| at.with(half)));
        }
    }
    Ok(())
}

/// A prefix as it travels.
pub(super) fn prefix_of(nibbles: &Nibbles) -> Prefix {
    let (bytes, odd) = nibbles.to_parts();
    Prefix { bytes, odd }
}

fn halves(nibbles: &Nibbles) -> Vec<u8> {
    let (bytes, odd) = nibbles.to_parts();
    let mut halves: Vec<u8> = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
    if odd {
        halves.pop();
    }
    halves
}
