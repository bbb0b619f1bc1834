//! The commands that run everything: `night`, for as long as it is given, and `gate`, the same few minutes for every commit.

use crate::commands::{end, keep};
use crate::stages::{Stage, run_all};
use clap::{Args, ValueEnum};
use sim::ledger::first_fresh_seed;
use std::process::ExitCode;

/// The stages of a night.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Part {
    /// Seeds that once found something.
    Regressions,
    /// Seeds that were never run.
    Seeds,
    /// Bugs planted in the store.
    Mutants,
    /// Every way to lose power, every failing call, every flipped bit of a small log.
    Crash,
    /// Seeds, twice, in two processes.
    Repeat,
    /// Inputs for every decoder.
    Fuzz,
    /// Real processes.
    Chaos,
}

impl Part {
    /// Its share of the minutes, in hundredths, if all parts are run; those that once failed take what they take, which is little.
    fn share(self) -> u64 {
        match self {
            Part::Regressions => 0,
            Part::Seeds => 40,
            Part::Mutants => 20,
            Part::Crash => 5,
            Part::Repeat => 5,
            Part::Fuzz => 10,
            Part::Chaos => 20,
        }
    }
}

/// What `night` is told.
#[derive(Args)]
#[command(
    after_help = "Of the minutes, 40 % are for fresh seeds, 20 % for planted bugs (after they have been built), 20 % for real processes, 10 % for \
                        decoders, 5 % for crash states and 5 % for repeating seeds; where only some stages are chosen, they share in the same proportions."
)]
pub struct NightArguments {
    /// For so long.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// The first fresh seed [default: behind all seeds of sim/LEDGER.jsonl]
    #[arg(long)]
    from: Option<u64>,
    /// Only these stages.
    #[arg(long, value_delimiter = ',', value_enum)]
    stages: Vec<Part>,
    /// Appends nothing to the ledger.
    #[arg(long)]
    no_ledger: bool,
}

/// Seeds in a second, on one core, at least: for how many are repeated.
const REPEATED_IN_A_SECOND: u64 = 8;
/// No night has time for more seeds.
const SEEDS_MAX: u64 = 100_000_000;

/// Everything, for some minutes; a line of the ledger.
pub fn night(arguments: &NightArguments) -> ExitCode {
    let first = arguments.from.unwrap_or_else(first_fresh_seed);
    let parts = if arguments.stages.is_empty() { Part::value_variants() } else { &arguments.stages };
    let all: u64 = parts.iter().map(|part| part.share()).sum();
    let stage = |part: &Part| of_night(*part, first, arguments.minutes * 60 * part.share() / all.max(1));
    let line = run_all(&parts.iter().map(stage).collect::<Vec<_>>()).signed("night");
    if !arguments.no_ledger {
        keep(&line);
    }
    end(&line, &[], false)
}

/// A stage of a night that takes about so many seconds.
fn of_night(part: Part, first: u64, seconds: u64) -> Stage {
    let bound = seconds.to_string();
    let range = |length: u64| format!("{first}..{}", first + length);
    let (name, arguments): (_, &[&str]) = match part {
        Part::Regressions => ("regressions", &["regressions"]),
        Part::Seeds => ("seeds", &["run", "--seeds", &range(SEEDS_MAX), "--seconds", &bound]),
        // Each night begins with another one, so that short ones come to all of them.
        Part::Mutants => ("mutants", &["mutants", "--seconds", &bound, "--first", &(first / 1_000).to_string()]),
        Part::Crash => ("crash", &["crash", "--seconds", &bound]),
        Part::Repeat => ("repeat", &["repeat", "--seeds", &range((seconds * REPEATED_IN_A_SECOND).clamp(20, 5_000))]),
        Part::Fuzz => ("fuzz", &["fuzz", "--runs", "20000", "--seconds", &bound, "--seed", &first.to_string()]),
        Part::Chaos => ("chaos", &["chaos", "--minutes", &seconds.div_ceil(60).to_string(), "--seed", &first.to_string()]),
    };
    Stage { name, arguments: arguments.iter().map(ToString::to_string).collect() }
}

/// The stages of the gate. Nothing in them depends on the time or on the machine: what passes once passes always.
const GATE: [(&str, &str); 5] = [
    ("regressions", "regressions"),
    ("seeds", "run --seeds 0..4000"),
    ("repeat", "repeat --seeds 0..50"),
    ("crash", "crash --histories 1 --every 16"),
    ("mutants", "mutants --quick"),
];

/// What must hold of every commit, of what the simulator can say.
pub fn gate() -> ExitCode {
    let stage =
        |(name, command): &(&'static str, &str)| Stage { name, arguments: command.split(' ').map(str::to_string).collect() };
    end(&run_all(&GATE.iter().map(stage).collect::<Vec<_>>()), &[], false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_night_are_a_whole() {
        assert_eq!(Part::value_variants().iter().map(|part| part.share()).sum::<u64>(), 100);
    }
}
