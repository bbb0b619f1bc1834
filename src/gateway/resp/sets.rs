//! Sets: every member is a fact of its own, so what two clients add at two peers is all there. Whoever adds a member while another removes it wins.

use super::answer::Answer;
use super::ask::{error, get, work, wrong_type};
use super::expiry::rest_ms;
use super::framing::Words;
use super::gate::Gate;
use super::glob;
use super::queue::Work;
use super::session::syntax;
use super::strings::integer;
use crate::message::{PatchBody, Quorum, Reply, Request, Update, Value};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::rc::Rc;

/// What a key holds as a set, and how long it lives yet (milliseconds; 0: for ever).
async fn members(gate: &Gate, key: &Bytes) -> Result<(BTreeSet<Bytes>, u64), Answer> {
    let Some(found) = get(gate, key).await? else { return Ok((BTreeSet::new(), 0)) };
    match found.value {
        Some(Value::Set(members)) => Ok((members.iter().collect(), rest_ms(found.expiry_ms))),
        _ => Err(wrong_type()),
    }
}

async fn change(gate: &Gate, key: &Bytes, add: Vec<Bytes>, remove: Vec<Bytes>, ttl_ms: u64) -> Result<(), Answer> {
    let update = Update {
        key: key.clone(),
        patch: PatchBody::Elements { path: String::new(), add, remove },
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms,
    };
    match gate.ask(Request::Update(update)).await {
        Reply::Written(_) => Ok(()),
        other => Err(error(other)),
    }
}

/// `SADD key member …`: how many of them were not in it. Those that were are added again: that holds against whoever removes them meanwhile.
pub(super) fn sadd(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let (there, ttl_ms) = members(&gate, &words[1]).await?;
        let added: BTreeSet<Bytes> = words[2..].iter().cloned().collect();
        let new = added.difference(&there).count();
        // A set that expires does so with all its members.
        change(&gate, &words[1], added.into_iter().collect(), Vec::new(), ttl_ms).await?;
        Ok(Answer::count(new))
    })
}

/// `SREM key member …`: how many of them were in it.
pub(super) fn srem(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let (there, _) = members(&gate, &words[1]).await?;
        let removed: BTreeSet<Bytes> = words[2..].iter().filter(|member| there.contains(*member)).cloned().collect();
        let count = removed.len();
        if count > 0 {
            change(&gate, &words[1], Vec::new(), removed.into_iter().collect(), 0).await?;
        }
        Ok(Answer::count(count))
    })
}

/// `SMEMBERS key`.
pub(super) fn smembers(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { Ok(Answer::Set(members(&gate, &words[1]).await?.0.into_iter().map(Answer::Bulk).collect())) })
}

/// `SISMEMBER key member`.
pub(super) fn sismember(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { Ok(is_in(&members(&gate, &words[1]).await?.0, &words[2])) })
}

/// `SMISMEMBER key member …`.
pub(super) fn smismember(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let (there, _) = members(&gate, &words[1]).await?;
        Ok(Answer::Array(words[2..].iter().map(|member| is_in(&there, member)).collect()))
    })
}

fn is_in(members: &BTreeSet<Bytes>, member: &Bytes) -> Answer {
    Answer::Integer(members.contains(member).into())
}

/// `SCARD key`.
pub(super) fn scard(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { Ok(Answer::count(members(&gate, &words[1]).await?.0.len())) })
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`: all members with the first page, as Redis does with small sets.
pub(super) fn sscan(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        if &words[2][..] != b"0" {
            return Err(Answer::error("ERR invalid cursor: a set is returned with the first page, at cursor 0"));
        }
        let mut pattern: &[u8] = b"*";
        let mut options = &words[3..];
        while let [option, value, rest @ ..] = options {
            options = rest;
            match &option.to_ascii_uppercase()[..] {
                b"MATCH" => pattern = value,
                b"COUNT" => drop(integer(value)?),
                _ => return Err(syntax()),
            }
        }
        if !options.is_empty() {
            return Err(syntax());
        }
        let (there, _) = members(&gate, &words[1]).await?;
        let matching = there.into_iter().filter(|member| glob::matches(pattern, member)).map(Answer::Bulk).collect();
        Ok(Answer::Array(vec![Answer::bulk("0"), Answer::Array(matching)]))
    })
}
