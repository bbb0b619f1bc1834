//! The client: a handle to a cluster, and single connections below it.
//!
//! [`Client`] learns the ring, keeps one connection to each member that it needs, and sends every request straight to the
//! first owner of its key. Many requests may be under way on one handle; what is queued during one turn of the runtime leaves
//! with one write. [`Connection`] is one TCP connection without any task behind it, for load generators.

mod changes;
mod channel;
mod connection;
mod dial;
mod error;
mod handle;
mod late;
mod options;
mod request;
mod slot;
#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use error::ClientError;
pub use handle::{Client, Read};
pub use options::Options;
