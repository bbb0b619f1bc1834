//! Oracle m: what peers believe of the members only moves forward, and after healing all of them believe the same.

use super::Violation;
use henge::message::{MemberRecord, Rank};
use henge::ring::MemberId;
use std::collections::BTreeMap;

/// What one peer believes of one member: the newest record, none if there is none; and of which rank it says that the member is dead, if it does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Belief {
    /// The record.
    pub record: Option<MemberRecord>,
    /// Of which rank its state is believed.
    pub rank: Rank,
    /// True if it counts as dead.
    pub is_dead: bool,
}

/// What one peer has believed so far, in this start of it.
#[derive(Default, Debug)]
pub struct Beliefs {
    ranks: BTreeMap<MemberId, (Rank, Rank)>,
}

impl Beliefs {
    /// It believes this now. Says what is older than it was.
    pub fn note(&mut self, member: MemberId, (record, rank): (Rank, Rank)) -> Option<Violation> {
        let (last_record, last_rank) = self.ranks.insert(member, (record, rank)).unwrap_or_default();
        let is_older = record < last_record || rank < last_rank;
        is_older.then(|| {
            let what = format!("of {member} it knew {last_record:?} and {last_rank:?}, and now {record:?} and {rank:?}");
            Violation::new("m", what)
        })
    }
}

/// How a belief differs from what the member says of itself, after healing.
pub fn differs(own: &MemberRecord, belief: &Belief) -> Option<Violation> {
    let is_right = belief.record.as_ref() == Some(own) && !belief.is_dead;
    (!is_right).then(|| Violation::new("m", format!("{} says {own:?} of itself, and is believed {belief:?}", own.name)))
}
