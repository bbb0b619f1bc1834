use super::*;
use crate::message::FailureKind;

#[test]
fn a_read_repairs_whoever_is_behind() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let behind = owners[2];
    cluster.filter = Box::new(move |to, message| !(to == behind && matches!(message, Message::Apply(_))));
    cluster.put(owners[0], "k", r#"{"a":1}"#, &NONE);
    cluster.filter = Box::new(|_, _| true);
    let Request::Get(all) = get("k", "") else { unreachable!() };
    let Reply::Found(found) = cluster.ask(owners[0], Request::Get(Get { r: Quorum::All, ..all })) else { panic!("it is there") };
    assert_eq!((found.answered, found.agreed), (3, 2));
    let partition = cluster.peer(behind).partition_of(b"k");
    let sums: Vec<_> = (0..3).map(|at| cluster.peer(at).store().summary(partition)).collect();
    assert!(sums[0].0 == 1 && sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
}

#[test]
fn a_value_that_only_the_other_replica_holds_is_fetched() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let behind = owners[0];
    cluster.filter = Box::new(move |to, message| !(to == behind && matches!(message, Message::Apply(_))));
    cluster.put(owners[1], "k", r#"{"a":1,"b":"two"}"#, &NONE);
    cluster.filter = Box::new(|_, _| true);
    assert_eq!(cluster.found(behind, "k").value, json(r#"{"a":1,"b":"two"}"#));
}

#[test]
fn a_session_sees_at_least_what_it_has_seen() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let behind = owners[0];
    cluster.filter = Box::new(move |to, message| !(to == behind && matches!(message, Message::Apply(_))));
    let receipt = cluster.put(owners[1], "k", "1", &NONE);
    let session = |context: &Bytes| {
        let Request::Get(one) = get("k", "") else { unreachable!() };
        Request::Get(Get { r: Quorum::Exactly(1), session: context.clone(), ..one })
    };
    assert!(matches!(cluster.ask(behind, session(&NONE)), Reply::Missing(_)), "R=1 alone is allowed to be behind");
    let Reply::Found(found) = cluster.ask(behind, session(&receipt.context)) else { panic!("it is there") };
    assert_eq!(found.value, json("1"));
    cluster.kill(owners[1]);
    cluster.kill(owners[2]);
    let partition = cluster.peer(behind).partition_of(b"k");
    if cluster.peer(behind).store().summary(partition).0 == 0 {
        assert_eq!(failed(cluster.ask(behind, session(&receipt.context))).kind, FailureKind::Unavailable);
    }
}

#[test]
fn a_path_is_read_and_its_context_covers_only_what_it_shows() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", r#"{"a":{"x":1,"y":2},"b":3}"#, &NONE);
    let Reply::Found(found) = cluster.ask(1, get("k", "a")) else { panic!("it is there") };
    assert_eq!(found.value, json(r#"{"x":1,"y":2}"#));
    cluster.put(2, "k", "5", &found.context);
    let whole = cluster.found(0, "k");
    assert_eq!(whole.conflicts.len(), 1, "what the client did not read is not swept away");
}

#[test]
fn a_scan_lists_live_keys_in_order_and_resumes() {
    let mut cluster = Cluster::new(5);
    for n in 0..40 {
        cluster.put(n % 5, &format!("user:{n:03}"), "1", &NONE);
    }
    cluster.put(0, "other", "1", &NONE);
    written(cluster.ask(3, remove("user:005", "", &NONE)));
    let expected: Vec<Bytes> = (0..40).filter(|n| *n != 5).map(|n| bytes(&format!("user:{n:03}"))).collect();
    let mut after = NONE;
    let mut seen = Vec::new();
    loop {
        let list = List { prefix: bytes("user:"), after, limit: 7, r: Quorum::Default, deadline_ms: 0 };
        let Reply::Listed(page) = cluster.ask(2, Request::List(list)) else { panic!("a page") };
        assert!(page.keys.len() <= 7);
        seen.extend(page.keys);
        after = page.resume_after;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, expected);
}

#[test]
fn a_scan_finds_what_one_replica_lacks() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let behind = owners[0];
    cluster.filter = Box::new(move |to, message| !(to == behind && matches!(message, Message::Apply(_))));
    cluster.put(owners[1], "k", "1", &NONE);
    cluster.filter = Box::new(|_, _| true);
    let list = List { prefix: NONE, after: NONE, limit: 10, r: Quorum::Default, deadline_ms: 0 };
    let Reply::Listed(page) = cluster.ask(behind, Request::List(list)) else { panic!("a page") };
    assert_eq!(page.keys, [bytes("k")]);
}

#[test]
fn last_writer_wins_is_chosen_in_the_answer_alone() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "1", &NONE);
    let context = cluster.found(0, "k").context;
    cluster.put(0, "k", "2", &context);
    cluster.now.wall_ms += 10;
    cluster.put(1, "k", "3", &context);
    let Request::Get(lww) = get("k", "") else { unreachable!() };
    let Reply::Found(found) = cluster.ask(2, Request::Get(Get { last_writer_wins: true, ..lww })) else { panic!("it is there") };
    assert_eq!((found.value, found.hidden, found.conflicts.len()), (json("3"), 1, 0));
    assert_eq!(cluster.found(2, "k").conflicts.len(), 1, "nothing was dropped");
}
