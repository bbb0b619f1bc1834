//! Counters: INCR and its kin. Every increment is a fact of its own, so none is lost, whatever peer takes it and whoever is cut off.
//!
//! The answer is what a majority of the replicas held before, and this increment: increments that others make at the same time may be missing in it.

use super::answer::Answer;
use super::ask::{error, get, work, wrong_type};
use super::framing::Words;
use super::gate::Gate;
use super::queue::Work;
use super::session::Outcome;
use super::strings::integer;
use crate::message::{PatchBody, Quorum, Reply, Request, Update, Value};
use bytes::Bytes;
use std::rc::Rc;

/// `INCR key`.
pub(super) fn incr(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { add(&gate, &words[1], 1).await })
}

/// `DECR key`.
pub(super) fn decr(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { add(&gate, &words[1], -1).await })
}

/// `INCRBY key amount`.
pub(super) fn incrby(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { add(&gate, &words[1], integer(&words[2])?).await })
}

/// `DECRBY key amount`.
pub(super) fn decrby(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { add(&gate, &words[1], integer(&words[2])?.checked_neg().ok_or_else(overflow)?).await })
}

async fn add(gate: &Gate, key: &Bytes, amount: i64) -> Outcome {
    let before = match get(gate, key).await?.map(|found| found.value) {
        None => 0,
        Some(Some(Value::Counter(sum))) => integer(&sum).map_err(|_| overflow())?,
        Some(Some(Value::Bytes(_) | Value::Typed(_) | Value::Json(_))) => return Err(Answer::error(NO_COUNTER)),
        Some(_) => return Err(wrong_type()),
    };
    let after = before.checked_add(amount).ok_or_else(overflow)?;
    let update = Update {
        key: key.clone(),
        patch: PatchBody::Increment { path: String::new(), amount },
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    };
    match gate.ask(Request::Update(update)).await {
        Reply::Written(_) => Ok(Answer::Integer(after)),
        other => Err(error(other)),
    }
}

const NO_COUNTER: &str = "WRONGTYPE the key holds a string, and not a counter: a string that two clients count up loses counts. A counter begins with its \
                          first INCR or INCRBY, so DEL the key and INCRBY it by what it held";

fn overflow() -> Answer {
    Answer::error("ERR increment or decrement would overflow")
}
