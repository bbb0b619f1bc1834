//! What holds for every placement, on random lists of members; and which lists are refused.

use super::share::{self, Spread};
use super::{Change, ClusterId, Founder, MemberId, MemberIndex, PartitionId, Placement, PlacementError};
use crate::limits;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

fn founder(id: u128, zone: usize, weight: u16) -> Founder {
    Founder {
        member: MemberId(id),
        name: format!("peer-{id}"),
        address: format!("10.0.0.1:{id}"),
        zone: format!("zone-{zone}"),
        weight,
    }
}

fn formed(partitions: u16, replicas: u8, founders: Vec<Founder>) -> Change {
    Change::Formed { cluster: ClusterId(7), secret: [9; 16], partitions, replicas, placement_rule: 1, founders }
}

fn three() -> Vec<Founder> {
    (1..=3).map(|id| founder(id, 0, 1)).collect()
}

/// 1 to 40 members with distinct ids, 1 to 6 zones, weights over the whole range; 1 to 512 partitions; every number of replicas.
fn clusters() -> impl Strategy<Value = Change> {
    let members = prop::collection::btree_map(any::<u128>(), (0usize..6, prop_oneof![Just(1u16), 1u16..=4, 1u16..=64]), 1..40);
    (members, 0u32..=9, 1..=limits::REPLICAS_MAX).prop_map(|(members, bits, replicas)| {
        let founders = members.into_iter().map(|(id, (zone, weight))| founder(id, zone, weight)).collect();
        formed(1 << bits, replicas, founders)
    })
}

fn check(cases: u32, law: impl Fn(Change) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, random).run(&clusters(), law).unwrap();
}

#[test]
fn every_partition_has_exactly_its_owners_and_every_member_is_a_candidate_once() {
    check(100, |change| {
        let placement = Placement::from_changes(&[change]).unwrap();
        let members = placement.members().len();
        let everybody: BTreeSet<MemberIndex> = (0..members as u16).map(MemberIndex).collect();
        prop_assert_eq!(usize::from(placement.replicas()), members.min(usize::from(placement.replicas_wanted())));
        for partition in placement.partition_ids() {
            let (owners, stand_ins) = (placement.owners(partition), placement.stand_ins(partition));
            prop_assert_eq!(owners.len(), usize::from(placement.replicas()));
            prop_assert_eq!([owners, stand_ins].concat(), placement.candidates(partition));
            prop_assert_eq!(placement.candidates(partition).len(), members);
            prop_assert_eq!(&placement.candidates(partition).iter().copied().collect::<BTreeSet<_>>(), &everybody);
            for &member in &everybody {
                prop_assert_eq!(placement.is_owner(member, partition), owners.contains(&member));
            }
        }
        let owned: usize = everybody.iter().map(|&member| placement.partitions_of(member).count()).sum();
        prop_assert_eq!(owned, usize::from(placement.partitions()) * usize::from(placement.replicas()));
        Ok(())
    });
}

#[test]
fn owners_spread_over_the_zones_as_evenly_as_can_be() {
    check(100, |change| {
        let placement = Placement::from_changes(&[change]).unwrap();
        let mut sizes = BTreeMap::new();
        placement.members().iter().for_each(|member| *sizes.entry(&member.zone).or_insert(0usize) += 1);
        for partition in placement.partition_ids() {
            let mut owners: BTreeMap<&String, usize> = BTreeMap::new();
            placement.owners(partition).iter().for_each(|&owner| *owners.entry(&placement.member(owner).zone).or_default() += 1);
            prop_assert_eq!(owners.len(), sizes.len().min(usize::from(placement.replicas())));
            // No zone has two more than another that still has a member to give.
            for (zone, &size) in &sizes {
                let here = owners.get(zone).copied().unwrap_or(0);
                prop_assert!(here == size || owners.values().all(|&there| there <= here + 1));
            }
        }
        Ok(())
    });
}

#[test]
fn within_one_zone_nobody_is_above_its_bound() {
    check(100, |change| {
        let Change::Formed { partitions, replicas, mut founders, .. } = change;
        founders.iter_mut().for_each(|founder| founder.zone.clear());
        let placement = Placement::from_changes(&[formed(partitions, replicas, founders)]).unwrap();
        let spread = Spread::new(placement.members(), usize::from(replicas));
        let bounds = share::bounds(placement.members(), placement.shares(), &spread, partitions);
        for (member, bound) in (0..).map(MemberIndex).zip(bounds) {
            prop_assert!(placement.partitions_of(member).count() <= bound as usize, "{:?}", placement.member(member));
        }
        Ok(())
    });
}

#[test]
fn the_order_of_founders_and_what_people_call_them_do_not_matter() {
    check(30, |change| {
        let Change::Formed { partitions, replicas, mut founders, .. } = change.clone();
        founders.reverse();
        let reversed = Placement::from_changes(&[formed(partitions, replicas, founders.clone())]).unwrap();
        let placement = Placement::from_changes(&[change]).unwrap();
        prop_assert_eq!(&placement, &reversed);
        for founder in &mut founders {
            founder.name.push('x');
            founder.address.push('9');
        }
        let renamed = Placement::from_changes(&[formed(partitions, replicas, founders)]).unwrap();
        prop_assert!(placement.partition_ids().all(|partition| placement.candidates(partition) == renamed.candidates(partition)));
        Ok(())
    });
}

#[test]
fn fair_shares_are_by_weight_as_far_as_distinct_owners_and_zones_allow() {
    let shares = |partitions, founders: Vec<Founder>| -> Vec<f64> {
        let placement = Placement::from_changes(&[formed(partitions, 3, founders)]).unwrap();
        placement.shares().iter().map(|&share| (share as f64 / 655.36).round() / 100.0).collect()
    };
    let equal = (1..=4).map(|id| founder(id, 0, 1)).collect();
    assert_eq!(shares(256, equal), [192.0; 4]);
    let weighted = [1, 1, 2, 4, 4].iter().zip(1..).map(|(&weight, id)| founder(id, 0, weight)).collect();
    // Both of weight 4 would get 256 exactly.
    assert_eq!(shares(256, weighted), [64.0, 64.0, 128.0, 256.0, 256.0]);
    let heavy = [1, 1, 1, 9].iter().zip(1..).map(|(&weight, id)| founder(id, 0, weight)).collect();
    // The heavy one cannot own a partition twice: the others share the rest.
    assert_eq!(shares(256, heavy), [170.67, 170.67, 170.67, 256.0]);
    let alone = [0, 1, 1, 2, 2].iter().zip(1..).map(|(&zone, id)| founder(id, zone, 1)).collect();
    // Alone in one of three zones: distinct zones come before weights.
    assert_eq!(shares(256, alone), [256.0, 128.0, 128.0, 128.0, 128.0]);
}

#[test]
fn a_golden_placement_stays_for_ever() {
    let founders =
        (1..=5).map(|id| founder(id * 0x0123_4567_89ab_cdef_0011_2233_4455_6677, (id % 2) as usize, id as u16)).collect();
    let placement = Placement::from_changes(&[formed(8, 3, founders)]).unwrap();
    let rows: Vec<Vec<u16>> = placement
        .partition_ids()
        .map(|partition| placement.candidates(partition).iter().map(|member| member.0).collect())
        .collect();
    assert_eq!(rows, GOLDEN);
}

/// Of placement rule 1. Another rule needs another number; this table stays.
const GOLDEN: [[u16; 5]; 8] = [
    [4, 1, 3, 0, 2],
    [4, 0, 3, 1, 2],
    [2, 3, 4, 1, 0],
    [3, 4, 2, 1, 0],
    [4, 1, 3, 2, 0],
    [3, 2, 4, 1, 0],
    [3, 2, 0, 1, 4],
    [4, 2, 3, 1, 0],
];

#[test]
fn members_are_found_by_id_and_keys_by_partition() {
    let placement = Placement::from_changes(&[formed(256, 3, three())]).unwrap();
    assert_eq!(placement.index_of(MemberId(2)), Some(MemberIndex(1)));
    assert_eq!(placement.index_of(MemberId(4)), None);
    assert_eq!(placement.partition(b"{a}b"), placement.partition(b"a"));
    assert_eq!((placement.cluster(), placement.secret()), (ClusterId(7), &[9; 16]));
    assert!(!format!("{placement:?}").contains("secret"));
}

#[test]
fn a_cluster_of_one_owns_everything() {
    let placement = Placement::from_changes(&[formed(1, 3, vec![founder(1, 0, 64)])]).unwrap();
    assert_eq!((placement.replicas(), placement.replicas_wanted()), (1, 3));
    assert_eq!(placement.owners(PartitionId(0)), [MemberIndex(0)]);
    assert_eq!(placement.balance().partitions_advised, Some(128));
}

#[test]
fn a_larger_number_of_partitions_is_advised_when_slots_are_few() {
    let balance = |partitions, members: u128| {
        Placement::from_changes(&[formed(partitions, 3, (1..=members).map(|id| founder(id, 0, 1)).collect())]).unwrap().balance()
    };
    assert_eq!(balance(256, 7).partitions_advised, None);
    assert_eq!(balance(256, 8).partitions_advised, Some(512));
    assert_eq!(balance(4_096, 200).partitions_advised, None, "there is no larger one");
    assert_eq!(balance(256, 8).slots_per_member, 96.0);
}

#[test]
fn an_unsound_list_of_changes_is_refused() {
    let sound = || formed(256, 3, three());
    let refused = |changes: &[Change]| Placement::from_changes(changes).unwrap_err();
    assert_eq!(refused(&[]), PlacementError::NotFormed);
    assert_eq!(refused(&[sound(), sound()]), PlacementError::FormedAgain { at: 1 });
    let Change::Formed { cluster, secret, partitions, replicas, founders, .. } = sound();
    let newer = Change::Formed { cluster, secret, partitions, replicas, placement_rule: 2, founders };
    assert_eq!(refused(&[newer]), PlacementError::UnknownRule(2));
    for partitions in [0, 3, 255, 8_192, u16::MAX] {
        assert_eq!(refused(&[formed(partitions, 3, three())]), PlacementError::Partitions(partitions));
    }
    for replicas in [0, limits::REPLICAS_MAX + 1, u8::MAX] {
        assert_eq!(refused(&[formed(256, replicas, three())]), PlacementError::Replicas(replicas));
    }
    assert_eq!(refused(&[formed(256, 3, Vec::new())]), PlacementError::Members(0));
    let crowd = (0..=limits::MEMBERS_MAX as u128).map(|id| founder(id, 0, 1)).collect();
    assert_eq!(refused(&[formed(256, 3, crowd)]), PlacementError::Members(limits::MEMBERS_MAX + 1));
}

#[test]
fn an_unsound_member_is_refused() {
    let refused = |change: &dyn Fn(&mut Founder)| {
        let mut founders = three();
        change(&mut founders[2]);
        Placement::from_changes(&[formed(256, 3, founders)]).unwrap_err()
    };
    let text = |what, min, max| PlacementError::Text { what, member: MemberId(3), min, max };
    assert_eq!(refused(&|founder| founder.member = MemberId(1)), PlacementError::MemberTwice(MemberId(1)));
    assert_eq!(refused(&|founder| founder.address = "10.0.0.1:1".into()), PlacementError::AddressTwice("10.0.0.1:1".into()));
    for weight in [0, limits::WEIGHT_MAX + 1, u16::MAX] {
        assert_eq!(refused(&|founder| founder.weight = weight), PlacementError::Weight { member: MemberId(3), weight });
    }
    for name in ["", &"n".repeat(65), "line\nbreak"] {
        assert_eq!(refused(&|founder| founder.name = name.into()), text("name", 1, 64));
    }
    for address in ["", &"a".repeat(262)] {
        assert_eq!(refused(&|founder| founder.address = address.into()), text("address", 1, 261));
    }
    assert_eq!(refused(&|founder| founder.zone = "z".repeat(65)), text("zone", 0, 64));
    let heavy = (0..129).map(|id| founder(id, 0, 64)).collect();
    assert_eq!(Placement::from_changes(&[formed(256, 3, heavy)]).unwrap_err(), PlacementError::Weights(129 * 64));
}
