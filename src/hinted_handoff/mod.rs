//! Who is owed what, and paying it back at the debtor's pace (Dynamo, SOSP 2007, §4.6).
//!
//! What is owed stands in the store ([`Store::next_hint_for`](crate::storage::Store::next_hint_for)); this machine says when the next hint may
//! go to whom, and which one has arrived. A hint is let go only when its owner has it durably, never because it was sent and never by age.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod expired;
mod paying;
#[cfg(test)]
mod tests;

pub use expired::without_expired;
pub use paying::{Handoff, Payment};
