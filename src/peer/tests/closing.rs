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

#[test]
fn an_actor_of_whom_nothing_is_known_is_not_taken_for_one_that_has_ended() {
    let mut cluster = Cluster::new(3);
    // As if a member had come back under a new actor, written to others, and its link from here had not been noticed to be gone.
    let stranger = Actor(77);
    let gap: Seen = [Dot { actor: stranger, counter: Start(9).base() | 3 }].into_iter().collect();
    cluster.machines[0].peer.as_mut().expect("it is up").replica.store_mut().take_clock(PartitionId(0), &gap);
    cluster.wait(90_000);
    assert!((0..3).all(|at| cluster.peer(at).store().clock(PartitionId(0)).intervals(stranger).len() == 1), "all have heard of it");
    assert!((0..3).all(|at| cluster.peer(at).store().fence(stranger).is_none()));
    assert!(matches!(cluster.ask(0, Request::Status), Reply::Status(status) if status.member.open_gaps == 0));
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
