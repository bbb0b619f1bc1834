//! The ledger: one line of JSON for each long run, so that what was tried, and when, can be looked up. The same line, of one stage of a night alone, is
//! what a stage tells at its end.

use crate::batch::Summary;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::process::Command;

/// Where it stands, from the folder of the project.
pub const LEDGER: &str = "sim/LEDGER.jsonl";

/// What was tried, and what came of it. What a run has not tried is 0, and left out of its line.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// The commit, with a mark if files had been changed since.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The day of the commit.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// What ran.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// The seeds `A..B`, without B.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub seeds: String,
    /// Seeds of which too few requests were answered to count.
    #[serde(skip_serializing_if = "is_zero")]
    pub discarded: u64,
    /// Requests of clients in simulation.
    #[serde(skip_serializing_if = "is_zero")]
    pub asked: u64,
    /// Writes acknowledged in simulation.
    #[serde(skip_serializing_if = "is_zero")]
    pub acked: u64,
    /// Reads judged in simulation.
    #[serde(skip_serializing_if = "is_zero")]
    pub reads: u64,
    /// Faults in simulation, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u64>,
    /// Seeds that were run again since they once failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub regressions: u64,
    /// Seeds that were run twice, in two processes.
    #[serde(skip_serializing_if = "is_zero")]
    pub repeated: u64,
    /// Planted bugs found, of those that were tried.
    #[serde(skip_serializing_if = "is_zero")]
    pub planted_found: u64,
    /// Planted bugs tried.
    #[serde(skip_serializing_if = "is_zero")]
    pub planted_tried: u64,
    /// Inputs that were read by decoders.
    #[serde(skip_serializing_if = "is_zero")]
    pub fuzz_runs: u64,
    /// States of disks from which a log was opened.
    #[serde(skip_serializing_if = "is_zero")]
    pub crash_states: u64,
    /// With real processes: writes acknowledged.
    #[serde(skip_serializing_if = "is_zero")]
    pub real_acked: u64,
    /// With real processes: reads judged.
    #[serde(skip_serializing_if = "is_zero")]
    pub real_reads: u64,
    /// With real processes: faults by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub real_faults: BTreeMap<String, u64>,
    /// With real processes: processes killed.
    #[serde(skip_serializing_if = "is_zero")]
    pub kills: u64,
    /// With real processes: power cuts.
    #[serde(skip_serializing_if = "is_zero")]
    pub power_cuts: u64,
    /// How many promises were broken, or whatever else was not as it should be.
    pub violations: u64,
    /// In words, at most some of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violated: Vec<String>,
    /// How long it took.
    pub seconds: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// So many violations are told in words.
const VIOLATED_MAX: usize = 10;

impl Line {
    /// The line of a run of seeds; `done` are those that were run.
    pub fn of_seeds(done: &Range<u64>, summary: &Summary, seconds: u64) -> Line {
        let told = summary.failures.iter().map(|(seed, violations)| format!("seed {seed}: {}", violations[0]));
        let mut line = Line {
            seeds: format!("{}..{}", done.start, done.end),
            discarded: summary.discarded,
            asked: summary.stats.asked + summary.stats.asked_healed,
            acked: summary.stats.acked,
            reads: summary.reads,
            faults: summary.stats.faults.clone(),
            seconds,
            ..Line::default()
        };
        // Each failing seed counts; that there are some, which is the first objection then, does not count beside them.
        line.object(told.chain(summary.objections().into_iter().skip(usize::from(!summary.failures.is_empty()))));
        line
    }

    /// Adds violations.
    pub fn object(&mut self, violations: impl IntoIterator<Item = String>) {
        for violation in violations {
            self.violations += 1;
            if self.violated.len() < VIOLATED_MAX {
                self.violated.push(violation);
            }
        }
    }

    /// Adds what another one has tried. Commit, day, command and time stay those of this one.
    pub fn add(&mut self, other: Line) {
        if self.seeds.is_empty() {
            self.seeds = other.seeds;
        }
        self.discarded += other.discarded;
        self.asked += other.asked;
        self.acked += other.acked;
        self.reads += other.reads;
        self.regressions += other.regressions;
        self.repeated += other.repeated;
        self.planted_found += other.planted_found;
        self.planted_tried += other.planted_tried;
        self.fuzz_runs += other.fuzz_runs;
        self.crash_states += other.crash_states;
        self.real_acked += other.real_acked;
        self.real_reads += other.real_reads;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        for (into, from) in [(&mut self.faults, other.faults), (&mut self.real_faults, other.real_faults)] {
            from.into_iter().for_each(|(kind, count)| *into.entry(kind).or_default() += count);
        }
        let untold = other.violations.saturating_sub(other.violated.len() as u64);
        self.object(other.violated);
        self.violations += untold;
    }

    /// Names the commit that is checked out, and what ran.
    pub fn signed(mut self, command: &str) -> Line {
        let (commit, date) = commit().unwrap_or_else(|| ("unknown".to_string(), String::new()));
        (self.commit, self.date, self.command) = (commit, date, command.to_string());
        self
    }

    /// As JSON, on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }
}

/// The commit that is checked out, with a mark if files have been changed since; and its day.
fn commit() -> Option<(String, String)> {
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let (commit, date) = (ask(&["log", "-1", "--format=%h"])?, ask(&["log", "-1", "--format=%cs"])?);
    let changed = ask(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some((if changed { format!("{commit}, changed") } else { commit }, date))
}

/// Appends a line to the ledger, in one write: two that append at once do not mix.
///
/// # Errors
/// The file is not there, or cannot be written: the command is not run in the project's folder.
pub fn append(line: &Line) -> std::io::Result<()> {
    OpenOptions::new().append(true).open(LEDGER)?.write_all(format!("{}\n", line.json()).as_bytes())
}

/// Seeds that no line of the ledger names begin here; those that are run every day come before.
pub fn first_fresh_seed() -> u64 {
    fresh_behind(&std::fs::read_to_string(LEDGER).unwrap_or_default())
}

/// Below this are the seeds that are run every day.
const FRESH: u64 = 100_000;

fn fresh_behind(ledger: &str) -> u64 {
    let lines = ledger.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let ends = lines.filter_map(|line| line.seeds.split_once("..")?.1.parse::<u64>().ok());
    ends.max().unwrap_or(0).max(FRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_tried_and_leaves_out_the_rest() {
        let line = Line { seeds: "1..2".into(), acked: 3, ..Line::default() };
        assert_eq!(line.json(), r#"{"seeds":"1..2","acked":3,"violations":0,"seconds":0}"#);
        assert_eq!(serde_json::from_str::<Line>(&line.json()).expect("it is a line"), line);
    }

    #[test]
    fn stages_add_up_and_every_violation_counts() {
        let mut night = Line::default();
        let mut seeds = Line { seeds: "5..9".into(), faults: BTreeMap::from([("Cut".into(), 2)]), ..Line::default() };
        seeds.object((0..12).map(|seed| format!("seed {seed}")));
        night.add(seeds.clone());
        night.add(Line { seeds: "0..1".into(), ..seeds });
        assert_eq!((night.seeds.as_str(), night.violations, night.violated.len(), night.faults["Cut"]), ("5..9", 24, 10, 4));
    }

    #[test]
    fn fresh_seeds_lie_behind_all_that_were_run() {
        assert_eq!(fresh_behind(""), FRESH);
        let ledger = "{\"seeds\":\"500000..600000\"}\nno line\n{\"seeds\":\"0..10\"}\n{\"fuzz_runs\":4}\n";
        assert_eq!(fresh_behind(ledger), 600_000);
    }
}
