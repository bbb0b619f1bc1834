//! A fuzzer for everything that reads bytes from outside: frames, messages, contexts, entries, documents, paths, `load` lines, and what
//! stands on disks.
//!
//! It changes known inputs, looks at what becomes of each, and keeps those whose *outcome* is new: which error, or which kind and size
//! of thing was read, and how much memory it took. That stands in for coverage, which needs a compiler that counts branches. Three
//! laws are asked of every input: no panic; no more memory than the target allows for so many bytes; and the target's own, mostly
//! that what was read is written again to the same, and read again alike.
//!
//! One seed is one run, whatever the number of threads: each target is cut into [`SHARDS`], each with its own dice and corpus.

mod corpus;
mod mutate;
mod probe;
mod shrink;
pub mod targets;

pub use corpus::{from_hex, hex};
pub use mutate::mutate;
pub use probe::{Failure, Law, Outcome, Probe, judge, listen_to_panics, outcome_class, retry_line};
pub use shrink::shrink;

use crate::dice::Dice;
use corpus::Corpus;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Each target is cut into so many independent runs.
pub const SHARDS: u64 = 8;
/// Inputs are kept below this, in bytes: enough for the longest path and its leaf, little enough to be quick.
pub const INPUT_BYTES_MAX: usize = 6_000;
/// The share of inputs whose lengths and checksums are made right again: without it hardly any would get past them.
const MENDED: f64 = 0.8;
/// The share of inputs that are changed by the rules of their format too.
const PERTURBED: f64 = 0.4;

/// Something that reads bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, for people and `--target`.
    pub name: &'static str,
    /// Inputs to begin with; never none.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that mean something in this format, put in here and there.
    pub words: &'static [&'static [u8]],
    /// Makes lengths and checksums right again. Twice is once.
    pub mend: fn(&mut Vec<u8>),
    /// Changes an input by the rules of its format, with the help of another one.
    pub perturb: fn(&mut Vec<u8>, &[u8], &mut Dice),
    /// Reads an input, inside of [`Probe::decode`], and asks the laws. The error says which one is broken.
    pub check: fn(&[u8], &mut Probe) -> Result<Outcome, String>,
    /// The memory that reading so many bytes may hold at one time, in bytes.
    pub memory_max: fn(usize) -> usize,
}

/// How much to try.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Inputs for each target.
    pub runs: u64,
    /// The seed.
    pub seed: u64,
    /// So many threads.
    pub jobs: usize,
    /// Tells how far it is on standard error.
    pub shows_progress: bool,
}

/// What became of a target.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// The target.
    pub name: &'static str,
    /// Inputs that were judged.
    pub runs: u64,
    /// Of these, how many were read as something.
    pub accepted: u64,
    /// The different outcomes that were met.
    pub outcomes: BTreeSet<u64>,
    /// Inputs that were kept, seeds included.
    pub kept: u64,
    /// Most memory held while reading, in bytes for each byte of the input, of inputs from 64 bytes up.
    pub ratio_max: f64,
    /// Most memory held while reading, as a share of what is allowed for the input.
    pub share_max: f64,
    /// Time spent, on one core.
    pub elapsed: Duration,
    /// The first failure (of the first shard that has one): the input, and what is wrong.
    pub failure: Option<(Vec<u8>, Failure)>,
}

/// Tries targets; the reports are in the order of the targets.
pub fn fuzz(targets: &[Target], extent: Extent) -> Vec<Report> {
    listen_to_panics();
    let reports: Mutex<Vec<Vec<Option<Report>>>> = Mutex::new(vec![vec![None; SHARDS as usize]; targets.len()]);
    let progress = Progress { done: AtomicU64::new(0), all: extent.runs * targets.len() as u64, begin: Instant::now(), extent };
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..extent.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    let (at, shard) = ((job / SHARDS) as usize, job % SHARDS);
                    let Some(target) = targets.get(at) else { return };
                    let runs = extent.runs / SHARDS + u64::from(shard < extent.runs % SHARDS);
                    let report = run_shard(target, runs, extent.seed, shard, &progress);
                    reports.lock().expect("nobody panics while he notes this")[at][shard as usize] = Some(report);
                }
            });
        }
    });
    if extent.shows_progress {
        eprint!("\r{:70}\r", "");
    }
    let reports = reports.into_inner().expect("nobody panicked while he noted it");
    targets.iter().zip(reports).map(|(target, shards)| together(target, shards.into_iter().flatten())).collect()
}

fn run_shard(target: &Target, runs: u64, seed: u64, shard: u64, progress: &Progress) -> Report {
    let begin = Instant::now();
    // A stream of its own for each target and shard, so that another target more or less changes nothing.
    let mut dice = Dice::of(seed, outcome_class(target.name, &[]) << 8 | shard);
    let seeds = (target.seeds)();
    let mut corpus = Corpus::new(seeds.clone());
    let mut report = Report { name: target.name, ..Report::default() };
    let mut seeds = seeds.into_iter();
    for run in 0..runs {
        let input = seeds.next().unwrap_or_else(|| draw(target, &corpus, &mut dice));
        let (result, memory) = judge(target, &input);
        report.runs += 1;
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(failure) => {
                report.failure = Some((input, failure));
                break;
            }
        };
        report.accepted += u64::from(matches!(outcome, Outcome::Accepted(_)));
        report.share_max = report.share_max.max(memory as f64 / (target.memory_max)(input.len()).max(1) as f64);
        if input.len() >= 64 {
            report.ratio_max = report.ratio_max.max(memory as f64 / input.len() as f64);
        }
        corpus.consider(input, outcome, memory, &mut dice);
        if run % 1_024 == 1_023 {
            progress.add(1_024, target.name);
        }
    }
    report.kept = corpus.len() as u64;
    report.outcomes = corpus.outcomes;
    report.elapsed = begin.elapsed();
    report
}

/// The next input: one of the corpus, changed some times.
fn draw(target: &Target, corpus: &Corpus, dice: &mut Dice) -> Vec<u8> {
    let mut input = corpus.pick(dice).to_vec();
    let other = corpus.pick(dice);
    if dice.chance(PERTURBED) {
        (target.perturb)(&mut input, other, dice);
    }
    // Mostly one or two changes: many at once hardly ever get far.
    for _ in 0..dice.spread(1, 9).saturating_sub(u64::from(dice.chance(0.3))) {
        mutate(&mut input, other, target.words, dice);
    }
    if dice.chance(MENDED) {
        (target.mend)(&mut input);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn together(target: &Target, shards: impl Iterator<Item = Report>) -> Report {
    shards.fold(Report { name: target.name, ..Report::default() }, |mut all, shard| {
        all.runs += shard.runs;
        all.accepted += shard.accepted;
        all.outcomes.extend(shard.outcomes);
        all.kept += shard.kept;
        all.ratio_max = all.ratio_max.max(shard.ratio_max);
        all.share_max = all.share_max.max(shard.share_max);
        all.elapsed += shard.elapsed;
        all.failure = all.failure.or(shard.failure);
        all
    })
}

/// How far it is.
struct Progress {
    done: AtomicU64,
    all: u64,
    begin: Instant,
    extent: Extent,
}

impl Progress {
    fn add(&self, runs: u64, name: &str) {
        let done = self.done.fetch_add(runs, Ordering::Relaxed) + runs;
        // About twice a second, whoever comes by.
        if self.extent.shows_progress && (done / 1_024).is_multiple_of(32) {
            let rate = done as f64 / self.begin.elapsed().as_secs_f64();
            eprint!("\r{:>3} %  {rate:>9.0} runs a second  {name:<20}", done * 100 / self.all.max(1));
            let _ = std::io::stderr().flush();
        }
    }
}

/// The table, for people.
pub fn print(reports: &[Report]) {
    println!(
        "{:<12} {:>12} {:>10} {:>9} {:>7} {:>13} {:>13} {:>11}",
        "target", "runs", "accepted", "outcomes", "kept", "memory/input", "of allowance", "runs/s"
    );
    for report in reports {
        println!(
            "{:<12} {:>12} {:>8.1} % {:>9} {:>7} {:>13.2} {:>11.1} % {:>11.0}",
            report.name,
            report.runs,
            report.accepted as f64 / report.runs.max(1) as f64 * 100.0,
            report.outcomes.len(),
            report.kept,
            report.ratio_max,
            report.share_max * 100.0,
            report.runs as f64 / report.elapsed.as_secs_f64().max(1e-9),
        );
    }
}
