//! The examples of docs/storage-format.md are what the code writes, and the code reads them back.
//!
//! An example is a block of the page that begins with ```` ```hex NAME ````; in each line the bytes stand before two spaces, and behind
//! them what they mean. Every example of the page is one of those below, and the other way round.

use super::frame::{place, put_unplaced, size, verify};
use super::identity::{decode, encode};
use super::segment::{HEADER_BYTES, decode_header, encode_header};
use super::{Batch, Gap, Identity, MemberNote, Record, RetryRecord, SegmentInfo};
use crate::message::Position;
use crate::ring::{Change, ClusterId, Founder, MemberId};
use crate::vclock::{
    Actor, Dot, Entry, Interval, Kind, Path, SealKey, SealKeys, Sealed, Seen, Start, Timestamp, Typed, Version, decode_seen,
    encode_seen, pack, unpack,
};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

const ADA: Actor = Actor(0xa1a2_a3a4_a5a6_a7a8);
const BOB: Actor = Actor(0xb1b2_b3b4_b5b6_b7b8);
const START: Start = Start(0x6553_f100);
const WALL_MS: u64 = 1_700_000_000_123;
const MEMBER: MemberId = MemberId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const CLUSTER: ClusterId = ClusterId(0xc0c1_c2c3_c4c5_c6c7_c8c9_cacb_cccd_cecf);
const SEGMENT: SegmentInfo = SegmentInfo { id: 7, salt: 0x5a5b_5c5d_5e5f_6061, size: 1 << 20 };
const PARTITION: u16 = 152;
const KEYS: SealKeys = SealKeys { newest: SealKey { number: 0, secret: *b"sixteen byte key" }, previous: None };

fn dot(actor: Actor, n: u64) -> Dot {
    Dot { actor, counter: START.base() | n }
}

fn version(dot: Dot, path: &str, kind: Kind, value: &'static str, time: u64) -> Version {
    let path = Path::parse(path).expect("a path");
    Version { dot, path, kind, value: Bytes::from_static(value.as_bytes()), time: Timestamp(time), expiry_ms: 0 }
}

fn at(milliseconds: u64) -> u64 {
    Timestamp::from_wall_ms(WALL_MS + milliseconds).0
}

fn plain_entry() -> Entry {
    Entry::new(vec![version(dot(ADA, 1), "", Kind::Bytes, "hello", at(0))], Seen::new())
}

fn typed_entry() -> Entry {
    let mut version = version(dot(ADA, 6), "", Kind::Typed, "", at(0));
    version.value = Typed::new("image/png", b"\x89PNG").expect("a content type").as_packed().clone();
    Entry::new(vec![version], Seen::new())
}

fn some_dots() -> Seen {
    let mut seen: Seen = [dot(BOB, 2)].into_iter().collect();
    seen.insert_interval(ADA, Interval { first: START.base() | 1, last: START.base() | 4 });
    seen.insert_interval(ADA, Interval { first: START.base() | 9, last: START.base() | 9 });
    seen
}

fn entry_with_context() -> Entry {
    let mut version = version(dot(ADA, 5), "", Kind::Scalar, "\"hi\"", at(0));
    version.expiry_ms = WALL_MS + 60_000;
    Entry::new(vec![version], [dot(BOB, 2)].into_iter().collect())
}

/// `{"name": {"first": "Ada", "last": "L"}}`, with two siblings of `name.last`, and something of Bob's that is gone.
fn document() -> Entry {
    let versions = vec![
        version(dot(ADA, 3), "name.first", Kind::Scalar, "\"Ada\"", at(0)),
        version(dot(ADA, 4), "name.last", Kind::Scalar, "\"L\"", at(0)),
        version(dot(BOB, 7), "name.last", Kind::Scalar, "\"B\"", at(2) + 1),
    ];
    Entry::new(versions, [dot(BOB, 2)].into_iter().collect())
}

fn coded(seen: &Seen) -> Vec<u8> {
    let mut out = Vec::new();
    encode_seen(seen, &mut out);
    out
}

fn change() -> Change {
    let founder =
        Founder { member: MEMBER, name: "peer-1".into(), address: "127.0.0.1:7401".into(), zone: "default".into(), weight: 1 };
    let secret = *b"sixteen byte key";
    Change::Formed { cluster: CLUSTER, secret, partitions: 256, replicas: 3, placement_rule: 1, founders: vec![founder] }
}

/// Where the example of a record lies in its segment, and its position.
const RECORD_AT: (u64, Position) = (HEADER_BYTES, Position(42));

fn placed(record: &Record<'_>) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_unplaced(&mut out, record, SEGMENT.salt);
    place(&mut out, SEGMENT.salt, RECORD_AT.0, RECORD_AT.1);
    out.to_vec()
}

/// Writes each record, checks that it is read back as it was, and names it.
fn records(examples: &mut BTreeMap<&'static str, Vec<u8>>) {
    let (entry, covered, gone) = (pack(&plain_entry()), coded(&[dot(BOB, 2)].into_iter().collect()), coded(&some_dots()));
    let retry = RetryRecord {
        session: 0x1122_3344_5566_7788,
        number: 9,
        digest: 0x99aa_bbcc_ddee_ff00,
        wall_ms: WALL_MS,
        first_counter: dot(ADA, 1).counter,
        count: 1,
        covered: &covered,
    };
    let plain = Record::Entry { partition: PARTITION, epoch: 0, key: b"user7", entry: &entry, gone: &[], retry: None };
    let removed = Record::Entry { partition: PARTITION, epoch: 0, key: b"user7", entry: &[], gone: &gone, retry: None };
    let compared: Vec<u8> = MEMBER.0.to_le_bytes().into_iter().chain([1]).collect();
    let mut batch = BytesMut::new();
    Batch::push(&mut batch, &Record::PartitionDropped { partition: PARTITION, epoch: 0 });
    Batch::push(&mut batch, &Record::Clock { partition: PARTITION, epoch: 1, clock: &gone });
    let owed = MEMBER.0.to_be_bytes();
    let ended: Vec<u8> = BOB.0.to_le_bytes().into_iter().chain((START.0 - 1).to_le_bytes()).collect();
    let note = MemberNote {
        member: MEMBER,
        actor: ADA,
        start: START,
        nonce: 0xe1e2_e3e4_e5e6_e7e8,
        incarnation: 2,
        name: b"peer-1",
        address: b"127.0.0.1:7401",
        ended: &ended,
    };
    let gap = Gap { segment: 6, from: 5_000, to: 5_128, first: Position(30), next: Position(32) };
    let change = rmp_serde::to_vec(&change()).expect("a change is plain data");
    for (name, record) in [
        ("record-entry", plain),
        (
            "record-entry-retry",
            Record::Entry { partition: PARTITION, epoch: 0, key: b"user7", entry: &entry, gone: &[], retry: Some(retry) },
        ),
        ("record-entry-gone", removed),
        ("record-batch", Record::Batch(Batch::new(&batch).expect("a batch"))),
        ("record-clock", Record::Clock { partition: PARTITION, epoch: 0, clock: &gone }),
        (
            "record-hint",
            Record::Hint { partition: PARTITION, epoch: 0, since_ms: WALL_MS, owed: &owed, key: b"user7", entry: &entry },
        ),
        (
            "record-hint-paid",
            Record::HintPaid { partition: PARTITION, epoch: 0, member: MEMBER.0, position: Position(41), key: b"user7" },
        ),
        ("record-membership", Record::Membership { index: 0, change: &change }),
        ("record-partition-dropped", Record::PartitionDropped { partition: PARTITION, epoch: 0 }),
        ("record-mark", Record::Mark { durable: Position(41), start: START, clean: true }),
        ("record-seal", Record::Seal { durable: Position(41), next: 8 }),
        ("record-fence", Record::Fence { actor: BOB, member: MEMBER, below: START }),
        ("record-member", Record::Member(note)),
        ("record-healed", Record::Healed { gap, hints: 2, digest: 0xd1d2_d3d4_d5d6_d7d8 }),
        ("record-standing", Record::Standing { partition: PARTITION, epoch: 0, incomplete: true, compared: &compared }),
    ] {
        let bytes = placed(&record);
        assert_eq!(size(&bytes[..8], 1 << 20), Ok(bytes.len()), "{name}");
        assert_eq!(verify(&bytes, SEGMENT.salt, RECORD_AT.0), Ok(()), "{name}");
        assert!(verify(&bytes, SEGMENT.salt, RECORD_AT.0 + 8).is_err(), "{name} at another place");
        assert_eq!(Record::read(&bytes), Ok((RECORD_AT.1, record)), "{name}");
        examples.insert(name, bytes);
    }
}

/// Writes each structure, checks that it is read back as it was, and names it.
fn examples() -> BTreeMap<&'static str, Vec<u8>> {
    let mut examples = BTreeMap::new();
    let identity = Identity {
        cluster: Some(CLUSTER),
        segment: 7,
        sequence: 12,
        ..Identity::new(MEMBER, ADA).begin(Start(START.0 - 1)).begin(START)
    };
    let node = encode(&identity)[..128].to_vec();
    assert_eq!(decode(&node), Some(Ok(identity)));
    examples.insert("node", node);

    let header = encode_header(SEGMENT, WALL_MS);
    assert_eq!(decode_header(&header, SEGMENT.id), Ok(SEGMENT));
    assert_eq!(header[..64], header[2_048..2_112], "the second copy");
    examples.insert("segment-header", header[..64].to_vec());

    for (name, entry) in [
        ("entry-plain", plain_entry()),
        ("entry-typed", typed_entry()),
        ("entry-context", entry_with_context()),
        ("entry-document", document()),
    ] {
        let packed = pack(&entry);
        let unpacked = unpack(&packed).expect("what was packed");
        assert!(unpacked == entry && unpacked.context() == entry.context(), "{name}");
        examples.insert(name, packed.to_vec());
    }
    let seen = coded(&some_dots());
    assert_eq!(decode_seen(&mut seen.as_slice()), Ok(some_dots()));
    examples.insert("seen", seen);

    let sealed = Sealed { live: [dot(ADA, 9)].into_iter().collect(), context: some_dots() };
    let bytes = sealed.seal(&KEYS, b"user7");
    assert_eq!(Sealed::open(&bytes, &KEYS, b"user7"), Ok(sealed));
    examples.insert("sealed", bytes.to_vec());
    records(&mut examples);
    examples
}

/// The examples of the page by their names.
fn examples_of(page: &str) -> BTreeMap<&str, Vec<u8>> {
    let mut found = BTreeMap::new();
    for block in page.split("```hex ").skip(1) {
        let (name, rest) = block.split_once('\n').expect("a name");
        let (block, _) = rest.split_once("```").expect("an end");
        let digits: String = block.lines().flat_map(|line| line.split("  ").next()).flat_map(str::split_whitespace).collect();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_else(|_| panic!("{name}: {digits}"));
        let bytes = (0..digits.len()).step_by(2).map(byte).collect();
        assert!(found.insert(name, bytes).is_none(), "{name} stands twice in the page");
    }
    found
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_examples_of_the_storage_format_page_are_what_the_code_writes() {
    let page = examples_of(include_str!("../../docs/storage-format.md"));
    let code = examples();
    let mut wrong = String::new();
    for (name, bytes) in &code {
        if page.get(name) != Some(bytes) {
            let there = page.get(name).map_or("nothing".into(), |bytes| hex(bytes));
            wrong += &format!("{name}:\n  the page has   {there}\n  the code makes {}\n", hex(bytes));
        }
    }
    let made_up: Vec<_> = page.keys().filter(|name| !code.contains_key(*name)).collect();
    assert!(wrong.is_empty() && made_up.is_empty(), "not made by the code: {made_up:?}\n{wrong}");
}

#[test]
fn an_example_with_one_wrong_digit_is_noticed() {
    let page = include_str!("../../docs/storage-format.md");
    let whole = examples_of(page);
    let at = page.find("```hex seen\n").expect("the example") + "```hex seen\n".len();
    let mut hurt = page.to_string();
    hurt.replace_range(at..at + 2, "7f");
    assert_ne!(examples_of(&hurt)["seen"], whole["seen"]);
}
