use super::*;
use crate::vclock::{Actor, Timestamp, Version, pack_bare};

const ID: OperationId = OperationId(1);
/// Three owners; 4 and 5 stand in.
const OWNERS: [u128; 3] = [1, 2, 3];

/// A read by member 1, and what it has sent.
struct Scene {
    read: Read,
    effects: Effects,
    now_ms: u64,
}

fn reach(down: &[u128], slow: &[u128]) -> Reach {
    let pace = |member: u128| match (down.contains(&member), slow.contains(&member)) {
        (true, _) => Pace::Down,
        (false, true) => Pace::Slow,
        (false, false) => Pace::Quick,
    };
    let owners = OWNERS.map(|member| (MemberId(member), pace(member))).to_vec();
    let stand_ins = [4, 5].into_iter().filter(|member| !down.is_empty() && !down.contains(member)).map(MemberId).collect();
    Reach { owners, stand_ins }
}

fn scene(r: usize, reach: Reach) -> Scene {
    scene_of(r, reach, Path::ROOT, Seen::new())
}

fn scene_of(r: usize, reach: Reach, path: Path, must_see: Seen) -> Scene {
    let question = Question { path, wall_ms: 1_000 };
    let read = Read::new((Bytes::from_static(b"k"), question), reach, (r, must_see), (MemberId(1), 0));
    let mut scene = Scene { read, effects: Effects::default(), now_ms: 10 };
    scene.read.begin(ID, scene.now_ms, &mut scene.effects);
    scene
}

impl Scene {
    /// Who has been asked since the last look, and for how much.
    fn asked(&mut self) -> Vec<(u128, FetchMode)> {
        let asked = self.effects.sends.drain(..).map(|(to, message)| match message {
            Message::Fetch(fetch) => (to.0, fetch.mode),
            other => panic!("a read only asks: {other:?}"),
        });
        asked.collect()
    }

    fn asked_members(&mut self) -> Vec<u128> {
        self.asked().into_iter().map(|(member, _)| member).collect()
    }

    fn answer(&mut self, from: u128, entry: &Entry, mode: FetchMode, complete: bool) -> Option<Merged> {
        let entry = if mode == FetchMode::Full { pack(entry) } else { pack_bare(entry) };
        let fetched = Fetched { operation: ID, entry, mode, complete, holding: None };
        self.outcome(|scene| scene.read.on_fetched(ID, scene.now_ms, (MemberId(from), &fetched), &mut scene.effects))
    }

    fn full(&mut self, from: u128, entry: &Entry) -> Option<Merged> {
        self.answer(from, entry, FetchMode::Full, from <= 3)
    }

    fn dots(&mut self, from: u128, entry: &Entry) -> Option<Merged> {
        self.answer(from, entry, FetchMode::Dots, from <= 3)
    }

    fn look(&mut self, reach: &Reach) -> Option<Merged> {
        self.outcome(|scene| scene.read.look(ID, scene.now_ms, reach, &mut scene.effects))
    }

    fn outcome(&mut self, step: impl FnOnce(&mut Scene) -> Outcome<Merged>) -> Option<Merged> {
        match step(self) {
            Outcome::Done(merged) => Some(merged),
            Outcome::Pending => None,
            Outcome::Again => panic!("a read has one round"),
        }
    }
}

fn dot(n: u64) -> Dot {
    Dot { actor: Actor(7), counter: n }
}

fn version(n: u64, path: &str) -> Version {
    Version {
        dot: dot(n),
        path: Path::parse(path).expect("a path"),
        kind: Kind::Scalar,
        value: Bytes::copy_from_slice(n.to_string().as_bytes()),
        time: Timestamp(n),
        expiry_ms: 0,
    }
}

fn holds(versions: &[(u64, &str)]) -> Entry {
    Entry::new(versions.iter().map(|(n, path)| version(*n, path)).collect(), Seen::new())
}

fn nothing() -> Entry {
    Entry::default()
}

#[test]
fn one_owner_is_asked_for_everything_and_the_others_for_dots() {
    let mut scene = scene(2, reach(&[], &[]));
    assert_eq!(scene.asked(), [(1, FetchMode::Full), (2, FetchMode::Dots)]);
    assert!(scene.full(1, &holds(&[(1, "")])).is_none());
    let merged = scene.dots(2, &holds(&[(1, "")])).expect("two of two");
    assert_eq!((merged.answered, merged.agreed, merged.stood_in, merged.behind.len()), (2, 2, 0, 0));
}

#[test]
fn a_slow_owner_is_asked_last_and_one_that_is_down_not_at_all() {
    assert_eq!(scene(2, reach(&[], &[2])).asked_members(), [1, 3]);
    assert_eq!(scene(3, reach(&[], &[2])).asked_members(), [1, 3, 2]);
    assert_eq!(scene(2, reach(&[2], &[])).asked_members(), [1, 3], "two owners are enough, nobody stands in");
    assert_eq!(scene(3, reach(&[2], &[])).asked_members(), [1, 3, 4]);
}

#[test]
fn one_more_is_asked_for_the_values_if_they_have_not_come() {
    let mut scene = scene(2, reach(&[1], &[]));
    assert_eq!(scene.asked(), [(2, FetchMode::Full), (3, FetchMode::Dots)]);
    let mut late = scene_of(1, reach(&[], &[]), Path::ROOT, Seen::new());
    assert_eq!(late.asked(), [(1, FetchMode::Full)]);
    late.now_ms += 5;
    late.read.ask_another(ID, late.now_ms, &mut late.effects);
    assert_eq!(late.asked(), [(2, FetchMode::Full)], "the first one may never answer");
    assert!(late.full(2, &holds(&[(1, "")])).is_some());
}

#[test]
fn a_plain_value_that_only_stand_ins_hold_is_found_and_the_answer_says_so() {
    let mut scene = scene(2, reach(&[1, 2, 3], &[]));
    assert_eq!(scene.asked(), [(4, FetchMode::Full), (5, FetchMode::Full)]);
    assert!(scene.full(4, &holds(&[(1, "")])).is_none());
    let merged = scene.full(5, &nothing()).expect("two of two have answered");
    assert_eq!((merged.answered, merged.agreed, merged.stood_in), (2, 1, 2));
    assert!(merged.behind.is_empty(), "a stand-in is not repaired");
}

#[test]
fn one_owner_and_one_stand_in_find_what_either_holds_and_never_say_that_nothing_is_there() {
    for (owner, stand_in) in [(holds(&[(1, "")]), nothing()), (nothing(), holds(&[(1, "a"), (2, "b")]))] {
        let mut scene = scene(2, reach(&[2, 3], &[]));
        assert_eq!(scene.asked_members(), [1, 4]);
        assert!(scene.full(1, &owner).is_none());
        let merged = scene.full(4, &stand_in).expect("something was found");
        assert_eq!((merged.answered, merged.stood_in), (2, 1));
    }
    let mut empty = scene(2, reach(&[2, 3], &[]));
    empty.asked();
    assert!(empty.full(1, &nothing()).is_none());
    assert!(empty.full(4, &nothing()).is_none());
    assert_eq!(empty.asked_members(), [5], "the next one on the walk may have it");
    assert!(!empty.read.is_exhausted());
    assert!(empty.full(5, &nothing()).is_none());
    assert!(empty.read.is_exhausted() && empty.read.settle().is_none());
    assert_eq!(empty.read.failure(), ReadFailure::Unsure { complete: 1, needed: 2 });
}

#[test]
fn without_a_complete_owner_no_document_no_sibling_and_no_path_is_found() {
    let path = Path::parse("a").expect("a path");
    for (held, path) in [
        (holds(&[(1, "a")]), Path::ROOT),
        (holds(&[(1, ""), (2, "")]), Path::ROOT),
        (holds(&[(1, "")]), path.clone()),
        (holds(&[(1, "a")]), path),
        (Entry::new(vec![Version { kind: Kind::EmptyMap, ..version(1, "") }], Seen::new()), Path::ROOT),
        (Entry::new(vec![Version { expiry_ms: 1_000, ..version(1, "") }], Seen::new()), Path::ROOT),
    ] {
        let mut scene = scene_of(2, reach(&[1, 2, 3], &[]), path, Seen::new());
        assert!(scene.full(4, &held).is_none() && scene.full(5, &held).is_none(), "{held:?}");
        assert!(scene.read.is_exhausted() && scene.read.settle().is_none());
        assert_eq!(scene.read.failure(), ReadFailure::Unsure { complete: 0, needed: 2 });
    }
}

#[test]
fn a_leaf_that_is_missing_in_what_was_found_needs_enough_complete_owners_too() {
    let path = Path::parse("b").expect("a path");
    let mut scene = scene_of(2, reach(&[2, 3], &[]), path.clone(), Seen::new());
    assert!(scene.full(1, &holds(&[(1, "a")])).is_none() && scene.full(4, &nothing()).is_none());
    assert!(scene.full(5, &nothing()).is_none() && scene.read.is_exhausted());
    let mut enough = scene_of(2, reach(&[3], &[]), path, Seen::new());
    assert!(enough.full(1, &holds(&[(1, "a")])).is_none());
    assert!(enough.dots(2, &holds(&[(1, "a")])).is_some(), "two complete owners may say that there is no such leaf");
}

#[test]
fn an_incomplete_owner_counts_for_what_is_found_once_no_other_is_left_and_is_repaired() {
    let mut scene = scene(2, reach(&[], &[]));
    assert_eq!(scene.asked_members(), [1, 2]);
    assert!(scene.full(1, &holds(&[(1, "")])).is_none());
    assert!(scene.answer(2, &nothing(), FetchMode::Dots, false).is_none(), "the third owner may know better");
    assert_eq!(scene.asked_members(), [3]);
    assert!(scene.look(&reach(&[3], &[])).is_some_and(|merged| {
        (merged.answered, merged.stood_in, merged.agreed) == (2, 1, 1) && merged.behind == [MemberId(2)]
    }));
    let mut absent = scene_of(2, reach(&[], &[]), Path::ROOT, Seen::new());
    assert!(absent.full(1, &nothing()).is_none() && absent.answer(2, &nothing(), FetchMode::Dots, false).is_none());
    assert!(absent.answer(3, &nothing(), FetchMode::Dots, false).is_none() && absent.read.is_exhausted());
    let merged = scene_of(2, reach(&[], &[]), Path::ROOT, Seen::new()).full(3, &nothing());
    assert!(merged.is_none(), "who was not asked does not count");
}

#[test]
fn whoever_is_live_and_late_is_waited_for_before_less_has_to_do() {
    let mut scene = scene(2, reach(&[3], &[]));
    assert_eq!(scene.asked_members(), [1, 2]);
    assert!(scene.full(1, &holds(&[(1, "")])).is_none());
    scene.read.again(ID, 260, &mut scene.effects);
    assert_eq!(scene.asked_members(), [2], "asked again; nobody stands in for an owner that is live");
    assert!(scene.look(&reach(&[2, 3], &[])).is_none());
    assert_eq!(scene.asked_members(), [4]);
    assert!(scene.full(4, &nothing()).is_some_and(|merged| merged.stood_in == 1));
}

#[test]
fn at_the_end_what_has_come_counts_if_it_is_found() {
    let mut scene = scene(2, reach(&[], &[]));
    assert!(scene.full(1, &holds(&[(1, "")])).is_none());
    assert!(scene.read.settle().is_none(), "one answer is too few");
    assert!(scene.answer(2, &holds(&[(1, "")]), FetchMode::Dots, false).is_none());
    assert!(scene.read.settle().is_some_and(|merged| (merged.answered, merged.stood_in) == (2, 1)));
}

#[test]
fn what_expires_while_a_read_waits_is_not_found_and_its_absence_takes_as_many_as_ever() {
    let expiring = || {
        let lives = Version { expiry_ms: 1_500, ..version(1, "") };
        Entry::new(vec![lives], Seen::new())
    };
    for (wall_ms, is_found) in [(1_499, true), (1_500, false)] {
        let mut scene = scene(2, reach(&[2, 3], &[]));
        assert!(scene.full(1, &expiring()).is_none());
        scene.read.judge_at(wall_ms);
        assert_eq!(scene.full(4, &nothing()).is_some(), is_found, "at {wall_ms}");
        assert_eq!(scene.read.settle().is_some(), is_found, "at {wall_ms}");
    }
    let mut scene = scene(2, reach(&[], &[]));
    assert!(scene.full(1, &expiring()).is_none());
    scene.read.judge_at(1_500);
    assert!(scene.dots(2, &expiring()).is_some_and(|merged| merged.answered == 2), "two owners may say that nothing is there");
}

#[test]
fn a_session_also_asks_those_who_stand_in() {
    let mut scene = scene_of(1, reach(&[3], &[]), Path::ROOT, [dot(9)].into_iter().collect());
    assert_eq!(scene.asked_members(), [1]);
    assert!(scene.full(1, &holds(&[(1, "")])).is_none());
    assert_eq!(scene.asked_members(), [2]);
    assert!(scene.dots(2, &holds(&[(1, "")])).is_none());
    assert_eq!(scene.asked_members(), [4]);
    let merged = scene.full(4, &Entry::new(vec![version(9, "")], [dot(1)].into_iter().collect())).expect("it has seen it");
    assert_eq!(merged.entry.dots().collect::<Vec<_>>(), [dot(9)]);
    assert_eq!(
        (merged.answered, merged.stood_in),
        (2, 0),
        "two complete owners would have been enough to say that nothing is there"
    );
}

#[test]
fn a_session_asks_those_who_stand_in_when_all_owners_are_back_and_only_if_it_lacks_something() {
    let all = || Reach { stand_ins: vec![MemberId(4), MemberId(5)], ..reach(&[], &[]) };
    let must_see = || [dot(9)].into_iter().collect::<Seen>();
    let mut scene = scene_of(2, all(), Path::ROOT, must_see());
    assert_eq!(scene.asked_members(), [1, 2]);
    assert!(scene.full(1, &nothing()).is_none() && scene.dots(2, &nothing()).is_none());
    assert_eq!(scene.asked_members(), [3], "an owner first");
    assert!(scene.dots(3, &nothing()).is_none());
    assert_eq!(scene.asked_members(), [4]);
    assert!(scene.full(4, &nothing()).is_none());
    assert_eq!(scene.asked_members(), [5]);
    let merged = scene.full(5, &holds(&[(9, "")])).expect("it has been seen");
    assert_eq!((merged.entry.dots().collect::<Vec<_>>(), merged.answered, merged.stood_in), (vec![dot(9)], 3, 0));
    assert_eq!(merged.behind, OWNERS.map(MemberId));

    let mut lost = scene_of(1, all(), Path::ROOT, must_see());
    for member in 1..=5 {
        assert!(!lost.read.is_exhausted(), "{member} has not been asked");
        assert!(lost.full(member, &nothing()).is_none());
    }
    assert!(lost.read.is_exhausted() && lost.read.failure() == ReadFailure::SessionAhead);

    let mut seen = scene_of(2, all(), Path::ROOT, must_see());
    assert!(seen.full(1, &nothing()).is_none());
    let gone = Entry::new(Vec::new(), must_see());
    assert!(seen.dots(2, &gone).is_some(), "seen and gone");
    assert_eq!(seen.asked_members(), [1, 2]);
}

/// Whatever three owners and two stand-ins hold, and whoever is down or incomplete: *not found* needs R complete owners.
#[test]
fn not_found_is_never_said_by_too_few() {
    let mut said = [0; 3];
    for case in 0..3_u32.pow(5) * 8 * 3 {
        let (r, masks) = (1 + (case % 3) as usize, case / 3);
        let (holders, incomplete) = (masks / 8, masks % 8);
        let kind = |member: u128| holders / 3_u32.pow(member as u32 - 1) % 3;
        let down: Vec<u128> = (1..=5).filter(|member| kind(*member) == 0).collect();
        let mut scene = scene(r, reach(&down, &[]));
        let (mut complete, mut done) = (std::collections::BTreeSet::new(), None);
        // Whoever is asked answers, one after the other.
        for _ in 0..10 {
            for (member, mode) in scene.asked() {
                let is_complete = member <= 3 && incomplete >> (member - 1) & 1 == 0;
                complete.extend(is_complete.then_some(member));
                let held = if kind(member) == 2 { holds(&[(1, "a")]) } else { nothing() };
                done = done.or(scene.answer(member, &held, mode, is_complete));
            }
        }
        let merged = done.or_else(|| scene.read.settle());
        match merged {
            Some(merged) if merged.entry.versions().is_empty() => {
                assert!(complete.len() >= r, "case {case}: {complete:?} of {r} said that nothing is there");
                assert_eq!(merged.stood_in, 0);
                said[0] += 1;
            }
            Some(merged) => {
                assert!(usize::from(merged.answered) >= r && merged.answered > merged.stood_in, "case {case}");
                said[1] += 1;
            }
            None => {
                assert!(scene.read.is_exhausted(), "case {case}: nothing is waited for in vain");
                said[2] += 1;
            }
        }
    }
    assert!(said.iter().all(|count| *count > 500), "all three happen: {said:?}");
}
