use super::*;
use crate::message::{Attempt, FailureKind};

#[test]
fn a_document_comes_back_from_every_peer() {
    let mut cluster = Cluster::new(5);
    let receipt = cluster.put(0, "k", r#"{"b":1,"a":{"x":"y"}}"#, &NONE);
    assert_eq!((receipt.dots.len(), receipt.covered.len(), receipt.acks.len()), (2, 0, 2));
    for at in 0..5 {
        let found = cluster.found(at, "k");
        assert_eq!(found.value, json(r#"{"a":{"x":"y"},"b":1}"#));
        assert_eq!((found.answered, found.agreed, found.conflicts.len()), (2, 2, 0));
    }
}

#[test]
fn a_write_without_context_replaces_and_one_with_an_old_context_stands_beside() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "1", &NONE);
    let old = cluster.found(0, "k").context;
    let receipt = cluster.put(1, "k", "2", &NONE);
    assert_eq!(receipt.covered.len(), 1);
    assert_eq!(cluster.found(2, "k").value, json("2"));
    cluster.put(2, "k", "3", &old);
    let found = cluster.found(0, "k");
    assert_eq!((found.value, found.conflicts.len(), found.conflicts[0].values.len()), (None, 1, 2));
    let receipt = cluster.put(0, "k", "4", &found.context);
    assert_eq!(receipt.covered.len(), 2);
    assert_eq!(cluster.found(1, "k").value, json("4"));
}

#[test]
fn a_write_without_context_covers_what_only_another_replica_holds() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    // A write that reaches only the second and third owner.
    cluster.filter = Box::new({
        let first = owners[0];
        move |to, message| !(to == first && matches!(message, Message::Apply(_)))
    });
    cluster.put(owners[1], "k", "1", &NONE);
    cluster.filter = Box::new(|_, _| true);
    cluster.now.wall_ms += 1;
    let receipt = cluster.put(owners[0], "k", "2", &NONE);
    assert_eq!(receipt.covered.len(), 1, "the replicas have named what the coordinator did not see");
    for at in 0..3 {
        assert_eq!(cluster.found(at, "k").value, json("2"));
    }
}

#[test]
fn patches_of_different_paths_do_not_conflict_and_of_one_path_conflict_there_alone() {
    let mut cluster = Cluster::new(4);
    cluster.put(0, "k", r#"{"a":1,"b":1,"c":{"d":1}}"#, &NONE);
    let context = cluster.found(0, "k").context;
    written(cluster.ask(1, set("k", "a", "2", &context)));
    written(cluster.ask(2, set("k", "c.d", "3", &context)));
    assert_eq!(cluster.found(3, "k").value, json(r#"{"a":2,"b":1,"c":{"d":3}}"#));
    written(cluster.ask(0, set("k", "a", "4", &context)));
    let found = cluster.found(2, "k");
    assert_eq!(found.conflicts.len(), 1);
    assert_eq!((found.conflicts[0].path.as_str(), found.conflicts[0].values.len()), ("a", 2));
    assert_eq!(found.value, json(r#"{"b":1,"c":{"d":3}}"#));
    written(cluster.ask(3, set("k", "a", "5", &found.context)));
    assert_eq!(cluster.found(1, "k").value, json(r#"{"a":5,"b":1,"c":{"d":3}}"#));
}

#[test]
fn a_removed_key_is_missing_and_leaves_nothing_behind() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "1", &NONE);
    let receipt = written(cluster.ask(1, remove("k", "", &NONE)));
    assert_eq!((receipt.dots.len(), receipt.covered.len()), (0, 1));
    assert!(matches!(cluster.get(2, "k"), Reply::Missing(_)));
    for at in 0..3 {
        let store = cluster.peer(at).store();
        assert_eq!((store.keys(), store.contexts()), (0, 0), "a deleted key costs zero bytes");
    }
}

#[test]
fn a_removed_path_leaves_the_rest() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", r#"{"a":{"x":1},"b":2}"#, &NONE);
    written(cluster.ask(1, remove("k", "a.x", &NONE)));
    assert_eq!(cluster.found(2, "k").value, json(r#"{"a":{},"b":2}"#));
    assert!(matches!(cluster.ask(0, get("k", "a.x")), Reply::Missing(_)));
}

#[test]
fn everything_acknowledged_is_there_after_all_peers_lost_their_memory() {
    let mut cluster = Cluster::new(3);
    for n in 0..50 {
        cluster.put(n % 3, &format!("k{n}"), &format!(r#"{{"n":{n},"s":"x"}}"#), &NONE);
    }
    written(cluster.ask(0, remove("k7", "", &NONE)));
    (0..3).for_each(|at| cluster.kill(at));
    cluster.now.wall_ms += 5_000;
    (0..3).for_each(|at| cluster.start(at));
    (0..3).for_each(|at| cluster.connect(at));
    for n in (0..50).filter(|n| *n != 7) {
        assert_eq!(cluster.found((n + 1) % 3, &format!("k{n}")).value, json(&format!(r#"{{"n":{n},"s":"x"}}"#)));
    }
    assert!(matches!(cluster.get(1, "k7"), Reply::Missing(_)));
}

#[test]
fn too_few_owners_are_said_before_anything_is_done() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "1", &NONE);
    let owners = cluster.owners("k");
    cluster.kill(owners[1]);
    written(cluster.ask(owners[0], put("k", "2", &NONE)));
    cluster.kill(owners[2]);
    let failure = failed(cluster.ask(owners[0], put("k", "3", &NONE)));
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("W=2"), "{}", failure.message);
    let failure = failed(cluster.get(owners[0], "k"));
    assert_eq!(failure.kind, FailureKind::Unavailable, "unreachable is not missing");
    let Request::Get(mut alone) = get("k", "") else { unreachable!() };
    alone.r = Quorum::Exactly(1);
    assert!(matches!(cluster.ask(owners[0], Request::Get(alone)), Reply::Found(_)));
}

#[test]
fn a_write_that_gets_too_few_acknowledgements_is_unknown() {
    let mut cluster = Cluster::new(3);
    let first = cluster.owners("k")[0];
    cluster.filter = Box::new(move |to, message| to == first || !matches!(message, Message::Apply(_)));
    let failure = failed(cluster.ask(first, put("k", "1", &NONE)));
    assert_eq!(failure.kind, FailureKind::Unknown);
}

#[test]
fn a_lost_message_is_sent_again() {
    let mut cluster = Cluster::new(3);
    let first = cluster.owners("k")[0];
    cluster.filter = Box::new(move |to, message| to == first || !matches!(message, Message::Apply(_)));
    let id = cluster.begin(first, put("k", "1", &NONE));
    assert!(cluster.replies.is_empty());
    cluster.filter = Box::new(|_, _| true);
    cluster.wait(300);
    written(cluster.replies.remove(&id).expect("it was sent again"));
}

#[test]
fn a_retry_is_recognised_and_does_not_write_twice() {
    let mut cluster = Cluster::new(3);
    let first = cluster.owners("k")[0];
    let retry = Retry { session: 5, number: 1, first: None };
    let with = |retry| {
        let Request::Put(put) = put("k", "1", &NONE) else { unreachable!() };
        Request::Put(Put { retry: Some(retry), ..put })
    };
    let receipt = written(cluster.ask(first, with(retry)));
    cluster.put(first, "k", "2", &receipt.context);
    let again = Retry { first: Some(receipt.coordinator), ..retry };
    // By way of a peer that did not take the first try: it is handed to the one that did.
    let second = written(cluster.ask((first + 1) % 3, with(again)));
    assert_eq!(second.dots, receipt.dots);
    assert_eq!(cluster.found(0, "k").value, json("2"), "the value that came after is still there");
    // The coordinator still knows it after a restart, since it stands in the log.
    cluster.kill(first);
    cluster.now.wall_ms += 2_000;
    cluster.start(first);
    cluster.connect(first);
    assert_eq!(written(cluster.ask(first, with(again))).dots, receipt.dots);
    let unheard = Retry { number: 2, ..again };
    assert_eq!(failed(cluster.ask(first, with(unheard))).kind, FailureKind::Unknown);
    let other = Request::Put(Put {
        key: bytes("k"),
        body: Body::Json(bytes("9")),
        context: NONE,
        w: Quorum::Default,
        deadline_ms: 0,
        retry: Some(again),
        strict: false,
        ttl_ms: 0,
    });
    assert_eq!(failed(cluster.ask(first, other)).kind, FailureKind::BadRequest);
}

#[test]
fn the_receipt_of_a_retry_covers_what_its_client_had_seen() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", r#"{"a":1,"b":1}"#, &NONE);
    let seen = cluster.found(0, "k").context;
    let retry = Retry { session: 5, number: 1, first: None };
    let with = |retry| {
        let Request::Update(update) = set("k", "a", "2", &seen) else { unreachable!() };
        Request::Update(crate::message::Update { retry: Some(retry), ..update })
    };
    let first = written(cluster.ask(0, with(retry)));
    let again = written(cluster.ask(0, with(Retry { first: Some(first.coordinator), ..retry })));
    assert_eq!(again.dots, first.dots);
    cluster.ask(0, set("k", "b", "2", &again.context));
    assert_eq!(cluster.found(1, "k").value, json(r#"{"a":2,"b":2}"#), "the old `b` was seen before the patch of `a`");
}

#[test]
fn a_retry_without_context_takes_away_what_its_receipt_says_is_covered() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let retry = Retry { session: 5, number: 1, first: None };
    let with = |retry| {
        let Request::Update(update) = set("k", "b", "2", &NONE) else { unreachable!() };
        Request::Update(crate::message::Update { retry: Some(retry), ..update })
    };
    // An earlier write that nobody has but its coordinator, and later the coordinator of the write that is tried again.
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Apply(_)));
    cluster.begin(owners[1], set("k", "b", "1", &NONE));
    cluster.now.wall_ms += 1_000;
    cluster.begin(owners[0], with(retry));
    let (meets, start) = (owners[0], cluster.peer(owners[0]).introduction());
    cluster.filter = Box::new(move |to, _| to == meets);
    cluster.wait(1_000);
    cluster.filter = Box::new(|_, _| true);
    let first = Some(Attempt { member: start.member, start: start.start });
    let receipt = written(cluster.ask(owners[0], with(Retry { first, ..retry })));
    assert_eq!(receipt.covered.len(), 1);
    assert_eq!(cluster.found(owners[2], "k").value, json(r#"{"b":2}"#));
}

/// A removal of `k` without a context, under this number.
fn removal(number: u64, first: Option<Attempt>) -> Request {
    let Request::Remove(remove) = remove("k", "", &NONE) else { unreachable!() };
    Request::Remove(Remove { retry: Some(Retry { session: 5, number, first }), ..remove })
}

/// What a retry names when its first try was taken by this peer.
fn attempt(cluster: &Cluster, at: usize) -> Option<Attempt> {
    let introduction = cluster.peer(at).introduction();
    Some(Attempt { member: introduction.member, start: introduction.start })
}

#[test]
fn a_removal_without_context_that_is_tried_again_leaves_nothing_of_before_whatever_the_clocks_say() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let coordinator = owners[0];
    // A write that the coordinator of the removal has not, by a clock that is far ahead of the coordinator's.
    cluster.filter = Box::new(move |to, _| to != coordinator);
    cluster.now.wall_ms += 120_000;
    cluster.put(owners[1], "k", "1", &NONE);
    cluster.now.wall_ms -= 120_000;
    // The first try reaches nobody, and the connection that it came by is lost.
    cluster.filter = Box::new(move |to, message| to == coordinator || !matches!(message, Message::Apply(_)));
    let first = cluster.begin(coordinator, removal(1, None));
    let again = cluster.begin(coordinator, removal(1, attempt(&cluster, coordinator)));
    let by_another = cluster.begin(owners[1], removal(1, attempt(&cluster, coordinator)));
    cluster.wait(600);
    assert!([first, again, by_another].iter().all(|id| !cluster.replies.contains_key(id)), "nobody has taken it in yet");
    cluster.filter = Box::new(|_, _| true);
    cluster.wait(600);
    let receipts = [first, again, by_another].map(|id| written(cluster.replies.remove(&id).expect("all of them are answered")));
    assert_eq!(receipts[0].covered.len(), 1);
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "it was done once");
    (0..3).for_each(|at| assert!(matches!(cluster.get(at, "k"), Reply::Missing(_))));
}

#[test]
fn a_retry_of_an_acknowledged_removal_takes_nothing_more_away_whatever_the_clocks_say() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    cluster.put(owners[1], "k", "1", &NONE);
    let receipt = written(cluster.ask(owners[0], removal(1, None)));
    // By its time this write was there before the removal.
    cluster.now.wall_ms -= 60_000;
    cluster.put(owners[1], "k", "2", &NONE);
    let again = removal(1, Some(receipt.coordinator));
    assert_eq!(written(cluster.ask(owners[0], again.clone())), receipt);
    assert_eq!(written(cluster.ask(owners[2], again.clone())), receipt, "also by way of another peer");
    cluster.wait(10_000);
    assert_eq!(written(cluster.ask(owners[0], again.clone())), receipt, "also much later");
    assert_eq!(cluster.found(owners[0], "k").value, json("2"));
    let Request::Remove(more) = again.clone() else { unreachable!() };
    let more = Request::Remove(Remove { w: Quorum::All, ..more });
    assert_eq!(failed(cluster.ask(owners[0], more)).kind, FailureKind::Unknown, "two have acknowledged it, and not three");
    // What the log says of it does not tell whether it was acknowledged.
    cluster.kill(owners[0]);
    cluster.now.wall_ms += 62_000;
    cluster.start(owners[0]);
    cluster.connect(owners[0]);
    assert_eq!(failed(cluster.ask(owners[0], again)).kind, FailureKind::Unknown);
    assert_eq!(cluster.found(owners[0], "k").value, json("2"));
    written(cluster.ask(owners[0], removal(2, None)));
    assert!(matches!(cluster.get(owners[1], "k"), Reply::Missing(_)), "a removal of its own does take it away");
}

#[test]
fn a_retry_of_a_removal_that_ended_unknown_takes_nothing_away() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let coordinator = owners[0];
    cluster.filter = Box::new(move |to, message| to == coordinator || !matches!(message, Message::Apply(_)));
    assert_eq!(failed(cluster.ask(coordinator, removal(1, None))).kind, FailureKind::Unknown);
    cluster.filter = Box::new(|_, _| true);
    cluster.now.wall_ms -= 60_000;
    cluster.put(owners[1], "k", "2", &NONE);
    let again = removal(1, attempt(&cluster, coordinator));
    assert_eq!(failed(cluster.ask(coordinator, again)).kind, FailureKind::Unknown);
    assert_eq!(cluster.found(coordinator, "k").value, json("2"));
    let receipt = written(cluster.ask(coordinator, removal(2, None)));
    assert_eq!(receipt.covered.len(), 1, "a removal of its own does take it away");
}

#[test]
fn a_patch_that_has_seen_more_than_its_coordinator_lets_it_catch_up_first() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let behind = owners[0];
    cluster.filter = Box::new(move |to, message| !(to == behind && matches!(message, Message::Apply(_))));
    cluster.put(owners[1], "k", r#"{"a":1,"b":1}"#, &NONE);
    let Reply::Found(found) = cluster.ask(owners[1], get("k", "")) else { panic!("it is there") };
    cluster.filter = Box::new(|_, _| true);
    let receipt = written(cluster.ask(behind, set("k", "a", "2", &found.context)));
    assert_eq!(receipt.covered.len(), 1);
    for at in 0..3 {
        assert_eq!(cluster.found(at, "k").value, json(r#"{"a":2,"b":1}"#));
    }
}

#[test]
fn the_receipt_of_a_patch_lists_what_its_client_had_seen_beside_it() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let behind = owners[0];
    cluster.put(owners[1], "k", r#"{"a":1,"b":1}"#, &NONE);
    let seen = cluster.found(owners[1], "k").context;
    // The patch of `b` does not reach this owner, a later one of `a` does.
    cluster.filter = Box::new(move |to, message| !(to == behind && matches!(message, Message::Apply(_))));
    let first = written(cluster.ask(owners[1], set("k", "b", "2", &seen)));
    cluster.filter = Box::new(|_, _| true);
    let second = written(cluster.ask(owners[1], set("k", "a", "2", &first.context)));
    cluster.ask(behind, set("k", "b", "3", &second.context));
    assert_eq!(cluster.found(owners[2], "k").value, json(r#"{"a":2,"b":3}"#), "its client had seen `b` before");
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let mut cluster = Cluster::new(3);
    let receipt = cluster.put(0, "k", "1", &NONE);
    let kind = |cluster: &mut Cluster, request| failed(cluster.ask(0, request)).kind;
    assert_eq!(kind(&mut cluster, put("", "1", &NONE)), FailureKind::BadRequest);
    assert_eq!(kind(&mut cluster, put(&"k".repeat(5_000), "1", &NONE)), FailureKind::TooLarge);
    assert_eq!(kind(&mut cluster, put("k", "{", &NONE)), FailureKind::BadRequest);
    assert_eq!(kind(&mut cluster, put("other", "1", &receipt.context)), FailureKind::BadContext);
    assert_eq!(kind(&mut cluster, put("k", "1", &bytes("forged"))), FailureKind::BadContext);
    assert_eq!(kind(&mut cluster, set("k", "a..b", "1", &NONE)), FailureKind::BadRequest);
    let Request::Put(four) = put("k", "1", &NONE) else { unreachable!() };
    assert_eq!(kind(&mut cluster, Request::Put(Put { w: Quorum::Exactly(4), ..four })), FailureKind::BadRequest);
}

#[test]
fn one_replica_more_does_not_make_a_sibling_too_many() {
    let mut cluster = Cluster::new(3);
    let mut context = NONE;
    for n in 0..20 {
        context = cluster.put(n % 3, "k", &n.to_string(), &context).context;
    }
    assert_eq!(cluster.found(0, "k").value, json("19"));
}

#[test]
fn what_is_sent_again_is_written_down_once() {
    let mut cluster = Cluster::new(3);
    let first = cluster.owners("k")[0];
    cluster.filter = Box::new(move |to, message| to == first || !matches!(message, Message::Apply(_)));
    let Request::Put(put) = put("k", "1", &NONE) else { unreachable!() };
    let retry = Some(Retry { session: 5, number: 1, first: None });
    cluster.begin(first, Request::Put(Put { retry, ..put }));
    cluster.wait(100);
    let log = |cluster: &Cluster| cluster.peer(first).store().appended();
    let before = log(&cluster);
    cluster.wait(2_000);
    assert_eq!(log(&cluster), before);
}

#[test]
fn two_writes_without_context_that_cross_do_not_wipe_each_other_out() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    // Each write reaches its own coordinator alone at first, and the other replicas when it is sent again.
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Apply(_)));
    let first = cluster.begin(owners[0], put("k", "1", &NONE));
    let second = cluster.begin(owners[1], put("k", "2", &NONE));
    cluster.filter = Box::new(|_, _| true);
    cluster.wait(1_000);
    let receipts = [first, second].map(|id| written(cluster.replies.remove(&id).expect("it was sent again")));
    assert!(receipts.iter().filter(|receipt| !receipt.covered.is_empty()).count() <= 1, "{receipts:?}");
    let found = cluster.found(owners[2], "k");
    let left = found.value.map_or_else(|| found.conflicts[0].values.len(), |_| 1);
    assert!(left >= 1, "one of the two acknowledged values is there");
}

#[test]
fn siblings_that_would_get_too_large_together_are_refused_and_the_key_still_works() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "1", &NONE);
    let context = cluster.found(0, "k").context;
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    let refused =
        (0..12).map(|_| cluster.ask(0, put("k", &large, &context))).filter(|reply| matches!(reply, Reply::Failed(_))).count();
    assert!((3..12).contains(&refused), "{refused} refused");
    let found = cluster.found(1, "k");
    cluster.put(2, "k", "2", &found.context);
    assert_eq!(cluster.found(0, "k").value, json("2"));
}
