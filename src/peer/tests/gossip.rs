//! What follows from the gossip: who counts as live, where members are, and who may come in.

use super::*;
use crate::message::{EndedActor, Gossip, MemberRecord, News};
use crate::peer::{Introduction, Verdict};
use crate::vclock::{Actor, Start};

/// Brings the link of two peers up, and no other.
fn link(cluster: &mut Cluster, a: usize, b: usize) {
    for (at, other) in [(a, b), (b, a)] {
        let Introduction { member, actor, start, .. } = cluster.peer(other).introduction();
        cluster.step(at, Input::LinkUp { member, actor, start });
    }
    cluster.run();
}

fn tell(cluster: &mut Cluster, at: usize, from: usize, record: MemberRecord) {
    let Introduction { member, start, .. } = cluster.peer(from).introduction();
    let message = Message::Gossip(Box::new(Gossip::Tell { news: vec![News::Record(Box::new(record))] }));
    cluster.step(at, Input::Message { from: member, start, message });
}

/// What a peer would say of itself some incarnations later.
fn later_record(peer: &Introduction, by: u32) -> MemberRecord {
    MemberRecord {
        member: peer.member,
        actor: peer.actor,
        ended: Vec::new(),
        start: peer.start,
        nonce: peer.nonce,
        incarnation: by,
        name: peer.name.clone(),
        address: peer.address.clone(),
        incomplete: 0,
    }
}

fn is_copy(verdict: &Verdict, words: &[&str]) -> bool {
    matches!(verdict, Verdict::Copy(reason) if words.iter().all(|word| reason.contains(word)))
}

#[test]
fn a_peer_that_is_deaf_counts_as_down_though_its_link_is_up_and_as_up_as_soon_as_it_hears_of_it() {
    let mut cluster = Cluster::new(4);
    let deaf = cluster.id(3);
    cluster.wait(3_000);
    assert!((0..3).all(|at| cluster.peer(at).is_live(deaf)));
    cluster.filter = Box::new(|to, _| to != 3);
    cluster.wait(30_000);
    assert!((0..3).all(|at| !cluster.peer(at).is_live(deaf)));
    cluster.filter = Box::new(|_, _| true);
    cluster.wait(5_000);
    assert!((0..4).all(|at| (0..4).all(|other| cluster.peer(at).is_live(cluster.id(other)))));
    cluster.put(0, "key", "1", &NONE);
}

#[test]
fn older_starts_twins_and_old_copies_are_turned_away_and_newer_starts_and_new_actors_are_welcome() {
    let cluster = Cluster::new(3);
    let met = cluster.peer(1).introduction();
    let judge = |other: Introduction| cluster.peer(0).judge(&other);
    let Start(start) = met.start;
    assert_eq!(judge(met.clone()), Verdict::Welcome, "the same start dials again");
    let older = judge(Introduction { start: Start(start - 1), previous: Start(start - 2), ..met.clone() });
    assert!(is_copy(&older, &["p1 at 127.0.0.1:7402", "p0 at 127.0.0.1:7401", "old or second copy"]), "{older:?}");
    assert!(is_copy(&judge(Introduction { nonce: !met.nonce, ..met.clone() }), &["with another nonce"]));
    let later = |previous, start| Introduction { previous: Start(previous), start: Start(start), nonce: 7, ..met.clone() };
    assert_eq!(judge(later(start, start + 1)), Verdict::Welcome);
    assert_eq!(judge(later(start + 2, start + 4)), Verdict::Welcome, "a start that nobody met lies between");
    assert!(is_copy(&judge(later(start - 1, start + 4)), &["old copy"]), "its folder knows nothing of the start that was met");
    let past = |past: &[u32]| Introduction {
        earlier: past.iter().map(|by| Start(start - 5 + by)).collect(),
        ..later(start + 2, start + 4)
    };
    assert_eq!(judge(past(&[6, 5, 2])), Verdict::Welcome, "it knows of the start that was met");
    assert!(
        is_copy(&judge(past(&[6, 2])), &["old copy", "knows nothing of its start"]),
        "it was started twice since it was copied"
    );
    assert_eq!(judge(past(&[7, 6])), Verdict::Welcome, "its memory does not reach so far");
    let fresh = Introduction { actor: Actor(!met.actor.0), ..later(0, 1) };
    assert_eq!(judge(fresh.clone()), Verdict::Welcome, "another store, whose starts are its own");
    assert!(matches!(judge(Introduction { member: MemberId(1), ..fresh }), Verdict::Refused(_)));
}

#[test]
fn a_start_and_an_ended_actor_are_known_from_a_record_alone() {
    let mut cluster = Cluster::new(3);
    cluster.wait(3_000);
    let other = cluster.peer(1).introduction();
    cluster.kill(0);
    cluster.now.wall_ms += 5_000;
    cluster.start(0);
    let older = Introduction { start: Start(other.start.0 - 1), ..other.clone() };
    assert!(is_copy(&cluster.peer(0).judge(&older), &["old or second copy"]), "it remembers");
    let newer = MemberRecord { start: Start(other.start.0 + 9), nonce: 5, ..later_record(&other, 0) };
    link(&mut cluster, 0, 2);
    assert_eq!(cluster.peer(0).judge(&other), Verdict::Welcome);
    tell(&mut cluster, 0, 2, newer);
    assert!(is_copy(&cluster.peer(0).judge(&other), &["old or second copy"]), "it was never linked to that start");

    let ended = vec![EndedActor { actor: other.actor, last: other.start }];
    let replaced = MemberRecord { actor: Actor(99), ended, ..later_record(&other, 0) };
    let other = Introduction { start: Start(other.start.0 + 9), ..other };
    tell(&mut cluster, 0, 2, replaced);
    let verdict = cluster.peer(0).judge(&other);
    assert!(is_copy(&verdict, &["p1 at", "p0 at", "which has ended with start"]), "{verdict:?}");
}

#[test]
fn a_member_is_where_it_says_last_and_that_never_goes_back() {
    let mut cluster = Cluster::new(3);
    let other = cluster.peer(1).introduction();
    assert_eq!(cluster.peer(0).address_of(other.member), Some("127.0.0.1:7402"));
    let moved = |by, address: &str| MemberRecord { address: address.into(), ..later_record(&other, by) };
    tell(&mut cluster, 0, 2, moved(5, "10.0.0.9:1"));
    tell(&mut cluster, 0, 2, moved(4, "10.0.0.8:1"));
    assert_eq!(cluster.peer(0).address_of(other.member), Some("10.0.0.9:1"));
    let Reply::Ring(table) = cluster.ask(0, Request::Ring) else { panic!("a ring") };
    assert!(table.members.iter().any(|founder| founder.member == other.member && founder.address == "10.0.0.9:1"));
}

#[test]
fn where_members_are_and_in_which_start_outlives_a_restart_and_is_written_down_once() {
    let mut cluster = Cluster::new(3);
    cluster.wait(3_000);
    let other = cluster.peer(1).introduction();
    let moved = |by| MemberRecord { address: "10.0.0.9:1".into(), ..later_record(&other, by) };
    let places = |cluster: &Cluster| cluster.peer(0).places_of(other.member).join(" ");
    assert_eq!(places(&cluster), "127.0.0.1:7402");
    // It would say anew where it is, if it heard that.
    cluster.filter = Box::new(|_, _| false);
    tell(&mut cluster, 0, 2, moved(5));
    let written = cluster.peer(0).store().appended();
    tell(&mut cluster, 0, 2, moved(6));
    assert_eq!(cluster.peer(0).store().appended(), written, "nothing in it matters after a restart");
    cluster.kill(0);
    cluster.now.wall_ms += 5_000;
    cluster.start(0);
    assert_eq!(places(&cluster), "10.0.0.9:1 127.0.0.1:7402", "where it was founded counts too");
    assert_eq!(cluster.peer(0).places().join(" "), "10.0.0.9:1 127.0.0.1:7402 127.0.0.1:7403", "nowhere is it itself");
    let remembered = cluster.peer(0).gossip.record(other.member).expect("it is remembered");
    assert_eq!((remembered.start, remembered.nonce, remembered.incarnation), (other.start, other.nonce, 5));
    // What is older does not take its place.
    link(&mut cluster, 0, 2);
    tell(&mut cluster, 0, 2, later_record(&other, 4));
    assert_eq!(cluster.peer(0).address_of(other.member), Some("10.0.0.9:1"));
}

#[test]
fn a_member_remembers_under_which_actors_it_wrote_before() {
    let mut cluster = Cluster::new(3);
    cluster.wait(3_000);
    let me = cluster.peer(0).introduction();
    tell(&mut cluster, 0, 2, MemberRecord { actor: Actor(99), start: Start(7), ..later_record(&me, 0) });
    cluster.wait(3_000);
    cluster.kill(0);
    cluster.now.wall_ms += 5_000;
    cluster.start(0);
    let record = cluster.peer(0).gossip.own_record();
    assert_eq!((&record.ended, record.incarnation), (&vec![EndedActor { actor: Actor(99), last: Start(7) }], 0));
    assert!(record.start > me.start);
}

#[test]
fn a_peer_that_dials_itself_is_no_copy() {
    let cluster = Cluster::new(3);
    let me = cluster.peer(0).introduction();
    assert!(matches!(cluster.peer(0).judge(&me), Verdict::Myself(_)));
    let twin = Introduction { nonce: !me.nonce, ..me };
    assert!(matches!(cluster.peer(0).judge(&twin), Verdict::Refused(reason) if reason.contains("a member runs once")));
}

#[test]
fn a_peer_whose_clock_is_off_those_of_the_others_is_told() {
    let mut cluster = Cluster::new(3);
    cluster.wait(5_000);
    assert_eq!(cluster.peer(0).clock_trouble(), None);
    let right = cluster.now;
    cluster.now.wall_ms += 120_000;
    cluster.wait(2_000);
    // All clocks have jumped together; what was measured before says otherwise until the next probes.
    cluster.wait(5_000);
    assert_eq!(cluster.peer(0).clock_trouble(), None);
    cluster.now.wall_ms = right.wall_ms + 7_000;
    let (from, start) = (cluster.id(1), cluster.peer(1).introduction().start);
    let nothing = Message::Gossip(Box::new(Gossip::Tell { news: Vec::new() }));
    cluster.step(0, Input::Message { from, start, message: nothing });
    assert!(
        cluster.peer(0).clock_trouble().is_some_and(|trouble| trouble.contains("is 120 s behind")),
        "{:?}",
        cluster.peer(0).clock_trouble()
    );
}

#[test]
fn an_idle_peer_wants_to_be_woken_no_more_than_a_few_times_a_second() {
    let mut cluster = Cluster::new(3);
    cluster.wait(10_000);
    let mut wakes = 0;
    for _ in 0..200 {
        if cluster.peer(0).next_wake().is_some_and(|at| at <= cluster.now.monotonic_ms + 50) {
            wakes += 1;
        }
        cluster.wait(50);
    }
    assert!((5..=35).contains(&wakes), "{wakes} wake-ups in ten seconds");
}
