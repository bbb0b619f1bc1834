//! Crash exhaustion of the log: every way to lose power, every failing call, every flipped bit of a small store.
//!
//! The oracle is always the same: what is recovered is a prefix of what was appended, it holds everything that was acknowledged
//! as synced, and nothing else. Damage of what was durable is refused, never cut away.

mod cuts;
mod damage;
mod faults;
mod healing;
mod life;

pub use life::{History, Violation};

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Of the histories, how many: each has records of other sizes.
    pub histories: u64,
    /// One of so many states is looked into further: a second crash while it is recovered, or soon after.
    pub every_second: usize,
    /// One of so many bits is flipped.
    pub every_bit: usize,
    /// One of so many bytes is where a write is torn.
    pub every_byte: usize,
    /// One of so many calls fails.
    pub every_call: usize,
    /// Most subsets of unsynced pieces; all of them if there are no more.
    pub subsets_max: usize,
    /// How many threads.
    pub threads: usize,
}

impl Extent {
    /// All of it.
    pub fn full() -> Extent {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        Extent { histories: 4, every_second: 61, every_bit: 1, every_byte: 1, every_call: 1, subsets_max: 4_096, threads }
    }

    /// A slice that takes some seconds without optimisation.
    pub fn slice() -> Extent {
        Extent { histories: 1, every_second: 131, every_bit: 37, every_byte: 11, every_call: 1, subsets_max: 64, threads: 1 }
    }
}

/// How many states of each kind were tried.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Power cuts with a subset of the unsynced pieces kept.
    pub subsets: u64,
    /// The same while a first crash was recovered from, or soon after.
    pub second_crashes: u64,
    /// Writes torn at a byte.
    pub torn: u64,
    /// Calls that failed or in the middle of which the power did, each with what followed.
    pub faults: u64,
    /// Flipped bits: those that were noticed and refused, those that did no harm, and those in the last batch that no mark covers.
    pub flips_refused: u64,
    /// See there.
    pub flips_harmless: u64,
    /// See there.
    pub flips_in_last_batch: u64,
    /// Sectors zeroed, gone back to an older state, or swapped; files lost, emptied, cut, grown.
    pub damages: u64,
    /// Power cuts while a damaged record was healed; of these, those after which the store came up without being told to.
    pub healings: u64,
    /// See there.
    pub healed: u64,
}

impl Counts {
    /// All states together.
    pub fn total(&self) -> u64 {
        let flips = self.flips_refused + self.flips_harmless + self.flips_in_last_batch;
        self.subsets + self.second_crashes + self.torn + self.faults + flips + self.damages + self.healings
    }

    fn add(&mut self, other: Counts) {
        self.subsets += other.subsets;
        self.second_crashes += other.second_crashes;
        self.torn += other.torn;
        self.faults += other.faults;
        self.flips_refused += other.flips_refused;
        self.flips_harmless += other.flips_harmless;
        self.flips_in_last_batch += other.flips_in_last_batch;
        self.damages += other.damages;
        self.healings += other.healings;
        self.healed += other.healed;
    }
}

/// Tries all of it; the first violation of the oracle ends it.
pub fn exhaust(extent: Extent) -> Result<Counts, Violation> {
    let mut counts = Counts::default();
    for seed in 0..extent.histories {
        counts.add(cuts::power_cuts(seed, extent)?);
        counts.add(cuts::torn_writes(seed, extent)?);
        counts.add(faults::failing_calls(seed, extent)?);
        counts.add(damage::flips(seed, extent)?);
        counts.add(damage::sectors_and_files(seed, extent)?);
        counts.add(healing::healing(seed, extent)?);
    }
    Ok(counts)
}

/// A disk whose syncs do nothing must be noticed: the harness that does not is worth nothing.
pub fn lying_disk_is_noticed() -> bool {
    cuts::lying_disk(0).is_err()
}

/// Does a piece of work for each item, on several threads; the results are added up, and the error of the first item counts.
fn each<T: Sync>(
    extent: Extent,
    items: &[T],
    work: impl Fn(usize, &T) -> Result<Counts, Violation> + Sync,
) -> Result<Counts, Violation> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Counts::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..extent.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = work(index, item);
                    let mut done = done.lock().expect("no thread panics with it");
                    match result {
                        Ok(counts) => done.0.add(counts),
                        Err(violation) => done.1.push((index, violation)),
                    }
                }
            });
        }
    });
    let (counts, mut violations) = done.into_inner().expect("no thread panics with it");
    violations.sort_by_key(|(index, _)| *index);
    violations.into_iter().next().map_or(Ok(counts), |(_, violation)| Err(violation))
}
