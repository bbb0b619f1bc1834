//! The scenario of many faults: clients work all the time on shared keys, while faults drawn from a seed hit the cluster.
//!
//! It goes in rounds: faults, healing, rest, judgement. A few rounds tell one story, with keys of their own; what is at rest behind it must stay
//! as it is. After some stories everything begins anew with a fresh cluster, so that logs, which are read at each start, stay short.
//!
//! | room | what is in it |
//! |---|---|
//! | `faults` | the kinds, which of them are to be had, and what a round gets |
//! | `stage` | how each is done to real processes |
//! | `crowd` | the clients |
//! | `judgement` | the end of a round |

pub mod crowd;
pub mod faults;
pub mod judgement;
pub mod stage;

use super::cluster::{Cluster, Shape};
use super::halves::ring_at;
use super::machine::Machine;
use super::namespaces::Namespaces;
use super::program::Program;
use super::verdict::Trouble;
use super::witness::Story;
use crate::dice::Dice;
use crate::history::{KeyId, Outcome, Write};
use crate::oracle::Violation;
use crowd::Crowd;
use faults::{Kind, Plan, available};
use judgement::{Judged, Settled, judge_round};
use stage::Stage;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a storm is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// How its clusters are made. Whether the peers have disks of their own is decided by what the machine allows.
    pub shape: Shape,
    /// Rounds are begun for so long.
    pub time: Duration,
    /// The kinds of faults.
    pub faults: Vec<Kind>,
    /// What decides which faults hit whom. The processes and their clients are not bound to it: the same seed is the same trouble, and
    /// never twice the same history.
    pub seed: u64,
    /// The control, for a program whose syncs do nothing: what the founding left on the disks is written out behind its back, and then
    /// all peers lose power at once, again and again.
    pub only_blackouts: bool,
    /// What is between its peers.
    pub network: Network,
}

/// What is between the peers of a storm.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Network {
    /// Namespaces if a fault needs them and the machine allows them, otherwise proxies alone.
    #[default]
    Auto,
    /// Each peer is in a network namespace of its own; a cut is loss in the router between them. Proxies stand in the peers' namespaces.
    Namespaces,
    /// All are on loopback, and only proxies are between them.
    Proxy,
}

impl Network {
    /// True if namespaces are wanted for these faults.
    pub fn is_wanted(self, faults: &[Kind]) -> bool {
        match self {
            Network::Auto => faults.iter().any(|kind| matches!(kind, Kind::Cuts | Kind::Loss)),
            Network::Namespaces => true,
            Network::Proxy => false,
        }
    }
}

/// All of them, with their names.
pub const NETWORKS: [(&str, Network); 3] =
    [("auto", Network::Auto), ("namespaces", Network::Namespaces), ("proxy", Network::Proxy)];

/// How it went.
#[derive(Clone, Default, Debug)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// How long it took.
    pub took: Duration,
    /// Clusters that were formed.
    pub clusters: u64,
    /// Rounds that were judged.
    pub rounds: u64,
    /// Writes that were asked for.
    pub asked: u64,
    /// Those that were acknowledged.
    pub acked: u64,
    /// Those of which it is not known what became of them.
    pub unknown: u64,
    /// Reads that were asked for during chaos.
    pub reads_asked: u64,
    /// Those that were answered.
    pub reads_answered: u64,
    /// All reads that were judged, those after healing too.
    pub reads: u64,
    /// Faults by kind, each really done.
    pub faults: BTreeMap<&'static str, u64>,
    /// What was between the peers, and why.
    pub network: String,
    /// Kinds that were wanted, and not to be had: why.
    pub skipped: BTreeMap<&'static str, String>,
    /// What is wrong.
    pub violations: Vec<String>,
    /// The longest time from healing to judgement.
    pub longest_healing: Duration,
    /// The last round, for people.
    pub last_round: String,
}

/// So many violations of an oracle are told.
const VIOLATIONS_SHOWN: usize = 6;
/// Keys of a story.
const KEYS: u16 = 36;
/// Rounds of a story.
const STORY_ROUNDS: u64 = 3;
/// Rounds of a cluster.
const CLUSTER_ROUNDS: u64 = 24;

/// Lets a storm pass over clusters of this program. `on_round` is told how it stands after each round. It ends with the first round that
/// breaks a promise; that cluster's folders stay.
pub async fn run(program: &Program, options: &Options, mut on_round: impl FnMut(&Summary)) -> Summary {
    let begin = Instant::now();
    let mut summary = Summary { seed: options.seed, ..Summary::default() };
    if let Err(error) = std::fs::create_dir_all(program.folders()) {
        summary.violations.push(format!("{} cannot be made: {error}", program.folders().display()));
        return summary;
    }
    let mut machine = probe(program).await;
    match (options.network, &machine.namespaces) {
        (Network::Namespaces, Err(reason)) => {
            summary.violations.push(format!("there are no namespaces for the network: {reason}"));
            return summary;
        }
        (Network::Proxy, _) => machine.namespaces = Err("it was not to be (--network proxy)".to_string()),
        _ => {}
    }
    let (kinds, skipped) = available(&options.faults, &machine, options.shape.sync, options.shape.replicas);
    summary.skipped = skipped;
    let needs_disks = kinds.iter().any(|kind| matches!(kind, Kind::Power | Kind::Full | Kind::Fsync | Kind::SlowDisk));
    let needs_network = options.network.is_wanted(&options.faults);
    let in_namespaces = needs_network && machine.namespaces.is_ok();
    summary.network = match &machine.namespaces {
        Ok(()) if in_namespaces => match prove().await {
            Ok(seen) => format!("namespaces; {seen}"),
            Err(error) => {
                summary.violations.push(format!("the network between namespaces does not do what it is told: {error}"));
                return summary;
            }
        },
        Err(reason) if kinds.contains(&Kind::Cuts) => format!("proxies, which hold up what is cut; no namespaces: {reason}"),
        _ => "proxies".to_string(),
    };
    let shape = Shape { has_disks: needs_disks && machine.disks.is_ok(), in_namespaces, ..options.shape };
    let mut plan = Plan::new(&kinds, shape.peers);
    plan.only_blackouts = options.only_blackouts;
    while begin.elapsed() < options.time && summary.violations.is_empty() {
        let seed = options.seed.wrapping_mul(1_000).wrapping_add(summary.clusters);
        let deadline = begin + options.time;
        let told = over_one_cluster((program, &machine), shape, (seed, deadline), &mut plan, &mut summary, |summary| {
            summary.took = begin.elapsed();
            on_round(summary);
        });
        if let Err(error) = told.await {
            summary.violations.push(error);
        }
    }
    summary.took = begin.elapsed();
    summary
}

/// A cut between namespaces is one: seen with nobody in them.
async fn prove() -> Result<String, String> {
    Namespaces::open(3).await?.prove().await
}

async fn probe(program: &Program) -> Machine {
    let folder = program.folders().join(format!("henge-chaos-{}-probe", std::process::id()));
    let made = std::fs::create_dir_all(&folder);
    let mut machine = Machine::probe(&folder).await;
    if let Err(error) = made {
        machine.disks = Err(format!("{} cannot be made: {error}", folder.display()));
    }
    let _ = std::fs::remove_dir_all(&folder);
    machine
}

async fn over_one_cluster(
    (program, machine): (&Program, &Machine),
    shape: Shape,
    (seed, deadline): (u64, Instant),
    plan: &mut Plan,
    summary: &mut Summary,
    mut on_round: impl FnMut(&mut Summary),
) -> Result<(), String> {
    let cluster = Cluster::form(program, shape).await?;
    summary.clusters += 1;
    if let (true, Some(disks)) = (plan.only_blackouts, cluster.disks()) {
        disks.write_out(&(0..shape.peers).collect::<Vec<_>>()).await?;
    }
    let story = Story::new(ring_at(cluster.listen(0)).await?);
    let (counts, trouble, dice) = (BTreeMap::new(), Trouble::default(), Dice::of(seed, 0));
    let mut stage = Stage { program, machine, cluster, story, counts, trouble, dice, echoes: JoinSet::new() };
    let folder = stage.cluster.folder().display().to_string();
    let mut told = Ok(());
    let mut clients =
        Clients { crowd: Crowd::gather(&stage.cluster, &stage.story).await?, settled: Settled::new(), keys: Vec::new() };
    for round in 0..CLUSTER_ROUNDS {
        if Instant::now() >= deadline && round > 0 {
            break;
        }
        told = one_round(&mut stage, &mut clients, (seed, round), plan, summary).await;
        for (kind, count) in std::mem::take(&mut stage.counts) {
            *summary.faults.entry(kind).or_default() += count;
        }
        summary.violations.extend(stage.cluster.complaints());
        on_round(summary);
        if told.is_err() || !summary.violations.is_empty() {
            break;
        }
    }
    if told.is_err() || !summary.violations.is_empty() {
        stage.cluster.preserve().await;
        // Nothing better can be done for somebody who wants to look.
        let _ = std::fs::write(stage.cluster.folder().join("history.txt"), stage.story.to_text());
        summary.violations.extend(told.err());
        summary.violations.push(format!("the peers' folders and logs are in {folder}"));
    }
    Ok(())
}

/// The clients of a cluster, and the keys that they work on.
struct Clients {
    crowd: Crowd,
    /// What is live of the keys of earlier stories.
    settled: Settled,
    keys: Vec<KeyId>,
}

async fn one_round(
    stage: &mut Stage<'_>,
    clients: &mut Clients,
    (seed, round): (u64, u64),
    plan: &mut Plan,
    summary: &mut Summary,
) -> Result<(), String> {
    if round.is_multiple_of(STORY_ROUNDS) {
        let first = (round / STORY_ROUNDS) as u16 * KEYS;
        clients.keys = (first..first + KEYS).map(KeyId).collect();
        stage.story = stage.story.sequel();
        stage.trouble = Trouble::default();
        clients.crowd.go_on(&stage.story);
    }
    let (writes, reads, reads_asked) = {
        let told = stage.story.told();
        (told.history.writes().len(), told.history.reads().len(), told.reads_asked)
    };
    let begin = Instant::now();
    let work = clients.crowd.work(&clients.keys, seed.wrapping_mul(1_000).wrapping_add(round));
    let steps = plan.draw(&mut stage.dice);
    let mut played = Ok(());
    for step in &steps {
        played = stage.play(step).await;
        if let Err(error) = &mut played {
            error.push_str(&format!("; in round {round}, at {step:?}"));
            break;
        }
    }
    // Clients that still work see the first moments after healing.
    let calmed = stage.cluster.calm().await;
    work.end().await;
    {
        let told = stage.story.told();
        let asked = &told.history.writes()[writes..];
        let count = |is_one: fn(&Write) -> bool| asked.iter().filter(|write| is_one(write)).count() as u64;
        summary.asked += asked.len() as u64;
        summary.acked += count(Write::is_acked);
        summary.unknown += count(|write| write.outcome == Outcome::Unknown);
        summary.reads_asked += told.reads_asked - reads_asked;
        summary.reads_answered += (told.history.reads().len() - reads) as u64;
    }
    played.and(calmed)?;
    let healed = Instant::now();
    let mut dice = Dice::of(seed, 1_000 + round);
    let judged = judge_round(stage, &clients.crowd, (&clients.keys, &clients.settled), reads, &mut dice).await;
    let Judged { violations, live, waited_for } = judged.map_err(|error| format!("{error}; in round {round} of {steps:?}"))?;
    stage.echoes_end().await?;
    let (chaos, healing) = ((healed - begin).as_secs_f64(), healed.elapsed().as_secs_f64());
    summary.last_round = format!("{chaos:.1} s of {steps:?}, {healing:.1} s to the judgement ({waited_for})");
    summary.longest_healing = summary.longest_healing.max(healed.elapsed());
    summary.reads += (stage.story.told().history.reads().len() - reads) as u64;
    summary.rounds += 1;
    summary.violations.extend(shortened(&violations));
    if !violations.is_empty() {
        summary.violations.push(format!("in round {round} of a cluster, of {steps:?}"));
    }
    if (round + 1).is_multiple_of(STORY_ROUNDS) {
        clients.settled.extend(live);
    }
    Ok(())
}

/// The first of each oracle's, and how many more there are: one loss shows in many reads.
fn shortened(violations: &[Violation]) -> Vec<String> {
    let oracles: BTreeSet<&str> = violations.iter().map(|violation| violation.oracle).collect();
    let mut lines = Vec::new();
    for oracle in oracles {
        let mut own = violations.iter().filter(|violation| violation.oracle == oracle);
        lines.extend(own.by_ref().take(VIOLATIONS_SHOWN).map(|violation| format!("VIOLATED {violation}")));
        let more = own.count();
        if more > 0 {
            lines.push(format!("and {more} more of oracle {oracle}"));
        }
    }
    lines
}

impl Summary {
    /// Of all that clients asked for during chaos, the share that was acknowledged or answered.
    pub fn answered_share(&self) -> f64 {
        (self.acked + self.reads_answered) as f64 / (self.asked + self.reads_asked).max(1) as f64
    }

    /// As one JSON object, on one line.
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "minutes": self.took.as_secs_f64() / 60.0,
            "seed": self.seed,
            "clusters": self.clusters,
            "rounds": self.rounds,
            "asked": self.asked,
            "acked": self.acked,
            "unknown": self.unknown,
            "reads_asked": self.reads_asked,
            "reads_answered": self.reads_answered,
            "reads": self.reads,
            "network": self.network,
            "faults": self.faults,
            "skipped": self.skipped,
            "violations": self.violations,
        })
        .to_string()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { asked, acked, unknown, reads_asked, reads_answered, .. } = self;
        let minutes = self.took.as_secs_f64() / 60.0;
        writeln!(f, "seed {}: {} rounds over {} clusters in {minutes:.1} minutes", self.seed, self.rounds, self.clusters)?;
        writeln!(f, "  writes   {asked} asked for, {acked} acknowledged, {unknown} unknown, {} refused", asked - acked - unknown)?;
        writeln!(
            f,
            "  reads    {reads_asked} asked for, {reads_answered} answered; {} judged, those after healing too",
            self.reads
        )?;
        writeln!(f, "  during chaos {:.1} % were acknowledged or answered", self.answered_share() * 100.0)?;
        writeln!(f, "  at most {:.1} s from healing to the end of the judgement", self.longest_healing.as_secs_f64())?;
        writeln!(f, "  network  {}", self.network)?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {kind:<24} {count:>7}  {:>6.1} a minute", *count as f64 / minutes.max(f64::MIN_POSITIVE))?;
        }
        for (kind, reason) in &self.skipped {
            writeln!(f, "  {kind:<24} skipped: {reason}")?;
        }
        write!(f, "  {} violations", self.violations.len())
    }
}
