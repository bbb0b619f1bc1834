//! Counters: no increment is lost, and none is counted twice.

use super::*;
use crate::limits::SIBLINGS_MAX;
use crate::message::{Attempt, Expire, FailureKind, Reply};

fn increment(key: &str, path: &str, amount: i64) -> Request {
    Request::Update(Update::increment(bytes(key), path, amount))
}

fn tried(request: Request, number: u64, first: Option<Attempt>) -> Request {
    match request {
        Request::Update(update) => {
            Request::Update(Update { retry: Some(Retry { session: 9, number, first }), deadline_ms: 600, ..update })
        }
        other => other,
    }
}

fn with_w(request: Request, w: Quorum) -> Request {
    match request {
        Request::Update(update) => Request::Update(Update { w, ..update }),
        other => other,
    }
}

fn counter(text: &str) -> Option<Value> {
    Some(Value::Counter(bytes(text)))
}

/// The sum that every owner alone would show, whoever has more.
fn shown_by_each(cluster: &mut Cluster, key: &str) -> Vec<Option<Value>> {
    let owners = cluster.owners(key);
    let get = |at: usize, cluster: &mut Cluster| {
        let Request::Get(mut get) = get(key, "") else { unreachable!() };
        get.r = Quorum::Exactly(1);
        match cluster.ask(at, Request::Get(get)) {
            Reply::Found(found) => found.value,
            _ => None,
        }
    };
    owners.into_iter().take(3).map(|at| get(at, cluster)).collect()
}

fn restart(cluster: &mut Cluster, at: usize) {
    cluster.kill(at);
    cluster.now.wall_ms += 2_000;
    cluster.start(at);
    cluster.connect(at);
}

#[test]
fn a_counter_is_the_sum_of_all_increments_and_one_coordinator_keeps_one_version_of_it() {
    let mut cluster = Cluster::new(3);
    for n in 1..=100 {
        let receipt = written(cluster.ask(0, increment("k", "", n)));
        assert_eq!((receipt.dots.len(), receipt.covered.len()), (1, usize::from(n > 1)));
    }
    let found = cluster.found(1, "k");
    assert_eq!((found.value, found.dots.len(), found.conflicts.len()), (counter("5050"), 1, 0));
    written(cluster.ask(1, increment("k", "", -50)));
    written(cluster.ask(2, increment("k", "", 0)));
    let found = cluster.found(0, "k");
    assert_eq!((found.value, found.dots.len()), (counter("5000"), 3), "the amounts of others are left alone");
}

#[test]
fn a_counter_in_a_document_is_a_number_and_a_patch_beside_it_leaves_it_alone() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", r#"{"name":"x"}"#, &NONE);
    for at in 0..3 {
        written(cluster.ask(at, increment("k", "views.today", 2)));
    }
    written(cluster.ask(1, set("k", "name", "\"y\"", &NONE)));
    assert_eq!(cluster.found(0, "k").value, json(r#"{"name":"y","views":{"today":6}}"#));
    let Reply::Found(found) = cluster.ask(0, get("k", "views.today")) else { panic!("it has to be there") };
    assert_eq!(found.value, counter("6"));
}

#[test]
fn an_increment_of_what_is_no_counter_stands_beside_it() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "\"text\"", &NONE);
    written(cluster.ask(1, increment("k", "", 1)));
    let found = cluster.found(2, "k");
    assert_eq!((found.value, found.conflicts.len()), (None, 1));
    let values = &found.conflicts[0].values;
    assert!(values.len() == 2 && values.contains(&Value::Json(bytes("\"text\""))) && values.contains(&Value::Counter(bytes("1"))));
    cluster.put(2, "k", "\"again\"", &NONE);
    assert_eq!(cluster.found(0, "k").value, json("\"again\""), "a write without a context replaces both");
}

#[test]
fn an_increment_that_is_tried_again_counts_once() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let first = Some({
        let introduction = cluster.peer(owners[0]).introduction();
        Attempt { member: introduction.member, start: introduction.start }
    });
    written(cluster.ask(owners[0], increment("k", "", 100)));
    // Nobody else hears of it.
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Apply(_)));
    let failure = failed(cluster.ask(owners[0], tried(increment("k", "", 7), 1, None)));
    assert_eq!(failure.kind, FailureKind::Unknown);
    cluster.filter = Box::new(|_, _| true);
    // It has been folded into a later one meanwhile.
    written(cluster.ask(owners[0], increment("k", "", 1_000)));
    for _ in 0..2 {
        written(cluster.ask(owners[0], tried(increment("k", "", 7), 1, first)));
        assert_eq!(cluster.found(owners[2], "k").value, counter("1107"));
    }
    assert_eq!(failed(cluster.ask(owners[0], tried(increment("k", "", 8), 1, first))).kind, FailureKind::BadRequest);
}

#[test]
fn a_session_sees_its_increments_also_when_they_have_been_folded_since() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let lagging = owners[2];
    cluster.filter = Box::new(move |to, message| !matches!(message, Message::Apply(_)) || to != lagging);
    let receipts: Vec<Receipt> = (1..=3).map(|n| written(cluster.ask(owners[0], increment("k", "", n)))).collect();
    cluster.filter = Box::new(|_, _| true);
    for (receipt, r) in receipts.iter().zip([1, 1, 2]) {
        let Request::Get(mut get) = get("k", "") else { unreachable!() };
        (get.r, get.session) = (Quorum::Exactly(r), receipt.context.clone());
        let Reply::Found(found) = cluster.ask(lagging, Request::Get(get)) else { panic!("it has to be there") };
        assert_eq!(found.value, counter("6"));
    }
}

#[test]
fn what_an_earlier_start_of_the_coordinator_added_is_not_folded_and_not_lost() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let at = owners[0];
    written(cluster.ask(at, increment("k", "", 1)));
    // A fold that only another owner gets: its author loses it with its power.
    let other = owners[1];
    let before = cluster.machines[at].disk.clone();
    cluster.filter = Box::new(move |to, message| !matches!(message, Message::Apply(_)) || to == other);
    written(cluster.ask(at, increment("k", "", 10)));
    cluster.filter = Box::new(|_, _| true);
    cluster.kill(at);
    cluster.machines[at].disk = before;
    cluster.now.wall_ms += 2_000;
    cluster.start(at);
    cluster.connect(at);
    written(cluster.ask(at, increment("k", "", 100)));
    assert_eq!(cluster.found(owners[2], "k").value, counter("111"));
    cluster.wait(1_000);
    assert_eq!(shown_by_each(&mut cluster, "k"), vec![counter("111"); 3]);
}

#[test]
fn however_often_the_coordinator_starts_its_counters_take_increments() {
    let mut cluster = Cluster::new(3);
    let at = cluster.owners("k")[0];
    for n in 0..SIBLINGS_MAX + 6 {
        written(cluster.ask(at, increment("k", "", 1)));
        written(cluster.ask(at, increment("k", "", 1)));
        if n % 10 == 0 {
            assert_eq!(cluster.found(at, "k").value, counter(&(2 * n + 2).to_string()));
        }
        restart(&mut cluster, at);
    }
    let found = cluster.found(at, "k");
    assert_eq!((found.value, found.dots.len()), (counter("140"), SIBLINGS_MAX + 6));
}

#[test]
fn a_fold_of_a_fold_that_nobody_got_shows_nothing_twice() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    for n in 0..2 {
        written(cluster.ask(owners[0], with_w(increment("k", "", 1), Quorum::All)));
        // Its fold comes to nobody.
        cluster.filter = Box::new(|_, message| !matches!(message, Message::Apply(_)));
        let lost = failed(cluster.ask(owners[0], tried(increment("k", "", 10), n, None)));
        assert_eq!(lost.kind, FailureKind::Unknown);
        // The fold of that fold comes to one of the others.
        let other = owners[1];
        cluster.filter = Box::new(move |to, message| !matches!(message, Message::Apply(_)) || to == other);
        written(cluster.ask(owners[0], increment("k", "", 100)));
        cluster.filter = Box::new(|_, _| true);
        // Whoever has seen neither does not add what it has to what those hold who have seen the second.
        let author = cluster.id(owners[0]);
        let away = owners[0];
        cluster.filter = Box::new(move |to, _| to != away);
        let Request::Get(get) = get("k", "") else { unreachable!() };
        let sums = [owners[1], owners[2]].map(|at| match cluster.ask(at, Request::Get(get.clone())) {
            Reply::Found(found) => found.value,
            other => panic!("{author:?}: {other:?}"),
        });
        cluster.filter = Box::new(|_, _| true);
        assert_eq!(sums, [counter(&(111 * (n + 1)).to_string()), counter(&(111 * (n + 1)).to_string())]);
    }
}

#[test]
fn a_sum_may_be_larger_than_what_one_increment_may_add() {
    let mut cluster = Cluster::new(3);
    let at = cluster.owners("k")[0];
    for amount in [i64::MAX, i64::MAX, 1, -1] {
        written(cluster.ask(at, increment("k", "", amount)));
    }
    let found = cluster.found(at, "k");
    assert_eq!(found.value, counter("18446744073709551614"), "what would not fit is not folded");
    written(cluster.ask(at, increment("low", "", i64::MIN)));
    written(cluster.ask(at, increment("low", "", -1)));
    assert_eq!(cluster.found(at, "low").value, counter("-9223372036854775809"));
}

#[test]
fn a_removed_counter_begins_anew_and_what_a_fold_holds_survives_a_removal_beside_it() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    written(cluster.ask(owners[0], increment("k", "", 5)));
    let seen = cluster.found(owners[0], "k").context;
    written(cluster.ask(owners[1], remove("k", "", &NONE)));
    assert!(matches!(cluster.get(owners[0], "k"), Reply::Missing(_)));
    written(cluster.ask(owners[0], increment("k", "", 1)));
    assert_eq!(cluster.found(owners[2], "k").value, counter("1"));
    let seen_now = cluster.found(owners[0], "k").context;
    written(cluster.ask(owners[0], increment("k", "", 1)));
    written(cluster.ask(owners[1], remove("k", "", &seen)));
    written(cluster.ask(owners[1], remove("k", "", &seen_now)));
    assert_eq!(cluster.found(owners[2], "k").value, counter("2"), "the removal had not seen the fold");
}

#[test]
fn increments_are_taken_in_while_no_owner_is_up_and_are_not_folded_there() {
    let mut cluster = Cluster::new(6);
    let order = cluster.owners("k");
    written(cluster.ask(order[0], increment("k", "", 1)));
    order[..3].iter().for_each(|at| cluster.kill(*at));
    cluster.wait(10_000);
    for _ in 0..3 {
        let receipt = written(cluster.ask(order[3], increment("k", "", 10)));
        assert!(receipt.covered.is_empty() && !receipt.stood_in.is_empty());
    }
    cluster.now.wall_ms += 2_000;
    for at in &order[..3] {
        cluster.start(*at);
        cluster.connect(*at);
    }
    cluster.wait(20_000);
    assert_eq!(cluster.found(order[0], "k").value, counter("31"));
    assert_eq!(shown_by_each(&mut cluster, "k"), vec![counter("31"); 3]);
}

#[test]
fn a_counter_expires_as_a_whole_and_begins_anew() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    for at in owners.iter().take(3) {
        written(cluster.ask(*at, increment("k", "", 1)));
    }
    let at = cluster.now.wall_ms + 5_000;
    written(cluster.ask(owners[1], Request::Expire(Expire::of(bytes("k"), at))));
    written(cluster.ask(owners[0], increment("k", "", 1)));
    let found = cluster.found(owners[2], "k");
    assert_eq!((found.value, found.expiry_ms), (counter("4"), at), "an increment keeps the term");
    cluster.wait(5_000);
    assert!(matches!(cluster.get(owners[2], "k"), Reply::Missing(_)));
    written(cluster.ask(owners[0], increment("k", "", 7)));
    let found = cluster.found(owners[1], "k");
    assert_eq!((found.value, found.expiry_ms), (counter("7"), 0));
    let later = cluster.now.wall_ms + 900_000;
    written(cluster.ask(owners[1], Request::Expire(Expire::of(bytes("k"), later))));
    assert_eq!(cluster.found(owners[0], "k").value, counter("7"), "what had ended does not come back with another term");
    written(cluster.ask(owners[2], Request::Expire(Expire::of(bytes("k"), 0))));
    assert_eq!(cluster.found(owners[0], "k").expiry_ms, 0);
    cluster.wait(crate::limits::EXPIRED_KEPT_MS + 3_000);
    assert_eq!(cluster.found(owners[0], "k").value, counter("7"));
    assert_eq!(cluster.found(owners[0], "k").dots.len(), 1, "all else has been dropped");
}

#[test]
fn an_increment_with_a_time_to_live_gives_the_counter_a_term() {
    let mut cluster = Cluster::new(3);
    let at = cluster.owners("k")[0];
    written(cluster.ask(at, increment("k", "n", 1)));
    for _ in 0..3 {
        let Request::Update(update) = increment("k", "n", 1) else { unreachable!() };
        written(cluster.ask(at, Request::Update(Update { ttl_ms: 5_000, ..update })));
        cluster.wait(1_000);
    }
    let found = cluster.found(at, "k");
    assert_eq!((found.value, found.expiry_ms), (json(r#"{"n":4}"#), cluster.now.wall_ms + 4_000));
    cluster.wait(4_000);
    assert!(matches!(cluster.get(at, "k"), Reply::Missing(_)));
    cluster.wait(crate::limits::EXPIRED_KEPT_MS + 3_000);
    assert!((0..3).all(|at| cluster.peer(at).store().keys() == 0));
}
