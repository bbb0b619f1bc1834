//! What a peer answers to a client.

use super::why::Explained;
use crate::ring::{Change, ClusterId, Founder, MemberId};
use crate::vclock::{Dot, Start};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The answer to a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// A write was acknowledged by W replicas.
    Written(Receipt),
    /// A read found something.
    Found(Found),
    /// R complete owners say that there is nothing.
    Missing(Missing),
    /// Keys in order.
    Listed(Listed),
    /// The membership and the owners.
    Ring(RingTable),
    /// How the peer is.
    Status(Box<Status>),
    /// Who the peer is.
    Description(Description),
    /// Change 0 has been taken in, durably.
    Formed,
    /// Not done, or not known to be done.
    Failed(Failure),
    /// Why a read of a key says what it says.
    Explained(Box<Explained>),
}

/// How a store syncs its log; an ack says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SyncMode {
    /// An ack waits for the disk.
    #[default]
    Always,
    /// The log is synced every so many milliseconds.
    Interval(u32),
    /// The log is synced when the operating system likes.
    Never,
}

/// One replica's acknowledgement of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ack {
    /// Who.
    pub member: MemberId,
    /// Under which sync mode.
    pub sync: SyncMode,
}

/// What became of a write.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Who coordinated the write, and its start: what a retry has to name.
    pub coordinator: Attempt,
    /// The replicas that had acknowledged it when this was sent.
    pub acks: Vec<Ack>,
    /// The dots that were made: one per leaf.
    pub dots: Vec<Dot>,
    /// The dots of the versions that the write replaced.
    pub covered: Vec<Dot>,
    /// The sealed context of the key after this write.
    pub context: Bytes,
    /// Those among `acks` that stood in for owners that were down.
    pub stood_in: Vec<StoodIn>,
}

/// A peer that has stored a write in the place of owners that are down, and hands it to them when they are back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoodIn {
    /// The stand-in.
    pub member: MemberId,
    /// The owners whom it owes the write.
    pub owed: Vec<MemberId>,
}

use super::request::Attempt;

pub use crate::vclock::{Conflict, Members, Typed, TypedError, Value};

/// What a read found.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// The value without the paths in conflict; none if the value as a whole is in conflict.
    pub value: Option<Value>,
    /// The paths in conflict, in order.
    pub conflicts: Vec<Conflict>,
    /// Siblings that last-writer-wins has hidden from this answer.
    pub hidden: u32,
    /// The sealed context: covers what this answer shows.
    pub context: Bytes,
    /// How many replicas answered.
    pub answered: u8,
    /// How many of them held exactly what is answered.
    pub agreed: u8,
    /// The dots that were live, in (path, dot) order.
    pub dots: Vec<Dot>,
    /// How many of those that answered count only for what is found: stand-ins, and owners that are not complete. What they lack may
    /// have been written; 0 as long as enough complete owners answer.
    pub stood_in: u8,
    /// When what is shown expires, in milliseconds since 1970, or the first part of it that does; 0: never.
    pub expiry_ms: u64,
}

/// Nothing is there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// The sealed context of the absence.
    pub context: Bytes,
    /// How many complete owners said so.
    pub answered: u8,
}

/// A page of keys.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// In order.
    pub keys: Vec<Bytes>,
    /// True if there may be more after the last key.
    pub more: bool,
    /// Where the next page begins: all keys up to and with this one have been looked at. Empty when there is no more.
    pub resume_after: Bytes,
}

/// The membership and the owners of every partition.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RingTable {
    /// The cluster.
    pub cluster: ClusterId,
    /// Replicas of each key (N).
    pub replicas: u8,
    /// The members, in the order in which `owners` counts them.
    pub members: Vec<Founder>,
    /// For each partition its owners in order, as indexes into `members`. There are a power of two of them.
    pub owners: Vec<Vec<u16>>,
}

/// Who a peer is, for `form`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The peer as a founder.
    pub founder: Founder,
    /// The membership list that it has, empty before it was formed. Secrets are blank unless the asker is on loopback or has
    /// proved the secret.
    pub changes: Vec<Change>,
    /// The newest start of each member that it has met or heard of: who takes a member's place begins after it.
    pub starts: Vec<(MemberId, Start)>,
}

/// How a peer is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The peer.
    pub member: MemberStatus,
    /// What it knows of the others.
    pub links: Vec<LinkStatus>,
    /// How its comparisons with each of them stand.
    pub comparisons: Vec<ComparisonStatus>,
    /// Who is alive, as far as it knows.
    pub gossip: GossipStatus,
}

/// Who is alive in a peer's view, and how well it can judge.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GossipStatus {
    /// How often it had to say in this start that it is alive, or how it is.
    pub incarnation: u32,
    /// 0: it answers and is answered in time. Each step above it makes it probe more slowly, and suspect others later; at most 7.
    pub local_health: u8,
    /// What is wrong with its wall clock, if something is; for people.
    pub clock_trouble: Option<String>,
    /// Every other member.
    pub others: Vec<MemberView>,
}

/// A member in the view of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberView {
    /// The member.
    pub member: MemberId,
    /// What is believed of it.
    pub state: ViewState,
    /// For how long (milliseconds).
    pub since_ms: u64,
    /// Its start, as far as it is known; 0 if it is not.
    pub start: Start,
    /// Its incarnation in that start.
    pub incarnation: u32,
    /// Partitions that it owns and in which it has lost something, as it says.
    pub incomplete: u32,
    /// How far its wall clock is ahead of the viewer's (milliseconds), if that has been measured.
    pub wall_offset_ms: Option<i64>,
}

/// What is believed of a member, numbered for the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum ViewState {
    /// It is there.
    Alive = 0,
    /// A probe has failed, and it may still say that it is alive.
    Suspect = 1,
    /// It has not said so in time.
    Dead = 2,
}

impl From<ViewState> for u8 {
    fn from(state: ViewState) -> u8 {
        state as u8
    }
}

impl TryFrom<u8> for ViewState {
    type Error = String;

    fn try_from(wire: u8) -> Result<ViewState, String> {
        use ViewState::*;
        let known = [Alive, Suspect, Dead].into_iter().find(|state| *state as u8 == wire);
        known.ok_or_else(|| format!("no state of a member has the number {wire}"))
    }
}

/// The peer's own figures.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its id.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// Where it is reached.
    pub address: String,
    /// The cluster, if it has been formed.
    pub cluster: Option<ClusterId>,
    /// Its start number.
    pub start: Start,
    /// The version of the program.
    pub version: String,
    /// How its log is synced.
    pub sync: SyncMode,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Partitions that it owns.
    pub partitions: u32,
    /// Keys that it holds.
    pub keys: u64,
    /// Explicit contexts that it keeps for keys (what is left of deletes and of writes that have not met yet).
    pub contexts: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
    /// Bytes of memory taken by the tries.
    pub trie_bytes: u64,
    /// Requests under way.
    pub in_flight: u32,
    /// Since the start: puts, removes, updates, gets, lists, and of all requests those that failed.
    pub requests: RequestCounts,
    /// Since the start: replicas that read repair has brought up to date.
    pub repairs: u64,
    /// What it keeps for owners that were down, one row for each of them.
    pub debts: Vec<DebtStatus>,
    /// True if it keeps so much for others already that it stands in for nothing new.
    pub hints_full: bool,
    /// Partitions that it owns and others too.
    pub shared: u32,
    /// Those of them of which the last comparison with each of the others found equal contents and equal clocks.
    pub in_step: u32,
    /// Since the start: reads that waited longer than usual and asked one replica more.
    pub hedges: u64,
    /// Since the start: reads that were answered with the help of stand-ins.
    pub stood_in: u64,
    /// Partitions of which this peer has lost something that comparisons have not brought back yet.
    pub incomplete_partitions: u32,
    /// The comparisons with complete owners that they have behind them.
    pub comparisons_done: u32,
    /// And how many they need.
    pub comparisons_needed: u32,
    /// Gaps of starts that are over in the clocks of its partitions; 0 while a member is away.
    pub open_gaps: u32,
    /// What people have to know, as long as the process runs.
    pub alarms: Vec<String>,
}

/// What a peer owes to an owner that was down when it stood in for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DebtStatus {
    /// The owner.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// How many keys are owed to it.
    pub hints: u64,
    /// About how many bytes.
    pub bytes: u64,
    /// About how long the oldest of them has been owed (milliseconds).
    pub oldest_ms: u64,
    /// How many have been handed to it since this peer started.
    pub paid: u64,
    /// How many are on their way to it.
    pub in_flight: u32,
}

/// How a peer's comparisons with another stand: what it has learned from that one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ComparisonStatus {
    /// The other.
    pub member: MemberId,
    /// Partitions that both own.
    pub partitions: u32,
    /// Those of them of which the last comparison found equal contents and equal clocks.
    pub in_step: u32,
    /// All of them have been compared within so many milliseconds; none: not all yet.
    pub all_within_ms: Option<u64>,
    /// Comparisons that were finished, since the start.
    pub pulls: u64,
    /// Keys whose entries they have fetched.
    pub keys: u64,
    /// Bytes of their questions, about.
    pub sent_bytes: u64,
    /// Bytes of the answers, about.
    pub received_bytes: u64,
}

pub use counts::RequestCounts;

mod counts {
    use serde::{Deserialize, Serialize};

    /// How many requests of each kind a peer has coordinated since its start.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
    pub struct RequestCounts {
        /// Puts.
        pub puts: u64,
        /// Removes of keys and paths.
        pub removes: u64,
        /// Updates.
        pub updates: u64,
        /// Gets.
        pub gets: u64,
        /// Lists.
        pub lists: u64,
        /// Requests of any kind that were answered with a failure.
        pub failed: u64,
    }
}

/// What a peer knows of another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkStatus {
    /// The other.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// Where it is reached.
    pub address: String,
    /// True while the link is up.
    pub up: bool,
}

/// Why a request failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, to what, and what to do next, for a person.
    pub message: String,
    /// Milliseconds after which trying again makes sense; 0 if it does not.
    pub retry_after_ms: u32,
}

/// The kinds of failure, numbered for the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum FailureKind {
    /// The request itself is wrong. Nothing was done.
    BadRequest = 1,
    /// Something is over its limit. Nothing was done.
    TooLarge = 2,
    /// The context is not one that this cluster sealed for this key. Nothing was done; read again.
    BadContext = 3,
    /// The leaf has too many siblings; read it and write with that context. Nothing was done.
    TooManySiblings = 4,
    /// Too few replicas can be reached. Of a read: nothing is known. Of a write: nothing was done.
    Unavailable = 5,
    /// The write was begun, and whether it will last is not known: it may or may not take effect.
    Unknown = 6,
    /// The peer has too much to do. Nothing was done; try again after the hint.
    Overloaded = 7,
    /// The peer belongs to no cluster yet, or to another one.
    NotFormed = 8,
    /// The peer's disk fails or is full. Nothing was done.
    Storage = 9,
}

impl From<FailureKind> for u8 {
    fn from(kind: FailureKind) -> u8 {
        kind as u8
    }
}

impl TryFrom<u8> for FailureKind {
    type Error = String;

    fn try_from(wire: u8) -> Result<FailureKind, String> {
        use FailureKind::*;
        [BadRequest, TooLarge, BadContext, TooManySiblings, Unavailable, Unknown, Overloaded, NotFormed, Storage]
            .into_iter()
            .find(|kind| *kind as u8 == wire)
            .ok_or_else(|| format!("no failure kind has the number {wire}"))
    }
}
