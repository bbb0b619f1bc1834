//! Whether a peer that introduces itself may come in: the newest start of a member that is known, by a link or by its record, speaks against
//! older ones, and against a second one of the same number.

use super::membership::QUARANTINE;
use super::{Introduction, Peer};
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};

/// What to say to a peer that introduces itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may come in.
    Welcome,
    /// It may not: another cluster, not a member, its address is held by somebody else. For people; names both sides.
    Refused(String),
    /// It is this very process, which has dialled itself under another address. For people.
    Myself(String),
    /// It runs from an old or a second copy of its member's folder, and has to stop. For people; names both sides.
    Copy(String),
}

/// A start of a member that this peer knows of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct KnownStart {
    pub(super) actor: Actor,
    pub(super) start: Start,
    /// None if its link was not introduced.
    pub(super) nonce: Option<u64>,
}

impl KnownStart {
    /// Why a peer that comes with this introduction is a copy, as far as this start tells. Under another actor it is another store, of which this
    /// start says nothing.
    fn objection(&self, other: &Introduction) -> Option<String> {
        let Introduction { member, actor, start, previous, nonce, .. } = *other;
        if actor != self.actor {
            return None;
        }
        let newest = self.start;
        if start < newest {
            Some(format!(
                "member {member} has start {}, but start {} of it has been met already: this is an old or second copy of this folder; \
                 stop it, and start the peer from its newest folder; {QUARANTINE}",
                start.0, newest.0
            ))
        } else if start == newest && self.nonce.is_some_and(|known| known != nonce) {
            Some(format!(
                "start {} of member {member} has been met already with another nonce: this is an old or second copy of this folder; \
                 only one copy may run, and only the newest",
                start.0
            ))
        } else if other.lacks(newest) {
            Some(format!(
                "member {member} comes from a folder that knows nothing of its start {}, which has been met (its last one was {}): this is an old \
                 copy of this folder; stop it, and start the peer from its newest folder; {QUARANTINE}",
                newest.0, previous.0
            ))
        } else {
            None
        }
    }
}

impl Peer {
    /// What to say to a peer that introduces itself. Everything that is known speaks: the list of members, the starts that came in by
    /// links, the members' records, and the writes that are held here.
    pub fn judge(&self, other: &Introduction) -> Verdict {
        let me = self.introduction();
        if (other.member, other.actor, other.start, other.nonce) == (me.member, me.actor, me.start, me.nonce) {
            return Verdict::Myself(format!("{} at {} has dialled itself", me.name, me.address));
        }
        if let Err(reason) = self.check_membership(other) {
            return Verdict::Refused(reason);
        }
        let record = self.gossip.record(other.member);
        let recorded = record.map(|record| KnownStart { actor: record.actor, start: record.start, nonce: Some(record.nonce) });
        let known = [self.met.get(&other.member).copied(), recorded].into_iter().flatten();
        let ended = record.and_then(|record| record.ended_at(other.actor)).map(|last| {
            format!(
                "member {} comes as actor {}, which has ended with start {}: this is an old copy of this folder; stop it, and start the peer \
                 from its newest folder",
                other.member, other.actor, last.0
            )
        });
        let objection = ended.or_else(|| known.filter_map(|known| known.objection(other)).next());
        match objection.or_else(|| self.old_copy(other)) {
            None => Verdict::Welcome,
            Some(reason) => {
                let (them, me) = (format!("{} at {}", other.name, other.address), self.introduction());
                Verdict::Copy(format!("{them} is not taken in by {} at {}: {reason}", me.name, me.address))
            }
        }
    }

    /// Checks what another peer says of itself. The error is for people, and names both sides.
    pub fn check_introduction(&self, other: &Introduction) -> Result<(), String> {
        match self.judge(other) {
            Verdict::Welcome => Ok(()),
            Verdict::Refused(reason) | Verdict::Myself(reason) | Verdict::Copy(reason) => Err(reason),
        }
    }

    /// The newest start of a member that is known here.
    pub fn newest_start(&self, member: MemberId) -> Option<Start> {
        let met = self.met.get(&member).map(|met| met.start);
        met.max(self.gossip.record(member).map(|record| record.start))
    }

    /// Remembers a peer that has been judged welcome, just before its link comes up.
    pub fn welcome(&mut self, other: &Introduction) {
        self.met.insert(other.member, KnownStart { actor: other.actor, start: other.start, nonce: Some(other.nonce) });
    }
}
