//! The body of a `Status` reply: one flat array, because every version adds figures to it, and only the outermost array may grow.

use super::body_reader::sync_from_wire;
use super::body_writer::sync_to_wire;
use crate::message::{ComparisonStatus, DebtStatus, GossipStatus, LinkStatus, MemberStatus, RequestCounts, Status, SyncMode};
use crate::ring::{ClusterId, MemberId};
use crate::vclock::Start;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct StatusBody {
    links: Vec<LinkStatus>,
    member: MemberId,
    name: String,
    address: String,
    cluster: Option<ClusterId>,
    start: Start,
    version: String,
    sync: SyncBody,
    uptime_ms: u64,
    partitions: u32,
    keys: u64,
    contexts: u64,
    log_bytes: u64,
    trie_bytes: u64,
    in_flight: u32,
    requests: RequestCounts,
    repairs: u64,
    debts: Vec<DebtStatus>,
    hints_full: bool,
    shared: u32,
    in_step: u32,
    comparisons: Vec<ComparisonStatus>,
    hedges: u64,
    stood_in: u64,
    incomplete_partitions: u32,
    comparisons_done: u32,
    comparisons_needed: u32,
    open_gaps: u32,
    alarms: Vec<String>,
    gossip: GossipStatus,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "(u8, u32)", into = "(u8, u32)")]
struct SyncBody(SyncMode);

impl From<SyncBody> for (u8, u32) {
    fn from(body: SyncBody) -> (u8, u32) {
        sync_to_wire(body.0)
    }
}

impl TryFrom<(u8, u32)> for SyncBody {
    type Error = String;

    fn try_from((number, every_ms): (u8, u32)) -> Result<SyncBody, String> {
        sync_from_wire(number, every_ms).map(SyncBody).ok_or_else(|| format!("no sync mode has the number {number}"))
    }
}

impl From<Status> for StatusBody {
    fn from(Status { member, links, comparisons, gossip }: Status) -> StatusBody {
        StatusBody {
            links,
            member: member.member,
            name: member.name,
            address: member.address,
            cluster: member.cluster,
            start: member.start,
            version: member.version,
            sync: SyncBody(member.sync),
            uptime_ms: member.uptime_ms,
            partitions: member.partitions,
            keys: member.keys,
            contexts: member.contexts,
            log_bytes: member.log_bytes,
            trie_bytes: member.trie_bytes,
            in_flight: member.in_flight,
            requests: member.requests,
            repairs: member.repairs,
            debts: member.debts,
            hints_full: member.hints_full,
            shared: member.shared,
            in_step: member.in_step,
            comparisons,
            hedges: member.hedges,
            stood_in: member.stood_in,
            incomplete_partitions: member.incomplete_partitions,
            comparisons_done: member.comparisons_done,
            comparisons_needed: member.comparisons_needed,
            open_gaps: member.open_gaps,
            alarms: member.alarms,
            gossip,
        }
    }
}

impl From<StatusBody> for Status {
    fn from(body: StatusBody) -> Status {
        Status {
            links: body.links,
            comparisons: body.comparisons,
            member: MemberStatus {
                member: body.member,
                name: body.name,
                address: body.address,
                cluster: body.cluster,
                start: body.start,
                version: body.version,
                sync: body.sync.0,
                uptime_ms: body.uptime_ms,
                partitions: body.partitions,
                keys: body.keys,
                contexts: body.contexts,
                log_bytes: body.log_bytes,
                trie_bytes: body.trie_bytes,
                in_flight: body.in_flight,
                requests: body.requests,
                repairs: body.repairs,
                debts: body.debts,
                hints_full: body.hints_full,
                shared: body.shared,
                in_step: body.in_step,
                hedges: body.hedges,
                stood_in: body.stood_in,
                incomplete_partitions: body.incomplete_partitions,
                comparisons_done: body.comparisons_done,
                comparisons_needed: body.comparisons_needed,
                open_gaps: body.open_gaps,
                alarms: body.alarms,
            },
            gossip: body.gossip,
        }
    }
}
