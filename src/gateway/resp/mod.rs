//! The door for Redis clients: RESP 2 and 3. docs/redis.md says which commands work, and how they differ.
//!
//! [`framing`] cuts what arrives into commands, [`command`] knows them all by name, [`queue`] runs those of a connection in the order that their keys
//! ask for, [`answer`] writes what comes out. The protocol is read and written here, and not by a crate: the one that is kept up, `redis-protocol`,
//! recurses as deep as a client nests arrays, and ends some integers with a byte too many; `tests/resp.rs` reads our answers with it.

mod about;
mod answer;
mod ask;
mod command;
mod connection;
mod counters;
mod cursors;
mod expiry;
pub mod framing;
mod gate;
mod glob;
mod inline;
mod keys;
mod listing;
mod queue;
mod refused;
mod session;
mod sets;
mod strings;
mod table;

use super::Token;
use super::accept::accept_all;
use crate::server::{Door, Gateway};
use gate::Gate;
use tokio::net::TcpListener;

/// How the door is to be served.
#[derive(Clone, Debug)]
pub struct Options {
    /// What clients have to show with `AUTH` or `HELLO`; anybody is let in if there is none.
    pub token: Option<Token>,
}

/// The door at this address.
pub fn gateway(listen: String, insecure: bool, options: Options) -> Gateway {
    const BUSY: &[u8] = b"-ERR max number of clients reached\r\n";
    let serve = move |listener: TcpListener, door: Door, connections_max| {
        let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let gate = Gate::new(door.clone(), options, address, connections_max);
        let each = move |stream, address| connection::serve(gate.clone(), stream, address);
        Box::pin(accept_all(listener, door, connections_max, BUSY, each)) as _
    };
    Gateway { name: "resp", listen, insecure, serve: Box::new(serve) }
}
