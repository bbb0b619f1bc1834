//! What peers say to each other in the background: gossip, comparisons, promises.

use super::*;

pub(super) fn fences(operation: OperationId) -> Vec<Said> {
    vec![
        Said::Message(Message::FenceAsk(FenceAsk { operation, actor: dot(1).actor, member: member(2), below: attempt().start })),
        Said::Message(Message::FencePromise(FencePromise {
            operation,
            actor: dot(1).actor,
            below: attempt().start,
            hinted: vec![7, 255],
        })),
        Said::Message(Message::ActorAsk(ActorAsk { actor: dot(1).actor })),
        Said::Message(Message::ActorDenial(ActorDenial { actor: dot(1).actor })),
    ]
}

pub(super) fn comparing(comparing: Comparing) -> Said {
    Said::Message(Message::Comparing(Box::new(comparing)))
}

/// The messages of a pull, in the order of their kinds.
pub(super) fn pull() -> Vec<Comparing> {
    let pull = OperationId(0x6553_f100_0000_0007);
    let seen: Seen = [dot(1), dot(2), dot(4)].into_iter().collect();
    let (user7, user8) = (Bytes::from_static(b"user7"), Bytes::from_static(b"user8"));
    vec![
        Comparing::Compare(Compare { pull, partition: 152, known: u64::MAX, snapshot: 0, page: 0 }),
        Comparing::Compared(Compared {
            pull,
            page: 0,
            count: 1_000,
            sum: 0x99aa_bbcc_ddee_ff00,
            digest: 0x1122_3344_5566_7788,
            clock: Some(seen.clone()),
            contexts: vec![KeyContext { key: user7.clone(), hash: 9, context: [dot(9)].into_iter().collect() }],
            snapshot: 3,
            complete: true,
        }),
        Comparing::Walk(Walk {
            pull,
            ask: 1,
            partition: 152,
            prefixes: vec![
                Prefix { bytes: vec![], odd: false },
                Prefix { bytes: b"user0".to_vec(), odd: true },
                Prefix { bytes: b"user7".to_vec(), odd: false },
            ],
        }),
        Comparing::Walked(Walked {
            pull,
            ask: 1,
            steps: vec![
                Step::Sums { beyond: vec![7, 5, 7], own: None, sums: vec![(3, 1 << 63), (15, 5)] },
                Step::Sums { beyond: vec![], own: Some(7), sums: vec![(0, 1)] },
                Step::Keys(vec![(Bytes::new(), 1), (Bytes::from_static(b"8"), u64::MAX)]),
            ],
        }),
        Comparing::FetchEntries(FetchEntries { pull, ask: 2, partition: 152, known: 5, keys: vec![user7, user8] }),
        Comparing::Entries(Entries {
            pull,
            ask: 2,
            digest: 0x1122_3344_5566_7788,
            clock: Some(seen),
            entries: vec![(0, Bytes::from_static(b"packed"))],
            unreadable: vec![1],
        }),
        Comparing::Declined(Declined { pull, reason: "stone-2 does not own partition 7".into() }),
    ]
}

pub(super) fn gossip(said: Gossip) -> Said {
    Said::Message(Message::Gossip(Box::new(said)))
}

pub(super) fn probe(news: Vec<News>) -> Probe {
    Probe { number: 0x6553_f100_0000_0007, wall_ms: 1_700_000_000_000, digest: 0x0102_0304_0506_0708, news }
}

pub(super) fn rank() -> Rank {
    Rank { actors: 1, start: Start(0x6553_f100), incarnation: 2 }
}

pub(super) fn record() -> MemberRecord {
    MemberRecord {
        member: member(1),
        actor: Actor(0xa1a2_a3a4_a5a6_a7a8),
        ended: vec![EndedActor { actor: Actor(7), last: Start(0x6553_f000) }],
        start: Start(0x6553_f100),
        nonce: 0x1112_1314_1516_1718,
        incarnation: 2,
        name: "stone-1".into(),
        address: "10.0.0.1:7400".into(),
        incomplete: 3,
    }
}
