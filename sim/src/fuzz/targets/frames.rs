//! Frames: the stream, and every kind of body.

use super::super::{Outcome, Probe, Target, outcome_class};
use super::{msgpack, no_mending, no_rules, sample_frames};
use crate::dice::Dice;
use bytes::{Bytes, BytesMut};
use henge::limits::{FRAME_BYTES_BEFORE_HELLO_MAX, FRAME_BYTES_MAX};
use henge::message::Message;
use henge::wire::{
    Frame, WireError, decode_hello, decode_message, decode_proof, decode_refused, decode_reply, decode_request, encode_hello,
    encode_message, encode_proof, encode_refused, encode_reply, encode_request, take_frame,
};
use std::fmt::Debug;
use std::ops::RangeInclusive;

/// What stands before a body.
const HEADER_BYTES: usize = 17;

/// Kinds of messages between peers: what serves requests, gossip, and comparisons.
const MESSAGES: RangeInclusive<u8> = 64..=71;
const GOSSIP: RangeInclusive<u8> = 72..=78;
const COMPARING: RangeInclusive<u8> = 80..=91;

/// Claims of much, and what stands in bodies.
const WORDS: &[&[u8]] = &[
    b"\xdd\xff\xff\xff\xff",
    b"\xdd\x00\x00\x10\x00",
    b"\xdc\xff\xff",
    b"\xdc\x00\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc5\x00\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\x90",
    b"\x91\x90",
    b"\xc4\x00",
    b"\xc4\x10sixteen bytes, ok",
    b"\xa0",
    b"\xa1\xff",
    b"\xc0",
    b"\xc3",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xce\xff\xff\xff\xff",
    b"\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
];

pub(super) fn targets() -> Vec<Target> {
    let body = |name, seeds, check, memory_max| Target {
        name,
        seeds,
        words: WORDS,
        mend: |frame| mend_frame(frame),
        perturb: perturb_frame,
        check,
        memory_max,
    };
    vec![
        Target {
            name: "stream",
            seeds: streams,
            words: WORDS,
            mend: no_mending,
            perturb: no_rules,
            check: check_stream,
            // A frame is a slice of what was received: a count of who holds it, and its place in the list that the check makes.
            memory_max: |bytes| 512 + 16 * bytes,
        },
        body("hellos", || kinds(1..=3), check_hello, |bytes| 2_048 + 16 * bytes),
        body("requests", || kinds(16..=26), check_request, lists_of_structs),
        body("replies", || kinds(32..=41), check_reply, lists_of_structs),
        body("messages", || kinds(MESSAGES), |input, probe| check_message(MESSAGES, input, probe), lists_of_structs),
        body("gossip", || kinds(GOSSIP), |input, probe| check_message(GOSSIP, input, probe), |bytes| 2_048 + 16 * bytes),
        body("comparing", || kinds(COMPARING), |input, probe| check_message(COMPARING, input, probe), front_coded),
    ]
}

/// An element of a list takes a byte at the least (an empty array in its place, which is refused, but room for all elements is taken
/// before that), and up to some 100 in memory.
fn lists_of_structs(bytes: usize) -> usize {
    2_048 + 128 * bytes
}

/// Two bytes may stand for a key of 4,096, in lists that have their own bound together (`limits::FRONT_CODED_BYTES_MAX`).
fn front_coded(bytes: usize) -> usize {
    2_048 + 128 * bytes + (2_200 * bytes).min(2 * henge::limits::FRONT_CODED_BYTES_MAX)
}

fn kinds(of: RangeInclusive<u8>) -> Vec<Vec<u8>> {
    sample_frames().iter().filter(|frame| of.contains(&frame[4])).cloned().collect()
}

/// Rows of three frames behind a byte that says how they are cut.
fn streams() -> Vec<Vec<u8>> {
    let small: Vec<&[u8]> = sample_frames().iter().map(Vec::as_slice).filter(|frame| frame.len() < 200).collect();
    small.chunks(3).zip(1..).map(|(row, cut)| [&[cut][..], &row.concat()].concat()).collect()
}

/// Makes the lengths in the header fit what is there. A body that is not longer than that stays as long as it says.
fn mend_frame(frame: &mut [u8]) {
    let Some(room) = frame.len().checked_sub(HEADER_BYTES) else { return };
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    let stated = u32::from_be_bytes([frame[13], frame[14], frame[15], frame[16]]);
    // What is changed is mostly the body, and most kinds have no payload; small payloads stay.
    let body =
        if (stated as usize) < room && room - stated as usize <= 32 && !room.is_multiple_of(3) { stated } else { room as u32 };
    frame[13..17].copy_from_slice(&body.to_be_bytes());
}

fn perturb_frame(frame: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let (Some(_), Some(theirs)) = (frame.get(HEADER_BYTES), other.get(HEADER_BYTES..)) else { return };
    if dice.chance(0.05) {
        // The body of one kind under the name of another.
        frame[4] = other[4];
    }
    let stated = u32::from_be_bytes([frame[13], frame[14], frame[15], frame[16]]) as usize;
    let end = frame.len().min(HEADER_BYTES.saturating_add(stated));
    let mut body = frame[HEADER_BYTES..end].to_vec();
    msgpack::perturb(&mut body, theirs, dice);
    frame[13..17].copy_from_slice(&(body.len() as u32).to_be_bytes());
    frame.splice(HEADER_BYTES..end, body);
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_be_bytes());
}

/// All frames of a stream that arrives in pieces, what is left over, and why it ended.
type Cut = (Vec<Frame>, Vec<u8>, Option<String>);

fn cut(stream: &[u8], max: usize, mut piece: impl FnMut() -> usize, probe: &mut Probe) -> Cut {
    let (mut buffer, mut rest, mut frames) = (BytesMut::new(), stream, Vec::new());
    loop {
        let taken = probe.decode(|| {
            let mut taken = Vec::new();
            loop {
                match take_frame(&mut buffer, max) {
                    Ok(Some(frame)) => taken.push(frame),
                    Ok(None) => break Ok(taken),
                    Err(error) => break Err((taken, error.to_string())),
                }
            }
        });
        match taken {
            Ok(taken) => frames.extend(taken),
            Err((taken, error)) => {
                frames.extend(taken);
                return (frames, [&buffer[..], rest].concat(), Some(error));
            }
        }
        if rest.is_empty() {
            return (frames, buffer.to_vec(), None);
        }
        let (piece, later) = rest.split_at(piece().clamp(1, rest.len()));
        buffer.extend_from_slice(piece);
        rest = later;
    }
}

fn check_stream(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let Some((&seed, stream)) = input.split_first() else { return Ok(Outcome::Refused(0)) };
    let max = if seed & 1 == 0 { FRAME_BYTES_MAX } else { FRAME_BYTES_BEFORE_HELLO_MAX };
    let whole = cut(stream, max, || usize::MAX, probe);
    let mut dice = u32::from(seed) + 1;
    let mut next = || {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (dice >> 27) as usize
    };
    let pieces = cut(stream, max, &mut next, probe);
    if whole != pieces {
        return Err(format!("cut into pieces a stream is another: {whole:?} and {pieces:?}"));
    }
    let (frames, rest, end) = whole;
    let again: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).chain(rest).collect();
    if again != stream {
        return Err("the frames and what is left are not the stream".into());
    }
    for frame in &frames {
        if frame.bytes().len() != HEADER_BYTES + frame.body().len() + frame.payload().len() {
            return Err("body and payload are not the frame".into());
        }
    }
    let class = outcome_class(end.as_deref().unwrap_or("whole"), &[frames.len()]);
    Ok(if end.is_some() { Outcome::Refused(class) } else { Outcome::Accepted(class) })
}

/// Reads the first frame of an input, writes what it says, and reads that again.
fn check_frame<T: PartialEq + Debug>(
    input: &[u8],
    probe: &mut Probe,
    decode: impl Fn(&Frame) -> Result<T, WireError>,
    encode: impl Fn(u64, &T, &mut BytesMut) -> Result<(), WireError>,
) -> Result<Outcome, String> {
    let frame = match take_frame(&mut BytesMut::from(input), FRAME_BYTES_MAX) {
        Ok(Some(frame)) => frame,
        Ok(None) => return Ok(Outcome::Refused(outcome_class("cut", &[]))),
        Err(error) => return Ok(Outcome::Refused(outcome_class(&error.to_string(), &[]))),
    };
    let kind = char::from(frame.kind());
    let said = match probe.decode(|| decode(&frame)) {
        Ok(said) => said,
        Err(error) => return Ok(Outcome::Refused(outcome_class(&format!("{kind}{error}"), &[]))),
    };
    let written = write(frame.id(), &said, &encode)?;
    let again = decode(&read(&written)?).map_err(|error| format!("what was written is not read: {error}"))?;
    if again != said {
        return Err(format!("{said:?} was written, and {again:?} was read"));
    }
    if write(frame.id(), &again, &encode)? != written {
        return Err(format!("{said:?} is written in two ways"));
    }
    Ok(Outcome::Accepted(outcome_class(&kind.to_string(), &[written.len(), frame.payload().len()])))
}

fn write<T>(id: u64, said: &T, encode: &impl Fn(u64, &T, &mut BytesMut) -> Result<(), WireError>) -> Result<Bytes, String> {
    let mut out = BytesMut::new();
    encode(id, said, &mut out).map_err(|error| format!("what was read cannot be written: {error}"))?;
    Ok(out.freeze())
}

fn read(written: &Bytes) -> Result<Frame, String> {
    match take_frame(&mut BytesMut::from(&written[..]), FRAME_BYTES_MAX) {
        Ok(Some(frame)) if frame.bytes().len() == written.len() => Ok(frame),
        other => Err(format!("what was written is no frame: {other:?}")),
    }
}

fn check_request(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    check_frame(input, probe, decode_request, encode_request)
}

fn check_reply(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    check_frame(input, probe, decode_reply, encode_reply)
}

/// Of these kinds alone: each target has a bound of its own for the memory, and a byte that is changed may be the kind.
fn check_message(of: RangeInclusive<u8>, input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    match input.get(4) {
        Some(kind) if !of.contains(kind) => Ok(Outcome::Refused(outcome_class("of another target", &[]))),
        _ => check_frame(input, probe, decode_message, |_, message: &Message, out: &mut BytesMut| encode_message(message, out)),
    }
}

fn check_hello(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    match input.get(4) {
        Some(2) => check_frame(input, probe, decode_proof, |_, proof, out: &mut BytesMut| encode_proof(proof, out)),
        Some(3) => check_frame(input, probe, decode_refused, |_, refused, out: &mut BytesMut| encode_refused(refused, out)),
        _ => check_frame(input, probe, decode_hello, |_, hello, out: &mut BytesMut| encode_hello(hello, out)),
    }
}
