//! Closing the gaps of starts that are over: what a peer asks of every member, and what they answer and promise.

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
    /// The member whose actor it is or was; 0: it has ended, and nobody knows whose it was.
    pub member: MemberId,
    /// The first start that may still speak.
    pub below: Start,
}

/// Is this your actor, or do you know whose it is? Asked of every member about an actor that clocks speak of and nobody tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActorAsk {
    /// The actor.
    pub actor: Actor,
}

/// It is not mine, and I know of nobody who writes as it. Whoever cannot say that says nothing.
///
/// It holds for ever: whoever asks has seen what the actor wrote, so the actor is older than this answer, and a member that has another one by
/// then does not go back to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActorDenial {
    /// The actor.
    pub actor: Actor,
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
