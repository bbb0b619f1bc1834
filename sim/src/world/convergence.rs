//! Oracles c, f and h, as far as they look into the stores: what owners hold, what deleted keys cost, what grows.

use super::World;
use crate::oracle::Violation;
use crate::oracle::views::{self, Belief};
use henge::gossip::MemberState;
use henge::limits::{HINT_BYTES_MAX, HINTS_MAX, PULLS_MAX, PULLS_SETTLING_MAX, REQUESTS_IN_FLIGHT_MAX, RETRY_MEMORY_MAX};
use henge::message::{FetchMode, MemberRecord, Rank};
use henge::peer::Load;
use henge::ring::PartitionId;
use henge::vclock::{Actor, Seen};
use std::collections::BTreeMap;

/// Outputs that one peer holds back at most: far more than a run of this size has reason for.
const HELD_MAX: usize = 20_000;
/// Bytes that wait for the log of one peer at most.
const PENDING_BYTES_MAX: usize = 16 << 20;
/// Operations of one peer at most: each client has one request, tried a few times, and a list reads each key.
const OPERATIONS_MAX: usize = 200;
/// Times that a peer wakes within one millisecond of its clock at most: each has something to do.
const WAKES_MAX: u32 = 50;
/// Bytes that a hint for one key takes at most: some siblings of the largest values here.
const HINT_BYTES_OF_KEY_MAX: u64 = 64 << 10;

impl World {
    /// The owners of a partition.
    pub(super) fn owners_of(&self, partition: PartitionId) -> Vec<usize> {
        let Some(placement) = &self.placement else { return Vec::new() };
        placement.owners(partition).iter().filter_map(|owner| self.index_of(placement.member(*owner).member)).collect()
    }

    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.placement.iter().flat_map(|placement| placement.partition_ids()).collect()
    }

    /// Count and sum of what a peer holds of a partition.
    pub(super) fn summary(&self, n: usize, partition: PartitionId) -> Option<(u64, u64)> {
        let peer = self.nodes[n].peer.as_ref().filter(|peer| !peer.founders().is_empty())?;
        Some(peer.store().summary(partition))
    }

    /// True if all owners of every partition hold the same, by its sums.
    pub(crate) fn roots_are_equal(&self) -> bool {
        self.partitions().into_iter().all(|partition| {
            let owners = self.owners_of(partition);
            let first = owners.first().and_then(|owner| self.summary(*owner, partition));
            owners.iter().all(|owner| self.summary(*owner, partition) == first)
        })
    }

    /// True if no explicit context is left anywhere, and every clock is one interval an actor.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.leftovers().next().is_none()
    }

    /// What owners remember beyond one interval an actor: clocks with gaps, and explicit contexts. Gaps of a start that goes on are no
    /// leftovers: a dot that its author drew up and that no owner ever got is closed when that start is over.
    pub(crate) fn leftovers(&self) -> impl Iterator<Item = String> {
        self.partitions().into_iter().flat_map(move |partition| {
            self.owners_of(partition).into_iter().filter_map(move |owner| {
                let node = &self.nodes[owner];
                let Some(peer) = node.peer.as_ref().filter(|peer| !peer.founders().is_empty()) else {
                    return Some(format!("{} is down", node.name));
                };
                let clock = peer.store().clock(partition);
                let has_gaps = clock.runs().any(|(actor, intervals)| {
                    intervals.iter().filter(|interval| interval.first <= self.base_of(actor)).count() > 1
                });
                let is_over = |context: &Seen| {
                    context.runs().any(|(actor, intervals)| intervals.iter().any(|interval| interval.first <= self.base_of(actor)))
                };
                let contexts = peer.store().contexts_of(partition).filter(|context| is_over(context)).count();
                (has_gaps || contexts > 0)
                    .then(|| format!("{} of partition {}: {contexts} contexts, clock {clock:?}", node.name, partition.0))
            })
        })
    }

    /// Where the present start of an actor begins; the end of all counters for one that nobody has any more.
    fn base_of(&self, actor: Actor) -> u64 {
        self.nodes.iter().find(|node| node.actor == actor).map_or(u64::MAX, |node| node.start.base())
    }

    /// Oracle c: the roots of all owners are equal, so that the oracle that looks at every entry and the sums check each other. Oracle f:
    /// what is deleted takes no place in any trie.
    pub(crate) fn same_roots(&mut self) {
        let mut live: BTreeMap<(usize, u16), u64> = BTreeMap::new();
        for key in self.keys().chain(crate::tally::KEYS).collect::<Vec<_>>() {
            let partition = self.partition(key);
            for owner in self.owners(key) {
                let entry = self.ask(owner, &super::key_name(key), FetchMode::Dots);
                let is_live = entry.is_some_and(|entry| !entry.versions().is_empty());
                *live.entry((owner, partition.0)).or_default() += u64::from(is_live);
            }
        }
        for partition in self.partitions() {
            let owners = self.owners_of(partition);
            let summaries: Vec<_> = owners.iter().map(|owner| self.summary(*owner, partition)).collect();
            if summaries.windows(2).any(|pair| pair[0] != pair[1]) {
                let what = format!("the owners {owners:?} of partition {} have the roots {summaries:?}", partition.0);
                self.violations.push(Violation::new("c", what));
            }
            for (owner, summary) in owners.into_iter().zip(summaries) {
                let held = summary.map_or(0, |summary| summary.0);
                let alive = live.get(&(owner, partition.0)).copied().unwrap_or(0);
                if held != alive {
                    let name = &self.nodes[owner].name;
                    let what = format!("{name} keeps {held} keys of partition {}, and {alive} are live", partition.0);
                    self.violations.push(Violation::new("f", what));
                }
            }
        }
    }

    /// True if nobody has anything under way, and nobody keeps anything for others.
    pub(crate) fn is_idle(&self) -> bool {
        let is_idle = |load: Load| (load.operations, load.pulls, load.settling, load.hints, load.hint_bytes) == (0, 0, 0, 0, 0);
        self.nodes.iter().all(|node| node.peer.as_ref().is_some_and(|peer| is_idle(peer.load())))
    }

    /// Oracle m: what a peer believes of the others is not older than it was.
    pub(super) fn check_beliefs(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let Some(view) = node.peer.as_ref().map(|peer| peer.view()) else { return };
        for member in view.members() {
            let record = view.record(member).map_or_else(Rank::default, MemberRecord::rank);
            let rank = view.state(member).map_or_else(Rank::default, |state| state.1);
            if let Some(violation) = node.beliefs.note(member, (record, rank)) {
                let what = format!("{}: {}", node.name, violation.what);
                self.violations.push(Violation::new("m", what));
            }
        }
    }

    /// Oracle m: how the first belief differs that is wrong.
    pub(crate) fn wrong_belief(&self) -> Option<Violation> {
        let peers = || self.nodes.iter().filter_map(|node| node.peer.as_ref());
        let pairs = peers().flat_map(|peer| peers().map(move |other| (peer, other.own_record())));
        let mut others = pairs.filter(|(peer, own)| peer.own_record().member != own.member);
        others.find_map(|(peer, own)| {
            let (view, member) = (peer.view(), own.member);
            let (state, rank) = view.state(member).unwrap_or((MemberState::Dead, Rank::default()));
            let belief = Belief { record: view.record(member).cloned(), rank, is_dead: state == MemberState::Dead };
            views::differs(own, &belief)
        })
    }

    /// More clients and keys have more operations under way.
    fn operations_max(&self) -> u64 {
        (OPERATIONS_MAX * (1 + self.plan.peers / 8)).min(REQUESTS_IN_FLIGHT_MAX) as u64
    }

    /// Oracle h: nobody wakes again and again for something that does not come of it.
    pub(super) fn check_wakes(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let now_ms = node.clock.now(self.time).monotonic_ms;
        let (last_ms, count) = node.woken;
        node.woken = (now_ms, if last_ms == now_ms { count + 1 } else { 1 });
        if node.woken.1 > WAKES_MAX {
            let what = format!("{} has woken {} times in one millisecond", node.name, node.woken.1);
            self.violations.push(Violation::new("h", what));
        }
    }

    /// Oracle h: nothing grows beyond what this run has reason for.
    pub(super) fn check_bounds(&mut self, n: usize) {
        self.check_beliefs(n);
        let node = &self.nodes[n];
        let Some(peer) = node.peer.as_ref() else { return };
        let (store, load) = (peer.store(), peer.load());
        let keys = u64::from(self.plan.clients.keys) + crate::tally::KEYS.len() as u64;
        let writes = self.history.writes().len();
        let measured = [
            ("outputs held back", node.held.len() as u64, HELD_MAX as u64),
            ("bytes that wait for the log", store.pending_bytes() as u64, PENDING_BYTES_MAX as u64),
            ("keys", store.keys(), keys),
            ("contexts", store.contexts(), keys),
            ("operations under way", load.operations as u64, self.operations_max()),
            ("pulls under way", load.pulls as u64, PULLS_MAX as u64),
            ("pulls that wait for the disk", load.settling as u64, PULLS_SETTLING_MAX as u64),
            ("writes remembered for retries", load.retries as u64, writes.min(RETRY_MEMORY_MAX) as u64),
            ("hints", load.hints as u64, keys.min(HINTS_MAX as u64)),
            ("bytes of hints", load.hint_bytes, HINT_BYTES_MAX.min(keys * HINT_BYTES_OF_KEY_MAX)),
        ];
        let over = measured.iter().find(|(_, value, bound)| value > bound);
        if let Some((what, value, bound)) = over {
            let what = format!("{} has {value} {what}, and {bound} are the bound", node.name);
            self.violations.push(Violation::new("h", what));
        }
    }
}
