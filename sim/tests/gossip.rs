//! A small version of the table of `cargo sim gossip`.

use sim::gossip::{Trouble, false_deaths, quiet_bytes, true_deaths};

#[test]
fn what_the_gossip_costs_when_quiet_does_not_grow_with_the_number_of_peers() {
    let [few, more] = [5, 40].map(|count| quiet_bytes(count, 1));
    assert!(few > 20.0 && more <= few * 1.5 && few <= more * 1.5, "{few} and {more} bytes a second");
}

#[test]
fn every_death_comes_to_be_known_to_all() {
    for count in [5, 40] {
        let deaths = true_deaths(count, 10, 1);
        assert!(deaths.known >= 9, "{deaths:?}: one of them may have come back before");
        assert!(deaths.p99_ms < 30_000, "{deaths:?}");
    }
}

#[test]
fn few_are_declared_dead_who_are_there_and_local_health_is_what_does_it() {
    assert_eq!(false_deaths(40, Trouble::Loss(0.05), true, 1.0, 1).healthy, 0);
    let [with, without] = [true, false].map(|health| false_deaths(40, Trouble::Starved, health, 2.0, 1));
    assert!(with.healthy == 0 && with.starved < without.starved, "{with:?} with, {without:?} without");
}
