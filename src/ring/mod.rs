//! Partitions, virtual nodes, placement, preference lists, the list of members: pure values.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod member;

pub use member::{Change, ClusterId, Founder, MemberId};
