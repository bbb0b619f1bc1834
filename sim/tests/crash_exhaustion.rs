//! A slice of the crash exhaustion; `cargo sim crash` does all of it.

use sim::crash::{Extent, exhaust, lying_disk_is_noticed};

#[test]
fn what_was_synced_survives_every_crash_and_damage_is_refused() {
    let counts = exhaust(Extent::slice()).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{counts:#?}");
    // A slice that has shrunk to nothing would prove nothing.
    assert!(counts.subsets > 1_000 && counts.second_crashes > 1_000 && counts.torn > 1_000 && counts.faults > 1_000);
    assert!(
        counts.flips_refused > 1_000 && counts.flips_harmless > 1_000 && counts.flips_in_last_batch > 100 && counts.damages > 1_000
    );
    assert!(counts.healings > 1_000 && counts.healed > 100 && counts.healings - counts.healed > 100);
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_noticed() {
    assert!(lying_disk_is_noticed());
}
