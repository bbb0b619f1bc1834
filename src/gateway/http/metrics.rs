//! `/metrics`: figures of this peer in the text form of Prometheus.

use super::insight::ask_status;
use super::query::Query;
use super::routes::Answer;
use super::serving::Serving;
use crate::message::Status;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

pub(super) async fn metrics(State(serving): State<Serving>, request: Request) -> Answer {
    Query::read(request.uri().query(), &[])?;
    let status = ask_status(&serving).await?;
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(CONTENT_TYPE, content_type)], text(&status)).into_response())
}

fn text(status: &Status) -> String {
    let member = &status.member;
    format!(
        "# HELP henge_build_info The version of the program; always 1.\n# TYPE henge_build_info gauge\nhenge_build_info{{version=\"{}\"}} 1\n\
         # HELP henge_uptime_seconds Since when the peer runs.\n# TYPE henge_uptime_seconds gauge\nhenge_uptime_seconds {}\n",
        member.version,
        member.uptime_ms as f64 / 1_000.0
    )
}
