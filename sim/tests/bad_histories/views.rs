//! Oracle m: a peer believes older things of a member than it did, or others than that member says of itself.

use super::Trial;
use henge::message::{MemberRecord, Rank};
use henge::ring::MemberId;
use henge::vclock::{Actor, Start};
use sim::oracle::views::{Belief, Beliefs, differs};

const MEMBER: MemberId = MemberId(1);

fn rank(start: u32, incarnation: u32) -> Rank {
    Rank { actors: 0, start: Start(start), incarnation }
}

fn record(incarnation: u32) -> MemberRecord {
    let (name, address) = ("A".to_string(), "A:7400".to_string());
    let (actor, start) = (Actor(1), Start(5));
    MemberRecord { member: MEMBER, actor, ended: Vec::new(), start, nonce: 1, incarnation, name, address, incomplete: 0 }
}

pub const TRIALS: &[Trial] = &[
    Trial {
        way: "an older record takes the place of a newer one",
        said: &[("m", "of 00000000000000000000000000000001 it knew")],
        story: |story| {
            let mut beliefs = Beliefs::default();
            story.noted.extend(beliefs.note(MEMBER, (rank(5, 1), rank(5, 1))));
            let next = story.either(rank(6, 0), rank(5, 0));
            story.noted.extend(beliefs.note(MEMBER, (next, rank(6, 0))));
        },
    },
    Trial {
        way: "a member is believed by what was said of an earlier start",
        said: &[("m", "of 00000000000000000000000000000001 it knew")],
        story: |story| {
            let mut beliefs = Beliefs::default();
            story.noted.extend(beliefs.note(MEMBER, (rank(5, 1), rank(5, 2))));
            let next = story.either(rank(5, 2), rank(4, 9));
            story.noted.extend(beliefs.note(MEMBER, (rank(5, 1), next)));
        },
    },
    Trial {
        way: "after healing a member is believed to be what it was before",
        said: &[("m", "A says")],
        story: |story| {
            let known = story.either(record(2), record(1));
            let belief = Belief { rank: known.rank(), record: Some(known), is_dead: false };
            story.noted.extend(differs(&record(2), &belief));
        },
    },
    Trial {
        way: "after healing a member that lives is believed to be dead",
        said: &[("m", "A says")],
        story: |story| {
            let belief = Belief { rank: rank(5, 2), record: Some(record(2)), is_dead: story.either(false, true) };
            story.noted.extend(differs(&record(2), &belief));
        },
    },
];
