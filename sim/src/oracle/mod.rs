//! Oracles: what must hold, whatever was lost, delayed, duplicated or crashed.
//!
//! | | property | judged |
//! |---|---|---|
//! | a | no acknowledged write is lost | after healing (`siblings`); who acknowledged it, in every receipt (`receipts`) |
//! | a′ | what a peer promised after a sync is in what it recovers, and what it promised to keep for others and has not handed over; no peer goes on when its disk has failed | at every restart (`durability`); at every failed call |
//! | a″ | a dot names one value, and a value has one dot | at every message and receipt (`dots`) |
//! | b | siblings are exact: no false conflict, no resurrection, no phantom; a write covers only what its context had seen | after healing (`siblings`); phantoms in every answer too; what a write covers, in every receipt (`receipts`) |
//! | c | within a bound after healing, before anybody reads, the owners of every partition hold the same, entries and sums; in a quarter of the seeds, after a quiet minute, no context is left and clocks are one interval an actor | after healing (`world::convergence`) |
//! | d, e | a read, of a key or of a path, sees what its session has seen, and every write acknowledged before it began: what it set, and that what it replaced is gone; where a disk is lost, not what it alone held, unacknowledged | afterwards (`reads`) |
//! | f | what is deleted stays deleted, and takes no place in any trie | after healing (`siblings`, `world::convergence`) |
//! | g | as many distinct owners of every partition as there are to be, spread evenly over the zones; whoever stands in is no owner | at the forming (`placement`) |
//! | h | nothing grows beyond what a run has reason for, nor beyond `limits`: outputs, bytes for the log, keys, contexts, operations, pulls, writes remembered for retries, hints and their bytes; in the end no operation, pull or hint is left; nobody wakes again and again for nothing | every 64th event, and at the end (`world::convergence`) |
//! | i | after healing everything is linked, every request answered, every hint paid, within a bound; nothing goes in circles | at the end, and in every batch (`run`, `batch`) |
//! | m | what a peer believes of the members only moves forward; all believe the same, and that of each which it says itself | every 64th event, and after healing (`views`) |
//! | n | no acknowledged increment of a counter is missing, none counts twice; a member of a set is there from its putting in to its taking out | every answer, and after healing (`tallies`) |
//! | x | what expires: one moment for all copies; not shown from then on by whoever answers; dropped everywhere a minute later, and nowhere before | every message and answer, and the end (`expiry`); a and b for what it takes with it, or leaves behind |

pub mod dots;
pub mod durability;
pub mod expiry;
pub mod owners;
pub mod placement;
pub mod reads;
pub mod receipts;
pub mod siblings;
pub mod tallies;
pub mod views;

use crate::history::{History, KeyId, Outcome, ValueId, Values, Write, contains};
use std::fmt;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which oracle says so: its letter.
    pub oracle: &'static str,
    /// What happened, to what.
    pub what: String,
}

impl Violation {
    /// A violation.
    pub fn new(oracle: &'static str, what: impl Into<String>) -> Violation {
        Violation { oracle, what: what.into() }
    }

    /// The key that its words name first, if they name one.
    pub fn key(&self) -> Option<KeyId> {
        let number = |text: &str| {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok().map(KeyId)
        };
        self.what.match_indices("key").find_map(|(at, word)| {
            let rest = &self.what[at + word.len()..];
            number(rest.strip_prefix(' ').unwrap_or(rest))
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oracle {}: {}", self.oracle, self.what)
    }
}

/// What a write may have made disappear at first hand: an upper bound, for excusing what is missing.
pub(crate) fn may_replace(history: &History, write: &Write) -> Values {
    let mut may: Values = write.covered.clone();
    match &write.context {
        _ if write.outcome == Outcome::Refused => return Values::new(),
        Some(context) => may.extend(context),
        // A write without a context that was not answered may have covered whatever was there before its end; so may an earlier
        // try of one that was answered later.
        None if !write.is_acked() || write.is_retried => {
            let begun = history.of_key(write.key).filter(|other| other.invoked < write.until);
            may.extend(begun.flat_map(|other| other.values.iter().map(|(_, value)| *value)));
        }
        None => {}
    }
    let own = |value: &ValueId| write.values.iter().any(|(_, mine)| mine == value);
    let in_scope = |value: &ValueId| history.author(*value).is_some_and(|(_, path)| write.scope.may_replace(path));
    may.retain(|value| !own(value) && in_scope(value));
    may
}

/// What a write that took effect surely replaced: a lower bound, for accusing what is there.
pub(crate) fn surely_replaces(history: &History, write: &Write) -> Values {
    let mut surely: Values = write.context.clone().unwrap_or_default();
    surely.extend(&write.covered);
    surely.retain(|value| history.author(*value).is_some_and(|(_, path)| write.scope.replaces(path)));
    surely
}

/// The closure: everything whose absence these values, the removals begun before `by`, and what has expired by a clock that says `wall_ms`, can
/// explain. What has expired takes nothing with it but what it had replaced. `path`: where the live values were looked for; a write that sets
/// nothing there is as invisible as a removal.
pub(crate) fn explained(history: &History, (key, path): (KeyId, &str), live: &Values, by: u64, wall_ms: u64) -> Values {
    let mut explained = live.clone();
    let mut todo: Vec<ValueId> = live.iter().copied().collect();
    let is_invisible = |write: &&Write| !write.values.iter().any(|(leaf, _)| contains(path, leaf));
    for removal in history.of_key(key).filter(|write| write.invoked < by).filter(is_invisible) {
        todo.extend(may_replace(history, removal).into_iter().filter(|value| explained.insert(*value)));
    }
    let begun = history.of_key(key).filter(|write| write.invoked < by);
    for (_, value) in begun.filter(|write| write.may_have_expired(wall_ms)).flat_map(|write| &write.values) {
        if explained.insert(*value) {
            todo.push(*value);
        }
    }
    let mut followed = std::collections::BTreeSet::new();
    while let Some(value) = todo.pop() {
        let Some((write, _)) = history.author(value) else { continue };
        if followed.insert(write.values[0].1) {
            todo.extend(may_replace(history, write).into_iter().filter(|value| explained.insert(*value)));
        }
    }
    explained
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_says_which_key_it_is_about_if_it_names_one() {
        let key = |what: &str| Violation::new("a", what).key();
        assert_eq!(key("LOST v3, acknowledged, of key 12 path ``; left {}"), Some(KeyId(12)));
        assert_eq!(key("E: dot 50:1.5 of key5, promised: not recovered"), Some(KeyId(5)));
        assert_eq!(key("a keyboard keeps 3 keys of partition 7"), None);
    }
}
