//! `/kv/KEY`: whole values, of bytes or JSON.

use super::body::arrived;
use super::place::key_behind;
use super::read::{Wants, read};
use super::representation::{body_of, require_whole};
use super::routes::Answer;
use super::serving::Serving;
use super::write::{Terms, write};
use crate::limits::VALUE_BYTES_MAX;
use crate::message::Request as Asked;
use crate::message::{Put, Remove};
use axum::extract::{Request, State};
use axum::http::StatusCode;

const BEGINNING: &str = "/kv/";

pub(super) async fn get(State(serving): State<Serving>, request: Request) -> Answer {
    let key = key_behind(BEGINNING, request.uri().path())?;
    let wants = Wants { key, path: String::new(), document: false };
    read(&serving, wants, request.method(), request.uri().query(), request.headers()).await
}

pub(super) async fn put(State(serving): State<Serving>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let key = key_behind(BEGINNING, parts.uri.path())?;
    let terms = Terms::of_value(parts.uri.query(), &parts.headers)?;
    require_whole(&parts.headers)?;
    let arrived = arrived(&serving, &parts.headers, body, VALUE_BYTES_MAX).await?;
    let put = Put {
        key: key.clone(),
        body: body_of(&parts.headers, arrived.bytes.clone())?,
        context: terms.context.clone(),
        w: terms.w,
        deadline_ms: terms.deadline_ms,
        retry: None,
        strict: terms.strict,
        ttl_ms: terms.ttl_ms,
    };
    write(&serving, &key, &terms, Asked::Put(put), StatusCode::CREATED).await
}

pub(super) async fn delete(State(serving): State<Serving>, request: Request) -> Answer {
    let key = key_behind(BEGINNING, request.uri().path())?;
    let terms = Terms::of_removal(request.uri().query(), request.headers())?;
    let remove = Remove {
        key: key.clone(),
        path: String::new(),
        context: terms.context.clone(),
        w: terms.w,
        deadline_ms: terms.deadline_ms,
        retry: None,
        strict: terms.strict,
    };
    write(&serving, &key, &terms, Asked::Remove(remove), StatusCode::NO_CONTENT).await
}
