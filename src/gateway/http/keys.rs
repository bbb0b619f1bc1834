//! `/keys`: which keys there are, page by page.

use super::context::CONTEXT;
use super::problem::{Kind, Problem};
use super::query::Query;
use super::read::json_response;
use super::routes::Answer;
use super::serving::{Serving, unexpected};
use crate::gateway::json::KeyShown;
use crate::limits::{KEY_BYTES_MAX, SCAN_PAGE_KEYS_MAX};
use crate::message::Request as Asked;
use crate::message::{List, Reply};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;

/// How many keys a page has, unless `limit` says otherwise.
const LIMIT_DEFAULT: u64 = 100;

#[derive(Serialize)]
struct Page {
    keys: Vec<KeyShown>,
    more: bool,
    /// Where the next page is; none if there is none.
    next: Option<String>,
}

pub(super) async fn keys(State(serving): State<Serving>, request: Request) -> Answer {
    let query = Query::read(request.uri().query(), &["prefix", "after", "limit", "r", "deadline"])?;
    if request.headers().contains_key(CONTEXT) {
        return Err(Problem::new(Kind::BadContext, "a list of keys has no context").next("leave Henge-Context out"));
    }
    let [prefix, after] = ["prefix", "after"].map(|name| bounded(&query, name));
    let limit = query.number("limit", 1, SCAN_PAGE_KEYS_MAX as u64, "a number of keys")?.unwrap_or(LIMIT_DEFAULT);
    let list =
        List { prefix: prefix?, after: after?, limit: limit as u32, r: query.quorum("r")?, deadline_ms: query.deadline_ms()? };
    let prefix = list.prefix.clone();
    let Reply::Listed(listed) = serving.ask(Asked::List(list)).await? else { return Err(unexpected()) };
    let next = listed.more.then(|| {
        let mut next = format!("/keys?after={}&limit={limit}", percent_encode(&listed.resume_after, NON_ALPHANUMERIC));
        for (name, value) in [("prefix", prefix.to_vec()), ("r", query.bytes("r")), ("deadline", query.bytes("deadline"))] {
            if !value.is_empty() {
                next.push_str(&format!("&{name}={}", percent_encode(&value, NON_ALPHANUMERIC)));
            }
        }
        next
    });
    let keys = listed.keys.iter().map(|key| KeyShown::new(key)).collect();
    Ok(json_response(StatusCode::OK, &Page { keys, more: listed.more, next }))
}

fn bounded(query: &Query, name: &str) -> Result<Bytes, Problem> {
    let bytes = query.bytes(name);
    match bytes.len() {
        ..=KEY_BYTES_MAX => Ok(bytes.into()),
        long => Err(Problem::new(Kind::BadQuery, format!("{name} has {long} bytes, and no key has more than {KEY_BYTES_MAX}"))
            .next(format!("give a shorter {name}"))),
    }
}
