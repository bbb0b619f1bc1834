//! What a seed draws of the sizes and times that a store and a peer can be told: so that bounds are met in a run of seconds.

use crate::dice::Dice;
use henge::storage::StoreBounds;

/// The stream of these draws.
const CONCERN: u64 = 21;

/// Sizes and times of all peers of a seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuning {
    /// The size of the first segment after a start (bytes).
    pub segment_bytes_min: u64,
    /// The size up to which segments double (bytes).
    pub segment_bytes_max: u64,
    /// Bytes of records kept in memory for reads.
    pub cache_bytes: usize,
    /// What a store keeps for others, and lets wait for a full disk, at most.
    pub bounds: StoreBounds,
    /// A round of comparisons takes so long (milliseconds); none: as long as it usually does.
    pub compare_round_ms: Option<u64>,
    /// Reads that wait longer than usual ask one replica more.
    pub hedges: bool,
}

impl Tuning {
    /// That of stories: small segments, so that a run goes through several of them, and a small cache, so that reads go to the disk.
    pub fn calm() -> Tuning {
        Tuning {
            segment_bytes_min: 32 << 10,
            segment_bytes_max: 256 << 10,
            cache_bytes: 2 << 10,
            bounds: StoreBounds::default(),
            compare_round_ms: None,
            hedges: true,
        }
    }

    /// That of a seed. `fills_up`: there are disks that are full for a while, which small segments notice sooner.
    pub fn draw(seed: u64, fills_up: bool) -> Tuning {
        let dice = &mut Dice::of(seed, CONCERN);
        let smallest = *dice.pick(&[8, 16, 32, 32, 64_u64]);
        let times = *dice.pick(&[1, 2, 8, 32_u64]);
        let cache_bytes = *dice.pick(&[256, 2 << 10, 2 << 10, 32 << 10, 1 << 20]);
        let hints_max = dice.between(1, 3) as usize;
        let has_few_hints = dice.chance(0.25);
        let waiting_bytes_full = dice.spread(200, 20_000) as usize;
        let waits_for_little = dice.chance(0.7);
        let compare_round_ms = *dice.pick(&[None, None, Some(5_000), Some(20_000), Some(2_000)]);
        let hedges = dice.chance(0.8);
        let usual = StoreBounds::default();
        let smallest = if fills_up { smallest.min(16) } else { smallest };
        Tuning {
            segment_bytes_min: smallest << 10,
            segment_bytes_max: (smallest * if fills_up { times.min(2) } else { times }) << 10,
            cache_bytes,
            bounds: StoreBounds {
                hints_max: if has_few_hints { hints_max } else { usual.hints_max },
                waiting_bytes_full: if waits_for_little { waiting_bytes_full } else { usual.waiting_bytes_full },
                ..usual
            },
            compare_round_ms,
            hedges,
        }
    }
}
