//! `cargo sim …`: the deterministic simulator of henge, its oracles, and the harness that tries real processes.

mod commands;
mod fuzzing;
mod mutants;
mod night;
mod rehearsal;
mod replaying;
mod stages;

use clap::{Args, Parser, Subcommand};
use commands::{SeedCommand, obey};
use sim::crash::{Extent, exhaust, lying_disk_is_noticed};
use sim::gossip::print_table;
use sim::ledger::Line;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Parser)]
#[command(about = "Tries what henge must survive, from seeds")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Seeds(SeedCommand),
    /// Every way to lose power, every failing call, every flipped bit of a small log.
    Crash(CrashArguments),
    /// What the gossip costs, how soon it finds the dead, and how often it is wrong: a table.
    Gossip {
        /// Numbers of peers.
        #[arg(long, value_delimiter = ',', default_values_t = sim::gossip::Extent::full().sizes)]
        peers: Vec<usize>,
        /// Deaths for each.
        #[arg(long, default_value_t = sim::gossip::Extent::full().deaths)]
        deaths: usize,
        /// Peer-hours for each case of false deaths.
        #[arg(long, default_value_t = sim::gossip::Extent::full().peer_hours)]
        peer_hours: f64,
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Everything that reads bytes from outside, under inputs that are changed again and again: a table.
    Fuzz(fuzzing::FuzzArguments),
    /// Real processes in trouble, judged by the same oracles.
    Chaos(rehearsal::ChaosArguments),
    /// All of it, for some minutes: fresh seeds, planted bugs, crash states, repeated seeds, decoders, real processes. One line of the ledger.
    Night(night::NightArguments),
    /// What must hold of every commit: a few minutes of it, the same ones every time.
    Gate,
}

/// What `crash` is told.
#[derive(Args)]
struct CrashArguments {
    /// So many histories, each with records of other sizes.
    #[arg(long, default_value_t = Extent::full().histories)]
    histories: u64,
    /// One of so many bits, bytes and subsets alone.
    #[arg(long, default_value_t = 1)]
    every: usize,
    /// Instead: as many histories, bits and bytes as there is time for.
    #[arg(long)]
    seconds: Option<u64>,
    /// Ends with a line of JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Seeds(command) => obey(command),
        Command::Crash(arguments) => crash(&arguments),
        Command::Night(arguments) => night::night(&arguments),
        Command::Gate => night::gate(),
        Command::Fuzz(arguments) => fuzzing::obey(arguments),
        Command::Chaos(arguments) => rehearsal::chaos(arguments),
        Command::Gossip { peers, deaths, peer_hours, seed } => {
            print_table(&sim::gossip::Extent { sizes: peers, deaths, peer_hours }, seed);
            ExitCode::SUCCESS
        }
    }
}

/// How long some slices take (seconds, on two cores): histories, and one of how many bits and bytes.
const CRASH_SLICES: [(u64, (u64, usize)); 5] = [(200, (4, 1)), (50, (1, 1)), (16, (1, 4)), (7, (1, 16)), (0, (1, 64))];

fn crash(arguments: &CrashArguments) -> ExitCode {
    let begin = Instant::now();
    let mut line = Line::default();
    if !lying_disk_is_noticed() {
        line.object(["the control failed: a disk that lies about its syncs was not noticed".to_string()]);
    }
    let slice = |seconds: u64| CRASH_SLICES.iter().find(|(takes, _)| *takes <= seconds).map(|(_, slice)| *slice);
    let (histories, every) = arguments.seconds.and_then(slice).unwrap_or((arguments.histories, arguments.every.max(1)));
    let full = Extent::full();
    let extent = Extent { histories, every_bit: every, every_byte: every, subsets_max: (full.subsets_max / every).max(16), ..full };
    match exhaust(extent) {
        Ok(counts) => {
            let seconds = begin.elapsed().as_secs_f64();
            println!("{counts:#?}");
            println!("{} states in {seconds:.1} s: {:.0} a minute", counts.total(), counts.total() as f64 / seconds * 60.0);
            line.crash_states = counts.total();
        }
        Err(violation) => line.object([violation.to_string()]),
    }
    line.seconds = begin.elapsed().as_secs();
    commands::end(&line, &line.violated, arguments.json)
}
