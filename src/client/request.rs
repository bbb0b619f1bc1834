//! What the client has to know of a request: its key, whether it writes, how long it may take.

use crate::limits;
use crate::message::{Attempt, Failure, FailureKind, Reply, Request, Retry};
use crate::wire::{WireError, encode_request};
use bytes::BytesMut;
use std::time::Duration;

/// The key that decides who owns the request, if it has one.
pub(super) fn key(request: &Request) -> Option<&[u8]> {
    match request {
        Request::Put(put) => Some(&put.key),
        Request::Remove(remove) => Some(&remove.key),
        Request::Update(update) => Some(&update.key),
        Request::Expire(expire) => Some(&expire.key),
        Request::Get(get) => Some(&get.key),
        Request::Why(why) => Some(&why.key),
        Request::List(_) | Request::Ring | Request::Status | Request::Describe | Request::Form(_) => None,
    }
}

/// True if doing the request twice may differ from doing it once. Forming is safe to repeat by its own rules.
pub(super) fn is_write(request: &Request) -> bool {
    matches!(request, Request::Put(_) | Request::Remove(_) | Request::Update(_) | Request::Expire(_))
}

/// Where a write keeps what makes its retries recognisable.
pub(super) fn retry_mut(request: &mut Request) -> Option<&mut Option<Retry>> {
    match request {
        Request::Put(put) => Some(&mut put.retry),
        Request::Remove(remove) => Some(&mut remove.retry),
        Request::Update(update) => Some(&mut update.retry),
        Request::Expire(expire) => Some(&mut expire.retry),
        _ => None,
    }
}

/// Names the coordinator of the first try, so that the next one is recognised as a retry.
pub(super) fn name_first(request: &mut Request, first: Attempt) {
    if let Some(Some(retry)) = retry_mut(request) {
        retry.first.get_or_insert(first);
    }
}

/// How long the request may take; writes `default` into it if it names no deadline, so that the peer gives up no later.
pub(super) fn settle_deadline(request: &mut Request, default: Duration) -> Duration {
    let field = match request {
        Request::Put(put) => &mut put.deadline_ms,
        Request::Remove(remove) => &mut remove.deadline_ms,
        Request::Update(update) => &mut update.deadline_ms,
        Request::Expire(expire) => &mut expire.deadline_ms,
        Request::Get(get) => &mut get.deadline_ms,
        Request::List(list) => &mut list.deadline_ms,
        Request::Why(why) => &mut why.deadline_ms,
        Request::Ring | Request::Status | Request::Describe | Request::Form(_) => return default,
    };
    if *field == 0 {
        *field = default.as_millis().clamp(1, u128::from(limits::REQUEST_DEADLINE_MS_MAX)) as u32;
    }
    Duration::from_millis(u64::from(*field))
}

/// A failure that the client itself found.
pub(super) fn failed(kind: FailureKind, message: String) -> Reply {
    Reply::Failed(Failure { kind, message, retry_after_ms: 0 })
}

/// Appends a request to a send buffer, unless it is larger than a peer takes from a client: the peer would close the connection over
/// it, on which other requests wait.
pub(super) fn encode(id: u64, request: &Request, out: &mut BytesMut) -> Result<(), WireError> {
    let before = out.len();
    encode_request(id, request, out)?;
    let bytes = out.len() - before;
    if bytes > limits::REQUEST_FRAME_BYTES_MAX {
        out.truncate(before);
        return Err(WireError::FrameTooLarge { bytes: bytes as u64, max: limits::REQUEST_FRAME_BYTES_MAX });
    }
    Ok(())
}
