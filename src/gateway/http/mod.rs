//! The door for everything that speaks HTTP. docs/http.md says what each path does.

use super::Token;
use super::accept::accept_all;
use crate::server::{Door, Gateway};
use tokio::net::TcpStream;

/// How the door is to be served.
#[derive(Clone, Debug)]
pub struct Options {
    /// What clients have to show as a bearer token; anybody is let in if there is none.
    pub token: Option<Token>,
}

/// The door at this address.
pub fn gateway(listen: String, insecure: bool, options: Options) -> Gateway {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let serve = move |listener, door: Door, connections_max| {
        let each = door.clone();
        let serving =
            accept_all(listener, door, connections_max, BUSY, move |stream, _| serve_one(stream, each.clone(), options.clone()));
        Box::pin(serving) as _
    };
    Gateway { name: "http", listen, insecure, serve: Box::new(serve) }
}

async fn serve_one(stream: TcpStream, door: Door, options: Options) {
    let _ = (stream, door, options);
}
