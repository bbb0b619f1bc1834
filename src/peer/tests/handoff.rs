use super::*;
use crate::message::FailureKind;
use crate::message::{Apply, DebtStatus};
use crate::storage::StoreBounds;

impl Cluster {
    /// What a peer owes: to whom, and how many hints.
    fn owes(&mut self, at: usize) -> Vec<(usize, u64)> {
        let debts: Vec<DebtStatus> = self.status(at).member.debts;
        debts.iter().map(|debt| (debt.name[1..].parse().expect("a number"), debt.hints)).collect()
    }

    fn status(&mut self, at: usize) -> crate::message::Status {
        match self.ask(at, Request::Status) {
            Reply::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn start_again(&mut self, at: usize) {
        self.now.wall_ms += 2_000;
        self.start(at);
        self.connect(at);
    }

    /// Waits until nobody owes anything.
    fn drain(&mut self) {
        for _ in 0..200 {
            let up: Vec<usize> = (0..self.machines.len()).filter(|at| self.machines[*at].peer.is_some()).collect();
            if up.iter().all(|at| self.peer(*at).store().hints() == 0) {
                return;
            }
            self.wait(100);
        }
        panic!("hints are still there after twenty seconds");
    }

    /// The live dots that an owner holds of a key.
    fn live_dots(&mut self, at: usize, key: &str) -> usize {
        let partition = self.peer(at).partition_of(key.as_bytes());
        let peer = self.machines[at].peer.as_mut().expect("the peer is up");
        peer.replica.store_mut().read_dots(partition, key.as_bytes()).map_or(0, |held| held.0.versions().len())
    }
}

fn strict(request: Request) -> Request {
    match request {
        Request::Put(put) => Request::Put(Put { strict: true, ..put }),
        Request::Update(update) => Request::Update(Update { strict: true, ..update }),
        other => other,
    }
}

#[test]
fn with_two_owners_down_writes_go_on_and_reach_them_when_they_are_back() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    cluster.kill(owners[1]);
    cluster.kill(owners[2]);
    let receipt = cluster.put(owners[0], "k", "1", &NONE);
    assert_eq!(receipt.acks.len(), 2);
    assert_eq!(receipt.stood_in.len(), 1, "with W=2 one of the two was waited for: {receipt:?}");
    assert_eq!((cluster.owes(owners[3]), cluster.owes(owners[4])), (vec![(owners[1], 1)], vec![(owners[2], 1)]));

    // A stand-in keeps it over a restart.
    cluster.kill(owners[3]);
    cluster.start_again(owners[3]);
    assert_eq!(cluster.owes(owners[3]), [(owners[1], 1)]);

    cluster.start_again(owners[1]);
    assert_eq!(cluster.owes(owners[3]), []);
    assert_eq!(cluster.owes(owners[4]), [(owners[2], 1)], "that one is still away");
    cluster.start_again(owners[2]);
    cluster.drain();
    for owner in &owners[..3] {
        assert_eq!(cluster.live_dots(*owner, "k"), 1, "p{owner}");
    }
    // What was paid stays paid.
    cluster.kill(owners[4]);
    cluster.start_again(owners[4]);
    assert_eq!(cluster.owes(owners[4]), []);
}

#[test]
fn nobody_stands_in_for_an_owner_that_is_only_slow() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    let slow = owners[2];
    cluster.filter = Box::new(move |to, message| !(to == slow && matches!(message, Message::Apply(_))));
    assert_eq!(cluster.put(owners[0], "k", "1", &NONE).stood_in, []);
    cluster.wait(1_000);
    assert_eq!((cluster.owes(owners[3]), cluster.owes(owners[4])), (vec![], vec![]));
}

#[test]
fn an_owner_that_goes_down_during_a_write_gets_a_stand_in_then() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    let first = owners[0];
    cluster.filter = Box::new(move |to, message| to == first || !matches!(message, Message::Apply(apply) if apply.owed.is_empty()));
    let id = cluster.begin(first, put("k", "1", &NONE));
    assert!(cluster.replies.is_empty());
    cluster.kill(owners[1]);
    let receipt = written(cluster.replies.remove(&id).expect("somebody has stood in at once"));
    assert_eq!(receipt.stood_in.len(), 1);
}

#[test]
fn one_peer_that_stands_in_for_two_counts_once() {
    let mut cluster = Cluster::new(4);
    let owners = cluster.owners("k");
    cluster.kill(owners[1]);
    cluster.kill(owners[2]);
    let receipt = cluster.put(owners[0], "k", "1", &NONE);
    assert_eq!((receipt.acks.len(), receipt.stood_in[0].owed.len()), (2, 2));
    let Request::Put(all) = put("k", "2", &NONE) else { unreachable!() };
    let failure = failed(cluster.ask(owners[0], Request::Put(Put { w: Quorum::All, ..all })));
    assert_eq!(failure.kind, FailureKind::Unavailable, "two can take it, and three were asked for");
    cluster.start_again(owners[1]);
    cluster.start_again(owners[2]);
    cluster.drain();
    assert_eq!((cluster.live_dots(owners[1], "k"), cluster.live_dots(owners[2], "k")), (1, 1));
}

#[test]
fn a_stand_in_and_the_owner_that_it_stood_in_for_count_once() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    let (first, silent, away) = (owners[0], owners[1], owners[2]);
    cluster.kill(away);
    cluster.filter = Box::new(move |to, message| to != silent || !matches!(message, Message::Apply(_)));
    let Request::Put(all) = put("k", "1", &NONE) else { unreachable!() };
    let id = cluster.begin(first, Request::Put(Put { w: Quorum::All, ..all }));
    // It is back within the write, is sent it, and is given what the stand-in keeps: three have acknowledged, and it lies on two disks.
    cluster.start_again(away);
    cluster.wait(600);
    assert_eq!((cluster.live_dots(away, "k"), cluster.owes(owners[3])), (1, vec![]));
    assert!(!cluster.replies.contains_key(&id), "the silent one has not got it");
    cluster.filter = Box::new(|_, _| true);
    cluster.wait(600);
    let receipt = written(cluster.replies.remove(&id).expect("all three owners have it now"));
    assert_eq!(receipt.acks.len(), 4);
}

#[test]
fn strict_lets_nobody_stand_in() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    cluster.kill(owners[1]);
    let receipt = written(cluster.ask(owners[0], strict(put("k", "1", &NONE))));
    assert_eq!((receipt.acks.len(), receipt.stood_in.len()), (2, 0));
    assert_eq!((cluster.owes(owners[3]), cluster.owes(owners[4])), (vec![], vec![]));
    cluster.kill(owners[2]);
    let failure = failed(cluster.ask(owners[0], strict(put("k", "2", &NONE))));
    assert_eq!(failure.kind, FailureKind::Unavailable);
    cluster.put(owners[0], "k", "3", &NONE);
}

#[test]
fn a_removal_without_a_context_needs_owners_and_one_with_a_context_does_not() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    cluster.put(owners[0], "k", r#"{"a":1,"b":2}"#, &NONE);
    let context = cluster.found(owners[0], "k").context;
    cluster.kill(owners[1]);
    cluster.kill(owners[2]);
    for refused in [remove("k", "", &NONE), remove("k", "a", &NONE), {
        let Request::Update(update) = set("k", "a", "1", &NONE) else { unreachable!() };
        Request::Update(Update { patch: PatchBody::Merge { json: bytes(r#"{"a":null,"c":3}"#) }, ..update })
    }] {
        let failure = failed(cluster.ask(owners[0], refused));
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert!(failure.message.contains("a removal without a context needs 2 owners"), "{}", failure.message);
    }
    written(cluster.ask(owners[0], set("k", "b", "3", &NONE)));
    written(cluster.ask(owners[0], remove("k", "a", &context)));
    cluster.start_again(owners[1]);
    cluster.start_again(owners[2]);
    cluster.drain();
    for owner in &owners[..3] {
        assert_eq!(cluster.live_dots(*owner, "k"), 1, "the removal has come to p{owner} too");
    }
    assert_eq!(cluster.found(owners[1], "k").value, json(r#"{"b":3}"#));
    written(cluster.ask(owners[2], remove("k", "", &NONE)));
    assert!(matches!(cluster.get(owners[0], "k"), Reply::Missing(_)));
}

#[test]
fn a_hint_that_grows_while_it_is_paid_is_not_lost() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    let away = owners[1];
    cluster.kill(away);
    cluster.put(owners[0], "k", "1", &NONE);
    let stand_in = if cluster.owes(owners[3]).is_empty() { owners[4] } else { owners[3] };
    // The first payment arrives, and its answer does not: meanwhile the stand-in takes a second version in.
    cluster.filter = Box::new(move |to, message| !(to == stand_in && matches!(message, Message::Applied(_))));
    cluster.start_again(away);
    assert_eq!((cluster.live_dots(away, "k"), cluster.owes(stand_in)), (1, vec![(away, 1)]));
    let owed = vec![cluster.id(away)];
    let (partition, key) = (cluster.peer(stand_in).partition_of(b"k"), bytes("k"));
    let entry = {
        let peer = cluster.machines[stand_in].peer.as_mut().expect("it is up");
        let dot = peer.replica.store_mut().mint(partition, 1);
        let (path, value) = (crate::vclock::Path::ROOT, bytes("2"));
        let (kind, time) = (crate::vclock::Kind::Scalar, crate::vclock::Timestamp(1));
        let version = crate::vclock::Version { dot, path, kind, value, time, expiry_ms: 0 };
        crate::vclock::pack(&crate::vclock::Entry::new(vec![version], Default::default()))
    };
    let apply = Apply { operation: crate::message::OperationId(0), key, entry, naming: None, owed, relief: false };
    let (from, start) = (cluster.id(owners[0]), cluster.peer(owners[0]).introduction().start);
    cluster.step(stand_in, Input::Message { from, start, message: Message::Apply(apply) });
    cluster.filter = Box::new(|_, _| true);
    cluster.drain();
    assert_eq!(cluster.live_dots(away, "k"), 2, "both versions have arrived");
}

#[test]
fn over_its_bound_a_stand_in_takes_nothing_new_and_the_next_one_does() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    let bound = |cluster: &mut Cluster, at: usize, count| {
        let peer = cluster.machines[at].peer.as_mut().expect("it is up");
        let bounds = StoreBounds { hint_bytes_max: 1 << 20, hints_max: count, ..StoreBounds::default() };
        peer.replica.store_mut().set_bounds(bounds);
    };
    cluster.kill(owners[1]);
    let walk = cluster.peer(owners[0]).live_stand_ins(cluster.peer(owners[0]).partition_of(b"k")).collect::<Vec<_>>();
    let first = if cluster.id(owners[3]) == walk[0] { owners[3] } else { owners[4] };
    let second = owners[3] + owners[4] - first;
    bound(&mut cluster, first, 0);
    assert!(cluster.status(first).member.hints_full);
    let all = |request| {
        let Request::Put(put) = request else { unreachable!() };
        Request::Put(Put { w: Quorum::All, ..put })
    };
    written(cluster.ask(owners[0], all(put("k", "1", &NONE))));
    assert_eq!((cluster.owes(first), cluster.owes(second)), (vec![], vec![(owners[1], 1)]));
    bound(&mut cluster, second, 1);
    cluster.kill(owners[2]);
    // What it keeps already may still grow.
    cluster.put(owners[0], "k", "2", &NONE);
    bound(&mut cluster, second, 0);
    let other =
        (0..).map(|n| format!("other{n}")).find(|key| cluster.owners(key)[..3] == owners[..3]).expect("there are many keys");
    let failure = failed(cluster.ask(owners[0], put(&other, "1", &NONE)));
    assert_eq!(failure.kind, FailureKind::Unknown);
    assert!(failure.message.contains("stands in for nothing new"), "{}", failure.message);
}

#[test]
fn without_any_owner_a_stand_in_coordinates_what_needs_no_view() {
    let mut cluster = Cluster::new(6);
    let owners = cluster.owners("k");
    let old = cluster.put(owners[0], "k", r#"{"a":1}"#, &NONE).context;
    (0..3).for_each(|at| cluster.kill(owners[at]));
    let receipt = cluster.put(owners[5], "k", "2", &NONE);
    assert_eq!((receipt.acks.len(), receipt.stood_in.len(), receipt.covered.len()), (2, 2, 0));
    let receipt = cluster.put(owners[4], "k", "3", &receipt.context);
    assert_eq!(receipt.covered.len(), 1, "it sees what stand-ins have taken");
    for refused in [set("k", "a", "2", &NONE), set("k", "a", "2", &old), remove("k", "", &NONE), strict(put("k", "4", &NONE))] {
        assert_eq!(failed(cluster.ask(owners[3], refused)).kind, FailureKind::Unavailable);
    }
    written(cluster.ask(owners[3], remove("k", "", &old)));
    (0..3).for_each(|at| cluster.start_again(owners[at]));
    cluster.drain();
    for owner in &owners[..3] {
        assert_eq!(cluster.live_dots(*owner, "k"), 1, "p{owner}");
    }
    assert_eq!(cluster.found(owners[0], "k").value, json("3"));
}

#[test]
fn a_retry_at_a_stand_in_that_has_handed_the_write_over_is_unknown() {
    let mut cluster = Cluster::new(6);
    let owners = cluster.owners("k");
    (0..3).for_each(|at| cluster.kill(owners[at]));
    let Request::Put(one) = put("k", "1", &NONE) else { unreachable!() };
    let retry = Retry { session: 5, number: 1, first: None };
    let receipt = written(cluster.ask(owners[3], Request::Put(Put { retry: Some(retry), ..one.clone() })));
    let again = Request::Put(Put { retry: Some(Retry { first: Some(receipt.coordinator), ..retry }), ..one });
    let at = (0..6).find(|at| owners[3..].contains(at) && cluster.id(*at) == receipt.coordinator.member).expect("a stand-in");
    assert_eq!(written(cluster.ask(owners[5], again.clone())).dots, receipt.dots);
    (0..3).for_each(|at| cluster.start_again(owners[at]));
    cluster.drain();
    assert_eq!(failed(cluster.ask(at, again)).kind, FailureKind::Unknown);
    assert_eq!(cluster.live_dots(owners[0], "k"), 1, "and it is not written twice");
}

#[test]
fn many_hints_are_paid_while_messages_are_lost_and_the_debtor_restarts() {
    let mut cluster = Cluster::new(5);
    let away = 2;
    cluster.kill(away);
    let keys: Vec<String> = (0..300).map(|n| format!("key{n}")).collect();
    for key in &keys {
        let at = cluster.owners(key).into_iter().find(|owner| *owner != away).expect("three owners");
        cluster.put(at, key, "1", &NONE);
    }
    let owed: u64 = (0..5).filter(|at| *at != away).map(|at| cluster.owes(at).iter().map(|debt| debt.1).sum::<u64>()).sum();
    let owned: Vec<String> = keys.into_iter().filter(|key| cluster.owners(key)[..3].contains(&away)).collect();
    assert!(owned.len() > 100 && owed == owned.len() as u64, "{owed} {}", owned.len());
    // Every third payment is lost.
    let count = std::cell::Cell::new(0);
    cluster.filter = Box::new(move |_, message| {
        count.set(count.get() + 1);
        !(matches!(message, Message::Apply(_)) && count.get() % 3 == 0)
    });
    cluster.start_again(away);
    cluster.kill(away);
    cluster.start_again(away);
    cluster.drain();
    for key in &owned {
        assert_eq!(cluster.live_dots(away, key), 1, "{key}");
    }
}

#[test]
fn what_relieves_somebody_waits_for_the_disk_in_every_mode() {
    let mut cluster = Cluster::with_sync(5, SyncMode::Never);
    let owners = cluster.owners("k");
    cluster.kill(owners[1]);
    cluster.put(owners[0], "k", "1", &NONE);
    cluster.start_again(owners[1]);
    cluster.drain();
    let store = cluster.peer(owners[1]).store();
    assert!(store.durable() >= store.appended(), "it was synced before it answered");
}
