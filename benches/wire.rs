//! What a frame costs: nanoseconds for writing and reading the requests, replies and messages of the hot path.
//!
//! `cargo bench --bench wire`. Each figure is the best of nine runs, frames being written in batches of 64 into one buffer and read
//! out of it again, as a connection with a deep pipeline does.

use bytes::{Bytes, BytesMut};
use henge::limits::FRAME_BYTES_MAX;
use henge::message::*;
use henge::ring::MemberId;
use henge::vclock::{Actor, Dot, Start};
use henge::wire::{Frame, decode_message, decode_reply, decode_request, encode_message, encode_reply, encode_request, take_frame};
use std::hint::black_box;
use std::time::Instant;

const BATCH: usize = 64;
const BATCHES: usize = 2_000;

/// Writes and reads, and prints the nanoseconds for each.
fn measure(name: &str, encode: impl Fn(u64, &mut BytesMut), decode: impl Fn(&Frame)) -> f64 {
    let (mut encode_ns, mut decode_ns, mut bytes) = (f64::MAX, f64::MAX, 0);
    for _ in 0..9 {
        let mut out = BytesMut::with_capacity(1 << 20);
        let (mut writing, mut reading) = (0, 0);
        for _ in 0..BATCHES {
            out.reserve(BATCH * 512);
            let begun = Instant::now();
            for id in 0..BATCH as u64 {
                encode(id, &mut out);
            }
            let written = Instant::now();
            bytes = out.len() / BATCH;
            while let Some(frame) = take_frame(&mut out, FRAME_BYTES_MAX).expect("sound") {
                decode(&frame);
            }
            reading += written.elapsed().as_nanos();
            writing += (written - begun).as_nanos();
        }
        let per_frame = |ns: u128| ns as f64 / (BATCH * BATCHES) as f64;
        (encode_ns, decode_ns) = (encode_ns.min(per_frame(writing)), decode_ns.min(per_frame(reading)));
    }
    println!("{name:<44} {bytes:>6} bytes   write {encode_ns:>6.1} ns   read {decode_ns:>6.1} ns");
    encode_ns + decode_ns
}

fn request(name: &str, request: Request) -> f64 {
    let encode = |id, out: &mut BytesMut| encode_request(id, black_box(&request), out).expect("fits");
    measure(name, encode, |frame| drop(black_box(decode_request(frame).expect("sound"))))
}

fn reply(name: &str, reply: Reply) -> f64 {
    let encode = |id, out: &mut BytesMut| encode_reply(id, black_box(&reply), out).expect("fits");
    measure(name, encode, |frame| drop(black_box(decode_reply(frame).expect("sound"))))
}

fn message(name: &str, message: Message) -> f64 {
    let encode = |_, out: &mut BytesMut| encode_message(black_box(&message), out).expect("fits");
    measure(name, encode, |frame| drop(black_box(decode_message(frame).expect("sound"))))
}

fn main() {
    let key = Bytes::from_static(b"user:0000001234");
    let value = Bytes::from(vec![b'v'; 100]);
    let context = Bytes::from(vec![7; 48]);
    let member = |n: u128| MemberId(0x0123_4567_89ab_cdef_0123_4567_89ab_cd00 + n);
    let dot = Dot { actor: Actor(0xa1a2_a3a4_a5a6_a7a8), counter: Start(0x6553_f100).base() + 77 };
    let coordinator = Attempt { member: member(1), start: Start(0x6553_f100) };
    let retry = Some(Retry { session: 0xfeed_face_cafe_beef, number: 7, first: None });
    let put = Put {
        key: key.clone(),
        body: Body::Bytes(value.clone()),
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    };
    let ack = |n| Ack { member: member(n), sync: SyncMode::Always };
    let receipt = Receipt {
        coordinator,
        acks: vec![ack(1), ack(2)],
        dots: vec![dot],
        covered: vec![dot],
        context: context.clone(),
        stood_in: vec![],
    };
    let get = Get {
        key: key.clone(),
        path: String::new(),
        r: Quorum::Default,
        session: Bytes::new(),
        last_writer_wins: false,
        deadline_ms: 0,
    };
    let found = Found {
        value: Some(Value::Bytes(value.clone())),
        conflicts: vec![],
        hidden: 0,
        context,
        answered: 2,
        agreed: 2,
        dots: vec![dot],
        stood_in: 0,
        expiry_ms: 0,
    };
    // What cannot be saved as long as frames are slices of the receive buffer: counting its users up and down.
    let mut alone = [0; 141];
    alone[3] = 137;
    measure("(a frame alone, not looked into)", |_, out| out.extend_from_slice(&alone), |_| {});
    let operation = OperationId(0x6553_f100_0000_0007);

    let whole_put = request("put, 100 bytes", Request::Put(put.clone())) + reply("written, 2 acks", Reply::Written(receipt));
    request("put, 100 bytes, with a session for retries", Request::Put(Put { retry, ..put }));
    let whole_get = request("get", Request::Get(get)) + reply("found, 100 bytes", Reply::Found(found));
    message(
        "apply",
        Message::Apply(Apply { operation, key: key.clone(), entry: value.clone(), naming: None, owed: vec![], relief: false }),
    );
    message(
        "applied",
        Message::Applied(Applied { operation, sync: SyncMode::Always, uncovered: vec![], refused: None, complete: true }),
    );
    message("fetch", Message::Fetch(Fetch { operation, key, mode: FetchMode::Full }));
    message("fetched", Message::Fetched(Fetched { operation, entry: value, mode: FetchMode::Full, complete: true, holding: None }));
    println!("a put, request and reply, written and read: {whole_put:.0} ns; a get: {whole_get:.0} ns");
}
