//! Owners agree, at every step, with the naive way to do it: remembering every write ever heard of, each with the set of
//! all writes in its past.

use super::*;
use crate::limits::SIBLINGS_MAX;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use std::collections::BTreeSet;

const OWNERS: usize = 3;
const KEYS: usize = 2;

/// Every write, or delete, that somebody has heard of, by its number.
type History = BTreeSet<usize>;

struct Write {
    past: History,
    /// A delete has none.
    dot: Option<Dot>,
}

/// One owner, as the crate does it and as the naive model does.
#[derive(Clone, Default)]
struct Owner {
    clock: Seen,
    entries: [Entry; KEYS],
    heard: [History; KEYS],
    issued: u64,
}

impl Owner {
    fn filled(&self, key: usize) -> Entry {
        let mut entry = self.entries[key].clone();
        entry.fill(&self.clock);
        entry
    }
}

/// The writes that no other one heard of has in its past.
fn maximal(heard: &History, writes: &[Write]) -> BTreeSet<Dot> {
    let covered: History = heard.iter().flat_map(|n| writes[*n].past.iter().copied()).collect();
    heard.difference(&covered).filter_map(|n| writes[*n].dot).collect()
}

#[derive(Default)]
struct Tally {
    steps: usize,
    siblings: usize,
    late: usize,
}

/// Owners that write, delete, tell each other of one key (at once, late, twice or never), and hand over clocks.
fn run(seed: u64, tally: &mut Tally) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut owners: Vec<Owner> = vec![Owner::default(); OWNERS];
    let (mut writes, mut post): (Vec<Write>, Vec<(usize, Entry, History)>) = (Vec::new(), Vec::new());
    for _ in 0..rng.random_range(20..120) {
        let (here, key) = (rng.random_range(0..OWNERS), rng.random_range(0..KEYS));
        match rng.random_range(0..100) {
            0..45 => {
                let owner = &mut owners[here];
                // With the whole context, or with what a client saw when it read another owner.
                let (context, past) = match rng.random_range(0..3) {
                    0 if !post.is_empty() => {
                        let (of, entry, heard) = &post[rng.random_range(0..post.len())];
                        let mut context = entry.context().clone();
                        entry.dots().for_each(|dot| context.insert(dot));
                        if *of == key { (context, heard.clone()) } else { (Seen::new(), History::new()) }
                    }
                    _ => (owner.filled(key).context().clone(), owner.heard[key].clone()),
                };
                let dot = rng.random_bool(0.7).then(|| {
                    owner.issued += 1;
                    dot(here as u64, owner.issued)
                });
                let mut covers = context;
                dot.into_iter().for_each(|dot| covers.insert(dot));
                let written: Vec<Version> = dot.into_iter().map(version).collect();
                let entry = Entry::new(written, covers);
                owner.entries[key].take(entry, &mut owner.clock);
                owner.heard[key].extend(past.iter().copied().chain([writes.len()]));
                writes.push(Write { past, dot });
            }
            45..70 => post.push((key, owners[here].filled(key), owners[here].heard[key].clone())),
            70..92 if !post.is_empty() => {
                let at = rng.random_range(0..post.len());
                let (key, entry, heard) = if rng.random_bool(0.7) { post.swap_remove(at) } else { post[at].clone() };
                tally.late += usize::from(heard.is_subset(&owners[here].heard[key]));
                let owner = &mut owners[here];
                owner.entries[key].take(entry, &mut owner.clock);
                owner.heard[key].extend(heard);
            }
            _ => {
                // A whole comparison at once: every key, then the clock.
                let from = owners[(here + 1) % OWNERS].clone();
                let owner = &mut owners[here];
                for key in 0..KEYS {
                    owner.entries[key].take(from.filled(key), &mut owner.clock);
                    owner.heard[key].extend(from.heard[key].iter().copied());
                }
                owner.clock.union_with(&from.clock);
                owner.entries.iter_mut().for_each(|entry| entry.strip(&owner.clock));
            }
        }
        for owner in &owners {
            for key in 0..KEYS {
                let live: BTreeSet<Dot> = owner.entries[key].dots().collect();
                assert_eq!(live, maximal(&owner.heard[key], &writes), "seed {seed}");
                assert!(live.iter().all(|dot| owner.clock.contains(*dot)), "seed {seed}");
                assert!(live.len() < SIBLINGS_MAX);
                tally.siblings += usize::from(live.len() > 1);
                tally.steps += 1;
            }
        }
    }
}

#[test]
fn owners_hold_exactly_the_writes_that_no_write_heard_of_has_in_its_past() {
    let (mut tally, seeds) = (Tally::default(), 1_500);
    (0..seeds).for_each(|seed| run(seed, &mut tally));
    let share = tally.siblings * 100 / tally.steps;
    println!(
        "{seeds} histories, {} states compared, {share} % of them with siblings, {} late or repeated messages",
        tally.steps, tally.late
    );
    assert!(share >= 10 && tally.late > 1_000, "the histories are too tame to show anything");
}
