//! Oracles a and b: something that was acknowledged is not there, and nobody may have replaced it.

use super::Trial;
use super::story::{delete, json, put, remove, set};

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "an acknowledged value is gone",
        said: &[("a", "LOST v1, acknowledged, of key 0 path ``; left {}")],
        story: |story| {
            story.does(put(1));
            story.ends_with(story.either(&[1], &[]));
        },
    },
    Trial {
        way: "of two concurrent writes one is swallowed",
        said: &[("a", "LOST v3, acknowledged, of key 0")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]));
            story.does(put(3).seen(&[1]).meanwhile());
            story.ends_with(story.either(&[2, 3], &[2]));
        },
    },
    Trial {
        way: "a write replaces what its context had not seen",
        said: &[("a", "LOST v1, acknowledged")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(story.either(&[1], &[])));
            story.ends_with(&[2]);
        },
    },
    Trial {
        way: "a removal takes what its context had not seen",
        said: &[("a", "LOST v2, acknowledged")],
        story: |story| {
            story.does(put(1).seen(&[]));
            story.does(put(2).seen(&[]).meanwhile());
            story.does(delete().seen(story.either(&[1, 2], &[1])));
            story.ends_with(&[]);
        },
    },
    Trial {
        way: "a removal takes what its context had not seen, and its receipt says so",
        said: &[
            ("b: swallowed", "the removal of client 1 at 21 ms"),
            ("b: swallowed", "covered [v2] of key 0, which its context had not seen"),
        ],
        story: |story| {
            story.does(put(1).seen(&[]));
            story.does(put(2).seen(&[]).meanwhile());
            story.does(delete().seen(story.either(&[1, 2], &[1])).covering(&[1, 2]));
            story.ends_with(&[]);
        },
    },
    Trial {
        way: "a removal that was refused has removed",
        said: &[("a", "LOST v1, acknowledged")],
        story: |story| {
            story.does(put(1));
            story.does(story.either(delete().seen(&[1]).unanswered(), delete().seen(&[1]).refused()));
            story.ends_with(&[]);
        },
    },
    Trial {
        way: "a chain of replacements lacks a link",
        said: &[("a", "LOST v1, acknowledged")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(story.either(&[1], &[])).unanswered());
            story.does(put(3).seen(&[2]));
            story.ends_with(&[3]);
        },
    },
    Trial {
        way: "an unanswered blind write covers what began when it was over",
        said: &[("a", "LOST v2, acknowledged")],
        story: |story| {
            story.does(story.either(put(1).pending_for_ever(), put(1).unanswered()));
            story.does(put(2).seen(&[]));
            story.ends_with(&[1]);
        },
    },
    Trial {
        way: "a blind write swallows what its receipt does not list",
        said: &[("a", "LOST v1, acknowledged")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).covering(story.either(&[1], &[])));
            story.ends_with(&[2]);
        },
    },
    Trial {
        way: "a patch takes the leaf beside it along",
        said: &[("a", "LOST v2, acknowledged, of key 0 path `b`")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.does(set("a", 3).seen(&[1, 2]).covering(&[1]));
            story.ends_with(story.either(&[2, 3], &[3]));
        },
    },
    Trial {
        way: "a patch beside another is undone, and its leaf is empty",
        said: &[("a", "LOST v4, acknowledged, of key 0 path `b`"), ("a", "LOST v2, acknowledged, of key 0 path `b`")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.does(set("a", 3).seen(&[1, 2]).covering(&[1]));
            story.does(set("b", 4).seen(&[1, 2]).covering(&[2]).meanwhile());
            story.ends_with(story.either(&[3, 4], &[3]));
        },
    },
    Trial {
        way: "the removal of a path takes another path",
        said: &[("a", "LOST v2, acknowledged, of key 0 path `c.x`")],
        story: |story| {
            story.does(json(&[("a", 1), ("c.x", 2)]));
            story.does(remove(story.either("c", "ca")).seen(&[1, 2]));
            story.ends_with(&[1]);
        },
    },
    Trial {
        way: "half of a document has arrived",
        said: &[("a", "LOST v2, acknowledged, of key 0 path `b`")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.ends_with(story.either(&[1, 2], &[1]));
        },
    },
    Trial {
        way: "a lost disk takes what others had acknowledged too",
        said: &[("a", "LOST v1, acknowledged")],
        story: |story| {
            story.a_disk_is_lost(true);
            story.does(put(1));
            story.ends_with(story.either(&[1], &[]));
        },
    },
];
