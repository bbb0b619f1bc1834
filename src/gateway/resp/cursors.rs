//! The cursors of SCAN: 64-bit numbers that stand for the last key that was looked at.

use crate::limits;
use bytes::Bytes;
use lru::LruCache;
use std::num::NonZeroUsize;

/// A number that a client may hand back.
pub(super) type Cursor = u64;

/// Bits of a cursor below the mark of its peer's start. All bits together stay below 2^53, so that languages without integers keep them whole.
const COUNT_BITS: u32 = 32;
const MARK_BITS: u32 = 20;

/// Where scans are. A scan has two of them: the one that was handed out last, and the one before it, by which a page can be had again.
pub(super) struct Cursors {
    /// Tells the cursors of this start from those of others, mostly.
    mark: u64,
    next: u64,
    places: LruCache<Cursor, Place>,
}

struct Place {
    after: Bytes,
    previous: Option<Cursor>,
}

impl Cursors {
    /// None yet. `random` tells this peer's from others.
    pub(super) fn new(random: u64) -> Cursors {
        let most = NonZeroUsize::new(limits::RESP_CURSORS_MAX).unwrap_or(NonZeroUsize::MIN);
        // Never 0: that begins a scan.
        let mark = (random % ((1 << MARK_BITS) - 1) + 1) << COUNT_BITS;
        Cursors { mark, next: 0, places: LruCache::new(most) }
    }

    /// The key behind which the scan goes on. None if this peer has not handed out that cursor, or has forgotten it.
    pub(super) fn place(&mut self, cursor: Cursor) -> Option<Bytes> {
        self.places.get(&cursor).map(|place| place.after.clone())
    }

    /// The cursor by which the scan that had `from` (0: it has just begun) goes on behind this key.
    pub(super) fn advance(&mut self, from: Cursor, after: Bytes) -> Cursor {
        let previous = self.places.get_mut(&from).map(|place| (from, place.previous.take()));
        if let Some((_, Some(last_but_one))) = previous {
            self.places.pop(&last_but_one);
        }
        let cursor = self.mark | self.next;
        self.next = (self.next + 1) % (1 << COUNT_BITS);
        // A key may lie in a large page: it must not keep all of it.
        let after = Bytes::copy_from_slice(&after);
        self.places.put(cursor, Place { after, previous: previous.map(|(from, _)| from) });
        cursor
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_keeps_its_last_two_cursors_and_no_more() {
        let mut cursors = Cursors::new(7);
        let mut last = 0;
        let all: Vec<Cursor> = (0..100)
            .map(|number: u32| {
                last = cursors.advance(last, number.to_string().into());
                last
            })
            .collect();
        assert_eq!(cursors.len(), 2);
        assert_eq!(cursors.place(all[99]), Some("99".into()));
        assert_eq!(cursors.place(all[98]), Some("98".into()));
        assert_eq!(cursors.place(all[97]), None);
        // A page that is asked for again does not harm.
        let again = cursors.advance(all[98], "99".into());
        assert_eq!((cursors.place(again), cursors.place(all[99])), (Some("99".into()), Some("99".into())));
    }

    #[test]
    fn of_too_many_those_that_rest_longest_are_forgotten() {
        let mut cursors = Cursors::new(0);
        let first = cursors.advance(0, "first".into());
        let second = cursors.advance(0, "second".into());
        for _ in 0..limits::RESP_CURSORS_MAX - 2 {
            cursors.advance(0, "other".into());
        }
        assert!(cursors.place(first).is_some());
        cursors.advance(0, "one more".into());
        assert_eq!((cursors.place(first).is_some(), cursors.place(second)), (true, None));
    }

    #[test]
    fn cursors_are_never_0_fit_53_bits_and_are_not_those_of_another_peer() {
        for random in [0, u64::MAX, (1 << MARK_BITS) - 1] {
            let cursor = Cursors::new(random).advance(0, "key".into());
            assert!(cursor != 0 && cursor < 1 << 53, "{cursor}");
        }
        let foreign = Cursors::new(1).advance(0, "key".into());
        let mut own = Cursors::new(2);
        own.advance(0, "key".into());
        assert_eq!(own.place(foreign), None);
    }
}
