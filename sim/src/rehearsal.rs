//! The command that tries real processes: `chaos`.

use clap::Args;
use sim::chaos::cluster::Program;
use sim::chaos::fates::Cut;
use sim::chaos::halves;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// What `chaos` is told.
#[derive(Args)]
pub struct ChaosArguments {
    /// What is played: halves (two of five peers are cut off from the others, both parts go on, and are joined again)
    #[arg(long, value_parser = ["halves"], default_value = "halves")]
    scenario: String,
    /// Kinds of cuts: halves, one-way, partial
    #[arg(long, value_delimiter = ',', value_parser = cut, default_value = "halves,one-way,partial")]
    cut: Vec<Cut>,
    /// Keys of each run
    #[arg(long, default_value_t = 360)]
    keys: u16,
    /// So many runs of each kind
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// The program to try [default: built from these sources, in the profile of this one]
    #[arg(long)]
    program: Option<PathBuf>,
}

fn cut(name: &str) -> Result<Cut, String> {
    let known = || Cut::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    Cut::ALL.iter().find(|(known, _)| *known == name).map(|(_, cut)| *cut).ok_or_else(|| format!("there are {}", known()))
}

/// Plays the scenario, says how it went, and fails if anything was wrong.
pub fn chaos(arguments: ChaosArguments) -> ExitCode {
    match play(&arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            println!("FAILED: {failed} of {} runs", arguments.cut.len() * arguments.times as usize);
            ExitCode::FAILURE
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// The number of runs that were not accepted.
fn play(arguments: &ChaosArguments) -> Result<usize, String> {
    let program = match &arguments.program {
        Some(path) => Program::at(path),
        None => Program::build()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let mut failed = 0;
    for turn in 1..=arguments.times {
        for cut in &arguments.cut {
            let begin = Instant::now();
            let name = Cut::ALL.iter().find(|(_, known)| known == cut).map_or("", |(name, _)| *name);
            let report = runtime.block_on(halves::run(&program, *cut, arguments.keys));
            let objections = report.as_ref().map_or_else(|reason| vec![reason.clone()], |report| report.objections.clone());
            println!(
                "{}: {} / {name}, run {turn} of {}, {} keys ({:.1} s)",
                if objections.is_empty() { "holds" } else { "FAILED" },
                arguments.scenario,
                arguments.times,
                arguments.keys,
                begin.elapsed().as_secs_f64()
            );
            if let Ok(report) = &report {
                println!("{report}");
            }
            objections.iter().for_each(|objection| println!("  {objection}"));
            failed += usize::from(!objections.is_empty());
        }
    }
    Ok(failed)
}
