//! Members, and the ordered list of membership changes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The permanent random id of a member: it stands in the membership list, places virtual nodes, names a peer to people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub u128);

/// The place of a member in [`Placement::members`](super::Placement::members): short, for tables; it means nothing across two placements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MemberIndex(pub u16);

impl MemberIndex {
    /// As an index of a slice.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// The random id of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u128);

/// One entry of the ordered list of membership changes. Placement is a pure function of this list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Change 0: the cluster as it was formed.
    Formed {
        /// The cluster.
        cluster: ClusterId,
        /// Seals contexts and keys the sums of the tries; known to members only.
        secret: [u8; 16],
        /// Number of partitions: a power of two.
        partitions: u16,
        /// Replicas of each key (N).
        replicas: u8,
        /// The number of the placement rule, so that a later one can be told apart. 1 is the only one so far.
        placement_rule: u16,
        /// The founding members.
        founders: Vec<Founder>,
    },
}

/// A founding member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Founder {
    /// Its id.
    pub member: MemberId,
    /// What people call it.
    pub name: String,
    /// Where other peers and clients reach it: `host:port`.
    pub address: String,
    /// Its failure zone; peers of one zone are expected to fail together.
    pub zone: String,
    /// Its share of the data, relative to the others: 1 to `limits::WEIGHT_MAX`.
    pub weight: u16,
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", (self.0 >> 96) as u32)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", (self.0 >> 96) as u32)
    }
}
