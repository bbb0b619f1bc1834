//! Choosing the owners: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016), in two passes.
//!
//! The first pass takes what the walk offers, bound or no bound: plain consistent hashing, where a member that comes or goes moves only
//! what it takes or leaves. The second pass takes from each member above its bound as many partitions as it has too many, lowest hash
//! first, each to the next member of its walk that has room. So a partition that was pushed away never pushes another one, and a
//! change of the members shakes little beyond its own share. The paper's one pass, in which a partition that comes early fills
//! a member that is the natural owner of a later one, keeps the same bound and moves more.

use super::share::Spread;
use super::{MemberId, MemberIndex};
use std::collections::VecDeque;
use twox_hash::XxHash3_64;

/// Most (partition, candidate) pairs that the search for exchanges looks at, so that an odd list of members costs a second at
/// most; when it is used up the bound gives way.
const EXCHANGE_STEPS_MAX: u64 = 100_000_000;

/// Which members own which partitions, while it is being decided.
pub(super) struct Assignment<'a> {
    walks: &'a [MemberIndex],
    spread: &'a Spread,
    bounds: &'a [u32],
    owned: Vec<bool>,
    of_zone: Vec<u8>,
    loads: Vec<u32>,
}

/// For each partition and member (flat, by partition) whether the member owns it.
///
/// `walks` are those of `virtual_nodes::walks`; `bounds` the most partitions of each member, by member index. The bound gives way where it
/// leaves no choice; the number of owners and their spread over zones never do.
pub(super) fn assign(ids: &[MemberId], walks: &[MemberIndex], spread: &Spread, bounds: &[u32]) -> Vec<bool> {
    let mut assignment = Assignment {
        walks,
        spread,
        bounds,
        owned: vec![false; walks.len()],
        of_zone: vec![0; walks.len() / ids.len() * spread.least.len()],
        loads: vec![0; ids.len()],
    };
    assignment.take_from_walks();
    assignment.push_on(ids);
    assignment.exchange();
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
            && (from == to || usize::from(row[from]) > self.spread.least[from] && usize::from(row[to]) < self.spread.most[to])
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

    /// The second pass: what a member owns above its bound goes on along the walk.
    fn push_on(&mut self, ids: &[MemberId]) {
        let mut pushed = Vec::new();
        for member in (0..self.members()).filter(|&member| self.loads[member] > self.bounds[member]) {
            let owned = (0..self.partitions()).filter(|&partition| self.owns(member, partition));
            pushed.extend(owned.map(|partition| (priority(ids[member], partition), member, partition)));
        }
        pushed.sort_unstable();
        for (_, member, partition) in pushed {
            if self.loads[member] <= self.bounds[member] {
                continue;
            }
            let target =
                self.walk(partition).iter().map(|candidate| candidate.place()).find(|&candidate| {
                    self.loads[candidate] < self.bounds[candidate] && self.may_give(partition, member, candidate)
                });
            if let Some(target) = target {
                self.give(partition, member, target);
            }
        }
    }

    /// For what is still above its bound: chains of members, each giving a partition to the next, that end at one with room.
    fn exchange(&mut self) {
        let mut steps = EXCHANGE_STEPS_MAX;
        for member in 0..self.members() {
            while self.loads[member] > self.bounds[member] {
                let Some(chain) = self.chain_from(member, &mut steps) else { break };
                // From the far end, so that nobody is above its bound in between; each link is about another partition or member.
                for (source, partition, target) in chain {
                    self.give(partition, source, target);
                }
            }
        }
    }

    /// The shortest chain of gifts (source, partition, target) from a member to one with room, last gift first.
    fn chain_from(&self, member: usize, steps: &mut u64) -> Option<Vec<(usize, usize, usize)>> {
        let mut reached: Vec<Option<(usize, usize)>> = vec![None; self.members()];
        let mut waiting = VecDeque::from([member]);
        while let Some(source) = waiting.pop_front() {
            for partition in (0..self.partitions()).filter(|&partition| self.owns(source, partition)) {
                *steps = steps.checked_sub(self.members() as u64)?;
                for target in self.walk(partition).iter().map(|candidate| candidate.place()) {
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

/// Follows the links back to where the search began. None if one partition stands in it twice: its zones were checked for one gift only.
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

/// In which order a member gives up its partitions: fixed for ever, so that a change of the bound by one changes one partition.
fn priority(id: MemberId, partition: usize) -> u64 {
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&id.0.to_le_bytes());
    bytes[16..].copy_from_slice(&(partition as u16).to_le_bytes());
    XxHash3_64::oneshot(&bytes)
}
