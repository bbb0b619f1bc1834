//! What comparing two owners of a partition of a million keys costs, in bytes and frames of both directions, headers included.
//!
//! `cargo bench --bench compare [-- KEYS]`

#[path = "../tests/harness/two_owners.rs"]
mod two_owners;

use std::time::Instant;
use two_owners::{TwoOwners, counted, scattered};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let keys: u64 = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    println!(
        "{:<10} {:>12} {:>12} {:>8} {:>10}   of {keys} keys in one partition",
        "keys", "differences", "bytes", "frames", "ms of CPU"
    );
    for (kind, name) in [("counted", counted as fn(u64) -> String), ("scattered", scattered)] {
        let mut owners = TwoOwners::new(&format!("bench-compare-{kind}"));
        owners.fill((0..keys).map(name));
        for count in [0, 10, 100, 1_000, 10_000].into_iter().filter(|count| *count <= keys) {
            if count > 0 {
                owners.differ(count, keys, name);
            }
            let begin = Instant::now();
            let cost = owners.pull(0);
            let ms = begin.elapsed().as_secs_f64() * 1_000.0;
            assert!(owners.are_equal(), "{count} differences were not all found");
            println!("{kind:<10} {count:>12} {:>12} {:>8} {ms:>10.2}", cost.bytes, cost.frames);
        }
    }
}
