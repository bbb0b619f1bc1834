//! `/status`, `/ring`, `/why/KEY`: how the cluster is, and why a read says what it says.

use super::place::key_behind;
use super::problem::{Kind, Problem};
use super::query::Query;
use super::read::json_response;
use super::routes::Answer;
use super::serving::{Serving, unexpected};
use crate::gateway::json::{ring_json, status_json, why_json};
use crate::message::Request as Asked;
use crate::message::{Reply, RingTable, Status, Why};
use crate::vclock::Path;
use axum::extract::{Request, State};
use axum::http::StatusCode;

/// How long `/why` waits for all peers, unless `deadline` says otherwise (milliseconds): a peer that is down must not keep a person waiting.
const WHY_DEADLINE_MS: u32 = 2_000;

pub(super) async fn status(State(serving): State<Serving>, request: Request) -> Answer {
    Query::read(request.uri().query(), &[])?;
    let status = ask_status(&serving).await?;
    Ok(json_response(StatusCode::OK, &status_json(&status.member.name, &status.member.address, &status)))
}

pub(super) async fn ring(State(serving): State<Serving>, request: Request) -> Answer {
    Query::read(request.uri().query(), &[])?;
    Ok(json_response(StatusCode::OK, &ring_json(&ask_ring(&serving).await?)))
}

pub(super) async fn why(State(serving): State<Serving>, request: Request) -> Answer {
    let key = key_behind("/why/", request.uri().path())?;
    let query = Query::read(request.uri().query(), &["path", "deadline"])?;
    let path = String::from_utf8(query.bytes("path")).map_err(|_| Problem::new(Kind::BadQuery, "path is not UTF-8"))?;
    if let Err(error) = Path::parse(&path) {
        return Err(Problem::new(Kind::BadQuery, error.to_string()).next("path is written with dots: address.city"));
    }
    let deadline_ms = match query.deadline_ms()? {
        0 => WHY_DEADLINE_MS,
        given => given,
    };
    match serving.ask(Asked::Why(Why { key, path, deadline_ms })).await? {
        Reply::Explained(explained) => Ok(json_response(StatusCode::OK, &why_json(&explained))),
        _ => Err(unexpected()),
    }
}

pub(super) async fn ask_status(serving: &Serving) -> Result<Box<Status>, Problem> {
    match serving.ask(Asked::Status).await? {
        Reply::Status(status) => Ok(status),
        _ => Err(unexpected()),
    }
}

pub(super) async fn ask_ring(serving: &Serving) -> Result<RingTable, Problem> {
    match serving.ask(Asked::Ring).await? {
        Reply::Ring(table) => Ok(table),
        _ => Err(unexpected()),
    }
}
