use super::*;
use crate::message::{FailureKind, Fetched};
use crate::vclock::{Actor, Dot, Entry, Kind, Path, Seen, Timestamp, Version, pack};

/// A key of five peers, the first of its owners, and its two stand-ins.
fn five() -> (Cluster, Vec<usize>) {
    let cluster = Cluster::new(5);
    let order = cluster.owners("k");
    (cluster, order)
}

/// What a stand-in holds of a write that its owners have missed: a plain value.
fn hint() -> Entry {
    let dot = Dot { actor: Actor(77), counter: Start(5).base() + 1 };
    let (kind, value) = (Kind::Scalar, bytes("7"));
    Entry::new(vec![Version { dot, path: Path::ROOT, kind, value, time: Timestamp::from_wall_ms(1), expiry_ms: 0 }], Seen::new())
}

/// Asks a peer, and answers in the place of every other that is asked for the key and is no owner.
fn ask_with_hints(cluster: &mut Cluster, at: usize, request: Request, hint: &Entry) -> Reply {
    let owners: Vec<usize> = cluster.owners("k")[..3].to_vec();
    cluster.filter = Box::new({
        let owners = owners.clone();
        move |to, message| owners.contains(&to) || !matches!(message, Message::Fetch(_))
    });
    cluster.take_offered();
    let id = cluster.begin(at, request);
    for _ in 0..10 {
        for (stand_in, message) in cluster.take_offered() {
            let Message::Fetch(fetch) = message else { continue };
            if owners.contains(&stand_in) {
                continue;
            }
            let introduction = cluster.peer(stand_in).introduction();
            let fetched =
                Fetched { operation: fetch.operation, entry: pack(hint), mode: fetch.mode, complete: false, holding: None };
            let (from, start) = (introduction.member, introduction.start);
            cluster.step(at, Input::Message { from, start, message: Message::Fetched(fetched) });
        }
        cluster.run();
    }
    cluster.filter = Box::new(|_, _| true);
    cluster.replies.remove(&id).expect("it is answered at once")
}

#[test]
fn with_two_owners_down_what_the_third_holds_is_found_and_what_it_lacks_is_unreachable() {
    let (mut cluster, order) = five();
    cluster.put(order[0], "k", r#"{"a":1}"#, &NONE);
    cluster.kill(order[1]);
    cluster.kill(order[2]);
    for at in [order[0], order[3], order[4]] {
        let found = cluster.found(at, "k");
        assert_eq!((found.value, found.answered, found.agreed, found.stood_in), (json(r#"{"a":1}"#), 2, 1, 1));
        let absent = failed(cluster.ask(at, get("k", "b")));
        assert_eq!(absent.kind, FailureKind::Unavailable, "a leaf that one owner lacks may be on another");
    }
    let lacking = (0..).map(|n| format!("other{n}")).find(|key| cluster.owners(key)[..3] == order[..3]).expect("some key");
    let failure = failed(cluster.get(order[0], &lacking));
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("1 of the 2 owners"), "{}", failure.message);
    assert_eq!(cluster.peer(order[0]).store().contexts(), 0, "nobody was repaired with less than there is");
}

#[test]
fn a_plain_value_that_only_stand_ins_hold_is_found_through_any_peer() {
    let (mut cluster, order) = five();
    (0..3).for_each(|nth| cluster.kill(order[nth]));
    for at in [order[3], order[4]] {
        let failure = failed(cluster.get(at, "k"));
        assert_eq!(failure.kind, FailureKind::Unavailable, "nobody holds it, and nobody may say so");
        let Reply::Found(found) = ask_with_hints(&mut cluster, at, get("k", ""), &hint()) else { panic!("it is found") };
        assert_eq!((found.value, found.answered, found.agreed, found.stood_in), (json("7"), 2, 1, 2));
        let path = failed(ask_with_hints(&mut cluster, at, get("k", "a"), &hint()));
        assert_eq!(path.kind, FailureKind::Unavailable);
    }
}

#[test]
fn what_a_stand_in_holds_reaches_the_owner_that_reads_it() {
    let (mut cluster, order) = five();
    cluster.kill(order[1]);
    cluster.kill(order[2]);
    let Reply::Found(found) = ask_with_hints(&mut cluster, order[0], get("k", ""), &hint()) else { panic!("it is found") };
    assert_eq!((found.value, found.stood_in), (json("7"), 1));
    let partition = cluster.peer(order[0]).partition_of(b"k");
    assert_eq!(cluster.peer(order[0]).store().summary(partition).0, 1, "it was behind, and is repaired");
    assert_eq!(cluster.peer(order[3]).store().keys(), 0, "a stand-in is not");
}

#[test]
fn with_all_owners_there_nobody_stands_in() {
    let (mut cluster, order) = five();
    cluster.take_offered();
    assert!(matches!(cluster.get(order[0], "k"), Reply::Missing(_)));
    cluster.kill(order[2]);
    assert!(matches!(cluster.get(order[0], "k"), Reply::Missing(_)), "two complete owners say so");
    let asked = cluster.take_offered().into_iter().filter(|(_, message)| matches!(message, Message::Fetch(_)));
    let asked: Vec<usize> = asked.map(|(to, _)| to).collect();
    assert!(!asked.is_empty() && asked.iter().all(|to| order[..3].contains(to)), "{asked:?}");
}

#[test]
fn a_session_sees_what_a_stand_in_has_not_handed_over_yet_although_all_owners_are_back() {
    let (mut cluster, order) = five();
    let owners = order[..3].to_vec();
    owners.iter().for_each(|owner| cluster.kill(*owner));
    let receipt = cluster.put(order[3], "k", "1", &NONE);
    assert_eq!(receipt.acks.len(), 2, "both stand in");
    // What they hand over is lost on its way.
    cluster.filter = Box::new(move |to, message| !(owners.contains(&to) && matches!(message, Message::Apply(_))));
    for owner in &order[..3] {
        cluster.start(*owner);
        cluster.connect(*owner);
    }
    let read = |session: &Bytes| {
        let Request::Get(one) = get("k", "") else { panic!("a get") };
        Request::Get(crate::message::Get { session: session.clone(), ..one })
    };
    assert!(matches!(cluster.ask(order[0], read(&NONE)), Reply::Missing(_)), "no owner has it yet");
    let Reply::Found(found) = cluster.ask(order[0], read(&receipt.context)) else { panic!("it is found") };
    assert_eq!((found.value, found.dots, found.stood_in), (json("1"), receipt.dots, 0));
    // Whoever read it has it now.
    [order[0], order[3], order[4]].iter().for_each(|at| cluster.kill(*at));
    let failure = failed(cluster.ask(order[1], read(&receipt.context)));
    assert!(failure.kind == FailureKind::Unavailable && failure.message.contains("session"), "{failure:?}");
}
