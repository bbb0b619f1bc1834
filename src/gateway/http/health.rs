//! `/healthz` and `/readyz`: for whoever restarts peers, and for whoever sends them requests.

use super::insight::{ask_ring, ask_status};
use super::problem::{Kind, Problem};
use super::query::Query;
use super::routes::Answer;
use super::serving::Serving;
use crate::message::{RingTable, Status, ViewState};
use crate::ring::MemberId;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeSet;

/// The process serves: that it answers says so.
pub(super) async fn alive(request: Request) -> Answer {
    Query::read(request.uri().query(), &[])?;
    Ok(said("ok\n"))
}

/// Reads and writes of every key can be expected to find their majority through this peer.
pub(super) async fn ready(State(serving): State<Serving>, request: Request) -> Answer {
    Query::read(request.uri().query(), &[])?;
    if serving.is_stopping().await {
        return Err(Problem::new(Kind::NotReady, "the peer is stopping").retry_after(1));
    }
    let status = ask_status(&serving).await?;
    if status.member.cluster.is_none() {
        return Err(Problem::new(Kind::NotFormed, "the peer waits to be formed").retry_after(1));
    }
    match short_partitions(&status, &ask_ring(&serving).await?) {
        0 => Ok(said("ready\n")),
        short => {
            let detail = format!("of {short} partitions too many owners are dead in this peer's view: there is no majority");
            Err(Problem::new(Kind::NotReady, detail).retry_after(1))
        }
    }
}

/// How many partitions have no majority of owners that are not dead in the view of this peer.
fn short_partitions(status: &Status, table: &RingTable) -> usize {
    let is_dead = |state: ViewState| state == ViewState::Dead;
    let dead: BTreeSet<MemberId> = status.gossip.others.iter().filter(|view| is_dead(view.state)).map(|view| view.member).collect();
    let is_there = |owner: &&u16| table.members.get(usize::from(**owner)).is_some_and(|founder| !dead.contains(&founder.member));
    table.owners.iter().filter(|owners| 2 * owners.iter().filter(is_there).count() <= owners.len()).count()
}

fn said(text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::OK, headers, text).into_response()
}
