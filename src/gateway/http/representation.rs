//! Which content type a value has: the one place where bodies and values meet.

use super::problem::{Kind, Problem};
use crate::gateway::json::ValueShown;
use crate::message::{Body, Value};
use axum::http::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;

/// The value that a PUT with these headers stores: a document if it says that it is JSON, else bytes, with the type that it says they are of.
pub(super) fn body_of(headers: &HeaderMap, bytes: Bytes) -> Result<Body, Problem> {
    let mut said = headers.get_all(CONTENT_TYPE).iter();
    let (first, more) = (said.next(), said.next());
    let bad = |detail: String| {
        Problem::new(Kind::BadHeader, detail).next("send one Content-Type such as image/png, or none for bytes of no type")
    };
    if more.is_some() {
        return Err(bad("Content-Type stands there twice, and a value has one type".into()));
    }
    let first = first.map_or(Ok(""), |first| first.to_str());
    let first = first.map_err(|_| bad("Content-Type: it holds what no content type holds".into()))?;
    Body::of_type(first, bytes).map_err(|error| bad(format!("Content-Type: {error}")))
}

/// The content type and the bytes with which a value is answered.
pub(super) fn represent(value: Value) -> (HeaderValue, Bytes) {
    let json = HeaderValue::from_static("application/json");
    match value {
        Value::Json(text) | Value::Counter(text) => (json, text),
        Value::Set(_) => (json, serde_json::to_vec(&ValueShown::new(&value)).expect("names are JSON").into()),
        Value::Bytes(bytes) => (opaque(), bytes),
        // What no header could say is never stored.
        Value::Typed(typed) => (HeaderValue::from_str(typed.content_type()).unwrap_or(opaque()), typed.bytes()),
    }
}

fn opaque() -> HeaderValue {
    HeaderValue::from_static("application/octet-stream")
}

/// True if the body is said to be of one of these types, whatever its parameters.
fn is_type(headers: &HeaderMap, types: &[&str]) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let said = said.split(';').next().unwrap_or_default().trim();
    types.iter().any(|one| said.eq_ignore_ascii_case(one))
}

/// The body has to be one of these, as it says itself. It may be left unsaid nowhere: what a browser sends across sites without
/// asking first is never JSON, so that no page can write here.
pub(super) fn require_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    if is_type(headers, types) {
        return Ok(());
    }
    let said = headers.get(CONTENT_TYPE).map_or("nothing".into(), |said| format!("{:?}", String::from_utf8_lossy(said.as_bytes())));
    let problem = Problem::new(Kind::UnsupportedType, format!("the Content-Type says {said}"));
    Err(problem.next(format!("send Content-Type: {}", types.join(" or "))))
}

/// What is written is a whole value, as it is: neither a part of one, nor packed in a way that nobody would remember.
pub(super) fn require_whole(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(CONTENT_RANGE) {
        return Err(
            Problem::new(Kind::BadHeader, "Content-Range: a part of a value cannot be written").next("send the whole value")
        );
    }
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            let detail = format!("Content-Encoding: {} is not kept", String::from_utf8_lossy(encoding.as_bytes()));
            Err(Problem::new(Kind::UnsupportedType, detail).next("send the value as it is, without Content-Encoding"))
        }
        _ => Ok(()),
    }
}
