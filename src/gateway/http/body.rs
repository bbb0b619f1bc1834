//! The body of a request: bounded before it is read, and in time.

use super::problem::{Kind, Problem};
use super::serving::Serving;
use crate::limits::{HTTP_BODY_BYTES_STEP, HTTP_BODY_DEADLINE_MS};
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// A body that is there, and the room that it takes until this goes.
pub(super) struct Arrived {
    pub(super) bytes: Bytes,
    _room: Vec<OwnedSemaphorePermit>,
}

/// Reads a body of at most so many bytes.
pub(super) async fn arrived(serving: &Serving, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Arrived, Problem> {
    match headers.get(CONTENT_LENGTH) {
        // The connection has seen to it that it is a number.
        Some(length) => match length.to_str().ok().and_then(|length| length.parse::<u64>().ok()) {
            Some(said) if said <= bytes_max as u64 => {}
            _ => return Err(too_large(&format!("has {} bytes", length.to_str().unwrap_or("too many")), bytes_max)),
        },
        None if headers.contains_key(TRANSFER_ENCODING) => {}
        None => {
            return Err(Problem::new(
                Kind::LengthRequired,
                "neither Content-Length nor Transfer-Encoding says how long the body is",
            ));
        }
    }
    let whole = timeout(Duration::from_millis(HTTP_BODY_DEADLINE_MS), whole(serving, body, bytes_max));
    whole.await.unwrap_or_else(|_| {
        let detail = format!("the body was not complete after {} s", HTTP_BODY_DEADLINE_MS / 1_000);
        Err(Problem::new(Kind::SlowBody, detail).closing())
    })
}

async fn whole(serving: &Serving, mut body: Body, bytes_max: usize) -> Result<Arrived, Problem> {
    let (mut first, mut gathered, mut room) = (Bytes::new(), BytesMut::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::new(Kind::BadBody, format!("the body breaks off: {error}")).closing())?;
        let Ok(piece) = frame.into_data() else { continue };
        let bytes = first.len() + gathered.len() + piece.len();
        if bytes > bytes_max {
            return Err(too_large("goes on beyond that", bytes_max));
        }
        while bytes > (room.len() + 1) * HTTP_BODY_BYTES_STEP {
            room.push(serving.room_for_step().map_err(Problem::closing)?);
        }
        // One piece, as most are, needs no copy.
        if first.is_empty() && gathered.is_empty() {
            first = piece;
        } else {
            gathered.extend_from_slice(&std::mem::take(&mut first));
            gathered.extend_from_slice(&piece);
        }
    }
    Ok(Arrived { bytes: if gathered.is_empty() { first } else { gathered.freeze() }, _room: room })
}

fn too_large(what: &str, bytes_max: usize) -> Problem {
    let problem =
        Problem::new(Kind::TooLarge, format!("a body may have {bytes_max} bytes here, and this one {what}; nothing was done"));
    problem.closing()
}
