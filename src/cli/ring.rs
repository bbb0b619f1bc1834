//! `henge ring`: the members, their shares, and who owns what.

use super::key_path::whole_key;
use super::{Exit, Global, output};
use crate::client::Client;
use crate::gateway::json::{founder_json, member_lines, shares};
use crate::message::RingTable;
use crate::ring::{Founder, partition_of};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::json;

/// The flags of `henge ring`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Show the owners of this partition
    #[arg(short, long, value_name = "NUMBER", conflicts_with = "key")]
    partition: Option<u16>,
    /// Show the partition of this key and its owners
    #[arg(short, long)]
    key: Option<String>,
}

/// Connects and asks.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    run_on(args, &global.connect().await?, global.json).await
}

/// Asks for the ring, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    let table = client.ring_table().await?;
    let partitions = u16::try_from(table.owners.len()).ok().filter(|count| count.is_power_of_two());
    let partitions = partitions.ok_or_else(|| Exit::new(Exit::REFUSED, "the peer's ring is malformed; check its version"))?;
    match (&args.key, args.partition) {
        (Some(key), _) => show_owners(&table, partition_of(&whole_key(key)?, partitions).0, json),
        (None, Some(partition)) if partition < partitions => show_owners(&table, partition, json),
        (None, Some(partition)) => {
            let message = format!("there is no partition {partition}; they go from 0 to {}", partitions - 1);
            Err(Exit::new(Exit::USAGE, message))
        }
        (None, None) => show_ring(&table, json),
    }
}

fn show_owners(table: &RingTable, partition: u16, json: bool) -> Result<(), Exit> {
    let owners: Vec<&Founder> =
        table.owners[usize::from(partition)].iter().filter_map(|owner| table.members.get(usize::from(*owner))).collect();
    if json {
        let owners: Vec<_> = owners.iter().map(|owner| founder_json(owner)).collect();
        return output::print_line(json!({ "partition": partition, "owners": owners }));
    }
    output::print_line(format!("partition {partition} of {}", table.owners.len()))?;
    for (nth, owner) in (1..).zip(owners) {
        let zone = if owner.zone.is_empty() { String::new() } else { format!(" in zone {}", owner.zone) };
        output::print_line(format!("  owner {nth}: {} at {}{zone}", owner.name, owner.address))?;
    }
    Ok(())
}

fn show_ring(table: &RingTable, json: bool) -> Result<(), Exit> {
    if json {
        return member_lines(table).into_iter().try_for_each(output::print_line);
    }
    let mut shares: Vec<_> = table.members.iter().zip(shares(table)).collect();
    // As people count: peer-2 before peer-10.
    shares.sort_by(|(a, _), (b, _)| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    output::print_line(format!(
        "cluster {}: {} members, {} partitions, {} replicas of each key",
        table.cluster,
        table.members.len(),
        table.owners.len(),
        table.replicas
    ))?;
    let mut shown = Table::new();
    shown.load_preset(UTF8_FULL_CONDENSED).set_header([
        "peer",
        "address",
        "member",
        "zone",
        "weight",
        "partitions",
        "share",
        "first owner of",
    ]);
    let all: usize = shares.iter().map(|(_, (owned, _))| owned).sum();
    for (founder, (owned, first)) in shares {
        shown.add_row([
            founder.name.clone(),
            founder.address.clone(),
            founder.member.to_string().chars().take(8).collect(),
            founder.zone.clone(),
            founder.weight.to_string(),
            owned.to_string(),
            format!("{:.1} %", 100.0 * owned as f64 / all.max(1) as f64),
            first.to_string(),
        ]);
    }
    output::print_line(shown)
}
