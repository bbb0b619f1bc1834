//! Actors of whom nobody tells whose they are: the disks that knew it are lost. Each member is asked whether they are its own.
//!
//! What a member answers holds for ever, so answers need no number and no order: an actor was there before it could be asked about, and a member that
//! writes under another one behind that has left it, if it ever had it. Nothing of this is kept on disk: what follows from it is a promise.

use crate::limits::STRANGERS_MAX;
use crate::ring::MemberId;
use crate::vclock::Actor;
use std::collections::{BTreeMap, BTreeSet};

/// The actors that are being asked about, and who has not said yet that they are none of its own.
#[derive(Default, Debug)]
pub struct Strangers {
    missing: BTreeMap<Actor, BTreeSet<MemberId>>,
}

impl Strangers {
    /// These are strange now, and no others. Says who is to be asked about which: of all other members those that have not answered.
    pub fn look_into(&mut self, strange: &BTreeSet<Actor>, others: &BTreeSet<MemberId>) -> Vec<(MemberId, Actor)> {
        self.missing.retain(|actor, _| strange.contains(actor));
        for actor in strange {
            if self.missing.len() < STRANGERS_MAX {
                self.missing.entry(*actor).or_insert_with(|| others.clone());
            }
        }
        self.missing.iter().flat_map(|(actor, missing)| missing.iter().map(move |member| (*member, *actor))).collect()
    }

    /// A member has said that an actor is not its own. True if it was the last one.
    pub fn on_denial(&mut self, from: MemberId, actor: Actor) -> bool {
        self.missing.get_mut(&actor).is_some_and(|missing| missing.remove(&from) && missing.is_empty())
    }

    /// The actors of which all other members have said that.
    pub fn denied_by_all(&self) -> impl Iterator<Item = Actor> {
        self.missing.iter().filter(|(_, missing)| missing.is_empty()).map(|(actor, _)| *actor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(numbers: std::ops::Range<u128>) -> BTreeSet<MemberId> {
        numbers.map(MemberId).collect()
    }

    #[test]
    fn an_actor_is_nobodys_when_every_other_member_has_said_so_and_not_before() {
        let mut strangers = Strangers::default();
        let strange = BTreeSet::from([Actor(7), Actor(8)]);
        assert_eq!(strangers.look_into(&strange, &members(1..4)).len(), 6);
        assert!(!strangers.on_denial(MemberId(1), Actor(7)) && !strangers.on_denial(MemberId(2), Actor(7)));
        assert!(!strangers.on_denial(MemberId(2), Actor(7)), "the same one twice");
        assert!(!strangers.on_denial(MemberId(9), Actor(7)), "who is no member counts for nothing");
        assert_eq!(strangers.denied_by_all().count(), 0);
        let again = strangers.look_into(&strange, &members(1..4));
        assert!(again.contains(&(MemberId(3), Actor(7))) && again.len() == 4, "only who has not answered: {again:?}");
        assert!(strangers.on_denial(MemberId(3), Actor(7)));
        assert_eq!(strangers.denied_by_all().collect::<Vec<_>>(), [Actor(7)]);
    }

    #[test]
    fn answers_count_only_for_what_is_strange_still() {
        let mut strangers = Strangers::default();
        strangers.look_into(&BTreeSet::from([Actor(7)]), &members(1..3));
        assert!(!strangers.on_denial(MemberId(1), Actor(7)) && !strangers.on_denial(MemberId(1), Actor(6)));
        strangers.look_into(&BTreeSet::new(), &members(1..3));
        assert!(!strangers.on_denial(MemberId(2), Actor(7)), "somebody has told of it meanwhile");
        assert_eq!(strangers.denied_by_all().count(), 0);
    }

    #[test]
    fn no_more_are_asked_about_at_a_time_than_the_bound_says() {
        let mut strangers = Strangers::default();
        let strange: BTreeSet<Actor> = (1..=STRANGERS_MAX as u64 + 1).map(Actor).collect();
        assert_eq!(strangers.look_into(&strange, &members(1..2)).len(), STRANGERS_MAX);
        let last = Actor(STRANGERS_MAX as u64 + 1);
        assert!(!strangers.on_denial(MemberId(1), last), "it was not asked about");
        // Those that are settled make room.
        assert!(strangers.look_into(&BTreeSet::from([Actor(2), last]), &members(1..2)).contains(&(MemberId(1), last)));
    }
}
