//! Oracle b: something is there, or is shown, that nobody wrote there.

use super::Trial;
use super::story::{json, put, read, set};
use super::versions::version;

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "a value is there that nobody wrote",
        said: &[("b: phantom", "v77 of key 0 was never written (after healing)")],
        story: |story| {
            story.does(put(1));
            story.ends_with(story.either(&[1], &[1, 77]));
        },
    },
    Trial {
        way: "a value is there that was written to another key",
        said: &[("b: phantom", "v1 was written to key 0 and is in key 1 (after healing)")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).of_key(1));
            story.ends_with(&[1]);
            story.key_ends_with(1, story.either(&[2], &[1, 2]));
        },
    },
    Trial {
        way: "a value is there whose writer was told that nothing was done",
        said: &[("b: phantom", "v1 of key 0 is there, though its client was told that nothing was done (after healing)")],
        story: |story| {
            story.does(story.either(put(1).unanswered(), put(1).refused()));
            story.ends_with(&[1]);
        },
    },
    Trial {
        way: "a read shows a value that nobody wrote",
        said: &[("b: phantom", "v77 of key 0 was never written (read by client 2 at 20 ms)")],
        story: |story| {
            story.does(put(1));
            story.reads(read(story.either(&[1], &[1, 77])));
        },
    },
    Trial {
        way: "a read shows a value of another key",
        said: &[("b: phantom", "v1 was written to key 0 and is in key 1 (read by client 2")],
        story: |story| {
            story.does(put(1));
            story.reads(read(&[1]).of_key(story.either(0, 1)));
        },
    },
    Trial {
        way: "a read shows what was refused",
        said: &[("b: phantom", "v1 of key 0 is there, though its client was told that nothing was done (read by client 2")],
        story: |story| {
            story.does(put(1).refused());
            story.reads(read(story.either(&[], &[1])));
        },
    },
    Trial {
        way: "a read shows a value before it was written",
        said: &[("b: phantom", "v1 was shown before it was written (read by client 2 at 10 ms)")],
        story: |story| {
            story.reads(read(&[1]));
            story.does(story.either(put(1).meanwhile(), put(1).afterwards()));
        },
    },
    Trial {
        way: "a read of a path shows a leaf that lies beside it",
        said: &[("b: phantom", "v2 of key 0 path `b` was shown at `a` (read by client 2")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            story.reads(read(story.either(&[1], &[1, 2])).at("a"));
        },
    },
    Trial {
        way: "a message holds a value at another path than it was written to",
        said: &[("b: phantom", "v1 was never written to key 0 path `b`")],
        story: |story| {
            story.does(set("a", 1));
            story.tells(&version(1, story.either("a", "b"), "v1"));
        },
    },
    Trial {
        way: "a message holds a value of another key",
        said: &[("b: phantom", "v1 was never written to key 0 path ``")],
        story: |story| {
            story.does(put(1).of_key(story.either(0, 1)));
            story.tells(&version(1, "", "v1"));
        },
    },
    Trial {
        way: "a message holds what is no value",
        said: &[("b: phantom", "of key 0 holds \"rubbish\"")],
        story: |story| {
            story.does(put(1));
            story.tells(&version(1, "", story.either("v1", "rubbish")));
        },
    },
    Trial {
        way: "a version holds two values at once",
        said: &[("b: phantom", "of key 0 holds ")],
        story: |story| {
            story.does(put(1));
            story.does(put(2));
            story.tells(&version(1, "", story.either("\"v1\"", "\"v1\",\"v2\"")));
        },
    },
    Trial {
        way: "an answer shows what its dots do not name",
        said: &[("b: phantom", "an answer for key 0 shows {v1, v2}, and its dots name {v1}")],
        story: |story| {
            story.does(put(1).seen(&[]));
            story.does(put(2).seen(&[]));
            story.tells(&version(1, "", "v1"));
            story.tells(&version(2, "", "v2"));
            story.answers(&[1, 2], story.either(&[1, 2], &[1]), true);
        },
    },
    Trial {
        way: "an answer does not show what its dots name, and says that it hides nothing",
        said: &[("b: phantom", "an answer for key 0 shows {v1}, and its dots name {v1, v2}")],
        story: |story| {
            story.does(put(1).seen(&[]));
            story.does(put(2).seen(&[]));
            story.tells(&version(1, "", "v1"));
            story.tells(&version(2, "", "v2"));
            story.answers(&[1], &[1, 2], story.either(true, false));
        },
    },
];
