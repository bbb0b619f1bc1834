//! Promises to refuse what starts that are over have said, as frames.

use super::positional;
use crate::message::{ActorAsk, ActorDenial, FenceAsk, FencePromise, OperationId};
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use bytes::BytesMut;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct FenceAskBody {
    actor: Actor,
    member: MemberId,
    below: Start,
}

#[derive(Serialize, Deserialize)]
pub(super) struct FencePromiseBody {
    actor: Actor,
    below: Start,
    hinted: Vec<u16>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ActorBody {
    actor: Actor,
}

pub(super) fn write_ask(ask: &FenceAsk, out: &mut BytesMut) {
    positional::write(out, &FenceAskBody { actor: ask.actor, member: ask.member, below: ask.below });
}

pub(super) fn write_promise(promise: &FencePromise, out: &mut BytesMut) {
    let FencePromise { operation: _, actor, below, hinted } = promise;
    positional::write(out, &FencePromiseBody { actor: *actor, below: *below, hinted: hinted.clone() });
}

pub(super) fn write_actor(actor: Actor, out: &mut BytesMut) {
    positional::write(out, &ActorBody { actor });
}

impl ActorBody {
    pub(super) fn asked(self) -> ActorAsk {
        ActorAsk { actor: self.actor }
    }

    pub(super) fn denied(self) -> ActorDenial {
        ActorDenial { actor: self.actor }
    }
}

impl FenceAskBody {
    pub(super) fn under(self, operation: OperationId) -> FenceAsk {
        FenceAsk { operation, actor: self.actor, member: self.member, below: self.below }
    }
}

impl FencePromiseBody {
    pub(super) fn under(self, operation: OperationId) -> FencePromise {
        FencePromise { operation, actor: self.actor, below: self.below, hinted: self.hinted }
    }
}
