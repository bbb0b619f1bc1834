//! The trie against a `BTreeMap`, and the laws that it promises.

use super::handle::Handle;
use super::{Nibbles, Slot, Summary, Trie, node};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;
use std::ops::Bound;

type Model = BTreeMap<Vec<u8>, Slot>;

/// A sequence of numbers from a seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn slot(&mut self) -> Slot {
        let (a, b) = (self.next(), self.next());
        let [segment, offset] = [(a >> 32) as u32, a as u32];
        Slot {
            hash: self.next(),
            segment,
            offset,
            count: (b >> 32) as u32,
            author: b as u16,
            class: (b >> 16) as u8,
            flags: (b >> 24) as u8,
        }
    }

    /// A key of one of several manners: which one, the caller says.
    fn key(&mut self, manner: u64) -> Vec<u8> {
        match manner {
            // Few symbols: much sharing, keys that are prefixes of others, the empty key.
            0 => (0..self.below(10)).map(|_| b"ab"[self.below(2) as usize]).collect(),
            // Any bytes, two of them: nodes of every size.
            1 => (0..1 + self.below(2)).map(|_| self.next() as u8).collect(),
            // Long shared texts, cut anywhere, with a tail.
            2 => {
                let mut key = vec![b"xy"[self.below(2) as usize]; [5, 8, 20, 61, 62, 130, 4_000][self.below(7) as usize]];
                key.extend((0..self.below(4)).map(|_| b"xy"[self.below(2) as usize]));
                key.extend(vec![b'z'; [0, 1, 7, 8, 15, 16, 23, 24, 39, 40, 71, 72, 90][self.below(13) as usize]]);
                key
            }
            // Like names with numbers.
            3 => format!("user:{:05}:{}", self.below(800), ["profile", "name", ""][self.below(3) as usize]).into_bytes(),
            // The low bytes: fan-out grows and shrinks through every kind.
            _ => vec![b'k', self.below(256) as u8],
        }
    }
}

fn summary<'a>(slots: impl Iterator<Item = &'a Slot>) -> Summary {
    slots.fold(Summary::default(), |total, slot| total.and(Summary { count: 1, sum: slot.hash }))
}

/// The whole shape: every node with its kind, its text and its bytes, written out in order.
fn shape(trie: &Trie) -> String {
    let mut written = String::new();
    let mut stack = vec![(String::new(), trie.root)];
    while let Some((by, handle)) = stack.pop() {
        let mut text = Vec::new();
        if handle != Handle::NULL {
            trie.slabs.text_append(handle, 0, &mut text);
        }
        written += &format!("{by}:{:?}{text:?}{:?}\n", handle.kind(), trie.slabs.summary(handle));
        if handle.kind().is_inner() {
            let bytes = trie.slabs.get(handle);
            stack.push(("own".to_owned(), node::own(bytes)));
            stack.extend(node::each_child(handle.kind(), bytes).map(|(byte, child)| (byte.to_string(), child)));
        }
    }
    written
}

fn built(model: &Model) -> Trie {
    let mut trie = Trie::new();
    for (key, slot) in model {
        assert_eq!(trie.insert(key, *slot), None);
    }
    trie
}

/// Laws over generated values: always the same ones.
fn law<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    if let Err(failure) = runner.run(strategy, test) {
        panic!("{failure}");
    }
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(prop::sample::select(vec![0, 1, b'a', 255]), 0..8),
        vec(any::<u8>(), 0..4),
        (0..130_usize, vec(any::<bool>(), 0..6)).prop_map(|(n, tail)| {
            let mut key = vec![7; n];
            key.extend(tail.into_iter().map(u8::from));
            key
        }),
    ]
}

fn slots() -> impl Strategy<Value = Slot> {
    any::<u64>().prop_map(|seed| Draw(seed).slot())
}

#[test]
fn any_operations_give_what_an_ordered_map_gives() {
    for manner in 0..6 {
        let mut draw = Draw(manner);
        let (mut trie, mut model) = (Trie::new(), Model::new());
        for step in 0..12_000 {
            // Grow for a while, shrink for a while.
            let growing = (step / 1_500) % 2 == 0;
            let kind = if manner == 5 { draw.below(5) } else { manner };
            let key = draw.key(kind);
            if draw.below(10) < if growing { 7 } else { 2 } {
                let slot = draw.slot();
                assert_eq!(trie.insert(&key, slot), model.insert(key.clone(), slot), "insert {key:?}");
                assert_eq!(trie.get(&key), Some(slot));
            } else {
                assert_eq!(trie.remove(&key), model.remove(&key), "remove {key:?}");
                assert_eq!(trie.get(&key), None);
            }
            let other = draw.key(kind);
            assert_eq!(trie.get(&other), model.get(&other).copied(), "get {other:?}");
            if step % 500 == 0 {
                trie.check().unwrap();
                assert_eq!(trie.len(), model.len() as u64);
                assert_eq!(Summary { count: trie.len(), sum: trie.sum() }, summary(model.values()));
                assert!(trie.scan(&[], None).eq(model.iter().map(|(key, slot)| (key.clone(), *slot))));
            }
        }
        assert!(model.len() > 30, "manner {manner} has kept only {} keys", model.len());
        assert_eq!(shape(&trie), shape(&built(&model)), "the shape is that of a trie which never held anything else");
    }
}

#[test]
fn whatever_the_order_and_whatever_was_deleted_the_shape_is_the_same() {
    let entries = prop::collection::btree_map(keys(), slots(), 0..60);
    let cases = (entries, vec((keys(), slots()), 0..60), any::<u64>());
    law(400, &cases, |(model, others, seed)| {
        let mut draw = Draw(seed);
        let mut todo: Vec<(&Vec<u8>, Slot, bool)> = model.iter().map(|(key, slot)| (key, *slot, true)).collect();
        todo.extend(others.iter().filter(|(key, _)| !model.contains_key(key)).map(|(key, slot)| (key, *slot, false)));
        for last in (1..todo.len()).rev() {
            todo.swap(last, draw.below(last as u64 + 1) as usize);
        }
        let mut trie = Trie::new();
        for (key, slot, _) in &todo {
            trie.insert(key, *slot);
        }
        for (key, _, stays) in todo.iter().rev() {
            if !stays {
                trie.remove(key);
            }
        }
        trie.check().unwrap();
        prop_assert_eq!(shape(&trie), shape(&built(&model)));
        Ok(())
    });
}

#[test]
fn a_scan_is_the_range_of_an_ordered_map() {
    let cases =
        (prop::collection::btree_map(keys(), slots(), 0..60), keys(), prop::option::of(keys()), any::<prop::sample::Index>());
    law(2_000, &cases, |(model, mut prefix, mut after, pick)| {
        // Half of the time, places that exist.
        if let Some(key) = model.keys().nth(pick.index(model.len().max(1))) {
            match pick.index(8) {
                0..=2 => prefix = key[..pick.index(key.len() + 1)].to_vec(),
                3 => after = Some(key.clone()),
                4 => (prefix, after) = (key[..pick.index(key.len() + 1)].to_vec(), Some(key.clone())),
                _ => {}
            }
        }
        let trie = built(&model);
        let from = after.as_ref().map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        let range = model.range((from, Bound::Unbounded)).filter(|(key, _)| key.starts_with(&prefix));
        let expected: Vec<(Vec<u8>, Slot)> = range.map(|(key, slot)| (key.clone(), *slot)).collect();
        let scanned: Vec<(Vec<u8>, Slot)> = trie.scan(&prefix, after.as_deref()).collect();
        prop_assert_eq!(&scanned, &expected);
        let mut scan = trie.scan(&prefix, after.as_deref());
        let mut key = b"what was there".to_vec();
        for expected in &expected {
            let slot = scan.next_into(&mut key);
            prop_assert_eq!((&key, slot), (&expected.0, Some(expected.1)));
        }
        prop_assert_eq!((scan.next_into(&mut key), scan.next_into(&mut key)), (None, None));
        Ok(())
    });
}

#[test]
fn the_sum_of_a_prefix_is_that_of_its_keys() {
    let cases = (prop::collection::btree_map(keys(), slots(), 0..60), keys());
    law(1_000, &cases, |(model, prefix)| {
        let trie = built(&model);
        let prefixes = model.keys().flat_map(|key| (0..=key.len().min(12)).map(|end| key[..end].to_vec()));
        for prefix in prefixes.chain([prefix]) {
            let keys = model.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, slot)| slot);
            prop_assert_eq!(trie.summary(&prefix), summary(keys));
        }
        Ok(())
    });
}

#[test]
fn sixteen_children_and_the_prefix_itself_make_up_a_half_byte_prefix() {
    let cases = (prop::collection::btree_map(keys(), slots(), 1..60), any::<prop::sample::Index>(), any::<u64>());
    law(1_000, &cases, |(model, pick, seed)| {
        let trie = built(&model);
        let key = model.keys().nth(pick.index(model.len())).unwrap();
        let mut prefix = Nibbles::default();
        // Down to a key, and astray from there on.
        let astray = (0..4).map(|shift| (seed >> (4 * shift)) as u8 & 15);
        for nibble in key.iter().flat_map(|byte| [byte >> 4, byte & 15]).chain(astray) {
            let children = trie.children(&prefix);
            let below: Vec<(&Vec<u8>, &Slot)> = model.iter().filter(|(key, _)| prefix.begins(key)).collect();
            let itself = (prefix.clone(), &prefix.to_parts());
            let own = below.iter().find(|(key, _)| Nibbles::new(key) == itself.0).map(|(_, slot)| slot.hash);
            prop_assert_eq!(children.own, own);
            for (branch, found) in (0..16).zip(children.branches) {
                let longer = prefix.with(branch);
                let keys = below.iter().filter(|(key, _)| longer.begins(key)).map(|(_, slot)| *slot);
                prop_assert_eq!(found, summary(keys));
            }
            prop_assert_eq!(children.total(), summary(below.iter().map(|(_, slot)| *slot)));
            let listed: Vec<(Vec<u8>, u64)> = below.iter().map(|(key, slot)| ((*key).clone(), slot.hash)).collect();
            prop_assert_eq!(trie.list(&prefix, below.len().saturating_sub(1)).is_some(), below.is_empty());
            prop_assert_eq!(trie.list(&prefix, below.len()), Some(listed));
            let common = trie.common(&prefix);
            prop_assert_eq!(common.is_some(), !below.is_empty());
            if let Some(common) = common {
                prop_assert!(below.iter().all(|(key, _)| common.begins(key)) && common.len() >= prefix.len());
                let further = (0..16).any(|nibble| below.iter().all(|(key, _)| common.with(nibble).begins(key)));
                prop_assert!(!further, "{:?} is not the longest", common);
            }
            prefix.push(nibble);
        }
        Ok(())
    });
}

#[test]
fn half_bytes_come_back_as_they_went() {
    law(500, &(vec(0..16_u8, 0..9), vec(any::<u8>(), 0..5), any::<bool>()), |(nibbles, bytes, odd)| {
        let mut prefix = Nibbles::default();
        nibbles.iter().for_each(|nibble| prefix.push(*nibble));
        let (sent, sent_odd) = prefix.to_parts();
        prop_assert_eq!((prefix.len(), prefix.is_empty()), (nibbles.len(), nibbles.is_empty()));
        prop_assert_eq!(Nibbles::from_parts(&sent, sent_odd), Some(prefix));
        if let Some(received) = Nibbles::from_parts(&bytes, odd) {
            prop_assert_eq!(received.to_parts(), (bytes, odd));
        } else {
            prop_assert!(odd && bytes.last().is_none_or(|last| last & 15 != 0));
        }
        Ok(())
    });
}

#[test]
fn a_chain_of_prefixes_of_the_longest_key_is_walked_without_recursion() {
    let longest = vec![b'p'; crate::limits::KEY_BYTES_MAX];
    let mut draw = Draw(1);
    let mut trie = Trie::new();
    let mut model = Model::new();
    for end in (0..=longest.len()).rev() {
        let slot = draw.slot();
        trie.insert(&longest[..end], slot);
        model.insert(longest[..end].to_vec(), slot);
    }
    trie.check().unwrap();
    assert_eq!(trie.scan(&[], None).count(), longest.len() + 1);
    assert_eq!(trie.scan(&[], Some(&longest[..4_000])).count(), 96);
    assert_eq!(trie.summary(&longest[..4_000]), summary(model.range(longest[..4_000].to_vec()..).map(|(_, slot)| slot)));
    assert_eq!(trie.common(&Nibbles::new(&longest[..9])), Some(Nibbles::new(&longest[..9])));
    for end in (0..=longest.len()).filter(|end| end % 2 == 1) {
        assert_eq!(trie.remove(&longest[..end]), model.remove(&longest[..end]));
    }
    trie.check().unwrap();
    assert_eq!(shape(&trie), shape(&built(&model)));
}

#[test]
fn memory_comes_back_when_all_is_deleted() {
    for manner in 0..5 {
        let mut draw = Draw(9);
        let mut trie = Trie::new();
        let empty = trie.bytes();
        let keys: Vec<Vec<u8>> = (0..5_000).map(|_| draw.key(manner)).collect();
        for round in 0..3 {
            for key in &keys {
                trie.insert(key, draw.slot());
            }
            assert!(trie.bytes() > empty + 1_000, "manner {manner}, round {round}");
            for key in &keys {
                trie.remove(key);
            }
            assert!(trie.is_empty());
            assert!(trie.bytes() <= empty + 2_000, "manner {manner}, round {round}: {} bytes are left", trie.bytes());
        }
    }
}

#[test]
fn a_partly_emptied_trie_gives_chunks_back_and_fills_the_holes_first() {
    let mut draw = Draw(5);
    let mut trie = Trie::new();
    let keys: Vec<[u8; 8]> = (0..50_000_u64).map(|number| number.to_be_bytes()).collect();
    keys.iter().for_each(|key| assert_eq!(trie.insert(key, draw.slot()), None));
    let full = trie.bytes();
    keys.iter().filter(|key| key[6] >= 64).for_each(|key| assert!(trie.remove(key).is_some()));
    trie.check().unwrap();
    assert!(trie.bytes() < full / 2, "{} of {full} bytes are left for a quarter of the keys", trie.bytes());
    keys.iter().filter(|key| key[6] >= 64).for_each(|key| assert_eq!(trie.insert(key, draw.slot()), None));
    trie.check().unwrap();
    assert!(trie.bytes() <= full + full / 20, "{} bytes instead of {full}", trie.bytes());
}

#[test]
fn small_tries_stay_small_and_large_ones_take_at_most_fifty_bytes_a_key_beyond_the_key() {
    let mut draw = Draw(3);
    let mut trie = Trie::new();
    assert!(trie.bytes() < 400, "an empty trie takes {} bytes", trie.bytes());
    for bound in [10_u64, 1_000, 40_000] {
        while trie.len() < bound {
            trie.insert(&u128::from(draw.next()).rotate_left(64).to_be_bytes(), draw.slot());
        }
        let beyond = trie.bytes() as u64 / bound - 16;
        let at_most = if bound == 10 { 500 } else { 50 };
        assert!(beyond <= at_most, "{beyond} bytes a key beyond the key with {bound} keys");
    }
}

#[test]
fn a_wrong_sum_is_noticed_by_the_check() {
    let mut draw = Draw(2);
    let mut trie = Trie::new();
    for number in 0..300_u16 {
        trie.insert(&number.to_be_bytes(), draw.slot());
    }
    trie.check().unwrap();
    let mut wrong = trie.clone();
    wrong.slabs.node_adjust(wrong.root, 0, 1);
    assert!(wrong.check().is_err());
    let mut wrong = trie.clone();
    let child = node::child(wrong.root.kind(), wrong.slabs.get(wrong.root), 0);
    wrong.slabs.node_adjust(child, 1, 0);
    assert!(wrong.check().is_err());
    let mut wrong = trie.clone();
    wrong.slabs.leaf_new(b"nothing leads here", draw.slot());
    assert!(wrong.check().is_err());
    let mut wrong = trie;
    wrong.slabs.text_replace(child, b"longer");
    assert!(wrong.check().is_ok() && wrong.get(&[0, 7]).is_none(), "another text is another key, not a contradiction");
}
