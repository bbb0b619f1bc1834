//! henge: a leaderless peer-to-peer key-value and document store.

pub mod limits;

pub mod vclock;

pub mod ring;

pub mod message;

pub mod cli;
