//! `/openapi.json`: all of this for machines.

use super::query::Query;
use super::routes::Answer;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document(request: Request) -> Answer {
    Query::read(request.uri().query(), &[])?;
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    Ok((headers, DOCUMENT).into_response())
}
