//! Who stands in for owners that are down: the next live members on the walk (Dynamo, SOSP 2007, §4.6, "sloppy quorum").

use crate::broken::{Rule, is_broken};
use crate::message::StoodIn;
use crate::ring::MemberId;

/// Who can be reached of a partition's preference list.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Walk {
    /// The owners that are down. A slow one is not.
    pub down: Vec<MemberId>,
    /// If any is: the live members that are no owners, in the order of the walk.
    pub stand_ins: Vec<MemberId>,
}

/// The stand-ins of one write.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    chosen: Vec<StandIn>,
    /// Those that have refused.
    unwilling: Vec<MemberId>,
}

#[derive(Debug)]
struct StandIn {
    member: MemberId,
    /// The owners for which it stands in, in order.
    owed: Vec<MemberId>,
    acked: bool,
    /// It has been sent all that it owes.
    told: bool,
}

impl StandIns {
    /// Lets somebody stand in for every owner that is down and has not acknowledged. A stand-in that went down itself before it
    /// acknowledged, or whose owners are all back, is needed no more.
    pub fn arrange(&mut self, walk: &Walk, has_acked: impl Fn(MemberId) -> bool) {
        if walk.down.is_empty() && self.chosen.is_empty() {
            return;
        }
        self.chosen.retain(|chosen| {
            let is_needed = chosen.owed.iter().any(|owner| walk.down.contains(owner));
            chosen.acked || (is_needed && walk.stand_ins.contains(&chosen.member))
        });
        for owner in walk.down.iter().copied().filter(|owner| !has_acked(*owner)) {
            if !self.chosen.iter().any(|chosen| chosen.owed.contains(&owner)) {
                self.choose_for(owner, walk);
            }
        }
    }

    /// The next member on the walk that does not stand in already; if there is none, one that does owes it to this owner too.
    fn choose_for(&mut self, owner: MemberId, walk: &Walk) {
        let is_free = |member: &&MemberId| !self.unwilling.contains(member) && !self.chosen.iter().any(|at| at.member == **member);
        if let Some(member) = walk.stand_ins.iter().find(is_free) {
            self.chosen.push(StandIn { member: *member, owed: vec![owner], acked: false, told: false });
        } else if let Some(chosen) = self.chosen.iter_mut().find(|chosen| walk.stand_ins.contains(&chosen.member)) {
            chosen.owed.push(owner);
            chosen.owed.sort_unstable();
            chosen.told = false;
        }
    }

    /// Whom to send it, with the owners to whom it will be owed: those who have not acknowledged, or only those who have not been told.
    pub fn due(&mut self, only_new: bool) -> impl Iterator<Item = (MemberId, &[MemberId])> {
        self.chosen.iter_mut().filter_map(move |chosen| {
            let is_due = !chosen.told || (!only_new && !chosen.acked);
            chosen.told = true;
            is_due.then_some((chosen.member, chosen.owed.as_slice()))
        })
    }

    /// A member has stored it. True if it stands in, and this is new.
    pub fn count(&mut self, from: MemberId) -> bool {
        let Some(chosen) = self.chosen.iter_mut().find(|chosen| chosen.member == from) else { return false };
        !std::mem::replace(&mut chosen.acked, true)
    }

    /// A member refuses to stand in. False if it does not.
    pub fn refuse(&mut self, from: MemberId) -> bool {
        let before = self.chosen.len();
        self.chosen.retain(|chosen| chosen.member != from || chosen.acked);
        let has_refused = self.chosen.len() < before;
        if has_refused {
            self.unwilling.push(from);
        }
        has_refused
    }

    /// How many acknowledgements count beside those of the owners that have acknowledged. One that is owed to these alone does not: the stand-in hands
    /// it over and forgets it, and then the owner's copy is the only one of the two.
    pub fn acks_beside(&self, has_acked: impl Fn(MemberId) -> bool) -> usize {
        let is_needed = |owed: &[MemberId]| !owed.iter().all(|owner| has_acked(*owner)) || is_broken(Rule::StandInBeside);
        self.chosen.iter().filter(|chosen| chosen.acked && is_needed(&chosen.owed)).count()
    }

    /// Those who have acknowledged.
    pub fn stood_in(&self) -> Vec<StoodIn> {
        let acked = self.chosen.iter().filter(|chosen| chosen.acked);
        acked.map(|chosen| StoodIn { member: chosen.member, owed: chosen.owed.clone() }).collect()
    }

    /// Begins anew with the same stand-ins.
    pub fn clear(&mut self) {
        for chosen in &mut self.chosen {
            (chosen.acked, chosen.told) = (false, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(ids: &[u128]) -> Vec<MemberId> {
        ids.iter().map(|id| MemberId(*id)).collect()
    }

    fn walk(down: &[u128], stand_ins: &[u128]) -> Walk {
        Walk { down: members(down), stand_ins: members(stand_ins) }
    }

    fn told(stand_ins: &mut StandIns, only_new: bool) -> Vec<(u128, Vec<u128>)> {
        let plain = |owed: &[MemberId]| owed.iter().map(|owner| owner.0).collect();
        stand_ins.due(only_new).map(|(member, owed)| (member.0, plain(owed))).collect()
    }

    #[test]
    fn nobody_stands_in_for_a_live_owner() {
        let mut stand_ins = StandIns::default();
        stand_ins.arrange(&walk(&[], &[]), |_| false);
        assert_eq!(told(&mut stand_ins, false), []);
    }

    #[test]
    fn each_owner_that_is_down_gets_the_next_member_and_the_last_one_owes_to_the_rest() {
        let mut stand_ins = StandIns::default();
        stand_ins.arrange(&walk(&[1, 2, 3], &[7, 5]), |owner| owner == MemberId(2));
        assert_eq!(told(&mut stand_ins, true), [(7, vec![1]), (5, vec![3])]);
        stand_ins.arrange(&walk(&[1, 2, 3, 4], &[7, 5]), |owner| owner == MemberId(2));
        assert_eq!(told(&mut stand_ins, true), [(7, vec![1, 4])], "nobody is left, and a member counts once");
        assert_eq!(told(&mut stand_ins, true), []);
        assert_eq!(told(&mut stand_ins, false).len(), 2, "asked again until they answer");
        assert!(stand_ins.count(MemberId(7)) && !stand_ins.count(MemberId(7)) && !stand_ins.count(MemberId(9)));
        assert_eq!((stand_ins.acks_beside(|_| false), told(&mut stand_ins, false).len()), (1, 1));
        assert_eq!(stand_ins.stood_in(), [StoodIn { member: MemberId(7), owed: members(&[1, 4]) }]);
    }

    #[test]
    fn whoever_refuses_or_goes_down_is_replaced_and_whoever_is_back_needs_nobody() {
        let mut stand_ins = StandIns::default();
        stand_ins.arrange(&walk(&[1], &[5, 6, 7]), |_| false);
        assert!(stand_ins.refuse(MemberId(5)) && !stand_ins.refuse(MemberId(9)));
        stand_ins.arrange(&walk(&[1], &[5, 6, 7]), |_| false);
        assert_eq!(told(&mut stand_ins, true), [(6, vec![1])]);
        stand_ins.arrange(&walk(&[1], &[5, 7]), |_| false);
        assert_eq!(told(&mut stand_ins, true), [(7, vec![1])]);
        stand_ins.arrange(&walk(&[], &[]), |_| false);
        assert_eq!(told(&mut stand_ins, false), []);
    }

    #[test]
    fn a_stand_in_that_has_stored_it_stays_when_it_goes_down() {
        let mut stand_ins = StandIns::default();
        stand_ins.arrange(&walk(&[1], &[5, 6]), |_| false);
        stand_ins.count(MemberId(5));
        stand_ins.arrange(&walk(&[1], &[6]), |_| false);
        assert_eq!(
            (stand_ins.acks_beside(|_| false), told(&mut stand_ins, true).len()),
            (1, 1),
            "told once more, since it was not told before"
        );
    }

    #[test]
    fn a_stand_in_counts_for_one_owner_that_has_not_acknowledged_itself() {
        let mut stand_ins = StandIns::default();
        stand_ins.arrange(&walk(&[1, 2], &[5]), |_| false);
        assert_eq!(stand_ins.acks_beside(|_| false), 0, "it has not acknowledged");
        stand_ins.count(MemberId(5));
        for (acked, counted) in [(&[][..], 1), (&[1], 1), (&[2, 3], 1), (&[1, 2], 0), (&[1, 2, 3], 0)] {
            assert_eq!(stand_ins.acks_beside(|owner| members(acked).contains(&owner)), counted, "{acked:?}");
        }
    }
}
