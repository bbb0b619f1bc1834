//! What a core of this machine simulates in a second, with so many peers, all oracles and codecs on.

use crate::batch::replay_line;
use crate::plan::{Plan, Plant};
use crate::run::{Case, run_plan};
use std::ops::Range;
use std::time::Instant;

/// Partitions of a cluster of so many peers that the owners of some keys are to be told from those of others.
const PARTITIONS_OF_MANY: u16 = 256;
/// From so many peers on.
const MANY: usize = 16;

/// The plan of a seed, with so many peers, and clients and keys to go with them.
pub fn sized(seed: u64, peers: usize) -> Plan {
    let mut plan = Plan::draw(seed, Plant::None);
    plan.peers = peers;
    plan.replicas = plan.replicas.max(3).min(peers as u8);
    plan.clients.count = plan.clients.count.max(peers as u64);
    plan.clients.keys = plan.clients.keys.max((3 * peers) as u16);
    if peers >= MANY {
        plan.partitions = PARTITIONS_OF_MANY;
    }
    plan
}

/// Runs these seeds with so many peers on one thread, and prints what came of it. True if no promise was broken.
pub fn measure(seeds: &Range<u64>, peers: usize) -> bool {
    let (begin, mut failed) = (Instant::now(), 0);
    let (mut events, mut acked, mut time) = (0, 0, 0);
    for seed in seeds.clone() {
        let report = run_plan(sized(seed, peers), false);
        (events, acked, time) = (events + report.events, acked + report.stats.acked, time + report.time);
        if let Some(violation) = report.violations.first() {
            failed += 1;
            println!(
                "seed {seed} with {peers} peers: {violation}; this size is not replayed by `{}`",
                replay_line(&Case::of(seed, Plant::None))
            );
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{peers} peers, {} seeds, one thread: {events} events ({:.0} a second), {acked} writes acknowledged ({:.0} a second), \
         {:.0} s simulated in {seconds:.1} s; load {}",
        seeds.end - seeds.start,
        events as f64 / seconds,
        acked as f64 / seconds,
        time as f64 / 1e6,
        load.split(' ').next().unwrap_or("not known")
    );
    failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_fifty_keeps_every_promise_and_comes_to_rest() {
        let report = run_plan(sized(7, 50), false);
        assert_eq!(report.violations, []);
        assert!(report.stats.acked > 1_000, "{} writes were acknowledged", report.stats.acked);
    }
}
