//! What stands on disks: records and batches, headers of segments, the identity, members, membership changes.

use super::super::{Outcome, Probe, Target, outcome_class};
use super::{examples, msgpack, no_rules};
use crate::dice::Dice;
use henge::message::Position;
use henge::ring::{Change, Placement};
use henge::storage::coded::{
    decode_change, decode_identity, decode_member, decode_record, decode_segment_header, encode_change, encode_identity,
    encode_member, encode_record, encode_segment_header, mend_checksum, mend_record,
};
use henge::storage::{Record, SegmentInfo};

/// The segment of the examples, and where each stands in it.
const SEGMENT: SegmentInfo = SegmentInfo { id: 7, salt: 0x5a5b_5c5d_5e5f_6061, size: 1 << 20 };
const OFFSET: u64 = 4_096;
/// What stands before the kind of a record, and the kind.
const FRAME_BYTES: usize = 17;
const UNIT: usize = 8;
/// What is written of a slot of the identity; zeros follow.
const SLOT_BYTES: usize = 128;
const MEMBER: u8 = 13;
/// Placing all of them would take most of the time; the members are the same.
const PARTITIONS_PLACED_MAX: u16 = 32;

const WORDS: &[&[u8]] = &[
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x02\x03\x02\x01\x02",
    b"sixteen bytes, ok",
    b"\xff\x01",
];

pub(super) fn targets() -> Vec<Target> {
    let target =
        |name, seeds, mend, perturb, check, memory_max| Target { name, seeds, words: WORDS, mend, perturb, check, memory_max };
    vec![
        // Reading a record copies nothing.
        target("records", || examples("record"), mend_framed, perturb_record, check_record, |_| 0),
        target("members", member_records, mend_framed, perturb_record, check_member, |bytes| 512 + 4 * bytes),
        target(
            "changes",
            changes,
            |_| {},
            msgpack::perturb,
            check_change,
            |bytes| {
                // rmp-serde takes room for as many founders as are claimed, up to a mebibyte. These bytes come from the peer's own disk, under
                // a checksum; what comes from others is walked first (`requests`).
                (1 << 20) + 4_096 + 64 * bytes
            },
        ),
        target("segments", segments, |header| mend_copies(header), no_rules, check_segment, |_| 256),
        target("identity", || examples("node"), |slot| mend_slot(slot), no_rules, check_identity, |_| 0),
    ]
}

/// One copy of the header, and both.
fn segments() -> Vec<Vec<u8>> {
    examples("segment-header").into_iter().chain([encode_segment_header(SEGMENT, 7)[..2_112].to_vec()]).collect()
}

fn member_records() -> Vec<Vec<u8>> {
    examples("record-member").into_iter().filter(|record| record[FRAME_BYTES - 1] == MEMBER).collect()
}

fn changes() -> Vec<Vec<u8>> {
    let framed = examples("record-membership");
    let change = framed.iter().filter_map(|bytes| match decode_record(bytes, SEGMENT, OFFSET) {
        Some(Ok((_, Record::Membership { change, .. }))) => Some(change.to_vec()),
        _ => None,
    });
    change.collect()
}

/// Makes length, padding and checksum right.
fn mend_framed(record: &mut Vec<u8>) {
    if record.len() < FRAME_BYTES {
        return;
    }
    let stated = u32::from_le_bytes([record[4], record[5], record[6], record[7]]) as usize;
    if stated < FRAME_BYTES || stated.next_multiple_of(UNIT) != record.len() {
        let length = record.len();
        record[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        record.resize(length.next_multiple_of(UNIT), 0);
    }
    mend_record(record, SEGMENT, OFFSET);
}

fn mend_copies(header: &mut [u8]) {
    for at in [0, 2_048] {
        if let Some(copy) = header.get_mut(at..at + 64) {
            mend_checksum(copy);
        }
    }
}

fn mend_slot(slot: &mut [u8]) {
    if let Some(slot) = slot.get_mut(..SLOT_BYTES) {
        mend_checksum(slot);
    }
}

/// Kind and body of a framed record.
fn contents(record: &[u8]) -> Option<&[u8]> {
    let stated = u32::from_le_bytes(*record.get(4..)?.first_chunk()?) as usize;
    record.get(FRAME_BYTES - 1..stated.clamp(FRAME_BYTES, record.len().max(FRAME_BYTES)))
}

/// Another kind, a batch of this record and another, one batch inside the next.
fn perturb_record(record: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let (Some(mine), Some(theirs)) = (contents(record), contents(other)) else { return };
    let one = |contents: &[u8]| {
        let mut coded: Vec<u8> = Vec::new();
        let mut length = contents.len();
        while length >= 0x80 {
            coded.push(length as u8 | 0x80);
            length >>= 7;
        }
        coded.push(length as u8);
        coded.extend_from_slice(contents);
        coded
    };
    let changed = match dice.below(4) {
        0 => [&[dice.below(16) as u8], &mine[1..]].concat(),
        1 => [&[2][..], &one(mine), &one(theirs)].concat(),
        2 if mine[0] == 2 => [mine, &one(theirs)].concat(),
        2 => [&[2][..], &one(mine)].concat(),
        _ => [&mine[..1], &theirs[1..]].concat(),
    };
    record.truncate(FRAME_BYTES - 1);
    record.extend(changed);
    let length = record.len();
    record[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    record.resize(length.next_multiple_of(UNIT), 0);
}

fn check_record(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let (position, record) = match probe.decode(|| decode_record(input, SEGMENT, OFFSET)) {
        None => {
            // What a read job hands out has been checked; bytes that have not must do no harm all the same.
            let class = probe.decode(|| Record::read(input).is_ok());
            return Ok(Outcome::Refused(outcome_class("no record", &[usize::from(class)])));
        }
        Some(Err(error)) => {
            let kind = char::from(input[FRAME_BYTES - 1]).to_string();
            return Ok(Outcome::Refused(outcome_class(&format!("{kind}{error}"), &[])));
        }
        Some(Ok(read)) => read,
    };
    let written = encode_record(&record, SEGMENT, OFFSET, position);
    if decode_record(&written, SEGMENT, OFFSET) != Some(Ok((position, record))) {
        return Err(format!("{record:?} is not what is read back"));
    }
    let (mut count, mut bytes) = (0, 0);
    if let Record::Batch(batch) = record {
        let mut again = bytes::BytesMut::new();
        for record in batch.iter() {
            count += 1;
            henge::storage::Batch::push(&mut again, &record);
        }
        let again = henge::storage::Batch::new(&again).map_err(|error| format!("its records make no batch: {error}"))?;
        if !again.iter().eq(batch.iter()) {
            return Err(format!("{record:?} has other records"));
        }
        bytes = written.len();
    }
    let kind = char::from(input[FRAME_BYTES - 1]).to_string();
    Ok(Outcome::Accepted(outcome_class(&kind, &[count, bytes, written.len()])))
}

fn check_member(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let read = decode_record(input, SEGMENT, OFFSET);
    let Some(Ok((position, Record::Member(note)))) = read else {
        let is_other = input.get(FRAME_BYTES - 1).is_some_and(|kind| *kind != MEMBER);
        return Ok(Outcome::Refused(outcome_class("no member", &[usize::from(is_other)])));
    };
    let member = match probe.decode(|| decode_member(&note)) {
        Err(error) => return Ok(Outcome::Refused(outcome_class(&error, &[]))),
        Ok(member) => member,
    };
    let mut written = None;
    encode_member(&member, |note| written = Some(encode_record(&Record::Member(note), SEGMENT, OFFSET, position)));
    let written = written.expect("it is handed over");
    match decode_record(&written, SEGMENT, OFFSET) {
        Some(Ok((Position(_), Record::Member(note)))) if decode_member(&note).as_ref() == Ok(&member) => {
            Ok(Outcome::Accepted(outcome_class("member", &[member.ended.len(), member.name.len(), member.address.len()])))
        }
        other => Err(format!("{member:?} is read back as {other:?}")),
    }
}

fn check_change(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let change = match probe.decode(|| decode_change(input)) {
        Err(error) => return Ok(Outcome::Refused(outcome_class(&error, &[]))),
        Ok(change) => change,
    };
    if decode_change(&encode_change(&change)).as_ref() != Ok(&change) {
        return Err(format!("{change:?} is not what is read back"));
    }
    let Change::Formed { partitions, founders, .. } = &change;
    let placed = if *partitions > PARTITIONS_PLACED_MAX {
        "large".into()
    } else {
        Placement::from_changes(std::slice::from_ref(&change)).map_or_else(|error| error.to_string(), |_| "placed".into())
    };
    Ok(Outcome::Accepted(outcome_class(&placed, &[founders.len()])))
}

fn check_segment(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    match probe.decode(|| decode_segment_header(input, SEGMENT.id)) {
        Err(error) => Ok(Outcome::Refused(outcome_class(error.get(..14).unwrap_or(""), &[]))),
        Ok(info) if decode_segment_header(&encode_segment_header(info, 0), SEGMENT.id) != Ok(info) => {
            Err(format!("{info:?} is not what is read back"))
        }
        Ok(info) => Ok(Outcome::Accepted(outcome_class("segment", &[info.size as usize]))),
    }
}

fn check_identity(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    // No more than this is read of the file.
    let slot = &input[..input.len().min(SLOT_BYTES)];
    match probe.decode(|| decode_identity(slot)) {
        None => Ok(Outcome::Refused(outcome_class("no slot", &[]))),
        Some(Err(_)) => Ok(Outcome::Refused(outcome_class("another version", &[]))),
        Some(Ok(identity)) if decode_identity(&encode_identity(&identity)[..SLOT_BYTES]) != Some(Ok(identity)) => {
            Err(format!("{identity:?} is not what is read back"))
        }
        Some(Ok(identity)) => {
            let class = [usize::from(identity.cluster.is_some()), identity.segment as usize, identity.first_segment as usize];
            Ok(Outcome::Accepted(outcome_class("identity", &class)))
        }
    }
}
