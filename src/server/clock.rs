//! The clocks of the machine, as the peer is told them.

use crate::peer::Now;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts from the moment at which it was made.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    beginning: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { beginning: Instant::now() }
    }

    pub(super) fn now(&self) -> Now {
        Now { monotonic_ms: self.beginning.elapsed().as_millis() as u64, wall_ms: wall_ms() }
    }

    /// The moment of a monotonic time. Rounded up, so that at that moment the peer is told at least that time.
    pub(super) fn instant(&self, monotonic_ms: u64) -> tokio::time::Instant {
        // A time beyond what the machine can name is as good as never.
        let moment = self.beginning.checked_add(Duration::from_millis(monotonic_ms));
        moment.unwrap_or_else(|| self.beginning + Duration::from_secs(86_400 * 365)).into()
    }
}

/// Milliseconds since 1970; 0 on a machine whose clock stands before that.
pub(super) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
