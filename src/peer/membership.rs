//! Who belongs to the cluster, and who can be reached.

use super::acquaintance::KnownStart;
use super::{Linked, Now, Output, Peer};
use crate::message::Position;
use crate::ring::{Change, ClusterId, Founder, MemberId, PartitionId, Placement};
use crate::vclock::{Actor, Start};

/// What to do when the newest folder is gone.
pub(super) const QUARANTINE: &str = "if that is lost, run `henge serve --quarantine` once with its usual flags";

/// What a peer says of itself at the beginning of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Introduction {
    /// The member.
    pub member: MemberId,
    /// The actor under which its store writes.
    pub actor: Actor,
    /// Its start.
    pub start: Start,
    /// The start before, as its folder has it; 0 for a new one.
    pub previous: Start,
    /// The starts before that one, as far as its folder has them: the newest first.
    pub earlier: Vec<Start>,
    /// Drawn at this start: tells twins of one start number apart.
    pub nonce: u64,
    /// Its cluster, if it has been formed.
    pub cluster: Option<ClusterId>,
    /// Where it is reached.
    pub address: String,
    /// What people call it.
    pub name: String,
}

impl Introduction {
    /// True if its folder knows nothing of an earlier start that this member has had: then it is an old copy of another one. Its own starts it
    /// knows, up to where its memory ends; of what lies behind that nothing can be told.
    pub fn lacks(&self, start: Start) -> bool {
        let mut past = [self.previous].into_iter().chain(self.earlier.iter().copied());
        let oldest = self.earlier.last().map_or(self.previous, |last| *last);
        oldest < start && start < self.start && past.all(|known| known != start)
    }
}

impl Peer {
    /// What this peer says of itself.
    pub fn introduction(&self) -> Introduction {
        let mut past = self.replica.store().past_starts();
        Introduction {
            member: self.me,
            actor: self.replica.store().actor(),
            start: self.replica.store().start(),
            previous: past.next().unwrap_or(Start(0)),
            earlier: past.collect(),
            nonce: self.gossip.nonce(),
            cluster: self.placement.as_ref().map(Placement::cluster),
            address: self.config.address.clone(),
            name: self.config.name.clone(),
        }
    }

    /// Checks that another peer belongs to the same cluster, and is a member. The error is for people, and names both sides.
    pub(super) fn check_membership(&self, other: &Introduction) -> Result<(), String> {
        let me = self.introduction();
        let who = |peer: &Introduction| format!("{} at {} (member {:?})", peer.name, peer.address, peer.member);
        match (me.cluster, other.cluster) {
            (Some(mine), Some(theirs)) if mine != theirs => {
                let message = "check the addresses, or start one of them with another folder";
                return Err(format!("{} belongs to cluster {theirs:?}, {} to cluster {mine:?}: {message}", who(other), who(&me)));
            }
            (None, Some(theirs)) => {
                return Err(format!(
                    "{} belongs to no cluster yet, and {}, of cluster {theirs:?}, looks there for one of its members: start that member from its own \
                     folder, or with `henge serve --replace MEMBER --from ADDR` if that is lost; or start this peer at another address",
                    who(&me),
                    who(other)
                ));
            }
            (None, None) => return Err(format!("{} belongs to no cluster yet, and neither does {}", who(&me), who(other))),
            _ => {}
        }
        if other.member == me.member {
            let message = "is an old or second copy of this folder: a member runs once";
            return Err(format!("{} has the member id of {}: one of them {message}", who(other), who(&me)));
        }
        if !self.founders().iter().any(|founder| founder.member == other.member) {
            let holder = self.founders().iter().find(|founder| self.address_of(founder.member) == Some(&other.address));
            let holder = holder.map(|held| format!("; its address belongs to {} (member {:?})", held.name, held.member));
            return Err(format!("{} is no member of the cluster of {}{}", who(other), who(&me), holder.unwrap_or_default()));
        }
        Ok(())
    }

    /// Why another peer runs from an old copy of its folder, if it does. A disk cannot notice that it is one, and its new start number
    /// is above all others. But this store has seen what the member wrote in starts of which the copy knows nothing: going on from it would
    /// take back what was acknowledged.
    pub fn old_copy(&self, other: &Introduction) -> Option<String> {
        let store = self.replica.store();
        // A promise names a start that the actor has really had, or says that the actor has ended.
        let fenced = store.fence(other.actor).filter(|below| *below > other.start || other.lacks(*below));
        if let Some(below) = fenced {
            let has_ended = if below == Start(u32::MAX) { "its actor has ended" } else { "newer starts of it have been met" };
            return Some(format!(
                "{} at {} comes from a folder that was last started as {}, and {has_ended}: this is an old copy of this folder; stop it, and \
                 start the peer from its newest folder; {QUARANTINE}",
                other.name, other.address, other.previous.0
            ));
        }
        let seen = store.newest_start_of(other.actor)?;
        (seen > other.start || other.lacks(seen)).then(|| {
            format!(
                "{} at {} comes from a folder that knows nothing of its start {}, of which writes have been seen (its last one was {}): this is an \
                 old copy of this folder; stop it, and start the peer from its newest folder; {QUARANTINE}",
                other.name, other.address, seen.0, other.previous.0
            )
        })
    }

    /// The members, this one included; nobody before the cluster was formed.
    pub fn founders(&self) -> &[Founder] {
        self.placement.as_ref().map_or(&[], Placement::members)
    }

    pub(super) fn on_link_up(&mut self, now: Now, member: MemberId, linked: Linked, outbox: &mut Vec<Output>) {
        let known = KnownStart { actor: linked.actor, start: linked.start, nonce: None };
        if self.met.get(&member).is_none_or(|met| (met.actor, met.start) != (known.actor, known.start)) {
            self.met.insert(member, known);
        }
        self.links.insert(member, linked);
        self.gossip_link_up(now, member, linked, outbox);
    }

    pub(super) fn on_link_down(&mut self, now: Now, member: MemberId, outbox: &mut Vec<Output>) {
        if self.links.remove(&member).is_some() {
            self.paces.on_link_down(member);
            self.gossip_link_down(now, member, outbox);
        }
    }

    /// A member can be reached from now on. Writes that are under way reach it at their next check.
    pub(super) fn on_member_up(&mut self, now: Now, member: MemberId, _outbox: &mut Vec<Output>) {
        self.compare_with_returned(now, member);
        self.closing.look_soon(now.monotonic_ms);
    }

    /// A member cannot be reached any more: whatever waits for it goes on without it.
    pub(super) fn on_member_down(&mut self, now: Now, member: MemberId, outbox: &mut Vec<Output>) {
        self.stop_comparing_with(now, member);
        self.on_link_lost(member, outbox);
        self.closing.on_member_down(now.monotonic_ms, member);
    }

    /// Whether a message counts: whoever knows a newer start of a member refuses what its older ones have said.
    pub(super) fn is_current(&self, from: MemberId, start: Start) -> bool {
        self.links.get(&from).is_none_or(|known| start >= known.start)
    }

    /// Takes in change 0, once. Answers with the position that must be durable before it counts; the error is for people.
    pub(super) fn form(&mut self, now: Now, change: Change, outbox: &mut Vec<Output>) -> Result<Position, String> {
        let placement = Placement::from_changes(std::slice::from_ref(&change)).map_err(|error| error.to_string())?;
        if let Some(mine) = &self.placement {
            if self.replica.store().membership() == std::slice::from_ref(&change) {
                return Ok(self.replica.store().appended());
            }
            return Err(format!(
                "{} (member {:?}) belongs to cluster {:?} already and cannot be formed into cluster {:?}",
                self.config.name,
                self.me,
                mine.cluster(),
                placement.cluster()
            ));
        }
        if !placement.members().iter().any(|founder| founder.member == self.me) {
            return Err(format!(
                "{} (member {:?}) is none of the founders of cluster {:?}",
                self.config.name,
                self.me,
                placement.cluster()
            ));
        }
        let position = self.replica.store_mut().append_membership(&change, &placement);
        self.owners = owners(&placement);
        self.placement = Some(placement);
        self.set_pairs(now.monotonic_ms);
        self.gossip_with_members(now);
        outbox.push(Output::Members);
        Ok(position)
    }

    pub(super) fn owners_of(&self, partition: PartitionId) -> &[MemberId] {
        self.owners.get(usize::from(partition.0)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn name_of(&self, member: MemberId) -> String {
        let founder = self.founders().iter().find(|founder| founder.member == member);
        let address = self.address_of(member).unwrap_or_default();
        founder.map_or_else(|| format!("member {member:?}"), |founder| format!("{} at {address}", founder.name))
    }
}

/// The owners of each partition by their ids.
pub(super) fn owners(placement: &Placement) -> Vec<Vec<MemberId>> {
    let ids = |partition| placement.owners(partition).iter().map(|owner| placement.member(*owner).member).collect();
    placement.partition_ids().map(ids).collect()
}
