//! Choosing the owners: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016), in two passes.
//!
//! The first pass takes what the walk offers, bound or no bound: plain consistent hashing, where a member that comes or goes moves only
//! what it takes or leaves. In the second each member above its bound gives what it has too much of to the next members of the walk that
//! have room, through chains of gifts where need be. So nobody but the few above their bound is touched, and a change of the members
//! shakes little beyond its own share. The paper's one pass, in which a partition that comes early fills a member that is the
//! natural owner of a later one, keeps the same bound and moves more.

use super::share::Spread;
use super::{MemberId, MemberIndex};
use crate::broken::{Rule, is_broken};
use std::collections::VecDeque;
use twox_hash::XxHash3_64;

/// Most (partition, candidate) pairs that the second pass looks at, so that an odd list of members costs a second at
/// most; when it is used up the bound gives way.
const STEPS_MAX: u64 = 100_000_000;

/// Which members own which partitions, while it is being decided.
struct Assignment<'a> {
    walks: &'a [MemberIndex],
    spread: &'a Spread,
    bounds: &'a [u32],
    /// Flat, by partition: whether each member owns it.
    owned: Vec<bool>,
    /// Flat, by partition: how many of its owners each zone has.
    of_zone: Vec<u8>,
    /// How many partitions each member owns.
    loads: Vec<u32>,
    /// The order in which partitions are given away, and where in it each member begins: by hash, so that neighbours on the ring, who
    /// have the same members behind them, are not given away together; and fixed, so that a bound that falls by one moves one partition.
    order: Vec<usize>,
    starts: Vec<usize>,
}

/// For each partition and member (flat, by partition) whether the member owns it.
///
/// `walks` are those of `virtual_nodes::walks`; `bounds` the most partitions of each member, by member index. The bound gives way where it
/// leaves no choice; the number of owners and their spread over zones never do.
pub(super) fn assign(ids: &[MemberId], walks: &[MemberIndex], spread: &Spread, bounds: &[u32]) -> Vec<bool> {
    let partitions = walks.len() / ids.len();
    let mut assignment = Assignment {
        walks,
        spread,
        bounds,
        owned: vec![false; walks.len()],
        of_zone: vec![0; partitions * spread.least.len()],
        loads: vec![0; ids.len()],
        order: by_hash(partitions),
        starts: ids.iter().map(|id| (XxHash3_64::oneshot(&id.0.to_le_bytes()) % partitions as u64) as usize).collect(),
    };
    assignment.take_from_walks();
    assignment.give_what_is_too_much();
    assignment.owned
}

impl Assignment<'_> {
    fn members(&self) -> usize {
        self.loads.len()
    }

    fn partitions(&self) -> usize {
        self.walks.len() / self.members()
    }

    fn walk(&self, partition: usize) -> &[MemberIndex] {
        &self.walks[partition * self.members()..][..self.members()]
    }

    fn owns(&self, member: usize, partition: usize) -> bool {
        self.owned[partition * self.members() + member]
    }

    fn owners_in(&mut self, zone: usize, partition: usize) -> &mut u8 {
        &mut self.of_zone[partition * self.spread.least.len() + zone]
    }

    fn set(&mut self, member: usize, partition: usize, owns: bool) {
        let place = partition * self.members() + member;
        assert_ne!(self.owned[place], owns);
        self.owned[place] = owns;
        let zone = self.spread.zone_of[member];
        if owns {
            self.loads[member] += 1;
            *self.owners_in(zone, partition) += 1;
        } else {
            self.loads[member] -= 1;
            *self.owners_in(zone, partition) -= 1;
        }
    }

    fn give(&mut self, partition: usize, source: usize, target: usize) {
        self.set(source, partition, false);
        self.set(target, partition, true);
    }

    /// Whether the owners of a partition are still spread as they must be when `target` takes it from `source`.
    fn may_give(&self, partition: usize, source: usize, target: usize) -> bool {
        let (from, to) = (self.spread.zone_of[source], self.spread.zone_of[target]);
        let row = &self.of_zone[partition * self.spread.least.len()..][..self.spread.least.len()];
        !self.owns(target, partition)
            && (from == to
                || is_broken(Rule::ZonesIgnored)
                || usize::from(row[from]) > self.spread.least[from] && usize::from(row[to]) < self.spread.most[to])
    }

    /// The first pass: the first members of the walk that fill what every zone surely gives, and the next ones for what is left.
    fn take_from_walks(&mut self) {
        for partition in 0..self.partitions() {
            let mut wanted = self.spread.owners;
            for most in [&self.spread.least, &self.spread.most] {
                for step in 0..self.members() {
                    let member = self.walk(partition)[step].place();
                    let zone = self.spread.zone_of[member];
                    if wanted > 0 && !self.owns(member, partition) && usize::from(*self.owners_in(zone, partition)) < most[zone] {
                        self.set(member, partition, true);
                        wanted -= 1;
                    }
                }
            }
            assert_eq!(wanted, 0, "zones that may give at most one owner more than they surely do give enough owners");
        }
    }

    /// The second pass: what a member owns above its bound goes to one with room.
    fn give_what_is_too_much(&mut self) {
        let mut steps = STEPS_MAX;
        for member in 0..self.members() {
            while self.loads[member] > self.bounds[member] {
                let Some(chain) = self.chain_from(member, &mut steps) else { break };
                // From the far end: each makes room for the gift it gets.
                for (source, partition, target) in chain {
                    self.give(partition, source, target);
                }
            }
        }
    }

    /// The shortest chain of gifts (source, partition, target) from a member to one with room, last gift first. Mostly it is one gift.
    fn chain_from(&self, member: usize, steps: &mut u64) -> Option<Vec<(usize, usize, usize)>> {
        let mut reached: Vec<Option<(usize, usize)>> = vec![None; self.members()];
        let mut waiting = VecDeque::from([member]);
        while let Some(source) = waiting.pop_front() {
            let (behind, ahead) = self.order.split_at(self.starts[source]);
            for partition in ahead.iter().chain(behind).copied().filter(|&partition| self.owns(source, partition)) {
                for target in self.walk(partition).iter().map(|candidate| candidate.place()) {
                    *steps = steps.checked_sub(1)?;
                    if target == member || reached[target].is_some() || !self.may_give(partition, source, target) {
                        continue;
                    }
                    reached[target] = Some((source, partition));
                    if self.loads[target] < self.bounds[target] {
                        return chain_to(target, &reached);
                    }
                    waiting.push_back(target);
                }
            }
        }
        None
    }
}

/// Follows the links back to where the search began. None if one partition stands in it twice, which zones can bring about: they were
/// checked for one gift only.
fn chain_to(end: usize, reached: &[Option<(usize, usize)>]) -> Option<Vec<(usize, usize, usize)>> {
    let mut chain: Vec<(usize, usize, usize)> = Vec::new();
    let mut target = end;
    while let Some((source, partition)) = reached[target] {
        if chain.iter().any(|gift| gift.1 == partition) {
            return None;
        }
        chain.push((source, partition, target));
        target = source;
    }
    Some(chain)
}

/// All partitions in the order of the hash (xxh3-64, seed 0) of their numbers (2 bytes, little-endian).
fn by_hash(partitions: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..partitions).collect();
    order.sort_unstable_by_key(|&partition| (XxHash3_64::oneshot(&(partition as u16).to_le_bytes()), partition));
    order
}
