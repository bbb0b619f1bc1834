//! Oracle b: something is there that was replaced or removed, or that a write without a context had to cover.

use super::Trial;
use super::story::{delete, json, put, read, remove, set};

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "a deleted value is back",
        said: &[("b: resurrected", "[v1] of key 0 is live, though the removal of client 1 at 20 ms")],
        story: |story| {
            story.does(put(1));
            story.does(delete().seen(&[1]));
            story.ends_with(story.either(&[], &[1]));
        },
    },
    Trial {
        way: "a value deleted without a context is back",
        said: &[("b: resurrected", "[v1] of key 0 is live"), ("b: blind write", "v1 of key 0 was acknowledged before the removal")],
        story: |story| {
            story.does(put(1));
            story.does(delete().covering(&[1]));
            story.ends_with(story.either(&[], &[1]));
        },
    },
    Trial {
        way: "a removed path is back",
        said: &[("b: resurrected", "[v2] of key 0 is live")],
        story: |story| {
            story.does(json(&[("a", 1), ("c.x", 2)]));
            story.does(remove("c").seen(&[1, 2]));
            story.ends_with(story.either(&[1], &[1, 2]));
        },
    },
    Trial {
        way: "a deleted value is back where a disk was lost",
        said: &[("b: resurrected", "[v1] of key 0 is live")],
        story: |story| {
            story.a_disk_is_lost(true);
            story.does(put(1));
            story.does(delete().seen(&[1]));
            story.ends_with(story.either(&[], &[1]));
        },
    },
    Trial {
        way: "a replaced value stands beside what replaced it",
        said: &[("b: false sibling", "[v1] of key 0 is live, though the write of v2 at `` of client 1 at 20 ms")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]));
            story.ends_with(story.either(&[2], &[1, 2]));
        },
    },
    Trial {
        way: "a replaced value is back in the place of what replaced it",
        said: &[("b: false sibling", "[v1] of key 0 is live"), ("a", "LOST v2")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]));
            story.ends_with(story.either(&[2], &[1]));
        },
    },
    Trial {
        way: "two values stand side by side, and the context of one had seen the other",
        said: &[("b: false sibling", "[v1] of key 0 is live")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(story.either(&[], &[1])));
            story.ends_with(&[1, 2]);
        },
    },
    Trial {
        way: "what an unanswered write replaced is back, though a client was shown that write",
        said: &[("b: false sibling", "[v1] of key 0 is live, though the write of v2")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]).unanswered());
            story.reads(read(story.either(&[1], &[2])));
            story.ends_with(&[1]);
        },
    },
    Trial {
        way: "what a receipt lists as covered is back",
        said: &[("b: false sibling", "[v1] of key 0 is live")],
        story: |story| {
            story.does(put(1).by(1));
            story.does(put(2).covering(story.either(&[], &[1])));
            story.ends_with(&[1, 2]);
        },
    },
    Trial {
        way: "siblings too many, and no disk was lost",
        said: &[("b: false sibling", "[v1] of key 0 is live")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]));
            story.a_disk_is_lost(story.either(true, false));
            story.ends_with(&[1, 2]);
        },
    },
    Trial {
        way: "a patch leaves what it replaced at its path",
        said: &[("b: false sibling", "[v1] of key 0 is live, though the write of v3 at `a`")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.does(set("a", 3).seen(&[1, 2]).covering(&[1]));
            story.ends_with(story.either(&[2, 3], &[1, 2, 3]));
        },
    },
    Trial {
        way: "a leaf is set above another, and that stays",
        said: &[("b: false sibling", "[v1] of key 0 is live, though the write of v2 at `c`")],
        story: |story| {
            story.does(json(&[("c.x", 1)]));
            story.does(set("c", 2).seen(&[1]));
            story.ends_with(story.either(&[2], &[1, 2]));
        },
    },
    Trial {
        way: "a leaf is set below another, and that stays",
        said: &[("b: false sibling", "[v1] of key 0 is live, though the write of v2 at `c.x`")],
        story: |story| {
            story.does(json(&[("c", 1)]));
            story.does(set("c.x", 2).seen(&[1]));
            story.ends_with(story.either(&[2], &[1, 2]));
        },
    },
    Trial {
        way: "a blind write leaves what was acknowledged before it began",
        said: &[("b: blind write", "v1 of key 0 was acknowledged before the write of v2")],
        story: |story| {
            story.does(put(1));
            story.does(story.either(put(2).meanwhile(), put(2).afterwards()));
            story.ends_with(&[1, 2]);
        },
    },
    Trial {
        way: "a blind removal leaves what was acknowledged before it began",
        said: &[("b: blind write", "v1 of key 0 was acknowledged before the removal")],
        story: |story| {
            story.does(put(1));
            story.does(story.either(delete().meanwhile(), delete().afterwards()));
            story.ends_with(&[1]);
        },
    },
    Trial {
        way: "a blind patch leaves what was acknowledged at its path before it began",
        said: &[("b: blind write", "v2 of key 0 was acknowledged before the write of v3 at `b`")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.does(set(story.either("c", "b"), 3));
            story.ends_with(&[1, 2, 3]);
        },
    },
    Trial {
        way: "a blind write leaves what a quorum that meets its own had acknowledged",
        said: &[("b: blind write", "v1 of key 0 was acknowledged before the write of v2")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).by(story.either(1, 2)));
            story.ends_with(&[1, 2]);
        },
    },
    Trial {
        way: "a blind write leaves an older value, and no clock ever jumped",
        said: &[("b: blind write", "v1 of key 0 was acknowledged before the write of v2")],
        story: |story| {
            story.does(put(1));
            story.does(put(2));
            story.a_clock_jumps(story.either(true, false));
            story.ends_with(&[1, 2]);
        },
    },
];
