//! Shapes that plain samples leave out.

use super::*;

/// Bytes of a content type: as they are written, and as they are found, alone and in conflict. They stand in the golden file, too.
pub(in crate::wire) fn typed() -> Vec<Said> {
    let id = 0x0102_0304_0506_0708;
    let typed = |content_type, bytes: &[u8]| Typed::new(content_type, bytes).expect("a content type");
    let body = Body::Typed(typed("text/plain", b"hi"));
    let value = Some(Value::Typed(typed("image/png", b"\x89PNG")));
    let values = vec![Value::Typed(typed("a/b; c=\"d\"", b"")), Value::Bytes(Bytes::new())];
    let conflicts = vec![Conflict { path: String::new(), values }];
    vec![
        Said::Request(id, Request::Put(Put { body, ..put() })),
        Said::Reply(id, Reply::Found(Found { value, conflicts: vec![], ..found() })),
        Said::Reply(id, Reply::Found(Found { value: None, conflicts, ..found() })),
    ]
}

/// Every kind, then shapes that those leave out: the other variants of inner choices, empty things, largest numbers, and every request
/// and reply wrapped.
pub(in crate::wire) fn all() -> Vec<Said> {
    let mut all = one_of_each();
    all.extend(typed());
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
    let (first, none) = ("a.b".to_string(), Vec::new());
    let amounts = [0, 1, -1, -32, -33, -128, -129, -32_768, -32_769, -(1 << 31), -(1 << 31) - 1, i64::MIN, i64::MAX];
    let mut patches: Vec<PatchBody> =
        amounts.into_iter().map(|amount| PatchBody::Increment { path: first.clone(), amount }).collect();
    patches.push(PatchBody::Elements { path: String::new(), add: vec![Bytes::new(), Bytes::from(vec![0xff; 300])], remove: none });
    patches.push(PatchBody::Elements { path: first, add: vec![], remove: vec![Bytes::from_static(b"x"); 70_000] });
    for patch in patches {
        let (key, context) = (empty.clone(), empty.clone());
        let update = Update { key, patch, context, w, deadline_ms: 1, retry: None, strict: true, ttl_ms: 0 };
        all.push(Said::Request(1, Request::Update(update)));
    }
    all.push(Said::Request(1, Request::Expire(Expire { expiry_ms: u64::MAX, retry: None, ..expire() })));
    let counter = Value::Counter(Bytes::from_static(b"-170141183460469231731687303715884105728"));
    let values = vec![counter, Value::Set(Members::of([&b""[..], b"\xff"])), Value::Set(Members::default())];
    for value in values.clone() {
        all.push(Said::Reply(1, Reply::Found(Found { value: Some(value), conflicts: vec![], expiry_ms: u64::MAX, ..found() })));
    }
    let conflict = Conflict { path: String::new(), values };
    all.push(Said::Reply(1, Reply::Found(Found { value: None, conflicts: vec![conflict], expiry_ms: 0, ..found() })));
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
