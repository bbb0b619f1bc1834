//! What can be wrong with what came over the wire.

use super::{Kind, Versions};
use crate::message::{Failure, FailureKind};
use thiserror::Error;

/// Why bytes are no frame, a frame is not what it should be, or something does not fit a frame.
#[derive(Debug, Error)]
pub enum WireError {
    /// A frame, to be read or to be written, is over the bound. Nothing was allocated for it or written of it.
    /// Reading: the stream cannot go on. Writing: the buffer is as it was, and something smaller may be said instead.
    #[error("a frame of {bytes} bytes is over the limit of {max} bytes; send less at once")]
    FrameTooLarge {
        /// The whole frame, its length field included, in bytes.
        bytes: u64,
        /// The bound in force.
        max: usize,
    },
    /// The lengths inside a frame's header contradict each other. The stream cannot go on: it is not this protocol, or broken.
    #[error("a frame of {bytes} bytes with a body of {body_bytes} bytes cannot be; what is sent here is not henge's protocol")]
    BrokenHeader {
        /// The whole frame, its length field included, in bytes.
        bytes: u64,
        /// The body as the header states it; 0 if the frame ends before that.
        body_bytes: u64,
    },
    /// The kind of a frame is not one of those that may stand here. The stream can go on after it.
    #[error("a frame of kind {number}{} is no {expected}; see docs/protocol.md for the kinds of this version", name(*.number))]
    UnknownKind {
        /// The kind's number.
        number: u8,
        /// What may stand here: "request", "reply", "message", "hello", …
        expected: &'static str,
    },
    /// A body is not what its kind asks for. The stream can go on after it.
    #[error("the body of a {} frame is malformed: {what}", .kind.name())]
    Malformed {
        /// The kind of the frame.
        kind: Kind,
        /// Which field, and what is wrong with it.
        what: String,
    },
    /// The other side's hello speaks no version of the protocol that we speak.
    #[error("the other side speaks versions {theirs} of the protocol and this one {ours}; update the older one")]
    Version {
        /// What we speak.
        ours: Versions,
        /// What it speaks.
        theirs: Versions,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
}

impl WireError {
    /// What to answer to a client whose frame it was, if the stream can go on: the frame's bounds were sound and only its
    /// contents were not. None: the connection is to be closed. (A link between peers is closed in either case.)
    pub fn failure(&self) -> Option<Failure> {
        let usable = matches!(self, WireError::UnknownKind { .. } | WireError::Malformed { .. });
        usable.then(|| Failure { kind: FailureKind::BadRequest, message: self.to_string(), retry_after_ms: 0 })
    }
}

/// The name of a kind in brackets, if the number is one.
fn name(number: u8) -> String {
    Kind::from_number(number).map(|kind| format!(" ({})", kind.name())).unwrap_or_default()
}
