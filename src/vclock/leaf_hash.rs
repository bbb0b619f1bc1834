//! The hash of a key's live state, which the tries sum.
//!
//! SipHash-1-3 and not a faster hash like xxh3 with a secret: clients choose keys, paths and values, and a trie *adds* hashes, so whoever
//! could find out how an input moves the hash could make two different replicas look equal. SipHash is a pseudo-random function of its
//! 128-bit key, which change 0 of the membership list carries and no client sees; one and three rounds are what hash
//! tables with the same need settled on, where outputs stay hidden.

use super::{Dot, Entry, Kind, Version};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The hash of the live state of a key: of the key, and for each live version in (path, dot) order its dot, kind, expiry, path and the
/// CRC-32C of its value. Never of the context, nor of times (one dot, one time). 0 if nothing is live: such an entry adds nothing to
/// a sum, so a finished deletion makes nothing look different.
pub fn leaf_hash(key: &[u8], entry: &Entry, hash_key: &[u8; 16]) -> u64 {
    if entry.versions().is_empty() {
        return 0;
    }
    let mut hasher = begin(key, hash_key);
    for Version { dot, path, kind, value, expiry_ms, .. } in entry.versions() {
        add(&mut hasher, *dot, *kind, *expiry_ms, path.as_bytes(), value);
    }
    hasher.finish()
}

/// What `leaf_hash` says of the entry whose only version is this one, at the root path.
pub fn plain_leaf_hash(key: &[u8], dot: Dot, kind: Kind, expiry_ms: u64, value: &[u8], hash_key: &[u8; 16]) -> u64 {
    let mut hasher = begin(key, hash_key);
    add(&mut hasher, dot, kind, expiry_ms, &[], value);
    hasher.finish()
}

/// Lengths stand before what they measure, so no two states feed the hash the same bytes.
fn begin(key: &[u8], hash_key: &[u8; 16]) -> SipHasher13 {
    let mut hasher = SipHasher13::new_with_key(hash_key);
    hasher.write(&(key.len() as u64).to_le_bytes());
    hasher.write(key);
    hasher
}

fn add(hasher: &mut SipHasher13, dot: Dot, kind: Kind, expiry_ms: u64, path: &[u8], value: &[u8]) {
    // One write of a fixed size: many small ones cost more than the hashing.
    let mut fixed = [0; 32];
    fixed[..8].copy_from_slice(&dot.actor.0.to_le_bytes());
    fixed[8..16].copy_from_slice(&dot.counter.to_le_bytes());
    fixed[16..24].copy_from_slice(&expiry_ms.to_le_bytes());
    fixed[24..28].copy_from_slice(&crc32c::crc32c(value).to_le_bytes());
    // A path has at most 4,096 bytes: the kind fits above its length.
    fixed[28..].copy_from_slice(&((path.len() as u32) << 8 | kind as u32).to_le_bytes());
    hasher.write(&fixed);
    hasher.write(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::sampling::{check, entry, version};
    use crate::vclock::{Path, Seen};
    use proptest::prelude::*;

    const KEY: [u8; 16] = *b"0123456789abcdef";

    #[test]
    fn the_short_way_for_a_plain_version_gives_the_same_hash() {
        check("plain hashes", 2_000, (version(Just(Path::ROOT)), any::<Vec<u8>>()), |(version, key)| {
            let Version { dot, kind, value, expiry_ms, .. } = version.clone();
            let entry = Entry::new(vec![version], Seen::new());
            prop_assert_eq!(leaf_hash(&key, &entry, &KEY), plain_leaf_hash(&key, dot, kind, expiry_ms, &value, &KEY));
            Ok(())
        });
    }

    #[test]
    fn the_hash_sees_every_part_of_the_live_state_and_nothing_of_the_context() {
        check("hashes", 2_000, (entry(), any::<prop::sample::Index>(), 0usize..8), |(entry, which, part)| {
            let hash = leaf_hash(b"key", &entry, &KEY);
            let (mut versions, _) = entry.clone().into_parts();
            prop_assert_eq!(leaf_hash(b"key", &Entry::new(versions.clone(), Seen::new()), &KEY), hash);
            if versions.is_empty() {
                prop_assert_eq!(hash, 0);
                return Ok(());
            }
            let version = which.index(versions.len());
            let version = &mut versions[version];
            match part {
                0 => version.dot.actor.0 ^= 1 << 63,
                1 => version.dot.counter ^= 1 << 40,
                2 => version.path = version.path.push("more").unwrap(),
                3 => version.kind = if version.kind == Kind::Scalar { Kind::Array } else { Kind::Scalar },
                4 => version.value = [&version.value[..], b"!"].concat().into(),
                5 => version.expiry_ms ^= 1,
                6 => prop_assert_ne!(leaf_hash(b"kez", &entry, &KEY), hash),
                _ => prop_assert_ne!(leaf_hash(b"key", &entry, b"0123456789abcdeg"), hash),
            }
            if part < 6 {
                prop_assert_ne!(leaf_hash(b"key", &Entry::new(versions, Seen::new()), &KEY), hash);
            }
            Ok(())
        });
    }

    #[test]
    fn any_bit_of_the_input_turns_half_of_the_hash() {
        let (mut turned, mut cases) = (0, 0);
        for counter in 0..200u64 {
            let hash = |counter, value: &[u8]| {
                let dot = Dot { actor: super::super::Actor(7), counter };
                plain_leaf_hash(b"key", dot, Kind::Bytes, 0, value, &KEY)
            };
            for bit in 0..64 {
                turned += (hash(counter, b"v") ^ hash(counter ^ 1 << bit, b"v")).count_ones();
                turned += (hash(counter, b"v") ^ hash(counter, format!("v{bit}").as_bytes())).count_ones();
                cases += 2;
            }
        }
        let mean = f64::from(turned) / f64::from(cases);
        println!("of 64 bits {mean:.2} turn in {cases} cases");
        assert!((31.5..32.5).contains(&mean));
    }
}
