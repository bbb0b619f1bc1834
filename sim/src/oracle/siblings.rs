//! Oracles a and b after healing: nothing acknowledged is lost, nothing replaced is back, nothing is there that nobody wrote.

use super::{Violation, explained, surely_replaces};
use crate::history::{History, KeyId, Outcome, Scope, Values, Write};

/// What is judged of one key after healing.
#[derive(Clone, Debug)]
pub struct Healed {
    /// The key.
    pub key: KeyId,
    /// The values that are live.
    pub live: Values,
    /// How many replicas the key has (N).
    pub replicas: usize,
    /// True if a disk was lost or hurt.
    pub disks_lost: bool,
    /// True if no wall clock ever jumped: then a write that began after another has the later timestamp.
    pub clocks_agree: bool,
    /// The latest that any wall clock has ever said (milliseconds since 1970); 0 where nothing expires.
    pub wall_ms: u64,
}

/// Judges the final state of a key.
pub fn judge(history: &History, healed: &Healed) -> Vec<Violation> {
    let mut violations = Vec::new();
    violations.extend(phantoms(history, healed.key, &healed.live, "after healing"));
    violations.extend(lost(history, healed));
    violations.extend(returned(history, healed));
    violations.extend(swallowed(history, healed));
    if healed.disks_lost {
        // A lost disk may have held all that was known of what replaced what: siblings too many, never a loss.
        violations.retain(|violation| violation.oracle != "b: false sibling");
    } else {
        violations.extend(left_over(history, healed));
    }
    violations
}

/// Values that nobody has written to this key, or whose write was refused.
pub fn phantoms(history: &History, key: KeyId, live: &Values, when: &str) -> Vec<Violation> {
    let judge = |value| match history.author(value) {
        None => Some(format!("{value} of key {} was never written ({when})", key.0)),
        Some((write, _)) if write.key != key => {
            Some(format!("{value} was written to key {} and is in key {} ({when})", write.key.0, key.0))
        }
        Some((write, _)) if write.outcome == Outcome::Refused => {
            Some(format!("{value} of key {} is there, though its client was told that nothing was done ({when})", key.0))
        }
        Some(_) => None,
    };
    live.iter().filter_map(|value| judge(*value)).map(|what| Violation::new("b: phantom", what)).collect()
}

/// Oracle a: every acknowledged value is live, or somebody may have replaced it.
fn lost(history: &History, healed: &Healed) -> Vec<Violation> {
    let explained = explained(history, (healed.key, ""), &healed.live, u64::MAX, healed.wall_ms);
    let acked = history.of_key(healed.key).filter(|write| write.is_acked());
    let missing = acked.flat_map(|write| &write.values).filter(|(_, value)| !explained.contains(value));
    let what =
        |path: &str, value| format!("LOST {value}, acknowledged, of key {} path `{path}`; left {:?}", healed.key.0, healed.live);
    missing.map(|(path, value)| Violation::new("a", what(path, value))).collect()
}

/// Oracle b: nothing is live that a write which took effect has replaced.
///
/// A write took effect if it was acknowledged, if one of its values is live, or if a client was shown one. Each of them is
/// judged at first hand, so whatever a chain of such writes has replaced is judged link by link.
fn returned(history: &History, healed: &Healed) -> Vec<Violation> {
    let shown: Values =
        history.reads().iter().filter(|read| read.key == healed.key).flat_map(|read| read.shown.iter().copied()).collect();
    let has_effect = |write: &&Write| {
        let is_seen = write.values.iter().any(|(_, value)| healed.live.contains(value) || shown.contains(value));
        write.is_acked() || is_seen
    };
    let mut violations = Vec::new();
    for write in history.of_key(healed.key).filter(has_effect) {
        let back: Vec<_> = surely_replaces(history, write).intersection(&healed.live).copied().collect();
        if !back.is_empty() {
            let by = describe(write);
            let what =
                format!("{back:?} of key {} is live, though {by} had seen and replaced it; live {:?}", healed.key.0, healed.live);
            violations.push(Violation::new(if write.is_removal() { "b: resurrected" } else { "b: false sibling" }, what));
        }
    }
    violations
}

/// A write with a context covers what that had seen, and no more: else its receipt itself would excuse that a concurrent write is gone. What a
/// context had seen replaced, it had seen.
fn swallowed(history: &History, healed: &Healed) -> Vec<Violation> {
    let mut violations = Vec::new();
    for write in history.of_key(healed.key).filter(|write| write.scope == Scope::Whole && !write.is_retried) {
        let (Some(context), true) = (&write.context, write.is_acked()) else { continue };
        if write.covered.is_subset(context) {
            continue;
        }
        let seen = explained(history, (healed.key, ""), context, write.invoked, healed.wall_ms);
        let unseen: Vec<_> = write.covered.difference(&seen).collect();
        if !unseen.is_empty() {
            let what = format!("{} covered {unseen:?} of key {}, which its context had not seen", describe(write), healed.key.0);
            violations.push(Violation::new("b: swallowed", what));
        }
    }
    violations
}

/// A write without a context covers what its replicas hold: whatever a quorum that meets its own had acknowledged before. It can be
/// asked only of a removal, and of a write whose every value is still live: a replica where it has been replaced meanwhile names nothing.
/// Nor does a write cover a version with a later timestamp (else two of them could cover each other): so clocks must agree.
fn left_over(history: &History, healed: &Healed) -> Vec<Violation> {
    let mut violations = Vec::new();
    for write in history.of_key(healed.key).filter(|write| write.context.is_none()) {
        let Outcome::Acked { w, .. } = write.outcome else { continue };
        // A removed path may leave an empty object, which may have been replaced.
        let is_whole = write.scope == Scope::Whole || !write.is_removal();
        if !is_whole || !write.values.iter().all(|(_, value)| healed.live.contains(value)) {
            continue;
        }
        for earlier in history.of_key(healed.key) {
            let Outcome::Acked { at, w: theirs } = earlier.outcome else { continue };
            let is_earlier = write.is_removal() || (healed.clocks_agree && at / 1_000 < write.invoked / 1_000);
            if at >= write.invoked || !is_earlier || w + theirs <= healed.replicas {
                continue;
            }
            let left = earlier.values.iter().filter(|(path, value)| healed.live.contains(value) && write.scope.replaces(path));
            violations.extend(left.map(|(_, value)| {
                let by = describe(write);
                let what = format!(
                    "{value} of key {} was acknowledged before {by}, without a context, began, and both stand",
                    healed.key.0
                );
                Violation::new("b: blind write", what)
            }));
        }
    }
    violations
}

fn describe(write: &Write) -> String {
    let values: Vec<String> = write.values.iter().map(|(path, value)| format!("{value} at `{path}`")).collect();
    let what = if values.is_empty() { "the removal".to_string() } else { format!("the write of {}", values.join(", ")) };
    format!("{what} of client {} at {} ms ({:?})", write.client, write.invoked / 1_000, write.outcome)
}

#[cfg(test)]
mod tests {
    use super::super::reads;
    use super::*;
    use crate::history::{Expiry, Read, Target, ValueId, WriteId};

    const KEY: KeyId = KeyId(0);

    struct Story {
        history: History,
        time: u64,
    }

    impl Story {
        fn new() -> Story {
            Story { history: History::default(), time: 0 }
        }

        fn write(&mut self, scope: Scope, values: &[(&str, u64)], context: Option<&[u64]>, outcome: Option<bool>, covered: &[u64]) {
            self.time += 10_000;
            let outcome = match outcome {
                Some(true) => Outcome::Acked { at: self.time + 5_000, w: 2 },
                Some(false) => Outcome::Refused,
                None => Outcome::Unknown,
            };
            self.history.invoke(Write {
                client: 1,
                key: KEY,
                scope,
                values: values.iter().map(|(path, value)| (path.to_string(), ValueId(*value))).collect(),
                context: context.map(ids),
                expiry: Expiry::default(),
                invoked: self.time,
                until: self.time + 8_000,
                is_retried: false,
                outcome,
                covered: ids(covered),
            });
        }

        fn put(&mut self, value: u64, context: Option<&[u64]>, outcome: Option<bool>, covered: &[u64]) {
            self.write(Scope::Whole, &[("", value)], context, outcome, covered);
        }

        fn judge(&self, live: &[u64]) -> Vec<&'static str> {
            self.judge_at(live, 0)
        }

        fn judge_at(&self, live: &[u64], wall_ms: u64) -> Vec<&'static str> {
            let healed = Healed { key: KEY, live: ids(live), replicas: 3, disks_lost: false, clocks_agree: true, wall_ms };
            judge(&self.history, &healed).into_iter().map(|violation| violation.oracle).collect()
        }
    }

    fn ids(values: &[u64]) -> Values {
        values.iter().map(|value| ValueId(*value)).collect()
    }

    fn paths(path: &str, is_removal: bool) -> Scope {
        Scope::Paths(vec![Target { path: path.into(), is_removal }])
    }

    #[test]
    fn a_quiet_history_is_accepted() {
        let mut story = Story::new();
        story.put(1, None, Some(true), &[]);
        story.put(2, Some(&[1]), Some(true), &[1]);
        story.put(3, None, None, &[]);
        assert!(story.judge(&[2]).is_empty() && story.judge(&[3]).is_empty());
        assert!(story.judge(&[2, 3]).is_empty(), "an unknown write may stand beside");
    }

    #[test]
    fn a_lost_write_is_refused() {
        let mut story = Story::new();
        story.put(1, None, Some(true), &[]);
        assert_eq!(story.judge(&[]), ["a"]);
        story.put(2, Some(&[]), Some(true), &[]);
        assert_eq!(story.judge(&[2]), ["a"], "a write that has not seen it is no excuse");
        assert!(story.judge(&[1, 2]).is_empty());
    }

    #[test]
    fn an_unknown_write_excuses_only_what_began_before_its_end() {
        let mut story = Story::new();
        story.put(1, None, None, &[]);
        story.put(2, None, Some(true), &[]);
        assert_eq!(story.judge(&[1]), ["a"]);
    }

    #[test]
    fn a_write_that_was_replaced_and_is_back_is_refused() {
        let mut story = Story::new();
        story.put(1, None, Some(true), &[]);
        story.put(2, Some(&[1]), Some(true), &[1]);
        assert_eq!(story.judge(&[1, 2]), ["b: false sibling"]);
        assert_eq!(story.judge(&[1]), ["a", "b: false sibling"]);
    }

    #[test]
    fn a_deleted_value_that_is_back_is_refused() {
        let mut story = Story::new();
        story.put(1, None, Some(true), &[]);
        story.write(Scope::Whole, &[], Some(&[1]), Some(true), &[1]);
        assert!(story.judge(&[]).is_empty());
        assert_eq!(story.judge(&[1]), ["b: resurrected"]);
    }

    #[test]
    fn what_expires_may_be_missing_from_then_on_and_takes_nothing_with_it_and_brings_nothing_back() {
        let mut story = Story::new();
        story.put(1, None, Some(true), &[]);
        story.put(2, Some(&[1]), Some(true), &[1]);
        story.put(3, Some(&[]), Some(true), &[]);
        story.history.write_mut(WriteId(1)).expiry = Expiry { ttl_ms: 10, at_ms: 1_000, is_known: true };
        assert!(
            story.judge_at(&[2, 3], 999).is_empty() && story.judge_at(&[2, 3], 5_000).is_empty(),
            "shown or not is asked elsewhere"
        );
        assert_eq!(story.judge_at(&[3], 999), ["a", "a"], "too early: and what it had replaced is not explained either");
        assert!(story.judge_at(&[3], 1_000).is_empty(), "what it had replaced stays replaced");
        assert_eq!(story.judge_at(&[], 1_000), ["a"], "another one is gone with it");
        assert_eq!(story.judge_at(&[1, 3], 1_000), ["b: false sibling"], "what it had replaced is back");
    }

    #[test]
    fn a_phantom_is_refused() {
        let mut story = Story::new();
        story.put(1, None, Some(false), &[]);
        assert_eq!(story.judge(&[1]), ["b: phantom"]);
        assert_eq!(story.judge(&[77]), ["b: phantom"]);
    }

    #[test]
    fn a_write_without_a_context_that_leaves_something_is_refused() {
        let mut story = Story::new();
        story.put(1, None, Some(true), &[]);
        story.put(2, None, Some(true), &[]);
        assert_eq!(story.judge(&[1, 2]), ["b: blind write"]);
        story.write(Scope::Whole, &[], None, Some(true), &[]);
        assert_eq!(story.judge(&[2]), ["a", "b: blind write"]);
    }

    #[test]
    fn a_patch_replaces_its_path_alone() {
        let mut story = Story::new();
        story.write(Scope::Whole, &[("a", 1), ("b", 2)], None, Some(true), &[]);
        story.write(paths("a", false), &[("a", 3)], Some(&[1, 2]), Some(true), &[1]);
        assert!(story.judge(&[2, 3]).is_empty());
        assert_eq!(story.judge(&[3]), ["a"], "the other path is lost");
        assert_eq!(story.judge(&[1, 2, 3]), ["b: false sibling"]);
    }

    #[test]
    fn a_removed_path_that_is_back_is_refused() {
        let mut story = Story::new();
        story.write(Scope::Whole, &[("a", 1), ("c.x", 2)], None, Some(true), &[]);
        story.write(paths("c", true), &[], Some(&[1, 2]), Some(true), &[2]);
        assert!(story.judge(&[1]).is_empty());
        assert_eq!(story.judge(&[1, 2]), ["b: resurrected"]);
    }

    #[test]
    fn a_read_that_misses_an_acknowledged_write_is_refused() {
        let mut story = Story::new();
        story.put(1, None, Some(true), &[]);
        let mut read = Read {
            client: 2,
            key: KEY,
            path: String::new(),
            r: 2,
            invoked: 100_000,
            ended: 110_000,
            wall_ms: 0,
            shown: ids(&[1]),
            session: Values::new(),
        };
        story.history.note_read(read.clone());
        assert!(reads::judge(&story.history, 3, 1).is_empty());
        read.shown = Values::new();
        story.history.note_read(read.clone());
        assert_eq!(reads::judge(&story.history, 3, 1).len(), 1);
        read.r = 1;
        read.session = ids(&[1]);
        story.history.note_read(read);
        assert_eq!(reads::judge(&story.history, 3, 1).last().map(|violation| violation.oracle), Some("d"));
    }

    #[test]
    fn a_session_is_not_asked_for_what_a_lost_disk_alone_held_but_for_whatever_else_it_has_seen() {
        let (majority, acked_by_one) = (2, Some(Outcome::Acked { at: 15_000, w: 1 }));
        let acked_by_two = Some(Outcome::Acked { at: 15_000, w: 2 });
        for (outcome, lost_at, found) in [
            (None, Some(90_000), 0),
            (acked_by_one, Some(90_000), 0),
            (acked_by_two, Some(90_000), 1),
            (None, Some(110_001), 1),
            (None, None, 1),
        ] {
            let mut story = Story::new();
            story.put(1, None, None, &[]);
            outcome.into_iter().for_each(|outcome| story.history.write_mut(WriteId(0)).outcome = outcome);
            lost_at.into_iter().for_each(|at| story.history.note_lost(ValueId(1), at));
            story.history.note_read(Read {
                client: 2,
                key: KEY,
                path: String::new(),
                r: 1,
                invoked: 100_000,
                ended: 110_000,
                wall_ms: 0,
                shown: Values::new(),
                session: ids(&[1]),
            });
            let violations = reads::judge(&story.history, 3, majority);
            assert_eq!(violations.iter().map(|violation| violation.oracle).collect::<Vec<_>>(), vec!["d"; found], "{outcome:?}");
        }
    }

    #[test]
    fn a_read_that_shows_what_an_acknowledged_write_had_replaced_is_refused() {
        let mut story = Story::new();
        story.put(1, None, Some(true), &[]);
        story.write(Scope::Whole, &[], Some(&[1]), Some(true), &[1]);
        let read = |shown: &[u64], r| Read {
            client: 2,
            key: KEY,
            path: String::new(),
            r,
            invoked: 100_000,
            ended: 110_000,
            wall_ms: 0,
            shown: ids(shown),
            session: Values::new(),
        };
        for (shown, r, least, found) in [(&[][..], 2, 1, 0), (&[1], 1, 1, 0), (&[1], 2, 3, 0), (&[1], 2, 1, 1)] {
            let mut history = story.history.clone();
            history.note_read(read(shown, r));
            assert_eq!(reads::judge(&history, 3, least).len(), found, "{shown:?} by R={r}");
        }
    }
}
