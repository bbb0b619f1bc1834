//! How whole a store is, partition by partition, and what it has promised to refuse.
//!
//! A store that has lost something, and cannot say what, is *incomplete*: it counts for no read and for no removal without a
//! context, and helps no other to be complete. It ends by comparing with others (`docs/consistency.md`, damage).

use super::record::COMPARED_BYTES;
use super::store::Store;
use super::{Batch, Record};
use crate::broken::{Rule, is_broken};
use crate::message::Position;
use crate::ring::{MemberId, PartitionId};
use crate::vclock::{Actor, Interval, Seen, Start};
use bytes::BytesMut;
use std::collections::BTreeMap;

/// How whole a partition is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Standing {
    /// Nothing is missing that this store has ever acknowledged.
    #[default]
    Complete,
    /// Something may be missing.
    Incomplete {
        /// With whom it has compared since, and whether they were complete.
        compared: BTreeMap<MemberId, bool>,
    },
}

/// What a comparison has made of an incomplete partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It was complete already.
    Whole,
    /// More comparisons are needed.
    Pending,
    /// It has compared with so many complete owners that every acknowledged write has been met.
    Restored,
    /// It has compared with all that there are, and they may have lost the same: acknowledged writes may be missing.
    Doubtful,
}

impl Standing {
    /// That of a store that has just lost something.
    pub fn lost() -> Standing {
        Standing::Incomplete { compared: BTreeMap::new() }
    }

    /// How many comparisons there were, of how many that are needed among these many owners.
    pub fn compared_of(&self, owners: usize) -> (usize, usize) {
        let needed = needed(owners);
        match self {
            Standing::Complete => (needed, needed),
            Standing::Incomplete { compared } => (compared.values().filter(|complete| **complete).count(), needed),
        }
    }

    /// What is the case now, among these other owners.
    fn judge(&self, others: &[MemberId]) -> Progress {
        let Standing::Incomplete { compared } = self else { return Progress::Whole };
        let (complete, needed) = self.compared_of(others.len() + 1);
        if !others.is_empty() && complete >= needed {
            Progress::Restored
        } else if others.iter().all(|other| compared.contains_key(other)) {
            Progress::Doubtful
        } else {
            Progress::Pending
        }
    }

    fn note(&mut self, partner: MemberId, partner_is_complete: bool) {
        if let Standing::Incomplete { compared } = self {
            let known = compared.entry(partner).or_default();
            *known |= partner_is_complete;
        }
    }

    /// The members in the form of a record.
    pub(super) fn coded(&self) -> Vec<u8> {
        match self {
            Standing::Complete => Vec::new(),
            Standing::Incomplete { compared } => compared
                .iter()
                .flat_map(|(member, complete)| member.0.to_le_bytes().into_iter().chain([u8::from(*complete)]))
                .collect(),
        }
    }

    /// Reads what [`coded`](Standing::coded) made.
    pub(super) fn decoded(incomplete: bool, compared: &[u8]) -> Standing {
        if !incomplete {
            return Standing::Complete;
        }
        let one = |bytes: &[u8]| {
            let (member, complete) = bytes.split_at(COMPARED_BYTES - 1);
            (MemberId(u128::from_le_bytes(member.try_into().expect("sixteen bytes"))), complete[0] != 0)
        };
        Standing::Incomplete { compared: compared.chunks_exact(COMPARED_BYTES).map(one).collect() }
    }
}

/// How many complete others one has to compare with: of N owners N − W + 1 meet every write that W of them have acknowledged, W
/// being a majority.
fn needed(owners: usize) -> usize {
    let majority = owners / 2 + 1;
    if is_broken(Rule::WholeAfterOne) { 1 } else { owners - majority + 1 }
}

/// A promise to refuse what an actor said in starts that are over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fence {
    /// Whose actor it is or was; 0 if that was not known.
    pub member: MemberId,
    /// The first start that may still speak.
    pub below: Start,
    /// Where the promise stands in the log; 0 once that has been replayed.
    pub(super) position: Position,
}

impl Store {
    /// True if this store has lost nothing of the partition that it has ever acknowledged.
    pub fn is_complete(&self, partition: PartitionId) -> bool {
        !self.tables.has(partition) || self.tables.partition(partition).standing == Standing::Complete
    }

    /// How whole the partition is.
    pub fn standing(&self, partition: PartitionId) -> &Standing {
        &self.tables.partition(partition).standing
    }

    /// Notes that a comparison with an owner has brought over all that it held, durably. `others`: all other owners there are. With
    /// nobody to compare with at all, `partner` is none.
    pub fn note_compared(
        &mut self,
        partition: PartitionId,
        partner: Option<(MemberId, bool)>,
        others: &[MemberId],
    ) -> (Position, Progress) {
        let standing = &mut self.tables.partition_mut(partition).standing;
        let before = standing.clone();
        if let Some((partner, is_complete)) = partner.filter(|(partner, _)| others.contains(partner)) {
            standing.note(partner, is_complete);
        }
        let progress = standing.judge(others);
        if matches!(progress, Progress::Restored | Progress::Doubtful) {
            *standing = Standing::Complete;
        }
        let standing = standing.clone();
        if standing == before {
            return (Position(0), progress);
        }
        (self.append_standing(partition, &standing), progress)
    }

    pub(super) fn append_standing(&mut self, partition: PartitionId, standing: &Standing) -> Position {
        let (compared, incomplete) = (standing.coded(), *standing != Standing::Complete);
        let record = Record::Standing { partition: partition.0, epoch: 0, incomplete, compared: &compared };
        let (position, _) = self.append(&record);
        self.want_sync(position);
        position
    }

    /// Drops all that is held of a partition, and begins it anew: incomplete, as that of an owner that was none for a while. Which dots it
    /// has issued is not forgotten (rule `drop_counter`). Both stand in one record: a copy without its past must not pass for a whole one.
    pub fn begin_anew(&mut self, partition: PartitionId) -> Position {
        let mut batch = BytesMut::new();
        let compared = Standing::lost().coded();
        Batch::push(&mut batch, &Record::PartitionDropped { partition: partition.0, epoch: 0 });
        Batch::push(&mut batch, &Record::Standing { partition: partition.0, epoch: 0, incomplete: true, compared: &compared });
        let (position, _) = self.append(&Record::Batch(Batch::new(&batch).expect("what was just written")));
        self.tables.clear(partition);
        self.tables.partition_mut(partition).standing = Standing::lost();
        self.forget_removed(partition);
        self.want_sync(position);
        position
    }

    /// The explicit contexts of a partition, in the order of their keys.
    pub fn contexts_of(&self, partition: PartitionId) -> impl Iterator<Item = &Seen> {
        self.tables.partition(partition).contexts.values()
    }

    /// What a store must never do by itself: marks as seen whatever it may have issued before this start. Others may hold what it forgot.
    pub(super) fn skip_seen(&mut self) {
        let (actor, start) = (self.identity.actor, self.identity.start);
        for partition in &mut self.tables.partitions {
            partition.clock.insert_interval(actor, Interval { first: 1, last: start.base() });
        }
    }

    /// The first start of an actor whose messages are still taken in; none: no promise has been made.
    pub fn fence(&self, actor: Actor) -> Option<Start> {
        self.fences.get(&actor).map(|fence| fence.below)
    }

    /// All promises.
    pub fn fences(&self) -> impl Iterator<Item = (Actor, Fence)> {
        self.fences.iter().map(|(actor, fence)| (*actor, *fence))
    }

    /// Promises to refuse what an actor says in starts below this one. It only moves up. The promise counts when the position is
    /// durable, in every sync mode. Where it is not known any more whose actor it is (member 0), what stood there stays.
    pub fn raise_fence(&mut self, actor: Actor, member: MemberId, below: Start) -> Position {
        if let Some(known) = self.fences.get(&actor)
            && known.below >= below
        {
            return known.position;
        }
        let known = self.fences.get(&actor).map(|known| known.member);
        let member = known.filter(|_| member == MemberId(0)).unwrap_or(member);
        let (position, _) = self.append(&Record::Fence { actor, member, below });
        self.want_sync(position);
        self.fences.insert(actor, Fence { member, below, position });
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(compared: &[(u128, bool)]) -> Standing {
        Standing::Incomplete { compared: compared.iter().map(|(member, complete)| (MemberId(*member), *complete)).collect() }
    }

    #[test]
    fn of_three_owners_two_complete_others_make_one_whole_and_two_incomplete_ones_leave_a_doubt() {
        let others = [MemberId(2), MemberId(3)];
        let judged = |compared: &[(u128, bool)]| standing(compared).judge(&others);
        assert_eq!(judged(&[]), Progress::Pending);
        assert_eq!(judged(&[(2, true)]), Progress::Pending);
        assert_eq!(judged(&[(2, true), (3, true)]), Progress::Restored);
        assert_eq!(judged(&[(2, true), (3, false)]), Progress::Doubtful);
        assert_eq!(Standing::Complete.judge(&others), Progress::Whole);
    }

    #[test]
    fn alone_one_is_whole_at_once_and_says_that_something_may_be_missing() {
        assert_eq!(Standing::lost().judge(&[]), Progress::Doubtful);
        assert_eq!(standing(&[(2, true)]).judge(&[MemberId(2)]), Progress::Restored, "of two owners the other one has every write");
    }

    #[test]
    fn as_many_are_needed_as_meet_every_majority() {
        for owners in 1..=7 {
            let majority = owners / 2 + 1;
            assert_eq!(needed(owners) + majority, owners + 1);
            assert!(owners == 1 || needed(owners) < owners, "there are so many others");
        }
    }

    #[test]
    fn a_partner_that_was_complete_once_stays_so_and_the_record_says_the_same() {
        let mut one = Standing::lost();
        one.note(MemberId(5), true);
        one.note(MemberId(5), false);
        one.note(MemberId(u128::MAX), false);
        assert_eq!(one, standing(&[(5, true), (u128::MAX, false)]));
        assert_eq!(Standing::decoded(true, &one.coded()), one);
        assert_eq!(Standing::decoded(false, &[]), Standing::Complete);
    }
}
