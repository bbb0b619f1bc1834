//! Directed runs: a story each, in which nothing goes wrong but what it tells. The oracles judge its end like that of any seed.

use crate::dice::Dice;
use crate::network::CutShape;
use crate::node::Down;
use crate::oracle::Violation;
use crate::plan::Plan;
use crate::world::World;

/// A story and its name.
pub type Scenario = (&'static str, fn(u64) -> Vec<Violation>);

/// All of them.
pub const SCENARIOS: [Scenario; 3] = [
    ("a thousand kills with writes between them leave one interval an actor, and deleted keys cost nothing", a_thousand_kills),
    ("a peer that was away, and for which nobody kept a hint, is made whole, and brings nothing back", a_peer_was_away),
    ("two halves that both took writes and deletes lose nothing, and bring nothing back", two_halves),
];

const SECOND: u64 = 1_000_000;
/// What a story draws itself comes from this stream.
const STORY: u64 = 2;

fn a_thousand_kills(seed: u64) -> Vec<Violation> {
    let mut world = World::new(Plan::calm(seed, 5), false);
    world.set_up();
    world.start_clients();
    world.is_chaotic = true;
    let dice = &mut Dice::of(seed, STORY);
    for _ in 0..1_000 {
        let n = dice.below(world.nodes.len() as u64) as usize;
        let how = if dice.chance(0.5) { Down::Kill } else { Down::PowerCut };
        world.go_down(n, how);
        world.run_to(world.time + SECOND / 4);
    }
    world.end();
    world.violations
}

/// Of three peers one is away; there is nobody who could stand in.
fn a_peer_was_away(seed: u64) -> Vec<Violation> {
    let mut world = World::new(Plan::calm(seed, 3), false);
    world.set_up();
    world.start_clients();
    world.run_to(world.time + 5 * SECOND);
    world.nodes[0].is_away = true;
    world.go_down(0, Down::Kill);
    world.run_to(world.time + 20 * SECOND);
    world.end();
    world.violations
}

fn two_halves(seed: u64) -> Vec<Violation> {
    let mut world = World::new(Plan::calm(seed, 6), false);
    world.set_up();
    world.start_clients();
    world.run_to(world.time + 5 * SECOND);
    world.is_chaotic = true;
    let mut dice = Dice::of(seed, STORY);
    let directions = world.network.draw_cut(CutShape::Halves, 0.0, &mut dice);
    world.cut_these(directions, 60 * SECOND, 0, dice);
    world.run_to(world.time + 20 * SECOND);
    world.end();
    world.violations
}
