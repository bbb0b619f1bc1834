//! What is said about a write that was acknowledged.

use super::options::show_sync;
use super::request_flags::WriteFlags;
use super::{Exit, output};
use crate::client::Client;
use crate::gateway::json::{Names, receipt_json};
use crate::message::{Ack, Receipt, SyncMode};
use crate::ring::MemberId;
use crate::vclock::Sealed;

/// Prints a receipt: as JSON, at length, or as one short line for somebody at a terminal. `did` is the past tense of the command.
pub(super) fn show(did: &str, key: &[u8], receipt: &Receipt, flags: &WriteFlags, client: &Client, json: bool) -> Result<(), Exit> {
    if json {
        let names = client.known_ring().map(|table| Names::of(&table)).unwrap_or_default();
        return output::print_line(receipt_json(key, receipt, &names));
    }
    let sync = weakest_sync(&receipt.acks).map_or(String::new(), |sync| format!(", sync {}", show_sync(sync)));
    let stood_in = match receipt.stood_in.len() {
        0 => String::new(),
        1 => ", one of them standing in for an owner that is down".to_string(),
        count => format!(", {count} of them standing in for owners that are down"),
    };
    let line = format!("{did} {}: stored by {} replicas{stood_in}{sync}", output::key_text(key), receipt.acks.len());
    if flags.verbose {
        output::remark(line);
        for ack in &receipt.acks {
            let stood_in = receipt.stood_in.iter().find(|stood_in| stood_in.member == ack.member);
            let for_whom = stood_in.map_or(String::new(), |stood_in| {
                let names: Vec<String> = stood_in.owed.iter().map(|owner| name_of(client, *owner)).collect();
                format!(", for {} until it is back", names.join(" and "))
            });
            output::remark(format!("  {} (sync {}{for_whom})", name_of(client, ack.member), show_sync(ack.sync)));
        }
        output::remark(format!("  coordinated by {}", name_of(client, receipt.coordinator.member)));
        output::remark(format!("  {} leaves written, {} versions replaced", receipt.dots.len(), receipt.covered.len()));
        output::remark(format!("  context {}", Sealed::to_text(&receipt.context)));
    } else {
        output::remark_at_terminal(line);
    }
    if flags.print_context {
        output::print_line(Sealed::to_text(&receipt.context))?;
    }
    Ok(())
}

/// What people call a member; the beginning of its id if the ring does not know it.
fn name_of(client: &Client, member: MemberId) -> String {
    let known = client.known_ring();
    let founder = known.as_ref().and_then(|table| table.members.iter().find(|founder| founder.member == member));
    founder.map_or_else(|| format!("{member:?}"), |founder| founder.name.clone())
}

/// The mode that promises least among the replicas that have stored it.
fn weakest_sync(acks: &[Ack]) -> Option<SyncMode> {
    acks.iter().map(|ack| ack.sync).max_by_key(|sync| match sync {
        SyncMode::Always => 0,
        SyncMode::Interval(ms) => u64::from(*ms),
        SyncMode::Never => u64::MAX,
    })
}
