//! Some seeds with every `cargo test`; `.ci/run` runs a thousand.

use sim::batch::run_seeds;
use sim::plan::Plant;
use sim::run::run;

#[test]
fn fifty_seeds_keep_every_promise() {
    let summary = run_seeds(0..50, 2, Plant::None, false, false);
    assert!(summary.objections().is_empty(), "{:?}: {:#?}", summary.objections(), summary.failures);
    assert!(summary.stats.conflicts > 0 && summary.stats.retried > 0 && summary.promises > 0, "too little was tried");
    assert!(summary.stats.expiring > 0 && summary.stats.dropped > 0, "too little has expired");
}

#[test]
fn one_seed_is_one_history() {
    for seed in [1, 7] {
        assert_eq!(run(seed, Plant::None, false).hash, run(seed, Plant::None, false).hash);
    }
}

#[test]
fn what_is_shown_after_its_time_and_what_comes_back_when_it_expires_are_found() {
    let found = |plant, words: &str| {
        let seeds = run_seeds(0..20, 2, plant, false, false);
        seeds.failures.values().flatten().any(|violation| violation.contains(words))
    };
    assert!(found(Plant::NoExpiry, "oracle x") && found(Plant::ExpiryUncovers, "replaced"));
}

#[test]
fn every_planted_bug_is_found() {
    for (name, plant) in Plant::ALL {
        // Owners that compare all the time make much good again, so that some take more seeds.
        let is_found = |first: u64| !run_seeds(first..first + 40, 2, plant, false, true).failures.is_empty();
        assert!((0..400).step_by(40).any(is_found), "nothing was noticed of {name}");
    }
}
