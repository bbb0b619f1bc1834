//! Rows of keys and of prefixes as byte strings: each says how much of the one before it begins with.
//!
//! ```text
//! per key:     shared: short (bytes)       | rest: short (bytes)       | the rest
//! per prefix:  shared: short (half bytes)  | rest: short (half bytes)  | the rest, two half bytes in a byte, high half first
//! short: one byte below 128, else two: 128 + its high seven bits, its low eight bits
//! ```
//!
//! Two bytes may stand for a key of thousands, so what comes out is bounded as well as what goes in.

use super::body_reader::BodyReader;
use super::body_writer::BodyWriter;
use super::{Kind, WireError};
use crate::limits::{FRONT_CODED_BYTES_MAX, KEY_BYTES_MAX};
use crate::message::Prefix;
use bytes::Bytes;

/// Bytes taken from the front, every bound checked.
pub(super) struct Taker<'a> {
    kind: Kind,
    field: &'static str,
    rest: &'a [u8],
}

impl<'a> Taker<'a> {
    pub(super) fn new(kind: Kind, field: &'static str, rest: &'a [u8]) -> Taker<'a> {
        Taker { kind, field, rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    pub(super) fn malformed(&self, wrong: &str) -> WireError {
        WireError::Malformed { kind: self.kind, what: format!("{}: {wrong}", self.field) }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.malformed("it ends before its length"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn short(&mut self) -> Result<usize, WireError> {
        let first = usize::from(self.take(1)?[0]);
        match first {
            0..128 => Ok(first),
            _ => Ok((first & 127) << 8 | usize::from(self.take(1)?[0])),
        }
    }
}

/// Appends a number below 32,768.
pub(super) fn put_short(out: &mut Vec<u8>, number: usize) {
    match number {
        0..128 => out.push(number as u8),
        _ => {
            let number =
                u16::try_from(number).ok().filter(|number| *number < 1 << 15).expect("what is counted here is below 32,768");
            out.extend([0x80 | (number >> 8) as u8, number as u8]);
        }
    }
}

/// Writes keys.
pub(super) fn write_keys(out: &mut BodyWriter<'_>, keys: &[Bytes]) {
    let mut coded = Vec::with_capacity(keys.iter().map(|key| key.len() + 2).sum());
    let mut before: &[u8] = &[];
    for key in keys {
        let shared = before.iter().zip(key.iter()).take_while(|(a, b)| a == b).count();
        put_short(&mut coded, shared);
        put_short(&mut coded, key.len() - shared);
        coded.extend(&key[shared..]);
        before = key;
    }
    out.bytes(&coded);
}

/// Reads keys.
pub(super) fn read_keys(kind: Kind, field: &'static str, body: &mut BodyReader<'_>) -> Result<Vec<Bytes>, WireError> {
    let coded = body.bytes(field)?;
    let mut taker = Taker::new(kind, field, &coded);
    let (mut keys, mut total): (Vec<Bytes>, usize) = (Vec::new(), 0);
    while !taker.is_empty() {
        let (shared, rest) = (taker.short()?, taker.short()?);
        let before = keys.last().map_or(&[][..], |key| key);
        let beginning = before.get(..shared).ok_or_else(|| taker.malformed("more is shared than there is"))?;
        total += shared + rest;
        if shared + rest > KEY_BYTES_MAX || total > FRONT_CODED_BYTES_MAX {
            return Err(taker.malformed("too long"));
        }
        keys.push([beginning, taker.take(rest)?].concat().into());
    }
    Ok(keys)
}

/// Writes prefixes.
pub(super) fn write_prefixes(out: &mut BodyWriter<'_>, prefixes: &[Prefix]) {
    let mut coded = Vec::with_capacity(prefixes.len() * 6);
    let mut before: Vec<u8> = Vec::new();
    for prefix in prefixes {
        let halves = halves(prefix);
        let shared = before.iter().zip(&halves).take_while(|(a, b)| a == b).count();
        put_short(&mut coded, shared);
        put_short(&mut coded, halves.len() - shared);
        put_halves(&mut coded, &halves[shared..]);
        before = halves;
    }
    out.bytes(&coded);
}

/// Reads prefixes.
pub(super) fn read_prefixes(kind: Kind, field: &'static str, body: &mut BodyReader<'_>) -> Result<Vec<Prefix>, WireError> {
    let coded = body.bytes(field)?;
    let mut taker = Taker::new(kind, field, &coded);
    let (mut prefixes, mut before, mut total): (Vec<Prefix>, Vec<u8>, usize) = (Vec::new(), Vec::new(), 0);
    while !taker.is_empty() {
        let (shared, rest) = (taker.short()?, taker.short()?);
        if shared > before.len() {
            return Err(taker.malformed("more is shared than there is"));
        }
        total += shared + rest;
        if shared + rest > 2 * KEY_BYTES_MAX || total > FRONT_CODED_BYTES_MAX {
            return Err(taker.malformed("too long"));
        }
        before.truncate(shared);
        before.extend(take_halves(&mut taker, rest)?);
        prefixes.push(prefix_of(&before));
    }
    Ok(prefixes)
}

/// Appends half bytes, two in a byte.
pub(super) fn put_halves(out: &mut Vec<u8>, halves: &[u8]) {
    out.extend(halves.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)));
}

/// Takes half bytes.
pub(super) fn take_halves(taker: &mut Taker<'_>, count: usize) -> Result<Vec<u8>, WireError> {
    let bytes = taker.take(count.div_ceil(2))?;
    let mut halves: Vec<u8> = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
    halves.truncate(count);
    Ok(halves)
}

fn halves(prefix: &Prefix) -> Vec<u8> {
    let mut halves: Vec<u8> = prefix.bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
    if prefix.odd {
        halves.pop();
    }
    halves
}

fn prefix_of(halves: &[u8]) -> Prefix {
    let mut bytes = Vec::with_capacity(halves.len().div_ceil(2));
    put_halves(&mut bytes, halves);
    Prefix { bytes, odd: halves.len() % 2 == 1 }
}
