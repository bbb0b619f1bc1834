//! The body of a request: bounded before it is read, and in time.

use super::problem::{Kind, Problem};
use super::serving::Serving;
use crate::limits::HTTP_BODY_DEADLINE_MS;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// A body that is there, and the room that it takes.
pub(super) struct Arrived {
    pub(super) bytes: Bytes,
    /// Kept until the request is answered.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Reads a body of at most so many bytes.
pub(super) async fn arrived(serving: &Serving, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Arrived, Problem> {
    let said = match headers.get(CONTENT_LENGTH) {
        // The connection has seen to it that it is a number.
        Some(length) => length.to_str().ok().and_then(|length| length.parse::<u64>().ok()).unwrap_or(u64::MAX),
        None if headers.contains_key(TRANSFER_ENCODING) => bytes_max as u64,
        None => {
            return Err(Problem::new(
                Kind::LengthRequired,
                "neither Content-Length nor Transfer-Encoding says how long the body is",
            ));
        }
    };
    if said > bytes_max as u64 {
        return Err(too_large(&format!("has {said} bytes"), bytes_max));
    }
    let room = serving.room_for(said as usize).map_err(Problem::closing)?;
    let bytes = timeout(Duration::from_millis(HTTP_BODY_DEADLINE_MS), whole(body, bytes_max)).await.map_err(|_| {
        let detail = format!("the body was not complete after {} s", HTTP_BODY_DEADLINE_MS / 1_000);
        Problem::new(Kind::SlowBody, detail).closing()
    })??;
    Ok(Arrived { bytes, _room: room })
}

async fn whole(mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let (mut first, mut gathered) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::new(Kind::BadBody, format!("the body breaks off: {error}")).closing())?;
        let Ok(piece) = frame.into_data() else { continue };
        if first.len() + gathered.len() + piece.len() > bytes_max {
            return Err(too_large("goes on beyond that", bytes_max));
        }
        // One piece, as most are, needs no copy.
        match (first.is_empty(), gathered.is_empty()) {
            (true, true) => first = piece,
            (false, _) => {
                gathered.extend_from_slice(&std::mem::take(&mut first));
                gathered.extend_from_slice(&piece);
            }
            (true, false) => gathered.extend_from_slice(&piece),
        }
    }
    Ok(if gathered.is_empty() { first } else { gathered.freeze() })
}

fn too_large(what: &str, bytes_max: usize) -> Problem {
    let problem =
        Problem::new(Kind::TooLarge, format!("a body may have {bytes_max} bytes here, and this one {what}; nothing was done"));
    problem.closing()
}
