//! Gaps of starts that are over are closed, and lost stores are made whole, by the real pulls.

use super::*;
use crate::storage::{OpenOptions, StoreOptions, replace};
use crate::vclock::{Actor, Dot, Seen};

fn intervals(cluster: &Cluster, at: usize) -> Vec<usize> {
    let clock = |partition| cluster.peer(at).store().clock(PartitionId(partition));
    (0..8).flat_map(|partition| clock(partition).runs().map(|(_, intervals)| intervals.len()).collect::<Vec<_>>()).collect()
}

/// Kills each peer in turn, with writes and removals between.
fn kills(cluster: &mut Cluster, rounds: usize) {
    for round in 0..rounds {
        let at = round % 3;
        for number in 0..12 {
            cluster.put(at, &format!("key-{number}"), "1", &NONE);
        }
        cluster.ask(at, remove(&format!("key-{}", round % 12), "", &NONE));
        cluster.kill(at);
        cluster.put((at + 1) % 3, "meanwhile", "2", &NONE);
        cluster.start(at);
        cluster.connect(at);
    }
}

#[test]
fn after_kills_and_a_quiet_minute_clocks_are_one_interval_an_actor_and_deleted_keys_cost_nothing() {
    let mut cluster = Cluster::new(3);
    kills(&mut cluster, 9);
    assert!((0..3).any(|at| intervals(&cluster, at).iter().any(|count| *count > 1)), "there is nothing to close");
    cluster.wait(60_000);
    for at in 0..3 {
        assert!(intervals(&cluster, at).iter().all(|count| *count == 1), "{at}: {:?}", intervals(&cluster, at));
        assert_eq!(cluster.peer(at).store().contexts(), 0);
    }
    assert!(matches!(cluster.ask(0, Request::Status), Reply::Status(status) if status.member.open_gaps == 0));
    // And again: what is written in the next start joins what has been closed.
    kills(&mut cluster, 3);
    cluster.wait(60_000);
    assert!((0..3).all(|at| intervals(&cluster, at).iter().all(|count| *count == 1)));
}

#[test]
fn nothing_is_closed_while_a_member_is_away() {
    let mut cluster = Cluster::new(3);
    kills(&mut cluster, 3);
    cluster.kill(2);
    let before = (intervals(&cluster, 0), intervals(&cluster, 1));
    cluster.wait(60_000);
    assert!(before.0.iter().any(|count| *count > 1));
    assert!((0..2).all(|at| cluster.peer(at).store().fences().next().is_none()), "nobody was asked for a promise");
    assert!(intervals(&cluster, 0).iter().any(|count| *count > 1));
}

/// An actor with a gap that no record and no promise tells of.
const STRANGER: Actor = Actor(77);

/// Three peers of which the first has seen something of the stranger.
fn with_a_stranger() -> Cluster {
    let mut cluster = Cluster::new(3);
    let gap: Seen = [Dot { actor: STRANGER, counter: Start(9).base() | 3 }].into_iter().collect();
    cluster.machines[0].peer.as_mut().expect("it is up").replica.store_mut().take_clock(PartitionId(0), &gap);
    cluster
}

fn is_closed(cluster: &Cluster, at: usize) -> bool {
    let clock = cluster.peer(at).store().clock(PartitionId(0));
    let end = Start(u32::MAX).base();
    clock.intervals(STRANGER).first().is_some_and(|first| (first.first, first.last) == (1, end))
}

/// What a peer says to another at once, asked whether the stranger is its own.
fn answer(cluster: &mut Cluster, at: usize) -> Option<Message> {
    let (from, start) = (cluster.id(1), cluster.peer(1).introduction().start);
    let ask = Message::ActorAsk(crate::message::ActorAsk { actor: STRANGER });
    let (mut outbox, now) = (Vec::new(), cluster.now);
    let peer = cluster.machines[at].peer.as_mut().expect("it is up");
    peer.step(now, Input::Message { from, start, message: ask }, &mut outbox);
    outbox.into_iter().find_map(|output| match output {
        Output::Send { message: message @ Message::ActorDenial(_), .. } => Some(message),
        _ => None,
    })
}

#[test]
fn an_actor_that_every_member_says_is_not_its_own_has_ended_and_its_gaps_are_closed() {
    let mut cluster = with_a_stranger();
    cluster.wait(90_000);
    assert!((0..3).all(|at| cluster.peer(at).store().fence(STRANGER) == Some(Start(u32::MAX))));
    assert!((0..3).all(|at| is_closed(&cluster, at)));
    // Nobody's promise shuts out anybody: all of them are heard as before.
    for at in 0..3 {
        cluster.put(at, "later", "1", &NONE);
    }
    for (at, other) in [(0, 1), (1, 2), (2, 0)] {
        let told = cluster.peer(other).introduction();
        assert!(!cluster.peer(at).is_fenced(told.member, told.start));
        assert_eq!(cluster.peer(at).check_introduction(&told), Ok(()));
        // But what comes without a link may be the stranger's.
        assert!(cluster.peer(at).is_fenced(told.member, Start(told.start.0 - 1)));
    }
}

#[test]
fn an_actor_of_which_one_member_does_not_say_so_is_not_taken_for_one_that_has_ended() {
    for silent in [1, 2] {
        let mut cluster = with_a_stranger();
        // As if that member had come back as this actor, and its old link had not been noticed to be gone.
        // It does not answer then, nor ask after itself.
        cluster.filter =
            Box::new(move |to, message| to != silent || !matches!(message, Message::ActorAsk(_) | Message::ActorDenial(_)));
        cluster.wait(90_000);
        assert!(
            (0..3).all(|at| cluster.peer(at).store().clock(PartitionId(0)).intervals(STRANGER).len() == 1),
            "all have heard of it"
        );
        assert!((0..3).all(|at| cluster.peer(at).store().fence(STRANGER).is_none()));
        assert!(matches!(cluster.ask(0, Request::Status), Reply::Status(status) if status.member.open_gaps == 0));
        // It is closed as soon as that one answers too.
        cluster.filter = Box::new(|_, _| true);
        cluster.wait(60_000);
        assert!((0..3).all(|at| is_closed(&cluster, at)));
    }
}

#[test]
fn a_promise_about_an_actor_whose_member_all_have_forgotten_keeps_the_member_that_it_named_before() {
    let mut cluster = Cluster::new(3);
    let member = cluster.id(2);
    let store = cluster.machines[0].peer.as_mut().expect("it is up").replica.store_mut();
    store.raise_fence(STRANGER, member, Start(5));
    store.raise_fence(STRANGER, MemberId(0), Start(u32::MAX));
    let named = |cluster: &Cluster| {
        let fences = cluster.peer(0).store().fences().map(|(actor, fence)| (actor, fence.member, fence.below));
        fences.collect::<Vec<_>>()
    };
    assert_eq!(named(&cluster), [(STRANGER, member, Start(u32::MAX))]);
    cluster.wait(300);
    cluster.kill(0);
    cluster.start(0);
    assert_eq!(named(&cluster), [(STRANGER, member, Start(u32::MAX))]);
}

#[test]
fn who_writes_as_an_actor_or_knows_who_does_never_says_that_it_is_nobodys() {
    let mut cluster = Cluster::new(3);
    assert!(answer(&mut cluster, 0).is_some(), "nobody has heard of it");
    // The third one comes back as the stranger, and the first is linked with it.
    let (third, start) = (cluster.id(2), cluster.peer(2).introduction().start);
    let back = Start(start.0 + 5);
    cluster.step(0, Input::LinkDown { member: third });
    cluster.step(0, Input::LinkUp { member: third, actor: STRANGER, start: back });
    assert_eq!(answer(&mut cluster, 0), None);
    // The link is gone, and its record has come.
    cluster.step(0, Input::LinkDown { member: third });
    assert!(answer(&mut cluster, 0).is_some());
    let mut record = cluster.peer(2).gossip.own_record().clone();
    (record.actor, record.start) = (STRANGER, back);
    let news = crate::message::Gossip::Tell { news: vec![crate::message::News::Record(Box::new(record))] };
    let (from, start) = (cluster.id(1), cluster.peer(1).introduction().start);
    cluster.step(0, Input::Message { from, start, message: Message::Gossip(Box::new(news)) });
    assert_eq!(answer(&mut cluster, 0), None);
    // And of its own.
    let own = cluster.peer(0).store().actor();
    let ask = Message::ActorAsk(crate::message::ActorAsk { actor: own });
    let (mut outbox, now) = (Vec::new(), cluster.now);
    let peer = cluster.machines[0].peer.as_mut().expect("it is up");
    peer.step(now, Input::Message { from, start, message: ask }, &mut outbox);
    assert!(!outbox.iter().any(|output| matches!(output, Output::Send { message: Message::ActorDenial(_), .. })));
}

#[test]
fn a_replaced_member_is_made_whole_by_the_others_and_the_gaps_of_its_old_actor_are_closed() {
    let mut cluster = Cluster::new(3);
    kills(&mut cluster, 3);
    for number in 0..40 {
        cluster.put(0, &format!("more-{number}"), "1", &NONE);
    }
    cluster.ask(1, remove("more-7", "", &NONE));
    cluster.wait(300);
    cluster.kill(0);
    let changes = cluster.peer(1).store().membership().to_vec();
    let Change::Formed { founders, .. } = &changes[0];
    let log = OpenOptions { wall_ms: cluster.now.wall_ms, seed: 99, ..cluster.options.log };
    cluster.machines[0].disk.wipe();
    replace(&cluster.machines[0].disk, &StoreOptions { log, ..cluster.options }.log, (founders[0].member, Start(0)), &changes)
        .expect("it is fresh");
    cluster.start(0);
    cluster.connect(0);
    cluster.wait(90_000);
    let Reply::Status(status) = cluster.ask(0, Request::Status) else { panic!("a status") };
    assert_eq!((status.member.incomplete_partitions, status.member.alarms.clone()), (0, Vec::<String>::new()));
    assert_eq!(status.member.keys, cluster.peer(1).store().keys());
    for partition in (0..8).map(PartitionId) {
        assert_eq!(cluster.peer(0).store().summary(partition), cluster.peer(2).store().summary(partition));
        assert_eq!(cluster.peer(0).store().clock(partition), cluster.peer(2).store().clock(partition));
    }
    assert!((0..3).all(|at| intervals(&cluster, at).iter().all(|count| *count == 1)), "{:?}", intervals(&cluster, 0));
    assert!(matches!(cluster.get(0, "more-7"), Reply::Missing(_)));
}
