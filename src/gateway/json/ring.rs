//! The members, their shares, and who owns what.

use crate::message::RingTable;
use crate::ring::Founder;
use serde_json::json;

/// A member as it was formed.
pub fn founder_json(founder: &Founder) -> serde_json::Value {
    json!({
        "name": founder.name, "address": founder.address, "member": founder.member.to_string(),
        "zone": founder.zone, "weight": founder.weight,
    })
}

/// For each member the partitions that it owns, and those of which it is the first owner.
pub fn shares(table: &RingTable) -> Vec<(usize, usize)> {
    let mut shares = vec![(0, 0); table.members.len()];
    for owners in &table.owners {
        for (nth, owner) in owners.iter().enumerate() {
            if let Some((owned, first)) = shares.get_mut(usize::from(*owner)) {
                *owned += 1;
                *first += usize::from(nth == 0);
            }
        }
    }
    shares
}

/// The members with their shares, as people count: peer-2 before peer-10.
pub fn member_lines(table: &RingTable) -> Vec<serde_json::Value> {
    let mut shares: Vec<_> = table.members.iter().zip(shares(table)).collect();
    shares.sort_by(|(a, _), (b, _)| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    let line = |(founder, (owned, first)): (&Founder, (usize, usize))| {
        let mut line = founder_json(founder);
        line["partitions"] = owned.into();
        line["first_owner_of"] = first.into();
        line
    };
    shares.into_iter().map(line).collect()
}

/// The whole ring: the members, and for each partition the names of its owners in order.
pub fn ring_json(table: &RingTable) -> serde_json::Value {
    let name = |owner: &u16| table.members.get(usize::from(*owner)).map(|founder| founder.name.as_str());
    let owners: Vec<Vec<_>> = table.owners.iter().map(|owners| owners.iter().filter_map(name).collect()).collect();
    json!({
        "cluster": table.cluster.to_string(),
        "replicas": table.replicas,
        "partitions": table.owners.len(),
        "members": member_lines(table),
        "owners": owners,
    })
}
