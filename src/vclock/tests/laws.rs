//! The laws of entries and of the hybrid-logical clock.

use super::*;
use crate::limits::DOCUMENT_LEAVES_MAX;
use crate::vclock::HybridClock;

/// What an entry says of a dot: *unknown < live < gone*.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum State {
    Unknown,
    Live,
    Gone,
}

fn state(entry: &Entry, dot: Dot) -> State {
    match (entry.is_live(dot), entry.has_seen(dot)) {
        (true, _) => State::Live,
        (false, true) => State::Gone,
        (false, false) => State::Unknown,
    }
}

fn every_dot() -> impl Iterator<Item = Dot> {
    (1..=3).flat_map(|actor| (1..=9).map(move |counter| dot(actor, counter)))
}

fn merged(a: &Entry, b: &Entry) -> Entry {
    let mut both = a.clone();
    both.merge(b.clone());
    both
}

/// The order of the versions, and no dot twice.
fn is_in_order(entry: &Entry) -> bool {
    let mut dots: Vec<Dot> = entry.dots().collect();
    dots.sort_unstable();
    let once = dots.windows(2).all(|pair| pair[0] < pair[1]);
    once && entry.versions().windows(2).all(|pair| (&pair[0].path, pair[0].dot) < (&pair[1].path, pair[1].dot))
}

/// A store's clock: it has seen at least the live dots of the key.
fn with_clock() -> impl Strategy<Value = (Entry, Seen)> {
    (entry(), clock()).prop_map(|(mut entry, mut clock)| {
        entry.dots().for_each(|dot| clock.insert(dot));
        entry.strip(&clock);
        (entry, clock)
    })
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn merging_is_commutative_associative_and_idempotent(a in entry(), b in entry(), c in entry()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&merged(&a, &b), &b), merged(&a, &b));
    }

    #[test]
    fn merging_stays_a_law_when_one_dot_stands_for_different_values(a in broken_entry(), b in broken_entry(), c in broken_entry()) {
        prop_assert!(is_in_order(&a) && is_in_order(&merged(&a, &b)));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
    }

    #[test]
    fn merging_keeps_what_neither_side_knows_as_gone_and_nothing_else(a in entry(), b in entry()) {
        let both = merged(&a, &b);
        prop_assert!(is_in_order(&both));
        for dot in every_dot() {
            prop_assert_eq!(state(&both, dot), state(&a, dot).max(state(&b, dot)), "{}", dot);
        }
        prop_assert!(both.versions().iter().all(|kept| *kept == version(kept.dot)));
    }

    #[test]
    fn taking_is_merging_with_the_filled_context_and_stripping_again((mut here, mut clock) in with_clock(), incoming in entry()) {
        let (mut filled, mut after) = (here.clone(), clock.clone());
        filled.fill(&clock);
        filled.merge(incoming.clone());
        incoming.dots().for_each(|dot| after.insert(dot));
        filled.strip(&after);
        let gone: Vec<Dot> = incoming.dots().filter(|dot| !clock.contains(*dot) && !filled.is_live(*dot)).collect();

        prop_assert_eq!(here.take(incoming.clone(), &mut clock), gone);
        prop_assert_eq!(here.versions(), filled.versions());
        prop_assert_eq!(here.context(), filled.context());
        prop_assert_eq!(&clock, &after);
        // Rule `add_context`: only live versions enter the clock; what the context names beyond them stays beside the key.
        let (before, clock_before) = (here.clone(), clock.clone());
        prop_assert_eq!(here.take(incoming, &mut clock), vec![]);
        prop_assert_eq!(here, before);
        prop_assert_eq!(clock, clock_before);
    }

    #[test]
    fn stripping_does_not_change_what_an_owner_says((entry, clock) in with_clock(), other in entry()) {
        let says = |mut entry: Entry| { entry.fill(&clock); entry };
        let mut stripped = entry.clone();
        stripped.strip(&clock);
        prop_assert_eq!(says(stripped.clone()), says(entry.clone()));
        prop_assert_eq!(stripped.context().interval_count() == 0, entry.context().is_subset_of(&clock));
        prop_assert_eq!(merged(&says(stripped), &other), merged(&says(entry), &other));
    }

    #[test]
    fn covering_drops_what_the_context_has_seen_and_says_which(mut here in entry(), context in clock()) {
        let before = here.clone();
        let covered = here.cover(&context);
        prop_assert_eq!(covered, before.dots().filter(|dot| context.contains(*dot)).collect::<Vec<_>>());
        prop_assert_eq!(here, merged(&before, &Entry::new(vec![], context)));
    }

    #[test]
    fn the_hybrid_clock_never_goes_back_and_does_not_follow_one_that_is_far_ahead(
        steps in prop::collection::vec((0..200_u64, 0..400_u64, any::<u16>(), any::<bool>()), 1..60)) {
        let ahead_max = 100;
        let (mut clock, mut followed, mut issued) = (HybridClock::default(), Timestamp(0), Timestamp(0));
        let mut most = 0;
        for (wall, other, count, follow) in steps {
            most = wall.max(most);
            if follow {
                let other = Timestamp(other << 16 | u64::from(count));
                let follows = clock.follow(other, wall, ahead_max);
                prop_assert_eq!(follows, other.wall_ms() <= wall + ahead_max);
                followed = if follows { followed.max(other) } else { followed };
            } else {
                let next = clock.issue(wall);
                prop_assert!(next > issued && next > followed && next >= Timestamp::from_wall_ms(wall));
                prop_assert!(next.wall_ms() <= most + ahead_max + 1, "it runs no further ahead than it was led");
                issued = next;
            }
        }
    }
}

#[test]
fn the_hybrid_clock_counts_on_within_a_millisecond_and_into_the_next() {
    let mut clock = HybridClock::default();
    let first = clock.issue(7);
    let last = (0..70_000).fold(first, |before, _| {
        let next = clock.issue(7);
        assert_eq!(next.0, before.0 + 1);
        next
    });
    assert_eq!((first.wall_ms(), last.wall_ms()), (7, 8));
    assert_eq!(Timestamp::from_wall_ms(u64::MAX).wall_ms(), (1 << 48) - 1);
}

#[test]
fn a_document_of_every_leaf_is_taken_in_again_and_overwritten_without_quadratic_time() {
    // Every leaf written by another start, in an order that is not the paths'. With a look along the row for each this took minutes.
    let leaves = DOCUMENT_LEAVES_MAX as u64;
    let document = |actor| (0..leaves).map(|n| version(dot(actor, (n * 40_503) % leaves * 2 + 1))).collect::<Vec<_>>();
    let (mut here, mut clock) = (Entry::default(), Seen::new());
    let old = Entry::new(document(1), Seen::new());
    assert!(here.take(old.clone(), &mut clock).is_empty());
    assert!(here.take(old.clone(), &mut clock).is_empty());
    assert_eq!(here.versions().len(), DOCUMENT_LEAVES_MAX);
    let new = Entry::new(document(2), old.dots().collect());
    assert!(here.take(new.clone(), &mut clock).is_empty());
    assert!(here.versions() == new.versions() && here.context().is_empty());
    // What was overwritten comes late, to an owner that has not seen it before.
    let mut other = Seen::new();
    let mut there = Entry::default();
    there.take(new.clone(), &mut other);
    assert_eq!(there.take(old, &mut other).len(), DOCUMENT_LEAVES_MAX);
    assert!(there.context().is_empty());
}
