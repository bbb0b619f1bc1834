//! What peers say to each other.

use super::{ActorAsk, ActorDenial, Comparing, FenceAsk, FencePromise, Gossip, Holding, Reply, Request, SyncMode};
use crate::ring::MemberId;
use crate::vclock::{Dot, Path, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How far a log has come: the number of its last record. 0 is before the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
pub struct Position(pub u64);

/// Names an operation of a coordinator: its start number in the upper 32 bits, a count in the lower.
/// So an answer that is late by a restart finds nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct OperationId(pub u64);

/// A message from one peer to another.
#[derive(Clone, PartialEq, Debug)]
pub enum Message {
    /// Coordinator to replica: take this entry in.
    Apply(Apply),
    /// Replica to coordinator: it is stored as safely as my sync mode says.
    Applied(Applied),
    /// Coordinator to replica: what do you hold of this key?
    Fetch(Fetch),
    /// Replica to coordinator: this.
    Fetched(Fetched),
    /// Coordinator to replica: which keys do you hold?
    ScanAsk(ScanAsk),
    /// Replica to coordinator: these.
    ScanPage(ScanPage),
    /// A peer that is no owner hands a request to one that is.
    Forward(Box<Forward>),
    /// The owner's answer.
    Forwarded(Box<Forwarded>),
    /// One owner learns from another.
    Comparing(Box<Comparing>),
    /// Who is alive.
    Gossip(Box<Gossip>),
    /// Whoever closes a gap to every member: refuse what this start said, from now on.
    FenceAsk(FenceAsk),
    /// Every member to it: promised.
    FencePromise(FencePromise),
    /// Whoever looks for gaps to every member: is this actor yours?
    ActorAsk(ActorAsk),
    /// Every member to it: it is not.
    ActorDenial(ActorDenial),
}

/// Which operation a message serves, and whose number that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serves {
    /// A question: an operation of its sender.
    Sender(OperationId),
    /// An answer: an operation of its recipient.
    Recipient(OperationId),
}

impl Message {
    /// What it is called, and which client's request it serves, if it serves one.
    pub fn serves(&self) -> Option<(&'static str, Serves)> {
        match self {
            Message::Apply(apply) => Some(("apply", Serves::Sender(apply.operation))),
            Message::Applied(applied) => Some(("applied", Serves::Recipient(applied.operation))),
            Message::Fetch(fetch) => Some(("fetch", Serves::Sender(fetch.operation))),
            Message::Fetched(fetched) => Some(("fetched", Serves::Recipient(fetched.operation))),
            Message::ScanAsk(ask) => Some(("scan", Serves::Sender(ask.operation))),
            Message::ScanPage(page) => Some(("scanned", Serves::Recipient(page.operation))),
            Message::Forward(forward) => Some(("forward", Serves::Sender(forward.operation))),
            Message::Forwarded(forwarded) => Some(("forwarded", Serves::Recipient(forwarded.operation))),
            Message::Comparing(_) | Message::Gossip(_) | Message::FenceAsk(_) | Message::FencePromise(_) => None,
            Message::ActorAsk(_) | Message::ActorDenial(_) => None,
        }
    }
}

/// Take this entry in. The one message by which a value arrives at a replica.
#[derive(Clone, PartialEq, Debug)]
pub struct Apply {
    /// The coordinator's operation.
    pub operation: OperationId,
    /// The key.
    pub key: Bytes,
    /// The packed entry (`vclock::packed`): versions and context.
    pub entry: Bytes,
    /// For a write without a context: which versions the replica should name that the write does not cover.
    pub naming: Option<Arc<Naming>>,
    /// Empty: the recipient takes it in as an owner. Else it stands in, and owes the entry to these owners, sorted.
    pub owed: Vec<MemberId>,
    /// True: the sender lets something go on the strength of the answer, which therefore waits for the disk in every sync mode.
    pub relief: bool,
}

/// Asks a replica to name its live dots that a write without a context has not covered.
#[derive(Clone, PartialEq, Debug)]
pub struct Naming {
    /// What the write replaces.
    pub scope: Scope,
    /// The dots of the write. The replica names nothing unless all of them are live there after the merge: else the write has
    /// itself been replaced, and must not cover what came after it.
    pub dots: Vec<Dot>,
    /// Only versions before this time are named, and of this time those whose dot is below the write's first. Of two writes without a context
    /// that meet, only the later is told of the other: if each were told, each would cover the other, and both would be gone.
    /// A write that makes no dot, which a removal is, cannot be covered itself, and has whatever there is named: `Timestamp(u64::MAX)`.
    pub before: Timestamp,
}

/// What a write replaces in a document. Each list is sorted.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Scope {
    /// What is set: replaces what lies at and below these paths, and leaves above them. The root path: everything.
    pub set: Vec<Path>,
    /// What is removed: replaces what lies at and below these paths.
    pub removed: Vec<Path>,
    /// What shall be an object: replaces leaves other than empty maps at and above these paths.
    pub objects: Vec<Path>,
}

/// It is stored.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Applied {
    /// The coordinator's operation.
    pub operation: OperationId,
    /// The sync mode under which it is stored.
    pub sync: SyncMode,
    /// The named dots, if naming was asked for.
    pub uncovered: Vec<Dot>,
    /// Why it was refused, if it was; for people.
    pub refused: Option<String>,
    /// True if it was taken in by an owner that has lost nothing: it knows what a write without a context has to cover.
    pub complete: bool,
}

/// What do you hold of this key?
#[derive(Clone, PartialEq, Debug)]
pub struct Fetch {
    /// The coordinator's operation.
    pub operation: OperationId,
    /// The key.
    pub key: Bytes,
    /// How much of it.
    pub mode: FetchMode,
}

/// How much of an entry is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FetchMode {
    /// Everything.
    Full,
    /// Dots and context only: the versions of the answer have no values.
    Dots,
    /// Everything, and what belongs to an explanation.
    Explain,
}

/// This is what I hold.
#[derive(Clone, PartialEq, Debug)]
pub struct Fetched {
    /// The coordinator's operation.
    pub operation: OperationId,
    /// The packed entry, its context filled from the partition clock. With `FetchMode::Dots` the versions are bare.
    pub entry: Bytes,
    /// What was asked for.
    pub mode: FetchMode,
    /// True if this store has lost nothing, so that absence means something.
    pub complete: bool,
    /// With `FetchMode::Explain`: more about it.
    pub holding: Option<Box<Holding>>,
}

/// Which keys do you hold?
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScanAsk {
    /// The coordinator's operation.
    pub operation: OperationId,
    /// The partitions to look into.
    pub partitions: Vec<u16>,
    /// Only keys with this prefix.
    pub prefix: Bytes,
    /// Only keys after this one.
    pub after: Bytes,
    /// At most this many.
    pub limit: u32,
}

/// These keys.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScanPage {
    /// The coordinator's operation.
    pub operation: OperationId,
    /// In key order, over all partitions that were asked for.
    pub items: Vec<ScanItem>,
    /// True if there is more after the last of them.
    pub more: bool,
    /// True if this store has lost nothing of any of the partitions.
    pub complete: bool,
    /// Of the partitions that were asked for those of which it has lost something: for them, what is not listed means nothing.
    pub incomplete: Vec<u16>,
}

/// One key and the keyed hash of its live state: equal hashes, equal states.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ScanItem {
    /// The key.
    pub key: Bytes,
    /// The leaf's hash in the trie.
    pub hash: u64,
    /// When its last version expires, in milliseconds since 1970; 0: never.
    pub hidden_ms: u64,
}

/// A request handed on. It is handed on only once.
#[derive(Clone, PartialEq, Debug)]
pub struct Forward {
    /// The forwarding peer's operation.
    pub operation: OperationId,
    /// The request.
    pub request: Request,
}

/// The answer to a forwarded request.
#[derive(Clone, PartialEq, Debug)]
pub struct Forwarded {
    /// The forwarding peer's operation.
    pub operation: OperationId,
    /// The answer.
    pub reply: Reply,
}
