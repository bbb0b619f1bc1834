//! A process that stood still (SIGSTOP, a suspended machine, a disk that blocked everything) and does not know it.
//!
//! Its clock goes on meanwhile, and others have drawn their conclusions. So before it takes in what has piled up it ends what is
//! over: a client that has given up must not be answered from acknowledgements that waited in a socket, as if nothing had been. And
//! it believes nothing any more of how quick others are. After a very long pause it does not read what has piled up at all: a request that
//! somebody handed on may be older than what is remembered of retries, and would be done twice.

use super::{Now, Output, Peer};
use crate::limits::{PAUSE_MS, STALE_MS};
use crate::message::OperationId;

impl Peer {
    /// Notes the time of a step, and whether something should have been done long ago. True if that is so long ago that whatever has
    /// arrived is not to be read any more.
    pub(super) fn notice_pause(&mut self, now: Now, outbox: &mut Vec<Output>) -> bool {
        let silent = now.monotonic_ms > self.now.monotonic_ms + PAUSE_MS;
        // An idle peer is not stepped for long, and has missed nothing.
        let late_ms = if silent { self.next_wake().map_or(0, |due| now.monotonic_ms.saturating_sub(due)) } else { 0 };
        self.now = now;
        if silent {
            self.paces.forget();
        }
        if late_ms > PAUSE_MS {
            self.end_what_is_over(outbox);
        }
        let is_stale = late_ms > STALE_MS;
        if is_stale {
            tracing::warn!(ms = late_ms, "this process stood still for very long; all connections are made anew");
            outbox.push(Output::HangUp);
        }
        is_stale
    }

    fn end_what_is_over(&mut self, outbox: &mut Vec<Output>) {
        let is_over = |operation: &super::Operation| operation.deadline_ms <= self.now.monotonic_ms;
        let over: Vec<OperationId> =
            self.operations.iter().filter(|(_, operation)| is_over(operation)).map(|(id, _)| *id).collect();
        if !over.is_empty() {
            tracing::warn!(operations = over.len(), "this process stood still; what was under way has taken too long and ends");
        }
        over.into_iter().for_each(|id| self.end_late(id, outbox));
    }
}
