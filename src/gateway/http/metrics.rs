//! `/metrics`: the figures of this peer in the OpenMetrics text format. docs/operations.md says what each of them means.

use super::query::Query;
use super::routes::Answer;
use super::serving::Serving;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

pub(super) async fn metrics(State(serving): State<Serving>, request: Request) -> Answer {
    Query::read(request.uri().query(), &[])?;
    let figures = serving.figures().await.unwrap_or_default();
    let content_type = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(CONTENT_TYPE, content_type)], figures).into_response())
}
