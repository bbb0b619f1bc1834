//! What is believed of every other member, and how two beliefs merge: in any order, and only forward.

use super::suspicion::Suspicion;
use crate::broken::{Rule, is_broken};
use crate::message::{MemberRecord, Rank, Standing};
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use std::collections::{BTreeMap, BTreeSet};

/// What is believed of a member. Of two beliefs of one rank the worse wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MemberState {
    /// It is there.
    Alive,
    /// A probe has failed, and it may still refute that.
    Suspect,
    /// It has not refuted it in time.
    Dead,
}

/// The belief in one member.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    pub(super) record: Option<MemberRecord>,
    pub(super) state: MemberState,
    /// Of what the state is believed: at least the rank of the record.
    pub(super) rank: Rank,
    pub(super) since_ms: u64,
    /// While it is suspected.
    pub(super) suspicion: Option<Suspicion>,
}

impl Belief {
    fn record_rank(&self) -> Rank {
        self.record.as_ref().map_or(Rank::default(), MemberRecord::rank)
    }

    fn dead(&self) -> Option<Rank> {
        (self.state == MemberState::Dead).then_some(self.rank)
    }

    fn set(&mut self, state: MemberState, rank: Rank, now_ms: u64) -> Change {
        let before = self.state;
        if before != state {
            self.since_ms = now_ms;
        }
        (self.state, self.rank, self.suspicion) = (state, rank, None);
        match (before, state) {
            (MemberState::Dead, MemberState::Dead) => Change::Same,
            (MemberState::Dead, _) if is_broken(Rule::ReturnUnnoticed) => Change::Same,
            (MemberState::Dead, _) => Change::Returned,
            (_, MemberState::Dead) => Change::Died,
            _ => Change::Same,
        }
    }
}

/// What a merge has changed in whether a member counts as dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing.
    Same,
    /// It is dead now.
    Died,
    /// It was, and is no more.
    Returned,
}

/// The beliefs of one peer in all other members, with a digest of what everybody should agree on: records, and deaths. Suspicions come
/// and go and are no part of it.
#[derive(Clone, Default, Debug)]
pub struct View {
    beliefs: BTreeMap<MemberId, Belief>,
    /// The suspected ones: they are looked at often, and are few.
    suspected: BTreeSet<MemberId>,
    digest: u64,
}

impl View {
    /// A member of whom nothing is known yet counts as alive, at the lowest rank. Does nothing if it is known.
    pub fn insert(&mut self, member: MemberId, now_ms: u64) {
        let fresh = || Belief { record: None, state: MemberState::Alive, rank: Rank::default(), since_ms: now_ms, suspicion: None };
        self.beliefs.entry(member).or_insert_with(fresh);
    }

    /// Takes in what a member says of itself. None if that is not new, or the member is unknown.
    pub fn merge_record(&mut self, record: &MemberRecord, now_ms: u64) -> Option<Change> {
        let belief = self.beliefs.get_mut(&record.member)?;
        let is_news = |known: &MemberRecord| record.supersedes(known) || (is_broken(Rule::OlderRecord) && record != known);
        if belief.record.as_ref().is_some_and(|known| !is_news(known)) {
            return None;
        }
        self.digest = self.digest.wrapping_sub(contribution(record.member, belief));
        belief.record = Some(record.clone());
        // What was said against it stands if it is about this record or a later one.
        let change = match record.rank() > belief.rank {
            true => belief.set(MemberState::Alive, record.rank(), now_ms),
            false => Change::Same,
        };
        if belief.state != MemberState::Suspect {
            self.suspected.remove(&record.member);
        }
        self.digest = self.digest.wrapping_add(contribution(record.member, belief));
        Some(change)
    }

    /// Takes in that a member is suspected or dead. None if that is not new, or the member is unknown.
    pub fn merge_claim(&mut self, member: MemberId, state: MemberState, rank: Rank, now_ms: u64) -> Option<Change> {
        let belief = self.beliefs.get_mut(&member)?;
        if (rank, state) <= (belief.rank, belief.state) {
            return None;
        }
        self.digest = self.digest.wrapping_sub(contribution(member, belief));
        let change = belief.set(state, rank, now_ms);
        if state == MemberState::Suspect {
            self.suspected.insert(member)
        } else {
            self.suspected.remove(&member)
        };
        self.digest = self.digest.wrapping_add(contribution(member, belief));
        Some(change)
    }

    /// A member has come in by a link of its own, in this start: what was said of earlier starts counts no more, though its record is still on
    /// its way.
    pub(super) fn meet(&mut self, member: MemberId, actor: Actor, start: Start, now_ms: u64) -> Option<Change> {
        let belief = self.beliefs.get(&member)?;
        // Under another actor it is the record's affair which of the two is newer.
        if belief.record.as_ref().is_some_and(|record| record.actor != actor) {
            return None;
        }
        let rank = Rank { actors: belief.rank.actors, start, incarnation: 0 };
        self.merge_claim(member, MemberState::Alive, rank, now_ms)
    }

    /// Gives up the suspicion of a member without a word from it. Only for one who has reason to doubt what it saw.
    pub(super) fn drop_suspicion(&mut self, member: MemberId, now_ms: u64) {
        if let Some(belief) = self.beliefs.get_mut(&member).filter(|belief| belief.state == MemberState::Suspect) {
            let rank = belief.rank;
            belief.set(MemberState::Alive, rank, now_ms);
            self.suspected.remove(&member);
        }
    }

    /// How a member stands: its state, and of what rank.
    pub fn state(&self, member: MemberId) -> Option<(MemberState, Rank)> {
        self.beliefs.get(&member).map(|belief| (belief.state, belief.rank))
    }

    /// The newest record of a member.
    pub fn record(&self, member: MemberId) -> Option<&MemberRecord> {
        self.beliefs.get(&member)?.record.as_ref()
    }

    /// All records and deaths in one number: equal where they are equal.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How each member stands, by their ids.
    pub fn standings(&self) -> impl Iterator<Item = Standing> + '_ {
        self.beliefs.iter().map(|(member, belief)| Standing { member: *member, record: belief.record_rank(), dead: belief.dead() })
    }

    /// All members, by their ids.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + Clone + '_ {
        self.beliefs.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.beliefs.len()
    }

    pub(super) fn belief(&self, member: MemberId) -> Option<&Belief> {
        self.beliefs.get(&member)
    }

    pub(super) fn suspicion_mut(&mut self, member: MemberId) -> Option<&mut Option<Suspicion>> {
        self.beliefs.get_mut(&member).map(|belief| &mut belief.suspicion)
    }

    pub(super) fn suspicions(&self) -> impl Iterator<Item = (MemberId, &Suspicion)> {
        self.suspected.iter().filter_map(|member| Some((*member, self.beliefs.get(member)?.suspicion.as_ref()?)))
    }
}

/// What a belief adds to the digest.
fn contribution(member: MemberId, belief: &Belief) -> u64 {
    let dead = belief.dead();
    match &belief.record {
        None if dead.is_none() => 0,
        record => hash(member, record.as_ref(), dead),
    }
}

/// What a member that is alive adds to the digest of all the others.
pub(super) fn own_contribution(record: &MemberRecord) -> u64 {
    hash(record.member, Some(record), None)
}

fn hash(member: MemberId, record: Option<&MemberRecord>, dead: Option<Rank>) -> u64 {
    let mut bytes = [0_u8; 16 + 8 + 2 * 11];
    bytes[..16].copy_from_slice(&member.0.to_be_bytes());
    bytes[16..24].copy_from_slice(&record.map_or(0, |record| record.nonce).to_be_bytes());
    for (rank, at) in [(record.map(MemberRecord::rank), 24), (dead, 35)] {
        let Some(rank) = rank else { continue };
        bytes[at] = 1;
        bytes[at + 1..at + 3].copy_from_slice(&rank.actors.to_be_bytes());
        bytes[at + 3..at + 7].copy_from_slice(&rank.start.0.to_be_bytes());
        bytes[at + 7..at + 11].copy_from_slice(&rank.incarnation.to_be_bytes());
    }
    twox_hash::XxHash3_64::oneshot(&bytes)
}
