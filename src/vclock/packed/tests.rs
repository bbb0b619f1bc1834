//! The laws of the packed form.

use super::*;
use crate::limits::DOCUMENT_LEAVES_MAX;
use crate::vclock::sampling::{check, entry, mangled, path, version};
use crate::vclock::{Actor, Dot, Interval, Seen, Timestamp, Version, draft, leaves_from_json, render, set};
use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::cell::Cell;

/// Equal as `Entry` has it, and in the explicit context too.
fn same(a: &Entry, b: &Entry) -> bool {
    a == b && a.context() == b.context()
}

fn bare(entry: &Entry) -> Entry {
    let (mut versions, context) = entry.clone().into_parts();
    versions.iter_mut().for_each(|version| version.value = Bytes::new());
    Entry::new(versions, context)
}

#[test]
fn an_entry_comes_back_from_its_packed_form() {
    let (plain_ones, contexts) = (Cell::new(0), Cell::new(0));
    check("packed entries", 4_000, entry(), |entry| {
        let packed = pack(&entry);
        let unpacked = unpack(&packed).unwrap();
        prop_assert!(same(&unpacked, &entry));
        prop_assert_eq!(pack(&unpacked), packed);
        prop_assert!(same(&unpack(&pack_bare(&entry)).unwrap(), &bare(&entry)));
        plain_ones.set(plain_ones.get() + u32::from(entry.versions().len() == 1 && entry.versions()[0].path.is_root()));
        contexts.set(contexts.get() + u32::from(!entry.context().is_empty()));
        Ok(())
    });
    println!("  {} with one version at the root, {} with a context", plain_ones.get(), contexts.get());
}

#[test]
fn what_unpacks_packs_to_the_same_bytes_and_anything_else_is_an_error() {
    let accepted = Cell::new(0u32);
    let law = |bytes: Bytes, path: Path| {
        // Whatever the bytes are, none of these may panic.
        let (peeked, selected) = (plain(&bytes), select(&bytes, &path));
        if let Ok(entry) = unpack(&bytes) {
            accepted.set(accepted.get() + 1);
            prop_assert!(pack(&entry) == bytes, "{:?} unpacks to {:?}", bytes, entry);
            prop_assert!(selected.is_ok());
            let _ = render(&entry, &path, 0, false);
            let _ = render(&entry, &Path::ROOT, 0, true);
        } else {
            prop_assert_eq!(peeked, None);
        }
        Ok(())
    };
    check("mangled packed entries", 40_000, (mangled(entry().prop_map(|entry| pack(&entry))), path()), |(bytes, path)| {
        law(bytes.into(), path)
    });
    let beginnings = (
        prop::sample::select(vec![PLAIN, PLAIN_CONTEXT, LEAVES]),
        prop::collection::vec(prop_oneof![3 => 0u8..4, 1 => any::<u8>()], 0..60),
    );
    check("made-up packed entries", 20_000, (beginnings, path()), |((tag, rest), path)| {
        law([&[tag][..], &rest].concat().into(), path)
    });
    println!("  {} of them were accepted", accepted.get());
    assert!(accepted.get() > 5_000);
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_document_is_refused_or_is_another_entry() {
    let entry = document(40, 3);
    let packed = pack(&entry);
    for end in 0..packed.len() {
        assert!(unpack(&packed.slice(..end)).is_err(), "cut at {end}");
    }
    let mut refused = 0;
    for bit in 0..packed.len() * 8 {
        let mut bytes = packed.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match unpack(&bytes.into()) {
            Ok(other) => assert!(!same(&other, &entry), "bit {bit}"),
            Err(_) => refused += 1,
        }
    }
    println!("{} cuts, {} flips, {refused} of these refused", packed.len(), packed.len() * 8);
}

#[test]
fn the_head_of_a_plain_entry_says_what_the_entry_says() {
    check("plain entries", 4_000, (version(Just(Path::ROOT)), entry()), |(version, other)| {
        let packed = pack_plain(&version);
        prop_assert_eq!(&pack(&Entry::new(vec![version.clone()], Seen::new())), &packed);
        let Plain { dot, kind, time, expiry_ms, value } = plain(&packed).unwrap();
        let value = packed.slice(value);
        prop_assert_eq!(Version { dot, path: Path::ROOT, kind, value, time, expiry_ms }, version);
        let is_plain = matches!(other.versions(), [version] if version.path.is_root()) && other.context().is_empty();
        prop_assert_eq!(plain(&pack(&other)).is_some(), is_plain);
        Ok(())
    });
}

#[test]
fn selecting_a_path_gives_what_filtering_the_whole_entry_gives() {
    let found = Cell::new(0u32);
    check("selections", 4_000, (entry(), path(), any::<prop::sample::Index>(), 0usize..4), |(entry, other, which, up)| {
        // Mostly a path that is there, or one above it.
        let mut path = other;
        if !entry.versions().is_empty() && up < 3 {
            path = entry.versions()[which.index(entry.versions().len())].path.clone();
            (0..up).for_each(|_| path = path.parent().unwrap_or_default());
        }
        let wanted: Vec<Version> =
            entry.versions().iter().filter(|v| path.contains(&v.path) || v.path.contains(&path)).cloned().collect();
        found.set(found.get() + u32::from(!wanted.is_empty()));
        let selected = select(&pack(&entry), &path).unwrap();
        prop_assert!(same(&selected, &Entry::new(wanted, entry.context().clone())));
        Ok(())
    });
    println!("  {} of them found something", found.get());
}

#[test]
fn selecting_finds_siblings_that_fill_more_than_a_block() {
    let version = |n, path: &str| Version {
        dot: Dot { actor: Actor(1), counter: n },
        path: Path::parse(path).unwrap(),
        kind: Kind::Scalar,
        value: Bytes::from(n.to_string()),
        time: Timestamp(n),
        expiry_ms: 0,
    };
    let versions =
        (1..=20).map(|n| version(n, "a")).chain((21..=90).map(|n| version(n, "b.c"))).chain([version(91, "b.d"), version(92, "c")]);
    let packed = pack(&Entry::new(versions.collect(), Seen::new()));
    for (path, count) in
        [("a", 20), ("b", 71), ("b.c", 70), ("b.c.x", 70), ("b.d", 1), ("b.e", 0), ("c.x.y", 1), ("0", 0), ("d", 0), ("", 92)]
    {
        assert_eq!(select(&packed, &Path::parse(path).unwrap()).unwrap().versions().len(), count, "{path}");
    }
}

#[test]
fn a_dot_that_stands_twice_is_refused() {
    let version = |path: &str, n: u64| Version {
        dot: Dot { actor: Actor(1), counter: 1 << 32 | n },
        path: Path::parse(path).unwrap(),
        kind: Kind::Scalar,
        value: Bytes::from_static(b"1"),
        time: Timestamp(1 << 16),
        expiry_ms: 0,
    };
    // No entry holds such a thing, so it is made from the bytes of a sound one: somewhere in them a 6 becomes a 5.
    let packed = pack(&Entry::new(vec![version("a", 5), version("b", 9), version("c", 6)], Seen::new()));
    let forged = (0..packed.len()).map(|at| {
        let mut bytes = packed.to_vec();
        bytes[at] = bytes[at].wrapping_sub(1);
        unpack(&bytes.into())
    });
    assert!(forged.into_iter().any(|result| result == Err(PackError::Duplicate)));
}

#[test]
fn bytes_that_claim_to_be_huge_are_refused_before_anything_is_allocated() {
    assert_eq!(unpack(&Bytes::new()).unwrap_err(), PackError::Truncated);
    assert_eq!(unpack(&Bytes::from_static(&[LEAVES, 0xff, 0xff, 0xff, 0x7f, 0, 0])).unwrap_err(), PackError::Truncated);
    assert_eq!(unpack(&Bytes::from_static(&[0; 40])).unwrap_err(), PackError::Form(0));

    // Each leaf shares 4,000 bytes with the one before, and so would take them anew in memory.
    let long = "x".repeat(3_990);
    let leaves = 20_000u32;
    let version = |n: u32| Version {
        dot: Dot { actor: Actor(1), counter: u64::from(n) },
        path: Path::from_segments([&long[..], &format!("{n:05}")]).unwrap(),
        kind: Kind::EmptyMap,
        value: Bytes::new(),
        time: Timestamp(0),
        expiry_ms: 0,
    };
    let packed = pack(&Entry::new((0..leaves).map(version).collect(), Seen::new()));
    assert_eq!(unpack(&packed).unwrap_err(), PackError::TooLarge);
}

/// The bytes of the format itself: a change of any of these breaks every log there is.
#[test]
fn the_three_forms_have_these_bytes() {
    let hex = |bytes: Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let version = |path: &str, actor, start: u64, n, ms: u64, logical, value: &'static str| Version {
        dot: Dot { actor: Actor(actor), counter: start << 32 | n },
        path: Path::parse(path).unwrap(),
        kind: Kind::Scalar,
        value: Bytes::from_static(value.as_bytes()),
        time: Timestamp(ms << 16 | logical),
        expiry_ms: 0,
    };
    let plain = Version { kind: Kind::Bytes, ..version("", 0xaa, 0x68f0_0000, 7, 0x0199_0000_0000, 0, "hi") };
    let plain_hex = ["00000000000000aa", "68f0000000000007", "0199000000000000", "6869"].concat();
    assert_eq!(hex(pack(&Entry::new(vec![plain.clone()], Seen::new()))), ["10", &plain_hex].concat());

    let mut context = Seen::new();
    context.insert_interval(Actor(0xbb), Interval { first: 3, last: 5 });
    context.insert_interval(Actor(0xbb), Interval { first: 9, last: 9 });
    let context_hex = ["01", "00000000000000bb", "02", "0302", "0200"].concat();
    let expiring = Version { expiry_ms: 1, ..plain };
    let (head, value) = plain_hex.split_at(48);
    let expected = ["28", head, "0000000000000001", "0e", &context_hex, value].concat();
    assert_eq!(hex(pack(&Entry::new(vec![expiring], context.clone()))), expected);

    let leaves = vec![
        version("name", 0xaa, 0x100, 8, 1_000, 0, "\"x\""),
        version("name.age", 0xbb, 0x200, 2, 1_005, 3, "1"),
        Version { expiry_ms: 77, ..version("nape", 0xaa, 0x102, 9, 1_200, 0, "") },
    ];
    let table = ["02", "00000000000000aa", "02", "800208", "0109", "00000000000000bb", "01", "800402"].concat();
    let leaf = |parts: [&str; 2]| parts.concat();
    let first = leaf(["056e616d6500", "01" /* row 0 */]) + "00" + "00" + "03227822";
    let second = leaf(["050461676500", "51" /* row 2, logical */]) + "00" + "05" + "03" + "0131";
    let third = leaf(["0203706500", "29" /* row 1, expiry */]) + "00" + "c801" + "4d" + "00";
    let expected = ["30", "03", &context_hex, &table, "e807", &first, &second, &third].concat();
    assert_eq!(hex(pack(&Entry::new(leaves, context))), expected);
    assert_eq!(hex(pack(&Entry::default())), "30000000");
}

/// A nested document of so many leaves, written whole by one actor.
fn document(leaves: usize, seed: u64) -> Entry {
    let text: Vec<String> = (0..leaves).map(|leaf| format!(r#""field{:03}":{{"value":{}}}"#, leaf, seed + leaf as u64)).collect();
    written(&format!("{{{}}}", text.join(",")), seed)
}

/// A document written whole by one actor.
fn written(text: &str, seed: u64) -> Entry {
    let written = leaves_from_json(text.as_bytes(), &Path::ROOT).unwrap();
    let version = |(n, leaf): (u64, crate::vclock::Leaf)| {
        leaf.into_version(
            Dot { actor: Actor(seed << 48 | 0xabcd), counter: 1_760_000_000 << 32 | (n + 1) },
            Timestamp(1_760_000_000_000 << 16),
            0,
        )
    };
    Entry::new((0..).zip(written).map(version).collect(), Seen::new())
}

/// "At most 12 bytes of version data per leaf, however many updates."
#[test]
fn version_data_stays_below_twelve_bytes_a_leaf_after_a_thousand_updates() {
    for leaves in [20, 1_000] {
        let mut random = ChaCha8Rng::seed_from_u64(leaves as u64);
        let mut entry = document(leaves, 1);
        let mut now_ms = 1_760_000_000_000u64;
        // Actor, start, and n in the partition, where other keys are written too.
        let mut actors: Vec<(u64, u64, u64)> = (0..3).map(|_| (random.random(), now_ms / 1_000, 0)).collect();
        let mut starts = 3;
        let mut worst = 0.0f64;
        for update in 0..=1_000 {
            let packed = pack(&entry);
            assert!(same(&unpack(&packed).unwrap(), &entry));
            // All that is neither value nor path: everything but the values and what the paths take, front-coded as they are.
            let valueless = pack_bare(&entry).len();
            let per_leaf = (valueless - path_bytes(&entry)) as f64 / leaves as f64;
            worst = worst.max(per_leaf);
            if update == 1_000 {
                println!(
                    "{leaves} leaves, 3 actors, {starts} starts, 1,000 updates: {per_leaf:.2} bytes a leaf (worst on the way {worst:.2}); {} bytes in all",
                    packed.len()
                );
                break;
            }
            now_ms += random.random_range(1..20_000);
            let actor = &mut actors[random.random_range(0..3)];
            if random.random_ratio(1, 15) {
                (actor.1, actor.2) = (now_ms / 1_000, 0);
                starts += 1;
            }
            actor.2 += random.random_range(1..50);
            let dot = Dot { actor: Actor(actor.0), counter: actor.1 << 32 | actor.2 };
            let path = entry.versions()[random.random_range(0..leaves)].path.clone();
            let draft = draft(&entry, &set(path, update.to_string().as_bytes()).unwrap());
            let (mut versions, context) = entry.into_parts();
            versions.retain(|version| !draft.covers.contains(&version.dot));
            versions.extend(draft.leaves.into_iter().map(|leaf| leaf.into_version(dot, Timestamp(now_ms << 16), 0)));
            entry = Entry::new(versions, context);
        }
        assert!(worst <= 12.0, "{worst}");
    }
}

/// What the paths take in the packed form: their bytes, and the lengths before them.
fn path_bytes(entry: &Entry) -> usize {
    let mut before: &[u8] = &[];
    let mut bytes = 0;
    for (index, version) in entry.versions().iter().enumerate() {
        let path = version.path.as_bytes();
        let shared = before.iter().zip(path).take_while(|(a, b)| a == b).count();
        assert!(path.len() < 128, "lengths of one byte each");
        bytes += if index % BLOCK_LEAVES == 0 { 1 + path.len() } else { 2 + path.len() - shared };
        before = path;
    }
    bytes
}

#[test]
fn the_largest_document_packs_and_unpacks() {
    let text: Vec<String> = (0..DOCUMENT_LEAVES_MAX).map(|leaf| format!(r#""{leaf}":{}"#, leaf % 10)).collect();
    let entry = written(&format!("{{{}}}", text.join(",")), 1);
    let packed = pack(&entry);
    assert!(same(&unpack(&packed).unwrap(), &entry));
    let at = Path::parse("777").unwrap();
    assert_eq!(select(&packed, &at).unwrap().versions().len(), 1);
    println!("{DOCUMENT_LEAVES_MAX} leaves: {} bytes", packed.len());
}
