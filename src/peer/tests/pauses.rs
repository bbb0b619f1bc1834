//! Peers that are slow or stand still, and are not down.

use super::*;
use crate::limits::STALE_MS;
use crate::message::{FailureKind, Forward, OperationId};

/// Lets one millisecond after the other pass, with a wake for every peer but those that stand still.
fn pass(cluster: &mut Cluster, ms: u64, still: &[usize]) {
    for _ in 0..ms {
        cluster.now = Now { monotonic_ms: cluster.now.monotonic_ms + 1, wall_ms: cluster.now.wall_ms + 1 };
        for at in (0..cluster.machines.len()).filter(|at| !still.contains(at)) {
            if cluster.machines[at].peer.as_ref().and_then(Peer::next_wake).is_some_and(|due| due <= cluster.now.monotonic_ms) {
                cluster.step(at, Input::Wake);
            }
        }
        cluster.run();
    }
}

/// Holds back whatever goes to a member.
fn hold_back(cluster: &mut Cluster, held: usize) {
    cluster.filter = Box::new(move |to, _| to != held);
}

#[test]
fn a_read_that_waits_for_a_silent_owner_asks_the_third_one_soon() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    cluster.put(owners[0], "k", "1", &NONE);
    for silent in [owners[1], owners[2]] {
        hold_back(&mut cluster, silent);
        let ids: Vec<u64> = (0..20).map(|_| cluster.begin(owners[0], get("k", ""))).collect();
        pass(&mut cluster, 60, &[]);
        assert!(
            ids.iter().all(|id| matches!(cluster.replies.get(id), Some(Reply::Found(_)))),
            "long before messages are sent again"
        );
    }
    let Reply::Status(status) = cluster.ask(owners[0], Request::Status) else { panic!("a status") };
    assert!(status.member.hedges > 0);
}

#[test]
fn without_hedging_it_waits_until_messages_are_sent_again() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    cluster.machines[owners[0]].peer.as_mut().expect("it is up").paces = super::super::pace::Paces::new(false);
    hold_back(&mut cluster, owners[1]);
    let ids: Vec<u64> = (0..20).map(|_| cluster.begin(owners[0], get("k", ""))).collect();
    pass(&mut cluster, 60, &[]);
    let answered = ids.iter().filter(|id| cluster.replies.contains_key(id)).count();
    assert!((1..20).contains(&answered), "{answered} did not need the silent one");
    pass(&mut cluster, 300, &[]);
    assert!(ids.iter().all(|id| cluster.replies.contains_key(id)));
}

#[test]
fn a_silent_owner_is_asked_last_and_again_once_it_answers() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    hold_back(&mut cluster, owners[1]);
    let read = |cluster: &mut Cluster| (0..20).map(|_| cluster.begin(owners[0], get("k", ""))).count();
    let asked =
        |cluster: &mut Cluster| cluster.take_offered().iter().filter(|(to, message)| is_fetch(owners[1], *to, message)).count();
    read(&mut cluster);
    pass(&mut cluster, 300, &[]);
    asked(&mut cluster);
    (0..10).for_each(|_| assert_eq!(read(&mut cluster), 20));
    pass(&mut cluster, 100, &[]);
    let tried = asked(&mut cluster);
    assert!(tried <= 1, "of 200 reads it was asked by {tried}");
    cluster.filter = Box::new(|_, _| true);
    pass(&mut cluster, 1_000, &[]);
    read(&mut cluster);
    pass(&mut cluster, 5, &[]);
    asked(&mut cluster);
    (0..10).for_each(|_| assert_eq!(read(&mut cluster), 20));
    let again = asked(&mut cluster);
    assert!(again > 50, "of 200 reads it was asked by {again}");
}

fn is_fetch(of: usize, to: usize, message: &Message) -> bool {
    of == to && matches!(message, Message::Fetch(_))
}

#[test]
fn hedges_are_few_when_one_owner_is_late_every_time() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    // Never so late that it counts as silent: its answers come one after the other, each 20 ms after its question.
    let mut late = VecDeque::new();
    hold_back(&mut cluster, owners[1]);
    cluster.take_offered();
    let (mut reads, mut asked) = (0, 0);
    for ms in 0..3_000 {
        (reads, _) = (reads + 1, cluster.begin(owners[0], get("k", "")));
        pass(&mut cluster, 1, &[]);
        for (to, message) in cluster.take_offered() {
            asked += usize::from(to != owners[0] && matches!(message, Message::Fetch(_)));
            if to == owners[1] {
                late.push_back((ms + 20, message));
            }
        }
        let introduction = cluster.peer(owners[0]).introduction();
        while late.front().is_some_and(|(due, _)| *due <= ms) {
            let (_, message) = late.pop_front().expect("there is one");
            cluster.filter = Box::new(|_, _| true);
            cluster.step(owners[1], Input::Message { from: introduction.member, start: introduction.start, message });
            cluster.run();
            hold_back(&mut cluster, owners[1]);
        }
    }
    let most = reads + reads / 20 + crate::limits::HEDGE_BURST as usize + 10;
    assert!(asked <= most, "{asked} questions for {reads} reads");
}

#[test]
fn a_read_that_is_done_wakes_nobody() {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "k", "1", &NONE);
    pass(&mut cluster, 1_000, &[]);
    for at in 0..3 {
        cluster.found(at, "k");
    }
    for at in 0..3 {
        assert_eq!(cluster.peer(at).paces.next_wake(), None);
    }
}

/// The peers to which requests were handed on since the last look.
fn handed_to(cluster: &mut Cluster) -> Vec<usize> {
    let offered = cluster.take_offered().into_iter();
    offered.filter(|(_, message)| matches!(message, Message::Forward(_))).map(|(to, _)| to).collect()
}

#[test]
fn a_read_handed_on_to_a_silent_owner_is_handed_to_another_one_soon_unless_hedging_is_off() {
    for hedges in [true, false] {
        let mut cluster = Cluster::new(5);
        let owners = cluster.owners("k");
        cluster.put(owners[0], "k", "1", &NONE);
        cluster.machines[owners[3]].peer.as_mut().expect("it is up").paces = super::super::pace::Paces::new(hedges);
        hold_back(&mut cluster, owners[0]);
        let ids: Vec<u64> = (0..20).map(|_| cluster.begin(owners[3], get("k", ""))).collect();
        pass(&mut cluster, 60, &[]);
        let answered = ids.iter().filter(|id| matches!(cluster.replies.get(id), Some(Reply::Found(_)))).count();
        assert_eq!(answered, if hedges { 20 } else { 0 });
    }
}

#[test]
fn requests_are_handed_on_to_an_owner_that_is_not_slow_and_to_the_first_one_again_when_it_answers() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    hold_back(&mut cluster, owners[0]);
    cluster.begin(owners[3], get("k", ""));
    pass(&mut cluster, 300, &[]);
    handed_to(&mut cluster);
    cluster.put(owners[3], "k", "1", &NONE);
    cluster.found(owners[3], "k");
    assert_eq!(handed_to(&mut cluster), [owners[1], owners[1]]);
    cluster.filter = Box::new(|_, _| true);
    // The next read tries the slow one, and nobody waits for that.
    pass(&mut cluster, 1_000, &[]);
    cluster.found(owners[3], "k");
    handed_to(&mut cluster);
    cluster.put(owners[3], "k", "2", &NONE);
    assert_eq!(handed_to(&mut cluster), [owners[0]]);
}

#[test]
fn a_write_handed_on_stays_with_one_owner_and_a_read_does_not_need_the_one_that_goes() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("k");
    cluster.put(owners[0], "k", "1", &NONE);
    hold_back(&mut cluster, owners[0]);
    cluster.take_offered();
    let written = cluster.begin(owners[3], put("k", "2", &NONE));
    pass(&mut cluster, 1_000, &[]);
    assert_eq!(handed_to(&mut cluster), [owners[0]], "a second coordinator would make a second write of it");
    cluster.machines[owners[3]].peer.as_mut().expect("it is up").paces = super::super::pace::Paces::new(false);
    let read = cluster.begin(owners[3], get("k", ""));
    cluster.kill(owners[0]);
    assert_eq!(failed(cluster.replies.remove(&written).expect("it ends")).kind, FailureKind::Unknown);
    pass(&mut cluster, 300, &[]);
    assert!(matches!(cluster.replies.get(&read), Some(Reply::Found(_))));
}

#[test]
fn who_does_not_acknowledge_writes_is_slow_and_a_repair_is_not_acknowledged_by_anybody() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let (first, second) = (owners[0], owners[1]);
    let slow = |cluster: &Cluster| {
        let peer = cluster.peer(first);
        let paces = peer.owner_paces(peer.partition_of(b"k"));
        paces.into_iter().filter(|(_, pace)| *pace == crate::coordinator::Pace::Slow).map(|(owner, _)| owner).collect::<Vec<_>>()
    };
    cluster.filter = Box::new(move |to, message| to != second || !matches!(message, Message::Apply(_)));
    cluster.put(first, "k", "1", &NONE);
    pass(&mut cluster, 300, &[]);
    assert_eq!(slow(&cluster), [cluster.id(second)]);
    cluster.filter = Box::new(|_, _| true);
    cluster.put(first, "k2", "1", &NONE);
    assert_eq!(slow(&cluster), []);
    cluster.take_offered();
    (0..20).for_each(|_| _ = cluster.found(first, "k"));
    let is_repair = |(to, message): &(usize, Message)| *to == second && matches!(message, Message::Apply(_));
    assert_eq!(cluster.take_offered().iter().filter(|offered| is_repair(offered)).count(), 1);
    pass(&mut cluster, 300, &[]);
    assert_eq!(slow(&cluster), []);
}

#[test]
fn what_was_begun_before_a_pause_and_is_over_ends_as_late() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let first = owners[0];
    cluster.filter = Box::new(move |to, message| to != first || !matches!(message, Message::Applied(_)));
    cluster.take_offered();
    let id = cluster.begin(first, put("k", "1", &NONE));
    assert!(cluster.replies.is_empty());
    cluster.filter = Box::new(|_, _| true);
    // The coordinator stands still; the acknowledgements wait in its socket.
    cluster.now = Now { monotonic_ms: cluster.now.monotonic_ms + 10_000, wall_ms: cluster.now.wall_ms + 10_000 };
    let other = cluster.peer(owners[1]).introduction();
    let held = cluster.take_offered().into_iter().filter(|(to, message)| *to == first && matches!(message, Message::Applied(_)));
    for (_, message) in held {
        cluster.step(first, Input::Message { from: other.member, start: other.start, message });
    }
    cluster.run();
    assert_eq!(failed(cluster.replies.remove(&id).expect("it ends at once")).kind, FailureKind::Unknown);
    assert_eq!(cluster.found(first, "k").value, json("1"), "and the peer goes on");
}

#[test]
fn a_short_pause_ends_nothing() {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Applied(_)));
    let id = cluster.begin(owners[0], put("k", "1", &NONE));
    cluster.filter = Box::new(|_, _| true);
    cluster.now = Now { monotonic_ms: cluster.now.monotonic_ms + 3_000, wall_ms: cluster.now.wall_ms + 3_000 };
    cluster.wait(600);
    written(cluster.replies.remove(&id).expect("it was sent again, and acknowledged in time"));
}

/// A put that was handed on to a peer, and lay in its socket while it stood still for so long (milliseconds).
fn handed_on_to_one_who_stood_still(still_ms: u64) -> (Cluster, Vec<Output>) {
    let mut cluster = Cluster::new(3);
    let owners = cluster.owners("k");
    let (from, to) = (cluster.peer(owners[1]).introduction(), owners[0]);
    let forward = Forward { operation: OperationId(5), request: put("k", "1", &NONE) };
    cluster.now = Now { monotonic_ms: cluster.now.monotonic_ms + still_ms, wall_ms: cluster.now.wall_ms + still_ms };
    let (mut outbox, now) = (Vec::new(), cluster.now);
    let peer = cluster.machines[to].peer.as_mut().expect("it is up");
    let message = Message::Forward(Box::new(forward));
    peer.step(now, Input::Message { from: from.member, start: from.start, message }, &mut outbox);
    (cluster, outbox)
}

#[test]
fn after_a_very_long_pause_nothing_is_read_that_came_meanwhile_and_all_connections_are_made_anew() {
    let takes = |outbox: &[Output]| outbox.iter().any(|output| matches!(output, Output::Send { message: Message::Apply(_), .. }));
    let hangs_up = |outbox: &[Output]| outbox.iter().any(|output| matches!(output, Output::HangUp));
    let (_, outbox) = handed_on_to_one_who_stood_still(STALE_MS - 10_000);
    assert!(takes(&outbox) && !hangs_up(&outbox), "{outbox:?}");
    let (mut cluster, outbox) = handed_on_to_one_who_stood_still(STALE_MS + 10_000);
    assert!(!takes(&outbox) && hangs_up(&outbox), "{outbox:?}");
    let owners = cluster.owners("k");
    cluster.put(owners[0], "k", "2", &NONE);
    assert_eq!(cluster.found(owners[0], "k").value, json("2"), "and the peer goes on");
}
