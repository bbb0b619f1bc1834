//! What has expired is hidden at once, by the reader's clock, and dropped a while later, by the replica's.
//!
//! Dropping needs no agreement: a dropped version is one that this store has seen and does not hold, and comparisons carry that on like
//! any other removal. It needs a clock that can be believed: a replica whose wall clock runs hours ahead would drop, everywhere,
//! what is not due yet. So only a peer whose clock is near those of the others drops anything, or sets an expiry; and as long as it has heard
//! of none of them since its start, it drops nothing either.

use super::{Now, Output, Peer};
use crate::broken::{Rule, is_broken};
use crate::limits::{EXPIRED_KEPT_MS, EXPIRED_PER_TURN};

/// What has expired is looked for at most this often (milliseconds).
const LOOK_MS: u64 = 1_000;
/// And at least this often (milliseconds): a wall clock that was years behind may have been set right meanwhile.
const LOOK_MS_MAX: u64 = 60_000;

/// When this peer last looked for what has expired, by both clocks.
#[derive(Debug)]
pub(super) struct Expiring {
    pub looked: Now,
}

impl Peer {
    /// Drops what expired a while ago, some keys at a time.
    pub(super) fn drop_expired(&mut self, now: Now, outbox: &mut Vec<Output>) {
        if self.replica.store().next_expiry().is_none() || now.monotonic_ms < self.expiring.looked.monotonic_ms + LOOK_MS {
            return;
        }
        // Whenever it wakes: its wall clock may have been set since.
        self.expiring.looked = now;
        if !self.believes_its_clock() {
            return;
        }
        let by_ms = now.wall_ms.saturating_sub(if is_broken(Rule::ExpiredEarly) { 0 } else { EXPIRED_KEPT_MS });
        for place in self.replica.store().expired(by_ms, EXPIRED_PER_TURN) {
            self.expire(now, place, by_ms, outbox);
        }
    }

    /// When something is to be dropped next, or looked at again (monotonic milliseconds).
    pub(super) fn next_expired(&self) -> Option<u64> {
        let due = self.replica.store().next_expiry()?.saturating_add(EXPIRED_KEPT_MS);
        let looked = self.expiring.looked;
        let wait = due.saturating_sub(looked.wall_ms).clamp(LOOK_MS, LOOK_MS_MAX);
        Some(looked.monotonic_ms.saturating_add(wait))
    }
}
