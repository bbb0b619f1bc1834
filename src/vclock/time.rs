//! Hybrid-logical time (Kulkarni, Demirbas et al. 2014).

use serde::{Deserialize, Serialize};

/// A hybrid-logical timestamp: milliseconds since 1970 in the upper 48 bits, a logical count in the lower 16.
///
/// It orders writes for last-writer-wins answers alone. Causality and deletion never look at it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// A timestamp of this wall-clock time, with a logical count of 0.
    pub fn from_wall_ms(wall_ms: u64) -> Timestamp {
        Timestamp(wall_ms.min((1 << 48) - 1) << 16)
    }

    /// Milliseconds since 1970.
    pub fn wall_ms(self) -> u64 {
        self.0 >> 16
    }
}

/// A store's hybrid-logical clock: never goes back, never runs further ahead of the wall clock than it was told to.
#[derive(Clone, Default, Debug)]
pub struct HybridClock {
    last: Timestamp,
}

impl HybridClock {
    /// A timestamp above every one issued or followed so far (until the 48 bits of milliseconds end, in the year 10889).
    pub fn issue(&mut self, wall_ms: u64) -> Timestamp {
        self.last = self.next(wall_ms);
        self.last
    }

    /// The one that would be issued now.
    pub fn next(&self, wall_ms: u64) -> Timestamp {
        Timestamp::from_wall_ms(wall_ms).max(Timestamp(self.last.0.saturating_add(1)))
    }

    /// Takes note of another store's timestamp. Returns false, and does not follow it, if it is more than
    /// `ahead_ms_max` ahead of our wall clock: one broken clock must not drag all others along.
    pub fn follow(&mut self, other: Timestamp, wall_ms: u64, ahead_ms_max: u64) -> bool {
        if other.wall_ms() > wall_ms.saturating_add(ahead_ms_max) {
            return false;
        }
        self.last = self.last.max(other);
        true
    }
}
