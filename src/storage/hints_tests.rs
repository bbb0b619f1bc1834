//! The index of hints against a model, and hints over the restart of a store.

use super::*;
use crate::vclock::{Kind, Path, Timestamp, Version};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What the model knows of a hint: its position, its bytes, whom it is owed to, and who made its versions.
type Row = (u64, u64, Vec<u128>, Vec<(u64, u32)>);

#[derive(Clone, Debug)]
enum Step {
    Take {
        partition: u16,
        key: u8,
        owed: Vec<u128>,
        authors: Vec<(u64, u32)>,
        bytes: u64,
    },
    /// Pays a member for a hint; an offset other than 0 names one that has grown since.
    Pay {
        partition: u16,
        key: u8,
        member: u128,
        behind: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let members = || proptest::collection::btree_set(1u128..4, 1..4).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let authors = || proptest::collection::btree_set((1u64..3, 1u32..4), 0..3).prop_map(|set| set.into_iter().collect());
    prop_oneof![
        (0u16..2, 0u8..3, members(), authors(), 40u64..100).prop_map(|(partition, key, owed, authors, bytes)| Step::Take {
            partition,
            key,
            owed,
            authors,
            bytes
        }),
        (0u16..2, 0u8..3, 1u128..4, 0u64..2).prop_map(|(partition, key, member, behind)| Step::Pay {
            partition,
            key,
            member,
            behind
        }),
    ]
}

fn place(partition: u16, key: u8) -> Place {
    (PartitionId(partition), Bytes::from(vec![key]))
}

fn version(dot: Dot) -> Version {
    Version { dot, path: Path::ROOT, kind: Kind::Bytes, value: Bytes::new(), time: Timestamp(0), expiry_ms: 0 }
}

#[test]
fn the_index_says_what_a_plain_list_of_hints_says() {
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let law = |steps: Vec<Step>| {
        let (mut hints, mut model, mut last) = (Hints::default(), BTreeMap::<Place, Row>::new(), 0);
        for step in steps {
            match step {
                Step::Take { partition, key, owed, authors, bytes } => {
                    last += 1;
                    let owed_to = owed.iter().map(|member| MemberId(*member)).collect();
                    let location = Location { segment: 1, offset: last as u32, class: 0 };
                    let made = authors.iter().map(|(actor, start)| (Actor(*actor), Start(*start))).collect();
                    let (position, dots) = (Position(last), Box::default());
                    let hint = Hint { location, position, since_ms: 0, bytes, owed: owed_to, authors: made, dots };
                    let before = model.insert(place(partition, key), (last, bytes, owed, authors));
                    let old = hints.set(&place(partition, key), hint, std::iter::empty());
                    assert_eq!(old.map(|old| u64::from(old.offset)), before.map(|row| row.0));
                }
                Step::Pay { partition, key, member, behind } => {
                    let place = place(partition, key);
                    let position = model.get(&place).map_or(1, |row| row.0 - behind.min(row.0));
                    let is_owed = model.get(&place).is_some_and(|row| behind == 0 && row.2.contains(&member));
                    let (is_paid, needless) = hints.pay(&place, MemberId(member), Position(position));
                    assert_eq!(is_paid, is_owed);
                    if is_owed && let Some(row) = model.get_mut(&place) {
                        row.2.retain(|owed| *owed != member);
                        assert_eq!(needless.is_some(), row.2.is_empty());
                    }
                    model.retain(|_, row| !row.2.is_empty());
                }
            }
            hold_against(&hints, &model);
        }
        Ok(())
    };
    runner.run(&proptest::collection::vec(step(), 0..40), law).unwrap();
}

fn hold_against(hints: &Hints, model: &BTreeMap<Place, Row>) {
    assert_eq!((hints.len(), hints.bytes), (model.len(), model.values().map(|row| row.1).sum()));
    for member in 1..4 {
        let mut owed: Vec<(u64, &Place, u64)> =
            model.iter().filter(|(_, row)| row.2.contains(&member)).map(|(place, row)| (row.0, place, row.1)).collect();
        owed.sort();
        let found: Vec<_> =
            hints.owed_to(MemberId(member), Position(0)).map(|(position, place, hint)| (position.0, place, hint.bytes)).collect();
        assert_eq!(found, owed);
        let debts = hints.debtors().find(|debtor| debtor.0 == MemberId(member)).map(|(_, debts)| (debts.count(), debts.bytes));
        let expected = (!owed.is_empty()).then(|| (owed.len() as u64, owed.iter().map(|row| row.2).sum()));
        assert_eq!(debts, expected);
        let resumed = owed.get(1).map(|row| row.0);
        if let Some(first) = owed.first() {
            assert_eq!(hints.owed_to(MemberId(member), Position(first.0)).next().map(|row| row.0.0), resumed);
        }
    }
    for (actor, below) in (1..3).flat_map(|actor| (1..5).map(move |below| (actor, below))) {
        let mut held: Vec<PartitionId> = model
            .iter()
            .filter(|(_, row)| row.3.iter().any(|author| author.0 == actor && author.1 < below))
            .map(|(place, _)| place.0)
            .collect();
        held.dedup();
        assert_eq!(hints.hold(Actor(actor), Start(below)), held);
    }
}

#[test]
fn the_bounds_stop_what_is_new_and_what_grows_and_let_the_rest_pass() {
    let mut hints = Hints::default();
    hints.set_bounds(100, 1);
    assert!(!hints.would_overflow(None, 100) && hints.would_overflow(None, 101) && !hints.is_full());
    let dot = Dot { actor: Actor(1), counter: Start(2).base() | 1 };
    let entry = Entry::new(vec![version(dot)], Seen::new());
    let hint = Hint::new(b"key", &entry, b"", vec![MemberId(1)], 5);
    let bytes = hint.bytes;
    hints.set(&place(0, 1), Hint { position: Position(1), ..hint }, entry.dots());
    assert!(hints.is_full() && hints.would_overflow(None, 1), "one is enough");
    assert!(!hints.would_overflow(Some(bytes), bytes) && !hints.would_overflow(Some(bytes), 100));
    assert!(hints.would_overflow(Some(bytes), 101));
    assert_eq!((hints.hold(Actor(1), Start(3)), hints.hold(Actor(1), Start(2))), (vec![PartitionId(0)], vec![]));
}
