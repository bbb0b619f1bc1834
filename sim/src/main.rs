//! `cargo sim …`: the deterministic simulator of henge, and its oracles.

mod commands;
mod rules;

use clap::{Parser, Subcommand};
use commands::{SeedCommand, obey};
use sim::crash::{Extent, exhaust, lying_disk_is_noticed};
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
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Seeds(command) => obey(command),
        Command::Crash { histories } => crash(histories),
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
