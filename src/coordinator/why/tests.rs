use super::*;
use crate::vclock::{Seen, Timestamp, pack};

const ID: OperationId = OperationId(1);

fn dot(n: u64) -> Dot {
    Dot { actor: Actor(7), counter: n }
}

fn version(n: u64, path: &str) -> Version {
    let value = Bytes::copy_from_slice(n.to_string().as_bytes());
    let path = Path::parse(path).expect("a path");
    Version { dot: dot(n), path, kind: Kind::Scalar, value, time: Timestamp::from_wall_ms(n), expiry_ms: 0 }
}

fn holds(versions: &[Version], gone: &[u64]) -> Entry {
    Entry::new(versions.to_vec(), gone.iter().map(|n| dot(*n)).collect::<Seen>())
}

/// Members 1 to 3 own the key, 4 and 5 may stand in; those without an entry are down.
fn finding(path: &str, entries: [Option<Entry>; 5]) -> Finding {
    let question = Question { path: Path::parse(path).expect("a path"), wall_ms: 1_000 };
    let members: Vec<MemberId> = (1..=5).map(MemberId).collect();
    let is_live = |member: MemberId| entries[member.0 as usize - 1].is_some();
    let mut inquiry = Inquiry::new((Bytes::from_static(b"k"), question), (members, 3), is_live);
    for (member, entry) in (1..).map(MemberId).zip(&entries) {
        let Some(entry) = entry else { continue };
        assert!(!inquiry.is_done());
        let owed = if member.0 > 3 && !entry.is_empty() { vec![MemberId(1)] } else { Vec::new() };
        let holding = Some(Box::new(Holding { context_intervals: 1, owed }));
        let fetched = Fetched { operation: ID, entry: pack(entry), mode: FetchMode::Explain, complete: true, holding };
        inquiry.on_fetched(member, &fetched);
    }
    assert!(inquiry.is_done());
    inquiry.finding(|actor| (actor == Actor(7)).then_some(MemberId(1)))
}

fn says(finding: &Finding, r: usize) -> Vec<(Says, bool)> {
    finding.quorums[r - 1].choices.iter().map(|choice| (choice.says, choice.same)).collect()
}

fn fate(finding: &Finding, n: u64) -> (Fate, Vec<Dot>) {
    let judged = finding.versions.iter().find(|judged| judged.dot == dot(n)).expect("it is listed");
    (judged.fate, judged.beside.clone())
}

#[test]
fn who_is_behind_and_who_won_is_said_and_what_each_choice_of_owners_would_have_said() {
    let (old, new) = (version(1, ""), version(2, ""));
    let current = || Some(holds(std::slice::from_ref(&new), &[1]));
    let found = finding("", [current(), current(), Some(holds(std::slice::from_ref(&old), &[])), Some(holds(&[], &[])), None]);
    assert_eq!(fate(&found, 1), (Fate::Replaced, vec![dot(2)]));
    assert_eq!(fate(&found, 2), (Fate::Shown, vec![]));
    let replaced = &found.versions[0];
    assert_eq!((&replaced.held_by[..], &replaced.gone_at[..]), (&[MemberId(3)][..], &[MemberId(1), MemberId(2)][..]));
    assert_eq!(replaced.author, Some(MemberId(1)));
    assert_eq!(says(&found, 1), [(Says::Found, true), (Says::Found, true), (Says::Found, false)]);
    assert_eq!(says(&found, 2), [(Says::Found, true); 3]);
    assert_eq!(says(&found, 3), [(Says::Found, true)]);
    assert!(found.held[4].is_none() && found.held[3].as_ref().is_some_and(|held| !held.complete));
}

#[test]
fn siblings_are_told_from_leaves_that_stand_beside_each_other() {
    let both = holds(&[version(1, "a"), version(2, "a"), version(3, "b")], &[]);
    let found = finding("", [Some(both.clone()), Some(both), None, None, None]);
    assert_eq!(fate(&found, 1), (Fate::SiblingOlder, vec![dot(2)]));
    assert_eq!(fate(&found, 2), (Fate::SiblingNewest, vec![dot(1)]));
    assert_eq!(fate(&found, 3), (Fate::Shown, vec![]));
    let above = holds(&[version(1, "a"), version(2, "a.b"), version(3, "a.c")], &[]);
    let found = finding("", [Some(above.clone()), Some(above), None, None, None]);
    assert_eq!(fate(&found, 1).0, Fate::SiblingOlder);
    assert_eq!(fate(&found, 2), (Fate::SiblingNewest, vec![dot(1)]), "an object is shown as a whole");
    assert_eq!(fate(&found, 3).0, Fate::SiblingNewest);
}

#[test]
fn a_path_is_explained_alone_and_what_has_expired_is_hidden() {
    let held = || Some(holds(&[version(1, "a"), Version { expiry_ms: 900, ..version(2, "b") }], &[]));
    let found = finding("b", [held(), held(), held(), None, None]);
    assert_eq!((found.versions.len(), fate(&found, 2).0), (1, Fate::Expired));
    assert_eq!(says(&found, 2), [(Says::Missing, true); 3]);
}

#[test]
fn a_key_that_nobody_holds_has_no_versions_and_owners_that_are_down_make_it_unreachable() {
    let empty = || Some(holds(&[], &[]));
    let found = finding("", [empty(), empty(), empty(), empty(), empty()]);
    assert!(found.versions.is_empty());
    assert_eq!(says(&found, 3), [(Says::Missing, true)]);
    let found = finding("", [empty(), None, None, empty(), empty()]);
    assert_eq!(says(&found, 1), [(Says::Missing, true)]);
    assert_eq!(says(&found, 2), [(Says::Unreachable, false)]);
}

#[test]
fn what_only_stand_ins_hold_is_shown_with_whom_they_owe_it() {
    let hint = || Some(holds(&[version(1, "")], &[]));
    let found = finding("", [None, None, None, hint(), Some(holds(&[], &[]))]);
    assert_eq!(found.held[3].as_ref().map(|held| &held.owed[..]), Some(&[MemberId(1)][..]));
    assert_eq!((says(&found, 1), says(&found, 2)), (vec![(Says::Found, true)], vec![(Says::Found, true)]));
    assert_eq!(found.quorums[1].choices[0].members, [MemberId(4), MemberId(5)]);
    assert_eq!(says(&found, 3), [(Says::Unreachable, false)]);
}
