//! Oracle e: a read of a quorum has not seen what was acknowledged before it began.

use super::Trial;
use super::story::{delete, json, put, read, set};

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "a read misses an acknowledged value",
        said: &[("e", "v1 of key 0 path ``, acknowledged at 15 ms, was not seen (read by client 2 at 20 ms)")],
        story: |story| {
            story.does(put(1));
            story.reads(read(story.either(&[1], &[])));
        },
    },
    Trial {
        way: "a read misses what was acknowledged before it began, and not while it was under way",
        said: &[("e", "v1 of key 0 path ``, acknowledged")],
        story: |story| {
            story.does(put(1));
            story.reads(story.either(read(&[]).meanwhile(), read(&[]).afterwards()));
        },
    },
    Trial {
        way: "a read from a quorum that meets that of the write misses it",
        said: &[("e", "v1 of key 0 path ``, acknowledged")],
        story: |story| {
            story.does(put(1));
            story.reads(read(&[]).from(story.either(1, 2)));
        },
    },
    Trial {
        way: "a disk was lost, and a read misses what a majority had acknowledged",
        said: &[("e", "v1 of key 0 path ``, acknowledged")],
        story: |story| {
            story.a_disk_is_lost(true);
            story.does(put(1).by(story.either(1, 2)));
            story.reads(read(&[]).from(3));
        },
    },
    Trial {
        way: "a read shows the past",
        said: &[("e", "v2 of key 0 path ``, acknowledged at 25 ms, was not seen"), ("e", "v1 of key 0, replaced by a write")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]));
            story.reads(read(story.either(&[2], &[1])));
        },
    },
    Trial {
        way: "a read shows a replaced value beside what replaced it",
        said: &[("e", "v1 of key 0, replaced by a write acknowledged at 25 ms, was shown")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]));
            story.reads(read(story.either(&[2], &[1, 2])));
        },
    },
    Trial {
        way: "a read shows what was deleted",
        said: &[("e", "v1 of key 0, replaced by a write acknowledged at 25 ms, was shown")],
        story: |story| {
            story.does(put(1));
            story.does(delete().seen(&[1]));
            story.reads(read(story.either(&[], &[1])));
        },
    },
    Trial {
        way: "a read shows what a blind write covered, as its receipt says",
        said: &[("e", "v1 of key 0, replaced by a write acknowledged at 25 ms, was shown")],
        story: |story| {
            story.does(put(1).by(1));
            story.does(put(2).covering(story.either(&[], &[1])));
            story.reads(read(&[1, 2]));
        },
    },
    Trial {
        way: "a read misses one leaf of a document",
        said: &[("e", "v2 of key 0 path `b`, acknowledged")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.reads(read(story.either(&[1, 2], &[1])));
        },
    },
    Trial {
        way: "a read shows the leaf that a patch replaced",
        said: &[("e", "v1 of key 0, replaced by a write acknowledged at 25 ms, was shown")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.does(set("a", 3).seen(&[1, 2]).covering(&[1]));
            story.reads(read(story.either(&[2, 3], &[1, 2, 3])));
        },
    },
    Trial {
        way: "a read of a path misses its leaf",
        said: &[("e", "v2 of key 0 path `c.x`, acknowledged")],
        story: |story| {
            story.does(json(&[("a", 1), ("c.x", 2), ("c.y", 3)]));
            story.reads(read(story.either(&[2, 3], &[3])).at("c"));
        },
    },
    Trial {
        way: "a read of a path misses its leaf, and what was set beside it is no excuse",
        said: &[("e", "v1 of key 0 path `c.x`, acknowledged")],
        story: |story| {
            story.does(json(&[("c.x", 1)]));
            story.does(set(story.either("c", "a"), 2).seen(&[1]));
            story.reads(read(&[]).at("c.x"));
        },
    },
    Trial {
        way: "a read of a path shows the leaf that a patch replaced",
        said: &[("e", "v1 of key 0, replaced by a write acknowledged at 25 ms, was shown")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.does(set("a", 3).seen(&[1, 2]).covering(&[1]));
            story.reads(read(story.either(&[3], &[1, 3])).at("a"));
        },
    },
];
