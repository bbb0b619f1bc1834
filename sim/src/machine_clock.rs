//! The clocks of one machine: one that never goes back, for timers, and one for people, which may do anything.

use henge::peer::Now;

/// The wall clock at the beginning of time (milliseconds since 1970).
pub const EPOCH_MS: u64 = 1_800_000_000_000;
/// A clock that runs as it should, in thousandths.
pub const TRUE_RATE: u64 = 1_000;

/// A machine's clocks, as a function of the true time.
#[derive(Clone, Debug)]
pub struct MachineClock {
    /// The true time of the last change (microseconds), and what the clocks said then (microseconds).
    since: u64,
    monotonic: u64,
    wall: u64,
    /// How fast both run, in thousandths of what is right.
    rate: u64,
    /// The wall clock stands still.
    is_frozen: bool,
}

impl Default for MachineClock {
    fn default() -> MachineClock {
        MachineClock { since: 0, monotonic: 0, wall: EPOCH_MS * 1_000, rate: TRUE_RATE, is_frozen: false }
    }
}

impl MachineClock {
    /// What the clocks say at this true time (microseconds).
    pub fn now(&self, time: u64) -> Now {
        Now { monotonic_ms: self.monotonic_at(time) / 1_000, wall_ms: self.wall_at(time) / 1_000 }
    }

    /// The first true time (microseconds) at which the monotonic clock says this.
    pub fn when(&self, monotonic_ms: u64) -> u64 {
        let ahead = (monotonic_ms * 1_000).saturating_sub(self.monotonic);
        self.since + (ahead * TRUE_RATE).div_ceil(self.rate)
    }

    /// From now on both run at this rate, in thousandths.
    pub fn set_rate(&mut self, time: u64, rate: u64) {
        self.settle(time);
        self.rate = rate;
    }

    /// From now on the wall clock stands still, or runs.
    pub fn freeze(&mut self, time: u64, is_frozen: bool) {
        self.settle(time);
        self.is_frozen = is_frozen;
    }

    /// From now on the wall clock is off by so many milliseconds.
    pub fn set_wall_off(&mut self, time: u64, by_ms: i64) {
        self.settle(time);
        self.wall = (EPOCH_MS + time / 1_000).saturating_add_signed(by_ms) * 1_000;
    }

    fn settle(&mut self, time: u64) {
        (self.monotonic, self.wall, self.since) = (self.monotonic_at(time), self.wall_at(time), time);
    }

    fn monotonic_at(&self, time: u64) -> u64 {
        self.monotonic + self.elapsed(time)
    }

    fn wall_at(&self, time: u64) -> u64 {
        if self.is_frozen { self.wall } else { self.wall + self.elapsed(time) }
    }

    fn elapsed(&self, time: u64) -> u64 {
        time.saturating_sub(self.since) * self.rate / TRUE_RATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_slow_fast_and_not_at_all_and_never_wake_too_early() {
        let mut clock = MachineClock::default();
        let at = |clock: &MachineClock, time| (clock.now(time).monotonic_ms, clock.now(time).wall_ms - EPOCH_MS);
        assert_eq!(at(&clock, 2_000_000), (2_000, 2_000));
        clock.set_rate(2_000_000, 500);
        assert_eq!(at(&clock, 4_000_000), (3_000, 3_000));
        clock.freeze(4_000_000, true);
        assert_eq!(at(&clock, 6_000_000), (4_000, 3_000));
        clock.set_rate(6_000_000, 1_999);
        for ms in 4_000..4_100 {
            assert!(clock.now(clock.when(ms)).monotonic_ms >= ms && clock.now(clock.when(ms) - 1).monotonic_ms < ms.max(4_001));
        }
        clock.freeze(7_000_000, false);
        clock.set_wall_off(7_000_000, -5_000);
        assert_eq!(clock.now(7_000_000).wall_ms, EPOCH_MS + 2_000);
    }
}
