//! The deterministic simulator of henge, and its oracles.

pub mod crash;
pub mod disk;
