//! Each call of a life fails once, or the power fails in the middle of it; what comes after must be right.

use super::cuts::{BATCHES, random_cut};
use super::life::{Halt, History, Life, Step, Violation, must_open, script, second_script};
use super::{Counts, Extent, each};
use crate::disk::{Fate, Faults, SimDisk};

/// Each call of a first life, and each call of a second one that recovers from a crash of the first.
pub(super) fn failing_calls(seed: u64, extent: Extent) -> Result<Counts, Violation> {
    let steps = script(seed, BATCHES);
    let mut counts = one_by_one(seed, extent, &SimDisk::new(), &History::default(), &steps)?;
    let calls = calls_of(&SimDisk::new(), &History::default(), &steps)?;
    for crash in (1..6).map(|part| calls * part / 6) {
        let disk = SimDisk::new();
        disk.set_faults(Faults { crash: Some(crash), ..Faults::default() });
        let mut life = Life::new(&disk, History::default());
        expect_halt(life.run(&steps), crash)?;
        let left = random_cut(&disk, seed + crash);
        counts.add(one_by_one(seed, extent, &left, &life.history, &second_script(seed + crash))?);
    }
    Ok(counts)
}

fn one_by_one(seed: u64, extent: Extent, disk: &SimDisk, history: &History, steps: &[Step]) -> Result<Counts, Violation> {
    let calls: Vec<u64> = (0..calls_of(disk, history, steps)?).step_by(extent.every_call).collect();
    each(extent, &calls, |_, call| {
        let fail = Faults { fail: Some(*call), ..Faults::default() };
        let crash = Faults { crash: Some(*call), ..Faults::default() };
        let mut counts = Counts::default();
        for faults in [fail, crash] {
            let disk = disk.copy();
            disk.set_faults(faults);
            let mut life = Life::new(&disk, history.clone());
            expect_halt(life.run(steps), *call)?;
            disk.set_faults(Faults::default());
            counts.faults += aftermath(&disk, &life.history, &|| format!("history {seed}, {faults:?}"))?;
        }
        Ok(counts)
    })
}

/// How many calls a life makes when all goes well.
fn calls_of(disk: &SimDisk, history: &History, steps: &[Step]) -> Result<u64, Violation> {
    let whole = disk.copy();
    whole.set_faults(Faults::default());
    Life::new(&whole, history.clone()).run(steps).map_err(|halt| violation(halt, "a life without faults"))?;
    Ok(whole.calls())
}

/// A life whose disk fails ends with that failure; it never goes on as if nothing were.
fn expect_halt(result: Result<(), Halt>, call: u64) -> Result<(), Violation> {
    match result {
        Ok(()) => Err(Violation::new("a failed call went unnoticed", format!("call {call}"))),
        Err(Halt::Violation(violation)) => Err(violation),
        Err(Halt::Disk(_) | Halt::Open(_)) => Ok(()),
    }
}

fn violation(halt: Halt, place: &str) -> Violation {
    match halt {
        Halt::Violation(violation) => violation,
        other => Violation::new(other.to_string(), place),
    }
}

/// The process is started again, with or without a power cut before, and lives on, with a power cut at the end.
fn aftermath(disk: &SimDisk, history: &History, place: &dyn Fn() -> String) -> Result<u64, Violation> {
    let mut states = 0;
    let cuts = [
        ("the process alone is started again", disk.copy()),
        ("a power cut that loses all", disk.after_power_cut(|_| Fate::Lost)),
        ("a power cut that keeps all", disk.after_power_cut(|_| Fate::Kept)),
        ("a power cut", random_cut(disk, 1)),
        ("a power cut", random_cut(disk, 2)),
        ("a power cut", random_cut(disk, 3)),
        ("a power cut", random_cut(disk, 4)),
    ];
    for (seed, (what, start)) in cuts.into_iter().enumerate() {
        let place = || format!("{}, then {what}", place());
        must_open(&start.copy(), history, &place)?;
        let mut life = Life::new(&start, history.clone());
        life.run(&second_script(seed as u64)).map_err(|halt| violation(halt, &place()))?;
        let end = start.after_power_cut(|_| Fate::Lost);
        must_open(&end, &life.history, &|| format!("{}, lived on, and a power cut that loses all", place()))?;
        states += 3;
    }
    Ok(states)
}
