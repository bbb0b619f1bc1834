//! Small changes of bytes, blind to what they mean.

use super::INPUT_BYTES_MAX;
use crate::dice::Dice;

/// Bytes at the edges of something: of numbers, of varints, of MessagePack's markers.
const EDGES: [u8; 28] = [
    0x00, 0x01, 0x02, 0x10, 0x20, 0x30, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc4, 0xc6, 0xcc,
    0xcf, 0xd3, 0xd9, 0xdc, 0xdd, 0xdf, 0xff,
];

/// Varints at their edges: long spellings of nothing, the greatest numbers, one beyond.
const VARINTS: [&[u8]; 7] = [
    b"\x80\x00",
    b"\xff\x7f",
    b"\x80\x80\x04",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
];

/// Changes an input in one place, or in one way. `other` is another input of the same target; `words` mean something in its format.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&[u8]], dice: &mut Dice) {
    if input.is_empty() {
        input.extend_from_slice(&other[..other.len().min(dice.spread(1, 64) as usize)]);
        return;
    }
    let length = input.len() as u64;
    let at = dice.below(length) as usize;
    match dice.below(16) {
        0 | 1 => input[at] ^= 1 << dice.below(8),
        2 => input[at] = *dice.pick(&EDGES),
        3 => input[at] = dice.number() as u8,
        4 => {
            let delta = dice.between(1, 16) as u8;
            input[at] = if dice.chance(0.5) { input[at].wrapping_add(delta) } else { input[at].wrapping_sub(delta) };
        }
        5 => put_number(input, at, dice),
        6 => replace(input, at, 0, &[*dice.pick(&EDGES)]),
        7 => replace(input, at, dice.below(3) as usize, dice.pick::<&[u8]>(&VARINTS)),
        8 if !words.is_empty() => replace(input, at, dice.below(5) as usize, dice.pick::<&[u8]>(words)),
        9 => input.truncate(at),
        10 => {
            let end = input.len().min(at + dice.spread(1, 64) as usize);
            input.drain(at..end);
        }
        11 => {
            let more: Vec<u8> = (0..dice.spread(1, 32)).map(|_| dice.number() as u8).collect();
            input.extend(more);
        }
        12 => {
            // Once mostly, and sometimes very often: that is what claims memory.
            let piece = piece(input, dice);
            let times = if dice.chance(0.8) { 1 } else { dice.spread(2, 2_000) as usize };
            let times = times.min(INPUT_BYTES_MAX.saturating_sub(input.len()) / piece.len().max(1) + 1);
            replace(input, at, 0, &piece.repeat(times));
        }
        13 => {
            let piece = piece(other, dice);
            let gone = if dice.chance(0.5) { piece.len() } else { 0 };
            replace(input, at, gone, &piece);
        }
        14 => {
            input.truncate(at);
            let from = dice.below(other.len() as u64 + 1) as usize;
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let to = dice.below(length) as usize;
            input.swap(at, to);
        }
    }
    input.truncate(INPUT_BYTES_MAX);
}

/// A piece of some bytes; short ones are as likely as long ones.
fn piece(from: &[u8], dice: &mut Dice) -> Vec<u8> {
    let at = dice.below(from.len() as u64) as usize;
    let length = dice.spread(1, 256) as usize;
    from.iter().skip(at).take(length).copied().collect()
}

/// Puts bytes in the place of so many others.
fn replace(input: &mut Vec<u8>, at: usize, gone: usize, by: &[u8]) {
    let end = input.len().min(at + gone);
    input.splice(at..end, by.iter().copied());
}

/// Writes a whole number over what stands there: a length that is right, just wrong, or absurd.
fn put_number(input: &mut [u8], at: usize, dice: &mut Dice) {
    let left = (input.len() - at) as u64;
    let number =
        *dice.pick(&[0, 1, left, left.wrapping_sub(1), left + 1, left / 2, u64::MAX, u64::MAX >> 1, 1 << 31, 1 << 20, 1 << 16]);
    let width = 1 << dice.below(4);
    let bytes = if dice.chance(0.5) { number.to_le_bytes()[..width].to_vec() } else { number.to_be_bytes()[8 - width..].to_vec() };
    for (to, byte) in input[at..].iter_mut().zip(bytes) {
        *to = byte;
    }
}
