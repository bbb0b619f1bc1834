//! Sets of dots as bytes.
//!
//! ```text
//! actors: number
//! per actor, in order:  id: 8 bytes, big-endian | intervals: number
//!   per interval, in order:  first: number (of later ones: first - last of the one before - 2) | last - first: number
//! ```
//! The empty set is one byte, 0. Each set has exactly one spelling.

use super::varint::{put, take, take_array, take_count};
use super::{Actor, Interval, PackError, Seen};

/// The fewest bytes that an actor with its intervals takes: id, count, and two numbers.
const ACTOR_BYTES_MIN: usize = 11;
/// The fewest bytes that an interval takes.
const INTERVAL_BYTES_MIN: usize = 2;

/// Appends a set of dots.
pub fn encode_seen(seen: &Seen, out: &mut Vec<u8>) {
    put(out, seen.runs().count() as u64);
    for (actor, intervals) in seen.runs() {
        out.extend(actor.0.to_be_bytes());
        put(out, intervals.len() as u64);
        let mut last = None;
        for interval in intervals {
            put(out, last.map_or(interval.first, |last| interval.first - last - 2));
            put(out, interval.last - interval.first);
            last = Some(interval.last);
        }
    }
}

/// Takes a set of dots from the front. Accepts only what `encode_seen` writes: actors and intervals in order, the latter apart
/// by at least one counter.
pub fn decode_seen(bytes: &mut &[u8]) -> Result<Seen, PackError> {
    let mut seen = Seen::new();
    let mut before: Option<Actor> = None;
    for _ in 0..take_count(bytes, ACTOR_BYTES_MIN)? {
        let actor = Actor(u64::from_be_bytes(take_array(bytes)?));
        let intervals = take_count(bytes, INTERVAL_BYTES_MIN)?;
        if before.is_some_and(|before| before >= actor) || intervals == 0 {
            return Err(PackError::Order);
        }
        before = Some(actor);
        let mut last: Option<u64> = None;
        for _ in 0..intervals {
            let (gap, length) = (take(bytes)?, take(bytes)?);
            let base = last.map_or(Some(0), |last| last.checked_add(2)).ok_or(PackError::Number)?;
            let first = base.checked_add(gap).ok_or(PackError::Number)?;
            let interval = Interval { first, last: first.checked_add(length).ok_or(PackError::Number)? };
            seen.insert_interval(actor, interval);
            last = Some(interval.last);
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::sampling::{check, mangled, seen};
    use proptest::prelude::*;
    use std::cell::Cell;

    fn encoded(seen: &Seen) -> Vec<u8> {
        let mut out = Vec::new();
        encode_seen(seen, &mut out);
        out
    }

    #[test]
    fn a_set_of_dots_comes_back_and_leaves_what_follows_it() {
        check("sets of dots", 4_000, seen(), |seen| {
            let mut bytes = encoded(&seen);
            bytes.push(77);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(decode_seen(&mut rest).unwrap(), seen);
            prop_assert_eq!(rest, &[77]);
            Ok(())
        });
    }

    #[test]
    fn what_is_accepted_has_no_other_spelling_and_anything_else_is_an_error() {
        let accepted = Cell::new(0u32);
        check("mangled sets of dots", 20_000, mangled(seen().prop_map(|seen| encoded(&seen).into())), |bytes| {
            let mut rest = bytes.as_slice();
            if let Ok(seen) = decode_seen(&mut rest) {
                accepted.set(accepted.get() + 1);
                prop_assert_eq!(&bytes[..bytes.len() - rest.len()], &encoded(&seen)[..]);
            }
            Ok(())
        });
        println!("  {} of them were accepted", accepted.get());
        assert!(accepted.get() > 1_000);
    }

    #[test]
    fn a_set_that_claims_to_be_huge_is_refused_before_anything_is_allocated() {
        assert_eq!(decode_seen(&mut &[0xff, 0xff, 0xff, 0x7f, 0, 0][..]), Err(PackError::Truncated));
        let one_actor = [&[1u8][..], &[0; 8], &[0xff, 0xff, 0x7f, 0]].concat();
        assert_eq!(decode_seen(&mut one_actor.as_slice()), Err(PackError::Truncated));
        let up_to_the_end = [&[1u8][..], &[0; 8], &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0]].concat();
        assert_eq!(decode_seen(&mut up_to_the_end.as_slice()), Err(PackError::Number));
    }
}
