//! Dots: the names of single writes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The random 64-bit id under which a member's store writes at present.
///
/// It can be replaced (a damaged store takes a new one); the member's own id cannot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor(pub u64);

/// One write of one leaf: who wrote it, and which of that actor's writes it is.
///
/// `counter` is `start << 32 | n`: the number of the actor's start, and a count from 1 within that start, kept for each
/// partition apart. So a dot is unique within its partition for ever, whatever the disk forgot
/// (re-using one was Riak's data loss of 2013 to 2017, riak_kv#679).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// The author.
    pub actor: Actor,
    /// Start number in the upper 32 bits, count within that start in the lower.
    pub counter: u64,
}

/// The number of one start of a store. It only grows; it is durable before anything is written under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Start(pub u32);

impl Start {
    /// The counter just below the first dot of this start.
    pub fn base(self) -> u64 {
        u64::from(self.0) << 32
    }
}

impl Dot {
    /// The start in which this dot was issued.
    pub fn start(self) -> Start {
        Start((self.counter >> 32) as u32)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.actor, self.counter >> 32, self.counter & 0xffff_ffff)
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
