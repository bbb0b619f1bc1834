//! Which partition a key belongs to. A client in any language can compute it: the golden table in the tests is for checking that.
//!
//! The number of partitions is fixed when the cluster is formed and peers own whole partitions: strategy 3 of Dynamo
//! (SOSP 2007, §6.2), so that where data lies and how it is cut into pieces are two separate questions.

use serde::{Deserialize, Serialize};
use std::fmt;
use twox_hash::XxHash3_64;

/// The number of a partition: 0 up to, not including, the number of partitions of the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PartitionId(pub u16);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What of a key is hashed: what stands between its first `{` and the first `}` after that, if that is not empty; else the whole key.
///
/// So `{user7}:cart` and `{user7}:orders` lie in one partition. The rule is that of Redis hash tags, which people know; only the
/// first `{` counts, also when nothing stands in its braces: the group of `a{}{b}` is all of it.
pub fn group(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let inside = &key[open + 1..];
    match inside.iter().position(|&byte| byte == b'}') {
        Some(close) if close > 0 => &inside[..close],
        _ => key,
    }
}

/// The 64-bit hash of a key's group: xxh3, seed 0, its default secret.
pub fn group_hash(key: &[u8]) -> u64 {
    XxHash3_64::oneshot(group(key))
}

/// The partition of a key: the top log2(`partitions`) bits of its [`group_hash`].
///
/// Requires: `partitions` is a power of two.
pub fn partition_of(key: &[u8], partitions: u16) -> PartitionId {
    assert!(partitions.is_power_of_two(), "a cluster has a power of two of partitions, not {partitions}");
    let below = u64::BITS - partitions.trailing_zeros();
    // One partition: all 64 bits are below, which a shift does not take.
    PartitionId(group_hash(key).checked_shr(below).unwrap_or(0) as u16)
}

/// Where a partition stands on the ring: p · 2^64 / `partitions`.
///
/// Requires: `partitions` is a power of two above the partition's number.
pub(super) fn position(partition: PartitionId, partitions: u16) -> u64 {
    assert!(partitions.is_power_of_two() && partition.0 < partitions);
    u64::from(partition.0).checked_shl(u64::BITS - partitions.trailing_zeros()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `abc…zabc…`, this many bytes.
    fn letters(length: usize) -> Vec<u8> {
        (0..length).map(|i| b'a' + (i % 26) as u8).collect()
    }

    #[test]
    fn the_group_of_a_key_is_what_stands_in_its_first_braces() {
        for (key, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{user1000}.following", "user1000"),
            ("{user1000}.followers", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
            ("foo}bar{", "foo}bar{"),
            ("}{a}", "a"),
            ("{}", "{}"),
            ("{", "{"),
            ("a{b}", "b"),
        ] {
            assert_eq!(group(key.as_bytes()), expected.as_bytes(), "{key}");
        }
    }

    #[test]
    fn golden_partitions_stay_for_ever() {
        for (length, hash, partition) in GOLDEN {
            let key = letters(length);
            assert_eq!((group_hash(&key), partition_of(&key, 256).0), (hash, partition), "length {length}");
        }
        for (key, hash, partition) in GOLDEN_GROUPS {
            assert_eq!((group_hash(key.as_bytes()), partition_of(key.as_bytes(), 256).0), (hash, partition), "{key}");
        }
    }

    #[test]
    fn a_partition_is_the_top_bits_of_the_hash() {
        let key = b"somewhere";
        for bits in 0..=12 {
            let expected = if bits == 0 { 0 } else { group_hash(key) >> (64 - bits) };
            assert_eq!(u64::from(partition_of(key, 1 << bits).0), expected);
        }
    }

    #[test]
    fn partitions_stand_evenly_round_the_ring() {
        assert_eq!(position(PartitionId(0), 1), 0);
        assert_eq!(position(PartitionId(1), 2), 1 << 63);
        assert_eq!(position(PartitionId(255), 256), 255 << 56);
    }

    /// (length of the key, hash, partition of 256): the key is that many letters `abc…zabc…`. One of each way xxh3 treats a length;
    /// made with the reference implementation.
    const GOLDEN: [(usize, u64, u16); 14] = [
        (0, 0x2d06_8005_38d3_94c2, 45),
        (1, 0xe6c6_32b6_1e96_4e1f, 230),
        (3, 0x78af_5f94_892f_3950, 120),
        (4, 0x6497_a96f_53a8_9890, 100),
        (8, 0x6f45_a768_42a9_6483, 111),
        (9, 0xe0dd_e4fc_1745_90a0, 224),
        (16, 0x3d3c_cac9_af14_d8a8, 61),
        (17, 0xca7f_3571_df47_cacf, 202),
        (128, 0x3e99_edc6_c76f_21c6, 62),
        (129, 0x852c_b206_08c9_d2c7, 133),
        (240, 0xea0e_0f78_1882_32ed, 234),
        (241, 0xbb0a_906a_f5b5_c211, 187),
        (1024, 0x5e6a_406e_1271_65a8, 94),
        (4096, 0x418f_6f6a_7591_3ff3, 65),
    ];

    /// (key, hash of its group, partition of 256).
    const GOLDEN_GROUPS: [(&str, u64, u16); 5] = [
        ("{user1000}.following", 0xb03c_8988_cdc1_c874, 176),
        ("{user1000}.followers", 0xb03c_8988_cdc1_c874, 176),
        ("foo{}{bar}", 0xc183_e667_8835_189c, 193),
        ("foo{{bar}}zap", 0xa361_0095_f98f_8e10, 163),
        ("schlüssel", 0x1aca_8ef6_171a_20de, 26),
    ];
}
