//! The laws of dots, contexts, clocks and entries, and a small world of owners that keeps to DESIGN's rules on top of them.

mod history;
mod laws;
mod rules;
mod seen;
mod world;

use super::{Actor, Dot, Entry, Kind, Path, Seen, Timestamp, Version};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

/// The same cases on every machine, every time, and no file of failures.
fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(0x4845_4e47), ..Config::default() }
}

fn dot(actor: u64, counter: u64) -> Dot {
    Dot { actor: Actor(actor), counter }
}

/// A version whose content follows from its dot, as it is when nothing is broken.
fn version(dot: Dot) -> Version {
    version_of(dot, dot.counter as u8 % 3, dot.counter as u32)
}

/// A version of one of some leaves, with a number as its value.
fn version_of(dot: Dot, leaf: u8, number: u32) -> Version {
    let (kind, value) = (Kind::Scalar, Bytes::from([&[leaf][..], &number.to_be_bytes()[..]].concat()));
    Version { dot, path: path_of(leaf), kind, value, time: Timestamp(number.into()), expiry_ms: 0 }
}

/// The leaf and the number of a version made by `version_of`.
fn leaf_and_number(version: &Version) -> (u8, u32) {
    let value = &version.value;
    (value[0], u32::from_be_bytes([value[1], value[2], value[3], value[4]]))
}

/// The path of a leaf; leaf 0 is the whole value.
fn path_of(leaf: u8) -> Path {
    let encoded = if leaf == 0 { Bytes::new() } else { Bytes::from(vec![b'a' + leaf, 0]) };
    Path::from_encoded(encoded).expect("a path of at most one segment")
}

fn few_dots() -> impl Strategy<Value = Vec<Dot>> {
    prop::collection::vec((1..=3_u64, 1..=9_u64).prop_map(|(actor, counter)| dot(actor, counter)), 0..10)
}

/// Any entry of honest versions; its context may or may not list its live dots.
fn entry() -> impl Strategy<Value = Entry> {
    (few_dots(), few_dots())
        .prop_map(|(live, seen)| Entry::new(live.into_iter().map(version).collect(), seen.into_iter().collect()))
}

/// Any entry whatever: one dot may stand for different values, at different paths, as after a bug or on a broken disk.
fn broken_entry() -> impl Strategy<Value = Entry> {
    let one = ((1..=2_u64, 1..=3_u64), 0..3_u8, 0..2_u32)
        .prop_map(|((actor, counter), leaf, number)| version_of(dot(actor, counter), leaf, number));
    (prop::collection::vec(one, 0..8), few_dots()).prop_map(|(versions, seen)| Entry::new(versions, seen.into_iter().collect()))
}

fn clock() -> impl Strategy<Value = Seen> {
    few_dots().prop_map(|dots| dots.into_iter().collect())
}
