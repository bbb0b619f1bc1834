//! Oracle x, and what a and b have to say of what expires.

use super::Trial;
use super::story::{Story, ids, put, read};
use super::versions::{entry, version};
use henge::vclock::{Entry, Version};
use sim::history::KeyId;
use sim::oracle::expiry;

impl Story {
    /// A peer whose clock says this shows values of key 0.
    fn shows(&mut self, values: &[u64], wall_ms: u64) {
        self.noted.extend(expiry::shown(&self.history, ("A", wall_ms), KeyId(0), &ids(values)));
    }

    /// An owner holds in the end what expired at this moment, and all that expired up to `due_ms` is to be dropped.
    fn keeps_until(&mut self, expiry_ms: u64, due_ms: u64) {
        let kept = Entry::new(vec![Version { expiry_ms, ..version(1, "", "v1") }], entry(&[], &[]).context().clone());
        self.noted.extend(expiry::kept("A", KeyId(0), &kept, due_ms));
    }
}

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "a value is gone before it expires",
        said: &[("a", "LOST v1, acknowledged")],
        story: |story| {
            story.does(put(1).until_ms(1_000));
            story.it_is(story.either(1_000, 999));
            story.ends_with(&[]);
        },
    },
    Trial {
        way: "what expires takes along what it had not replaced",
        said: &[("a", "LOST v1, acknowledged")],
        story: |story| {
            story.does(put(1).seen(&[]));
            story.does(put(2).seen(&[]).until_ms(1_000));
            story.it_is(5_000);
            story.ends_with(story.either(&[1], &[]));
        },
    },
    Trial {
        way: "a value that never expires is gone when another one expires",
        said: &[("a", "LOST v2, acknowledged")],
        story: |story| {
            story.does(put(1).seen(&[]).until_ms(1_000));
            story.does(story.either(put(2).seen(&[]).until_ms(1_000), put(2).seen(&[])));
            story.it_is(5_000);
            story.ends_with(&[]);
        },
    },
    Trial {
        way: "what expires uncovers what it had replaced",
        said: &[("b: false sibling", "[v1] of key 0 is live, though the write of v2")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]).until_ms(1_000));
            story.it_is(5_000);
            story.ends_with(story.either(&[], &[1]));
        },
    },
    Trial {
        way: "a read misses what has not expired yet",
        said: &[("e", "v1 of key 0 path ``, acknowledged")],
        story: |story| {
            story.does(put(1).until_ms(1_000));
            story.reads(read(&[]).when_it_is(story.either(1_000, 999)));
        },
    },
    Trial {
        way: "a peer shows what has expired by its own clock",
        said: &[("x", "A shows v1 of key 0 path `` at 1000 ms, expired at 1000 ms")],
        story: |story| {
            story.does(put(1).until_ms(1_000));
            story.shows(&[1], story.either(999, 1_000));
        },
    },
    Trial {
        way: "an owner keeps what expired long ago",
        said: &[("x", "A keeps 0000000000000001:0.1 of key 0, to be dropped 4 s ago")],
        story: |story| story.keeps_until(story.either(5_001, 1_000), 5_000),
    },
    Trial {
        way: "two copies of a value expire at different moments",
        said: &[("x", "a version of v1 expires at 1004 ms")],
        story: |story| {
            story.does(put(1).not_before_ms(1_000));
            story.expires(1, 1_003);
            story.expires(1, story.either(1_003, 1_004));
        },
    },
    Trial {
        way: "a value expires earlier than it was written for",
        said: &[("x", "a version of v1 expires at 999 ms")],
        story: |story| {
            story.does(put(1).not_before_ms(1_000));
            story.expires(1, story.either(1_000, 999));
        },
    },
    Trial {
        way: "a copy has lost its expiry",
        said: &[("x", "a version of v1 expires at 0 ms")],
        story: |story| {
            story.does(put(1).not_before_ms(1_000));
            story.expires(1, story.either(1_000, 0));
        },
    },
    Trial {
        way: "a copy of what was written for ever expires",
        said: &[("x", "a version of v1 expires at 1000 ms")],
        story: |story| {
            story.does(put(1));
            story.expires(1, story.either(0, 1_000));
        },
    },
];
