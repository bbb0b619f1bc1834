//! What writes have in common: how they are asked for, and what is said of them.

use super::conditional::refuse_conditions;
use super::context::{context_in, put_context};
use super::query::Query;
use super::read::json_response;
use super::routes::Answer;
use super::serving::{Serving, unexpected};
use crate::gateway::json::{Names, receipt_json};
use crate::message::Request as Asked;
use crate::message::{Quorum, Reply};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// How a write is to be done.
pub(super) struct Terms {
    pub(super) context: Bytes,
    pub(super) w: Quorum,
    pub(super) ttl_ms: u64,
    pub(super) strict: bool,
    pub(super) deadline_ms: u32,
    /// The receipt is wanted as the answer.
    receipt: bool,
}

impl Terms {
    /// Of a write of something, which may live for a while.
    pub(super) fn of_value(query: Option<&str>, headers: &HeaderMap) -> Result<Terms, super::problem::Problem> {
        Terms::read(Query::read(query, &["w", "ttl", "strict", "receipt", "deadline"])?, headers)
    }

    /// Of a removal.
    pub(super) fn of_removal(query: Option<&str>, headers: &HeaderMap) -> Result<Terms, super::problem::Problem> {
        Terms::read(Query::read(query, &["w", "strict", "receipt", "deadline"])?, headers)
    }

    fn read(query: Query, headers: &HeaderMap) -> Result<Terms, super::problem::Problem> {
        refuse_conditions(headers)?;
        Ok(Terms {
            context: context_in(headers)?,
            w: query.quorum("w")?,
            ttl_ms: query.ttl_ms()?,
            strict: query.flag("strict")?,
            deadline_ms: query.deadline_ms()?,
            receipt: query.flag("receipt")?,
        })
    }
}

/// Writes, and answers with this status; with the receipt, if it is wanted.
pub(super) async fn write(serving: &Serving, key: &[u8], wants_receipt: &Terms, write: Asked, status: StatusCode) -> Answer {
    let Reply::Written(receipt) = serving.ask(write).await? else { return Err(unexpected()) };
    let mut response: Response = if wants_receipt.receipt {
        // The names are a courtesy: without them the ids will do.
        let names = match serving.ask(Asked::Ring).await {
            Ok(Reply::Ring(table)) => Names::of(&table),
            _ => Names::default(),
        };
        let status = if status == StatusCode::NO_CONTENT { StatusCode::OK } else { status };
        json_response(status, &receipt_json(key, &receipt, &names))
    } else {
        status.into_response()
    };
    put_context(response.headers_mut(), &receipt.context);
    Ok(response)
}
