//! Oracle c: when all is healed, whoever is asked says the same, and what is listed is there.

use super::Trial;
use super::story::{Story, ids, put};
use super::versions::entry;
use henge::vclock::{Entry, Version};
use sim::history::KeyId;
use sim::oracle::owners::{self, Held};

impl Story {
    /// R=all reads these values of key 0, and the owners hold this at this moment: each dot names the value with its number.
    fn owners_hold(&mut self, live: &[u64], entries: [Option<Entry>; 2], wall_ms: u64) {
        let hold = |(name, entry): (&str, Option<Entry>)| {
            let named: Vec<u64> = entry.iter().flat_map(Entry::dots).map(|dot| dot.counter).collect();
            Held { owner: name.to_string(), entry, values: ids(&named) }
        };
        let held: Vec<Held> = ["A", "B"].into_iter().zip(entries).map(hold).collect();
        self.noted.extend(owners::judge(&self.history, (KeyId(0), &ids(live)), &held, wall_ms));
    }
}

/// Dot 1, and another timestamp.
fn later() -> Entry {
    let (versions, context) = entry(&[1], &[]).into_parts();
    let later = versions.into_iter().map(|version| Version { time: henge::vclock::Timestamp(9), ..version });
    Entry::new(later.collect(), context)
}

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "peers disagree about a key",
        said: &[("c", "peers disagree about key 0")],
        story: |story| {
            story.does(put(1).seen(&[]));
            story.does(put(2).seen(&[]).unanswered());
            story.says("A", 0, &[1, 2]);
            story.says("B", 0, story.either(&[1, 2], &[1]));
        },
    },
    Trial {
        way: "one of several peers has lost a value",
        said: &[("c", "peers disagree about key 0"), ("a", "LOST v1, acknowledged")],
        story: |story| {
            story.does(put(1));
            story.says("A", 0, &[1]);
            story.says("B", 0, story.either(&[1], &[]));
        },
    },
    Trial {
        way: "a listing lacks a key that is there",
        said: &[("c", "B does not list a key that is there: 0")],
        story: |story| {
            story.does(put(1));
            story.ends_with(&[1]);
            story.lists("B", story.either(&["key:0"], &[]));
        },
    },
    Trial {
        way: "a listing names a key that is gone",
        said: &[("c", "B lists a key that is gone: 1")],
        story: |story| {
            story.does(put(1));
            story.ends_with(&[1]);
            story.key_ends_with(1, &[]);
            story.lists("B", story.either(&["key:0"], &["key:0", "key:1"]));
        },
    },
    Trial {
        way: "a listing names a key that nobody wrote",
        said: &[("b: phantom", "B lists b\"nonsense\", which nobody wrote")],
        story: |story| {
            story.does(put(1));
            story.ends_with(&[1]);
            story.lists("B", story.either(&["key:0"], &["key:0", "nonsense"]));
        },
    },
    Trial {
        way: "a listing names a key twice",
        said: &[("c", "B lists a key twice: 0")],
        story: |story| {
            story.does(put(1));
            story.ends_with(&[1]);
            story.lists("B", story.either(&["key:0"], &["key:0", "key:0"]));
        },
    },
    Trial {
        way: "an owner holds another value than was read from all",
        said: &[("c", "B holds {} of key 0, and R=all read {v1}"), ("c", "B and A differ in key 0")],
        story: |story| {
            story.does(put(1));
            story.owners_hold(&[1], [Some(entry(&[1], &[])), Some(story.either(entry(&[1], &[]), entry(&[], &[])))], 0);
        },
    },
    Trial {
        way: "all owners hold what was not read from all",
        said: &[("c", "A holds {v1} of key 0, and R=all read {}"), ("c", "B holds {v1} of key 0, and R=all read {}")],
        story: |story| {
            story.does(put(1));
            story.owners_hold(story.either(&[1], &[]), [Some(entry(&[1], &[])), Some(entry(&[1], &[]))], 0);
        },
    },
    Trial {
        way: "owners hold the same dot with another timestamp",
        said: &[("c", "B and A differ in key 0")],
        story: |story| {
            story.does(put(1));
            story.owners_hold(&[1], [Some(entry(&[1], &[])), Some(story.either(entry(&[1], &[]), later()))], 0);
        },
    },
    Trial {
        way: "an owner does not tell what it holds",
        said: &[("c", "B does not tell what it holds of key 0")],
        story: |story| {
            story.does(put(1));
            story.owners_hold(&[1], [Some(entry(&[1], &[])), story.either(Some(entry(&[1], &[])), None)], 0);
        },
    },
    Trial {
        way: "an owner has dropped what has not expired",
        said: &[("c", "B holds {} of key 0, and R=all read {v1}"), ("c", "B and A differ in key 0")],
        story: |story| {
            story.does(put(1).until_ms(1_000));
            let (held, wall_ms) = (entry_until(1_000), story.either(100_000, 999));
            story.owners_hold(&[1], [Some(held), Some(entry(&[], &[]))], wall_ms);
        },
    },
];

/// Dot 1, which expires at this moment.
fn entry_until(expiry_ms: u64) -> Entry {
    let (versions, context) = entry(&[1], &[]).into_parts();
    Entry::new(versions.into_iter().map(|version| Version { expiry_ms, ..version }).collect(), context)
}
