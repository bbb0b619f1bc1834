//! The commands that run seeds: `run`, `regressions`, `repeat`, `scenarios`, `plants`.

use crate::mutants::{self, Extent};
use crate::replaying::{ReplayArguments, ShrinkArguments, replay, shrink_one, tell_shrunk};
use clap::{Args, Subcommand};
use sim::batch::{Batch, name_the_seed_in_panics, replay_line, run_batch, run_seeds};
use sim::conversation::Telling;
use sim::figures;
use sim::ledger::{self, Line};
use sim::oracle::Violation;
use sim::plan::Plant;
use sim::progress::Progress;
use sim::regressions;
use sim::run::{Case, run};
use sim::scenarios::SCENARIOS;
use sim::shrink::Limit;
use std::ops::Range;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// The commands that run seeds.
#[derive(Subcommand)]
pub enum SeedCommand {
    /// Runs seeds and judges them.
    Run(RunArguments),
    /// Runs one seed and prints it as a conversation, which ends with what the oracles say.
    Replay(ReplayArguments),
    /// Makes a failing seed small: the few faults without which the same oracle does not object.
    Shrink(ShrinkArguments),
    /// Runs the seeds of sim/regressions.txt, which once found something.
    Regressions {
        /// Ends with a line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Runs each seed twice, in two processes, and compares all that happened.
    Repeat {
        /// Seeds `A..B`, without B.
        #[arg(long, value_parser = seeds, default_value = "0..100")]
        seeds: Range<u64>,
        /// Ends with a line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the fingerprint of each seed.
    Hashes {
        /// Seeds `A..B`, without B.
        #[arg(long, value_parser = seeds)]
        seeds: Range<u64>,
    },
    /// Tells each directed story from several seeds.
    Scenarios {
        /// Seeds of each.
        #[arg(long, default_value_t = 3)]
        seeds: u64,
    },
    /// Runs the store with one bug each, and says after how many seeds each is found. Builds a second program for it, in
    /// `target/broken`.
    Mutants {
        /// At most so many seeds for each.
        #[arg(long, default_value_t = 3_000)]
        seeds: u64,
        /// Only these; `none` has no bug, and must not be found.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Those alone that are found within a few seeds.
        #[arg(long, conflicts_with = "only")]
        quick: bool,
        /// No bug is begun after this; those that are left are another day's.
        #[arg(long)]
        seconds: Option<u64>,
        /// Which one is the first, counted from 0: those before it come last.
        #[arg(long, default_value_t = 0)]
        first: usize,
        /// Ends with a line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Plants each bug of the world around the store (its disk, its network) in turn and says after how many seeds it is found.
    Plants {
        /// At most so many seeds for each.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
    },
}

/// What `run` is told.
#[derive(Args)]
pub struct RunArguments {
    /// Seeds `A..B`, without B.
    #[arg(long, value_parser = seeds, default_value = "0..1000")]
    seeds: Range<u64>,
    /// So many threads; as many as there are cores if it is not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// No seed is begun after this.
    #[arg(long)]
    seconds: Option<u64>,
    /// Appends the run to the ledger, sim/LEDGER.jsonl.
    #[arg(long)]
    ledger: bool,
    /// So many peers in each seed, on one thread, for figures; as the seed draws them if it is not given.
    #[arg(long)]
    peers: Option<usize>,
    /// Does not make the first failing seed small.
    #[arg(long)]
    no_shrink: bool,
    /// Ends with a line of JSON.
    #[arg(long)]
    json: bool,
    /// Something planted on purpose, which must be found.
    #[arg(long, value_parser = plant)]
    plant: Option<Plant>,
}

pub fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("seeds are given as A..B")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?} is no seed: {error}"));
    let (first, end) = (number(first)?, number(end)?);
    if first < end { Ok(first..end) } else { Err(format!("{first}..{end} are no seeds")) }
}

pub fn plant(name: &str) -> Result<Plant, String> {
    let known = || Plant::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    Plant::ALL.iter().find(|(known, _)| *known == name).map(|(_, plant)| *plant).ok_or_else(|| format!("there are {}", known()))
}

/// Does what a command says.
pub fn obey(command: SeedCommand) -> ExitCode {
    match command {
        SeedCommand::Run(arguments) => run_many(arguments),
        SeedCommand::Replay(arguments) if arguments.directed => {
            mutants::replay_directed(arguments.case.seed, arguments.case.mutant.as_deref().unwrap_or_default())
        }
        SeedCommand::Replay(arguments) => mutants::planted(arguments.case.mutant.as_deref(), || replay(&arguments)),
        SeedCommand::Shrink(arguments) => mutants::planted(arguments.case.mutant.as_deref(), || shrink_one(&arguments)),
        SeedCommand::Regressions { json } => regressions(json),
        SeedCommand::Repeat { seeds, json } => repeat(seeds, json),
        SeedCommand::Hashes { seeds } => {
            seeds.for_each(|seed| println!("{seed} {:016x}", run(seed, Plant::None, false).hash));
            ExitCode::SUCCESS
        }
        SeedCommand::Scenarios { seeds } => scenarios(seeds),
        SeedCommand::Mutants { seeds, only, quick, seconds, first, json } => {
            mutants::mutants(&Extent { seeds, only, is_quick: quick, seconds, first, json })
        }
        SeedCommand::Plants { seeds } => plants(seeds),
    }
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn run_many(arguments: RunArguments) -> ExitCode {
    let (plant, begin) = (arguments.plant.unwrap_or_default(), Instant::now());
    name_the_seed_in_panics(plant);
    if let Some(peers) = arguments.peers {
        return if figures::measure(&arguments.seeds, peers) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let batch = Batch {
        jobs: arguments.jobs.unwrap_or_else(cores),
        plant,
        shows_progress: true,
        stops_at_first: false,
        time: arguments.seconds.map(Duration::from_secs),
    };
    let summary = run_batch(arguments.seeds.clone(), batch);
    let seconds = begin.elapsed();
    summary.print(seconds, plant);
    if let Some(seed) = summary.failures.keys().next().filter(|_| !arguments.no_shrink) {
        println!();
        tell_shrunk(&Case::of(*seed, plant), Limit::default(), "");
    }
    let done = arguments.seeds.start..arguments.seeds.start + summary.seeds;
    let line = Line::of_seeds(&done, &summary, seconds.as_secs());
    if arguments.ledger {
        keep(&line.clone().signed("run"));
    }
    end(&line, &summary.objections(), arguments.json)
}

/// Appends a line to the ledger.
pub fn keep(line: &Line) {
    println!("{}", line.json());
    if let Err(error) = ledger::append(line) {
        eprintln!("the ledger {} cannot be written: {error}", ledger::LEDGER);
    }
}

/// The end of a command: what is wrong; its figures as JSON, if that is asked for; and its exit code.
pub fn end(line: &Line, objections: &[String], is_json: bool) -> ExitCode {
    objections.iter().for_each(|objection| println!("FAILED: {objection}"));
    if is_json {
        println!("{}", line.json());
    }
    if objections.is_empty() && line.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn regressions(is_json: bool) -> ExitCode {
    name_the_seed_in_panics(Plant::None);
    let (begin, progress) = (Instant::now(), Progress::new(true));
    let all = regressions::all();
    let mut line = Line { regressions: all.len() as u64, ..Line::default() };
    for (at, regression) in all.iter().enumerate() {
        progress.show(at as f64 / all.len() as f64, || format!("seed {}", regression.case.seed));
        let report = regression.case.run(Telling::Nothing);
        line.object(report.violations.first().map(|violation| regression.objection(&violation.to_string())));
    }
    drop(progress);
    line.seconds = begin.elapsed().as_secs();
    println!("{} seeds that once found something: {} fail", line.regressions, line.violations);
    end(&line, &line.violated, is_json)
}

fn repeat(seeds: Range<u64>, is_json: bool) -> ExitCode {
    let begin = Instant::now();
    let hashes = || -> Result<String, String> {
        let program = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
        let output = Command::new(program)
            .args(["hashes", "--seeds", &format!("{}..{}", seeds.start, seeds.end)])
            .output()
            .map_err(|error| format!("a second process cannot be started: {error}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (first, second) = match (hashes(), hashes()) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(reason), _) | (_, Err(reason)) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let differing: Vec<(&str, &str)> = first.lines().zip(second.lines()).filter(|(a, b)| a != b).collect();
    let expected = (seeds.end - seeds.start) as usize;
    println!("{expected} seeds, run twice in two processes: {} differ", differing.len());
    let mut line = Line { repeated: expected as u64, seconds: begin.elapsed().as_secs(), ..Line::default() };
    line.object(differing.iter().map(|(a, b)| format!("a seed and its fingerprint, twice: {a} and {b}")));
    if first.lines().count() != expected || second.lines().count() != expected {
        line.object(["a process has not run all seeds".to_string()]);
    }
    end(&line, &line.violated, is_json)
}

fn scenarios(seeds: u64) -> ExitCode {
    let mut failed = 0;
    for (name, tell) in SCENARIOS {
        let begin = Instant::now();
        let told: Vec<(u64, Vec<Violation>)> = (0..seeds).map(|seed| (seed, tell(seed))).collect();
        let broken: Vec<&(u64, Vec<Violation>)> = told.iter().filter(|(_, violations)| !violations.is_empty()).collect();
        println!(
            "{}: {name} ({seeds} seeds, {:.1} s)",
            if broken.is_empty() { "holds" } else { "FAILED" },
            begin.elapsed().as_secs_f64()
        );
        broken.iter().for_each(|(seed, violations)| println!("  seed {seed}: {}", violations[0]));
        failed += broken.len();
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plants(seeds: u64) -> ExitCode {
    let mut silent = 0;
    for (name, plant) in Plant::ALL {
        name_the_seed_in_panics(plant);
        let begin = Instant::now();
        let summary = run_seeds(0..seeds, 1, plant, false, true);
        match summary.failures.first_key_value() {
            Some((seed, violations)) => {
                println!("{name:<16} found by seed {seed} ({:.1} s): {}", begin.elapsed().as_secs_f64(), violations[0]);
                println!("{:<16} {}", "", replay_line(&Case::of(*seed, plant)));
            }
            None => {
                silent += 1;
                println!("{name:<16} NOT FOUND in {seeds} seeds");
            }
        }
    }
    if silent == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
