//! What the gossip costs and finds out, as a table.

use super::world::World;
use henge::gossip::Pace;

/// How much is tried.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Numbers of peers.
    pub sizes: Vec<usize>,
    /// Deaths for each of them.
    pub deaths: usize,
    /// How long false deaths are waited for, in peer-hours for each case.
    pub peer_hours: f64,
}

impl Extent {
    /// The table of docs/operations.md.
    pub fn full() -> Extent {
        Extent { sizes: vec![5, 50, 500], deaths: 200, peer_hours: 20.0 }
    }
}

/// What makes life hard.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Trouble {
    /// This share of all messages is lost.
    Loss(f64),
    /// A tenth of the peers stands still for seconds, again and again.
    Starved,
}

/// How long it took until all knew of a death.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deaths {
    /// Deaths that all came to know of.
    pub known: usize,
    /// The time within which half of them were known (milliseconds).
    pub p50_ms: u64,
    /// The time within which 99 of 100 were known (milliseconds).
    pub p99_ms: u64,
}

/// Peers that were there, and were declared dead.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FalseDeaths {
    /// Of those that had nothing to do with the trouble.
    pub healthy: usize,
    /// Of the starved ones.
    pub starved: usize,
}

/// Until the records of all have come round.
fn settled(count: usize, pace: Pace, seed: u64) -> World {
    let mut world = World::new(count, pace, seed);
    world.run(60_000);
    assert!(world.agrees(), "a minute is enough for all to know all");
    world
}

/// Bytes of frames that each peer sends in a second when nothing happens.
pub fn quiet_bytes(count: usize, seed: u64) -> f64 {
    let mut world = settled(count, Pace::default(), seed);
    world.counts_bytes = true;
    let seconds = 60;
    world.run(seconds * 1_000);
    world.bytes as f64 / count as f64 / seconds as f64
}

/// Peers go away without a word, one after the other; at most one in twenty is away at a time.
pub fn true_deaths(count: usize, deaths: usize, seed: u64) -> Deaths {
    let mut world = settled(count, Pace::default(), seed);
    let away = 60_000;
    let every = away * 20 / count.clamp(20, 400) as u64;
    let mut last = usize::MAX;
    for _ in 0..deaths {
        let mut victim = world.below(count);
        while victim == last {
            victim = world.below(count);
        }
        last = victim;
        let delay = world.below(1_000) as u64;
        world.schedule_death(victim, delay, away);
        world.run(every);
    }
    world.run(2 * away);
    let mut known_after = std::mem::take(&mut world.known_after);
    known_after.sort_unstable();
    let share = |share: f64| known_after.get(((known_after.len() as f64 * share).ceil() as usize).max(1) - 1).copied().unwrap_or(0);
    Deaths { known: known_after.len(), p50_ms: share(0.5), p99_ms: share(0.99) }
}

/// Nobody goes away.
pub fn false_deaths(count: usize, trouble: Trouble, local_health: bool, peer_hours: f64, seed: u64) -> FalseDeaths {
    let mut world = settled(count, Pace { local_health, ..Pace::default() }, seed);
    match trouble {
        Trouble::Loss(loss) => world.lose(loss),
        Trouble::Starved => world.starve(count.div_ceil(10)),
    }
    world.run((peer_hours * 3_600_000.0 / count as f64) as u64);
    let starved = world.falsely_dead.iter().filter(|(victim, ..)| world.is_starved(*victim)).count();
    FalseDeaths { healthy: world.falsely_dead.len() - starved, starved }
}

/// Measures everything and prints it.
pub fn print_table(extent: &Extent, seed: u64) {
    println!("| peers | quiet, bytes per peer and second | death known to all: p50 | p99 | of |");
    println!("|---|---|---|---|---|");
    for count in &extent.sizes {
        let bytes = quiet_bytes(*count, seed);
        let Deaths { known, p50_ms, p99_ms } = true_deaths(*count, extent.deaths, seed);
        let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1_000.0);
        println!("| {count} | {bytes:.0} | {} | {} | {known} |", seconds(p50_ms), seconds(p99_ms));
    }
    println!();
    println!("Declared dead though they were there, in {} peer-hours, with local health and without:", extent.peer_hours);
    println!();
    println!(
        "| peers | 5 % loss | without | 20 % loss | without | a tenth starved: healthy ones | without | starved ones | without |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for count in &extent.sizes {
        let [five, twenty, starved] = [Trouble::Loss(0.05), Trouble::Loss(0.2), Trouble::Starved]
            .map(|trouble| [true, false].map(|health| false_deaths(*count, trouble, health, extent.peer_hours, seed)));
        println!(
            "| {count} | {} | {} | {} | {} | {} | {} | {} | {} |",
            five[0].healthy,
            five[1].healthy,
            twenty[0].healthy,
            twenty[1].healthy,
            starved[0].healthy,
            starved[1].healthy,
            starved[0].starved,
            starved[1].starved
        );
    }
}
