//! Records come back as they were, and whatever else stands there is refused.

use super::*;
use crate::storage::frame;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const SALT: u64 = 0x0123_4567_89ab_cdef;

fn encode(record: &Record<'_>, position: Position, offset: u64) -> BytesMut {
    let mut bytes = BytesMut::new();
    let size = frame::put_unplaced(&mut bytes, record, SALT);
    assert_eq!(size, bytes.len());
    frame::place(&mut bytes, SALT, offset, position);
    bytes
}

/// As a reader of the log does it: length, checksum, meaning.
fn decode(bytes: &[u8], offset: u64) -> Option<(Position, Record<'_>)> {
    let size = frame::size(bytes.get(..frame::FRAME_BYTES)?, bytes.len() as u64).ok()?;
    frame::verify(&bytes[..size], SALT, offset).ok()?;
    Record::read(&bytes[..size]).ok()
}

fn runner() -> TestRunner {
    let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

type Parts = ((u16, u32, u64, u64, bool), Vec<u8>, Vec<u8>, Vec<u8>);

fn parts() -> impl Strategy<Value = Parts> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..60);
    (any::<(u16, u32, u64, u64, bool)>(), bytes(), bytes(), bytes())
}

/// One record of each kind from these parts; the batch holds the others that it may.
fn with_each(parts: &Parts, mut look: impl FnMut(&Record<'_>)) {
    let ((partition, epoch, number, wall_ms, flag), key, entry, gone) = parts;
    let (partition, epoch, number, wall_ms) = (*partition, *epoch, *number, *wall_ms);
    let count = epoch / 3;
    let retry = RetryRecord { session: !number, number, digest: wall_ms, wall_ms, first_counter: number, count, covered: gone };
    let durable = Position(number);
    let member = u128::from(number) << 64 | u128::from(wall_ms);
    let owed = [member.to_be_bytes(), (!member).to_be_bytes()].concat();
    let simple = [
        Record::Hint { partition, epoch, since_ms: wall_ms, owed: &owed, key, entry },
        Record::HintPaid { partition, epoch, member, position: durable, key },
        Record::Entry { partition, epoch, key, entry, gone, retry: flag.then_some(retry) },
        Record::Clock { partition, epoch, clock: entry },
        Record::Membership { index: epoch, change: entry },
        Record::PartitionDropped { partition, epoch },
        Record::Fence { actor: Actor(number), member: MemberId(wall_ms.into()), below: Start(epoch) },
        Record::Standing { partition, epoch, incomplete: *flag, compared: &gone[..gone.len() / COMPARED_BYTES * COMPARED_BYTES] },
    ];
    let note = MemberNote {
        member: MemberId(member),
        actor: Actor(number),
        start: Start(epoch),
        nonce: wall_ms,
        incarnation: count,
        name: key,
        address: entry,
        ended: &gone[..gone.len() / ENDED_BYTES * ENDED_BYTES],
    };
    let simple: Vec<Record<'_>> = simple.into_iter().chain([Record::Member(note)]).collect();
    let mut batch = BytesMut::new();
    simple.iter().for_each(|record| Batch::push(&mut batch, record));
    simple.iter().for_each(&mut look);
    look(&Record::Batch(Batch::new(&batch).expect("it was made by push")));
    look(&Record::Mark { durable, start: Start(epoch), clean: *flag });
    look(&Record::Seal { durable, next: epoch });
}

#[test]
fn a_record_comes_back_as_it_was() {
    let law = |parts: Parts| {
        with_each(&parts, |record| {
            let bytes = encode(record, Position(77), 4_096);
            assert!(bytes.len().is_multiple_of(frame::UNIT));
            assert_eq!(decode(&bytes, 4_096), Some((Position(77), *record)));
            if let Record::Batch(batch) = record {
                assert_eq!(batch.iter().count(), 9);
            }
        });
        Ok(())
    };
    runner().run(&parts(), law).unwrap();
}

#[test]
fn any_flipped_bit_any_other_place_and_any_other_salt_is_noticed() {
    let parts = ((3, 4, 5, 6, true), b"key".to_vec(), b"entry".to_vec(), b"gone".to_vec());
    with_each(&parts, |record| {
        let bytes = encode(record, Position(77), 4_096);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped, 4_096), None, "bit {bit} of {record:?}");
        }
        assert_eq!(decode(&bytes, 4_104), None);
        assert!(frame::verify(&bytes, SALT + 1, 4_096).is_err());
        (0..bytes.len()).for_each(|cut| assert_eq!(decode(&bytes[..cut], 4_096), None));
    });
}

#[test]
fn a_body_that_makes_no_sense_is_refused_and_never_panics() {
    let law = |(kind, body): (u8, Vec<u8>)| {
        let _ = Record::decode(kind, &body);
        let _ = Batch::new(&body).map(|batch| batch.iter().count());
        let _ = Record::read(&body);
        Ok(())
    };
    runner().run(&(0..12u8, proptest::collection::vec(any::<u8>(), 0..80)), law).unwrap();
    // The same with bodies that are nearly right.
    let nearly = |(parts, at, byte): (Parts, usize, u8)| {
        with_each(&parts, |record| {
            let mut bytes = encode(record, Position(1), 0);
            let at = frame::FRAME_BYTES - 1 + at % (bytes.len() - frame::FRAME_BYTES + 1);
            bytes[at] = byte;
            let _ = Record::read(&bytes);
        });
        Ok(())
    };
    runner().run(&(parts(), any::<usize>(), any::<u8>()), nearly).unwrap();
}

#[test]
fn unknown_kinds_and_flags_are_told_from_nonsense() {
    for kind in [0, 7, 15, 255] {
        assert_eq!(Record::decode(kind, &[]), Err(Malformed::Unknown { kind, flags: 0 }));
    }
    assert_eq!(Record::decode(kind::ENTRY, &[0x84]), Err(Malformed::Unknown { kind: kind::ENTRY, flags: 0x84 }));
    assert_eq!(Record::decode(kind::HINT, &[0, 0, 0, 0, 0]), Err(Malformed::Body { kind: kind::HINT }), "owed to nobody");
    assert_eq!(Record::decode(kind::ENTRY, &[0, 1, 1, 9]), Err(Malformed::Body { kind: kind::ENTRY }));
}

#[test]
fn a_batch_holds_no_batch_and_no_mark() {
    for inner in [vec![2, kind::BATCH, 0], vec![1, kind::BATCH], vec![24, kind::MARK], vec![0]] {
        assert!(Batch::new(&inner).is_err(), "{inner:?}");
    }
}

#[test]
fn batches_one_inside_the_other_are_refused_without_a_deep_stack() {
    // From the innermost to the outermost, backwards: kind, then the length before it.
    let (mut reversed, mut length) = (vec![kind::BATCH], 1u64);
    for _ in 0..500_000 {
        let mut coded = BytesMut::new();
        put_varint(&mut coded, length);
        reversed.extend(coded.iter().rev());
        reversed.push(kind::BATCH);
        length += coded.len() as u64 + 1;
    }
    reversed.reverse();
    assert_eq!(Record::decode(kind::BATCH, &reversed[1..]), Err(Malformed::Body { kind: kind::BATCH }));
}

#[test]
fn a_small_entry_costs_at_most_32_bytes_over_key_and_entry() {
    for (key, entry) in (1..40).flat_map(|key| (0..200).map(move |entry| (key, entry))) {
        let (key, entry) = (vec![1; key], vec![2; entry]);
        let record = Record::Entry { partition: 4_095, epoch: 100, key: &key, entry: &entry, gone: &[], retry: None };
        assert!(encode(&record, Position(u64::MAX), 0).len() - key.len() - entry.len() <= 32);
    }
}

#[test]
fn the_bytes_of_a_record_stay_what_they_are() {
    let record = Record::Entry { partition: 300, epoch: 1, key: b"key", entry: b"entry", gone: &[], retry: None };
    let bytes = encode(&record, Position(2), 4_136);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN_ENTRY);
    let mark = encode(&Record::Mark { durable: Position(7), start: Start(9), clean: true }, Position(8), 4_096);
    let hex: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN_MARK);
}

/// CRC, length 30, position 2, kind 1, flags 0, partition 300, epoch 1, key, entry, padding.
const GOLDEN_ENTRY: &str = "5e7cd1851e00000002000000000000000100ac0201036b6579656e7472790000";
/// CRC, length 40, position 8, kind 9, flag 1, two zeros, start 9, durable 7, salt.
const GOLDEN_MARK: &str = "6b69dc0c28000000080000000000000009010000090000000700000000000000efcdab8967452301";
