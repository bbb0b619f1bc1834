//! When to pull what from whom: a steady round over every partition and partner, at once what somebody wants, and what came of it.

use super::Figures;
use crate::limits::{COMPARE_BURST_MS, COMPARE_ROUND_MS, PULL_BACKOFF_MS};
use crate::ring::{MemberId, PartitionId};
use std::collections::{BTreeMap, BTreeSet};

/// A partition, and another owner of it.
type Pair = (PartitionId, MemberId);

/// The scheduler of pulls. Wanted ones come first, in the order in which they were wanted; the round fills up.
#[derive(Debug)]
pub struct Rounds {
    pairs: BTreeMap<Pair, Standing>,
    /// Pairs that somebody wants, by the number of the first want that is open.
    wanted: BTreeSet<(u64, Pair)>,
    wants: u64,
    /// How long a round takes (milliseconds); none: there are no rounds.
    round_ms: Option<u64>,
    /// The pair with which the round went on last.
    last: Option<Pair>,
    /// When the next burst of the round is due.
    burst_ms: u64,
    /// What of a pair's time has been saved up, in pairs × milliseconds.
    saved: u64,
    totals: BTreeMap<MemberId, (u64, Figures)>,
}

/// What is known of a pair.
#[derive(Clone, Copy, Default, Debug)]
struct Standing {
    is_running: bool,
    /// Wants up to this number are answered by the pull that is running, or waits for the disk.
    began: u64,
    /// Wants up to this number are answered.
    finished: u64,
    /// The last want, and the first that is open; 0 for none.
    wanted: u64,
    open: u64,
    failures: u32,
    /// Not before this time.
    retry_ms: u64,
    /// Digest of the partner's clock that was taken over last.
    known: u64,
    in_step: bool,
    finished_ms: Option<u64>,
    /// It was not in step: looked at once more soon, at this time.
    again_ms: Option<u64>,
}

/// How a pull has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Its takeover has been appended.
    TakenOver {
        /// Of the clock that was taken over.
        digest: u64,
        /// True if roots and clocks were equal at the beginning.
        was_equal: bool,
    },
    /// It did not come to its end.
    Unfinished,
}

/// How comparisons with one partner stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pairing {
    /// The partner.
    pub member: MemberId,
    /// Partitions that both own.
    pub partitions: u32,
    /// Those of them of which the last pull found equal roots and equal clocks.
    pub in_step: u32,
    /// The time of the pull that is the oldest of the last ones of each partition (monotonic milliseconds); none if one is missing.
    pub all_since_ms: Option<u64>,
    /// Pulls that have finished.
    pub pulls: u64,
    /// What they and the unfinished ones have moved.
    pub figures: Figures,
}

impl Default for Rounds {
    fn default() -> Rounds {
        Rounds {
            pairs: BTreeMap::new(),
            wanted: BTreeSet::new(),
            wants: 0,
            round_ms: Some(COMPARE_ROUND_MS),
            last: None,
            burst_ms: 0,
            saved: 0,
            totals: BTreeMap::new(),
        }
    }
}

impl Rounds {
    /// From now on these are the pairs. What is known of those that stay is kept.
    pub fn set_pairs(&mut self, now_ms: u64, pairs: impl IntoIterator<Item = (PartitionId, MemberId)>) {
        let old = std::mem::take(&mut self.pairs);
        self.pairs = pairs.into_iter().map(|pair| (pair, old.get(&pair).copied().unwrap_or_default())).collect();
        self.wanted.retain(|(_, pair)| self.pairs.contains_key(pair));
        self.burst_ms = now_ms + COMPARE_BURST_MS;
    }

    /// How long a whole round takes (milliseconds). None: no rounds; what is wanted is pulled all the same.
    pub fn set_round(&mut self, round_ms: Option<u64>) {
        self.round_ms = round_ms.map(|ms| ms.max(1));
    }

    /// A pull of the partition from the partner that begins from now on is wanted soon. `finished` comes to this number, or beyond, when one has
    /// finished.
    pub fn want(&mut self, partition: PartitionId, partner: MemberId) -> u64 {
        self.wants += 1;
        let pair = (partition, partner);
        if let Some(standing) = self.pairs.get_mut(&pair) {
            standing.wanted = self.wants;
            if standing.open == 0 {
                standing.open = self.wants;
                self.wanted.insert((self.wants, pair));
            }
        }
        self.wants
    }

    /// Everything that is shared with a partner is wanted: it is back, and may have missed anything.
    pub fn want_all_with(&mut self, partner: MemberId) {
        let shared: Vec<PartitionId> = self.pairs.keys().filter(|pair| pair.1 == partner).map(|pair| pair.0).collect();
        for partition in shared {
            // It answers now: whatever made it wait does not count.
            if let Some(standing) = self.pairs.get_mut(&(partition, partner)) {
                (standing.failures, standing.retry_ms) = (0, 0);
            }
            self.want(partition, partner);
        }
    }

    /// The greatest n such that a pull has finished, durably, that began after `want` had returned n; 0 for none.
    pub fn finished(&self, partition: PartitionId, partner: MemberId) -> u64 {
        self.pairs.get(&(partition, partner)).map_or(0, |standing| standing.finished)
    }

    /// True if somebody waits for a pull of this pair.
    pub fn is_wanted(&self, partition: PartitionId, partner: MemberId) -> bool {
        self.pairs.get(&(partition, partner)).is_some_and(|standing| standing.open != 0)
    }

    /// When the next burst is due (monotonic milliseconds). None if there is nobody to compare with.
    pub fn next_wake(&self) -> Option<u64> {
        (!self.pairs.is_empty()).then_some(self.burst_ms)
    }

    /// What to begin now, `room` pulls at the most, each with the digest of the partner's clock that is known. They are taken for begun.
    pub fn begin(&mut self, now_ms: u64, room: usize, is_live: impl Fn(MemberId) -> bool) -> Vec<(PartitionId, MemberId, u64)> {
        let mut begun: Vec<Pair> = Vec::new();
        let may = |pair: &Pair, standing: &Standing| !standing.is_running && standing.retry_ms <= now_ms && is_live(pair.1);
        for (_, pair) in &self.wanted {
            let standing = &self.pairs[pair];
            if begun.len() < room && standing.began < standing.wanted && may(pair, standing) {
                begun.push(*pair);
            }
        }
        if now_ms >= self.burst_ms {
            let share = self.share_of_round(now_ms);
            self.burst_ms = now_ms + COMPARE_BURST_MS;
            let again = |standing: &Standing| standing.again_ms.is_some_and(|at| at <= now_ms);
            for (pair, standing) in self.pairs.iter().filter(|(_, standing)| again(standing)) {
                if begun.len() < room && may(pair, standing) && !begun.contains(pair) {
                    begun.push(*pair);
                }
            }
            self.go_round(share, room, &mut begun, may);
        }
        let wants = self.wants;
        for pair in &begun {
            if let Some(standing) = self.pairs.get_mut(pair) {
                (standing.is_running, standing.began, standing.again_ms) = (true, wants, None);
            }
        }
        begun.into_iter().map(|pair| (pair.0, pair.1, self.pairs[&pair].known)).collect()
    }

    /// How many pairs the round goes on by.
    fn share_of_round(&mut self, now_ms: u64) -> usize {
        let Some(round_ms) = self.round_ms else { return 0 };
        let elapsed = (now_ms + COMPARE_BURST_MS).saturating_sub(self.burst_ms).min(round_ms);
        self.saved += elapsed * self.pairs.len() as u64;
        let share = self.saved / round_ms;
        self.saved %= round_ms;
        share as usize
    }

    /// Goes on with the round. Partners that are away are left out: what they have missed is wanted when they are back.
    fn go_round(&mut self, share: usize, room: usize, begun: &mut Vec<Pair>, may: impl Fn(&Pair, &Standing) -> bool) {
        for _ in 0..share.min(self.pairs.len()) {
            use std::ops::Bound::{Excluded, Unbounded};
            let after = self.last.map_or(Unbounded, Excluded);
            let next = self.pairs.range((after, Unbounded)).next().or_else(|| self.pairs.iter().next());
            let Some((pair, standing)) = next else { return };
            if may(pair, standing) && !begun.contains(pair) {
                if begun.len() >= room {
                    // The round waits for room: nobody is left out by those who take long.
                    return;
                }
                begun.push(*pair);
            }
            self.last = Some(*pair);
        }
    }

    /// A pull is not under way any more. Answers with the number to hand to `settle` if it was taken over.
    pub fn end(&mut self, now_ms: u64, partition: PartitionId, partner: MemberId, ended: Ended, figures: Figures) -> u64 {
        self.totals.entry(partner).or_default().1.add(figures);
        let Some(standing) = self.pairs.get_mut(&(partition, partner)) else { return 0 };
        standing.is_running = false;
        match ended {
            Ended::TakenOver { digest, was_equal } => {
                // One look more, if this one found something to do: it says whether that was all. A second time that is left to the round.
                let first = standing.in_step || standing.finished_ms.is_none() || figures.fetched > 0;
                standing.again_ms = (!was_equal && first).then_some(now_ms + COMPARE_BURST_MS);
                standing.in_step = was_equal;
                standing.known = digest;
                (standing.failures, standing.retry_ms) = (0, 0);
            }
            Ended::Unfinished => {
                standing.in_step = false;
                standing.began = standing.finished;
                standing.failures += 1;
                let backoff = PULL_BACKOFF_MS << standing.failures.min(16);
                standing.retry_ms = now_ms + backoff.min(COMPARE_ROUND_MS);
            }
        }
        standing.began
    }

    /// What was learned of a partition is not here any more.
    pub fn forget(&mut self, partition: PartitionId) {
        let of_it = (partition, MemberId(0))..=(partition, MemberId(u128::MAX));
        for (_, standing) in self.pairs.range_mut(of_it) {
            (standing.known, standing.in_step) = (0, false);
        }
    }

    /// A pull that was taken over is durable: the wants up to this number are answered.
    pub fn settle(&mut self, now_ms: u64, partition: PartitionId, partner: MemberId, began: u64) {
        self.totals.entry(partner).or_default().0 += 1;
        let pair = (partition, partner);
        let Some(standing) = self.pairs.get_mut(&pair) else { return };
        standing.finished = standing.finished.max(began);
        standing.finished_ms = Some(now_ms);
        if standing.open != 0 && standing.finished >= standing.wanted {
            self.wanted.remove(&(standing.open, pair));
            (standing.open, standing.wanted) = (0, 0);
        }
    }

    /// Partitions that have partners, and those of them that are in step with all of them.
    pub fn in_step(&self) -> (u32, u32) {
        let mut partitions: BTreeMap<PartitionId, bool> = BTreeMap::new();
        for (pair, standing) in &self.pairs {
            *partitions.entry(pair.0).or_insert(true) &= standing.in_step;
        }
        (partitions.len() as u32, partitions.values().filter(|in_step| **in_step).count() as u32)
    }

    /// How comparisons with each partner stand.
    pub fn pairings(&self) -> Vec<Pairing> {
        let mut pairings: BTreeMap<MemberId, Pairing> = BTreeMap::new();
        for ((_, member), standing) in &self.pairs {
            let (pulls, figures) = self.totals.get(member).copied().unwrap_or_default();
            let since = standing.finished_ms;
            let pairing = Pairing { member: *member, partitions: 0, in_step: 0, all_since_ms: since, pulls, figures };
            let pairing = pairings.entry(*member).or_insert(pairing);
            pairing.partitions += 1;
            pairing.in_step += u32::from(standing.in_step);
            pairing.all_since_ms = pairing.all_since_ms.zip(since).map(|(a, b)| a.min(b));
        }
        pairings.into_values().collect()
    }
}
