//! One sample of everything that can be said, for the tests: plain ones for each kind, and odd ones.

mod odd;
mod peers;

pub(super) use odd::{all, typed};

use super::*;
use crate::message::*;
use crate::ring::{Change, ClusterId, Founder, MemberId};
use crate::vclock::{Actor, Dot, Path, Seen, Start, Timestamp};
use bytes::{Bytes, BytesMut};
use peers::{comparing, fences, gossip, probe, pull, rank, record};
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

fn expire() -> Expire {
    Expire {
        key: Bytes::from_static(b"user7"),
        expiry_ms: 1_700_000_060_000,
        context: Bytes::from_static(b"sealed"),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: Some(Retry { session: 1, number: 2, first: None }),
        strict: false,
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
        expiry_ms: 1_700_000_060_000,
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

fn path(encoded: &'static [u8]) -> Path {
    Path::from_encoded(Bytes::from_static(encoded)).expect("an encoded path")
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
        request(Request::Expire(expire())),
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
        reply(Reply::Description(Description {
            founder: founder(1),
            changes: vec![formed()],
            starts: vec![(member(1), Start(0x6553_f100))],
        })),
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
