//! The power fails after each call of a life, and every subset of the unsynced pieces survives.

use super::life::{Halt, History, Life, Step, Violation, must_open, script, second_script};
use super::{Counts, Extent, each};
use crate::disk::{Fate, Faults, SimDisk};
use henge::storage::Call;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

/// A disk as it was after a call, and what a start must find on it.
struct Moment {
    call: Call,
    disk: SimDisk,
    history: History,
}

/// Batches in the first life: enough for some segments.
pub(super) const BATCHES: usize = 24;

/// Lives on this disk, and gives back every moment at which something had changed.
fn moments(disk: &SimDisk, history: &History, steps: &[Step]) -> Result<Vec<Moment>, Violation> {
    disk.start_recording();
    let mut life = Life::new(disk, history.clone());
    life.run(steps).map_err(|halt| match halt {
        Halt::Violation(violation) => violation,
        other => Violation::new(other.to_string(), "a life without faults"),
    })?;
    let opened = life.notes.get(1).map_or(usize::MAX, |note| note.recorded);
    let moments = disk.take_recording().into_iter().enumerate().map(|(index, (call, disk))| {
        // Until a start is done, nothing is decided yet: all that there was before may still be found.
        let history = if index + 1 < opened { history.clone() } else { life.at(index) };
        Moment { call, disk, history }
    });
    Ok(moments.collect())
}

/// Every subset of what is unsynced, as the disks that a power cut leaves; above the limit the telling ones and some at random.
fn subsets(
    disk: &SimDisk,
    subsets_max: usize,
    seed: u64,
    mut look: impl FnMut(u64, SimDisk) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let pieces = disk.unsynced().min(64);
    let mut masks: Vec<u64> = Vec::new();
    if pieces < 63 && 1u64 << pieces <= subsets_max as u64 {
        masks.extend(0..1u64 << pieces);
    } else {
        let all = u64::MAX >> (64 - pieces);
        masks.extend([0, all]);
        masks.extend(
            (0..pieces).flat_map(|piece| [1 << piece, all & !(1 << piece), all >> (pieces - piece - 1), all << piece & all]),
        );
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = subsets_max.saturating_sub(masks.len()).min(512);
        masks.extend((0..count).map(|_| random.next_u64() & all));
        masks.truncate(subsets_max);
    }
    for mask in masks {
        let cut = disk.after_power_cut(|piece| if piece < 64 && mask >> piece & 1 == 1 { Fate::Kept } else { Fate::Lost });
        look(mask, cut)?;
    }
    Ok(())
}

/// The power fails after each call of a first life; for some of what that leaves, also after each call of a second one.
pub(super) fn power_cuts(seed: u64, extent: Extent) -> Result<Counts, Violation> {
    let first = moments(&SimDisk::new(), &History::default(), &script(seed, BATCHES))?;
    each(extent, &first, |index, moment| {
        let mut counts = Counts::default();
        // Which states are looked into further differs from moment to moment.
        let mut state = index * 7;
        subsets(&moment.disk, extent.subsets_max, index as u64, |mask, cut| {
            let place = || format!("history {seed}, power cut after call {index} ({:?}), kept {mask:b}", moment.call);
            counts.subsets += 1;
            state += 1;
            if state.is_multiple_of(extent.every_second) {
                counts.second_crashes += second(&cut.copy(), &moment.history, state as u64, extent, &place)?;
            }
            must_open(&cut, &moment.history, &place).map(|_| ())
        })?;
        Ok(counts)
    })
}

/// A second life on what a power cut has left, and the power fails after each of its calls, those of its recovery among them.
fn second(disk: &SimDisk, history: &History, seed: u64, extent: Extent, place: &dyn Fn() -> String) -> Result<u64, Violation> {
    let mut states = 0;
    for (index, moment) in moments(disk, history, &second_script(seed))?.iter().enumerate() {
        subsets(&moment.disk, extent.subsets_max.min(64), seed, |mask, cut| {
            states += 1;
            let place = || format!("{}, then after call {index} ({:?}), kept {mask:b}", place(), moment.call);
            must_open(&cut, &moment.history, &place).map(|_| ())
        })?;
    }
    Ok(states)
}

/// Each write is torn at each byte: all before it is there, nothing behind.
pub(super) fn torn_writes(seed: u64, extent: Extent) -> Result<Counts, Violation> {
    let first = moments(&SimDisk::new(), &History::default(), &script(seed, BATCHES))?;
    let writes: Vec<_> = first.into_iter().filter(|moment| moment.call == Call::Write).collect();
    each(extent, &writes, |index, moment| {
        let mut counts = Counts::default();
        for (torn, size) in moment.disk.unsynced_sizes().into_iter().enumerate() {
            for byte in (index % extent.every_byte..size).step_by(extent.every_byte) {
                let cut = moment.disk.after_power_cut(|piece| match piece.cmp(&torn) {
                    std::cmp::Ordering::Less => Fate::Kept,
                    std::cmp::Ordering::Equal => Fate::Torn(byte),
                    std::cmp::Ordering::Greater => Fate::Lost,
                });
                let place = || format!("history {seed}, write {index} torn in piece {torn} at byte {byte}");
                must_open(&cut, &moment.history, &place)?;
                counts.torn += 1;
            }
        }
        Ok(counts)
    })
}

/// A life on a disk that lies about its syncs, and a power cut at each moment that loses all that is not durable.
pub(super) fn lying_disk(seed: u64) -> Result<(), Violation> {
    let disk = SimDisk::new();
    disk.set_faults(Faults { sync_lies: true, ..Faults::default() });
    for moment in moments(&disk, &History::default(), &script(seed, BATCHES))? {
        let cut = moment.disk.after_power_cut(|_| Fate::Lost);
        must_open(&cut, &moment.history, &|| "a lying disk".into())?;
    }
    Ok(())
}

/// A random fate for each piece, drawn from a seed.
pub(super) fn random_cut(disk: &SimDisk, seed: u64) -> SimDisk {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    disk.after_power_cut(|_| if random.random_bool(0.5) { Fate::Kept } else { Fate::Lost })
}
