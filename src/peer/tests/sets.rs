//! Sets: every member is there or not for itself; and the expiry of what is there already.

use super::*;
use crate::message::{Expire, FailureKind, Members};
use crate::vclock::{Path, element_name};

fn elements(key: &str, path: &str, add: &[&[u8]], remove: &[&[u8]]) -> Request {
    let all = |members: &[&[u8]]| members.iter().map(|member| Bytes::copy_from_slice(member)).collect();
    Request::Update(Update::elements(bytes(key), path, all(add), all(remove)))
}

fn with_context(request: Request, context: &Bytes) -> Request {
    match request {
        Request::Update(update) => Request::Update(Update { context: context.clone(), ..update }),
        other => other,
    }
}

fn members(found: &Found) -> Vec<Bytes> {
    match &found.value {
        Some(Value::Set(members)) => members.iter().collect(),
        other => panic!("no set: {other:?}"),
    }
}

fn expire(cluster: &mut Cluster, at: usize, key: &str, expiry_ms: u64) -> Reply {
    cluster.ask(at, Request::Expire(Expire::of(bytes(key), expiry_ms)))
}

#[test]
fn members_are_any_bytes_and_each_is_put_in_and_taken_out_for_itself() {
    let mut cluster = Cluster::new(3);
    let odd = [&b"a"[..], b"a.b", b"", b"\xff\x00", "\u{10FFFF}".as_bytes(), "größe".as_bytes()];
    written(cluster.ask(0, elements("k", "", &odd, &[])));
    written(cluster.ask(1, elements("k", "", &[b"a", b"new"], &[b"\xff\x00", b"not there"])));
    let found = cluster.found(2, "k");
    let mut expected: Vec<&[u8]> = odd.iter().copied().filter(|member| *member != b"\xff\x00").collect();
    expected.push(b"new");
    expected.sort_unstable_by_key(|member| element_name(member));
    assert_eq!(members(&found), expected);
    assert_eq!((found.dots.len(), found.conflicts.len()), (6, 0));
    let path = Path::ROOT.push(&element_name(b"a.b")).expect("a path");
    assert!(matches!(cluster.ask(0, get("k", &path.to_text())), Reply::Found(_)), "a member is asked for by its path");
    let path = Path::ROOT.push(&element_name(b"\xff\x00")).expect("a path");
    assert!(matches!(cluster.ask(0, get("k", &path.to_text())), Reply::Missing(_)));
}

#[test]
fn a_set_without_members_is_not_there() {
    let mut cluster = Cluster::new(3);
    written(cluster.ask(0, elements("k", "", &[b"a", b"b"], &[])));
    written(cluster.ask(1, elements("k", "", &[], &[b"a"])));
    written(cluster.ask(2, elements("k", "", &[], &[b"b"])));
    assert!(matches!(cluster.get(0, "k"), Reply::Missing(_)));
    assert_eq!(cluster.peer(0).store().keys(), 0);
    assert_eq!(failed(cluster.ask(0, elements("k", "", &[], &[]))).kind, FailureKind::BadRequest);
    assert_eq!(failed(cluster.ask(0, elements("k", "", &[&[b'x'; 5_000]], &[]))).kind, FailureKind::BadRequest);
}

#[test]
fn whoever_is_in_both_lists_is_put_in() {
    let mut cluster = Cluster::new(3);
    written(cluster.ask(0, elements("k", "tags", &[b"a"], &[])));
    written(cluster.ask(1, elements("k", "tags", &[b"a"], &[b"a"])));
    assert_eq!(cluster.found(0, "k").value, json(r#"{"tags":["a"]}"#));
    let Reply::Found(found) = cluster.ask(2, get("k", "tags")) else { panic!("it has to be there") };
    assert_eq!(found.value, Some(Value::Set(Members::of([b"a"]))));
}

#[test]
fn a_member_that_is_put_in_while_it_is_taken_out_elsewhere_stays() {
    let mut cluster = Cluster::new(3);
    written(cluster.ask(0, elements("k", "", &[b"a", b"b"], &[])));
    let seen = cluster.found(0, "k").context;
    written(cluster.ask(1, elements("k", "", &[b"a"], &[])));
    written(cluster.ask(2, with_context(elements("k", "", &[], &[b"a", b"b"]), &seen)));
    assert_eq!(members(&cluster.found(0, "k")), [bytes("a")]);
    written(cluster.ask(2, elements("k", "", &[], &[b"a"])));
    assert!(matches!(cluster.get(1, "k"), Reply::Missing(_)), "without a context whatever the owners hold is taken out");
}

#[test]
fn a_set_and_a_plain_value_stand_beside_each_other() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "\"text\"", &NONE);
    written(cluster.ask(0, elements("k", "", &[b"a"], &[])));
    let found = cluster.found(1, "k");
    assert_eq!((found.value, found.conflicts.len(), found.conflicts[0].values.len()), (None, 1, 2));
}

#[test]
fn an_expiry_can_be_set_and_taken_back_and_the_value_keeps_its_time() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", r#"{"a":1,"b":{"c":[1]}}"#, &NONE);
    cluster.wait(1_000);
    let at = cluster.now.wall_ms + 10_000;
    let receipt = written(expire(&mut cluster, 1, "k", at));
    assert_eq!((receipt.dots.len(), receipt.covered.len()), (2, 2));
    let found = cluster.found(2, "k");
    assert_eq!((found.value, found.expiry_ms, found.dots), (json(r#"{"a":1,"b":{"c":[1]}}"#), at, receipt.dots));
    // What is written after that has the later time, though the expiry was set by a later write.
    let mine = cluster.owners("k")[0];
    let partition = cluster.peer(mine).partition_of(b"k");
    let entry = cluster.machines[mine].peer.as_mut().expect("up").replica.store_mut().read(partition, b"k").expect("it is read").0;
    assert!(entry.versions().iter().all(|version| version.time.wall_ms() + 1_000 <= cluster.now.wall_ms));
    written(cluster.ask(0, set("k", "a", "2", &NONE)));
    let found = cluster.found(2, "k");
    assert_eq!(found.expiry_ms, at, "the first part that expires");
    cluster.wait(10_000);
    assert_eq!(cluster.found(2, "k").value, json(r#"{"a":2}"#));
    let again = cluster.now.wall_ms + 10_000;
    written(expire(&mut cluster, 0, "k", again));
    written(expire(&mut cluster, 1, "k", 0));
    cluster.wait(10_000);
    let found = cluster.found(2, "k");
    assert_eq!((found.value, found.expiry_ms), (json(r#"{"a":2}"#), 0));
}

#[test]
fn the_expiry_of_a_missing_key_cannot_be_set_and_a_time_that_is_over_hides_it() {
    let mut cluster = Cluster::new(3);
    let at = cluster.now.wall_ms + 10_000;
    assert!(matches!(expire(&mut cluster, 0, "k", at), Reply::Missing(_)));
    assert!(matches!(expire(&mut cluster, 0, "k", 0), Reply::Missing(_)));
    written(cluster.ask(0, elements("k", "", &[b"a", b"b"], &[])));
    written(expire(&mut cluster, 1, "k", at));
    assert_eq!(cluster.found(2, "k").expiry_ms, at);
    written(expire(&mut cluster, 1, "k", 1));
    assert!(matches!(cluster.get(2, "k"), Reply::Missing(_)));
    assert!(matches!(expire(&mut cluster, 0, "k", 0), Reply::Missing(_)), "it does not come back");
    let far = cluster.now.wall_ms + crate::limits::TTL_MS_MAX + 1_000;
    assert_eq!(failed(expire(&mut cluster, 0, "k", far)).kind, FailureKind::BadRequest);
}

#[test]
fn who_sets_an_expiry_sees_what_others_have_acknowledged() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    cluster.put(owners[0], "k", "1", &NONE);
    let lagging = owners[2];
    cluster.filter = Box::new(move |to, message| !matches!(message, Message::Apply(_)) || to != lagging);
    cluster.put(owners[0], "k", "2", &NONE);
    cluster.filter = Box::new(|_, _| true);
    let at = cluster.now.wall_ms + 10_000;
    written(expire(&mut cluster, lagging, "k", at));
    let found = cluster.found(owners[1], "k");
    assert_eq!((found.value, found.expiry_ms, found.conflicts.len()), (json("2"), at, 0));
}

#[test]
fn an_expiry_that_is_tried_again_is_set_once() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "1", &NONE);
    let at = cluster.now.wall_ms + 10_000;
    let with =
        |first| Request::Expire(Expire { retry: Some(Retry { session: 3, number: 1, first }), ..Expire::of(bytes("k"), at) });
    let first = written(cluster.ask(0, with(None)));
    let again = written(cluster.ask(0, with(Some(first.coordinator))));
    assert_eq!(first.dots, again.dots);
    assert_eq!(cluster.found(1, "k").expiry_ms, at);
}
