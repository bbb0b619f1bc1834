//! The command that tries real processes: `chaos`.

use clap::Args;
use henge::limits::SYNC_INTERVAL_MS_MAX;
use henge::message::SyncMode;
use sim::chaos::cluster::Shape;
use sim::chaos::fates::Cut;
use sim::chaos::halves;
use sim::chaos::machine::{begin_anew_in_user_namespace, namespaces};
use sim::chaos::program::Program;
use sim::chaos::storm::faults::{KINDS, Kind};
use sim::chaos::storm::{self, NETWORKS, Network, Summary};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What `chaos` is told.
#[derive(Args)]
pub struct ChaosArguments {
    /// What is played: storm (clients at work, faults of all kinds, round after round), or halves (two of five peers are cut off from the
    /// others, both parts go on, and are joined again)
    #[arg(long, value_parser = ["storm", "halves"], default_value = "storm")]
    scenario: String,
    /// storm: for so long
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// storm: kinds of faults [default: all that the machine allows]
    #[arg(long, value_delimiter = ',', value_parser = Kind::named)]
    faults: Vec<Kind>,
    /// storm: decides which faults hit whom, and when [default: drawn]
    #[arg(long)]
    seed: Option<u64>,
    /// storm: peers
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=16))]
    peers: u16,
    /// storm: replicas of each key
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    replicas: u8,
    /// storm: partitions
    #[arg(long, default_value_t = 32)]
    partitions: u16,
    /// storm: when the peers' logs are synced: always, interval:MS, never
    #[arg(long, default_value = "always", value_parser = sync)]
    sync: SyncMode,
    /// What is between the peers: namespaces (a cut is loss of packets), proxy (a cut holds up what is said), auto (namespaces where the
    /// machine allows them)
    #[arg(long, default_value = "auto", value_parser = network)]
    network: Network,
    /// storm: the last line on stdout is one JSON object
    #[arg(long)]
    json: bool,
    /// storm: a line for each round, with what was done
    #[arg(long)]
    verbose: bool,
    /// storm: peers that are broken on purpose, and are to be found out: lying-sync (no sync is done), or a bug of src/broken.rs
    #[arg(long)]
    control: Option<String>,
    /// halves: kinds of cuts: halves, one-way, partial
    #[arg(long, value_delimiter = ',', value_parser = cut, default_value = "halves,one-way,partial")]
    cut: Vec<Cut>,
    /// halves: keys of each run
    #[arg(long, default_value_t = 360)]
    keys: u16,
    /// halves: so many runs of each kind
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

fn network(name: &str) -> Result<Network, String> {
    let known = || NETWORKS.map(|(name, _)| name).join(", ");
    NETWORKS.iter().find(|(known, _)| *known == name).map(|(_, network)| *network).ok_or_else(|| format!("there are {}", known()))
}

fn sync(text: &str) -> Result<SyncMode, String> {
    match (text, text.strip_prefix("interval:").map(str::parse)) {
        ("always", _) => Ok(SyncMode::Always),
        ("never", _) => Ok(SyncMode::Never),
        (_, Some(Ok(ms @ 1..=SYNC_INTERVAL_MS_MAX))) => Ok(SyncMode::Interval(ms)),
        _ => Err(format!("it is always, never, or interval:MS with 1 to {SYNC_INTERVAL_MS_MAX} milliseconds")),
    }
}

/// Plays the scenario, says how it went, and fails if anything was wrong.
pub fn chaos(arguments: ChaosArguments) -> ExitCode {
    let played = program(&arguments).and_then(|program| {
        // Behind the program's building, for which cargo may need the network.
        if arguments.network != Network::Proxy {
            begin_anew_in_user_namespace();
        }
        match arguments.scenario.as_str() {
            "halves" => play_halves(&arguments, &program),
            _ => play_storm(&arguments, program),
        }
    });
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn program(arguments: &ChaosArguments) -> Result<Program, String> {
    match (&arguments.program, arguments.control.as_deref()) {
        (Some(path), _) => Ok(Program::at(path)),
        (None, Some(bug)) if bug != "lying-sync" => Program::with_bug(bug),
        (None, _) => Program::build(),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))
}

/// True if all is well; under a control: if it was found.
fn play_storm(arguments: &ChaosArguments, program: Program) -> Result<bool, String> {
    let lies = arguments.control.as_deref() == Some("lying-sync");
    let program = if lies { program.with_lying_syncs() } else { program };
    let all = KINDS.map(|(_, kind)| kind);
    let wanted: &[Kind] = match arguments.faults.as_slice() {
        [] if lies => &[Kind::Power],
        [] => &all,
        some => some,
    };
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64 % 1_000_000);
    let (peers, replicas, partitions) = (usize::from(arguments.peers), arguments.replicas, arguments.partitions);
    let options = storm::Options {
        shape: Shape { peers, replicas, partitions, sync: arguments.sync, ..Shape::default() },
        time: Duration::from_secs_f64(arguments.minutes.max(0.0) * 60.0),
        faults: wanted.to_vec(),
        seed: arguments.seed.unwrap_or_else(drawn),
        only_blackouts: lies,
        network: arguments.network,
    };
    eprintln!("seed {}", options.seed);
    let summary = runtime()?.block_on(async {
        // In either case everything that was started ends with the cluster.
        tokio::select! {
            summary = storm::run(&program, &options, |summary| show_progress(summary, arguments.verbose)) => Ok(summary),
            _ = tokio::signal::ctrl_c() => Err("interrupted".to_string()),
        }
    })?;
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    println!("{summary}");
    summary.violations.iter().for_each(|violation| println!("  {violation}"));
    if arguments.json {
        println!("{}", summary.to_json());
    }
    match &arguments.control {
        None => Ok(summary.violations.is_empty()),
        Some(bug) => {
            let is_found = !summary.violations.is_empty();
            eprintln!("{}: {bug}", if is_found { "found, as it has to be" } else { "NOT FOUND" });
            Ok(is_found)
        }
    }
}

fn show_progress(summary: &Summary, is_verbose: bool) {
    if is_verbose {
        eprintln!("round {}: {}", summary.rounds, summary.last_round);
    }
    let count = |kinds: &[&str]| kinds.iter().filter_map(|kind| summary.faults.get(kind)).sum::<u64>();
    let line = format!(
        "{:.1} min: {} rounds, {} writes acknowledged, {} reads judged, {} kills, {} power cuts, {} violations",
        summary.took.as_secs_f64() / 60.0,
        summary.rounds,
        summary.acked,
        summary.reads,
        count(&["kill", "restarts"]),
        count(&["power"]),
        summary.violations.len()
    );
    let mut out = std::io::stderr();
    // A terminal that is gone wants no line.
    let _ = if out.is_terminal() { write!(out, "\r\x1b[K{line}") } else { Ok(()) };
    let _ = out.flush();
}

/// True if every run was accepted.
fn play_halves(arguments: &ChaosArguments, program: &Program) -> Result<bool, String> {
    let runtime = runtime()?;
    let namespaces = match arguments.network {
        Network::Proxy => Err("they are not to be (--network proxy)".to_string()),
        _ => runtime.block_on(namespaces()),
    };
    match (&namespaces, arguments.network) {
        (Ok(()), _) => println!("network: namespaces"),
        (Err(reason), Network::Namespaces) => return Err(format!("there are no namespaces for the network: {reason}")),
        (Err(reason), _) => println!("network: proxies; no namespaces: {reason}"),
    }
    let shape = Shape { in_namespaces: namespaces.is_ok(), ..Shape::default() };
    let mut failed = 0;
    for turn in 1..=arguments.times {
        for cut in &arguments.cut {
            let begin = Instant::now();
            let name = Cut::ALL.iter().find(|(_, known)| known == cut).map_or("", |(name, _)| *name);
            let report = runtime.block_on(halves::run_over(program, shape, *cut, arguments.keys));
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
    if failed > 0 {
        println!("FAILED: {failed} of {} runs", arguments.cut.len() * arguments.times as usize);
    }
    Ok(failed == 0)
}
