//! What a peer keeps: in memory a directory of its keys, one trie per partition.
#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod trie;
