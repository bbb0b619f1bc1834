//! Hellos: the first frame each way. Version first, so that peers of different age can at least say why they part.

use super::body_reader::BodyReader;
use super::frame::write_frame;
use super::positional::{self, Sixteen};
use super::{Frame, Kind, WireError};
use crate::limits::FRAME_BYTES_BEFORE_HELLO_MAX;
use crate::ring::{ClusterId, MemberId};
use crate::vclock::{Actor, Start};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Says that this is henge: a stray HTTP request or TLS hello is told apart from an old peer.
const MAGIC: &str = "HNGE";

/// Versions of the protocol that a side speaks: from `min` to `max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    /// The oldest.
    pub min: u16,
    /// The newest; never below `min`.
    pub max: u16,
}

impl Versions {
    /// Those of this program.
    pub const OURS: Versions = Versions { min: 1, max: 1 };

    /// The version that both sides speak from here on: the newest that they have in common.
    pub fn settle(self, theirs: Versions) -> Option<u16> {
        let newest = self.max.min(theirs.max);
        (newest >= self.min.max(theirs.min)).then_some(newest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// Who speaks. The side that was dialled answers with its own, to clients too: so they learn member, start and cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The versions of the protocol that it speaks.
    pub versions: Versions,
    /// True if it has a secret: then both sides must, and prove it before anything else is said.
    pub has_secret: bool,
    /// 16 random bytes that make each proof one of its own connection. A client draws all of them for it; a peer draws the first
    /// 8 at its start, so that two processes with copies of one folder can be told apart, and the others for the connection.
    pub nonce: [u8; 16],
    /// What it is.
    pub role: Role,
}

/// What a speaker is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// A client: sends requests.
    Client,
    /// A peer. If it dialled, this is a link: messages flow both ways. If it was dialled by a client, it answers requests.
    Peer(Identity),
}

/// Who a peer is: the wire's form of `peer::Introduction`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its cluster; none before it was formed.
    pub cluster: Option<ClusterId>,
    /// Its permanent id.
    pub member: MemberId,
    /// The id under which its store writes at present.
    pub actor: Actor,
    /// The number of its present start.
    pub start: Start,
    /// The number of the start before, as its folder has it; 0 for a new one.
    pub previous: Start,
    /// The starts before that one, as far as its folder has them: the newest first.
    pub earlier: Vec<Start>,
    /// Where others reach it: `host:port`.
    pub address: String,
    /// What people call it.
    pub name: String,
}

/// Numbers of the roles.
const CLIENT: u8 = 1;
const PEER: u8 = 2;

#[derive(Serialize, Deserialize)]
struct HelloBody {
    magic: String,
    version_min: u16,
    version_max: u16,
    role: u8,
    has_secret: bool,
    nonce: Sixteen,
    cluster: Option<ClusterId>,
    member: Option<MemberId>,
    actor: Option<Actor>,
    start: Option<Start>,
    address: String,
    name: String,
    previous: Option<Start>,
    earlier: Vec<Start>,
}

impl Hello {
    /// The body of its frame, byte by byte: what a proof is made over.
    pub fn body(&self) -> Bytes {
        let mut out = BytesMut::new();
        positional::write(&mut out, &HelloBody::from(self.clone()));
        out.freeze()
    }
}

/// Appends a hello to a send buffer.
///
/// # Errors
/// `FrameTooLarge`: name or address are absurdly long (`limits::FRAME_BYTES_BEFORE_HELLO_MAX`); the buffer is as it was.
pub fn encode_hello(hello: &Hello, out: &mut BytesMut) -> Result<(), WireError> {
    let body = hello.body();
    if body.len() + super::frame::HEADER_BYTES > FRAME_BYTES_BEFORE_HELLO_MAX {
        return Err(WireError::FrameTooLarge { bytes: body.len() as u64, max: FRAME_BYTES_BEFORE_HELLO_MAX });
    }
    write_frame(out, Kind::Hello, 0, body.len(), |out| out.extend_from_slice(&body), &[])
}

/// Reads a hello.
///
/// # Errors
/// `UnknownKind`: the first frame is no hello. `Version`: no version in common, whatever else the hello says. `Malformed`.
pub fn decode_hello(frame: &Frame) -> Result<Hello, WireError> {
    if frame.kind() != Kind::Hello as u8 {
        return Err(WireError::UnknownKind { number: frame.kind(), expected: "hello, which comes first" });
    }
    let theirs = read_versions(frame)?;
    if Versions::OURS.settle(theirs).is_none() {
        return Err(WireError::Version { ours: Versions::OURS, theirs });
    }
    if !frame.payload().is_empty() {
        return Err(malformed("payload where none belongs"));
    }
    positional::read::<HelloBody>(Kind::Hello, frame.body())?.try_into()
}

/// The first three fields, which no version of the protocol changes.
fn read_versions(frame: &Frame) -> Result<Versions, WireError> {
    let mut body = BodyReader::new(Kind::Hello, frame.bytes(), frame.body());
    body.fields("body", 3)?;
    if body.text("magic")? != MAGIC {
        return Err(malformed("it does not begin with HNGE"));
    }
    let versions = Versions { min: body.number("version_min")?, max: body.number("version_max")? };
    if versions.min > versions.max { Err(malformed("its oldest version is above its newest")) } else { Ok(versions) }
}

fn malformed(what: &str) -> WireError {
    WireError::Malformed { kind: Kind::Hello, what: what.into() }
}

impl From<Hello> for HelloBody {
    fn from(hello: Hello) -> HelloBody {
        let (role, identity) = match hello.role {
            Role::Client => (CLIENT, None),
            Role::Peer(identity) => (PEER, Some(identity)),
        };
        HelloBody {
            magic: MAGIC.into(),
            version_min: hello.versions.min,
            version_max: hello.versions.max,
            role,
            has_secret: hello.has_secret,
            nonce: Sixteen(hello.nonce),
            cluster: identity.as_ref().and_then(|identity| identity.cluster),
            member: identity.as_ref().map(|identity| identity.member),
            actor: identity.as_ref().map(|identity| identity.actor),
            start: identity.as_ref().map(|identity| identity.start),
            previous: identity.as_ref().map(|identity| identity.previous),
            address: identity.as_ref().map(|identity| identity.address.clone()).unwrap_or_default(),
            name: identity.as_ref().map(|identity| identity.name.clone()).unwrap_or_default(),
            earlier: identity.map(|identity| identity.earlier).unwrap_or_default(),
        }
    }
}

impl TryFrom<HelloBody> for Hello {
    type Error = WireError;

    fn try_from(body: HelloBody) -> Result<Hello, WireError> {
        let versions = Versions { min: body.version_min, max: body.version_max };
        let (has_secret, nonce) = (body.has_secret, body.nonce.0);
        let role = match (body.role, body.member, body.actor, body.start) {
            (CLIENT, ..) => Role::Client,
            (PEER, Some(member), Some(actor), Some(start)) => {
                let (cluster, previous) = (body.cluster, body.previous.unwrap_or(Start(0)));
                let HelloBody { earlier, address, name, .. } = body;
                Role::Peer(Identity { cluster, member, actor, start, previous, earlier, address, name })
            }
            (PEER, ..) => return Err(malformed("a peer says its member, actor and start")),
            (role, ..) => return Err(malformed(&format!("no role has the number {role}"))),
        };
        Ok(Hello { versions, has_secret, nonce, role })
    }
}
