//! `henge form`: makes a cluster of peers that stand by.

use super::{Exit, Global};
use crate::client::{Client, Options};
use crate::limits;
use crate::message::Description;
use crate::ring::{Change, ClusterId, Founder};
use std::collections::BTreeMap;

/// The flags of `henge form`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The founding peers, HOST:PORT each, as other peers reach them
    #[arg(required = true, value_name = "ADDR", value_delimiter = ',')]
    founders: Vec<String>,
    /// Replicas of each key (N)
    #[arg(long, default_value_t = limits::REPLICAS_DEFAULT, value_parser = clap::value_parser!(u8).range(1..=i64::from(limits::REPLICAS_MAX)))]
    replicas: u8,
    /// Partitions of the cluster: a power of two, fixed for ever
    #[arg(long, default_value_t = limits::PARTITIONS_DEFAULT, value_parser = parse_partitions)]
    partitions: u16,
}

/// Forms the cluster, and says what it did.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let formed = form(&args.founders, args.replicas, args.partitions, global.options()?).await?;
    let Change::Formed { cluster, partitions, replicas, founders, .. } = &formed.change;
    if global.json {
        println!(
            "{}",
            serde_json::json!({
                "cluster": cluster.to_string(), "replicas": replicas, "partitions": partitions,
                "peers": founders.len(), "new": formed.new, "taken_in": formed.taken_in,
            })
        );
        return Ok(());
    }
    match (formed.new, formed.taken_in.len()) {
        (true, count) => println!("cluster {cluster} formed: {count} peers, {replicas} replicas, {partitions} partitions"),
        (false, 0) => println!("cluster {cluster} had been formed already; nothing to do"),
        (false, _) => println!("cluster {cluster} had been formed already; now also known at {}", formed.taken_in.join(", ")),
    }
    Ok(())
}

/// What forming came to.
pub(super) struct Formed {
    /// Change 0.
    pub(super) change: Change,
    /// True if it was made just now.
    pub(super) new: bool,
    /// The peers that it was handed to just now.
    pub(super) taken_in: Vec<String>,
}

/// Asks every founder who it is; makes change 0, or finds it; hands it to all that lack it, one after the other: the first has it
/// durably before the second hears of it, so that whatever happens on the way, this can be repeated and comes to the same.
pub(super) async fn form(addresses: &[String], replicas: u8, partitions: u16, options: Options) -> Result<Formed, Exit> {
    if addresses.len() > limits::MEMBERS_MAX {
        return Err(Exit::new(Exit::USAGE, format!("a cluster has at most {} peers", limits::MEMBERS_MAX)));
    }
    let client = Client::connect(addresses, options).await?;
    let mut described = Vec::new();
    for address in addresses {
        let description = client
            .describe_at(address)
            .await
            .map_err(|failure| Exit::new(Exit::UNAVAILABLE, format!("{address}: {}; nothing has been formed", failure.message)))?;
        described.push((address.clone(), description));
    }
    check_distinct(&described)?;
    let (change, new) = match existing(&described)? {
        Some(change) => (change, false),
        None => (new_change(&described, replicas, partitions), true),
    };
    check_founders(&described, &change)?;
    let mut taken_in = Vec::new();
    for (address, description) in &described {
        if description.changes.is_empty() {
            client.form_at(address, change.clone()).await.map_err(|failure| broken_off(address, &taken_in, &failure.message))?;
            taken_in.push(address.clone());
        }
    }
    Ok(Formed { change, new, taken_in })
}

fn broken_off(address: &str, taken_in: &[String], message: &str) -> Exit {
    let so_far = if taken_in.is_empty() { "no peer has".to_string() } else { format!("{} have", taken_in.join(", ")) };
    Exit::new(
        Exit::UNAVAILABLE,
        format!("{address} has not taken the founding in: {message}; {so_far} taken it in; run the same command again"),
    )
}

/// Each founder is another member, and stands at another address.
fn check_distinct(described: &[(String, Description)]) -> Result<(), Exit> {
    let (mut members, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for (address, Description { founder, .. }) in described {
        if let Some(first) = members.insert(founder.member, address) {
            let message = format!("{first} and {address} are the same peer (member {}); name each peer once", founder.member);
            return Err(Exit::new(Exit::USAGE, message));
        }
        if let Some(first) = addresses.insert(&founder.address, address) {
            let message = format!(
                "{first} and {address} both say that they are reached at {}; start each with an --advertise of its own",
                founder.address
            );
            return Err(Exit::new(Exit::REFUSED, message));
        }
    }
    Ok(())
}

/// The change that some of them have already. None if no one has; refused if they differ.
fn existing(described: &[(String, Description)]) -> Result<Option<Change>, Exit> {
    let mut found: Option<(&String, &Change)> = None;
    for (address, description) in described {
        let Some(change) = description.changes.first() else { continue };
        match found {
            None => found = Some((address, change)),
            Some((first, known)) if cluster(known) != cluster(change) => {
                let message = format!(
                    "{first} belongs to cluster {} and {address} to cluster {}; a peer belongs to one cluster for ever: \
                     name the peers of one of them only",
                    cluster(known),
                    cluster(change)
                );
                return Err(Exit::new(Exit::REFUSED, message));
            }
            Some((first, known)) if known != change => {
                let message = format!(
                    "{first} and {address} have different foundings of cluster {}: one of their folders has been changed; look into both",
                    cluster(known)
                );
                return Err(Exit::new(Exit::REFUSED, message));
            }
            Some(_) => {}
        }
    }
    Ok(found.map(|(_, change)| change.clone()))
}

/// Those that are named are the founders of the cluster, or some of them.
fn check_founders(described: &[(String, Description)], change: &Change) -> Result<(), Exit> {
    let Change::Formed { cluster, founders, secret, .. } = change;
    for (address, Description { founder, changes, .. }) in described {
        if !founders.iter().any(|known| known.member == founder.member) {
            let message = format!(
                "{address} (member {}) is no founder of cluster {cluster}, which has been formed already; \
                 joining later is not possible yet: name its founders only, or form a new cluster of fresh peers",
                founder.member
            );
            return Err(Exit::new(Exit::REFUSED, message));
        }
        if changes.is_empty() && *secret == [0; 16] {
            let message = format!(
                "cluster {cluster} does not show its founding to this machine without proof, so {address} cannot be given it; \
                 use --secret-file, or run this on the machine of a peer"
            );
            return Err(Exit::new(Exit::REFUSED, message));
        }
    }
    Ok(())
}

fn cluster(change: &Change) -> ClusterId {
    let Change::Formed { cluster, .. } = change;
    *cluster
}

/// A fresh change 0. With fewer peers than replicas the number of replicas stays as asked: there is room to grow.
fn new_change(described: &[(String, Description)], replicas: u8, partitions: u16) -> Change {
    let founders: Vec<Founder> = described.iter().map(|(_, description)| description.founder.clone()).collect();
    Change::Formed {
        cluster: ClusterId(rand::random()),
        secret: rand::random(),
        partitions,
        replicas,
        placement_rule: limits::PLACEMENT_RULE,
        founders,
    }
}

pub(super) fn parse_partitions(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(count @ 1..=limits::PARTITIONS_MAX) if u16::is_power_of_two(count) => Ok(count),
        _ => Err(format!("the number of partitions is a power of two from 1 to {}", limits::PARTITIONS_MAX)),
    }
}
