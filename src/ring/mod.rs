//! Partitions, virtual nodes, placement, preference lists, the list of members: pure values.
//!
//! Every peer and every client computes the same [`Placement`] from the ordered list of membership changes; nobody decides it.
//! Sources: DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store" (SOSP 2007), §4.2 and §4.3 for virtual nodes and preference
//! lists, §6.2 strategy 3 for fixed partitions that are placed apart from how keys are cut into them; Mirrokni, Thorup and
//! Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016) for the bound on a member's share.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod balance;
mod bounded_load;
mod member;
mod partition;
mod placement;
mod share;
mod virtual_nodes;

#[cfg(test)]
mod attainable;
#[cfg(test)]
mod laws;

pub use balance::Balance;
pub use member::{Change, ClusterId, Founder, MemberId, MemberIndex};
pub use partition::{PartitionId, group, group_hash, partition_of};
pub use placement::{Placement, PlacementError};
