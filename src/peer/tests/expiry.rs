//! Values that expire: hidden at once, dropped a minute later, without a quarrel between replicas.

use super::*;
use crate::limits::EXPIRED_KEPT_MS;
use crate::message::FailureKind;

const NONE: Bytes = Bytes::new();

fn put_for(key: &str, json: &str, ttl_ms: u64) -> Request {
    match put(key, json, &NONE) {
        Request::Put(put) => Request::Put(Put { ttl_ms, ..put }),
        other => other,
    }
}

fn set_for(key: &str, path: &str, json: &str, ttl_ms: u64) -> Request {
    match set(key, path, json, &NONE) {
        Request::Update(update) => Request::Update(Update { ttl_ms, ..update }),
        other => other,
    }
}

fn listed(cluster: &mut Cluster) -> Vec<Bytes> {
    let list = List { prefix: NONE, after: NONE, limit: 100, r: Quorum::Default, deadline_ms: 0 };
    match cluster.ask(0, Request::List(list)) {
        Reply::Listed(listed) => listed.keys,
        other => panic!("{other:?}"),
    }
}

fn keys(cluster: &Cluster) -> Vec<u64> {
    (0..cluster.machines.len()).map(|at| cluster.peer(at).store().keys()).collect()
}

#[test]
fn a_value_is_hidden_when_its_time_has_come_and_dropped_a_minute_later() {
    let mut cluster = Cluster::new(3);
    written(cluster.ask(0, put_for("short", "1", 5_000)));
    written(cluster.ask(0, put("long", "2", &NONE)));
    assert_eq!(listed(&mut cluster), [bytes("long"), bytes("short")]);
    assert!(matches!(cluster.get(1, "short"), Reply::Found(_)));
    cluster.wait(5_000);
    assert!(matches!(cluster.get(1, "short"), Reply::Missing(_)));
    assert_eq!(listed(&mut cluster), [bytes("long")]);
    assert_eq!(keys(&cluster), [2, 2, 2], "hidden, and kept a while for replicas whose clocks are behind");
    cluster.wait(EXPIRED_KEPT_MS + 2_000);
    assert_eq!(keys(&cluster), [1, 1, 1]);
    assert!((0..3).all(|at| cluster.peer(at).store().contexts() == 0), "a dropped value costs nothing");
    cluster.machines.iter_mut().for_each(|machine| machine.peer = None);
    (0..3).for_each(|at| cluster.start(at));
    (0..3).for_each(|at| cluster.connect(at));
    assert_eq!(keys(&cluster), [1, 1, 1], "it does not come back with a restart");
    assert!(matches!(cluster.get(1, "short"), Reply::Missing(_)));
}

#[test]
fn what_expires_is_still_known_after_a_restart() {
    let mut cluster = Cluster::new(3);
    written(cluster.ask(0, put_for("plain", "1", 5_000)));
    written(cluster.ask(0, put("doc", r#"{"a":1}"#, &NONE)));
    written(cluster.ask(0, set_for("doc", "b", "2", 5_000)));
    cluster.machines.iter_mut().for_each(|machine| machine.peer = None);
    (0..3).for_each(|at| cluster.start(at));
    (0..3).for_each(|at| cluster.connect(at));
    assert_eq!(cluster.found(0, "doc").dots.len(), 2);
    cluster.wait(EXPIRED_KEPT_MS + 7_000);
    assert_eq!(keys(&cluster), [1, 1, 1]);
    assert_eq!(cluster.found(0, "doc").dots.len(), 1, "the leaf has gone, the rest of the document stays");
    assert!((0..3).all(|at| cluster.peer(at).store().next_expiry().is_none()));
}

#[test]
fn a_write_without_a_time_to_live_takes_the_old_one_away() {
    let mut cluster = Cluster::new(3);
    written(cluster.ask(0, put_for("key", "1", 5_000)));
    written(cluster.ask(0, put("key", "2", &NONE)));
    cluster.wait(EXPIRED_KEPT_MS + 7_000);
    assert!(matches!(cluster.get(0, "key"), Reply::Found(_)));
}

#[test]
fn a_replica_that_slept_through_it_does_not_bring_an_expired_value_back() {
    let mut cluster = Cluster::new(3);
    written(cluster.ask(0, put_for("key", "1", 5_000)));
    let owner = cluster.owners("key")[0];
    cluster.machines[owner].peer = None;
    cluster.wait(EXPIRED_KEPT_MS + 7_000);
    cluster.start(owner);
    cluster.connect(owner);
    for at in 0..3 {
        assert!(matches!(cluster.get(at, "key"), Reply::Missing(_)));
    }
    cluster.wait(3_000);
    assert_eq!(keys(&cluster), [0, 0, 0]);
}

#[test]
fn a_peer_whose_clock_has_just_jumped_or_that_has_met_nobody_drops_nothing_early() {
    const YEARS_MS: u64 = 10 * 365 * 24 * 3_600 * 1_000;
    let mut cluster = Cluster::new(3);
    cluster.wait(5_000);
    written(cluster.ask(0, put_for("key", "1", 600_000)));
    let owner = cluster.owners("key")[0];
    let right = cluster.now;
    let later = |by_ms, wall_ms| Now { monotonic_ms: right.monotonic_ms + by_ms, wall_ms };
    cluster.now = later(1_500, right.wall_ms + YEARS_MS);
    cluster.step(owner, Input::Wake);
    assert_eq!(cluster.peer(owner).store().keys(), 1, "its clock was right a moment ago");
    cluster.machines[owner].peer = None;
    cluster.start(owner);
    for by_ms in [3_000, 5_000, 70_000] {
        cluster.now = later(by_ms, right.wall_ms + YEARS_MS + by_ms);
        cluster.step(owner, Input::Wake);
        assert_eq!(cluster.peer(owner).store().keys(), 1, "it has met nobody since its start");
    }
    cluster.now = later(70_000, right.wall_ms + 70_000);
    cluster.connect(owner);
    cluster.wait(600_000 + EXPIRED_KEPT_MS);
    assert_eq!(keys(&cluster), [0, 0, 0], "and it drops what is over when it knows better");
}

#[test]
fn a_clock_that_was_years_behind_and_is_set_right_drops_within_a_minute() {
    let mut cluster = Cluster::new(1);
    cluster.now.wall_ms -= 1_000_000_000;
    cluster.wait(2_000);
    cluster.now.wall_ms += 1_000_000_000;
    written(cluster.ask(0, put_for("key", "1", 5_000)));
    assert!(cluster.peer(0).next_wake().is_some_and(|at| at <= cluster.now.monotonic_ms + 60_000));
    cluster.wait(2 * EXPIRED_KEPT_MS + 5_000);
    assert_eq!(keys(&cluster), [0]);
}

#[test]
fn a_time_to_live_without_an_end_in_sight_is_refused() {
    let mut cluster = Cluster::new(3);
    assert_eq!(failed(cluster.ask(0, put_for("key", "1", u64::MAX))).kind, FailureKind::BadRequest);
}
