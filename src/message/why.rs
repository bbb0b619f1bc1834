//! Why a read of a key says what it says.

use crate::ring::MemberId;
use crate::vclock::Dot;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Asks why a read of a key says what it says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Why {
    /// The key.
    pub key: Bytes,
    /// The path in the client's syntax; empty for the whole key.
    pub path: String,
    /// Milliseconds until the caller gives up; 0 for the default.
    pub deadline_ms: u32,
}

/// What a replica says of what it holds of a key, beside the entry itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Holding {
    /// Intervals of the explicit context that it keeps for the key.
    pub context_intervals: u32,
    /// To whom it owes what it holds, if it stands in.
    pub owed: Vec<MemberId>,
}

/// Why a read of a key says what it says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explained {
    /// The key.
    pub key: Bytes,
    /// The path in the client's syntax; empty for the whole key.
    pub path: String,
    /// What of the key is hashed.
    pub group: Bytes,
    /// The hash of it.
    pub hash: u64,
    /// The partition, its top bits.
    pub partition: u16,
    /// Of so many.
    pub partitions: u16,
    /// The owners in their order, then the others that can be reached, in the order of the walk.
    pub replicas: Vec<Replica>,
    /// The versions that any of them holds at and below the path, in (path, dot) order; at most `limits::WHY_VERSIONS_MAX`.
    pub versions: Vec<Judged>,
    /// So many more are not listed.
    pub more: u32,
    /// What reads with R = 1, 2, … would have said.
    pub quorums: Vec<Would>,
}

/// A member, as far as the key is concerned.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Replica {
    /// The member.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// Where it is reached.
    pub address: String,
    /// Its zone.
    pub zone: String,
    /// True if it owns the key; the others may stand in.
    pub is_owner: bool,
    /// True if it can be reached, as the peer sees it that was asked.
    pub is_live: bool,
    /// What it said; none if it did not answer.
    pub held: Option<Held>,
}

/// What a replica holds of the key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Held {
    /// False if it cannot read what it holds.
    pub is_readable: bool,
    /// True if it is an owner that has lost nothing, so that absence means something.
    pub complete: bool,
    /// Live versions, of the whole key.
    pub versions: u32,
    /// Intervals of the explicit context that it keeps for the key.
    pub context_intervals: u32,
    /// To whom it owes what it holds, if it stands in.
    pub owed: Vec<MemberId>,
}

/// A version, and what became of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// Its dot.
    pub dot: Dot,
    /// The member whose store made it, if it is known.
    pub author: Option<MemberId>,
    /// The path of the leaf, in the client's syntax.
    pub path: String,
    /// The number of its kind: 0 bytes, 1 scalar, 2 array, 3 empty object, 4 amount, 5 element, 6 term of amounts, 7 bytes of a content type.
    pub kind: u8,
    /// The size of its value, without its content type.
    pub bytes: u32,
    /// When it was written, in milliseconds since 1970, by the clock of who coordinated the write.
    pub wall_ms: u64,
    /// When it is hidden, in milliseconds since 1970; 0 for never.
    pub expiry_ms: u64,
    /// Who holds it.
    pub held_by: Vec<MemberId>,
    /// What became of it.
    pub fate: Fate,
    /// Of one that was replaced: the replicas that have seen it and do not hold it.
    pub gone_at: Vec<MemberId>,
    /// Of one that was replaced: what is live in its place. Of a sibling: the others.
    pub beside: Vec<Dot>,
}

/// What became of a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum Fate {
    /// It is the value.
    Shown = 0,
    /// It stands beside others that did not know of it, nor it of them; last-writer-wins shows it.
    SiblingNewest = 1,
    /// It stands beside others; last-writer-wins hides it.
    SiblingOlder = 2,
    /// It has expired, and is hidden.
    Expired = 3,
    /// It was replaced or removed: some replica has seen it and does not hold it.
    Replaced = 4,
}

/// What reads with this R would have said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Would {
    /// R.
    pub r: u8,
    /// Each choice of owners that answered; if they are too few, all of them and those who stand in.
    pub choices: Vec<Choice>,
}

/// What a read would have said to which these replicas answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// The replicas.
    pub members: Vec<MemberId>,
    /// What it would have said.
    pub says: Says,
    /// True if it would have shown the same versions as all replicas together.
    pub same: bool,
}

/// What a read says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum Says {
    /// Too few can be reached to say anything.
    Unreachable = 0,
    /// Nothing is there.
    Missing = 1,
    /// Something is there.
    Found = 2,
}

impl From<Fate> for u8 {
    fn from(fate: Fate) -> u8 {
        fate as u8
    }
}

impl TryFrom<u8> for Fate {
    type Error = String;

    fn try_from(number: u8) -> Result<Fate, String> {
        use Fate::*;
        let fates = [Shown, SiblingNewest, SiblingOlder, Expired, Replaced];
        fates.get(usize::from(number)).copied().ok_or_else(|| format!("no fate of a version has the number {number}"))
    }
}

impl From<Says> for u8 {
    fn from(says: Says) -> u8 {
        says as u8
    }
}

impl TryFrom<u8> for Says {
    type Error = String;

    fn try_from(number: u8) -> Result<Says, String> {
        let says = [Says::Unreachable, Says::Missing, Says::Found];
        says.get(usize::from(number)).copied().ok_or_else(|| format!("no answer to a read has the number {number}"))
    }
}
