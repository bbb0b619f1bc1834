//! Counting answers towards a quorum.

use crate::broken::{Rule, is_broken};
use crate::message::Quorum;
use crate::ring::MemberId;

/// How many of `replicas` a quorum asks for; an error for people if it cannot be.
///
/// The default is a majority: with R and W majorities each read meets each write (Gifford 1979; Dynamo §4.5).
pub fn quorum_size(quorum: Quorum, replicas: usize, name: &str) -> Result<usize, String> {
    match quorum {
        Quorum::Default => Ok(replicas / 2 + 1),
        Quorum::All => Ok(replicas),
        Quorum::Exactly(n) if n >= 1 && usize::from(n) <= replicas => Ok(usize::from(n)),
        Quorum::Exactly(n) => Err(format!(
            "{name}={n} cannot be met: a key has {replicas} replicas here; use 1 to {replicas}, `one`, `quorum` or `all`"
        )),
    }
}

/// Who of a fixed group has answered. A member counts once, whatever the network repeats.
#[derive(Clone, Debug)]
pub struct Tally {
    group: Vec<MemberId>,
    answered: u64,
    needed: usize,
}

impl Tally {
    /// Waits for `needed` of `group`. Requires: at most 64 members, `needed` of them at most.
    pub fn new(group: Vec<MemberId>, needed: usize) -> Tally {
        assert!(group.len() <= 64 && needed <= group.len(), "a quorum is a part of its group");
        Tally { group, answered: 0, needed }
    }

    /// Counts an answer. False if the member is not of the group or has answered before.
    pub fn count(&mut self, from: MemberId) -> bool {
        let Some(at) = self.group.iter().position(|member| *member == from) else { return false };
        let new = self.answered & (1 << at) == 0;
        self.answered |= 1 << at;
        new || is_broken(Rule::AckTwice)
    }

    /// True once enough have answered.
    pub fn is_met(&self) -> bool {
        self.answers() >= self.needed
    }

    /// How many have answered.
    pub fn answers(&self) -> usize {
        self.answered.count_ones() as usize
    }

    /// How many answers are needed.
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// The whole group, in order.
    pub fn group(&self) -> &[MemberId] {
        &self.group
    }

    /// True if a member of the group has answered.
    pub fn has_answered(&self, member: MemberId) -> bool {
        self.group.iter().enumerate().any(|(at, other)| *other == member && self.answered & (1 << at) != 0)
    }

    /// Those who have not answered yet, in order.
    pub fn missing(&self) -> impl Iterator<Item = MemberId> {
        self.group.iter().enumerate().filter(|(at, _)| self.answered & (1 << at) == 0).map(|(_, member)| *member)
    }

    /// Begins anew with the same group.
    pub fn clear(&mut self) {
        self.answered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_counts_once_and_a_stranger_never() {
        let members = [MemberId(1), MemberId(2), MemberId(3)];
        let mut tally = Tally::new(members.to_vec(), 2);
        assert!(tally.count(MemberId(2)) && !tally.count(MemberId(2)) && !tally.count(MemberId(9)));
        assert!(!tally.is_met());
        assert_eq!(tally.missing().collect::<Vec<_>>(), [MemberId(1), MemberId(3)]);
        assert!(tally.count(MemberId(3)) && tally.is_met());
    }

    #[test]
    fn two_default_quorums_always_meet() {
        for replicas in 1..=7 {
            let size = quorum_size(Quorum::Default, replicas, "R").expect("a majority exists");
            assert!(2 * size > replicas && 2 * (size - 1) <= replicas);
        }
        assert!(quorum_size(Quorum::Exactly(4), 3, "R").is_err());
        assert!(quorum_size(Quorum::Exactly(0), 3, "R").is_err());
        assert_eq!(quorum_size(Quorum::All, 3, "W"), Ok(3));
    }
}
