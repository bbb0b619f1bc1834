//! Why a client could not be made, or a connection ended.

/// What went wrong between a client and a peer, outside of any request's answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The caller named no address.
    #[error("no peer was named; name one or more as HOST:PORT")]
    NoAddress,
    /// Nobody answered. Nothing was sent.
    #[error("no peer can be reached ({tried}); check the address, and that the peer runs")]
    Unreachable {
        /// Each address that was tried, and why it failed.
        tried: String,
    },
    /// The peer answered, and turned the connection away.
    #[error("{address} refuses the connection: {message}")]
    Refused {
        /// The peer.
        address: String,
        /// Its reason.
        message: String,
    },
    /// What came is not this protocol, or breaks its rules.
    #[error("{address} does not speak henge's protocol as it should ({reason}); check the address and the versions of both sides")]
    Protocol {
        /// The peer.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection ended while answers were due.
    #[error("the connection to {address} was lost; it is not known what became of what was under way")]
    Lost {
        /// The peer.
        address: String,
    },
}
