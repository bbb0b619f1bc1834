//! `cargo sim …`: the deterministic simulator of henge, its oracles, and the harness that tries real processes.

mod commands;
mod fuzzing;
mod mutants;
mod rehearsal;

use clap::{Parser, Subcommand};
use commands::{SeedCommand, obey};
use sim::crash::{Extent, exhaust, lying_disk_is_noticed};
use sim::gossip::print_table;
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
    Crash {
        /// So many histories, each with records of other sizes.
        #[arg(long, default_value_t = Extent::full().histories)]
        histories: u64,
    },
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
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Seeds(command) => obey(command),
        Command::Crash { histories } => crash(histories),
        Command::Fuzz(arguments) => fuzzing::obey(arguments),
        Command::Chaos(arguments) => rehearsal::chaos(arguments),
        Command::Gossip { peers, deaths, peer_hours, seed } => {
            print_table(&sim::gossip::Extent { sizes: peers, deaths, peer_hours }, seed);
            ExitCode::SUCCESS
        }
    }
}

fn crash(histories: u64) -> ExitCode {
    let begin = Instant::now();
    if !lying_disk_is_noticed() {
        eprintln!("the control failed: a disk that lies about its syncs was not noticed");
        return ExitCode::FAILURE;
    }
    match exhaust(Extent { histories, ..Extent::full() }) {
        Ok(counts) => {
            let seconds = begin.elapsed().as_secs_f64();
            println!("{counts:#?}");
            println!("{} states in {seconds:.1} s: {:.0} a minute", counts.total(), counts.total() as f64 / seconds * 60.0);
            ExitCode::SUCCESS
        }
        Err(violation) => {
            eprintln!("violation: {violation}");
            ExitCode::FAILURE
        }
    }
}
