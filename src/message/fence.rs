//! Closing the gaps of starts that are over: what a peer asks of every member, and what they promise.

use super::OperationId;
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use serde::{Deserialize, Serialize};

/// Promise to take in nothing any more that this actor says in a start below this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FenceAsk {
    /// The asker's operation.
    pub operation: OperationId,
    /// The actor.
    pub actor: Actor,
    /// The member whose actor it is; 0: of none that is known, it has ended.
    pub member: MemberId,
    /// The first start that may still speak.
    pub below: Start,
}

/// It is promised, durably. Whoever cannot promise says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FencePromise {
    /// The asker's operation.
    pub operation: OperationId,
    /// The actor.
    pub actor: Actor,
    /// The first start that may still speak.
    pub below: Start,
    /// The partitions for which a hint here holds a live dot of that actor from a start below, sorted.
    pub hinted: Vec<u16>,
}
