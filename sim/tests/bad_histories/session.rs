//! Oracle d: what a session has seen is not taken back, however few replicas answer.

use super::Trial;
use super::story::{json, put, read, set};

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "a session goes backwards",
        said: &[("d", "the session had seen v1 of key 0, the answer has not")],
        story: |story| {
            story.does(put(1));
            story.reads(read(&[]).from(1).in_session(story.either(&[], &[1])));
        },
    },
    Trial {
        way: "a session does not find its own write",
        said: &[("d", "the session had seen v2 of key 0, the answer has not")],
        story: |story| {
            story.does(put(1).by(1));
            story.does(put(2).seen(&[1]).by(1));
            story.reads(read(story.either(&[2], &[1])).from(1).in_session(&[2]));
        },
    },
    Trial {
        way: "a session does not find what was never acknowledged, but shown to it",
        said: &[("d", "the session had seen v1 of key 0, the answer has not")],
        story: |story| {
            story.does(put(1).unanswered());
            story.reads(read(&[1]).from(1));
            story.reads(read(story.either(&[1], &[])).from(1).in_session(&[1]));
        },
    },
    Trial {
        way: "a session asks for a path, and its leaf is gone",
        said: &[("d", "the session had seen v1 of key 0, the answer has not")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]).by(1));
            story.reads(read(story.either(&[1], &[])).at("a").from(1).in_session(&[1, 2]));
        },
    },
    Trial {
        way: "a session finds its leaf gone, and a patch of another leaf is no excuse",
        said: &[("d", "the session had seen v1 of key 0, the answer has not")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]).by(1));
            story.does(set(story.either("a", "b"), 3).seen(&[1, 2]).by(1));
            story.reads(read(&[2, 3]).from(1).in_session(&[1]));
        },
    },
];
