//! Oracle g: every partition has as many owners as there are to be, distinct ones, spread over the zones as evenly as can be; and whoever stands
//! in for them is none of them.

use super::Violation;
use henge::ring::{MemberIndex, PartitionId, Placement};
use std::collections::{BTreeMap, BTreeSet};

/// Judges the owners and stand-ins of all partitions.
pub fn judge(placement: &Placement) -> Vec<Violation> {
    placement.partition_ids().flat_map(|partition| judge_partition(placement, partition)).collect()
}

fn judge_partition(placement: &Placement, partition: PartitionId) -> Vec<Violation> {
    let (owners, stand_ins) = (placement.owners(partition), placement.stand_ins(partition));
    let names = |members: &[MemberIndex]| members.iter().map(|member| placement.member(*member).name.clone()).collect::<Vec<_>>();
    let told = format!("partition {}: owners {:?}, stand-ins {:?}", partition.0, names(owners), names(stand_ins));
    let violation = |what: &str| Violation::new("g", format!("{told}: {what}"));
    let mut violations = Vec::new();
    let wanted = usize::from(placement.replicas_wanted()).min(placement.members().len());
    let distinct: BTreeSet<usize> = owners.iter().map(|owner| owner.place()).collect();
    if owners.len() != wanted || distinct.len() != wanted {
        violations.push(violation(&format!("there are to be {wanted} owners")));
    }
    let all: BTreeSet<usize> = owners.iter().chain(stand_ins).map(|member| member.place()).collect();
    if all.len() != owners.len() + stand_ins.len() || all.len() != placement.members().len() {
        violations.push(violation("every member is to be listed once"));
    }
    // By zone: its members, and how many of them are owners.
    let mut zones: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    placement.members().iter().for_each(|member| zones.entry(&member.zone).or_default().0 += 1);
    owners.iter().for_each(|owner| zones.entry(&placement.member(*owner).zone).or_default().1 += 1);
    let most = zones.values().map(|zone| zone.1).max().unwrap_or_default();
    if zones.values().any(|(members, owners)| owners + 1 < most && owners < members) {
        violations.push(violation(&format!("the zones are not even: {zones:?}")));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use henge::ring::{Change, ClusterId, Founder, MemberId};

    fn placement(zones: &[&str], replicas: u8) -> Placement {
        let founder = |(n, zone): (usize, &&str)| Founder {
            member: MemberId(n as u128 + 1),
            name: format!("peer {n}"),
            address: format!("peer-{n}:7400"),
            zone: zone.to_string(),
            weight: 1,
        };
        let founders = zones.iter().enumerate().map(founder).collect();
        let change =
            Change::Formed { cluster: ClusterId(1), secret: [7; 16], partitions: 64, replicas, placement_rule: 1, founders };
        Placement::from_changes(&[change]).expect("a cluster that can be")
    }

    #[test]
    fn every_placement_of_a_few_members_is_right() {
        for zones in [&["a"; 5][..], &["a", "b", "c"], &["a", "a", "a", "b"], &["a", "a", "b", "b", "c", "c", "c"], &["a"]] {
            for replicas in [1, 2, 3, 5] {
                assert_eq!(judge(&placement(zones, replicas)), [], "{zones:?}, N = {replicas}");
            }
        }
    }
}
