//! Bodies by hand, written: MessagePack arrays straight into the send buffer. For the kinds that are many; the few others go through
//! serde (`positional`).

use crate::message::{Attempt, Quorum, Retry, SyncMode};
use crate::ring::MemberId;
use crate::vclock::Dot;
use bytes::{BufMut, BytesMut};
use rmp::Marker;

/// Bytes of a dot at most: the array's mark and two integers. Estimates only.
pub(super) const DOT_BYTES: usize = 19;

/// Bytes that are gathered before they are put into the send buffer: that one has a price for each call, not for each byte.
const GATHERED_BYTES: usize = 256;

/// Writes MessagePack into a send buffer, which grows as needed: so nothing here can fail. Integers and lengths stand in the
/// shortest form.
pub(super) struct BodyWriter<'a> {
    out: &'a mut BytesMut,
    gathered: [u8; GATHERED_BYTES],
    used: usize,
}

impl BodyWriter<'_> {
    /// Writes what `write` says.
    #[inline]
    pub(super) fn write(out: &mut BytesMut, write: impl FnOnce(&mut BodyWriter<'_>)) {
        let mut body = BodyWriter { out, gathered: [0; GATHERED_BYTES], used: 0 };
        write(&mut body);
        body.flush();
    }

    fn flush(&mut self) {
        self.out.put_slice(&self.gathered[..self.used]);
        self.used = 0;
    }

    /// A few bytes.
    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if self.used + N > GATHERED_BYTES {
            self.flush();
        }
        self.gathered[self.used..self.used + N].copy_from_slice(&bytes);
        self.used += N;
    }

    /// Any number of bytes.
    #[inline]
    fn put_all(&mut self, bytes: &[u8]) {
        if self.used + bytes.len() > GATHERED_BYTES {
            self.flush();
            self.out.put_slice(bytes);
        } else {
            self.gathered[self.used..self.used + bytes.len()].copy_from_slice(bytes);
            self.used += bytes.len();
        }
    }

    /// A mark and a number of that many bytes behind it.
    #[inline]
    fn put_marked<const N: usize, const M: usize>(&mut self, mark: Marker, number: [u8; N]) {
        let mut bytes = [0; M];
        bytes[0] = mark.to_u8();
        bytes[1..].copy_from_slice(&number);
        self.put(bytes);
    }

    #[inline]
    pub(super) fn array(&mut self, length: usize) {
        match length {
            0..16 => self.put([Marker::FixArray(length as u8).to_u8()]),
            16..65_536 => self.put_marked::<2, 3>(Marker::Array16, (length as u16).to_be_bytes()),
            _ => self.put_marked::<4, 5>(Marker::Array32, length_u32(length).to_be_bytes()),
        }
    }

    #[inline]
    pub(super) fn number(&mut self, number: impl Into<u64>) {
        match number.into() {
            number @ 0..128 => self.put([number as u8]),
            number @ 128..256 => self.put([Marker::U8.to_u8(), number as u8]),
            number @ 256..65_536 => self.put_marked::<2, 3>(Marker::U16, (number as u16).to_be_bytes()),
            number @ 65_536..0x1_0000_0000 => self.put_marked::<4, 5>(Marker::U32, (number as u32).to_be_bytes()),
            number => self.put_marked::<8, 9>(Marker::U64, number.to_be_bytes()),
        }
    }

    /// A number that may be negative.
    pub(super) fn signed(&mut self, number: i64) {
        match number {
            -32..0 => self.put([Marker::FixNeg(number as i8).to_u8()]),
            -0x80..-32 => self.put([Marker::I8.to_u8(), number as i8 as u8]),
            -0x8000..-0x80 => self.put_marked::<2, 3>(Marker::I16, (number as i16).to_be_bytes()),
            -0x8000_0000..-0x8000 => self.put_marked::<4, 5>(Marker::I32, (number as i32).to_be_bytes()),
            i64::MIN..-0x8000_0000 => self.put_marked::<8, 9>(Marker::I64, number.to_be_bytes()),
            0.. => self.number(number.unsigned_abs()),
        }
    }

    #[inline]
    pub(super) fn flag(&mut self, flag: bool) {
        self.put([if flag { Marker::True } else { Marker::False }.to_u8()]);
    }

    #[inline]
    pub(super) fn nil(&mut self) {
        self.put([Marker::Null.to_u8()]);
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        match bytes.len() {
            length @ 0..256 => self.put([Marker::Bin8.to_u8(), length as u8]),
            length @ 256..65_536 => self.put_marked::<2, 3>(Marker::Bin16, (length as u16).to_be_bytes()),
            length => self.put_marked::<4, 5>(Marker::Bin32, length_u32(length).to_be_bytes()),
        }
        self.put_all(bytes);
    }

    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        match text.len() {
            length @ 0..32 => self.put([Marker::FixStr(length as u8).to_u8()]),
            length @ 32..256 => self.put([Marker::Str8.to_u8(), length as u8]),
            length @ 256..65_536 => self.put_marked::<2, 3>(Marker::Str16, (length as u16).to_be_bytes()),
            length => self.put_marked::<4, 5>(Marker::Str32, length_u32(length).to_be_bytes()),
        }
        self.put_all(text.as_bytes());
    }

    #[inline]
    pub(super) fn option<T>(&mut self, option: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match option {
            None => self.nil(),
            Some(value) => write(self, value),
        }
    }

    #[inline]
    pub(super) fn list<T>(&mut self, list: &[T], write: impl Fn(&mut Self, &T)) {
        self.array(list.len());
        list.iter().for_each(|item| write(self, item));
    }

    #[inline]
    pub(super) fn member(&mut self, member: MemberId) {
        self.put([Marker::Bin8.to_u8(), 16]);
        self.put(member.0.to_be_bytes());
    }

    #[inline]
    pub(super) fn dots(&mut self, dots: &[Dot]) {
        self.list(dots, |out, dot| {
            out.array(2);
            out.number(dot.actor.0);
            out.number(dot.counter);
        });
    }

    #[inline]
    pub(super) fn quorum(&mut self, quorum: Quorum) {
        self.number(u8::from(quorum));
    }

    #[inline]
    pub(super) fn sync(&mut self, sync: SyncMode) {
        let (number, every_ms) = sync_to_wire(sync);
        self.array(2);
        self.number(number);
        self.number(every_ms);
    }

    #[inline]
    pub(super) fn attempt(&mut self, attempt: &Attempt) {
        self.array(2);
        self.member(attempt.member);
        self.number(attempt.start.0);
    }

    #[inline]
    pub(super) fn retry(&mut self, retry: &Option<Retry>) {
        self.option(retry.as_ref(), |out, retry| {
            out.array(3);
            out.number(retry.session);
            out.number(retry.number);
            out.option(retry.first.as_ref(), BodyWriter::attempt);
        });
    }
}

/// What does not fit a frame does not come here.
fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("what fits a frame has a length that fits a u32")
}

/// A sync mode as two numbers.
pub(super) fn sync_to_wire(sync: SyncMode) -> (u8, u32) {
    match sync {
        SyncMode::Always => (0, 0),
        SyncMode::Interval(every_ms) => (1, every_ms),
        SyncMode::Never => (2, 0),
    }
}
