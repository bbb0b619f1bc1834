//! The rim: listeners, links between peers, the disk's threads, and the loop that drives the peer.
//!
//! One thread owns the sockets and the peer, in turns. A reader task for each socket takes what is ready, parses it in place and
//! steps the peer inline; one flusher task, woken by the first of them, runs behind those that are ready: it hands one batch
//! to the log and makes one write for each connection. So batches form by themselves under load, and a lone request waits for
//! nobody. Only the disk's work leaves the thread; no request ever crosses one.

mod clients;
mod clock;
mod config;
mod connection;
mod core;
mod disk;
mod door;
mod figures;
pub mod file_disk;
mod handles;
mod handshake;
mod held;
mod links;
mod listener;
mod reader;
mod run;
mod timing;

pub use config::{Config, Replacement, ServeError};
pub use door::{Door, Gateway, Seat, Serve};
pub use run::{check, serve};
