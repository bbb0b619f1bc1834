//! Other doors to the same coordinator: HTTP for everything that speaks it, RESP for Redis clients.
//!
//! A door translates. It asks the peer through [`Door::ask`](crate::server::Door::ask) with the plain requests of `message`, as every client does, and says what it
//! answers in the words of its protocol; so all doors promise the same (docs/consistency.md). Each connection is a task of its own, bounded in
//! number by [`accept`], and in what it may hold by its door.

mod accept;
pub mod http;
pub mod json;
pub mod resp;
mod token;

pub use token::{Token, TokenError};
