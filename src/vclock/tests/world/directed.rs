//! Windows that random runs hardly ever hit. In the first two, an owner may drop its copy after the comparison, and with it
//! all that knew of the delete.

use super::change::Closing;
use super::store::range;
use super::*;

const KEY: u8 = 0;
const NOBODY: BTreeSet<usize> = BTreeSet::new();

/// Two owners, `0` and `1`, a third peer, and a write that the third has made.
fn owners_and_write(broken: Option<Rule>) -> (World, Entry) {
    let mut world = World::empty(0, broken, 3);
    world.peers[..2].iter_mut().for_each(|peer| (peer.owner, peer.complete) = (true, true));
    let dot = world.peers[2].mint();
    (world, Entry::new(vec![version_of(dot, 0, 1)], [dot].into_iter().collect()))
}

fn delete(entry: &Entry) -> Entry {
    Entry::new(Vec::new(), entry.context().clone())
}

/// 1 has compared with 0, then takes in a late duplicate of what 0 has deleted, then finishes.
pub(in super::super) fn late_arrival(broken: Option<Rule>) -> Option<String> {
    let (mut world, entry) = owners_and_write(broken);
    world.peers[0].take(KEY, &entry, &NOBODY);
    world.peers[0].take(KEY, &delete(&entry), &NOBODY);
    let mut pull = world.new_pull(1, 0);
    pull.every_key(&mut world);
    world.peers[1].take(KEY, &entry, &NOBODY);
    pull.finish(&mut world);
    (!world.peers[1].store.live(KEY).is_empty()).then(|| "RESURRECTED by a late arrival".into())
}

/// 0 is told to delete what only a stand-in holds so far; 1 compares with 0; then the stand-in pays 1.
pub(in super::super) fn delete_before_write(broken: Option<Rule>) -> Option<String> {
    let (mut world, entry) = owners_and_write(broken);
    world.peers[2].take(KEY, &entry, &NOBODY);
    world.peers[0].take(KEY, &delete(&entry), &NOBODY);
    world.new_pull(1, 0).whole(&mut world);
    let hint = world.peers[2].view(KEY);
    world.peers[1].take(KEY, &hint, &NOBODY);
    (!world.peers[1].store.live(KEY).is_empty()).then(|| "RESURRECTED by a hint, though an owner had told of the delete".into())
}

/// 0 writes over what all three hold and loses power before its sync; 2 closes that start; then the message of 0 reaches 1.
pub(in super::super) fn write_of_an_ended_start(broken: Option<Rule>) -> Option<String> {
    let (mut world, entry) = owners_and_write(broken);
    (world.peers[2].owner, world.peers[2].complete) = (true, true);
    for peer in &mut world.peers {
        peer.take(KEY, &entry, &NOBODY);
        peer.save();
    }
    let dot = world.peers[0].mint();
    let (actor, mut cover) = (dot.actor, entry.context().clone());
    cover.union_with(&range(actor, dot.counter, dot.counter));
    let over = Entry::new(vec![version_of(dot, 0, 2)], cover);
    world.peers[0].begin(false, 1_000);
    world.closing = Some(Closing::new(actor, 1, 2, world.peers[2].store.id, vec![0, 1, 2]));
    close(&mut world);
    assert_eq!(world.closed, 1);
    world.new_pull(1, 2).whole(&mut world);
    world.arrive(&Message { to: 1, key: KEY, entry: over, as_owner: true, owed: NOBODY, origin: (actor, 0) });
    world.peers[1].store.live(KEY).is_empty().then(|| "LOST an acked write under a late one of an ended start".into())
}

/// 2 has coordinated a write as a stand-in and holds it for the owners over a restart; 0 wants to close that start.
pub(in super::super) fn hint_of_an_ended_start(broken: Option<Rule>) -> Option<String> {
    let (mut world, entry) = owners_and_write(broken);
    world.peers[2].take(KEY, &entry, &[0, 1].into());
    world.peers[2].begin(true, 1_000);
    world.closing = Some(Closing::new(world.peers[2].actor, 1, 0, world.peers[0].store.id, vec![0, 1, 2]));
    close(&mut world);
    let hint = world.peers[2].view(KEY);
    world.peers[0].take(KEY, &hint, &NOBODY);
    world.new_pull(1, 0).whole(&mut world);
    world.peers[1].store.live(KEY).is_empty().then(|| "LOST an acked write that a stand-in held".into())
}

/// Runs a closing, and its pulls, to their end.
fn close(world: &mut World) {
    while world.closing.is_some() {
        world.close();
        while let Some(pull) = world.under_way.pop() {
            while !world.step_pull(pull) {}
        }
    }
}
