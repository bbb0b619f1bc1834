use super::*;
use crate::limits::{HINT_ANSWER_MS, HINT_REST_MS_MIN, HINTS_IN_FLIGHT_MAX};
use crate::message::{OperationId, Position};
use crate::ring::{MemberId, PartitionId};
use crate::storage::OwedHint;
use crate::vclock::{Actor, Dot, Entry, Kind, Path, Seen, Timestamp, Version, pack, unpack};
use bytes::Bytes;

const ADA: MemberId = MemberId(1);

/// A debtor that is owed hints 1 to `owed`, and the operations under way.
struct Story {
    handoff: Handoff,
    owed: std::collections::BTreeSet<u64>,
    operations: u64,
    now: u64,
}

impl Story {
    fn new(owed: u64) -> Story {
        Story { handoff: Handoff::default(), owed: (1..=owed).collect(), operations: 0, now: 1_000 }
    }

    /// Sends what may go now, and names the operations with their hints.
    fn send(&mut self) -> Vec<(OperationId, u64)> {
        let mut sent = Vec::new();
        while let Some(after) = self.handoff.turn(self.now, ADA) {
            let Some(position) = self.owed.range(after.0 + 1..).next().copied() else {
                if !self.owed.is_empty() {
                    self.handoff.end_round(self.now, ADA);
                }
                break;
            };
            self.operations += 1;
            let id = OperationId(self.operations);
            let hint = OwedHint { partition: PartitionId(0), key: Bytes::new(), position: Position(position), bytes: 100 };
            self.handoff.send(self.now, id, ADA, hint);
            sent.push((id, position));
        }
        sent
    }

    fn paid(&mut self, id: OperationId) {
        let payment = self.handoff.on_paid(id, ADA).expect("it was under way");
        self.owed.remove(&payment.position.0);
    }
}

#[test]
fn the_window_opens_with_every_acknowledgement_and_has_an_end() {
    let mut story = Story::new(5_000);
    let mut widest = 0;
    while !story.owed.is_empty() {
        let sent = story.send();
        assert!(!sent.is_empty());
        widest = widest.max(sent.len());
        sent.into_iter().for_each(|(id, _)| story.paid(id));
    }
    assert_eq!(widest, HINTS_IN_FLIGHT_MAX);
    assert_eq!(story.handoff.progress(ADA), (5_000, 0));
    assert_eq!(story.handoff.next_wake(), None);
}

#[test]
fn a_hint_is_let_go_only_by_whom_it_is_owed_to_and_once() {
    let mut story = Story::new(1);
    let (id, _) = story.send()[0];
    assert_eq!(story.handoff.on_paid(id, MemberId(2)), None);
    assert_eq!(story.handoff.on_paid(OperationId(99), ADA), None);
    assert!(story.handoff.on_paid(id, ADA).is_some());
    assert_eq!(story.handoff.on_paid(id, ADA), None);
}

#[test]
fn what_is_refused_rests_and_does_not_hold_up_what_is_behind_it() {
    let mut story = Story::new(6);
    let sent = story.send();
    assert!(story.handoff.on_refused(story.now, sent[0].0, ADA));
    assert_eq!(story.send(), [], "the debtor is left in peace");
    sent[1..].iter().for_each(|(id, _)| story.paid(*id));
    story.now += HINT_REST_MS_MIN;
    assert_eq!(story.handoff.next_wake(), Some(story.now));
    let next: Vec<u64> = story.send().iter().map(|(_, position)| *position).collect();
    assert_eq!(next, [5, 6], "those that had not been sent yet");
    story.paid(OperationId(5));
    story.paid(OperationId(6));
    assert_eq!(story.send(), []);
    story.now = story.handoff.next_wake().expect("another round");
    assert_eq!(story.send()[0].1, 1, "and then the first again");
}

#[test]
fn nobody_is_woken_for_a_rest_behind_which_nothing_is_owed() {
    let mut story = Story::new(1);
    let (id, _) = story.send()[0];
    story.handoff.on_refused(story.now, id, ADA);
    story.now = story.handoff.next_wake().expect("the end of the rest");
    // Another write has been paid to it by somebody else, or its hint is gone.
    story.owed.clear();
    story.handoff.on_wake(story.now);
    assert_eq!(story.handoff.next_wake(), None);
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for_for_ever() {
    let mut story = Story::new(2);
    story.send();
    assert_eq!(story.handoff.next_wake(), Some(story.now + HINT_ANSWER_MS));
    story.now += HINT_ANSWER_MS;
    story.handoff.on_wake(story.now);
    assert_eq!(story.handoff.progress(ADA), (0, 0));
    for _ in 0..3 {
        story.send();
        story.now = story.handoff.next_wake().expect("another try");
    }
    assert!(story.operations > 2, "they are sent again");
}

#[test]
fn whoever_goes_down_is_forgotten_and_begins_anew() {
    let mut story = Story::new(3);
    let (id, _) = story.send()[0];
    story.handoff.forget(ADA);
    assert_eq!(story.handoff.on_paid(id, ADA), None, "an answer of before");
    assert_eq!(story.handoff.next_wake(), None);
    assert_eq!(story.send().iter().map(|(_, position)| *position).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_version_that_expired_is_paid_as_its_dot_alone() {
    let dot = |counter| Dot { actor: Actor(1), counter };
    let version = |counter, expiry_ms| Version {
        dot: dot(counter),
        path: Path::ROOT,
        kind: Kind::Bytes,
        value: Bytes::from_static(b"x"),
        time: Timestamp(0),
        expiry_ms,
    };
    let entry = |versions: &[(u64, u64)], gone: &[u64]| {
        let versions = versions.iter().map(|(counter, expiry)| version(*counter, *expiry)).collect();
        Entry::new(versions, gone.iter().map(|counter| dot(*counter)).collect::<Seen>())
    };
    let packed = pack(&entry(&[(1, 0), (2, 1_000), (3, 100_000)], &[9]));
    assert_eq!(without_expired(&packed, 60_999), None, "not by a minute yet");
    let left = without_expired(&packed, 61_000).expect("one is over");
    assert_eq!(unpack(&left).expect("an entry"), entry(&[(1, 0), (3, 100_000)], &[2, 9]));
    let nothing = without_expired(&pack(&entry(&[(2, 1_000)], &[])), 61_000).expect("it is over");
    assert_eq!(unpack(&nothing).expect("an entry"), entry(&[], &[2]));
}
