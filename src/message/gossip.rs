//! What peers say to each other of themselves and of each other: probes, records, news.

use crate::ring::MemberId;
use crate::vclock::{Actor, Start};

/// What a member says of itself. Written by that member alone; everybody else hands it on as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MemberRecord {
    /// The member.
    pub member: MemberId,
    /// The actor under which its store writes.
    pub actor: Actor,
    /// The actors under which it wrote before and never will again, sorted; at most `limits::ENDED_ACTORS_MAX`.
    pub ended: Vec<EndedActor>,
    /// Its start.
    pub start: Start,
    /// Drawn at this start: tells twins of one start number apart.
    pub nonce: u64,
    /// Counts what the member has said of itself in this start: raised to refute a suspicion, and when anything here changes.
    pub incarnation: u32,
    /// What people call it.
    pub name: String,
    /// Where it is reached: `host:port`.
    pub address: String,
    /// Partitions that it owns and in which it has lost something.
    pub incomplete: u32,
}

/// An actor that will not write any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EndedActor {
    /// The actor.
    pub actor: Actor,
    /// The last start under it.
    pub last: Start,
}

/// How new something is that is said of a member. A member's ranks only grow.
///
/// The count of actors comes first: a store that has lost its disk takes a new actor, and its start number may be below the last one of the
/// old actor, if its clock is behind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    /// How many actors of the member have ended.
    pub actors: u16,
    /// Its start.
    pub start: Start,
    /// Its incarnation within the start.
    pub incarnation: u32,
}

impl Default for Rank {
    /// Below whatever a member says of itself.
    fn default() -> Rank {
        Rank { actors: 0, start: Start(0), incarnation: 0 }
    }
}

impl MemberRecord {
    /// How new it is.
    pub fn rank(&self) -> Rank {
        // A list of actors is bounded far below what the number holds.
        Rank { actors: self.ended.len().min(usize::from(u16::MAX)) as u16, start: self.start, incarnation: self.incarnation }
    }

    /// True if it takes the place of the other. Of two different ones of one rank, which only twins can make, the same one wins everywhere.
    pub fn supersedes(&self, other: &MemberRecord) -> bool {
        (self.rank(), self) > (other.rank(), other)
    }

    /// The last start of an actor, if it has ended.
    pub fn ended_at(&self, actor: Actor) -> Option<Start> {
        self.ended.iter().find(|ended| ended.actor == actor).map(|ended| ended.last)
    }
}

/// Something that is told on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// What a member says of itself: with it, it is alive.
    Record(Box<MemberRecord>),
    /// A probe of the member has failed.
    Suspect {
        /// The member.
        member: MemberId,
        /// What was known of it then: anything newer from it refutes this.
        rank: Rank,
        /// Whose probe it was.
        from: MemberId,
    },
    /// Nobody has refuted the suspicion in time.
    Dead {
        /// The member.
        member: MemberId,
        /// What was known of it then.
        rank: Rank,
    },
}

impl News {
    /// About the bytes that it takes in a frame; never too few.
    pub fn bytes(&self) -> usize {
        match self {
            News::Record(record) => 64 + record.name.len() + record.address.len() + 16 * record.ended.len(),
            News::Suspect { .. } => 54,
            News::Dead { .. } => 36,
        }
    }

    /// Whom it is about.
    pub fn member(&self) -> MemberId {
        match self {
            News::Record(record) => record.member,
            News::Suspect { member, .. } | News::Dead { member, .. } => *member,
        }
    }
}

/// How a member stands in somebody's view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The member.
    pub member: MemberId,
    /// Its record; `Rank::default()` if there is none.
    pub record: Rank,
    /// Until where it is known to be dead, if it is.
    pub dead: Option<Rank>,
}

/// A probe, and the answer to one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The probe: the prober's start number in the upper 32 bits, a count in the lower.
    pub number: u64,
    /// The sender's wall clock (milliseconds since 1970).
    pub wall_ms: u64,
    /// The sender's view in one number: equal views, equal numbers.
    pub digest: u64,
    /// What rides on it.
    pub news: Vec<News>,
}

/// One message of the gossip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gossip {
    /// Are you there?
    Probe(Probe),
    /// I am here; or: the member that you asked me to probe is.
    ProbeAck(Probe),
    /// Probe this member for me: I have no answer from it.
    ProbeFor {
        /// The sender's probe.
        number: u64,
        /// Whom to probe.
        target: MemberId,
        /// What rides on it.
        news: Vec<News>,
    },
    /// I have no answer either.
    ProbeMissed {
        /// The asker's probe.
        number: u64,
    },
    /// News that did not wait for a probe.
    Tell {
        /// The news.
        news: Vec<News>,
    },
    /// Our views differ: this is how all members stand in mine.
    Compare {
        /// All members that I know.
        standings: Vec<Standing>,
    },
    /// What I know better, and of whom you know more.
    CatchUp {
        /// What the other side lacks.
        news: Vec<News>,
        /// Whose records the sender lacks.
        wanted: Vec<MemberId>,
    },
}
