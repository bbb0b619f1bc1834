//! What a peer does when others die, are slow, come back, or are not who they were.

use super::super::{Event, MemberState};
use super::{Net, record};
use crate::message::{EndedActor, Gossip, MemberRecord, News};
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};

const SECOND: u64 = 1_000;

#[test]
fn peers_that_are_all_there_learn_each_others_records_and_nobody_is_suspected() {
    let mut net = Net::new(5);
    net.run(2 * SECOND);
    assert!(net.agree(1..=5));
    assert_eq!(net.swim(1).view().record(MemberId(3)), Some(&record(3, 1, 0)));
    net.sent = 0;
    net.run(100 * SECOND);
    assert!(net.events.is_empty(), "{:?}", net.events);
    // Each peer and second one probe and one answer.
    assert!((990..=1_010).contains(&net.sent), "{} messages in quiet", net.sent);
    assert!((1..=5).all(|id| net.swim(id).wall_offset_ms(MemberId(id % 5 + 1), net.moment()).is_some_and(|ms| ms.abs() <= 1)));
}

#[test]
fn a_silent_peer_is_suspected_and_then_dead_to_all_and_alive_again_when_it_speaks() {
    let mut net = Net::new(5);
    net.run(2 * SECOND);
    net.silence(4);
    net.run(20 * SECOND);
    for at in [1, 2, 3, 5] {
        assert!(net.is_dead_to(4, at));
        let mine = |event: &&(u64, u128, Event)| event.1 == at;
        assert_eq!(net.events.iter().filter(mine).map(|event| &event.2).collect::<Vec<_>>(), [&Event::Died(MemberId(4))]);
    }
    assert!(net.agree([1, 2, 3, 5]));
    // It went on all the time, and takes everybody else for dead by now.
    assert!([1, 2, 3, 5].into_iter().any(|id| net.is_dead_to(id, 4)));
    net.cut.clear();
    net.run(5 * SECOND);
    for at in 1..=5 {
        assert!((1..=5).all(|id| !net.is_dead_to(id, at)));
    }
    assert!(net.agree(1..=5));
    assert!(net.swim(4).own_record().incarnation > 0, "it has refuted its death");
}

#[test]
fn a_peer_that_only_one_cannot_reach_is_probed_through_the_others_and_never_suspected() {
    let mut net = Net::new(5);
    net.run(2 * SECOND);
    net.cut.extend([(1, 2), (2, 1)]);
    net.run(60 * SECOND);
    assert!(net.events.is_empty(), "{:?}", net.events);
    net.cut.clear();
    // The same without a link.
    net.unlink(1, 2);
    net.run(60 * SECOND);
    assert!(net.events.is_empty(), "{:?}", net.events);
    assert_eq!(net.swim(1).local_health(), 0, "a link that is down says nothing of one's own health");
}

#[test]
fn a_suspicion_is_refuted_by_a_higher_incarnation_in_time() {
    let mut net = Net::new(5);
    net.run(2 * SECOND);
    let rank = net.swim(3).own_record().rank();
    let suspect = News::Suspect { member: MemberId(3), rank, from: MemberId(9) };
    net.tell(1, |swim, now, out| swim.on_message(now, MemberId(2), Gossip::Tell { news: vec![suspect] }, out));
    assert_eq!(net.swim(1).view().state(MemberId(3)).map(|state| state.0), Some(MemberState::Suspect));
    assert!(!net.is_dead_to(3, 1), "suspected is not dead");
    net.run(2 * SECOND);
    assert!(net.events.is_empty(), "{:?}", net.events);
    assert_eq!(net.swim(3).own_record().incarnation, 1);
    assert_eq!(net.swim(1).view().state(MemberId(3)), Some((MemberState::Alive, net.swim(3).own_record().rank())));
    assert!(net.agree(1..=5));
}

#[test]
fn a_peer_that_stood_still_gives_up_what_it_believed_and_declares_nobody_dead() {
    for pause in [5 * SECOND, 600 * SECOND] {
        let mut net = Net::new(5);
        net.run(2 * SECOND);
        // Just as it waits for an answer, and suspects somebody.
        let rank = net.swim(3).own_record().rank();
        let suspect = News::Suspect { member: MemberId(3), rank, from: MemberId(1) };
        net.cut.insert((1, 3));
        net.tell(1, |swim, now, out| swim.on_message(now, MemberId(2), Gossip::Tell { news: vec![suspect] }, out));
        net.paused.insert(1, net.now_ms + pause);
        net.run(pause - SECOND);
        net.cut.clear();
        net.events.clear();
        net.run(SECOND + 500);
        assert!(net.swim(1).local_health() > 0, "it knows that it was slow");
        net.run(20 * SECOND);
        let said_by_1: Vec<_> = net.events.iter().filter(|event| event.1 == 1 && matches!(event.2, Event::Died(_))).collect();
        assert!(said_by_1.is_empty(), "{said_by_1:?}");
        assert!((1..=5).all(|at| (1..=5).all(|id| !net.is_dead_to(id, at))));
        assert!(net.agree(1..=5));
    }
}

#[test]
fn the_control_without_local_health_a_pause_does_make_others_dead() {
    let mut net = Net::new(2);
    net.pace.local_health = false;
    (1..=2).for_each(|id| net.start(record(id, 1, 0), 2));
    net.link(1, 2);
    net.run(2 * SECOND);
    // Nothing arrives while it sleeps; then its timers come before its mail.
    let rank = net.swim(2).own_record().rank();
    let suspect = News::Suspect { member: MemberId(2), rank, from: MemberId(1) };
    net.tell(1, |swim, now, out| swim.on_message(now, MemberId(2), Gossip::Tell { news: vec![suspect] }, out));
    net.mail.clear();
    net.now_ms += 60 * SECOND;
    net.tell(1, |swim, now, out| swim.on_wake(now, out));
    assert!(net.is_dead_to(2, 1));
}

#[test]
fn a_peer_that_starts_anew_is_alive_at_once_and_its_new_address_comes_round_without_a_link() {
    let mut net = Net::new(5);
    net.run(2 * SECOND);
    net.swims.remove(&4);
    [1, 2, 3, 5].into_iter().for_each(|other| net.tell(other, |swim, now, out| swim.on_link_down(now, MemberId(4), out)));
    net.run(30 * SECOND);
    assert!(net.is_dead_to(4, 1));
    let moved = MemberRecord { address: "10.0.9.9:7400".into(), ..record(4, 2, 0) };
    net.start(moved.clone(), 5);
    net.link(4, 2);
    assert!(!net.is_dead_to(4, 2), "its link is up");
    net.run(3 * SECOND);
    for at in [1, 2, 3, 5] {
        assert!(!net.is_dead_to(4, at));
        let record = net.swim(at).view().record(MemberId(4)).expect("it has come round");
        assert_eq!((record.start, &record.address), (moved.start, &moved.address));
    }
    assert_eq!(net.swim(4).view().record(MemberId(5)), Some(&record(5, 1, 0)), "from the only one that it has a link to");
}

#[test]
fn a_peer_that_missed_all_news_is_told_by_the_digest() {
    let mut net = Net::new(5);
    net.run(2 * SECOND);
    (2..=5).for_each(|other| net.unlink(1, other));
    net.tell(3, |swim, now, _| swim.set_incomplete(now, 7));
    net.run(60 * SECOND);
    assert!(!net.agree(1..=5));
    net.link(1, 2);
    net.run(5 * SECOND);
    assert_eq!(net.swim(1).view().record(MemberId(3)).map(|record| record.incomplete), Some(7));
    net.link_all(1);
    net.run(5 * SECOND);
    assert!(net.agree(1..=5));
}

#[test]
fn an_old_copy_and_a_twin_learn_it_from_what_is_said_of_them_and_the_newer_stays() {
    let copy = |event: &(u64, u128, Event)| match &event.2 {
        Event::Copy(reason) => Some((event.1, reason.clone())),
        _ => None,
    };
    for (other, word) in [(record(4, 1, 0), "second copy"), (MemberRecord { nonce: 1, ..record(4, 2, 5) }, "second copy")] {
        let mut net = Net::new(5);
        net.start(MemberRecord { nonce: 2, ..record(4, 2, 9) }, 5);
        net.link_all(4);
        net.run(2 * SECOND);
        net.start(other, 5);
        net.events.clear();
        net.link(4, 1);
        net.run(5 * SECOND);
        let copies: Vec<_> = net.events.iter().filter_map(copy).collect();
        let (id, reason) = copies.first().expect("it is told");
        assert_eq!(*id, 4);
        assert!(reason.contains(word) && reason.contains("10.0.0.4:7400"), "{reason}");
    }
}

#[test]
fn a_store_with_a_new_actor_is_the_newer_one_whatever_its_start_number_and_the_old_actor_has_ended() {
    // An older start, the same one with less said, the same one with as much said, and a newer one.
    for (start, incarnation) in [(2, 0), (9, 0), (9, 3), (10, 0)] {
        let mut net = Net::new(5);
        net.run(2 * SECOND);
        net.start(record(4, 9, 3), 5);
        net.link_all(4);
        net.run(2 * SECOND);
        let fresh = MemberRecord { actor: Actor(7), ..record(4, start, incarnation) };
        net.start(fresh, 5);
        net.link_all(4);
        net.run(5 * SECOND);
        let ended = vec![EndedActor { actor: Actor(1_004), last: Start(9) }];
        for at in [1, 2, 3, 5] {
            let record = net.swim(at).view().record(MemberId(4)).expect("known");
            assert_eq!((record.actor, record.start, &record.ended), (Actor(7), Start(start), &ended));
        }
        net.events.clear();
        net.start(record(4, 11, 0), 5);
        net.link_all(4);
        net.run(SECOND);
        let said = net.events.iter().find_map(|event| match &event.2 {
            Event::Copy(reason) if event.1 == 4 => Some(reason.as_str()),
            _ => None,
        });
        assert!(said.is_some_and(|said| said.contains("which has ended")), "{said:?}");
    }
}

#[test]
fn fifty_peers_agree_soon_after_any_change_and_none_dies_of_it() {
    let mut net = Net::new(50);
    net.run(5 * SECOND);
    assert!(net.agree(1..=50));
    net.silence(17);
    net.tell(3, |swim, now, _| swim.set_incomplete(now, 7));
    net.run(30 * SECOND);
    let others = || (1..=50).filter(|id| *id != 17);
    assert!(others().all(|at| net.is_dead_to(17, at)));
    assert!(net.agree(others()));
    assert_eq!(net.events.iter().filter(|event| event.1 != 17).count(), 49, "nobody else has died");
    assert_eq!(net.deaths() - net.events.iter().filter(|event| event.1 == 17).count(), 49);
}

#[test]
fn a_lonely_peer_wants_no_wake_up_and_one_without_links_only_one_a_period() {
    let mut net = Net::new(1);
    assert_eq!(net.swim(1).next_wake(), None);
    net.start(record(1, 1, 0), 3);
    let mut wakes = 0;
    while let Some(at_ms) = net.swim(1).next_wake().filter(|at_ms| *at_ms < 101 * SECOND) {
        net.now_ms = at_ms;
        net.tell(1, |swim, now, out| swim.on_wake(now, out));
        wakes += 1;
    }
    assert!(wakes <= 110, "{wakes} wake-ups in 100 seconds");
}
