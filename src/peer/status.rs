//! What a peer tells of itself.

use super::{Now, Peer};
use crate::anti_entropy::Pairing;
use crate::message::{ComparisonStatus, Description, LinkStatus, MemberStatus, RingTable, Status};
use crate::ring::{Founder, Placement};

/// What is under way at a peer, and what it keeps for a while: each within its bound in `limits`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Load {
    /// Requests under way, and reads for itself.
    pub operations: usize,
    /// Pulls under way.
    pub pulls: usize,
    /// Pulls that have asked for all they need, and wait for the disk.
    pub settling: usize,
    /// Writes remembered for retries.
    pub retries: usize,
    /// Keys that are kept for others.
    pub hints: usize,
    /// Bytes of their records, about.
    pub hint_bytes: u64,
    /// Damaged records that are being fetched from the others.
    pub healings: usize,
}

impl Peer {
    /// What is under way here, for oracles that bound it.
    pub fn load(&self) -> Load {
        let store = self.replica.store();
        Load {
            operations: self.operations.len(),
            pulls: self.pulls.under_way(),
            settling: self.pulls.settling(),
            retries: self.retries.len(),
            hints: store.hints(),
            hint_bytes: store.hint_bytes(),
            healings: self.healings(),
        }
    }

    /// How this peer is.
    pub fn status(&self, now: Now) -> Status {
        let store = self.replica.store();
        let incomplete = self.incomplete();
        let owned = self.owners.iter().filter(|owners| owners.contains(&self.me)).count();
        let (shared, in_step) = self.rounds.in_step();
        let member = MemberStatus {
            member: self.me,
            name: self.config.name.clone(),
            address: self.config.address.clone(),
            cluster: self.placement.as_ref().map(Placement::cluster),
            start: store.start(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            sync: self.sync_mode(),
            uptime_ms: now.monotonic_ms.saturating_sub(self.started_ms),
            partitions: owned as u32,
            keys: store.keys(),
            contexts: store.contexts(),
            log_bytes: store.log_bytes(),
            trie_bytes: store.trie_bytes() as u64,
            in_flight: self.operations.len() as u32,
            requests: self.counts,
            repairs: self.repairs,
            debts: self.debts(now),
            hints_full: store.hints_full(),
            shared,
            in_step,
            hedges: self.paces.hedges,
            stood_in: self.stood_in,
            incomplete_partitions: incomplete.partitions,
            comparisons_done: incomplete.compared,
            comparisons_needed: incomplete.needed,
            open_gaps: self.open_gap_count(),
            alarms: self.alarms.clone(),
        };
        let others = self.founders().iter().filter(|founder| founder.member != self.me);
        let link = |founder: &Founder| LinkStatus {
            member: founder.member,
            name: founder.name.clone(),
            address: self.address_of(founder.member).unwrap_or(&founder.address).to_string(),
            up: self.links.contains_key(&founder.member),
        };
        Status { member, links: others.map(link).collect(), comparisons: self.comparisons(now), gossip: self.gossip_status(now) }
    }

    fn comparisons(&self, now: Now) -> Vec<ComparisonStatus> {
        let status = |pairing: Pairing| ComparisonStatus {
            member: pairing.member,
            partitions: pairing.partitions,
            in_step: pairing.in_step,
            all_within_ms: pairing.all_since_ms.map(|since_ms| now.monotonic_ms.saturating_sub(since_ms)),
            pulls: pairing.pulls,
            keys: pairing.figures.fetched,
            sent_bytes: pairing.figures.sent_bytes,
            received_bytes: pairing.figures.received_bytes,
        };
        self.rounds.pairings().into_iter().map(status).collect()
    }

    pub(super) fn description(&self) -> Description {
        let founder = Founder {
            member: self.me,
            name: self.config.name.clone(),
            address: self.config.address.clone(),
            zone: self.config.zone.clone(),
            weight: self.config.weight,
        };
        let starts =
            self.founders().iter().filter_map(|founder| Some((founder.member, self.newest_start(founder.member)?))).collect();
        Description { founder, changes: self.replica.store().membership().to_vec(), starts }
    }

    /// A founder with the address at which it is reached now.
    fn present(&self, founder: &Founder) -> Founder {
        let address = self.address_of(founder.member).unwrap_or(&founder.address).to_string();
        Founder { address, ..founder.clone() }
    }

    pub(super) fn ring_table(&self) -> Option<RingTable> {
        let placement = self.placement.as_ref()?;
        let members = placement.members();
        let owners_of = |partition| placement.owners(partition).iter().map(|owner| owner.0).collect();
        Some(RingTable {
            cluster: placement.cluster(),
            replicas: placement.replicas(),
            // Where they are now, for clients that dial them.
            members: members.iter().map(|founder| self.present(founder)).collect(),
            owners: placement.partition_ids().map(owners_of).collect(),
        })
    }
}
