//! What comparing two owners costs in bytes. `cargo bench --bench compare` prints the same for a million keys.

#[path = "harness/two_owners.rs"]
mod two_owners;

use two_owners::{Cost, TwoOwners, counted, scattered};

const KEYS: u64 = 100_000;

#[test]
fn equal_owners_compare_for_less_than_a_hundred_bytes_and_few_differences_cost_little() {
    for (kind, name) in [("counted", counted as fn(u64) -> String), ("scattered", scattered)] {
        let mut owners = TwoOwners::new(&format!("comparing-bytes-{kind}"));
        owners.fill((0..KEYS).map(name));
        let equal = owners.pull(0);
        assert!(equal.frames == 2 && equal.bytes < 100, "{equal:?}");
        let mut costs: Vec<(u64, Cost)> = Vec::new();
        for (count, bytes_max) in [(10, 8 << 10), (1_000, 300 << 10)] {
            owners.differ(count, KEYS, name);
            assert!(!owners.are_equal(), "else nothing is measured");
            let cost = owners.pull(0);
            assert!(owners.are_equal(), "{count} {kind} differences were not all found");
            assert!(cost.bytes < bytes_max, "{count} {kind} differences: {cost:?}");
            costs.push((count, cost));
        }
        println!("{kind}: equal {equal:?}, {costs:?}");
    }
}
