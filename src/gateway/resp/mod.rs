//! The door for Redis clients: RESP 2 and 3. docs/redis.md says which commands work, and how they differ.

use super::Token;
use super::accept::accept_all;
use crate::server::{Door, Gateway};
use tokio::net::TcpStream;

/// How the door is to be served.
#[derive(Clone, Debug)]
pub struct Options {
    /// What clients have to show with `AUTH` or `HELLO`; anybody is let in if there is none.
    pub token: Option<Token>,
}

/// The door at this address.
pub fn gateway(listen: String, insecure: bool, options: Options) -> Gateway {
    const BUSY: &[u8] = b"-ERR max number of clients reached\r\n";
    let serve = move |listener, door: Door, connections_max| {
        let each = door.clone();
        let serving =
            accept_all(listener, door, connections_max, BUSY, move |stream, _| serve_one(stream, each.clone(), options.clone()));
        Box::pin(serving) as _
    };
    Gateway { name: "resp", listen, insecure, serve: Box::new(serve) }
}

async fn serve_one(stream: TcpStream, door: Door, options: Options) {
    let _ = (stream, door, options);
}
