//! One sample of everything that can be said, for the tests: plain ones for each kind, and odd ones.

use super::*;
use crate::message::*;
use crate::ring::{Change, ClusterId, Founder, MemberId};
use crate::vclock::{Actor, Dot, Path, Seen, Start, Timestamp};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Anything that a frame may be.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    Hello(Hello),
    Proof([u8; PROOF_BYTES]),
    Refused(Refused),
    Request(u64, Request),
    Reply(u64, Reply),
    Message(Message),
}

pub(super) fn encode(said: &Said) -> BytesMut {
    let mut out = BytesMut::new();
    match said {
        Said::Hello(hello) => encode_hello(hello, &mut out),
        Said::Proof(proof) => encode_proof(proof, &mut out),
        Said::Refused(refused) => encode_refused(refused, &mut out),
        Said::Request(id, request) => encode_request(*id, request, &mut out),
        Said::Reply(id, reply) => encode_reply(*id, reply, &mut out),
        Said::Message(message) => encode_message(message, &mut out),
    }
    .expect("samples fit a frame");
    out
}

/// Reads a frame as what it is, by every decoder: exactly one may take it.
pub(super) fn decode(frame: &Frame) -> Result<Said, WireError> {
    let mut taken = Vec::new();
    let mut refused = Vec::new();
    let mut note = |result: Result<Said, WireError>| match result {
        Ok(said) => taken.push(said),
        Err(WireError::UnknownKind { .. }) => {}
        Err(error) => refused.push(error),
    };
    note(decode_hello(frame).map(Said::Hello));
    note(decode_proof(frame).map(Said::Proof));
    note(decode_refused(frame).map(Said::Refused));
    note(decode_request(frame).map(|request| Said::Request(frame.id(), request)));
    note(decode_reply(frame).map(|reply| Said::Reply(frame.id(), reply)));
    note(decode_message(frame).map(Said::Message));
    assert!(taken.len() + refused.len() <= 1, "two decoders want one kind: {taken:?} {refused:?}");
    match (taken.pop(), refused.pop()) {
        (Some(said), _) => Ok(said),
        (None, Some(error)) => Err(error),
        (None, None) => Err(WireError::UnknownKind { number: frame.kind(), expected: "anything" }),
    }
}

fn member(last: u8) -> MemberId {
    MemberId(0x0011_2233_4455_6677_8899_aabb_ccdd_ee00 + u128::from(last))
}

fn founder(last: u8) -> Founder {
    Founder {
        member: member(last),
        name: format!("stone-{last}"),
        address: format!("10.0.0.{last}:7400"),
        zone: "west".into(),
        weight: 1,
    }
}

fn dot(n: u64) -> Dot {
    Dot { actor: Actor(0xa1a2_a3a4_a5a6_a7a8), counter: Start(0x6553_f100).base() + n }
}

fn attempt() -> Attempt {
    Attempt { member: member(1), start: Start(0x6553_f100) }
}

fn formed() -> Change {
    Change::Formed {
        cluster: CLUSTER,
        secret: *b"0123456789abcdef",
        partitions: 256,
        replicas: 3,
        placement_rule: 1,
        founders: vec![founder(1), founder(2)],
    }
}

const CLUSTER: ClusterId = ClusterId(0xc0c1_c2c3_c4c5_c6c7_c8c9_cacb_cccd_cecf);

fn put() -> Put {
    Put {
        key: Bytes::from_static(b"user7"),
        body: Body::Json(Bytes::from_static(br#"{"city":"Rome"}"#)),
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    }
}

fn found() -> Found {
    Found {
        value: Some(Value::Json(Bytes::from_static(br#"{"city":"Rome"}"#))),
        conflicts: vec![Conflict {
            path: "name".into(),
            values: vec![Value::Json(Bytes::from_static(b"\"Ada\"")), Value::Json(Bytes::from_static(b"\"Eve\""))],
        }],
        hidden: 0,
        context: Bytes::from_static(b"sealed"),
        answered: 2,
        agreed: 1,
        dots: vec![dot(1), dot(2), dot(3)],
        stood_in: 1,
    }
}

fn failure() -> Failure {
    Failure { kind: FailureKind::Overloaded, message: "too much to do; try again soon".into(), retry_after_ms: 50 }
}

fn explained() -> Explained {
    let replica = Replica {
        member: member(1),
        name: "stone-1".into(),
        address: "10.0.0.1:7400".into(),
        zone: "west".into(),
        is_owner: true,
        is_live: true,
        held: Some(Held { is_readable: true, complete: true, versions: 2, context_intervals: 1, owed: vec![member(2)] }),
    };
    let version = Judged {
        dot: dot(1),
        author: Some(member(1)),
        path: "address.city".into(),
        kind: 1,
        bytes: 6,
        wall_ms: 1_700_000_000_000,
        expiry_ms: 0,
        held_by: vec![member(1)],
        fate: Fate::Replaced,
        gone_at: vec![member(2)],
        beside: vec![dot(2)],
    };
    let choice = Choice { members: vec![member(1)], says: Says::Found, same: true };
    Explained {
        key: Bytes::from_static(b"user7"),
        path: "address.city".into(),
        group: Bytes::from_static(b"user7"),
        hash: 0x0102_0304_0506_0708,
        partition: 1,
        partitions: 256,
        replicas: vec![replica],
        versions: vec![version],
        more: 0,
        quorums: vec![Would { r: 1, choices: vec![choice] }],
    }
}

/// One of each kind, in the order of the kinds: what the golden file is made of.
pub(super) fn one_of_each() -> Vec<Said> {
    let key = Bytes::from_static(b"user7");
    let context = Bytes::from_static(b"sealed");
    let operation = OperationId(0x6553_f100_0000_0007);
    let request = |request| Said::Request(0x0102_0304_0506_0708, request);
    let reply = |reply| Said::Reply(0x0102_0304_0506_0708, reply);
    let identity = Identity {
        cluster: Some(CLUSTER),
        member: member(1),
        actor: Actor(0xa1a2_a3a4_a5a6_a7a8),
        start: Start(0x6553_f100),
        previous: Start(0x6553_f0ff),
        earlier: vec![Start(0x6553_f0fe), Start(7)],
        address: "10.0.0.1:7400".into(),
        name: "stone-1".into(),
    };
    vec![
        Said::Hello(Hello {
            versions: Versions { min: 1, max: 1 },
            has_secret: true,
            nonce: *b"sixteen at last!",
            role: Role::Peer(identity),
        }),
        Said::Proof(*b"a proof of it is"),
        Said::Refused(Refused { code: RefusalCode::SecretWrong, message: "no".into() }),
        request(Request::Put(put())),
        request(Request::Remove(Remove {
            key: key.clone(),
            path: "address.city".into(),
            context: context.clone(),
            w: Quorum::All,
            deadline_ms: 500,
            retry: None,
            strict: false,
        })),
        request(Request::Update(Update {
            key: key.clone(),
            patch: PatchBody::Set { path: "address.city".into(), json: Bytes::from_static(b"\"Oslo\"") },
            context: context.clone(),
            w: Quorum::Exactly(2),
            deadline_ms: 70_000,
            retry: Some(Retry { session: 0xfeed_face_cafe_beef, number: 7, first: Some(attempt()) }),
            strict: true,
            ttl_ms: 60_000,
        })),
        request(Request::Get(Get {
            key: key.clone(),
            path: String::new(),
            r: Quorum::Default,
            session: context.clone(),
            last_writer_wins: true,
            deadline_ms: 0,
        })),
        request(Request::List(List {
            prefix: Bytes::from_static(b"user"),
            after: key.clone(),
            limit: 1_000,
            r: Quorum::Exactly(1),
            deadline_ms: 0,
        })),
        request(Request::Ring),
        request(Request::Status),
        request(Request::Describe),
        request(Request::Form(Form { change: formed() })),
        request(Request::Why(Why { key: key.clone(), path: "address.city".into(), deadline_ms: 2_000 })),
        reply(Reply::Written(Receipt {
            coordinator: attempt(),
            acks: vec![
                Ack { member: member(1), sync: SyncMode::Always },
                Ack { member: member(2), sync: SyncMode::Interval(1_000) },
            ],
            dots: vec![dot(4)],
            covered: vec![dot(1), dot(3)],
            context: context.clone(),
            stood_in: vec![StoodIn { member: member(2), owed: vec![member(3)] }],
        })),
        reply(Reply::Found(found())),
        reply(Reply::Missing(Missing { context: context.clone(), answered: 3 })),
        reply(Reply::Listed(Listed {
            keys: vec![key.clone(), Bytes::from_static(b"user8")],
            more: true,
            resume_after: Bytes::from_static(b"user8"),
        })),
        reply(Reply::Ring(RingTable {
            cluster: CLUSTER,
            replicas: 2,
            members: vec![founder(1), founder(2)],
            owners: vec![vec![0, 1], vec![1, 0]],
        })),
        reply(Reply::Status(Box::new(Status {
            member: MemberStatus {
                member: member(1),
                name: "stone-1".into(),
                address: "10.0.0.1:7400".into(),
                cluster: Some(CLUSTER),
                start: Start(0x6553_f100),
                version: "0.1.0".into(),
                sync: SyncMode::Never,
                uptime_ms: 3_600_000,
                partitions: 154,
                keys: 60_000,
                contexts: 3,
                log_bytes: 1 << 33,
                trie_bytes: 2_900_000,
                in_flight: 2,
                requests: RequestCounts { puts: 1, removes: 2, updates: 3, gets: 4, lists: 5, failed: 6 },
                repairs: 9,
                debts: vec![DebtStatus {
                    member: member(3),
                    name: "stone-3".into(),
                    hints: 12,
                    bytes: 4_000,
                    oldest_ms: 90_000,
                    paid: 5,
                    in_flight: 1,
                }],
                hints_full: false,
                shared: 153,
                in_step: 152,
                hedges: 10,
                stood_in: 11,
                incomplete_partitions: 12,
                comparisons_done: 7,
                comparisons_needed: 24,
                open_gaps: 1,
                alarms: vec!["something is missing".into()],
            },
            links: vec![LinkStatus { member: member(2), name: "stone-2".into(), address: "10.0.0.2:7400".into(), up: true }],
            comparisons: vec![ComparisonStatus {
                member: member(2),
                partitions: 153,
                in_step: 152,
                all_within_ms: Some(60_000),
                pulls: 1_000,
                keys: 7,
                sent_bytes: 33_000,
                received_bytes: 1 << 33,
            }],
            gossip: GossipStatus {
                incarnation: 2,
                local_health: 1,
                clock_trouble: Some("its clock is slow".into()),
                others: vec![MemberView {
                    member: member(2),
                    state: ViewState::Suspect,
                    since_ms: 1_500,
                    start: Start(0x6553_f100),
                    incarnation: 3,
                    incomplete: 0,
                    wall_offset_ms: Some(-61_000),
                }],
            },
        }))),
        reply(Reply::Description(Description { founder: founder(1), changes: vec![formed()] })),
        reply(Reply::Formed),
        reply(Reply::Failed(failure())),
        reply(Reply::Explained(Box::new(explained()))),
        Said::Message(Message::Apply(Apply {
            operation,
            key: key.clone(),
            entry: Bytes::from_static(b"packed"),
            naming: Some(Arc::new(Naming {
                scope: Scope { set: vec![Path::ROOT, path(b"a\0b\x01\x01\0")], removed: vec![path(b"c\0")], objects: vec![] },
                dots: vec![dot(4)],
                before: Timestamp(1_700_000_000_000 << 16),
            })),
            owed: vec![member(3)],
            relief: true,
        })),
        Said::Message(Message::Applied(Applied {
            operation,
            sync: SyncMode::Always,
            uncovered: vec![dot(1)],
            refused: None,
            complete: true,
        })),
        Said::Message(Message::Fetch(Fetch { operation, key, mode: FetchMode::Dots })),
        Said::Message(Message::Fetched(Fetched {
            operation,
            entry: Bytes::from_static(b"packed"),
            mode: FetchMode::Explain,
            complete: true,
            holding: Some(Box::new(Holding { context_intervals: 2, owed: vec![member(3)] })),
        })),
        Said::Message(Message::ScanAsk(ScanAsk {
            operation,
            partitions: vec![0, 7, 255],
            prefix: Bytes::from_static(b"user"),
            after: Bytes::new(),
            limit: 100,
        })),
        Said::Message(Message::ScanPage(ScanPage {
            operation,
            items: vec![ScanItem { key: Bytes::from_static(b"user7"), hash: u64::MAX, hidden_ms: 0 }],
            more: false,
            complete: false,
            incomplete: vec![7],
        })),
        Said::Message(Message::Forward(Box::new(Forward { operation, request: Request::Put(put()) }))),
        Said::Message(Message::Forwarded(Box::new(Forwarded { operation, reply: Reply::Found(found()) }))),
        gossip(Gossip::Probe(probe(vec![]))),
        gossip(Gossip::ProbeAck(probe(vec![
            News::Record(Box::new(record())),
            News::Suspect { member: member(2), rank: rank(), from: member(3) },
            News::Dead { member: member(4), rank: rank() },
        ]))),
        gossip(Gossip::ProbeFor { number: operation.0, target: member(2), news: vec![] }),
        gossip(Gossip::ProbeMissed { number: operation.0 }),
        gossip(Gossip::Tell { news: vec![News::Dead { member: member(4), rank: rank() }] }),
        gossip(Gossip::Compare {
            standings: vec![
                Standing { member: member(1), record: rank(), dead: None },
                Standing { member: member(2), record: Rank::default(), dead: Some(rank()) },
            ],
        }),
        gossip(Gossip::CatchUp { news: vec![], wanted: vec![member(2)] }),
    ]
    .into_iter()
    .chain(pull().into_iter().map(comparing))
    .chain(fences(operation))
    .collect()
}

fn fences(operation: OperationId) -> Vec<Said> {
    vec![
        Said::Message(Message::FenceAsk(FenceAsk { operation, actor: dot(1).actor, member: member(2), below: attempt().start })),
        Said::Message(Message::FencePromise(FencePromise {
            operation,
            actor: dot(1).actor,
            below: attempt().start,
            hinted: vec![7, 255],
        })),
    ]
}

fn comparing(comparing: Comparing) -> Said {
    Said::Message(Message::Comparing(Box::new(comparing)))
}

/// The messages of a pull, in the order of their kinds.
fn pull() -> Vec<Comparing> {
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

fn gossip(said: Gossip) -> Said {
    Said::Message(Message::Gossip(Box::new(said)))
}

fn probe(news: Vec<News>) -> Probe {
    Probe { number: 0x6553_f100_0000_0007, wall_ms: 1_700_000_000_000, digest: 0x0102_0304_0506_0708, news }
}

fn rank() -> Rank {
    Rank { actors: 1, start: Start(0x6553_f100), incarnation: 2 }
}

fn record() -> MemberRecord {
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

fn path(encoded: &'static [u8]) -> Path {
    Path::from_encoded(Bytes::from_static(encoded)).expect("an encoded path")
}

/// Every kind, then shapes that those leave out: the other variants of inner choices, empty things, largest numbers, and every request
/// and reply wrapped.
pub(super) fn all() -> Vec<Said> {
    let mut all = one_of_each();
    let empty = Bytes::new();
    let big = Dot { actor: Actor(u64::MAX), counter: u64::MAX };
    all.push(Said::Hello(Hello {
        versions: Versions { min: 1, max: u16::MAX },
        has_secret: false,
        nonce: [0xff; 16],
        role: Role::Client,
    }));
    let identity = Identity {
        cluster: None,
        member: MemberId(u128::MAX),
        actor: Actor(u64::MAX),
        start: Start(u32::MAX),
        previous: Start(u32::MAX),
        earlier: vec![Start(u32::MAX); 11],
        address: String::new(),
        name: String::new(),
    };
    all.push(Said::Hello(Hello {
        versions: Versions { min: 0, max: 1 },
        has_secret: false,
        nonce: [0; 16],
        role: Role::Peer(identity),
    }));
    all.push(Said::Refused(Refused { code: RefusalCode::Other(200), message: "later".into() }));
    let first = Some(Attempt { member: MemberId(u128::MAX), start: Start(u32::MAX) });
    for retry in [None, Some(Retry { session: 0, number: 0, first: None }), Some(Retry { session: u64::MAX, number: 1, first })] {
        let (key, context) = (Bytes::from(vec![0xc0; 4_096]), Bytes::from(vec![7; 300]));
        let body = Body::Bytes(Bytes::from(vec![1; 70_000]));
        let w = Quorum::Exactly(254);
        all.push(Said::Request(
            u64::MAX,
            Request::Put(Put { key, body, context, w, deadline_ms: u32::MAX, retry, strict: true, ttl_ms: u64::MAX }),
        ));
    }
    all.push(Said::Request(0, Request::Put(Put { key: empty.clone(), body: Body::Bytes(empty.clone()), ..put() })));
    let merge = PatchBody::Merge { json: Bytes::from_static(b"{}") };
    let (key, w) = (empty.clone(), Quorum::All);
    all.push(Said::Request(
        1,
        Request::Update(Update {
            key,
            patch: merge,
            context: empty.clone(),
            w,
            deadline_ms: 1,
            retry: None,
            strict: true,
            ttl_ms: 0,
        }),
    ));
    let receipt = Receipt {
        coordinator: attempt(),
        acks: vec![],
        dots: vec![big; 70_000],
        covered: vec![],
        context: empty.clone(),
        stood_in: vec![],
    };
    all.push(Said::Reply(1, Reply::Written(receipt)));
    all.push(Said::Reply(1, Reply::Found(Found { value: None, agreed: 255, dots: vec![], ..found() })));
    all.push(Said::Reply(1, Reply::Found(Found { value: Some(Value::Bytes(empty.clone())), conflicts: vec![], ..found() })));
    let conflict = Conflict { path: "é".repeat(40), values: vec![Value::Bytes(Bytes::from(vec![0; 66_000])); 3] };
    all.push(Said::Reply(1, Reply::Found(Found { value: None, conflicts: vec![conflict; 2], ..found() })));
    all.push(Said::Reply(1, Reply::Listed(Listed { keys: vec![], more: false, resume_after: empty.clone() })));
    for number in 1..=9 {
        let kind = FailureKind::try_from(number).expect("nine kinds");
        all.push(Said::Reply(1, Reply::Failed(Failure { kind, ..failure() })));
    }
    let operation = OperationId(u64::MAX);
    let refused = Some("no room".to_string());
    all.push(Said::Message(Message::Applied(Applied {
        operation,
        sync: SyncMode::Interval(u32::MAX),
        uncovered: vec![],
        refused,
        complete: false,
    })));
    all.push(Said::Message(Message::Apply(Apply {
        operation,
        key: empty.clone(),
        entry: empty,
        naming: None,
        owed: vec![],
        relief: false,
    })));
    let pull = OperationId(u64::MAX);
    let none = Compared { pull, page: 9, count: 0, sum: 0, digest: 0, clock: None, contexts: vec![], snapshot: 0, complete: false };
    let longest = Bytes::from(vec![b'k'; 4_096]);
    let keys = vec![longest.clone(), longest.slice(..200), longest.clone(), Bytes::new()];
    let prefixes = vec![Prefix { bytes: longest.to_vec(), odd: false }, Prefix { bytes: vec![0x10], odd: true }];
    all.extend([
        comparing(Comparing::Compare(Compare { pull, partition: u16::MAX, known: 0, snapshot: u64::MAX, page: u32::MAX })),
        comparing(Comparing::Compared(none)),
        comparing(Comparing::Walk(Walk { pull, ask: u32::MAX, partition: 0, prefixes })),
        comparing(Comparing::Walk(Walk { pull, ask: 0, partition: 0, prefixes: vec![] })),
        comparing(Comparing::Walked(Walked { pull, ask: 0, steps: vec![] })),
        comparing(Comparing::Walked(Walked {
            pull,
            ask: 0,
            steps: vec![
                Step::Keys(vec![]),
                Step::Keys(vec![(longest, 0)]),
                Step::Sums { beyond: vec![15; 300], own: None, sums: (0..16).map(|half| (half, u64::MAX)).collect() },
                Step::Sums { beyond: vec![], own: None, sums: vec![] },
            ],
        })),
        comparing(Comparing::FetchEntries(FetchEntries { pull, ask: 0, partition: 0, known: 0, keys })),
        comparing(Comparing::Entries(Entries { pull, ask: 0, digest: 0, clock: None, entries: vec![], unreadable: vec![] })),
    ]);
    let longest = MemberRecord {
        member: MemberId(u128::MAX),
        actor: Actor(u64::MAX),
        ended: vec![EndedActor { actor: Actor(u64::MAX), last: Start(u32::MAX) }; crate::limits::ENDED_ACTORS_MAX],
        start: Start(u32::MAX),
        nonce: u64::MAX,
        incarnation: u32::MAX,
        name: "n".repeat(crate::limits::MEMBER_NAME_BYTES_MAX),
        address: "a".repeat(crate::limits::MEMBER_ADDRESS_BYTES_MAX),
        incomplete: u32::MAX,
    };
    let standing = Standing { member: MemberId(0), record: longest.rank(), dead: Some(longest.rank()) };
    all.push(gossip(Gossip::Tell { news: vec![News::Record(Box::new(longest)); 40] }));
    all.push(gossip(Gossip::Compare { standings: vec![standing; crate::limits::MEMBERS_MAX] }));
    all.push(gossip(Gossip::Probe(Probe { number: u64::MAX, wall_ms: u64::MAX, digest: u64::MAX, news: vec![] })));
    for said in all.clone() {
        match said {
            Said::Request(_, request) => all.push(Said::Message(Message::Forward(Box::new(Forward { operation, request })))),
            Said::Reply(_, reply) => all.push(Said::Message(Message::Forwarded(Box::new(Forwarded { operation, reply })))),
            _ => {}
        }
    }
    all
}
