//! Oracle a′: a peer that comes back has not what it had promised.

use super::Trial;
use super::story::Story;
use super::versions::{dot, entry};
use bytes::Bytes;
use henge::ring::MemberId;
use henge::vclock::Entry;

const KEY: Bytes = Bytes::from_static(b"key:0");

const FOR: MemberId = MemberId(9);

impl Story {
    /// The peer acknowledges that it keeps an entry of key 0 for another one.
    fn keeps(&mut self, taken: Entry) {
        self.shadow.on_kept(&KEY, &taken, &[FOR]);
    }

    /// The peer dies while it keeps this of key 0, and recovers with the other.
    fn dies_keeping(&mut self, held: Entry, found: Option<Entry>) {
        self.shadow.kept_before_crash(|_| Some((held.clone(), vec![FOR])));
        let owed = found.as_ref().map(|_| FOR).into_iter().collect::<Vec<_>>();
        self.noted.extend(self.shadow.kept_after_recovery(|_| Some((found.clone().unwrap_or_default(), owed.clone()))));
    }

    /// The peer acknowledges an entry of key 0.
    fn acknowledges(&mut self, taken: Entry) {
        self.shadow.on_applied(&KEY, &taken);
    }

    /// The peer dies while it holds this of key 0.
    fn dies_with(&mut self, held: Entry) {
        self.shadow.before_crash(|_| Some(held.clone()));
    }

    /// The peer recovers, with this of key 0; none if it listens to nobody yet.
    fn recovers(&mut self, found: Option<Entry>) {
        self.noted.extend(self.shadow.after_recovery(|_| found.clone()));
    }
}

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "a peer recovers without what it had acknowledged",
        said: &[("a′", "of key:0, promised: not recovered")],
        story: |story| {
            story.acknowledges(entry(&[1], &[]));
            story.dies_with(entry(&[1], &[]));
            story.recovers(Some(story.either(entry(&[1], &[]), entry(&[], &[]))));
        },
    },
    Trial {
        way: "a peer recovers without what it had told",
        said: &[("a′", "of key:0, promised: not recovered")],
        story: |story| {
            story.shadow.on_told(&KEY, [dot(1)]);
            story.dies_with(entry(&[1], &[]));
            story.recovers(Some(story.either(entry(&[1], &[]), entry(&[], &[]))));
        },
    },
    Trial {
        way: "a peer recovers as an older state of itself",
        said: &[("a′", "1:0.2 of key:0, promised: not recovered"), ("a′", "1:0.1 of key:0, promised: was gone, and is back")],
        story: |story| {
            story.acknowledges(entry(&[1], &[]));
            story.acknowledges(entry(&[2], &[1]));
            story.dies_with(entry(&[2], &[1]));
            story.recovers(Some(story.either(entry(&[2], &[1]), entry(&[1], &[]))));
        },
    },
    Trial {
        way: "what a peer had acknowledged as replaced is back when it recovers",
        said: &[("a′", "of key:0, promised: was gone, and is back")],
        story: |story| {
            story.acknowledges(entry(&[2], &[1]));
            story.dies_with(entry(&[2], &[1]));
            story.recovers(Some(story.either(entry(&[2], &[1]), entry(&[1, 2], &[]))));
        },
    },
    Trial {
        way: "what a peer had told to be gone is back when it recovers",
        said: &[("a′", "of key:0, promised: was gone, and is back")],
        story: |story| {
            story.shadow.on_gone(&KEY, [dot(1)]);
            story.dies_with(entry(&[], &[1]));
            story.recovers(Some(story.either(entry(&[], &[1]), entry(&[1], &[]))));
        },
    },
    Trial {
        way: "what a peer had told to be gone is not known to it when it recovers",
        said: &[("a′", "of key:0, promised: not recovered")],
        story: |story| {
            story.shadow.on_gone(&KEY, [dot(1)]);
            story.dies_with(entry(&[], &[1]));
            story.recovers(Some(story.either(entry(&[], &[1]), entry(&[], &[]))));
        },
    },
    Trial {
        way: "a peer recovers what it had seen, but not the value that was live",
        said: &[("a′", "of key:0, promised: its value is gone, and was live")],
        story: |story| {
            story.acknowledges(entry(&[1], &[]));
            story.dies_with(entry(&[1], &[]));
            story.recovers(Some(story.either(entry(&[1], &[]), entry(&[], &[1]))));
        },
    },
    Trial {
        way: "a value that nobody had replaced when the peer died is gone when it recovers",
        said: &[("a′", "of key:0, promised: its value is gone, and was live")],
        story: |story| {
            story.acknowledges(entry(&[1], &[]));
            story.dies_with(story.either(entry(&[2], &[1]), entry(&[1, 2], &[])));
            story.recovers(Some(entry(&[2], &[1])));
        },
    },
    Trial {
        way: "a peer that was never told to drop a key has dropped it",
        said: &[("a′", "of key:0, promised: not recovered")],
        story: |story| {
            story.acknowledges(entry(&[1], &[]));
            let dropped = story.either(KEY, Bytes::from_static(b"key:1"));
            story.shadow.forget(|key| *key == dropped);
            story.recovers(Some(entry(&[], &[])));
        },
    },
    Trial {
        way: "a peer that listens again has lost what it had promised",
        said: &[("a′", "of key:0, promised: not recovered")],
        story: |story| {
            story.acknowledges(entry(&[1], &[]));
            story.recovers(story.either(None, Some(entry(&[], &[]))));
        },
    },
    Trial {
        way: "a peer has forgotten at a start what it had promised to keep for another one",
        said: &[("a′", "of key:0, promised to be kept for")],
        story: |story| {
            story.keeps(entry(&[1], &[]));
            let found = story.either(Some(entry(&[1], &[])), None);
            story.dies_keeping(entry(&[1], &[]), found);
        },
    },
    Trial {
        way: "a peer keeps an older state for another one than it had promised to",
        said: &[("a′", "1:0.2 of key:0, promised to be kept for")],
        story: |story| {
            story.keeps(entry(&[1], &[]));
            story.keeps(entry(&[2], &[1]));
            let found = story.either(entry(&[2], &[1]), entry(&[1], &[]));
            story.dies_keeping(entry(&[2], &[1]), Some(found));
        },
    },
    Trial {
        way: "a peer that has handed nothing over has lost what it kept",
        said: &[("a′", "of key:0, promised to be kept for")],
        story: |story| {
            story.keeps(entry(&[1], &[]));
            let is_owed = story.either(false, true);
            story.shadow.on_handed_over(FOR, |_| is_owed);
            story.dies_keeping(entry(&[1], &[]), None);
        },
    },
];
