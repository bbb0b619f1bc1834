//! henge: a leaderless peer-to-peer key-value and document store.
//!
//! The modules in layer order; each may name only those above it, as `tests/layers.rs` says. From `vclock` to `peer` they are the
//! core: pure, no clock, socket, thread, file, async or randomness of their own. `ARCHITECTURE.md` tells how they work together.

pub mod limits;

pub mod broken;

pub mod hedging;

pub mod vclock;

pub mod ring;

pub mod message;

pub mod storage;

pub mod gossip;

pub mod coordinator;

pub mod hinted_handoff;

pub mod anti_entropy;

pub mod peer;

pub mod wire;

pub mod client;

pub mod server;

pub mod gateway;

pub mod cli;
