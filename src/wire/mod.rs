//! Frames and their codec: version first, bounded before anything is allocated. docs/protocol.md is the page for other languages.
//!
//! A connection begins with a [`Hello`] each way, and proofs if there is a secret; then a client sends requests and gets replies
//! under the same ids in any order, and peers send messages. Keys, contexts, values and entries that are read are slices of
//! the receive buffer; what is written goes straight into the send buffer.
//!
//! The frequent kinds are written and read by hand (`body_writer`, `body_reader`), the few others through serde (`positional`).

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod body_reader;
mod body_writer;
mod codec;
mod comparing;
mod contents;
mod error;
mod fence;
mod frame;
mod front_coded;
mod gossip;
mod hello;
mod kind;
mod membership;
mod peer;
mod positional;
mod proof;
mod refused;
mod reply;
mod request;
mod status;

pub use codec::FrameCodec;
pub use error::WireError;
pub use frame::{Frame, take_frame};
pub use hello::{Hello, Identity, Role, Versions, decode_hello, encode_hello};
pub use kind::Kind;
pub use peer::{decode_message, encode_message};
pub use proof::{
    Hellos, PROOF_BYTES, SECRET_BYTES_MAX, SECRET_BYTES_MIN, Secret, SecretError, Side, check, decode_proof, encode_proof, prove,
};
pub use refused::{RefusalCode, Refused, decode_refused, encode_refused};
pub use reply::{decode_reply, encode_reply};
pub use request::{decode_request, encode_request};

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
