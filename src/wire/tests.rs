//! The wire as a whole: what is said comes back, the bytes are stable, and nothing that arrives does harm.

use super::samples::{self, Said, decode, encode};
use super::*;
use crate::limits::{FRAME_BYTES_BEFORE_HELLO_MAX, FRAME_BYTES_MAX};
use crate::message::{Body, Put, Quorum, Reply, Request};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::test_runner::{RngAlgorithm, TestRng};

fn frame_of(bytes: impl AsRef<[u8]>) -> Frame {
    let mut buffer = BytesMut::from(bytes.as_ref());
    let frame = take_frame(&mut buffer, FRAME_BYTES_MAX).expect("a sound frame").expect("a whole frame");
    assert!(buffer.is_empty());
    frame
}

/// A frame put together by hand.
fn raw_frame(kind: u8, id: u64, body: &[u8], payload: &[u8]) -> Frame {
    let mut out = BytesMut::new();
    out.put_u32((13 + body.len() + payload.len()) as u32);
    out.put_u8(kind);
    out.put_u64(id);
    out.put_u32(body.len() as u32);
    out.put_slice(body);
    out.put_slice(payload);
    frame_of(out)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_said_is_what_is_heard() {
    for said in samples::all() {
        let frame = frame_of(encode(&said));
        assert_eq!(decode(&frame).expect("what we write we read"), said);
    }
}

#[test]
fn frames_behind_each_other_come_out_in_order_however_the_stream_is_cut() {
    let all = samples::one_of_each();
    let stream: Vec<u8> = all.iter().flat_map(|said| encode(said).to_vec()).collect();
    for step in [1, 2, 3, 7, 16, 17, 18, 100, stream.len()] {
        let mut buffer = BytesMut::new();
        let mut heard = Vec::new();
        for piece in stream.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = take_frame(&mut buffer, FRAME_BYTES_MAX).expect("sound") {
                heard.push(decode(&frame).expect("sound"));
            }
        }
        assert_eq!(heard, all);
        assert!(!buffer.has_remaining());
    }
}

#[test]
fn the_bytes_of_every_kind_are_those_of_the_golden_file() {
    let golden = include_str!("../../tests/golden/frames.txt");
    let now: Vec<String> = samples::one_of_each()
        .iter()
        .chain(&samples::typed())
        .map(|said| {
            let bytes = encode(said);
            let kind = Kind::from_number(bytes[4]).expect("a kind");
            format!("{} {} {}", kind as u8, kind.name(), hex(&bytes))
        })
        .collect();
    let kinds: Vec<u8> = samples::one_of_each().iter().map(|said| encode(said)[4]).collect();
    assert_eq!(kinds, Kind::ALL.iter().map(|kind| *kind as u8).collect::<Vec<u8>>(), "one sample of each kind");
    let golden: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(golden, now, "the protocol has changed. If it was meant to: a new version, and\n{}", now.join("\n"));
}

#[test]
fn every_kind_stands_in_the_protocol_page_with_its_number() {
    let page = include_str!("../../docs/protocol.md");
    for kind in Kind::ALL {
        let row = format!("| {} | {} |", *kind as u8, kind.name());
        assert!(page.contains(&row), "docs/protocol.md lacks `{row}`");
    }
    let golden = include_str!("../../tests/golden/frames.txt");
    for example in page.lines().filter_map(|line| line.strip_prefix("whole frame: ")) {
        assert!(golden.contains(example), "an example of docs/protocol.md is none of the golden frames: {example}");
    }
    assert!(page.lines().filter(|line| line.starts_with("whole frame: ")).count() >= 4, "the page has worked examples");
}

/// For clients in other languages, which compute a key's partition themselves.
#[test]
fn the_hashes_of_the_golden_file_are_xxh3() {
    let golden = include_str!("../../tests/golden/xxh3.txt");
    let now: Vec<String> = (0..=300)
        .chain([511, 512, 513, 1_023, 1_024, 1_025, 1_087, 1_088, 1_089, 2_047, 2_048, 2_049, 4_095, 4_096])
        .map(|length: usize| {
            let input: Vec<u8> = (0..length).map(|i| (i * 7 + length) as u8).collect();
            format!("{length} {:016x}", twox_hash::XxHash3_64::oneshot(&input))
        })
        .collect();
    let golden: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(golden, now, "{}", now.join("\n"));
    let page = include_str!("../../docs/protocol.md");
    let hash = twox_hash::XxHash3_64::oneshot(b"user7");
    assert!(page.contains(&format!("`user7` hashes to 0x{hash:016x} and lies in partition {};", hash >> 56)), "{hash:016x}");
}

#[test]
fn keys_contexts_and_values_are_slices_of_what_was_received() {
    let frame = frame_of(encode(&Said::Request(1, Request::Put(long_put()))));
    let Ok(Request::Put(put)) = decode_request(&frame) else { panic!("a put") };
    let Body::Bytes(value) = put.body else { panic!("bytes") };
    let whole = frame.bytes().as_ptr_range();
    for slice in [put.key, put.context, value, frame.payload()] {
        assert!(whole.contains(&slice.as_ptr()), "copied");
    }
}

fn long_put() -> Put {
    Put {
        key: Bytes::from_static(b"a key that no small-string trick could hide"),
        body: Body::Bytes(Bytes::from(vec![5; 1_000])),
        context: Bytes::from_static(b"a context that no small-string trick could hide"),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    }
}

#[test]
fn what_is_too_long_to_say_leaves_the_send_buffer_as_it_was() {
    let mut out = BytesMut::from(&b"before"[..]);
    let body = Body::Bytes(Bytes::from(vec![0; FRAME_BYTES_MAX]));
    let error = encode_request(1, &Request::Put(Put { body, ..long_put() }), &mut out).unwrap_err();
    assert!(matches!(error, WireError::FrameTooLarge { max: FRAME_BYTES_MAX, .. }), "{error}");
    assert_eq!(&out[..], b"before");
    let exactly = FRAME_BYTES_MAX - (encode(&Said::Request(1, Request::Put(long_put()))).len() - 1_000);
    let body = Body::Bytes(Bytes::from(vec![0; exactly]));
    encode_request(1, &Request::Put(Put { body, ..long_put() }), &mut out).expect("just fits");
    out.advance(6);
    assert_eq!(out.len(), FRAME_BYTES_MAX);
    assert!(take_frame(&mut out, FRAME_BYTES_MAX - 1).is_err(), "and not by one byte less");
    assert!(take_frame(&mut out, FRAME_BYTES_MAX).unwrap().is_some());
}

#[test]
fn a_header_that_contradicts_itself_ends_the_stream() {
    for (bytes, why) in [
        (&b"\0\0\0\x0c................"[..], "shorter than a header"),
        (b"\0\0\0\x0d\x10\0\0\0\0\0\0\0\x01\0\0\0\x01", "a body beyond the frame"),
        (b"\0\0\0\x0d\x10\0\0\0\0\0\0\0\x01\xff\xff\xff\xff", "a body far beyond the frame"),
    ] {
        let error = take_frame(&mut BytesMut::from(bytes), FRAME_BYTES_MAX).expect_err(why);
        assert!(matches!(error, WireError::BrokenHeader { .. }), "{why}: {error}");
        assert!(error.failure().is_none(), "{why}");
    }
    let stray = take_frame(&mut BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]), FRAME_BYTES_BEFORE_HELLO_MAX).unwrap_err();
    assert_eq!(stray.to_string(), "a frame of 1195725860 bytes is over the limit of 65536 bytes; send less at once");
}

#[test]
fn an_unknown_kind_or_a_malformed_body_is_an_answer_and_not_the_end() {
    let unknown = decode_request(&raw_frame(99, 7, b"\x90", b"")).unwrap_err();
    assert_eq!(unknown.to_string(), "a frame of kind 99 is no request; see docs/protocol.md for the kinds of this version");
    let reply = decode_request(&raw_frame(Kind::Formed as u8, 7, b"\x90", b"")).unwrap_err();
    assert_eq!(reply.to_string(), "a frame of kind 39 (Formed) is no request; see docs/protocol.md for the kinds of this version");
    let malformed = decode_request(&raw_frame(Kind::Get as u8, 7, b"\x96\x01", b"")).unwrap_err();
    assert_eq!(malformed.to_string(), "the body of a Get frame is malformed: key: a byte string should stand here");
    for error in [unknown, reply, malformed] {
        let failure = error.failure().expect("the stream can go on");
        assert_eq!(failure.message, error.to_string());
    }
}

#[test]
fn bytes_whose_content_type_is_none_are_refused_where_they_come_in() {
    let [put, found, _] = &samples::typed()[..] else { panic!("three") };
    for said in [put, found] {
        let frame = frame_of(encode(said));
        assert_eq!(&decode(&frame).expect("what we write we read"), said);
        for payload in
            [&b""[..], b"\0", b"\x0aimage/png", b"\x05image", b"\x80", b"\xff", b"\x03a/\n", &[&[127][..], &[b'a'; 127]].concat()]
        {
            let error = decode(&raw_frame(frame.kind(), frame.id(), frame.body(), payload)).unwrap_err();
            assert!(matches!(error, WireError::Malformed { .. }), "{error}");
        }
    }
    let frame = frame_of(encode(put));
    let error = decode_request(&raw_frame(frame.kind(), 7, frame.body(), b"\x05image")).unwrap_err();
    let expected = "the body of a Put frame is malformed: value: `image` is no content type: that is type/subtype, such as image/png, or with \
                    parameters text/html; charset=utf-8";
    assert_eq!(error.failure().expect("the stream can go on").message, expected);
}

#[test]
fn what_a_newer_version_appends_is_ignored_in_every_kind() {
    for said in samples::all() {
        let frame = frame_of(encode(&said));
        let body = frame.body();
        let mut rest = body;
        let fields = rmp::decode::read_array_len(&mut rest).expect("every body is an array");
        let mut longer = Vec::new();
        rmp::encode::write_array_len(&mut longer, fields + 2).expect("memory takes it");
        longer.extend_from_slice(rest);
        longer.extend_from_slice(b"\xc0\x82\x01\x93\x01\x02\xa1x\xc4\x01y\xcb\0\0\0\0\0\0\0\0");
        let frame = raw_frame(frame.kind(), frame.id(), &longer, &frame.payload());
        assert_eq!(decode(&frame).expect("still understood"), said);
        longer.push(0xc0);
        let frame = raw_frame(frame.kind(), frame.id(), &longer, &frame.payload());
        assert!(decode(&frame).is_err(), "but nothing stands behind the array");
    }
}

#[test]
fn a_missing_field_is_an_error_in_every_kind() {
    for said in samples::one_of_each() {
        let frame = frame_of(encode(&said));
        let mut rest = frame.body();
        let fields = rmp::decode::read_array_len(&mut rest).expect("every body is an array");
        if let Some(fewer) = fields.checked_sub(1) {
            let mut short = Vec::new();
            rmp::encode::write_array_len(&mut short, fewer).expect("memory takes it");
            let mut values = rest;
            for _ in 0..fewer {
                values = body_reader::skip_values(values, 1).expect("sound");
            }
            short.extend_from_slice(&rest[..rest.len() - values.len()]);
            let error = decode(&raw_frame(frame.kind(), frame.id(), &short, &frame.payload())).expect_err("a field short");
            assert!(matches!(error, WireError::Malformed { .. }), "{error}");
        }
    }
}

#[test]
fn no_hello_but_of_a_common_version_is_read_and_the_error_names_both() {
    let ours = Versions { min: 2, max: 4 };
    assert_eq!(ours.settle(Versions { min: 1, max: 3 }), Some(3));
    assert_eq!(ours.settle(Versions { min: 4, max: 9 }), Some(4));
    assert_eq!(ours.settle(Versions { min: 5, max: 9 }), None);
    assert_eq!(ours.settle(Versions { min: 0, max: 1 }), None);
    // A hello of a later version, of which we know the first three fields alone.
    let later = raw_frame(Kind::Hello as u8, 0, b"\x94\xa4HNGE\x07\x09\x80", b"and more");
    let error = decode_hello(&later).unwrap_err();
    assert_eq!(Refused::hello(&error).code, RefusalCode::Version);
    assert_eq!(
        error.to_string(),
        "the other side speaks versions 7 to 9 of the protocol and this one 1 to 1; update the older one"
    );
    let foreign = raw_frame(Kind::Hello as u8, 0, b"\x93\xa4HNGX\x01\x01", b"");
    assert_eq!(Refused::hello(&decode_hello(&foreign).unwrap_err()).code, RefusalCode::NoHello);
}

#[test]
fn deep_nesting_is_refused_or_skipped_without_a_deep_stack() {
    for nest in [&b"\x91"[..], b"\x81\xc0", b"\xdd\0\0\0\x01", b"\xdf\0\0\0\x01\xc0"] {
        let deep: Vec<u8> = nest.repeat(1_000_000).into_iter().chain([0xc0]).collect();
        for kind in Kind::ALL {
            let fieldless = matches!(kind, Kind::AskRing | Kind::AskStatus | Kind::Describe | Kind::Formed | Kind::ProbeMissed);
            assert!(decode(&raw_frame(*kind as u8, 1, &deep, b"")).is_err() || fieldless, "{kind:?}");
            let first = [b"\x92".as_slice(), &deep, b"\xc0"].concat();
            let _ = decode(&raw_frame(*kind as u8, 1, &first, b""));
        }
        let appended = [b"\x91".as_slice(), &deep].concat();
        let decoded = decode(&raw_frame(Kind::Formed as u8, 1, &appended, b"")).expect("appended fields are not looked at");
        assert_eq!(decoded, Said::Reply(1, Reply::Formed));
    }
}

#[test]
fn a_claimed_count_is_refused_before_anything_is_allocated() {
    // Each says: an array, text or byte string of 4,294,967,295, in place of any one field of any kind.
    for claim in [&b"\xdd\xff\xff\xff\xff"[..], b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"] {
        for said in samples::one_of_each() {
            let frame = frame_of(encode(&said));
            for at in 0..frame.body().len() {
                let body = [&frame.body()[..at], claim, &frame.body()[at..]].concat();
                if let Ok(decoded) = decode(&raw_frame(frame.kind(), frame.id(), &body, &frame.payload())) {
                    assert_eq!(decode(&frame_of(encode(&decoded))).expect("again"), decoded, "the claim lay inside of a value");
                }
            }
        }
    }
}

#[test]
fn nothing_that_arrives_does_harm_and_what_is_understood_is_said_again_alike() {
    let corpus: Vec<Vec<u8>> =
        samples::all().iter().map(|said| encode(said).to_vec()).filter(|bytes| bytes.len() < 5_000).collect();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut draw = |below: usize| rand_below(&mut random, below);
    let (mut understood, mut malformed, mut cut) = (0u32, 0u32, 0u32);
    for round in 0..40_000 {
        let mut bytes = corpus[round % corpus.len()].clone();
        for _ in 0..=draw(3) {
            mutate(&mut bytes, &mut draw);
        }
        // Half of the rounds: make the lengths of the header true again, or most would end there.
        if round % 2 == 0 && bytes.len() >= 17 {
            let length = (bytes.len() - 4) as u32;
            bytes[..4].copy_from_slice(&length.to_be_bytes());
            let body = u32::from_be_bytes([bytes[13], bytes[14], bytes[15], bytes[16]]).min(length - 13);
            bytes[13..17].copy_from_slice(&body.to_be_bytes());
        }
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = take_frame(&mut buffer, FRAME_BYTES_MAX) {
            match decode(&frame) {
                Ok(said) => {
                    understood += 1;
                    assert_eq!(decode(&frame_of(encode(&said))).expect("what we write we read"), said);
                }
                Err(_) => malformed += 1,
            }
        }
        cut += u32::from(!buffer.is_empty());
    }
    assert!(understood > 5_000 && malformed > 5_000 && cut > 5_000, "a lame corpus: {understood} {malformed} {cut}");
}

fn rand_below(random: &mut TestRng, below: usize) -> usize {
    use proptest::prelude::Rng;
    (random.next_u64() % below as u64) as usize
}

/// Truncates, flips, overwrites, inserts, repeats or removes something.
fn mutate(bytes: &mut Vec<u8>, draw: &mut impl FnMut(usize) -> usize) {
    if bytes.is_empty() {
        bytes.extend((0..draw(40)).map(|_| draw(256) as u8));
        return;
    }
    // Mostly behind the header: there is the variety.
    let at = if bytes.len() > 17 && draw(8) > 0 { 17 + draw(bytes.len() - 17) } else { draw(bytes.len()) };
    let marks =
        [0x00, 0x7f, 0x80, 0x90, 0x91, 0x9f, 0xa0, 0xc0, 0xc1, 0xc2, 0xc4, 0xc6, 0xcc, 0xcf, 0xd0, 0xd9, 0xdc, 0xdd, 0xdf, 0xff];
    match draw(8) {
        0 => bytes.truncate(at),
        1 | 2 => bytes[at] ^= 1 << draw(8),
        3 => bytes[at] = marks[draw(marks.len())],
        4 => bytes[at] = draw(256) as u8,
        5 => bytes.insert(at, marks[draw(marks.len())]),
        6 => {
            bytes.remove(at);
        }
        _ => {
            let piece: Vec<u8> = bytes[at..].iter().copied().take(draw(30)).collect();
            let to = draw(bytes.len());
            bytes.splice(to..to, piece);
        }
    }
}
