//! Every message and request as plain data.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod comparing;
mod fence;
mod gossip;
mod peer;
mod reply;
mod request;
mod why;

pub use comparing::{
    Compare, Compared, Comparing, Declined, Entries, FetchEntries, KeyContext, Prefix, Step, Walk, Walked, seen_bytes_about,
};
pub use fence::{ActorAsk, ActorDenial, FenceAsk, FencePromise};
pub use gossip::{EndedActor, Gossip, MemberRecord, News, Probe, Rank, Standing};
pub use peer::{
    Applied, Apply, Fetch, FetchMode, Fetched, Forward, Forwarded, Message, Naming, OperationId, Position, ScanAsk, ScanItem,
    ScanPage, Scope, Serves,
};
pub use reply::{
    Ack, ComparisonStatus, Conflict, DebtStatus, Description, Failure, FailureKind, Found, GossipStatus, LinkStatus, Listed,
    MemberStatus, MemberView, Members, Missing, Receipt, Reply, RequestCounts, RingTable, Status, StoodIn, SyncMode, Typed,
    TypedError, Value, ViewState,
};
pub use request::{Attempt, Body, Expire, Form, Get, List, PatchBody, Put, Quorum, Remove, Request, Retry, Update};
pub use why::{Choice, Explained, Fate, Held, Holding, Judged, Replica, Says, Why, Would};
