//! Who stands in for owners that are down: the next live members on the walk (Dynamo, SOSP 2007, §4.6, "sloppy quorum").

use crate::broken::{Rule, is_broken};
use crate::message::StoodIn;
use crate::ring::MemberId;
use std::collections::BTreeMap;

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
    /// To whom each member has been told that it owes it. An acknowledgement may answer any of these messages, and says nothing of the others:
    /// they may still be under way, or lost.
    sent: BTreeMap<MemberId, Vec<Vec<MemberId>>>,
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
        let sent = &mut self.sent;
        self.chosen.iter_mut().filter_map(move |chosen| {
            let is_due = !chosen.told || (!only_new && !chosen.acked);
            chosen.told = true;
            if !is_due {
                return None;
            }
            let sent = sent.entry(chosen.member).or_default();
            if !sent.contains(&chosen.owed) {
                sent.push(chosen.owed.clone());
            }
            Some((chosen.member, chosen.owed.as_slice()))
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

    /// How many acknowledgements count beside those of the owners that have acknowledged. One that may be owed to these alone does not: the stand-in
    /// hands it over and forgets it, and then the owner's copy is the only one of the two.
    pub fn acks_beside(&self, has_acked: impl Fn(MemberId) -> bool) -> usize {
        let is_needed = |owed: &[MemberId]| !owed.iter().all(|owner| has_acked(*owner)) || is_broken(Rule::StandInBeside);
        let surely = |chosen: &StandIn| self.told_of(chosen).iter().all(|owed| is_needed(owed));
        self.chosen.iter().filter(|chosen| chosen.acked && surely(chosen)).count()
    }

    /// Those who have acknowledged, and for whom they surely keep it. Where that is nobody who lacks it, because a stand-in was told of one owner
    /// and of another, and keeps it for one of the two: for whom they were last asked to.
    pub fn stood_in(&self, has_acked: impl Fn(MemberId) -> bool) -> Vec<StoodIn> {
        let acked = self.chosen.iter().filter(|chosen| chosen.acked);
        let surely = |chosen: &StandIn| {
            let mut owed = chosen.owed.clone();
            owed.retain(|owner| self.told_of(chosen).iter().all(|told| told.contains(owner)));
            if owed.iter().all(|owner| has_acked(*owner)) { chosen.owed.clone() } else { owed }
        };
        acked.map(|chosen| StoodIn { member: chosen.member, owed: surely(chosen) }).collect()
    }

    fn told_of(&self, chosen: &StandIn) -> &[Vec<MemberId>] {
        self.sent.get(&chosen.member).map_or(&[], Vec::as_slice)
    }

    /// Begins anew with the same stand-ins, under a number of its own: what was told before is not what they acknowledge now.
    pub fn clear(&mut self) {
        self.sent.clear();
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
        let stood_in = [StoodIn { member: MemberId(7), owed: members(&[1]) }];
        assert_eq!(stand_ins.stood_in(|_| false), stood_in, "it may not have heard of the rest");
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
    fn an_acknowledgement_says_nothing_of_an_owner_that_was_named_after_the_first_message() {
        let mut stand_ins = StandIns::default();
        let acks_beside = |stand_ins: &StandIns, acked: &[u128]| stand_ins.acks_beside(|owner| members(acked).contains(&owner));
        let owed_but = |stand_ins: &StandIns, acked: &[u128]| {
            let stood_in = stand_ins.stood_in(|owner| members(acked).contains(&owner));
            stood_in[0].owed.iter().map(|owner| owner.0).collect::<Vec<_>>()
        };
        let owed = |stand_ins: &StandIns| owed_but(stand_ins, &[]);
        stand_ins.arrange(&walk(&[1], &[5]), |_| false);
        assert_eq!(told(&mut stand_ins, true), [(5, vec![1])]);
        stand_ins.arrange(&walk(&[1, 2], &[5]), |_| false);
        assert_eq!(told(&mut stand_ins, true), [(5, vec![1, 2])]);
        stand_ins.count(MemberId(5));
        assert_eq!((acks_beside(&stand_ins, &[]), acks_beside(&stand_ins, &[2])), (1, 1));
        assert_eq!(acks_beside(&stand_ins, &[1]), 0, "what it acknowledged may be owed to 1 alone");
        assert_eq!(owed(&stand_ins), [1]);
        // It goes away and comes back: an answer to what it was told before may still be under way.
        let mut stand_ins = StandIns::default();
        for (down, live) in [(1, &[5][..]), (1, &[]), (2, &[5])] {
            stand_ins.arrange(&walk(&[down], live), |_| false);
            told(&mut stand_ins, true);
        }
        stand_ins.count(MemberId(5));
        assert_eq!((acks_beside(&stand_ins, &[1]), acks_beside(&stand_ins, &[3])), (0, 1));
        // Under another number it is told of both at once.
        stand_ins.clear();
        stand_ins.arrange(&walk(&[1, 2], &[5]), |_| false);
        assert_eq!(told(&mut stand_ins, true), [(5, vec![1, 2])]);
        stand_ins.count(MemberId(5));
        assert_eq!((acks_beside(&stand_ins, &[1]), owed(&stand_ins)), (1, vec![1, 2]));
        // Told of 1 and 2, and then of 1 and 3, it keeps it for 2 or for 3, whatever becomes of 1.
        let mut stand_ins = StandIns::default();
        for (down, live) in [(&[1, 2][..], &[5][..]), (&[], &[]), (&[1, 3], &[5])] {
            stand_ins.arrange(&walk(down, live), |_| false);
            told(&mut stand_ins, true);
        }
        stand_ins.count(MemberId(5));
        assert_eq!((acks_beside(&stand_ins, &[1]), owed_but(&stand_ins, &[1])), (1, vec![1, 3]));
        assert_eq!((acks_beside(&stand_ins, &[]), owed(&stand_ins)), (1, vec![1]));
    }

    #[test]
    fn a_stand_in_counts_for_one_owner_that_has_not_acknowledged_itself() {
        let mut stand_ins = StandIns::default();
        stand_ins.arrange(&walk(&[1, 2], &[5]), |_| false);
        told(&mut stand_ins, true);
        assert_eq!(stand_ins.acks_beside(|_| false), 0, "it has not acknowledged");
        stand_ins.count(MemberId(5));
        for (acked, counted) in [(&[][..], 1), (&[1], 1), (&[2, 3], 1), (&[1, 2], 0), (&[1, 2, 3], 0)] {
            assert_eq!(stand_ins.acks_beside(|owner| members(acked).contains(&owner)), counted, "{acked:?}");
        }
    }
}
