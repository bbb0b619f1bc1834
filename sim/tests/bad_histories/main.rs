//! The judge is judged, too: each trial is a small history that the oracles must accept, and the same history with one fact changed, which
//! they must refuse, in the words of the right oracle and for no other reason.
//!
//! A trial reads like a story; `either(right, wrong)` is the one fact. What is tried here: the oracles over a history (`siblings`, `reads`),
//! those over versions and dots (`dots`, `expiry`), the shadow of a peer (`durability`), and the verdict on what real processes said.

mod back;
mod dots;
mod durability;
mod expiry;
mod final_state;
mod lost;
mod phantoms;
mod quorum_reads;
mod session;
mod story;
mod versions;
mod views;

use sim::oracle::Violation;
use std::collections::BTreeSet;
use story::Story;

/// One way to be wrong.
pub struct Trial {
    /// What is wrong.
    pub way: &'static str,
    /// Who must say so, and a part of what it must say. Whatever else is said fails the trial.
    pub said: &'static [(&'static str, &'static str)],
    /// The story.
    pub story: fn(&mut Story),
}

fn trials() -> impl Iterator<Item = &'static Trial> {
    [
        lost::TRIALS,
        back::TRIALS,
        phantoms::TRIALS,
        dots::TRIALS,
        quorum_reads::TRIALS,
        session::TRIALS,
        durability::TRIALS,
        expiry::TRIALS,
        final_state::TRIALS,
        views::TRIALS,
    ]
    .into_iter()
    .flatten()
}

fn verdict(trial: &Trial, is_wrong: bool) -> Vec<Violation> {
    let mut story = Story::new(is_wrong);
    (trial.story)(&mut story);
    assert_eq!(story.choices(), 1, "a good history and a bad one differ in one fact: {}", trial.way);
    story.judge()
}

/// What is wrong with the verdict on what is wrong.
fn misjudged(trial: &Trial) -> Option<String> {
    let violations = verdict(trial, true);
    let says = |violation: &Violation, (oracle, what): &(&str, &str)| violation.oracle == *oracle && violation.what.contains(what);
    let unsaid = trial.said.iter().filter(|said| !violations.iter().any(|violation| says(violation, said))).count();
    let besides = violations.iter().filter(|violation| !trial.said.iter().any(|said| says(violation, said))).count();
    let is_right = unsaid == 0 && besides == 0;
    (!is_right).then(|| format!("{}: {unsaid} things unsaid, {besides} said besides: {violations:?}", trial.way))
}

#[test]
fn what_is_right_in_every_trial_is_accepted() {
    for trial in trials() {
        let violations = verdict(trial, false);
        assert!(violations.is_empty(), "the good twin of: {}: {violations:#?}", trial.way);
    }
}

#[test]
fn what_is_wrong_in_every_trial_is_refused_by_the_right_oracle_and_for_no_other_reason() {
    let failed: Vec<String> = trials().filter_map(misjudged).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn there_are_many_ways_to_be_wrong_and_each_is_told_once() {
    let ways: BTreeSet<_> = trials().map(|trial| trial.way).collect();
    assert_eq!(ways.len(), trials().count());
    assert!(ways.len() >= 30 && trials().all(|trial| !trial.said.is_empty()), "{}", ways.len());
}

#[test]
fn every_oracle_that_judges_a_history_has_refused_one() {
    let heard: BTreeSet<_> = trials().flat_map(|trial| trial.said).map(|(oracle, _)| *oracle).collect();
    let judges = [
        "a",
        "a′",
        "a″",
        "b: blind write",
        "b: false sibling",
        "b: phantom",
        "b: resurrected",
        "b: scope",
        "b: swallowed",
        "c",
        "d",
        "e",
        "m",
        "x",
    ];
    assert_eq!(heard, BTreeSet::from(judges));
}
