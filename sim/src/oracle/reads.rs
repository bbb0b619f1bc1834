//! Oracles d, e and the phantoms of b, for every answer to a read. What a write has replaced or removed is as much part of it as what it sets.
//!
//! Regular reads are claimed for sync mode `always` and quorums that meet; where disks are lost, for writes that a majority of the owners
//! has acknowledged. Whoever calls keeps to the first. A session may have seen a version that nobody has acknowledged, and that lies on one disk
//! alone: when that is lost, nobody can tell it from what has been replaced, once the gaps of the start that made it are closed. It is not asked
//! for from then on, and only then ([`History::may_be_lost`]).

use super::siblings::phantoms;
use super::{Violation, explained, surely_replaces};
use crate::history::{History, Outcome, Read, Scope, ValueId, Values, Write, contains};

/// Judges every read of the history. `replicas` is N; `least`: writes that fewer owners have acknowledged need not be seen.
pub fn judge(history: &History, replicas: usize, least: usize) -> Vec<Violation> {
    judge_from(history, 0, replicas, least)
}

/// Judges the reads from number `first` on.
pub fn judge_from(history: &History, first: usize, replicas: usize, least: usize) -> Vec<Violation> {
    history.reads()[first..].iter().flat_map(|read| judge_one(history, read, (replicas, least))).collect()
}

fn judge_one(history: &History, read: &Read, (replicas, least): (usize, usize)) -> Vec<Violation> {
    let when = format!("read by client {} at {} ms", read.client, read.invoked / 1_000);
    let mut violations = phantoms(history, read.key, &read.shown, &when);
    violations.extend(from_the_future(history, read, &when));
    violations.extend(beside_the_path(history, read, &when));
    // What replaced a leaf may lie outside of the path that was asked for.
    let explained = explained(history, (read.key, &read.path), &read.shown, read.ended, read.wall_ms);
    for write in history.of_key(read.key) {
        let Outcome::Acked { at, w } = write.outcome else { continue };
        if at >= read.invoked || w < least || w + read.r <= replicas {
            continue;
        }
        let asked_for = write.values.iter().filter(|(path, _)| contains(&read.path, path));
        for (path, value) in asked_for.filter(|(_, value)| !explained.contains(value)) {
            let key = read.key.0;
            let what = format!(
                "{value} of key {key} path `{path}`, acknowledged at {} ms, was not seen ({when}): {:?}",
                at / 1_000,
                read.shown
            );
            violations.push(Violation::new("e", what));
        }
        for value in is_gone_with(history, write).intersection(&read.shown) {
            let key = read.key.0;
            let what = format!("{value} of key {key}, replaced by a write acknowledged at {} ms, was shown ({when})", at / 1_000);
            violations.push(Violation::new("e", what));
        }
    }
    for value in &read.session {
        let Some((_, path)) = history.author(*value) else { continue };
        let is_lost = || history.may_be_lost(*value, read.ended, least);
        if contains(&read.path, path) && !explained.contains(value) && !is_lost() {
            let what = format!("the session had seen {value} of key {}, the answer has not ({when}): {:?}", read.key.0, read.shown);
            violations.push(Violation::new("d", what));
        }
    }
    violations
}

/// What is surely gone wherever this write has come to. A patch covers what its coordinator held live: what that had lost already, another write
/// has replaced, with acknowledgements of its own.
fn is_gone_with(history: &History, write: &Write) -> Values {
    let by_context = write.scope == Scope::Whole;
    let mut gone = surely_replaces(history, write);
    gone.retain(|value| by_context || write.covered.contains(value));
    gone
}

fn from_the_future(history: &History, read: &Read, when: &str) -> Option<Violation> {
    let early = read.shown.iter().find(|value| history.author(**value).is_some_and(|(write, _)| write.invoked > read.ended))?;
    Some(Violation::new("b: phantom", format!("{early} was shown before it was written ({when})")))
}

/// A path's answer shows what lies at and below it, and at most what lies above it.
fn beside_the_path(history: &History, read: &Read, when: &str) -> Vec<Violation> {
    let judge = |value: &ValueId| {
        let (_, path) = history.author(*value)?;
        let is_beside = !contains(&read.path, path) && !contains(path, &read.path);
        let what = || format!("{value} of key {} path `{path}` was shown at `{}` ({when})", read.key.0, read.path);
        is_beside.then(|| Violation::new("b: phantom", what()))
    };
    read.shown.iter().filter_map(judge).collect()
}
