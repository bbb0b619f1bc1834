//! Who owns what: a pure function of the ordered list of membership changes.

use super::bounded_load;
use super::partition::{self, PartitionId};
use super::share::{self, Spread};
use super::virtual_nodes;
use super::{Change, ClusterId, Founder, MemberId, MemberIndex};
use crate::broken::{Rule, is_broken};
use crate::limits;
use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;

/// The one placement rule so far.
const PLACEMENT_RULE: u16 = 1;

/// The owners and stand-ins of every partition of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Placement {
    cluster: ClusterId,
    secret: [u8; 16],
    partitions: u16,
    replicas: u8,
    members: Vec<Founder>,
    owners: usize,
    /// For each partition all members: its owners, then its stand-ins, both in the order of its walk.
    candidates: Vec<MemberIndex>,
    shares: Vec<u64>,
}

/// Why a list of membership changes gives no placement. The list is refused as a whole; whatever stood before stays.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PlacementError {
    /// The list is empty or does not begin with the forming of the cluster.
    #[error("the list of membership changes does not begin with the forming of a cluster: fetch the whole list from a member")]
    NotFormed,
    /// A later entry forms a cluster again.
    #[error("membership change {at} forms a cluster again: a cluster is formed once, by change 0")]
    FormedAgain {
        /// The place of that entry in the list.
        at: usize,
    },
    /// A newer version of henge formed this cluster.
    #[error("this cluster places its data by rule {0}, and this version knows rule 1 only: use a newer version")]
    UnknownRule(u16),
    /// Not a power of two, or out of bounds.
    #[error("{0} partitions: there must be a power of two of them, 1 to {max}", max = limits::PARTITIONS_MAX)]
    Partitions(u16),
    /// Out of bounds.
    #[error("{0} replicas: there must be 1 to {max}", max = limits::REPLICAS_MAX)]
    Replicas(u8),
    /// No member, or too many.
    #[error("{0} members: a cluster has 1 to {max}", max = limits::MEMBERS_MAX)]
    Members(usize),
    /// Two members have one id.
    #[error("two members have the id {0}: was a data folder copied? Give one of them a fresh one")]
    MemberTwice(MemberId),
    /// Two members have one address.
    #[error("two members have the address {0}: each must be reached by its own")]
    AddressTwice(String),
    /// Out of bounds.
    #[error("member {member} has weight {weight}: it must be 1 to {max}", max = limits::WEIGHT_MAX)]
    Weight {
        /// The member.
        member: MemberId,
        /// Its weight.
        weight: u16,
    },
    /// The weights add up to too much.
    #[error("the weights of all members add up to {0}, at most {max}: only their ratios count, so divide them all", max = limits::WEIGHTS_TOGETHER_MAX)]
    Weights(u32),
    /// A name, address or zone is too long, is empty where it must not be, or holds control characters.
    #[error("the {what} of member {member} must be {min} to {max} bytes without control characters")]
    Text {
        /// `name`, `address` or `zone`.
        what: &'static str,
        /// The member.
        member: MemberId,
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
    },
}

impl Placement {
    /// The placement after all these changes, in their order.
    ///
    /// Every peer that knows the same list gets the same placement; the order of the founders inside change 0 does not matter.
    ///
    /// # Errors
    /// [`PlacementError`]: the list may come from a disk or another peer, so all of it is checked.
    pub fn from_changes(changes: &[Change]) -> Result<Placement, PlacementError> {
        let (first, later) = changes.split_first().ok_or(PlacementError::NotFormed)?;
        let placement = Placement::formed(first)?;
        match later.first() {
            Some(Change::Formed { .. }) => Err(PlacementError::FormedAgain { at: 1 }),
            None => Ok(placement),
        }
    }

    fn formed(change: &Change) -> Result<Placement, PlacementError> {
        let Change::Formed { cluster, secret, partitions, replicas, placement_rule, founders } = change;
        let (cluster, secret, partitions, replicas) = (*cluster, *secret, *partitions, *replicas);
        if *placement_rule != PLACEMENT_RULE {
            return Err(PlacementError::UnknownRule(*placement_rule));
        }
        if !partitions.is_power_of_two() || partitions > limits::PARTITIONS_MAX {
            return Err(PlacementError::Partitions(partitions));
        }
        if !(1..=limits::REPLICAS_MAX).contains(&replicas) {
            return Err(PlacementError::Replicas(replicas));
        }
        check_members(founders)?;

        let mut members = founders.clone();
        members.sort_unstable_by_key(|member| member.member);
        let spread = Spread::new(&members, usize::from(replicas));
        let shares = share::fair_shares(&members, &spread, partitions);
        let bounds = share::bounds(&members, &shares, &spread, partitions);
        let ids: Vec<MemberId> = members.iter().map(|member| member.member).collect();
        let weighted: Vec<(MemberId, u16)> = members.iter().map(|member| (member.member, member.weight)).collect();
        let mut candidates = virtual_nodes::walks(&weighted, partitions);
        let owned = bounded_load::assign(&ids, &candidates, &spread, &bounds);
        for (row, owned) in candidates.chunks_mut(members.len()).zip(owned.chunks(members.len())) {
            // A stable sort: owners to the front, both parts in the order of the walk.
            row.sort_by_key(|member| !owned[member.place()]);
        }
        Ok(Placement { cluster, secret, partitions, replicas, members, owners: spread.owners, candidates, shares })
    }

    /// The cluster.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// What seals contexts and keys the sums of the tries; known to members only.
    pub fn secret(&self) -> &[u8; 16] {
        &self.secret
    }

    /// Number of partitions: a power of two.
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// All partitions, in order.
    pub fn partition_ids(&self) -> impl DoubleEndedIterator<Item = PartitionId> + use<> {
        (0..self.partitions).map(PartitionId)
    }

    /// Owners of each partition: N, or the number of members if they are fewer.
    pub fn replicas(&self) -> u8 {
        self.owners as u8
    }

    /// N as the cluster was formed with it, however many members there are.
    pub fn replicas_wanted(&self) -> u8 {
        self.replicas
    }

    /// All members, by id; a [`MemberIndex`] is a place in this slice.
    pub fn members(&self) -> &[Founder] {
        &self.members
    }

    /// A member.
    ///
    /// Requires: the index is from this placement.
    pub fn member(&self, member: MemberIndex) -> &Founder {
        &self.members[member.place()]
    }

    /// The index of a member, if it is one.
    pub fn index_of(&self, member: MemberId) -> Option<MemberIndex> {
        self.members.binary_search_by_key(&member, |known| known.member).ok().map(|place| MemberIndex(place as u16))
    }

    /// The partition of a key; see [`partition_of`](super::partition_of).
    pub fn partition(&self, key: &[u8]) -> PartitionId {
        partition::partition_of(key, self.partitions)
    }

    /// Who keeps a partition, in the order of its walk: [`replicas`](Placement::replicas) distinct members, spread over the zones as evenly as
    /// can be.
    ///
    /// Requires: the partition is one of this cluster.
    pub fn owners(&self, partition: PartitionId) -> &[MemberIndex] {
        &self.candidates(partition)[..self.owners]
    }

    /// The members that take writes for owners that are down, in order: all others, in the order of the walk.
    ///
    /// Requires: the partition is one of this cluster.
    pub fn stand_ins(&self, partition: PartitionId) -> &[MemberIndex] {
        let owners = self.owners - usize::from(is_broken(Rule::StandInOwner));
        &self.candidates(partition)[owners..]
    }

    /// The preference list: the owners, then the stand-ins; every member once.
    ///
    /// Requires: the partition is one of this cluster.
    pub fn candidates(&self, partition: PartitionId) -> &[MemberIndex] {
        assert!(partition.0 < self.partitions, "partition {partition} of {}", self.partitions);
        &self.candidates[usize::from(partition.0) * self.members.len()..][..self.members.len()]
    }

    /// Whether a member owns a partition.
    pub fn is_owner(&self, member: MemberIndex, partition: PartitionId) -> bool {
        self.owners(partition).contains(&member)
    }

    /// The partitions that a member owns, in order. Looks at all owners of all partitions.
    pub fn partitions_of(&self, member: MemberIndex) -> impl Iterator<Item = PartitionId> + '_ {
        self.partition_ids().filter(move |&partition| self.is_owner(member, partition))
    }

    /// The fair share of each member, by index, in 1/65536 of a partition: by weight, as far as distinct owners and zones allow.
    pub(super) fn shares(&self) -> &[u64] {
        &self.shares
    }
}

impl fmt::Debug for Placement {
    /// Short, and without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("cluster", &self.cluster)
            .field("partitions", &self.partitions)
            .field("replicas", &self.replicas)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

fn check_members(members: &[Founder]) -> Result<(), PlacementError> {
    if !(1..=limits::MEMBERS_MAX).contains(&members.len()) {
        return Err(PlacementError::Members(members.len()));
    }
    let (mut ids, mut addresses, mut weights) = (BTreeSet::new(), BTreeSet::new(), 0);
    for Founder { member, name, address, zone, weight } in members {
        let (member, weight) = (*member, *weight);
        if !ids.insert(member) {
            return Err(PlacementError::MemberTwice(member));
        }
        if !(1..=limits::WEIGHT_MAX).contains(&weight) {
            return Err(PlacementError::Weight { member, weight });
        }
        weights += u32::from(weight);
        check_text("name", member, name, 1, limits::MEMBER_NAME_BYTES_MAX)?;
        check_text("address", member, address, 1, limits::MEMBER_ADDRESS_BYTES_MAX)?;
        // No zone said: all that say none share one.
        check_text("zone", member, zone, 0, limits::ZONE_BYTES_MAX)?;
        if !addresses.insert(address) {
            return Err(PlacementError::AddressTwice(address.clone()));
        }
    }
    if weights > limits::WEIGHTS_TOGETHER_MAX {
        return Err(PlacementError::Weights(weights));
    }
    Ok(())
}

fn check_text(what: &'static str, member: MemberId, text: &str, min: usize, max: usize) -> Result<(), PlacementError> {
    if !(min..=max).contains(&text.len()) || text.chars().any(char::is_control) {
        return Err(PlacementError::Text { what, member, min, max });
    }
    Ok(())
}
