//! A stage of a night or of the gate: a command of this very program in a process of its own, which ends with a line of JSON. So a stage that
//! runs into an assertion is a violation of that stage, and the others go on.

use serde::Deserialize;
use sim::ledger::Line;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A stage.
pub struct Stage {
    /// What people call it.
    pub name: &'static str,
    /// The command and its options, without `--json`.
    pub arguments: Vec<String>,
}

/// What `chaos` says at its end.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Chaos {
    acked: u64,
    reads: u64,
    faults: BTreeMap<String, u64>,
    skipped: BTreeMap<String, String>,
    violations: Vec<String>,
}

impl Stage {
    /// Runs it, lets it say what it says, and answers with its figures.
    pub fn run(&self) -> Line {
        let begin = Instant::now();
        println!("\n== {}: cargo sim {}", self.name, self.arguments.join(" "));
        let mut line = match self.said() {
            Ok((last, is_well)) => self.figures(&last, is_well),
            Err(error) => self.objecting(format!("its process cannot be run: {error}")),
        };
        line.seconds = begin.elapsed().as_secs();
        line
    }

    /// The last line on its standard output, and whether it ended well.
    fn said(&self) -> std::io::Result<(String, bool)> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(program).args(&self.arguments).arg("--json").stdout(Stdio::piped()).spawn()?;
        let mut last: Option<String> = None;
        for line in BufReader::new(child.stdout.take().expect("it is a pipe")).split(b'\n') {
            // The last one is for this program alone.
            last.replace(String::from_utf8_lossy(&line?).into_owned()).inspect(|line| println!("{line}"));
        }
        Ok((last.unwrap_or_default(), child.wait()?.success()))
    }

    /// What its last line says it has tried. A stage that does not say so, or ends badly without a reason, is a violation.
    fn figures(&self, last: &str, is_well: bool) -> Line {
        let line = match self.name {
            "chaos" => serde_json::from_str(last).map(of_chaos),
            _ => serde_json::from_str::<Line>(last),
        };
        match line {
            Ok(line) if is_well || line.violations > 0 => line,
            Ok(mut line) => {
                line.object([format!("{}: it failed, and did not say why", self.name)]);
                line
            }
            Err(_) => {
                println!("{last}");
                self.objecting("it ended without saying what it has tried".to_string())
            }
        }
    }

    fn objecting(&self, words: String) -> Line {
        let mut line = Line::default();
        line.object([format!("{}: {words}", self.name)]);
        line
    }
}

fn of_chaos(chaos: Chaos) -> Line {
    chaos.skipped.iter().for_each(|(fault, reason)| println!("skipped: {fault}: {reason}"));
    let count = |kind: &str| chaos.faults.get(kind).copied().unwrap_or_default();
    let mut line = Line {
        real_acked: chaos.acked,
        real_reads: chaos.reads,
        kills: count("kill") + count("restarts"),
        power_cuts: count("power"),
        ..Line::default()
    };
    line.real_faults = chaos.faults;
    line.object(chaos.violations);
    line
}

/// Runs one after the other, and tells of them in a table. Answers with all figures together.
pub fn run_all(stages: &[Stage]) -> Line {
    let begin = Instant::now();
    let mut all = Line::default();
    let mut rows = Vec::new();
    for stage in stages {
        let line = stage.run();
        rows.push(row(stage.name, &line));
        all.add(line);
    }
    all.seconds = begin.elapsed().as_secs();
    println!("\n{:<12} {:>7}  {:<10} tried", "stage", "seconds", "violations");
    rows.iter().for_each(|row| println!("{row}"));
    all.violated.iter().for_each(|violation| println!("VIOLATED {violation}"));
    println!(
        "{} stages in {} s: {}",
        stages.len(),
        all.seconds,
        match all.violations {
            0 => "every promise was kept".to_string(),
            count => format!("FAILED, {count} violations"),
        }
    );
    all
}

fn row(name: &str, line: &Line) -> String {
    let (mutants, faults) = (format!("{} of ", line.planted_found), line.real_faults.values().sum::<u64>());
    let counts = [
        (line.regressions, "seeds that once failed"),
        (line.asked, "requests"),
        (line.acked, "writes acknowledged"),
        (line.reads, "reads judged"),
        (line.faults.values().sum(), "faults"),
        (line.repeated, "seeds twice"),
        (line.crash_states, "states of a disk"),
        (line.fuzz_runs, "inputs for decoders"),
        (line.real_acked, "writes acknowledged by real processes"),
        (line.real_reads, "reads of them judged"),
        (faults, "faults of them"),
    ];
    let mut tried: Vec<String> = counts.iter().filter(|(count, _)| *count > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if line.planted_tried > 0 {
        tried.push(format!("{mutants}{} planted bugs found", line.planted_tried));
    }
    if !line.seeds.is_empty() {
        tried.insert(0, format!("seeds {}", line.seeds));
    }
    format!("{name:<12} {:>7}  {:<10} {}", line.seconds, line.violations, tried.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &'static str) -> Stage {
        Stage { name, arguments: Vec::new() }
    }

    #[test]
    fn what_chaos_says_becomes_figures_of_real_processes() {
        let said = r#"{"minutes":3,"seed":7,"rounds":4,"asked":100,"acked":80,"unknown":2,"reads":30,
            "faults":{"kill":5,"restarts":1,"power":2,"power of all":1,"pause":9},"skipped":{"full-disk":"no root"},"violations":["one"]}"#;
        let line = stage("chaos").figures(said, false);
        assert_eq!((line.real_acked, line.real_reads, line.kills, line.power_cuts, line.violations), (80, 30, 6, 2, 1));
        assert_eq!((line.real_faults["pause"], line.violated), (9, vec!["one".to_string()]));
    }

    #[test]
    fn a_stage_that_does_not_say_what_it_tried_or_fails_without_a_reason_is_a_violation() {
        assert_eq!(stage("seeds").figures(r#"{"acked":3,"seconds":1}"#, true).violations, 0);
        for (said, is_well) in [("", true), ("thread panicked", false), (r#"{"acked":3}"#, false)] {
            assert_eq!(stage("seeds").figures(said, is_well).violations, 1, "{said}");
        }
        assert_eq!(stage("seeds").figures(r#"{"violations":2}"#, false).violations, 2);
    }
}
