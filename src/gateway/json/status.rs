//! How a peer is.

use crate::message::{ComparisonStatus, DebtStatus, LinkStatus, Status, SyncMode, ViewState};
use crate::ring::MemberId;
use serde_json::json;
use std::collections::BTreeMap;

/// What is believed of a member, in a word.
pub fn state_text(state: ViewState) -> &'static str {
    match state {
        ViewState::Alive => "alive",
        ViewState::Suspect => "suspect",
        ViewState::Dead => "dead",
    }
}

/// How a log is synced, as the flag says it.
pub fn sync_text(sync: SyncMode) -> String {
    match sync {
        SyncMode::Always => "always".to_string(),
        SyncMode::Interval(ms) => format!("interval:{ms}"),
        SyncMode::Never => "never".to_string(),
    }
}

/// How the peer is that people call so, and reach there.
pub fn status_json(name: &str, address: &str, status: &Status) -> serde_json::Value {
    let Status { member, links, comparisons, gossip } = status;
    let views: BTreeMap<MemberId, _> = gossip.others.iter().map(|view| (view.member, view)).collect();
    let link = |link: &LinkStatus| match views.get(&link.member) {
        None => json!({ "name": link.name, "address": link.address, "up": link.up }),
        Some(view) => json!({
            "name": link.name,
            "address": link.address,
            "up": link.up,
            "state": state_text(view.state),
            "since_ms": view.since_ms,
            "start": view.start.0,
            "incarnation": view.incarnation,
            "incomplete": view.incomplete,
            "wall_offset_ms": view.wall_offset_ms,
        }),
    };
    let links: Vec<_> = links.iter().map(link).collect();
    let comparisons: Vec<_> = comparisons.iter().map(|comparison| comparison_json(comparison, status)).collect();
    json!({
        "name": name,
        "address": address,
        "state": if member.cluster.is_some() { "up" } else { "standing by" },
        "member": member.member.to_string(),
        "cluster": member.cluster.map(|cluster| cluster.to_string()),
        "start": member.start.0,
        "version": member.version,
        "sync": sync_text(member.sync),
        "uptime_ms": member.uptime_ms,
        "partitions": member.partitions,
        "keys": member.keys,
        "contexts": member.contexts,
        "log_bytes": member.log_bytes,
        "trie_bytes": member.trie_bytes,
        "in_flight": member.in_flight,
        "requests": member.requests,
        "repairs": member.repairs,
        "debts": member.debts.iter().map(debt_json).collect::<Vec<_>>(),
        "hints_full": member.hints_full,
        "shared": member.shared,
        "in_step": member.in_step,
        "hedges": member.hedges,
        "stood_in": member.stood_in,
        "incomplete_partitions": member.incomplete_partitions,
        "comparisons_done": member.comparisons_done,
        "comparisons_needed": member.comparisons_needed,
        "open_gaps": member.open_gaps,
        "alarms": member.alarms,
        "links": links,
        "comparisons": comparisons,
        "incarnation": gossip.incarnation,
        "local_health": gossip.local_health,
        "clock_trouble": gossip.clock_trouble,
    })
}

fn debt_json(debt: &DebtStatus) -> serde_json::Value {
    json!({
        "name": debt.name,
        "hints": debt.hints,
        "bytes": debt.bytes,
        "oldest_ms": debt.oldest_ms,
        "paid": debt.paid,
        "in_flight": debt.in_flight,
    })
}

fn comparison_json(comparison: &ComparisonStatus, status: &Status) -> serde_json::Value {
    let name = status.links.iter().find(|link| link.member == comparison.member).map(|link| link.name.as_str());
    json!({
        "name": name,
        "partitions": comparison.partitions,
        "in_step": comparison.in_step,
        "all_within_ms": comparison.all_within_ms,
        "pulls": comparison.pulls,
        "keys": comparison.keys,
        "sent_bytes": comparison.sent_bytes,
        "received_bytes": comparison.received_bytes,
    })
}
