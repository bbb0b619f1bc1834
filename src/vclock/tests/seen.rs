//! A set of dots agrees with a plain set of dots, also where intervals touch and where counters end.

use super::*;
use crate::vclock::Interval;
use std::collections::BTreeSet;

const ZONE: u64 = 24;

/// A counter near 0 or near the greatest.
fn counter(n: u64, high: bool) -> u64 {
    if high { u64::MAX - (ZONE - 1) + n } else { n }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u64, bool, u64),
    Interval(u64, bool, u64, u64),
    Union(Vec<Op>),
    Subtract(Vec<Op>),
}

fn op() -> impl Strategy<Value = Op> {
    let insert = (0..3_u64, any::<bool>(), 0..ZONE).prop_map(|(actor, high, n)| Op::Insert(actor, high, n));
    let interval = (0..3_u64, any::<bool>(), 0..ZONE, 0..5_u64)
        .prop_map(|(actor, high, first, more)| Op::Interval(actor, high, first, (first + more).min(ZONE - 1)));
    let plain = prop_oneof![insert, interval];
    let set = prop::collection::vec(plain.clone(), 0..14);
    prop_oneof![4 => plain, 1 => set.clone().prop_map(Op::Union), 1 => set.prop_map(Op::Subtract)]
}

/// Runs the operations on both.
fn run(ops: &[Op]) -> (Seen, BTreeSet<Dot>) {
    let (mut seen, mut model) = (Seen::new(), BTreeSet::new());
    for op in ops {
        match op {
            Op::Insert(actor, high, n) => {
                seen.insert(dot(*actor, counter(*n, *high)));
                model.insert(dot(*actor, counter(*n, *high)));
            }
            Op::Interval(actor, high, first, last) => {
                seen.insert_interval(Actor(*actor), Interval { first: counter(*first, *high), last: counter(*last, *high) });
                model.extend((*first..=*last).map(|n| dot(*actor, counter(n, *high))));
            }
            Op::Union(ops) => {
                let (other, dots) = run(ops);
                seen.union_with(&other);
                model.extend(dots);
            }
            Op::Subtract(ops) => {
                let (other, dots) = run(ops);
                seen.subtract(&other);
                model.retain(|dot| !dots.contains(dot));
            }
        }
    }
    (seen, model)
}

fn every_dot() -> impl Iterator<Item = Dot> {
    (0..3).flat_map(|actor| [false, true].into_iter().flat_map(move |high| (0..ZONE).map(move |n| dot(actor, counter(n, high)))))
}

/// Sorted, apart from each other, and nothing empty.
fn is_canonical(seen: &Seen) -> bool {
    let runs: Vec<_> = seen.runs().collect();
    runs.windows(2).all(|pair| pair[0].0 < pair[1].0)
        && runs.iter().all(|(_, all)| {
            let apart = all.windows(2).all(|pair| pair[0].last < pair[1].first && pair[1].first - pair[0].last > 1);
            !all.is_empty() && apart && all.iter().all(|interval| interval.first <= interval.last)
        })
}

proptest! {
    #![proptest_config(cases(1_500))]

    #[test]
    fn a_set_of_dots_agrees_with_a_plain_set(a in prop::collection::vec(op(), 0..30), b in prop::collection::vec(op(), 0..30)) {
        let ((a, plain_a), (b, plain_b)) = (run(&a), run(&b));
        for (seen, plain) in [(&a, &plain_a), (&b, &plain_b)] {
            prop_assert!(is_canonical(seen), "{seen:?}");
            for dot in every_dot() {
                prop_assert_eq!(seen.contains(dot), plain.contains(&dot), "{}", dot);
            }
            prop_assert_eq!(seen, &plain.iter().copied().collect::<Seen>());
            prop_assert_eq!(seen.is_empty(), plain.is_empty());
            prop_assert_eq!(seen.interval_count(), seen.runs().map(|(_, all)| all.len()).sum::<usize>());
            prop_assert!((0..3).all(|actor| seen.intervals(Actor(actor)).iter().map(|i| i.last - i.first + 1).sum::<u64>()
                == plain.iter().filter(|dot| dot.actor == Actor(actor)).count() as u64));
        }
        prop_assert_eq!(a.is_subset_of(&b), plain_a.is_subset(&plain_b));
        let mut both = a.clone();
        both.union_with(&b);
        prop_assert!(a.is_subset_of(&both) && b.is_subset_of(&both));
        prop_assert_eq!(&both, &plain_a.union(&plain_b).copied().collect::<Seen>());
        both.subtract(&b);
        prop_assert_eq!(both, plain_a.difference(&plain_b).copied().collect::<Seen>());
    }

    #[test]
    fn what_is_written_down_in_another_form_is_refused(runs in prop::collection::vec(
        (0..3_u64, prop::collection::vec((0..9_u64, 0..9_u64).prop_map(|(first, last)| Interval { first, last }), 0..3)), 0..3)) {
        #[derive(serde::Serialize)]
        struct Written { runs: Vec<(Actor, Vec<Interval>)> }
        let written = Written { runs: runs.into_iter().map(|(actor, all)| (Actor(actor), all)).collect() };
        let read: Result<Seen, _> = rmp_serde::from_slice(&rmp_serde::to_vec(&written).unwrap());
        let as_it_stands = written.runs.iter().flat_map(|(actor, all)| all.iter().map(|interval| (*actor, *interval)));
        if let Ok(seen) = read {
            prop_assert!(is_canonical(&seen));
            prop_assert_eq!(seen.runs().map(|(actor, all)| (actor, all.to_vec())).collect::<Vec<_>>(), written.runs);
        } else if written.runs.iter().all(|(_, all)| all.iter().all(|interval| interval.first <= interval.last)) {
            // It was refused for its form alone: put in order, it is another value.
            let mut ordered = Seen::new();
            as_it_stands.for_each(|(actor, interval)| ordered.insert_interval(actor, interval));
            prop_assert_ne!(ordered.runs().map(|(actor, all)| (actor, all.to_vec())).collect::<Vec<_>>(), written.runs);
        }
    }
}

#[test]
fn every_set_is_read_back_as_it_was_written() {
    let seen: Seen = [dot(1, 0), dot(1, 1), dot(1, u64::MAX), dot(7, 5)].into_iter().collect();
    let read: Seen = rmp_serde::from_slice(&rmp_serde::to_vec(&seen).unwrap()).unwrap();
    assert_eq!(read, seen);
    assert_eq!(read.interval_count(), 3);
}

#[test]
fn an_interval_from_end_to_end_holds_every_counter_and_can_be_taken_away_in_parts() {
    let whole = Interval { first: 0, last: u64::MAX };
    let mut seen = Seen::new();
    seen.insert(dot(1, u64::MAX));
    seen.insert(dot(1, 0));
    seen.insert_interval(Actor(1), whole);
    assert_eq!(seen.intervals(Actor(1)), [whole]);
    let ends: Seen = [dot(1, 0), dot(1, u64::MAX), dot(1, 9)].into_iter().collect();
    seen.subtract(&ends);
    assert_eq!(seen.intervals(Actor(1)), [Interval { first: 1, last: 8 }, Interval { first: 10, last: u64::MAX - 1 }]);
    let mut all = Seen::new();
    all.insert_interval(Actor(1), whole);
    seen.subtract(&all);
    assert!(seen.is_empty());
}

#[test]
fn large_sets_take_no_quadratic_time() {
    // Every second dot of 30 actors in each: at the old cost per dot this took minutes, not milliseconds.
    let of = |odd: u64| (0..200_000_u64).map(move |n| dot(n % 30, n / 30 * 2 + odd)).rev();
    let (mut even, odd): (Seen, Seen) = (of(0).collect(), of(1).collect());
    assert_eq!(even.interval_count(), 200_000);
    even.union_with(&odd);
    assert_eq!(even.interval_count(), 30);
    even.subtract(&odd);
    assert_eq!(even.interval_count(), 200_000);
}
