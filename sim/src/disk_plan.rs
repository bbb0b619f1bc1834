//! How disks fail in a seed: calls that go wrong, disks that are full for a while, bits that flip. Drawn apart from all else.

use crate::dice::Dice;
use crate::plan::Plant;
use henge::message::SyncMode;

const SECOND: u64 = 1_000_000;
/// The stream of these draws.
const CONCERN: u64 = 20;

/// How disks fail. Shares are from 0 to 1, times in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFaultPlan {
    /// The share of batches of the log whose sync fails; that of a segment or an identity fails ten times as often, as there are few.
    pub failed_syncs: f64,
    /// The share of failed syncs behind which the power fails too, some time after the next start.
    pub cuts_behind: f64,
    /// The share of batches of the log of which only a part is written; of other writes ten times as many.
    pub failed_writes: f64,
    /// The share of records that cannot be read.
    pub failed_reads: f64,
    /// The share of starts in which one of the first calls fails.
    pub failed_starts: f64,
    /// The mean time between two disks that are full for a while.
    pub full_interval: Option<u64>,
    /// The share of lost disks of which only one bit is another.
    pub flips: f64,
}

impl DiskFaultPlan {
    /// That of a seed. A failed sync or write ends a process: where acknowledged writes may be lost by that, there is none.
    pub fn draw(seed: u64, plant: Plant, sync: SyncMode) -> DiskFaultPlan {
        let dice = &mut Dice::of(seed, CONCERN);
        let failed_syncs = half(dice, |dice| dice.spread(200, 5_000) as f64 / 1e6);
        let failed_writes = half(dice, |dice| dice.spread(100, 2_000) as f64 / 1e6);
        let failed_reads = half(dice, |dice| dice.unit() * 0.05);
        let failed_starts = half(dice, |dice| dice.unit() * 0.4);
        let full_interval = half(dice, |dice| dice.spread(SECOND, 6 * SECOND) as f64) as u64;
        let flips = half(dice, |dice| dice.unit() * 0.6);
        let cuts_behind = dice.unit();
        let plan = DiskFaultPlan {
            failed_syncs,
            cuts_behind,
            failed_writes,
            failed_reads,
            failed_starts,
            full_interval: (full_interval > 0).then_some(full_interval),
            flips,
        };
        match (plant, sync) {
            (Plant::None, SyncMode::Always) => plan,
            (Plant::None, _) => DiskFaultPlan { failed_reads, full_interval: plan.full_interval, ..DiskFaultPlan::default() },
            _ => DiskFaultPlan::default(),
        }
    }
}

/// Drawn whether it is used or not, so that the other draws stay where they are.
fn half(dice: &mut Dice, on: impl FnOnce(&mut Dice) -> f64) -> f64 {
    let value = on(dice);
    if dice.chance(0.5) { value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_off_in_about_half_of_the_seeds_and_nothing_ends_a_process_that_may_lose_by_it() {
        let plans: Vec<_> = (0..400).map(|seed| DiskFaultPlan::draw(seed, Plant::None, SyncMode::Always)).collect();
        let on = |holds: &dyn Fn(&DiskFaultPlan) -> bool| plans.iter().filter(|plan| holds(plan)).count();
        for count in [
            on(&|plan| plan.failed_syncs > 0.0),
            on(&|plan| plan.failed_writes > 0.0),
            on(&|plan| plan.failed_reads > 0.0),
            on(&|plan| plan.failed_starts > 0.0),
            on(&|plan| plan.full_interval.is_some()),
            on(&|plan| plan.flips > 0.0),
        ] {
            assert!((150..250).contains(&count), "{count}");
        }
        for seed in 0..100 {
            let lazy = DiskFaultPlan::draw(seed, Plant::None, SyncMode::Interval(50));
            assert_eq!((lazy.failed_syncs, lazy.failed_writes, lazy.failed_starts, lazy.flips), (0.0, 0.0, 0.0, 0.0));
        }
    }
}
