//! Changes of MessagePack bodies by its rules: values are put in the place of others, repeated with their count, or taken away.

use crate::dice::Dice;
use std::ops::Range;

/// A value in a body, and the array that it is an element of: where its marker stands, if that is of the short form.
struct Place {
    value: Range<usize>,
    short_array: Option<usize>,
}

/// Where the values of a body lie, as far as they can be followed; those inside of others too.
fn places(body: &[u8]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = 0;
    while at < body.len() && places.len() < 4_096 {
        match walk(body, at, None, 0, &mut places) {
            Some(end) => at = end,
            None => break,
        }
    }
    places
}

fn walk(body: &[u8], at: usize, short_array: Option<usize>, depth: usize, places: &mut Vec<Place>) -> Option<usize> {
    let mark = *body.get(at)?;
    let length = |bytes: usize| -> Option<usize> {
        Some(body.get(at + 1..at + 1 + bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    };
    let (head, content, elements) = match mark {
        0x80..=0x8f => (1, 0, 2 * usize::from(mark & 0x0f)),
        0x90..=0x9f => (1, 0, usize::from(mark & 0x0f)),
        0xa0..=0xbf => (1, usize::from(mark & 0x1f), 0),
        0xc4 | 0xd9 => (2, length(1)?, 0),
        0xc5 | 0xda => (3, length(2)?, 0),
        0xc6 | 0xdb => (5, length(4)?, 0),
        0xcc | 0xd0 => (2, 0, 0),
        0xcd | 0xd1 => (3, 0, 0),
        0xca | 0xce | 0xd2 => (5, 0, 0),
        0xcb | 0xcf | 0xd3 => (9, 0, 0),
        0xdc => (3, 0, length(2)?),
        0xdd => (5, 0, length(4)?),
        _ => (1, 0, 0),
    };
    let mut end = at.checked_add(head)?.checked_add(content)?;
    if end > body.len() || depth > 32 || places.len() >= 4_096 {
        return None;
    }
    let own = places.len();
    places.push(Place { value: at..end, short_array });
    for _ in 0..elements {
        end = walk(body, end, (mark & 0xf0 == 0x90).then_some(at), depth + 1, places)?;
    }
    places[own].value = at..end;
    Some(end)
}

/// Changes one value of a body.
pub(super) fn perturb(body: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let (mine, theirs) = (places(body), places(other));
    if mine.is_empty() || theirs.is_empty() {
        return;
    }
    let place = dice.pick(&mine);
    let value = body[place.value.clone()].to_vec();
    let count = place.short_array.map(|at| body[at] & 0x0f);
    match (dice.below(5), place.short_array, count) {
        // Another element, alike or from elsewhere.
        (0, Some(array), Some(count @ 0..15)) => {
            body[array] = 0x90 | (count + 1);
            let more = if dice.chance(0.5) { value } else { other[dice.pick(&theirs).value.clone()].to_vec() };
            body.splice(place.value.end..place.value.end, more);
        }
        (1, Some(array), Some(count @ 1..)) => {
            body[array] = 0x90 | (count - 1);
            body.drain(place.value.clone());
        }
        // Very many elements.
        (2, Some(array), Some(count)) if dice.chance(0.3) => {
            let more = dice.spread(1, 1_000) as usize;
            body.splice(place.value.end..place.value.end, value.repeat(more));
            let total = u16::try_from(more).unwrap_or(u16::MAX) + u16::from(count);
            body.splice(array..=array, [0xdc, (total >> 8) as u8, total as u8]);
        }
        (3, ..) => {
            let numbers: [&[u8]; 6] =
                [b"\x00", b"\x7f", b"\xcc\xff", b"\xcd\xff\xff", b"\xce\xff\xff\xff\xff", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"];
            body.splice(place.value.clone(), dice.pick(&numbers).iter().copied());
        }
        _ => {
            let by = other[dice.pick(&theirs).value.clone()].to_vec();
            body.splice(place.value.clone(), by);
        }
    }
}
