//! The commands that look at one seed: `replay` and `shrink`.

use crate::commands::plant;
use clap::Args;
use sim::batch::{name_the_seed_in_panics, replay_line};
use sim::conversation::Telling;
use sim::history::KeyId;
use sim::plan::{Plan, Plant};
use sim::regressions;
use sim::run::Case;
use sim::schedule::{Kind, Listed, Selection};
use sim::shrink::{Limit, shrink};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A seed, and what is different from its ordinary run.
#[derive(Args)]
pub struct CaseArguments {
    /// The seed.
    pub seed: u64,
    /// Only these faults: kinds, or some of them by number, as in `crash:3,cut:1+4-6,loss`; `none` for no fault. Clients can be chosen too.
    #[arg(long)]
    only: Option<Listed>,
    /// Not these faults.
    #[arg(long)]
    without: Option<Listed>,
    /// Something planted on purpose.
    #[arg(long, value_parser = plant)]
    plant: Option<Plant>,
    /// A bug in the store itself, by the name of its mutant.
    #[arg(long)]
    pub mutant: Option<String>,
}

impl CaseArguments {
    fn case(&self) -> Case {
        let only = self.only.clone().map(|listed| listed.0);
        let without = self.without.clone().map(|listed| listed.0).unwrap_or_default();
        Case { selection: Selection { only, without }, ..Case::of(self.seed, self.plant.unwrap_or_default()) }
    }

    /// What names the mutant in a line that replays the case.
    fn planted(&self) -> String {
        self.mutant.as_ref().map(|name| format!(" --mutant {name}")).unwrap_or_default()
    }
}

/// What `replay` is told.
#[derive(Args)]
pub struct ReplayArguments {
    #[command(flatten)]
    pub case: CaseArguments,
    /// The directed run for that mutant, from this seed.
    #[arg(long, requires = "mutant")]
    pub directed: bool,
    /// Tells what concerns this key, by its number [default: the key that the oracle names]
    #[arg(long)]
    key: Option<u16>,
    /// Tells of all keys, of timers, disks and gossip, and what was drawn before the run.
    #[arg(long, conflicts_with = "key")]
    everything: bool,
}

/// What `shrink` is told.
#[derive(Args)]
pub struct ShrinkArguments {
    #[command(flatten)]
    pub case: CaseArguments,
    /// At most so many runs.
    #[arg(long, default_value_t = Limit::default().runs)]
    runs: u32,
    /// At most so long.
    #[arg(long, default_value_t = Limit::default().time.as_secs())]
    seconds: u64,
}

/// Runs a case and prints it as a conversation, which ends with what the oracles say.
pub fn replay(arguments: &ReplayArguments) -> ExitCode {
    let case = arguments.case.case();
    name_the_seed_in_panics(case.plant);
    let plan = Plan::draw(case.seed, case.plant);
    let telling = match arguments.key {
        Some(key) => Telling::of_key(KeyId(key)),
        None if arguments.everything => {
            println!("{plan:#?}");
            Telling::All
        }
        // What it ends with says what of it is worth telling.
        None => match case.run(Telling::Nothing).violations.first().and_then(|violation| violation.key()) {
            Some(key) => Telling::of_key(key),
            None => Telling::Conversation,
        },
    };
    println!(
        "seed {}: {} peers, N = {}, {} partitions, {} clients, {} keys, sync {:?}",
        case.seed, plan.peers, plan.replicas, plan.partitions, plan.clients.count, plan.clients.keys, plan.sync
    );
    let report = case.run(telling);
    println!("\n{} events, fingerprint {:016x}", report.events, report.hash);
    println!("{:.1} % of {} requests answered", report.share_answered() * 100.0, report.stats.asked);
    println!(
        "\nwhat went wrong, but for messages ({} more):",
        report.schedule.iter().filter(|it| is_of_messages(it.name.0)).count()
    );
    let kept = report.schedule.iter().filter(|occurrence| !is_of_messages(occurrence.name.0) || report.schedule.len() < 40);
    kept.filter(|occurrence| occurrence.name.0 != Kind::Client).for_each(|occurrence| println!("{occurrence}"));
    if !report.writes.is_empty() {
        println!("\nthe writes of that key, as the oracles know them:");
        report.writes.iter().for_each(|write| println!("{write}"));
    }
    println!();
    report.violations.iter().for_each(|violation| println!("VIOLATED {violation}"));
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_of_messages(kind: Kind) -> bool {
    matches!(kind, Kind::Loss | Kind::Duplicate | Kind::LateDuplicate | Kind::SlowMessage | Kind::SlowDisk)
}

/// Makes a failing case small, and says what is left of it.
pub fn shrink_one(arguments: &ShrinkArguments) -> ExitCode {
    let case = arguments.case.case();
    name_the_seed_in_panics(case.plant);
    let limit = Limit { runs: arguments.runs, time: Duration::from_secs(arguments.seconds) };
    if tell_shrunk(&case, limit, &arguments.case.planted()) {
        return ExitCode::SUCCESS;
    }
    eprintln!("seed {} breaks no promise", case.seed);
    ExitCode::FAILURE
}

/// Makes a case small and tells what is left. False if it breaks no promise. `planted` stands behind the line that replays it.
pub fn tell_shrunk(case: &Case, limit: Limit, planted: &str) -> bool {
    let begin = Instant::now();
    let Some(shrunk) = shrink(case, limit) else { return false };
    let violation = &shrunk.report.violations[0];
    println!(
        "seed {}, shrunk from {} faults and {} clients to {} and {} ({} runs, {:.1} s{}):",
        case.seed,
        shrunk.faults_before,
        shrunk.clients_before,
        shrunk.faults().count(),
        shrunk.clients(),
        shrunk.runs,
        begin.elapsed().as_secs_f64(),
        if shrunk.is_cut_short { ", and then there was no more time" } else { "" }
    );
    shrunk.faults().for_each(|fault| println!("{fault}"));
    println!("{violation}");
    println!("replay it with: {}{planted}", replay_line(&shrunk.case));
    if case.plant == Plant::None && planted.is_empty() {
        println!("keep it in sim/regressions.txt: {}", regressions::line(&shrunk.case, &violation.to_string()));
    }
    true
}
