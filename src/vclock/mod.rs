//! Dots, contexts, partition clocks, versions and siblings, documents: pure values.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod dot;
mod entry;
mod path;
mod seen;
mod time;

#[cfg(test)]
mod tests;

pub use dot::{Actor, Dot, Start};
pub use entry::{Entry, Kind, Version};
pub use path::Path;
pub use seen::{Interval, Seen};
pub use time::{HybridClock, Timestamp};
