//! The commands that run seeds: `run`, `replay`, `repeat`.

use crate::mutants;
use clap::{Args, Subcommand};
use sim::batch::{name_the_seed_in_panics, replay_line, run_seeds};
use sim::figures;
use sim::ledger;
use sim::oracle::Violation;
use sim::plan::Plant;
use sim::run::run;
use sim::scenarios::SCENARIOS;
use std::ops::Range;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// The commands that run seeds.
#[derive(Subcommand)]
pub enum SeedCommand {
    /// Runs seeds and judges them.
    Run(RunArguments),
    /// Runs one seed and prints it as a conversation.
    Replay {
        /// The seed.
        seed: u64,
        /// Something planted on purpose.
        #[arg(long, value_parser = plant)]
        plant: Option<Plant>,
        /// A bug in the store itself, by the name of its mutant.
        #[arg(long)]
        mutant: Option<String>,
        /// The directed run for that mutant, from this seed.
        #[arg(long, requires = "mutant")]
        directed: bool,
    },
    /// Runs each seed twice, in two processes, and compares all that happened.
    Repeat {
        /// Seeds `A..B`, without B.
        #[arg(long, value_parser = seeds, default_value = "0..100")]
        seeds: Range<u64>,
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
        /// Only this one; `none` has no bug, and must not be found.
        #[arg(long)]
        only: Option<String>,
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
    /// Appends the run to the ledger, docs/ledger.md.
    #[arg(long)]
    ledger: bool,
    /// So many peers in each seed, on one thread, for figures; as the seed draws them if it is not given.
    #[arg(long)]
    peers: Option<usize>,
    /// Something planted on purpose, which must be found.
    #[arg(long, value_parser = plant)]
    plant: Option<Plant>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("seeds are given as A..B")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?} is no seed: {error}"));
    let (first, end) = (number(first)?, number(end)?);
    if first < end { Ok(first..end) } else { Err(format!("{first}..{end} are no seeds")) }
}

fn plant(name: &str) -> Result<Plant, String> {
    let known = || Plant::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    Plant::ALL.iter().find(|(known, _)| *known == name).map(|(_, plant)| *plant).ok_or_else(|| format!("there are {}", known()))
}

/// Does what a command says.
pub fn obey(command: SeedCommand) -> ExitCode {
    match command {
        SeedCommand::Run(arguments) => run_many(arguments),
        SeedCommand::Replay { seed, plant, mutant: None, .. } => replay(seed, plant.unwrap_or_default()),
        SeedCommand::Replay { seed, mutant: Some(mutant), directed, .. } => mutants::replay(seed, &mutant, directed),
        SeedCommand::Repeat { seeds } => repeat(seeds),
        SeedCommand::Hashes { seeds } => {
            seeds.for_each(|seed| println!("{seed} {:016x}", run(seed, Plant::None, false).hash));
            ExitCode::SUCCESS
        }
        SeedCommand::Scenarios { seeds } => scenarios(seeds),
        SeedCommand::Mutants { seeds, only } => mutants::mutants(seeds, only.as_deref()),
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
    let summary = run_seeds(arguments.seeds.clone(), arguments.jobs.unwrap_or_else(cores), plant, true, false);
    summary.print(begin.elapsed(), plant);
    let line = ledger::line(&arguments.seeds, &summary);
    println!("{line}");
    if arguments.ledger
        && let Err(error) = ledger::append(&line)
    {
        eprintln!("the ledger {} cannot be written: {error}", ledger::LEDGER);
    }
    let objections = summary.objections();
    objections.iter().for_each(|objection| println!("FAILED: {objection}"));
    if objections.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub fn replay(seed: u64, plant: Plant) -> ExitCode {
    name_the_seed_in_panics(plant);
    let report = run(seed, plant, true);
    println!("seed {seed}: {} events, fingerprint {:016x}", report.events, report.hash);
    println!("{:.1} % of {} requests answered", report.share_answered() * 100.0, report.stats.asked);
    report.violations.iter().for_each(|violation| println!("VIOLATED {violation}"));
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn repeat(seeds: Range<u64>) -> ExitCode {
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
    differing.iter().for_each(|(a, b)| println!("a seed and its fingerprint, twice: {a} and {b}"));
    let expected = (seeds.end - seeds.start) as usize;
    println!("{expected} seeds, run twice in two processes: {} differ", differing.len());
    let all_came = first.lines().count() == expected && second.lines().count() == expected;
    if differing.is_empty() && all_came { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
                println!("{:<16} {}", "", replay_line(*seed, plant));
            }
            None => {
                silent += 1;
                println!("{name:<16} NOT FOUND in {seeds} seeds");
            }
        }
    }
    if silent == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
