use super::*;
use crate::message::Attempt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Writes other keys at a peer until its disk is full.
fn fill(cluster: &mut Cluster, at: usize) {
    cluster.machines[at].disk.set_full(true);
    let large = format!("\"{}\"", "x".repeat(20_000));
    for n in 0..100 {
        if cluster.peer(at).store().is_full() {
            return;
        }
        cluster.put(at, &format!("other{n}"), &large, &NONE);
    }
    panic!("the disk does not get full");
}

fn has_room_again(cluster: &mut Cluster, at: usize) {
    cluster.machines[at].disk.set_full(false);
    cluster.wait(2_000);
    assert!(!cluster.peer(at).store().is_full());
}

fn attempt(cluster: &Cluster, at: usize) -> Attempt {
    Attempt { member: cluster.id(at), start: cluster.peer(at).introduction().start }
}

/// Write 1 of session 1; `first`: where its client tried it first.
fn write_one(first: Option<Attempt>) -> Request {
    let Request::Put(write) = put("k", "1", &NONE) else { unreachable!() };
    Request::Put(Put { retry: Some(Retry { session: 1, number: 1, first }), ..write })
}

#[test]
fn a_write_that_a_full_owner_has_handed_on_is_one_write_however_it_is_tried_again() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let (full, other) = (owners[0], owners[1]);
    fill(&mut cluster, full);
    let actor = cluster.peer(full).introduction().actor;
    let dots = written(cluster.ask(full, write_one(None))).dots;
    assert!(dots.iter().all(|dot| dot.actor != actor), "it was handed on");
    let first = Some(attempt(&cluster, full));
    for is_full in [true, false] {
        if !is_full {
            has_room_again(&mut cluster, full);
        }
        for at in [full, other, owners[2]] {
            assert_eq!(written(cluster.ask(at, write_one(first))).dots, dots, "at {at}, full: {is_full}");
        }
    }
}

#[test]
fn a_write_that_an_owner_began_is_not_handed_on_when_its_disk_is_full_at_the_next_try() {
    let mut cluster = Cluster::new(3);
    let full = cluster.owners("k")[0];
    let dots = written(cluster.ask(full, write_one(None))).dots;
    fill(&mut cluster, full);
    // The first try comes once more, too: it was overtaken.
    for first in [Some(attempt(&cluster, full)), None] {
        assert_eq!(written(cluster.ask(full, write_one(first))).dots, dots);
    }
    has_room_again(&mut cluster, full);
    assert_eq!(written(cluster.ask(full, write_one(None))).dots, dots);
}

/// Each hands it to the other, refuses what it is handed, and forgets that it ever had it: nobody sends it to and fro.
#[test]
fn a_write_that_two_full_owners_have_handed_to_each_other_is_refused_and_done_once_when_there_is_room() {
    let mut cluster = Cluster::new(3);
    for at in [0, 1] {
        fill(&mut cluster, at);
    }
    cluster.kill(2);
    for at in [0, 1, 0] {
        assert!(failed(cluster.ask(at, write_one(None))).message.contains("is full"));
    }
    let forwards = Arc::new(AtomicUsize::new(0));
    let count = forwards.clone();
    cluster.filter = Box::new(move |_, message| {
        count.fetch_add(usize::from(matches!(message, Message::Forward(_))), Ordering::Relaxed);
        true
    });
    for (at, first) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let first = Some(attempt(&cluster, first));
        assert!(failed(cluster.ask(at, write_one(first))).message.contains("is full"), "{at}");
    }
    assert_eq!(forwards.load(Ordering::Relaxed), 2, "each went to the one that was named, if it was another one");
    has_room_again(&mut cluster, 0);
    has_room_again(&mut cluster, 1);
    let (first, again) = (write_one(None), write_one(Some(attempt(&cluster, 0))));
    let dots = written(cluster.ask(0, first)).dots;
    assert_eq!(written(cluster.ask(1, again)).dots, dots);
}

fn holds(cluster: &mut Cluster, at: usize, key: &str) -> bool {
    let partition = cluster.peer(at).partition_of(key.as_bytes());
    let peer = cluster.machines[at].peer.as_mut().expect("the peer is up");
    peer.replica.store_mut().read_dots(partition, key.as_bytes()).is_ok_and(|held| !held.0.versions().is_empty())
}

#[test]
fn a_write_is_not_done_again_while_whoever_was_handed_it_cannot_be_reached() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let full = owners[0];
    fill(&mut cluster, full);
    // Its coordinator alone hears of the write, and loses it.
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Apply(_)));
    cluster.begin(full, write_one(None));
    cluster.filter = Box::new(|_, _| true);
    let holder = (1..3).find(|n| holds(&mut cluster, owners[*n], "k")).expect("one of them coordinates it");
    let first = Some(attempt(&cluster, full));
    cluster.kill(owners[holder]);
    let failure = failed(cluster.ask(full, write_one(first)));
    assert!(failure.message.contains("cannot be reached"), "{}", failure.message);
}

#[test]
fn a_log_that_waits_for_room_wakes_nobody_until_the_disk_is_tried_again() {
    let mut cluster = Cluster::with_sync(3, SyncMode::Interval(50));
    let full = cluster.owners("k")[0];
    fill(&mut cluster, full);
    // What no segment has room for any more.
    let large = format!("\"{}\"", "y".repeat(40_000));
    (0..5).for_each(|n| drop(cluster.put(full, &format!("more{n}"), &large, &NONE)));
    assert!(cluster.peer(full).store().pending_bytes() > 0);
    cluster.wait(5_000);
    let next = cluster.peer(full).next_wake().expect("the disk is tried again");
    assert!(next > cluster.now.monotonic_ms, "it wakes at once, again and again");
    has_room_again(&mut cluster, full);
    assert_eq!(cluster.peer(full).store().pending_bytes(), 0);
}

#[test]
fn a_full_disk_hands_nothing_over_until_it_has_room() {
    let mut cluster = Cluster::new(4);
    let owners = cluster.owners("k");
    let (away, stand_in) = (owners[2], owners[3]);
    cluster.kill(away);
    let Request::Put(write) = put("k", "1", &NONE) else { unreachable!() };
    written(cluster.ask(owners[0], Request::Put(Put { w: Quorum::All, ..write })));
    fill(&mut cluster, stand_in);
    cluster.start(away);
    cluster.connect(away);
    cluster.wait(5_000);
    assert!(cluster.peer(stand_in).store().hints() > 0, "that it was handed over could not be written down");
    cluster.machines[stand_in].disk.set_full(false);
    cluster.wait(20_000);
    assert_eq!(cluster.peer(stand_in).store().hints(), 0);
}

#[test]
fn a_peer_that_is_asked_to_stop_while_its_disk_is_full_ends_when_there_is_room_even_if_its_wall_clock_stands_still() {
    let mut cluster = Cluster::new(3);
    let full = cluster.owners("k")[0];
    fill(&mut cluster, full);
    let peer = cluster.machines[full].peer.as_mut().expect("it is up");
    peer.stop();
    let next = peer.next_wake().expect("the disk is tried again");
    assert!(next > cluster.now.monotonic_ms && !cluster.peer(full).is_drained());
    cluster.machines[full].disk.set_full(false);
    cluster.now = Now { monotonic_ms: next, ..cluster.now };
    cluster.step(full, Input::Wake);
    cluster.run();
    assert!(cluster.peer(full).is_drained());
}
