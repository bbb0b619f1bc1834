//! What a server is told when it starts, and why it does not.

use crate::message::SyncMode;
use crate::ring::{Change, MemberId};
use crate::vclock::Start;
use crate::wire::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a server is told when it starts.
#[derive(Clone)]
pub struct Config {
    /// The folder with the peer's data; made if it does not exist.
    pub dir: PathBuf,
    /// Where to listen, `HOST:PORT`. Port 0 takes any free one.
    pub listen: String,
    /// Where other peers and clients reach this one, `HOST:PORT`; where it listens, if none is given.
    pub advertise: Option<String>,
    /// What people call it.
    pub name: String,
    /// Its failure zone.
    pub zone: String,
    /// Its share of the data: 1 to `limits::WEIGHT_MAX`.
    pub weight: u16,
    /// The secret that all peers and clients of the cluster have to prove; needed unless it listens on loopback only.
    pub secret: Option<Secret>,
    /// Forms a cluster of this one peer, unless it belongs to one already.
    pub found: bool,
    /// Moves a damaged log, or one that others have refused, aside, and goes on with what can be read.
    pub quarantine: bool,
    /// Takes the place of a member whose folder is lost, in a fresh folder.
    pub replace: Option<Replacement>,
    /// When the log is synced.
    pub sync: SyncMode,
    /// Reads that wait longer than usual ask one replica more, and slow ones last.
    pub hedges: bool,
    /// A request that takes longer is told of in the log of events.
    pub slow_request: Duration,
    /// Memory for records that are read again (bytes).
    pub cache_bytes: usize,
    /// Stops gracefully at the end of standard input: so a peer ends with the process that started it.
    pub stop_at_eof: bool,
}

/// Whose place a fresh folder takes.
#[derive(Clone)]
pub struct Replacement {
    /// The member.
    pub member: MemberId,
    /// Its last start, as far as a running peer knows.
    pub last: Start,
    /// The list of members, as a running peer has it, with the cluster's secret.
    pub changes: Vec<Change>,
}

/// Why a server does not start, or has stopped otherwise than it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address to listen on is none.
    #[error("cannot listen on {listen}: {reason}; give it as HOST:PORT, for example 127.0.0.1:7401")]
    Address {
        /// What was given.
        listen: String,
        /// Why it is none.
        reason: String,
    },
    /// Somebody else listens there.
    #[error("the port of {listen} is in use: another peer or program listens there; stop that one, or choose another --listen")]
    PortInUse {
        /// Where.
        listen: SocketAddr,
    },
    /// The operating system does not let us listen there.
    #[error("cannot listen on {listen}: {reason}; choose another --listen")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// What the operating system says.
        reason: String,
    },
    /// Reachable from other machines, and no secret.
    #[error(
        "{listen} can be reached from other machines, and then --secret-file is needed: a file with the same secret for every peer and \
         client (make one with: head -c 32 /dev/urandom | base64 > henge.secret); or listen on 127.0.0.1"
    )]
    NoSecret {
        /// Where.
        listen: SocketAddr,
    },
    /// A door without a seal, reachable from other machines.
    #[error(
        "the door --{door} at {listen} could be reached from other machines, and whatever passes it can be read on the way; \
         listen on 127.0.0.1, behind something that seals it, or say --insecure"
    )]
    PlainDoor {
        /// Which.
        door: &'static str,
        /// Where.
        listen: SocketAddr,
    },
    /// It listens on every address of the machine, so it cannot know by which of them others reach it.
    #[error("{listen} is no address that others can dial; say with --advertise HOST:PORT where this peer is reached")]
    NoAdvertise {
        /// Where.
        listen: SocketAddr,
    },
    /// The folder cannot be used, or what lies in it cannot be read.
    #[error("{reason}")]
    Store {
        /// What is wrong with which folder, and what to do.
        reason: String,
    },
    /// The operating system gives no thread.
    #[error("the operating system gives no thread for the disk: {reason}")]
    Threads {
        /// What it says.
        reason: String,
    },
    /// The peer has stopped itself: going on would risk data.
    #[error("stopped: {reason}")]
    Halted {
        /// Why, and what to do.
        reason: String,
    },
}
