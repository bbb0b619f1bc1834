//! Refusals: why a connection is about to be closed, said to whoever opened it.

use super::frame::write_frame;
use super::{Frame, Kind, WireError, positional};
use crate::ring::{ClusterId, MemberId};
use crate::vclock::Start;
use bytes::BytesMut;
use serde::{Deserialize, Serialize};

/// The last frame on a connection that is not wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Why, for programs.
    pub code: RefusalCode,
    /// Why, and what to do, for people.
    pub message: String,
}

/// Why a connection is refused, numbered for the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum RefusalCode {
    /// What came is no hello, or a malformed one.
    NoHello,
    /// No version of the protocol in common.
    Version,
    /// The other belongs to another cluster.
    WrongCluster,
    /// The other runs from an old or second copy of its folder. It must stop: it could name two writes alike.
    OldStart,
    /// One side has a secret and the other has none.
    SecretMissing,
    /// The proof is wrong: another secret.
    SecretWrong,
    /// Too many connections are open here already; try another peer.
    TooManyConnections,
    /// The other says that it is reached at an address at which somebody else is.
    WrongAddress,
    /// The peer that was dialled is not the member that was meant, or is no member here.
    WrongMember,
    /// The peer is stopping; try another one.
    Stopping,
    /// Something that a newer version says.
    Other(u8),
}

const CODES: [RefusalCode; 10] = [
    RefusalCode::NoHello,
    RefusalCode::Version,
    RefusalCode::WrongCluster,
    RefusalCode::OldStart,
    RefusalCode::SecretMissing,
    RefusalCode::SecretWrong,
    RefusalCode::TooManyConnections,
    RefusalCode::WrongAddress,
    RefusalCode::WrongMember,
    RefusalCode::Stopping,
];

impl From<u8> for RefusalCode {
    fn from(wire: u8) -> RefusalCode {
        wire.checked_sub(1).and_then(|at| CODES.get(usize::from(at)).copied()).unwrap_or(RefusalCode::Other(wire))
    }
}

impl From<RefusalCode> for u8 {
    fn from(code: RefusalCode) -> u8 {
        match code {
            RefusalCode::NoHello => 1,
            RefusalCode::Version => 2,
            RefusalCode::WrongCluster => 3,
            RefusalCode::OldStart => 4,
            RefusalCode::SecretMissing => 5,
            RefusalCode::SecretWrong => 6,
            RefusalCode::TooManyConnections => 7,
            RefusalCode::WrongAddress => 8,
            RefusalCode::WrongMember => 9,
            RefusalCode::Stopping => 10,
            RefusalCode::Other(wire) => wire,
        }
    }
}

impl Refused {
    /// The first frame could not be taken: no hello, a malformed one, or one of another version.
    pub fn hello(error: &WireError) -> Refused {
        let code = if matches!(error, WireError::Version { .. }) { RefusalCode::Version } else { RefusalCode::NoHello };
        Refused { code, message: error.to_string() }
    }

    /// The other belongs to another cluster.
    pub fn wrong_cluster(ours: Option<ClusterId>, theirs: Option<ClusterId>) -> Refused {
        let name = |cluster: Option<ClusterId>| cluster.map_or("no cluster yet".into(), |cluster| format!("cluster {cluster}"));
        let message = format!(
            "this peer belongs to {} and you belong to {}; check the addresses, or start with another folder",
            name(ours),
            name(theirs)
        );
        Refused { code: RefusalCode::WrongCluster, message }
    }

    /// A newer start of the other is known, or another one with the same number.
    pub fn old_start(member: MemberId, known: Start, theirs: Start) -> Refused {
        let message = format!(
            "member {member} speaks from its start {}, and start {} of it is known here: this is an old or second copy of this folder; \
             stop it, and start the peer from its newest folder",
            theirs.0, known.0
        );
        Refused { code: RefusalCode::OldStart, message }
    }

    /// One side has a secret and the other has none.
    pub fn secret_missing(ours: bool) -> Refused {
        let message = match ours {
            true => "this peer has a secret and you gave none; give its --secret-file",
            false => "you have a secret and this peer has none; start it with the same --secret-file",
        };
        Refused { code: RefusalCode::SecretMissing, message: message.into() }
    }

    /// The proof is wrong.
    pub fn secret_wrong() -> Refused {
        let message = "your secret is not the one of this peer; give the same --secret-file everywhere";
        Refused { code: RefusalCode::SecretWrong, message: message.into() }
    }

    /// Too many connections.
    pub fn too_many_connections(max: usize) -> Refused {
        let message = format!("{max} connections are open here, which is the limit; use another peer, or close some");
        Refused { code: RefusalCode::TooManyConnections, message }
    }

    /// The other is not where it says it is.
    pub fn wrong_address(member: MemberId, expected: &str, theirs: &str) -> Refused {
        let message = format!("member {member} is known at {expected} and says {theirs}; start it with `--advertise {expected}`");
        Refused { code: RefusalCode::WrongAddress, message }
    }
}

/// Appends a refusal to a send buffer.
///
/// # Errors
/// `FrameTooLarge`: its message is absurdly long; the buffer is as it was.
pub fn encode_refused(refused: &Refused, out: &mut BytesMut) -> Result<(), WireError> {
    write_frame(out, Kind::Refused, 0, refused.message.len() + 8, |out| positional::write(out, refused), &[])
}

/// Reads a refusal, if the frame is one: what may come in place of every frame of the other side.
///
/// # Errors
/// `UnknownKind`: it is another frame. `Malformed`.
pub fn decode_refused(frame: &Frame) -> Result<Refused, WireError> {
    if frame.kind() != Kind::Refused as u8 {
        return Err(WireError::UnknownKind { number: frame.kind(), expected: "refusal" });
    }
    positional::read(Kind::Refused, frame.body())
}
