//! Laws of views: merged in any order, and as often as one likes, they are the same, and they never move backward.

use super::super::{MemberState, View};
use super::record;
use crate::message::{EndedActor, MemberRecord, Rank};
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const MEMBERS: u128 = 3;

/// Something that is heard of a member.
#[derive(Clone, Debug)]
enum Heard {
    Record(MemberRecord),
    Claim(u128, MemberState, Rank),
}

fn heard() -> impl Strategy<Value = Heard> {
    let rank =
        (0..2_u16, 0..3_u32, 0..3_u32).prop_map(|(actors, start, incarnation)| Rank { actors, start: Start(start), incarnation });
    let state = prop_oneof![Just(MemberState::Alive), Just(MemberState::Suspect), Just(MemberState::Dead)];
    (1..=MEMBERS, rank, state, 0..3_u8).prop_map(|(member, rank, state, kind)| match kind {
        0 => Heard::Claim(member, state, rank),
        _ => {
            let ended = (0..rank.actors).map(|actor| EndedActor { actor: Actor(u64::from(actor)), last: Start(1) }).collect();
            // Twins may say different things at one rank.
            let address = format!("twin {kind}");
            Heard::Record(MemberRecord { ended, address, ..record(member, rank.start.0, rank.incarnation) })
        }
    })
}

fn fresh() -> View {
    let mut view = View::default();
    (1..=MEMBERS).for_each(|member| view.insert(MemberId(member), 0));
    view
}

fn hear(view: &mut View, heard: &Heard) {
    match heard {
        Heard::Record(record) => drop(view.merge_record(record, 1)),
        Heard::Claim(member, state, rank) => drop(view.merge_claim(MemberId(*member), *state, *rank, 1)),
    }
}

type Seen = Vec<(Option<(MemberState, Rank)>, Option<MemberRecord>)>;

fn seen(view: &View) -> Seen {
    let member = |id| (view.state(MemberId(id)), view.record(MemberId(id)).cloned());
    (1..=MEMBERS).map(member).collect()
}

fn run<S: Strategy>(strategy: &S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(strategy, law).expect("the law holds");
}

#[test]
fn views_that_heard_the_same_in_any_order_and_any_number_of_times_are_equal_and_so_are_their_digests() {
    let orders = vec(heard(), 0..12).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()));
    run(&orders, |(one, other)| {
        let (mut a, mut b) = (fresh(), fresh());
        one.iter().for_each(|heard| hear(&mut a, heard));
        other.iter().chain(&one).for_each(|heard| hear(&mut b, heard));
        prop_assert_eq!(seen(&a), seen(&b));
        prop_assert_eq!(a.digest(), b.digest());
        Ok(())
    });
}

#[test]
fn a_view_never_moves_backward_and_only_what_is_new_changes_it() {
    run(&vec(heard(), 0..20), |all| {
        let mut view = fresh();
        for heard in &all {
            let before = (seen(&view), view.digest());
            hear(&mut view, heard);
            let after = seen(&view);
            for ((old_state, old_record), (new_state, new_record)) in before.0.iter().zip(&after) {
                let order = |state: &Option<(MemberState, Rank)>| state.map(|(state, rank)| (rank, state));
                prop_assert!(order(new_state) >= order(old_state));
                prop_assert!(
                    new_record == old_record
                        || old_record.as_ref().is_none_or(|old| new_record.as_ref().is_some_and(|new| new.supersedes(old)))
                );
                prop_assert!(
                    new_state.map(|state| state.1) >= new_record.as_ref().map(MemberRecord::rank),
                    "a state is not older than its record"
                );
            }
            let again = {
                hear(&mut view, heard);
                seen(&view)
            };
            prop_assert_eq!(again, after, "the second time it is no news");
        }
        Ok(())
    });
}

#[test]
fn digests_differ_where_records_or_deaths_do_and_suspicions_are_no_part_of_them() {
    run(&(vec(heard(), 0..6), vec(heard(), 0..6)), |(one, other)| {
        let (mut a, mut b) = (fresh(), fresh());
        one.iter().for_each(|heard| hear(&mut a, heard));
        other.iter().for_each(|heard| hear(&mut b, heard));
        let agreed = |view: &View| {
            let dead = |(state, rank)| (state == MemberState::Dead).then_some(rank);
            // Of twins, whose records differ at one rank, only the newest start tells; they are refused elsewhere.
            let member = |(state, record): (Option<(MemberState, Rank)>, Option<MemberRecord>)| {
                (state.and_then(dead), record.map(|record| record.rank()))
            };
            seen(view).into_iter().map(member).collect::<Vec<_>>()
        };
        prop_assert_eq!(a.digest() == b.digest(), agreed(&a) == agreed(&b));
        Ok(())
    });
}
