//! What has expired, at the end: dropped everywhere, and nowhere before its time.

use super::{World, key_name};
use crate::history::{KeyId, Outcome, Values, Write};
use crate::machine_clock::EPOCH_MS;
use crate::oracle::{Violation, expiry, explained};
use henge::limits::{EXPIRED_KEPT_MS, EXPIRY_GRACE_MS};
use henge::message::FetchMode;
use std::collections::BTreeSet;

/// A store looks once a second for what it has to drop, and drops some keys at a time (milliseconds).
const LOOKS_WITHIN_MS: u64 = 3_000;
/// No longer than this is waited for what has not expired yet (milliseconds): a clock that was years ahead has said when.
const WAITED_FOR_MS: u64 = 200_000;

impl World {
    /// True if no peer takes its own clock for wrong.
    pub(crate) fn clocks_are_believed(&self) -> bool {
        self.nodes.iter().all(|node| node.peer.as_ref().is_some_and(|peer| peer.clock_trouble().is_none()))
    }

    /// The moment (microseconds) at which all that expires in a while is to be dropped; now, if that is not waited for. Requires: all clocks are
    /// right.
    pub(crate) fn when_all_is_dropped(&self) -> u64 {
        if !self.plan.expiry.as_ref().is_some_and(|expiry| expiry.is_waited_for) {
            return self.time;
        }
        let now_ms = EPOCH_MS + self.time / 1_000;
        let expiries = self.history.writes().iter().map(|write| write.expiry).filter(|expiry| expiry.is_known);
        let last_ms = expiries.map(|expiry| expiry.at_ms).filter(|at_ms| *at_ms <= now_ms + WAITED_FOR_MS).max();
        let dropped_ms = last_ms.map_or(now_ms, |last_ms| last_ms + EXPIRED_KEPT_MS + LOOKS_WITHIN_MS);
        self.time.max(dropped_ms.saturating_sub(EPOCH_MS) * 1_000)
    }

    /// Oracle x: what expired a while ago is in no store, and no hint. Requires: all clocks have been right for some seconds.
    pub(crate) fn nothing_expired_is_kept(&mut self) {
        if self.plan.expiry.is_none() {
            return;
        }
        let due_ms = (EPOCH_MS + self.time / 1_000).saturating_sub(EXPIRED_KEPT_MS + LOOKS_WITHIN_MS);
        let mut kept = BTreeSet::new();
        for key in self.keys().collect::<Vec<_>>() {
            let partition = self.partition(key).0;
            let mut held = Values::new();
            for owner in self.owners(key) {
                let Some(entry) = self.ask(owner, &key_name(key), FetchMode::Full) else { continue };
                let dots: Vec<_> = entry.dots().collect();
                held.extend(self.dots.values(partition, &dots));
                self.violations.extend(expiry::kept(&self.nodes[owner].name, key, &entry, due_ms));
            }
            self.nothing_was_dropped_early(key, &held);
            kept.extend(held);
        }
        let acked = self.history.writes().iter().filter(|write| write.is_acked() && write.expiry.is_known);
        let due = acked.filter(|write| write.may_have_expired(due_ms)).flat_map(|write| &write.values);
        self.stats.dropped = due.filter(|(_, value)| !kept.contains(value)).count() as u64;
    }

    /// True if a later write may have covered a value that had expired by then: its context covers what is held, and its client was not shown
    /// what of that had expired.
    fn may_be_covered_unseen(&self, expired: &Write, path: &str) -> bool {
        let by = |later: &Write| if self.clocks_jumped { u64::MAX } else { EPOCH_MS + later.invoked / 1_000 + 1 };
        let covers = |later: &&Write| {
            later.context.is_some()
                && later.outcome != Outcome::Refused
                && later.invoked > expired.invoked
                && later.scope.may_replace(path)
                && expired.may_have_expired(by(later))
        };
        self.history.of_key(expired.key).any(|later| covers(&later))
    }

    /// Oracle x: what no clock has ever called over for a while is held by some owner, though nobody shows it any more, or was replaced.
    fn nothing_was_dropped_early(&mut self, key: KeyId, held: &Values) {
        let wall_ms = self.latest_wall().saturating_sub(EXPIRED_KEPT_MS.min(EXPIRY_GRACE_MS));
        // What had expired and was covered unseen explains what it had replaced itself.
        let written = self.history.of_key(key).flat_map(|write| write.values.iter().map(move |value| (write, value)));
        let unseen = written.filter(|(write, (path, _))| self.may_be_covered_unseen(write, path)).map(|(_, (_, value))| *value);
        let gone: Values = held.iter().copied().chain(unseen).collect();
        let explained = explained(&self.history, (key, ""), &gone, u64::MAX, wall_ms);
        let acked = self.history.of_key(key).filter(|write| write.is_acked());
        let missing: Vec<_> = acked.flat_map(|write| &write.values).filter(|(_, value)| !explained.contains(value)).collect();
        if let Some((path, value)) = missing.first() {
            let what = format!("{value} of key {} path `{path}` was dropped, and was not to be for a while; left {held:?}", key.0);
            self.violations.push(Violation::new("x", what));
        }
    }
}
