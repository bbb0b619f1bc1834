//! Oracle x: what has expired is shown by nobody whose clock says so, and kept by nobody a while later.
//!
//! That all copies expire at one moment is judged where versions are met: [`History::note_expiry`].

use super::Violation;
use crate::history::{History, KeyId, Values};
use henge::vclock::Entry;

/// Judges an answer that shows these values, by a peer whose clock says `wall_ms` (milliseconds since 1970) at that moment.
pub fn shown(history: &History, (who, wall_ms): (&str, u64), key: KeyId, values: &Values) -> Vec<Violation> {
    let judge = |value| {
        let (write, path) = history.author(value)?;
        let (is_over, at_ms) = (write.expiry.is_known && write.may_have_expired(wall_ms), write.expiry.at_ms);
        let what = || format!("{who} shows {value} of key {} path `{path}` at {wall_ms} ms, expired at {at_ms} ms", key.0);
        is_over.then(|| Violation::new("x", what()))
    };
    values.iter().filter_map(|value| judge(*value)).collect()
}

/// Judges what an owner keeps of a key: whatever expired up to `due_ms` (milliseconds since 1970) is to be dropped.
pub fn kept(who: &str, key: KeyId, entry: &Entry, due_ms: u64) -> Vec<Violation> {
    let kept = entry.versions().iter().filter(|version| version.expiry_ms != 0 && version.expiry_ms <= due_ms);
    let what = |version: &henge::vclock::Version| {
        let since = (due_ms - version.expiry_ms) / 1_000;
        format!("{who} keeps {} of key {}, to be dropped {since} s ago", version.dot, key.0)
    };
    kept.map(|version| Violation::new("x", what(version))).collect()
}
