//! Oracles d, e and the phantoms of b, for every answer to a read. What a write has replaced or removed is as much part of it as what it sets.
//!
//! Regular reads are claimed for sync mode `always` and quorums that meet; where disks are lost, for writes that a majority of the owners
//! has acknowledged. Whoever calls keeps to the first.

use super::siblings::phantoms;
use super::{Violation, explained, surely_replaces};
use crate::history::{History, Outcome, Read, Scope, ValueId};

/// Judges every read of the history. `replicas` is N; `least`: writes that fewer owners have acknowledged need not be seen.
pub fn judge(history: &History, replicas: usize, least: usize) -> Vec<Violation> {
    history.reads().iter().flat_map(|read| judge_one(history, read, (replicas, least))).collect()
}

fn judge_one(history: &History, read: &Read, (replicas, least): (usize, usize)) -> Vec<Violation> {
    let when = format!("read by client {} at {} ms", read.client, read.invoked / 1_000);
    let mut violations = phantoms(history, read.key, &read.shown, &when);
    violations.extend(from_the_future(history, read, &when));
    if !read.path.is_empty() {
        // What replaced a leaf may lie outside of the path that was asked for.
        return violations;
    }
    let explained = explained(history, read.key, &read.shown, read.ended, read.wall_ms);
    for write in history.of_key(read.key) {
        let Outcome::Acked { at, w } = write.outcome else { continue };
        if at >= read.invoked || w < least || w + read.r <= replicas {
            continue;
        }
        for (path, value) in write.values.iter().filter(|(_, value)| !explained.contains(value)) {
            let key = read.key.0;
            let what = format!(
                "{value} of key {key} path `{path}`, acknowledged at {} ms, was not seen ({when}): {:?}",
                at / 1_000,
                read.shown
            );
            violations.push(Violation::new("e", what));
        }
        // A patch covers what its coordinator held live: what that had lost already, another write has replaced, with acknowledgements
        // of its own.
        let by_context = write.scope == Scope::Whole;
        let is_replaced = |value: &&ValueId| by_context || write.covered.contains(value);
        for value in surely_replaces(history, write).intersection(&read.shown).filter(is_replaced) {
            let key = read.key.0;
            let what = format!("{value} of key {key}, replaced by a write acknowledged at {} ms, was shown ({when})", at / 1_000);
            violations.push(Violation::new("e", what));
        }
    }
    for value in read.session.iter().filter(|value| !explained.contains(value)) {
        let what = format!("the session had seen {value} of key {}, the answer has not ({when}): {:?}", read.key.0, read.shown);
        violations.push(Violation::new("d", what));
    }
    violations
}

fn from_the_future(history: &History, read: &Read, when: &str) -> Option<Violation> {
    let early = read.shown.iter().find(|value| history.author(**value).is_some_and(|(write, _)| write.invoked > read.ended))?;
    Some(Violation::new("b: phantom", format!("{early} was shown before it was written ({when})")))
}
