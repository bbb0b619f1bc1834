//! Every message and request as plain data.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod comparing;
mod peer;
mod reply;
mod request;

pub use comparing::{
    Compare, Compared, Comparing, Declined, Entries, FetchEntries, KeyContext, Prefix, Step, Walk, Walked, seen_bytes_about,
};
pub use peer::{
    Applied, Apply, Fetch, FetchMode, Fetched, Forward, Forwarded, Message, Naming, OperationId, Position, ScanAsk, ScanItem,
    ScanPage, Scope,
};
pub use reply::{
    Ack, ComparisonStatus, Conflict, DebtStatus, Description, Failure, FailureKind, Found, LinkStatus, Listed, MemberStatus,
    Missing, Receipt, Reply, RequestCounts, RingTable, Status, StoodIn, SyncMode, Value,
};
pub use request::{Attempt, Body, Form, Get, List, PatchBody, Put, Quorum, Remove, Request, Retry, Update};
