//! Many seeds: side by side on several threads, counted together, the first failures told with the line that replays them.

use crate::client::Stats;
use crate::plan::Plant;
use crate::progress::Progress;
use crate::regressions;
use crate::run::{Case, Report, run};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A seed counts only if this share of its requests was answered during chaos: else too little has been tried.
pub const ANSWERED_MIN: f64 = 0.6;
/// More discarded seeds than this share is a failure: the faults are too hard, or the peers stand still.
pub const DISCARDED_MAX: f64 = 0.05;
/// Of all requests after healing at least this share must be answered.
pub const HEALED_MIN: f64 = 0.999;
/// Failing seeds that are told in full.
const TOLD_MAX: usize = 10;

/// What became of many seeds.
#[derive(Default, Debug)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Of these, how many had too few requests answered to count.
    pub discarded: u64,
    /// Seeds with violations, each with what was violated.
    pub failures: BTreeMap<u64, Vec<String>>,
    /// Events.
    pub events: u64,
    /// Simulated microseconds.
    pub time: u64,
    /// Promises noted by the shadows.
    pub promises: u64,
    /// Reads that were judged.
    pub reads: u64,
    /// Keys with siblings in the end.
    pub siblings: u64,
    /// Sums over all seeds.
    pub stats: Stats,
    /// The fingerprints, by seed.
    pub hashes: BTreeMap<u64, u64>,
}

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Says which seed it was if a peer panics: its own mistakes are assertions.
pub fn name_the_seed_in_panics(plant: Plant) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        if let Some(seed) = SEED.get() {
            eprintln!("seed {seed} panicked; replay it with: {}", replay_line(&Case::of(seed, plant)));
        }
    }));
}

/// How seeds are run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch {
    /// So many threads.
    pub jobs: usize,
    /// Something planted on purpose.
    pub plant: Plant,
    /// Tells on a terminal how far it is.
    pub shows_progress: bool,
    /// No seed is begun when one has failed.
    pub stops_at_first: bool,
    /// No seed is begun after this.
    pub time: Option<Duration>,
}

/// Runs these seeds on so many threads.
pub fn run_seeds(seeds: Range<u64>, jobs: usize, plant: Plant, shows_progress: bool, stops_at_first: bool) -> Summary {
    run_batch(seeds, Batch { jobs, plant, shows_progress, stops_at_first, time: None })
}

/// Runs these seeds, or as many of them as there is time for: always those that come first.
pub fn run_batch(seeds: Range<u64>, batch: Batch) -> Summary {
    let Batch { jobs, plant, stops_at_first, .. } = batch;
    let next = AtomicU64::new(seeds.start);
    let summary = Mutex::new(Summary::default());
    let progress = Progress::new(batch.shows_progress);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    if batch.time.is_some_and(|time| progress.elapsed() > time) {
                        return;
                    }
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    SEED.set(Some(seed));
                    let report = run(seed, plant, false);
                    SEED.set(None);
                    let mut summary = summary.lock().expect("nobody panics while he counts");
                    if let Some(violation) = report.violations.first()
                        && batch.shows_progress
                        && summary.failures.len() < TOLD_MAX
                    {
                        progress.tell(&format!("seed {seed}: {violation}"));
                    }
                    summary.add(report);
                    if stops_at_first && !summary.failures.is_empty() {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                    let share_of_seeds = summary.seeds as f64 / (seeds.end - seeds.start) as f64;
                    let elapsed = progress.elapsed().as_secs_f64();
                    let share_of_time = batch.time.map_or(0.0, |time| elapsed / time.as_secs_f64().max(1.0));
                    progress.show(share_of_seeds.max(share_of_time), || {
                        let rate = summary.seeds as f64 / elapsed;
                        format!("{} seeds, {rate:.1} a second, {} failing", summary.seeds, summary.failures.len())
                    });
                }
            });
        }
    });
    drop(progress);
    summary.into_inner().expect("nobody panicked while he counted")
}

/// The line that runs a case again, with its conversation.
pub fn replay_line(case: &Case) -> String {
    let planted = Plant::ALL.iter().find(|(_, known)| *known == case.plant).map(|(name, _)| format!(" --plant {name}"));
    format!("cargo sim replay {}{}{}", case.seed, case.selection.options(), planted.unwrap_or_default())
}

impl Summary {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.discarded += u64::from(report.share_answered() < ANSWERED_MIN);
        self.events += report.events;
        self.time += report.time;
        self.promises += report.promises;
        self.reads += report.reads;
        self.siblings += report.siblings;
        self.stats.add(&report.stats);
        self.hashes.insert(report.seed, report.hash);
        if !report.violations.is_empty() {
            self.failures.insert(report.seed, report.violations.iter().map(ToString::to_string).collect());
        }
    }

    /// Why the whole run does not count as passed; empty if it does.
    pub fn objections(&self) -> Vec<String> {
        let mut objections = Vec::new();
        if !self.failures.is_empty() {
            objections.push(format!("{} of {} seeds broke a promise", self.failures.len(), self.seeds));
        }
        if self.discarded as f64 > DISCARDED_MAX * self.seeds as f64 {
            let what =
                format!("{} of {} seeds had less than {ANSWERED_MIN} of their requests answered", self.discarded, self.seeds);
            objections.push(what);
        }
        let healed = self.stats.answered_healed as f64 / self.stats.asked_healed.max(1) as f64;
        if healed < HEALED_MIN {
            objections.push(format!("after healing only {healed:.4} of the requests were answered"));
        }
        objections
    }

    /// The figures, for people.
    pub fn print(&self, elapsed: Duration, plant: Plant) {
        for (seed, violations) in self.failures.iter().take(TOLD_MAX) {
            println!("seed {seed}:");
            violations.iter().take(3).for_each(|violation| println!("  {violation}"));
            let case = Case::of(*seed, plant);
            println!("  replay it with: {}", replay_line(&case));
            if plant == Plant::None {
                println!("  keep it in sim/regressions.txt: {}", regressions::line(&case, &violations[0]));
            }
        }
        if self.failures.len() > TOLD_MAX {
            let more: Vec<String> = self.failures.keys().skip(TOLD_MAX).take(40).map(u64::to_string).collect();
            println!("and seeds {}", more.join(" "));
        }
        let seconds = elapsed.as_secs_f64();
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64 * 100.0;
        let stats = &self.stats;
        let row = |name: &str, value: String| println!("{name:<28} {value}");
        row("seeds", format!("{} ({} discarded), {:.1} a second", self.seeds, self.discarded, self.seeds as f64 / seconds));
        row("events", format!("{} ({:.0} a second)", self.events, self.events as f64 / seconds));
        row("simulated time", format!("{:.0} s in {seconds:.1} s", self.time as f64 / 1e6));
        row("requests during chaos", format!("{}, answered {:.1} %", stats.asked, share(stats.answered, stats.asked)));
        row(
            "requests after healing",
            format!("{}, answered {:.2} %", stats.asked_healed, share(stats.answered_healed, stats.asked_healed)),
        );
        row("writes", format!("{} acknowledged, {} unknown", stats.acked, stats.unknown));
        row("writes that expire", format!("{}; {} of their values were dropped by the end", stats.expiring, stats.dropped));
        row("writes with stand-ins", stats.stood_in.to_string());
        row("tries again", format!("{}; {} writes acknowledged by one", stats.retries, stats.retried));
        row("reads judged", format!("{}; {} with conflicts, at most {} versions", self.reads, stats.conflicts, stats.versions_max));
        row("keys with siblings at the end", self.siblings.to_string());
        row("promises shadowed", self.promises.to_string());
        for (fault, count) in &stats.faults {
            row(&format!("  fault: {fault}"), count.to_string());
        }
        row("seeds with violations", self.failures.len().to_string());
    }
}

impl Stats {
    fn add(&mut self, other: &Stats) {
        self.asked += other.asked;
        self.answered += other.answered;
        self.asked_healed += other.asked_healed;
        self.answered_healed += other.answered_healed;
        self.acked += other.acked;
        self.expiring += other.expiring;
        self.dropped += other.dropped;
        self.unknown += other.unknown;
        self.conflicts += other.conflicts;
        self.versions_max = self.versions_max.max(other.versions_max);
        self.retries += other.retries;
        self.retried += other.retried;
        self.stood_in += other.stood_in;
        for (fault, count) in &other.faults {
            *self.faults.entry(fault.clone()).or_default() += count;
        }
    }
}
