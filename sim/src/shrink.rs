//! A failing seed made small: of all that goes wrong in it, the few faults without which the same oracle does not object.
//!
//! That is delta debugging (ddmin: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, IEEE TSE 28(2), 2002): whole kinds are left
//! out first, then parts of what is left, in halves, quarters, and so on, until nothing can be left out any more, or too much has been
//! tried. Every try is a whole run, in which only what is chosen happens.

use crate::conversation::Telling;
use crate::run::{Case, Report};
use crate::schedule::{Kind, Name, Numbers, Occurrence, Selection};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// So many runs at most.
    pub runs: u32,
    /// So long at most: no run is begun after that.
    pub time: Duration,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit { runs: 600, time: Duration::from_secs(60) }
    }
}

/// A failing seed, and what is left of it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The seed with what is left.
    pub case: Case,
    /// What becomes of that.
    pub report: Report,
    /// The faults that went wrong before: how many, clients not among them.
    pub faults_before: usize,
    /// The clients before.
    pub clients_before: usize,
    /// How many runs it took.
    pub runs: u32,
    /// False if nothing more can be left out: each fault that is left is needed. True if the limit was reached.
    pub is_cut_short: bool,
}

impl Shrunk {
    /// The faults that are left.
    pub fn faults(&self) -> impl Iterator<Item = &Occurrence> {
        self.report.schedule.iter().filter(|occurrence| occurrence.name.0 != Kind::Client)
    }

    /// How many clients are left.
    pub fn clients(&self) -> usize {
        self.report.schedule.len() - self.faults().count()
    }
}

/// Makes a case small that breaks a promise; none if it breaks none.
pub fn shrink(case: &Case, limit: Limit) -> Option<Shrunk> {
    let begin = Instant::now();
    let report = case.run(Telling::Nothing);
    let oracle = report.violations.first()?.oracle;
    let names = names_of(&report);
    let is_client = |name: &Name| name.0 == Kind::Client;
    let clients_before = names.iter().filter(|name| is_client(name)).count();
    let faults_before = names.len() - clients_before;
    let mut search = Search { case, oracle, limit, begin, runs: 1, best: (case.selection.clone(), report), is_cut_short: false };
    // Only what has happened is let happen again; if that is another story, because something happens now that did not, all is left as it was.
    if search.fails(&names).is_some() {
        search.without_whole_kinds();
        search.without_parts();
    }
    let (mut selection, report) = search.best;
    let is_client = |occurrence: &&Occurrence| occurrence.name.0 == Kind::Client;
    if report.schedule.iter().filter(is_client).count() == clients_before
        && let Some(only) = &mut selection.only
    {
        // All of them are there where none is named.
        only.remove(&Kind::Client);
    }
    let case = Case { selection, ..case.clone() };
    Some(Shrunk { case, report, faults_before, clients_before, runs: search.runs, is_cut_short: search.is_cut_short })
}

fn names_of(report: &Report) -> Vec<Name> {
    let names: BTreeSet<Name> = report.schedule.iter().map(|occurrence| occurrence.name).collect();
    names.into_iter().collect()
}

struct Search<'a> {
    case: &'a Case,
    oracle: &'static str,
    limit: Limit,
    begin: Instant,
    runs: u32,
    best: (Selection, Report),
    is_cut_short: bool,
}

impl Search<'_> {
    /// True if the same oracle objects when only these happen. Then they are the best that is known, but for those that did not happen at all.
    fn fails(&mut self, names: &[Name]) -> Option<Vec<Name>> {
        if self.runs >= self.limit.runs || self.begin.elapsed() > self.limit.time {
            self.is_cut_short = true;
            return None;
        }
        self.runs += 1;
        let selection = selection_of(names);
        let report = Case { selection: selection.clone(), ..self.case.clone() }.run(Telling::Nothing);
        if !report.violations.iter().any(|violation| violation.oracle == self.oracle) {
            return None;
        }
        let happened = names_of(&report);
        // What has not happened is not named: the run is the same without it.
        self.best = (selection_of(&happened), report);
        Some(happened)
    }

    fn best_names(&self) -> Vec<Name> {
        names_of(&self.best.1)
    }

    /// No fault at all; then without one kind after the other, those first that occur most often.
    fn without_whole_kinds(&mut self) {
        let clients: Vec<Name> = self.best_names().into_iter().filter(|name| name.0 == Kind::Client).collect();
        if self.fails(&clients).is_some() {
            return;
        }
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        self.best_names().into_iter().for_each(|(kind, _)| *counts.entry(kind).or_default() += 1);
        let mut kinds: Vec<(usize, Kind)> =
            counts.into_iter().filter(|(kind, _)| *kind != Kind::Client).map(|(k, n)| (n, k)).collect();
        kinds.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        for (_, kind) in kinds {
            let without: Vec<Name> = self.best_names().into_iter().filter(|name| name.0 != kind).collect();
            if without.len() < self.best_names().len() {
                self.fails(&without);
            }
        }
    }

    /// Complements of smaller and smaller parts.
    fn without_parts(&mut self) {
        let mut parts = 2;
        loop {
            let names = self.best_names();
            if names.len() < 2 {
                return self.without_the_last(&names);
            }
            parts = parts.min(names.len());
            let length = names.len().div_ceil(parts);
            let is_smaller = (0..names.len()).step_by(length).any(|first| {
                let end = (first + length).min(names.len());
                let rest: Vec<Name> = names[..first].iter().chain(&names[end..]).copied().collect();
                self.fails(&rest).is_some_and(|left| left.len() < names.len())
            });
            if self.is_cut_short {
                return;
            }
            match (is_smaller, parts == names.len()) {
                (true, _) => parts = (parts - 1).max(2),
                (false, true) => return,
                (false, false) => parts *= 2,
            }
        }
    }

    fn without_the_last(&mut self, names: &[Name]) {
        if !names.is_empty() {
            self.fails(&[]);
        }
    }
}

/// Only these. Where none of them is a client, there is none: that must be said, as otherwise all of them are there.
fn selection_of(names: &[Name]) -> Selection {
    let mut selection = Selection::only(names.iter().copied());
    if !names.iter().any(|name| name.0 == Kind::Client) {
        selection.without.insert(Kind::Client, Numbers::All);
    }
    selection
}
