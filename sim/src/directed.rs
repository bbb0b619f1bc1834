//! Directed runs for rules whose windows are too narrow for random seeds: each is clean while its rule is kept, and the ordinary oracles
//! find it broken.
//!
//! Everything is as it is in any seed, but for a gate before the network that loses messages or keeps them back, and for the moment in
//! which a peer goes down. No disk is lost before the one lost earlier has been made whole again, so that nothing may be lost.

use crate::history::KeyId;
use crate::node::Down;
use crate::oracle::Violation;
use crate::plan::{ClientPlan, Plan};
use crate::tally::{PLAIN, add_to, look_at};
use crate::workload::{Wish, Workload, remove};
use crate::world::{Passage, World, key_name};
use henge::broken::Rule;
use henge::message::{Comparing, Message, Quorum};
use henge::ring::PartitionId;
use henge::vclock::{Dot, unpack};

/// A directed run: the rule that it is for, what happens in it, and how it is run from a seed.
pub struct Directed {
    /// The rule.
    pub rule: Rule,
    /// What happens.
    pub name: &'static str,
    /// Runs it from a seed; if it is to be printed, as a conversation.
    pub run: fn(u64, bool) -> Vec<Violation>,
}

/// All of them.
pub const DIRECTED: [Directed; 8] = [
    Directed {
        rule: Rule::LateTakeover,
        name: "a late copy of what is deleted arrives in the middle of a comparison",
        run: late_arrival,
    },
    Directed {
        rule: Rule::SkipContexts,
        name: "a delete comes to owners before the write that only stand-ins hold",
        run: delete_before_write,
    },
    Directed {
        rule: Rule::NoFence,
        name: "a write of a start that is over arrives when its gap has been closed",
        run: write_of_an_ended_start,
    },
    Directed {
        rule: Rule::DropCounter,
        name: "an owner drops its copy of a partition, owns it again at once, and writes",
        run: straight_back,
    },
    Directed {
        rule: Rule::StaleTakeover,
        name: "the disk of a peer is lost while another one compares with it",
        run: partner_is_lost,
    },
    Directed {
        rule: Rule::CloseEarly,
        name: "a gap is closed while only a stand-in holds a write of that start",
        run: only_a_hint,
    },
    Directed {
        rule: Rule::PromiseMissing,
        name: "the stand-in that alone holds a write of that start has not promised anything",
        run: a_silent_stand_in,
    },
    Directed {
        rule: Rule::FoldsAlone,
        name: "a fold that comes to nobody is folded by one that all others get",
        run: a_fold_that_came_to_nobody,
    },
];

const SECOND: u64 = 1_000_000;

fn begin((seed, prints): (u64, bool), peers: usize, keys: u16) -> World {
    let clients = ClientPlan { count: 0, keys, think: 1_000, blind: 0.0, stray: 0.0, healed_requests: 0 };
    let mut world = World::new(Plan { clients, ..Plan::calm(seed, peers) }, prints);
    world.set_up();
    wait(&mut world, 3 * SECOND);
    world
}

fn wait(world: &mut World, length: u64) {
    world.run_to(world.time + length);
}

/// A client asks a peer, and is answered as it should be.
fn asks(world: &mut World, client: usize, peer: usize, wish: impl FnOnce(&mut Workload) -> Wish) {
    world.ask_for(client, peer, wish);
    world.expect("a request of the story is answered", World::clients_are_done);
    if world.violations.is_empty() && !world.has_all_acknowledged(client) {
        world.violations.push(Violation::new("story", "a write of the story was not acknowledged"));
    }
}

/// The disk of a peer is lost, and it is made whole by the others.
fn is_lost_and_made_whole(world: &mut World, n: usize) {
    world.lose_disk(n);
    world.expect("every owner is complete again", World::has_lost_nothing);
}

/// The partition of a comparison's question.
fn asked(message: &Message) -> Option<PartitionId> {
    let Message::Comparing(comparing) = message else { return None };
    match &**comparing {
        Comparing::Compare(compare) => Some(PartitionId(compare.partition)),
        Comparing::Walk(walk) => Some(PartitionId(walk.partition)),
        Comparing::FetchEntries(fetch) => Some(PartitionId(fetch.partition)),
        _ => None,
    }
}

fn is_apply_of(message: &Message, key: KeyId) -> bool {
    matches!(message, Message::Apply(apply) if apply.key == key_name(key))
}

fn are(pair: (usize, usize), from: usize, to: usize) -> bool {
    pair == (from, to) || pair == (to, from)
}

/// Three keys of one partition.
fn three_together(world: &World) -> [KeyId; 3] {
    let together = |first: &KeyId| {
        let same: Vec<KeyId> = world.keys().filter(|key| world.partition(*key) == world.partition(*first)).take(3).collect();
        <[KeyId; 3]>::try_from(same).ok()
    };
    world.keys().find_map(|first| together(&first)).expect("there are more than twice as many keys as partitions")
}

/// b has lost its disk and learns from a, which has deleted a key; c knows nothing of that. When b has looked at that key, a late copy of what
/// was deleted arrives; then the comparison ends. Some time later a loses its disk.
fn late_arrival(seed: u64, prints: bool) -> Vec<Violation> {
    let mut world = begin((seed, prints), 3, 80);
    let (a, b, c) = (0, 1, 2);
    let [key, second, third] = three_together(&world);
    let partition = world.partition(key);
    let client = world.add_teller();
    world.set_gate(move |from, to, message| match are((c, b), from, to) && from == c && is_apply_of(message, key) {
        true => Passage::Copied,
        false => Passage::Goes,
    });
    asks(&mut world, client, c, |workload| workload.put_plain(key, Quorum::All));
    world.open_gate();
    asks(&mut world, client, c, |workload| workload.put_plain(second, Quorum::All));
    asks(&mut world, client, c, |workload| workload.put_plain(third, Quorum::All));
    let late = world.take_kept_back();
    wait(&mut world, SECOND);

    let hears_nothing = move |from: usize, to: usize, message: &Message| {
        (to == c && is_apply_of(message, key)) || ((from == c || to == c) && asked(message) == Some(partition))
    };
    world.set_gate(move |from, to, message| if hears_nothing(from, to, message) { Passage::Lost } else { Passage::Goes });
    asks(&mut world, client, a, |_| remove(key, "", Quorum::Default));
    wait(&mut world, SECOND);

    world.set_gate(move |from, to, message| match message {
        Message::Comparing(comparing) if (from, to) == (a, b) && matches!(**comparing, Comparing::Entries(_)) => Passage::Kept,
        message if hears_nothing(from, to, message) => Passage::Lost,
        _ => Passage::Goes,
    });
    world.lose_disk(b);
    world.expect("b compares with a", |world| !world.kept_back.is_empty());
    world.let_arrive(late);
    wait(&mut world, SECOND / 10);
    let entries = world.take_kept_back();
    world.set_gate(move |from, to, message| if hears_nothing(from, to, message) { Passage::Lost } else { Passage::Goes });
    world.let_arrive(entries);
    wait(&mut world, SECOND / 5);
    // From now on a is silent about it, and b and c are not.
    world.set_gate(move |from, to, message| match (from == a || to == a) && asked(message) == Some(partition) {
        true => Passage::Lost,
        false => Passage::Goes,
    });
    world.expect("b is complete again", World::has_lost_nothing);
    world.open_gate();
    is_lost_and_made_whole(&mut world, a);
    world.end();
    world.violations
}

/// A write of which only stand-ins know is deleted at two owners; the third one only compares with them. Both lose their disks, one after the
/// other is whole again. Then the stand-ins pay.
fn delete_before_write(seed: u64, prints: bool) -> Vec<Violation> {
    let mut world = begin((seed, prints), 5, 4);
    let key = KeyId(0);
    let owners = world.owners(key);
    let (a, b, c) = (owners[0], owners[1], owners[2]);
    let others: Vec<usize> = (0..5).filter(|n| !owners.contains(n)).collect();
    for (owner, other) in owners.iter().flat_map(|owner| others.iter().map(move |other| (*owner, *other))) {
        world.network.set_cut(owner, other, true);
        world.network.set_cut(other, owner, true);
        world.break_link(owner, other, 1_000);
    }
    wait(&mut world, 20 * SECOND);
    let client = world.add_teller();
    asks(&mut world, client, others[0], |workload| workload.put_plain(key, Quorum::Default));
    world.set_gate(move |from, to, message| match (to == b || others.contains(&from)) && is_apply_of(message, key) {
        true => Passage::Lost,
        false => Passage::Goes,
    });
    world.network.mend();
    world.expect("all are linked again", World::is_whole);
    asks(&mut world, client, a, |_| remove(key, "", Quorum::Default));
    is_lost_and_made_whole(&mut world, c);
    is_lost_and_made_whole(&mut world, a);
    world.open_gate();
    world.end();
    world.violations
}

/// a writes over what all three hold, and loses power before its sync; that start is closed; b comes up anew, and a's message reaches it.
fn write_of_an_ended_start(seed: u64, prints: bool) -> Vec<Violation> {
    let mut world = begin((seed, prints), 3, 4);
    let (a, b, key) = (0, 1, KeyId(0));
    let partition = world.partition(key);
    let client = world.add_teller();
    asks(&mut world, client, a, |workload| workload.put_plain(key, Quorum::All));
    wait(&mut world, SECOND);
    let unknown = Dot { actor: world.nodes[a].actor, counter: world.nodes[a].start.base() + 2 };
    loses_power_with_a_write(&mut world, client, a, key, move |to| if to == b { Passage::Kept } else { Passage::Lost });
    world.expect("somebody was sent the write", |world| !world.kept_back.is_empty());
    world.open_gate();
    let has_closed =
        move |world: &World| world.nodes[b].peer.as_ref().is_some_and(|peer| peer.store().clock(partition).contains(unknown));
    world.expect("the start that is over is closed", has_closed);
    // Whoever has met a since knows that this start is over. b has just come up, and has met nobody.
    world.go_down(b, Down::Kill);
    world.start_node(b);
    let late = world.take_kept_back();
    world.let_arrive(late);
    wait(&mut world, SECOND);
    world.end();
    world.violations
}

/// A client writes a key at a peer which loses power before any of it is on its disk. `passage`: what becomes of what it sends to others.
fn loses_power_with_a_write(world: &mut World, client: usize, n: usize, key: KeyId, passage: impl Fn(usize) -> Passage + 'static) {
    world.set_gate(move |from, to, message| match from == n && is_apply_of(message, key) {
        true => passage(to),
        false => Passage::Goes,
    });
    world.ask_for(client, n, |workload| workload.put_plain(key, Quorum::Exactly(1)));
    // Its disk does nothing of what it is asked for.
    for _ in 0..200 {
        wait(world, 50);
        world.nodes[n].jobs.clear();
    }
    world.go_down(n, Down::PowerCut);
    world.leave_client(client);
}

/// An owner drops its copy, and is back before it has learned anything: its next dots must be new ones.
fn straight_back(seed: u64, prints: bool) -> Vec<Violation> {
    let mut world = begin((seed, prints), 3, 4);
    let (a, key) = (0, KeyId(0));
    let client = world.add_teller();
    asks(&mut world, client, a, |workload| workload.put_plain(key, Quorum::All));
    asks(&mut world, client, a, |workload| workload.put_plain(key, Quorum::All));
    wait(&mut world, 5 * SECOND);
    let partition = world.partition(key);
    world.begin_anew(a, partition);
    let other = world.add_teller();
    asks(&mut world, other, a, |workload| workload.put_plain(key, Quorum::Default));
    world.expect("every owner is complete again", World::has_lost_nothing);
    world.end();
    world.violations
}

/// a has missed a write that b and c have. In the middle of its comparison with b the disk of b is lost.
fn partner_is_lost(seed: u64, prints: bool) -> Vec<Violation> {
    let mut world = begin((seed, prints), 3, 4);
    let (a, b, c, key) = (0, 1, 2, KeyId(0));
    let partition = world.partition(key);
    let client = world.add_teller();
    let is_walk = |message: &Message| matches!(message, Message::Comparing(comparing) if matches!(**comparing, Comparing::Walk(_)));
    let is_kept_apart = move |from: usize, to: usize, message: &Message| {
        (to == a && is_apply_of(message, key)) || ((from == c || to == c) && asked(message) == Some(partition))
    };
    world.set_gate(move |from, to, message| match message {
        message if is_kept_apart(from, to, message) => Passage::Lost,
        message if (from, to) == (a, b) && is_walk(message) => Passage::Kept,
        _ => Passage::Goes,
    });
    asks(&mut world, client, b, |workload| workload.put_plain(key, Quorum::Default));
    world.expect("a compares with b", |world| !world.kept_back.is_empty());
    world.lose_disk(b);
    world.expect("b is up again", World::is_whole);
    world.set_gate(move |from, to, message| if is_kept_apart(from, to, message) { Passage::Lost } else { Passage::Goes });
    let walk = world.take_kept_back();
    world.let_arrive(walk);
    wait(&mut world, 5 * SECOND);
    world.open_gate();
    world.expect("every owner is complete again", World::has_lost_nothing);
    world.end();
    world.violations
}

fn only_a_hint(seed: u64, prints: bool) -> Vec<Violation> {
    only_a_stand_in(seed, prints, |_| false)
}

fn a_silent_stand_in(seed: u64, prints: bool) -> Vec<Violation> {
    only_a_stand_in(seed, prints, |message| matches!(message, Message::FencePromise(_)))
}

/// Of the owners a, b, c one is away; a writes, is acknowledged by the stand-in alone, and loses power before its sync. When all are linked
/// again, the stand-in cannot pay for a while. `is_lost`: what else it says in vain.
fn only_a_stand_in(seed: u64, prints: bool, is_lost: fn(&Message) -> bool) -> Vec<Violation> {
    let mut world = begin((seed, prints), 4, 4);
    let key = KeyId(0);
    let owners = world.owners(key);
    let (a, c) = (owners[0], owners[2]);
    let stand_in = (0..4).find(|n| !owners.contains(n)).expect("of four peers three are owners");
    let client = world.add_teller();
    asks(&mut world, client, a, |workload| workload.put_plain(key, Quorum::Default));
    world.nodes[c].is_away = true;
    world.go_down(c, Down::Kill);
    wait(&mut world, 20 * SECOND);
    loses_power_with_a_write(&mut world, client, a, key, move |to| if to == stand_in { Passage::Goes } else { Passage::Lost });
    if world.violations.is_empty() && !world.has_all_acknowledged(client) {
        world.violations.push(Violation::new("story", "the stand-in alone has not acknowledged the write"));
    }
    world.set_gate(move |from, _, message| match from == stand_in && (is_apply_of(message, key) || is_lost(message)) {
        true => Passage::Lost,
        false => Passage::Goes,
    });
    world.nodes[c].is_away = false;
    world.start_node(c);
    world.expect("all are linked again", World::is_whole);
    wait(&mut world, 60 * SECOND);
    world.open_gate();
    world.end();
    world.violations
}

/// All three owners hold an increment. a folds it, and nobody is told; then a folds that fold, and b and c are told of the second one alone. They
/// are asked for the counter while a is silent.
fn a_fold_that_came_to_nobody(seed: u64, prints: bool) -> Vec<Violation> {
    let mut world = begin((seed, prints), 3, 4);
    let (a, b) = (0, 1);
    let (adder, reader) = (world.add_counter(0), world.add_counter(1));
    asks(&mut world, adder, a, |_| add_to(PLAIN, 0, Quorum::All));
    let first = Dot { actor: world.nodes[a].actor, counter: world.nodes[a].start.base() + 2 };
    let tells_of_the_second = move |message: &Message| match message {
        Message::Apply(apply) => unpack(&apply.entry).is_ok_and(|entry| entry.versions().iter().any(|version| version.dot > first)),
        _ => false,
    };
    let is_about_it = |message: &Message| is_apply_of(message, PLAIN) || asked(message).is_some();
    world.set_gate(move |from, _, message| match from == a && is_about_it(message) && !tells_of_the_second(message) {
        true => Passage::Lost,
        false => Passage::Goes,
    });
    world.ask_for(adder, a, |_| add_to(PLAIN, 0, Quorum::Default));
    world.expect("nobody acknowledges the first fold", World::clients_are_done);
    wait(&mut world, SECOND);
    world.ask_for(adder, a, |_| add_to(PLAIN, 0, Quorum::Default));
    world.expect("the second fold is acknowledged", World::clients_are_done);
    wait(&mut world, SECOND);
    world.set_gate(move |from, to, _| if from == a || to == a { Passage::Lost } else { Passage::Goes });
    // Nothing is on its way any more that could excuse what is shown.
    wait(&mut world, 30 * SECOND);
    asks(&mut world, reader, b, |_| look_at(PLAIN, Quorum::Default));
    world.open_gate();
    world.end();
    world.violations
}
