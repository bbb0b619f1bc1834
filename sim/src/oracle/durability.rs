//! Oracle a′: what a peer has promised is in what it recovers.
//!
//! A shadow stands beside each peer. It is told of every acknowledgement and every answer at the moment in which it leaves the peer,
//! and asks at every restart. Random chaos over a whole cluster would hardly notice an early promise: the other replicas hide it.

use super::Violation;
use bytes::Bytes;
use henge::ring::MemberId;
use henge::vclock::{Dot, Entry, Seen};
use std::collections::{BTreeMap, BTreeSet};

/// What one peer has promised.
#[derive(Default, Debug)]
pub struct Shadow {
    keys: BTreeMap<Bytes, Promised>,
    /// What it has promised to keep for others, by key and member.
    kept: BTreeMap<(Bytes, MemberId), Kept>,
}

/// What a peer keeps of a key for a member that is down.
#[derive(Default, Debug)]
struct Kept {
    promised: BTreeSet<Dot>,
    /// Those of `promised` that it still kept, live, when it crashed: it had not handed them over by then, so that they must be there when it recovers.
    at_crash: Vec<Dot>,
}

#[derive(Default, Debug)]
struct Promised {
    /// It has seen these: they are live there, or gone.
    seen: BTreeSet<Dot>,
    /// It has made these disappear.
    gone: Seen,
    /// Those of `seen` that were live in its memory when it crashed. What is gone stays gone, and what is recovered is an earlier
    /// state: so these must be live in it.
    live_at_crash: Vec<Dot>,
}

impl Shadow {
    /// The peer has acknowledged this entry.
    pub fn on_applied(&mut self, key: &Bytes, entry: &Entry) {
        let promised = self.keys.entry(key.clone()).or_default();
        promised.seen.extend(entry.dots());
        let mut gone = entry.context().clone();
        gone.subtract(&entry.dots().collect());
        promised.gone.union_with(&gone);
    }

    /// The peer has acknowledged that it keeps this entry for members that are down.
    pub fn on_kept(&mut self, key: &Bytes, entry: &Entry, owed: &[MemberId]) {
        for member in owed {
            self.kept.entry((key.clone(), *member)).or_default().promised.extend(entry.dots());
        }
    }

    /// Something has been handed over to a member: what is not owed to it any more is asked of nobody.
    pub fn on_handed_over(&mut self, to: MemberId, is_owed: impl Fn(&Bytes) -> bool) {
        self.kept.retain(|(key, member), _| *member != to || is_owed(key));
    }

    /// The peer has told that it has these.
    pub fn on_told(&mut self, key: &Bytes, dots: impl IntoIterator<Item = Dot>) {
        self.keys.entry(key.clone()).or_default().seen.extend(dots);
    }

    /// The peer has told that it has seen these, and that they are gone.
    pub fn on_gone(&mut self, key: &Bytes, dots: impl IntoIterator<Item = Dot>) {
        let promised = self.keys.entry(key.clone()).or_default();
        for dot in dots {
            promised.seen.insert(dot);
            promised.gone.insert(dot);
        }
    }

    /// The peer has dropped its copy of these keys on purpose: what it has promised of them is for others to keep.
    pub fn forget(&mut self, is_dropped: impl Fn(&Bytes) -> bool) {
        self.keys.retain(|key, _| !is_dropped(key));
    }

    /// The peer is about to lose its memory. `look` shows what it holds of a key at this moment, none if that takes its disk.
    pub fn before_crash(&mut self, mut look: impl FnMut(&Bytes) -> Option<Entry>) {
        for (key, promised) in &mut self.keys {
            let live = look(key).map(|entry| entry.dots().collect::<BTreeSet<_>>()).unwrap_or_default();
            promised.live_at_crash = promised.seen.intersection(&live).copied().collect();
        }
    }

    /// The same, of what it keeps for others. `look` shows that of a key, and for whom; none if that takes its disk.
    pub fn kept_before_crash(&mut self, mut look: impl FnMut(&Bytes) -> Option<(Entry, Vec<MemberId>)>) {
        for ((key, member), kept) in &mut self.kept {
            let (held, owed) = look(key).unwrap_or_default();
            let is_owed = owed.contains(member);
            kept.at_crash = kept.promised.iter().filter(|dot| is_owed && held.is_live(**dot)).copied().collect();
        }
        // What was handed over is asked of nobody any more.
        self.kept.retain(|_, kept| !kept.at_crash.is_empty());
    }

    /// The peer has recovered. `look` shows what it keeps of a key, and for whom.
    pub fn kept_after_recovery(&self, mut look: impl FnMut(&Bytes) -> Option<(Entry, Vec<MemberId>)>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for ((key, member), kept) in &self.kept {
            let Some((held, owed)) = look(key) else { continue };
            let missing = kept.at_crash.iter().find(|dot| !owed.contains(member) || !held.has_seen(**dot));
            violations.extend(missing.map(|dot| {
                let key = String::from_utf8_lossy(key);
                Violation::new("a′", format!("dot {dot} of {key}, promised to be kept for {member}: not recovered"))
            }));
        }
        violations
    }

    /// The peer has recovered. `look` shows what it holds of a key, with its context filled; nothing where it listens to nobody yet, as the disks
    /// of all others have been lost since it last met them.
    pub fn after_recovery(&self, mut look: impl FnMut(&Bytes) -> Option<Entry>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (key, promised) in &self.keys {
            let Some(entry) = look(key) else { continue };
            let key = String::from_utf8_lossy(key);
            let mut accuse =
                |dot: Dot, what: &str| violations.push(Violation::new("a′", format!("dot {dot} of {key}, promised: {what}")));
            promised.seen.iter().filter(|dot| !entry.has_seen(**dot)).for_each(|dot| accuse(*dot, "not recovered"));
            let lost = promised.live_at_crash.iter().filter(|dot| entry.has_seen(**dot) && !entry.is_live(**dot));
            lost.for_each(|dot| accuse(*dot, "its value is gone, and was live"));
            entry.dots().filter(|dot| promised.gone.contains(*dot)).for_each(|dot| accuse(dot, "was gone, and is back"));
        }
        violations
    }

    /// True if the peer has promised that it has this dot: as an owner, or for others.
    pub fn has_promised(&self, key: &Bytes, dot: Dot) -> bool {
        let as_owner = self.keys.get(key).is_some_and(|promised| promised.seen.contains(&dot));
        as_owner || self.kept.iter().any(|((of, _), kept)| of == key && kept.promised.contains(&dot))
    }

    /// How many dots have been promised.
    pub fn len(&self) -> usize {
        self.keys.values().map(|promised| promised.seen.len()).sum()
    }

    /// True if nothing has been promised.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use henge::vclock::{Actor, Kind, Path, Timestamp, Version};

    fn dot(counter: u64) -> Dot {
        Dot { actor: Actor(1), counter }
    }

    fn entry(live: &[u64], gone: &[u64]) -> Entry {
        let version = |n: &u64| Version {
            dot: dot(*n),
            path: Path::ROOT,
            kind: Kind::Bytes,
            value: Bytes::new(),
            time: Timestamp(0),
            expiry_ms: 0,
        };
        Entry::new(live.iter().map(version).collect(), gone.iter().map(|n| dot(*n)).collect())
    }

    #[test]
    fn what_was_promised_must_come_back() {
        let key = Bytes::from_static(b"k");
        let mut shadow = Shadow::default();
        shadow.on_applied(&key, &entry(&[2], &[1]));
        assert!(shadow.has_promised(&key, dot(2)) && !shadow.has_promised(&key, dot(3)));
        shadow.before_crash(|_| Some(entry(&[2], &[1])));
        let judge = |shadow: &Shadow, found: Entry| shadow.after_recovery(|_| Some(found.clone())).len();
        assert_eq!(judge(&shadow, entry(&[2], &[1])), 0);
        assert_eq!(judge(&shadow, entry(&[], &[])), 1, "not recovered");
        assert_eq!(judge(&shadow, entry(&[], &[2])), 1, "its value is gone");
        assert_eq!(judge(&shadow, entry(&[1, 2], &[])), 1, "resurrected");
        shadow.before_crash(|_| Some(entry(&[3], &[1, 2])));
        assert_eq!(judge(&shadow, entry(&[3], &[1, 2])), 0, "replaced before the crash");
    }

    #[test]
    fn what_was_promised_to_be_kept_for_others_must_come_back_until_it_is_handed_over() {
        let (key, one, two) = (Bytes::from_static(b"k"), MemberId(1), MemberId(2));
        let promise = |owed: &[MemberId]| {
            let mut shadow = Shadow::default();
            shadow.on_kept(&key, &entry(&[1], &[]), owed);
            shadow
        };
        let judge = |shadow: &mut Shadow, before: &[MemberId], after: (Entry, &[MemberId])| {
            shadow.kept_before_crash(|_| Some((entry(&[1, 2], &[]), before.to_vec())));
            shadow.kept_after_recovery(|_| Some((after.0.clone(), after.1.to_vec()))).len()
        };
        let both = [one, two];
        assert_eq!(judge(&mut promise(&both), &both, (entry(&[1], &[]), &both)), 0, "it never promised the second dot");
        assert_eq!(judge(&mut promise(&both), &both, (entry(&[], &[]), &both)), 2, "the dot is missing");
        assert_eq!(judge(&mut promise(&both), &both, (entry(&[1], &[]), &[two])), 1, "it has forgotten one of them");
        assert_eq!(judge(&mut promise(&[one]), &both, (entry(&[1], &[]), &[one])), 0, "it never promised that to the other");
        let mut shadow = promise(&both);
        shadow.on_handed_over(one, |_| false);
        assert_eq!(
            judge(&mut shadow, &both, (entry(&[], &[]), &[])),
            1,
            "one of them has it: what came after that is not promised"
        );
        assert_eq!(judge(&mut promise(&both), &[two], (entry(&[1], &[]), &[two])), 0, "handed over before the crash");
    }
}
