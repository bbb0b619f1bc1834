//! How evenly the members share the data, and whether more partitions would help.

use super::Placement;
use super::share::SLOT;
use crate::limits;

/// Below this many replicas of partitions per member, whole partitions are too coarse a measure: balance falls below 0.9 or a change
/// moves a quarter more than it must.
const SLOTS_PER_MEMBER_ADVISED: u32 = 100;

/// What `plan` tells about a placement. Loads count partitions owned; a load is relative to the member's fair share, which goes
/// by weight as far as distinct owners and distinct zones allow.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Balance {
    /// The highest load of a member over its fair share: 1 is perfect, 1.05 is five percent too much.
    pub max_over_mean: f64,
    /// The lowest `max_over_mean` that whole partitions could allow.
    pub best: f64,
    /// Partition replicas per member: Q·N / members.
    pub slots_per_member: f64,
    /// The number of partitions with which this many members would be well balanced, if the present one is too small
    /// and a larger one is possible. It can only be chosen when a cluster is formed.
    pub partitions_advised: Option<u16>,
}

impl Placement {
    /// How even this placement is.
    pub fn balance(&self) -> Balance {
        let mut loads = vec![0u64; self.members().len()];
        for partition in self.partition_ids() {
            self.owners(partition).iter().for_each(|owner| loads[owner.place()] += 1);
        }
        let over = |load: u64, share: u64| if share == 0 { 1.0 } else { (load * SLOT) as f64 / share as f64 };
        let shares = self.shares();
        let max_over_mean = loads.iter().zip(shares).map(|(&load, &share)| over(load, share)).fold(0.0, f64::max);
        // A hundredth of a slot makes up for the rounding of shares.
        let best = shares.iter().map(|&share| over((share - share.min(SLOT / 100)).div_ceil(SLOT), share)).fold(1.0, f64::max);

        let members = self.members().len() as u32;
        let slots = |partitions: u16| u32::from(partitions) * u32::from(self.replicas());
        // With as many owners as members, everybody owns everything, whatever the number of partitions.
        let enough = |partitions: u16| slots(partitions) >= SLOTS_PER_MEMBER_ADVISED * members;
        let advised = (0..=limits::PARTITIONS_MAX.ilog2()).map(|bits| 1 << bits).find(|&partitions| enough(partitions));
        let advised = advised.unwrap_or(limits::PARTITIONS_MAX);
        Balance {
            max_over_mean,
            best,
            slots_per_member: f64::from(slots(self.partitions())) / f64::from(members),
            partitions_advised: (!enough(self.partitions()) && advised > self.partitions()).then_some(advised),
        }
    }
}
