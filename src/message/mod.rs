//! Every message and request as plain data.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod gossip;
mod peer;
mod reply;
mod request;

pub use gossip::{EndedActor, Gossip, MemberRecord, News, Probe, Rank, Standing};
pub use peer::{
    Applied, Apply, Fetch, FetchMode, Fetched, Forward, Forwarded, Message, Naming, OperationId, Position, ScanAsk, ScanItem,
    ScanPage, Scope,
};
pub use reply::{
    Ack, Conflict, Description, Failure, FailureKind, Found, GossipStatus, LinkStatus, Listed, MemberStatus, MemberView, Missing,
    Receipt, Reply, RequestCounts, RingTable, Status, SyncMode, Value, ViewState,
};
pub use request::{Attempt, Body, Form, Get, List, PatchBody, Put, Quorum, Remove, Request, Retry, Update};
