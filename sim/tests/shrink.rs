//! Shrinking, tried with bugs that are planted: what is left still shows them, is much less, and without it all is well.

use sim::conversation::Telling;
use sim::plan::Plant;
use sim::run::Case;
use sim::schedule::{Kind, Selection};
use sim::shrink::{Limit, shrink};
use std::time::Duration;

/// However slow the machine is, it is the runs that are bounded.
const LIMIT: Limit = Limit { runs: 80, time: Duration::from_secs(3_600) };

/// The first seed that finds the bug and in which there is much to leave out.
fn failing(plant: Plant) -> Case {
    let is_rich = |case: &Case| {
        let report = case.run(Telling::Nothing);
        let faults = report.schedule.iter().filter(|occurrence| occurrence.name.0 != Kind::Client).count();
        !report.violations.is_empty() && faults >= 30
    };
    (0..100).map(|seed| Case::of(seed, plant)).find(is_rich).expect("the bug is found")
}

#[test]
fn what_is_left_of_a_failing_seed_shows_the_same_with_few_faults_and_without_them_all_is_well() {
    for plant in [Plant::LyingSync, Plant::EarlyRelease] {
        let case = failing(plant);
        let before = case.run(Telling::Nothing);
        let shrunk = shrink(&case, LIMIT).expect("it fails");
        assert_eq!(shrunk.report.violations[0].oracle, before.violations[0].oracle);
        assert!(shrunk.faults().count() <= 5 && shrunk.faults_before >= 30, "{plant:?}: {:?}", shrunk.report.schedule);
        assert!(shrunk.faults().all(|fault| !fault.words.is_empty()) && shrunk.runs <= LIMIT.runs);

        // The line that is printed says all of it.
        let again = shrunk.case.run(Telling::Nothing);
        assert_eq!((again.hash, &again.violations), (shrunk.report.hash, &shrunk.report.violations));
        // Nothing goes wrong by itself.
        let calm = Case { selection: Selection::no_faults(), ..case }.run(Telling::Nothing);
        assert!(calm.violations.is_empty() && calm.stats.acked > 0, "{plant:?}: {:?}", calm.violations);
        assert!(calm.schedule.iter().all(|occurrence| occurrence.name.0 == Kind::Client), "{:?}", calm.schedule);
    }
}

#[test]
fn a_seed_that_keeps_every_promise_is_not_made_small() {
    assert!(shrink(&Case::of(0, Plant::None), LIMIT).is_none());
}

#[test]
fn a_fault_that_is_left_out_leaves_the_others_what_they_are() {
    // Links are cut at times and for lengths of their own, whoever crashes meanwhile.
    let cuts = |selection: Selection| {
        let report = Case { selection, ..Case::of(3, Plant::None) }.run(Telling::Nothing);
        let cuts = report.schedule.into_iter().filter(|occurrence| matches!(occurrence.name.0, Kind::Pause | Kind::Cut));
        cuts.map(|occurrence| (occurrence.name, occurrence.words)).collect::<Vec<_>>()
    };
    let all = cuts(Selection::default());
    let without =
        |kinds: &str| Selection { without: kinds.parse::<sim::schedule::Listed>().expect("a list").0, ..Selection::default() };
    assert!(all.len() > 2);
    assert_eq!(all, cuts(without("crash:1,loss,duplicate:2")));
}
