//! Keys, whatever they hold: DEL, EXISTS, TYPE and their kin.

use super::answer::Answer;
use super::ask::{each, error, get, work};
use super::framing::Words;
use super::gate::Gate;
use super::queue::Work;
use super::strings::Failed;
use crate::message::{Quorum, Remove, Reply, Request, Value};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::rc::Rc;

/// `DEL key …` and `UNLINK key …`: how many of them held something.
pub(super) fn del(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let keys: BTreeSet<&Bytes> = words[1..].iter().collect();
        let (count, mut removed, mut failed) = (keys.len(), 0, Failed::default());
        each(keys.into_iter().map(|key| remove(&gate, key)), |_, done| failed.note(done.map(|held| removed += usize::from(held))))
            .await;
        failed.outcome(count, Answer::count(removed))
    })
}

/// Removes a key. True if it held something.
async fn remove(gate: &Gate, key: &Bytes) -> Result<bool, Answer> {
    let remove = Remove {
        key: key.clone(),
        path: String::new(),
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
    };
    match gate.ask(Request::Remove(remove)).await {
        Reply::Written(receipt) => Ok(!receipt.covered.is_empty()),
        other => Err(error(other)),
    }
}

/// `EXISTS key …` and `TOUCH key …`: how many of them hold something; one that is named twice counts twice.
pub(super) fn exists(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let (mut there, mut failed) = (0, Failed::default());
        each(words[1..].iter().map(|key| get(&gate, key)), |_, found| {
            failed.note(found.map(|found| there += usize::from(found.is_some())))
        })
        .await;
        failed.outcome(1, Answer::count(there))
    })
}

/// `TYPE key`.
pub(super) fn kind(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { Ok(Answer::Simple(kind_of(&gate, &words[1]).await?)) })
}

/// What Redis would call what the key holds.
pub(super) async fn kind_of(gate: &Gate, key: &Bytes) -> Result<&'static str, Answer> {
    Ok(match get(gate, key).await?.map(|found| found.value) {
        None => "none",
        Some(Some(Value::Set(_))) => "set",
        Some(_) => "string",
    })
}
