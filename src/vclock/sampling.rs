//! What the property tests of this folder draw from: always the same cases.

use super::{Actor, Dot, Entry, Interval, Kind, Path, Seen, Timestamp, Version};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::Cell;

/// Runs a law on so many cases, the same ones each time, and says how many ran.
pub(super) fn check<S: Strategy>(what: &str, cases: u32, strategy: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let ran = Cell::new(0u32);
    let result = runner.run(&strategy, |case| {
        ran.set(ran.get() + 1);
        law(case)
    });
    if let Err(error) = result {
        panic!("{what}: {error}");
    }
    assert!(ran.get() >= cases, "{what}: only {} cases ran", ran.get());
    println!("{what}: {} cases", ran.get());
}

/// Names of members: few, so that documents meet, and every odd one that JSON allows.
pub(super) fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "c", "ab", "abc", "name"]).prop_map(str::to_owned),
        3 => prop::sample::select(vec!["", "a.b", ".", "\\", "\\e", "\0", "\u{1}", "\0\u{1}a", "\"", "é", "名前", "\u{1F5FF}", " ", "\n",
            "$serde_json::private::Number", "$serde_json::private::RawValue"]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ]
}

/// Paths of no more than four names.
pub(super) fn path() -> impl Strategy<Value = Path> {
    prop::collection::vec(name(), 0..5).prop_map(|names| Path::from_segments(names).unwrap())
}

/// Dots of few actors and starts, and now and then any.
pub(super) fn dot() -> impl Strategy<Value = Dot> {
    let usual = (1u64..4, 0u64..3, 1u64..200).prop_map(|(actor, start, n)| Dot {
        actor: Actor(actor * 0x1234_5678_9abc_def1),
        counter: ((1_760_000_000 + start * 977) << 32) + n,
    });
    let odd = (any::<u64>(), any::<u64>()).prop_map(|(actor, counter)| Dot { actor: Actor(actor), counter });
    prop_oneof![9 => usual, 1 => odd]
}

/// Any set of dots, as contexts have it.
pub(super) fn seen() -> impl Strategy<Value = Seen> {
    let run = (dot(), prop_oneof![3 => 0u64..5, 1 => any::<u64>()]);
    prop::collection::vec(run, 0..12).prop_map(|runs| {
        let mut seen = Seen::new();
        for (dot, length) in runs {
            seen.insert_interval(dot.actor, Interval { first: dot.counter, last: dot.counter.saturating_add(length) });
        }
        seen
    })
}

/// Any version. Its value need not be what its kind says.
pub(super) fn version(path: impl Strategy<Value = Path>) -> impl Strategy<Value = Version> {
    use Kind::*;
    let kind = prop::sample::select(vec![Bytes, Scalar, Array, EmptyMap, Amount, Element, Term, Typed]);
    let time = prop_oneof![4 => (0u64..5_000_000).prop_map(|ms| (1_760_000_000_000 + ms) << 16), 1 => any::<u64>()];
    let expiry = prop_oneof![4 => Just(0), 1 => 1u64..u64::MAX];
    let value = prop::collection::vec(any::<u8>(), 0..20);
    (dot(), path, kind, value, time, expiry).prop_map(|(dot, path, kind, value, time, expiry_ms)| Version {
        dot,
        path,
        kind,
        value: value.into(),
        time: Timestamp(time),
        expiry_ms,
    })
}

/// Any entry: empty ones, plain ones, plain ones with a context, documents of up to 60 leaves, siblings.
pub(super) fn entry() -> impl Strategy<Value = Entry> {
    let context = || prop_oneof![2 => Just(Seen::new()), 3 => seen()];
    let plain = (version(Just(Path::ROOT)), context()).prop_map(|(version, context)| Entry::new(vec![version], context));
    let leaves = (prop::collection::vec(version(path()), 0..60), context()).prop_map(|(mut versions, context)| {
        versions.sort_by_key(|version| version.dot);
        versions.dedup_by_key(|version| version.dot);
        Entry::new(versions, context)
    });
    prop_oneof![1 => plain, 3 => leaves]
}

/// Bytes that are wrong in an interesting way: valid ones with something done to them, or any.
pub(super) fn mangled(valid: impl Strategy<Value = Bytes>) -> impl Strategy<Value = Vec<u8>> {
    #[derive(Clone, Debug)]
    enum Harm {
        Flip(prop::sample::Index, u8),
        Put(prop::sample::Index, u8),
        Cut(prop::sample::Index),
        Drop(prop::sample::Index),
        Insert(prop::sample::Index, u8),
        Extend(Vec<u8>),
    }
    use Harm::*;
    let place = any::<prop::sample::Index>;
    let harm = prop_oneof![
        4 => (place(), 0u8..8).prop_map(|(at, bit)| Flip(at, bit)),
        3 => (place(), prop_oneof![Just(0), Just(1), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()]).prop_map(|(at, byte)| Put(at, byte)),
        1 => place().prop_map(Cut),
        1 => place().prop_map(Drop),
        1 => (place(), any::<u8>()).prop_map(|(at, byte)| Insert(at, byte)),
        1 => prop::collection::vec(any::<u8>(), 1..10).prop_map(Extend),
    ];
    let harmed = (valid, prop::collection::vec(harm, 1..4)).prop_map(|(valid, harms)| {
        let mut bytes = valid.to_vec();
        for harm in harms {
            let len = bytes.len().max(1);
            match harm {
                Flip(at, bit) => bytes.iter_mut().skip(at.index(len)).take(1).for_each(|byte| *byte ^= 1 << bit),
                Put(at, byte) => bytes.iter_mut().skip(at.index(len)).take(1).for_each(|old| *old = byte),
                Cut(at) => bytes.truncate(at.index(len)),
                Drop(at) if !bytes.is_empty() => drop(bytes.remove(at.index(len))),
                Drop(_) => {}
                Insert(at, byte) => bytes.insert(at.index(len).min(bytes.len()), byte),
                Extend(more) => bytes.extend(more),
            }
        }
        bytes
    });
    prop_oneof![4 => harmed, 1 => prop::collection::vec(any::<u8>(), 0..80)]
}
