//! How even and how calm placement is, over members, weights and zones: prints a table and checks the bounds that can be attained.

use super::{Change, ClusterId, Founder, MemberId, Placement};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

const SEEDS: u64 = 3;

fn founders(count: usize, zones: usize, weights: &[u16], seed: u64) -> Vec<Founder> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|i| Founder {
            member: MemberId(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())),
            name: format!("peer-{i}"),
            address: format!("127.0.0.1:{}", 7401 + i),
            zone: format!("zone-{}", i % zones),
            // Every zone has all the weights.
            weight: weights[i / zones % weights.len()],
        })
        .collect()
}

fn placement(founders: &[Founder], partitions: u16, replicas: u8) -> Placement {
    Placement::from_changes(&[Change::Formed {
        cluster: ClusterId(1),
        secret: [0; 16],
        partitions,
        replicas,
        placement_rule: 1,
        founders: founders.to_vec(),
    }])
    .expect("a sound list of members")
}

/// Owner slots of `after` that their member had not in `before`, over the least that fair shares before and after ask for.
fn movement(before: &Placement, after: &Placement) -> f64 {
    let owns = |placement: &Placement| -> BTreeSet<(u16, MemberId)> {
        placement
            .partition_ids()
            .flat_map(|partition| {
                placement.owners(partition).iter().map(move |&owner| (partition.0, placement.member(owner).member))
            })
            .collect()
    };
    let moved = owns(after).difference(&owns(before)).count() as f64;
    let least: u64 = after
        .members()
        .iter()
        .zip(after.shares())
        .map(|(member, &share)| share - before.index_of(member.member).map_or(0, |index| before.shares()[index.place()]).min(share))
        .sum();
    if least == 0 { 1.0 + moved } else { moved * 65_536.0 / least as f64 }
}

#[test]
fn balance_and_movement_are_within_what_can_be_attained() {
    println!("peers weights zones     Q  Q*N/peers  balance  of best   add  remove");
    let mut failures = Vec::new();
    for peers in [3usize, 4, 5, 8, 10, 16, 32, 64, 100] {
        for weights in [&[1u16][..], &[1, 2], &[1, 2, 4]] {
            for zones in [1, 3, 5] {
                if zones > peers {
                    continue;
                }
                let q100 = (peers as u32 * 100).div_ceil(3).next_power_of_two() as u16;
                let q150 = (peers as u32 * 150).div_ceil(3).next_power_of_two() as u16;
                for partitions in BTreeSet::from([q100.min(4096), q150.min(4096), 256]) {
                    let (mut balance, mut of_best, mut add, mut remove) = (1f64, 1f64, 0f64, 0f64);
                    for seed in 0..SEEDS {
                        let all = founders(peers + 1, zones, weights, seed);
                        let more = placement(&all, partitions, 3);
                        let now = placement(&all[..peers], partitions, 3);
                        let less = placement(&all[..peers - 1], partitions, 3);
                        let report = now.balance();
                        balance = balance.min(1.0 / report.max_over_mean);
                        of_best = of_best.min(report.best / report.max_over_mean);
                        add = add.max(movement(&now, &more));
                        remove = remove.max(movement(&now, &less));
                    }
                    let slots = f64::from(partitions) * 3.0 / peers as f64;
                    println!(
                        "{peers:5} {:>7} {zones:5} {partitions:5} {slots:10.0}  {balance:7.3}  {of_best:7.3} {add:6.2} {remove:6.2}",
                        weights.len()
                    );
                    let wanted = if slots >= 150.0 { 0.95 } else { 0.9 };
                    if slots >= 100.0 && (of_best < wanted || add > 1.25 || remove > 1.25) {
                        failures.push((peers, weights.len(), zones, partitions));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}
