//! The world is sound with its rules, and unsound without any one of them.

use super::world::{self, Rule, World};

/// Finds a violation in the first `seeds` random runs with the rule broken. That the very same runs are sound otherwise is
/// what `random_worlds_…` shows: no rule may ask for more seeds than that.
fn random_runs_need(rule: Rule, seeds: u64) {
    assert!(seeds <= SOUND);
    let found = (0..seeds).find_map(|seed| World::new(seed, Some(rule)).run().map(|bad| (seed, bad)));
    let (seed, bad) = found.unwrap_or_else(|| panic!("{seeds} seeds did not notice that {rule:?} is broken"));
    println!("{rule:?} broken: seed {seed}: {bad}");
}

/// The same for a window that random runs hardly ever hit.
fn a_directed_run_needs(rule: Rule, run: fn(Option<Rule>) -> Option<String>) {
    assert_eq!(run(None), None);
    let bad = run(Some(rule)).unwrap_or_else(|| panic!("the directed run did not notice that {rule:?} is broken"));
    println!("{rule:?} broken: {bad}");
}

const SOUND: u64 = 2_500;

#[test]
fn random_worlds_lose_nothing_bring_nothing_back_and_keep_nothing_of_what_is_deleted() {
    let (mut siblings, mut absent, mut closed, mut disasters) = (0, 0, 0, 0);
    for seed in 0..SOUND {
        let mut world = World::new(seed, None);
        assert_eq!(world.run(), None, "seed {seed}");
        siblings += u64::from(world.had_siblings);
        (closed, disasters) = (closed + world.closed, disasters + world.disasters);
        assert_eq!(world.leftover(), None, "seed {seed}");
        absent += world.absent();
    }
    let share = siblings * 100 / SOUND;
    println!(
        "{SOUND} worlds, {share} % had siblings; {absent} keys deleted for good, {closed} ranges closed, {disasters} disasters"
    );
    assert!(share >= 50 && absent >= 500 && closed >= 100 && disasters >= 300, "these worlds are too tame to show anything");
}

#[test]
fn a_new_dot_must_not_claim_the_earlier_ones_of_its_actor() {
    random_runs_need(Rule::VvOnly, 50);
}

#[test]
fn a_clock_must_not_take_in_the_context_of_an_entry() {
    random_runs_need(Rule::AddContext, 50);
}

#[test]
fn a_stand_in_must_not_speak_with_a_clock() {
    random_runs_need(Rule::StandinClock, 500);
}

#[test]
fn a_start_must_have_a_number_of_its_own() {
    random_runs_need(Rule::NoStart, 1_000);
}

#[test]
fn after_a_power_cut_the_last_range_must_stay_open() {
    random_runs_need(Rule::SkipSeen, 2_500);
}

#[test]
fn a_store_with_a_hole_must_not_keep_its_clock() {
    random_runs_need(Rule::HoleClock, 500);
}

#[test]
fn the_survivors_of_a_hole_must_not_be_filled_from_the_old_clock() {
    random_runs_need(Rule::HoleFill, 500);
}

#[test]
fn a_clock_must_not_be_taken_over_before_every_key_has_been_compared() {
    random_runs_need(Rule::EarlyTakeover, 50);
}

#[test]
fn what_arrived_during_a_comparison_must_be_looked_at_again() {
    a_directed_run_needs(Rule::LateTakeover, world::late_arrival);
}

#[test]
fn a_comparison_must_not_outlive_the_stores_it_began_with() {
    random_runs_need(Rule::StaleTakeover, 2_500);
}

#[test]
fn explicit_contexts_must_be_exchanged_where_the_live_dots_are_equal() {
    a_directed_run_needs(Rule::SkipContexts, world::delete_before_write);
}

#[test]
fn counters_must_outlive_a_dropped_partition() {
    random_runs_need(Rule::DropCounter, 100);
}

#[test]
fn a_patch_must_know_which_leaf_each_dot_belongs_to() {
    random_runs_need(Rule::BlindPatch, 500);
}

#[test]
fn a_patch_must_not_travel_with_a_filled_context() {
    random_runs_need(Rule::FilledPatch, 50);
}

#[test]
fn a_write_without_a_context_must_cover_what_its_replicas_name() {
    random_runs_need(Rule::BlindDelete, 50);
}

#[test]
fn messages_of_a_start_whose_gaps_are_closed_must_be_refused() {
    a_directed_run_needs(Rule::NoFence, world::write_of_an_ended_start);
}

#[test]
fn gaps_must_stay_open_while_a_stand_in_holds_a_dot_of_them() {
    a_directed_run_needs(Rule::CloseEarly, world::hint_of_an_ended_start);
}
