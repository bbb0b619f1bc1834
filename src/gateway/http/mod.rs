//! The door for everything that speaks HTTP. docs/http.md says what each path does, `openapi.json` the same for machines.
//!
//! [`connection`] serves a connection: deadlines, the bounds of a head, stopping. [`routes`] says which function answers which path, and who is let
//! in at all. What the functions share is a file each: keys and paths, the query, contexts, conditions, bodies, problems.

mod batch;
mod body;
mod conditional;
mod connection;
mod context;
mod doc;
mod draining;
mod health;
mod insight;
mod keys;
mod kv;
mod metrics;
mod openapi;
mod page;
mod place;
mod problem;
mod query;
mod read;
mod representation;
mod routes;
mod serving;
mod write;

use super::Token;
use super::accept::accept_all;
use crate::server::{Door, Gateway};
use connection::{Patience, serve_connection};
use routes::Site;
use serving::Serving;
use std::rc::Rc;

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
        let site = Rc::new(Site::new(Serving::new(door.clone(), options.token)));
        let each = door.clone();
        let serving = accept_all(listener, door, connections_max, BUSY, move |stream, _| {
            let (site, door) = (site.clone(), each.clone());
            async move {
                // Answers are written whole: there is nothing to wait for.
                let _ = stream.set_nodelay(true);
                let is_loopback = stream.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
                let answer = move |request| site.answer(request, is_loopback);
                serve_connection(stream, answer, async move { door.stopping().await }, Patience::default()).await;
            }
        });
        Box::pin(serving) as _
    };
    Gateway { name: "http", listen, insecure, serve: Box::new(serve) }
}
