//! Oracle a″, and what else a receipt may not say.

use super::Trial;
use super::story::{Story, delete, json, put, remove, set};
use super::versions::{dot, version};
use henge::message::StoodIn;
use henge::ring::MemberId;
use sim::history::WriteId;
use sim::oracle::receipts::{self, Takers};
use std::collections::BTreeSet;

/// The owners of key 0.
const OWNERS: &[u128] = &[1, 2, 3];

fn members(ids: &[u128]) -> BTreeSet<MemberId> {
    ids.iter().map(|id| MemberId(*id)).collect()
}

impl Story {
    /// The receipt of a write tells these dots, in partition 0.
    fn is_given(&mut self, id: WriteId, dots: &[u64]) {
        let dots: Vec<_> = dots.iter().map(|counter| dot(*counter)).collect();
        self.noted.extend(self.dots.note_receipt(self.history.write(id), 0, &dots));
    }

    /// The receipt of a write with W=2 says who has acknowledged it, and who stood in for whom.
    fn is_taken_by(&mut self, id: WriteId, acked: &[u128], stood_in: &[(u128, &[u128])]) {
        let stand_in =
            |(member, owed): &(u128, &[u128])| StoodIn { member: MemberId(*member), owed: members(owed).into_iter().collect() };
        let (owners, acked, stood_in) = (members(OWNERS), members(acked), stood_in.iter().map(stand_in).collect::<Vec<_>>());
        let takers = Takers { owners: &owners, acked: &acked, stood_in: &stood_in };
        self.noted.extend(receipts::judge_acks(self.history.write(id), 2, &takers));
    }

    /// The receipt of a write is judged by what it covers.
    fn covers_no_more_than_it_may(&mut self, id: WriteId) {
        self.noted.extend(receipts::judge_scope(&self.history, self.history.write(id)));
    }
}

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "a write is applied twice",
        said: &[("a″", "v1 was applied twice: as dot ")],
        story: |story| {
            story.does(put(1));
            story.tells(&version(1, "", "v1"));
            story.tells(&version(story.either(1, 2), "", "v1"));
        },
    },
    Trial {
        way: "a write is applied in two partitions",
        said: &[("a″", "v1 was applied twice: as dot ")],
        story: |story| {
            story.does(put(1));
            story.tells(&version(1, "", "v1"));
            story.tells_in(story.either(0, 1), &version(1, "", "v1"));
        },
    },
    Trial {
        way: "a dot names two values",
        said: &[("a″", "of partition 0 names Named { key: KeyId(0), path: \"\", value: v1 } and")],
        story: |story| {
            story.does(put(1));
            story.does(put(2).seen(&[1]));
            story.tells(&version(1, "", "v1"));
            story.tells(&version(story.either(2, 1), "", "v2"));
        },
    },
    Trial {
        way: "a receipt tells a dot that names another value",
        said: &[("a″", "of partition 0 names Named { key: KeyId(0), path: \"\", value: v1 } and")],
        story: |story| {
            story.does(put(1));
            story.tells(&version(1, "", "v1"));
            let second = story.does(put(2).seen(&[1]));
            story.is_given(second, story.either(&[2], &[1]));
        },
    },
    Trial {
        way: "a retried write is given new dots",
        said: &[("a″", "v1 was applied twice: as dot ")],
        story: |story| {
            let write = story.does(put(1));
            story.is_given(write, &[1]);
            story.is_given(write, story.either(&[1], &[2]));
        },
    },
    Trial {
        way: "a document of two leaves is given one dot",
        said: &[("a″", "a write of 2 leaves of key 0 made 1 dots")],
        story: |story| {
            let write = story.does(json(&[("a", 1), ("b", 2)]));
            story.is_given(write, story.either(&[1, 2], &[1]));
        },
    },
    Trial {
        way: "the dots of a receipt do not stand in the order of the paths",
        said: &[("a″", "names Named { key: KeyId(0), path: \"b\", value: v2 } and"), ("a″", "path: \"a\", value: v1 } and")],
        story: |story| {
            let write = story.does(json(&[("b", 2), ("a", 1)]));
            story.tells(&version(1, "a", "v1"));
            story.tells(&version(2, "b", "v2"));
            story.is_given(write, story.either(&[1, 2], &[2, 1]));
        },
    },
    Trial {
        way: "a write is acknowledged by fewer than W",
        said: &[("a", "a write of key 0 with W=2 is acknowledged by")],
        story: |story| {
            let write = story.does(put(1));
            story.is_taken_by(write, story.either(&[1, 2], &[1]), &[]);
        },
    },
    Trial {
        way: "a write is acknowledged by somebody who is neither owner nor stand-in",
        said: &[("a", "a write of key 0 with W=2 is acknowledged by")],
        story: |story| {
            let write = story.does(put(1));
            story.is_taken_by(write, story.either(&[1, 2, 9], &[1, 2, 8]), &[(9, &[3])]);
        },
    },
    Trial {
        way: "an owner stands in for an owner",
        said: &[("a", "a write of key 0 with W=2 is acknowledged by")],
        story: |story| {
            let write = story.does(put(1));
            story.is_taken_by(write, &[1, 2], &[(story.either(9, 2), &[3])]);
        },
    },
    Trial {
        way: "somebody stands in for a peer that is no owner",
        said: &[("a", "a write of key 0 with W=2 is acknowledged by")],
        story: |story| {
            let write = story.does(put(1));
            story.is_taken_by(write, &[1, 9], &[(9, story.either(&[3], &[8]))]);
        },
    },
    Trial {
        way: "a stand-in and the owner that it stood in for count as two",
        said: &[("a", "a write of key 0 with W=2 is acknowledged by")],
        story: |story| {
            let write = story.does(put(1));
            story.is_taken_by(write, &[1, 9], &[(9, story.either(&[1, 3], &[1]))]);
        },
    },
    Trial {
        way: "a removal without a context counts a stand-in",
        said: &[("a", "a removal of key 0 with W=2 is acknowledged by")],
        story: |story| {
            story.does(put(1));
            let removal = story.does(story.either(delete().seen(&[1]), delete()));
            story.is_taken_by(removal, &[1, 9], &[(9, &[3])]);
        },
    },
    Trial {
        way: "a patch covers a leaf beside its path",
        said: &[("b: scope", "v2 at `b` of key 0 is covered by a write of Paths")],
        story: |story| {
            story.does(json(&[("a", 1), ("b", 2)]));
            let patch = story.does(set("a", 3).covering(story.either(&[1], &[1, 2])));
            story.covers_no_more_than_it_may(patch);
        },
    },
    Trial {
        way: "the removal of a path covers one beside it",
        said: &[("b: scope", "v2 at `ca` of key 0 is covered by a write of Paths")],
        story: |story| {
            story.does(json(&[("c.x", 1), ("ca", 2)]));
            let removal = story.does(remove("c").covering(story.either(&[1], &[1, 2])));
            story.covers_no_more_than_it_may(removal);
        },
    },
    Trial {
        way: "a write covers a value of another key",
        said: &[("b: scope", "v1 at `` of key 1 is covered by a write of Whole")],
        story: |story| {
            story.does(put(1).of_key(story.either(0, 1)));
            let write = story.does(put(2).covering(&[1]));
            story.covers_no_more_than_it_may(write);
        },
    },
];
