//! The command `fuzz`.

use crate::commands::{cores, end};
use clap::Args;
use sim::fuzz::{Extent, Report, Target, from_hex, fuzz, hex, judge, listen_to_panics, print, retry_line, shrink, targets};
use sim::ledger::Line;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;

/// What `fuzz` is told.
#[derive(Args)]
pub struct FuzzArguments {
    /// Inputs for each target.
    #[arg(long, default_value_t = 200_000)]
    runs: u64,
    /// Only this target.
    #[arg(long, value_parser = target)]
    target: Option<Target>,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many threads; as many as there are cores if it is not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Goes on for so long, each time with as many inputs for each target, from the next seed.
    #[arg(long)]
    seconds: Option<u64>,
    /// Ends with a line of JSON.
    #[arg(long)]
    json: bool,
    /// Tries this one input, in hex, and makes it shorter if it fails.
    #[arg(long, requires = "target")]
    input: Option<String>,
}

fn target(name: &str) -> Result<Target, String> {
    let known = || targets::all().iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    targets::named(name).ok_or_else(|| format!("there are {}", known()))
}

/// Does what the command says.
pub fn obey(arguments: FuzzArguments) -> ExitCode {
    let chosen = arguments.target.map_or_else(targets::all, |target| vec![target]);
    if let (Some(input), [target]) = (&arguments.input, &chosen[..]) {
        return try_one(target, &from_hex(input));
    }
    let (runs, seed, jobs) = (arguments.runs, arguments.seed, arguments.jobs.unwrap_or_else(cores));
    let (begin, shows_progress) = (Instant::now(), std::io::stderr().is_terminal());
    let mut line = Line::default();
    for seed in seed.. {
        let reports = fuzz(&chosen, Extent { runs, seed, jobs, shows_progress });
        print(&reports);
        line.fuzz_runs += reports.iter().map(|report| report.runs).sum::<u64>();
        line.object(chosen.iter().zip(&reports).filter_map(|(target, report)| told(target, report)));
        if line.violations > 0 || arguments.seconds.is_none_or(|seconds| begin.elapsed().as_secs() >= seconds) {
            break;
        }
    }
    line.seconds = begin.elapsed().as_secs();
    end(&line, &[], arguments.json)
}

/// Tells of a failure, with the shortest input that shows it.
fn told(target: &Target, report: &Report) -> Option<String> {
    let (input, failure) = report.failure.as_ref()?;
    println!("FAILED: {}: {failure}", target.name);
    let shortest = shrink(target, input, failure.law);
    println!("  in short: {}", hex(&shortest));
    println!("  try it again with: {}", retry_line(target.name, &shortest));
    Some(format!("{}: {failure}", target.name))
}

fn try_one(target: &Target, input: &[u8]) -> ExitCode {
    listen_to_panics();
    match judge(target, input) {
        (Ok(outcome), memory) => {
            println!("{}: {outcome:?}, {memory} bytes of memory for {}", target.name, input.len());
            ExitCode::SUCCESS
        }
        (Err(failure), _) => {
            println!("FAILED: {}: {failure}", target.name);
            println!("  in short: {}", hex(&shrink(target, input, failure.law)));
            ExitCode::FAILURE
        }
    }
}
