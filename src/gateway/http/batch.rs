//! `/batch/get` and `/batch/put`: many keys in one request, each of them for itself. Nothing is atomic here: every entry has its own answer.

use super::body::arrived;
use super::conditional::refuse_conditions;
use super::context::{CONTEXT, context_of};
use super::place::check_key;
use super::problem::{Kind, Problem, Said};
use super::query::Query;
use super::read::json_response;
use super::representation::{require_type, require_whole};
use super::routes::Answer;
use super::serving::{Serving, unexpected};
use crate::gateway::json::{ConflictShown, KeyShown, ValueShown};
use crate::limits::{BATCH_ANSWER_BYTES_MAX, BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BATCH_IN_FLIGHT_MAX, TTL_MS_MAX};
use crate::message::Request as Asked;
use crate::message::{Body, Found, Get, Put, Reply, Value};
use crate::vclock::Sealed;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use tokio::task::JoinSet;

/// A key as it comes: text, or `{"base64": …}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeyGiven {
    Text(String),
    Bytes(Base64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base64 {
    base64: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gets {
    keys: Vec<KeyGiven>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Puts {
    entries: Vec<PutGiven>,
}

/// A write as it comes, with just one of `json`, `text` and `base64`; beside the latter two `content_type`, which means what the header means in a PUT.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutGiven {
    key: KeyGiven,
    #[serde(default, deserialize_with = "given")]
    json: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "given")]
    text: Option<String>,
    #[serde(default, deserialize_with = "given")]
    base64: Option<String>,
    #[serde(default, deserialize_with = "given")]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "given")]
    context: Option<String>,
    #[serde(default, deserialize_with = "given")]
    ttl: Option<u64>,
}

/// `null` is a value of JSON like any other, and no way to leave a member out.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// What became of one entry.
#[derive(Serialize)]
struct Outcome {
    key: KeyShown,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<ValueShown>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<ConflictShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Said>,
}

#[derive(Serialize)]
struct Outcomes {
    results: Vec<Outcome>,
}

impl Outcome {
    fn new(key: &[u8], status: StatusCode) -> Outcome {
        Outcome {
            key: KeyShown::new(key),
            status: status.as_u16(),
            kind: None,
            value: None,
            conflicts: Vec::new(),
            hidden: None,
            context: None,
            problem: None,
        }
    }

    fn failed(key: &[u8], problem: &Problem) -> Outcome {
        Outcome { problem: Some(problem.said()), ..Outcome::new(key, problem.status()) }
    }

    fn written(key: &[u8], context: &[u8]) -> Outcome {
        Outcome { context: Some(Sealed::to_text(context)), ..Outcome::new(key, StatusCode::CREATED) }
    }

    fn found(key: &[u8], found: &Found, lww: bool) -> Outcome {
        let status = if found.conflicts.is_empty() { StatusCode::OK } else { StatusCode::MULTIPLE_CHOICES };
        Outcome {
            kind: found.value.as_ref().map(|value| match value {
                Value::Json(_) => "json",
                Value::Bytes(_) | Value::Typed(_) => "bytes",
                Value::Counter(_) => "counter",
                Value::Set(_) => "set",
            }),
            value: found.value.as_ref().map(ValueShown::new),
            conflicts: ConflictShown::all(&found.conflicts),
            hidden: lww.then_some(found.hidden),
            context: Some(Sealed::to_text(&found.context)),
            ..Outcome::new(key, status)
        }
    }
}

pub(super) async fn get(State(serving): State<Serving>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let query = Query::read(parts.uri.query(), &["r", "lww", "deadline"])?;
    let (r, lww, deadline_ms) = (query.quorum("r")?, query.flag("lww")?, query.deadline_ms()?);
    check_headers(&parts.headers)?;
    let arrived = arrived(&serving, &parts.headers, body, BATCH_BYTES_MAX).await?;
    let Gets { keys } = parsed(&arrived.bytes)?;
    check_count(keys.len())?;
    let keys = keys.into_iter().map(key_of).collect::<Result<Vec<Bytes>, Problem>>()?;
    let asked = keys.iter().map(|key| {
        let key = key.clone();
        Asked::Get(Get { key, path: String::new(), r, session: Bytes::new(), last_writer_wins: lww, deadline_ms })
    });
    let mut room = BATCH_ANSWER_BYTES_MAX;
    let judge = |at: usize, answered: Result<Reply, Problem>| match answered {
        Ok(Reply::Found(found)) => match room.checked_sub(weight(&found)) {
            Some(left) => {
                room = left;
                Outcome::found(&keys[at], &found, lww)
            }
            None => {
                let detail = format!("the values of the others fill the {BATCH_ANSWER_BYTES_MAX} bytes that an answer may have");
                Outcome::failed(
                    &keys[at],
                    &Problem::new(Kind::TooLarge, detail).next("ask for this key again, in a batch of its own"),
                )
            }
        },
        Ok(Reply::Missing(missing)) => {
            Outcome { context: Some(Sealed::to_text(&missing.context)), ..Outcome::new(&keys[at], StatusCode::NOT_FOUND) }
        }
        Ok(_) => Outcome::failed(&keys[at], &unexpected()),
        Err(problem) => Outcome::failed(&keys[at], &problem),
    };
    Ok(json_response(StatusCode::OK, &Outcomes { results: all_at_once(&serving, asked, judge).await }))
}

pub(super) async fn put(State(serving): State<Serving>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let query = Query::read(parts.uri.query(), &["w", "strict", "deadline"])?;
    let (w, strict, deadline_ms) = (query.quorum("w")?, query.flag("strict")?, query.deadline_ms()?);
    check_headers(&parts.headers)?;
    let arrived = arrived(&serving, &parts.headers, body, BATCH_BYTES_MAX).await?;
    let Puts { entries } = parsed(&arrived.bytes)?;
    check_count(entries.len())?;
    let mut puts: Vec<Put> = Vec::with_capacity(entries.len());
    for (number, entry) in (1..).zip(entries) {
        let put = put_of(entry).map_err(|problem| problem.in_entry(number))?;
        puts.push(Put { w, strict, deadline_ms, ..put });
    }
    let keys: Vec<Bytes> = puts.iter().map(|put| put.key.clone()).collect();
    if keys.iter().collect::<BTreeSet<_>>().len() < keys.len() {
        return Err(
            bad("a key stands there twice, and which of the two would be the last is left to chance").next("give each key once")
        );
    }
    let judge = |at: usize, answered: Result<Reply, Problem>| match answered {
        Ok(Reply::Written(receipt)) => Outcome::written(&keys[at], &receipt.context),
        Ok(_) => Outcome::failed(&keys[at], &unexpected()),
        Err(problem) => Outcome::failed(&keys[at], &problem),
    };
    let results = all_at_once(&serving, puts.into_iter().map(Asked::Put), judge).await;
    Ok(json_response(StatusCode::OK, &Outcomes { results }))
}

/// Asks all of these, some at a time; the outcomes are in the order of the questions. `judge` is told each answer when it comes.
async fn all_at_once(
    serving: &Serving,
    asked: impl Iterator<Item = Asked>,
    mut judge: impl FnMut(usize, Result<Reply, Problem>) -> Outcome,
) -> Vec<Outcome> {
    let mut asked = asked.enumerate();
    let mut under_way = JoinSet::new();
    let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
    loop {
        while under_way.len() < BATCH_IN_FLIGHT_MAX
            && let Some((at, request)) = asked.next()
        {
            let serving = serving.clone();
            under_way.spawn(async move { (at, serving.ask(request).await) });
        }
        match under_way.join_next().await {
            Some(Ok((at, answered))) => outcomes.push((at, judge(at, answered))),
            // One that has panicked is a bug of ours, and has said so.
            Some(Err(_)) => {}
            None => break,
        }
    }
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// About how many bytes an answer takes of the room for all of them.
fn weight(found: &Found) -> usize {
    let of = |value: &Value| match value {
        Value::Json(bytes) | Value::Counter(bytes) => bytes.len(),
        Value::Set(members) => 2 * members.as_packed().len(),
        // As base64, or with every byte escaped in a text.
        Value::Bytes(bytes) => 2 * bytes.len(),
        Value::Typed(typed) => 2 * typed.as_packed().len(),
    };
    let conflicts: usize = found.conflicts.iter().flat_map(|conflict| &conflict.values).map(of).sum();
    found.value.as_ref().map_or(0, of) + conflicts + 2 * found.context.len()
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    refuse_conditions(headers)?;
    if headers.contains_key(CONTEXT) {
        return Err(
            Problem::new(Kind::BadContext, "the keys of a batch have no context in common").next("give each entry its own context")
        );
    }
    require_type(headers, &["application/json"])?;
    require_whole(headers)
}

fn check_count(entries: usize) -> Result<(), Problem> {
    match entries {
        0 => Err(bad("the batch is empty").next("give at least one entry")),
        1..=BATCH_ENTRIES_MAX => Ok(()),
        more => {
            Err(Problem::new(Kind::TooLarge, format!("the batch has {more} entries, and at most {BATCH_ENTRIES_MAX} are taken"))
                .next("split it"))
        }
    }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| bad(&error.to_string()).next("see docs/http.md or /openapi.json for what a batch looks like"))
}

fn bad(detail: &str) -> Problem {
    Problem::new(Kind::BadBody, detail)
}

fn key_of(given: KeyGiven) -> Result<Bytes, Problem> {
    let key = match given {
        KeyGiven::Text(text) => text.into_bytes(),
        KeyGiven::Bytes(Base64 { base64 }) => decoded(&base64)?,
    };
    check_key(&key).map_err(|detail| Problem::new(Kind::BadKey, detail).next("a key has 1 to 4096 bytes"))?;
    Ok(key.into())
}

fn decoded(base64: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(base64).map_err(|error| bad(&format!("that is no base64 with padding: {error}")))
}

/// A write of this entry; what all entries have in common is still to be filled in.
fn put_of(entry: PutGiven) -> Result<Put, Problem> {
    let typed = |bytes: Bytes| {
        let content_type = entry.content_type.as_deref().unwrap_or_default();
        Body::of_type(content_type, bytes).map_err(|error| bad(&format!("content_type: {error}")))
    };
    let body = match (entry.json, entry.text, entry.base64) {
        (Some(_), ..) if entry.content_type.is_some() => {
            return Err(bad("content_type belongs to text or base64: what is given as json is application/json"));
        }
        (Some(json), None, None) => Body::Json(Bytes::from(json.get().to_string())),
        (None, Some(text), None) => typed(text.into())?,
        (None, None, Some(base64)) => typed(decoded(&base64)?.into())?,
        _ => return Err(bad("an entry has just one of json, text and base64")),
    };
    let ttl_ms = match entry.ttl {
        None => 0,
        Some(seconds @ 1..) if seconds <= TTL_MS_MAX / 1_000 => seconds * 1_000,
        Some(_) => return Err(bad(&format!("ttl is a number of seconds from 1 to {}", TTL_MS_MAX / 1_000))),
    };
    Ok(Put {
        key: key_of(entry.key)?,
        body,
        context: entry.context.as_deref().map(context_of).transpose()?.unwrap_or_default(),
        w: Default::default(),
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str) -> Result<Put, Problem> {
        put_of(parsed(text.as_bytes())?)
    }

    #[test]
    fn an_entry_has_one_value_and_null_is_one() {
        assert_eq!(put(r#"{"key":"a","json":null}"#).unwrap().body, Body::Json("null".into()));
        assert_eq!(put(r#"{"key":"a","json":{"n": 1.0}}"#).unwrap().body, Body::Json(r#"{"n": 1.0}"#.into()));
        assert_eq!(put(r#"{"key":"a","text":"hi"}"#).unwrap().body, Body::Bytes("hi".into()));
        let odd = put(r#"{"key":{"base64":"/w=="},"base64":"//4=","ttl":5,"context":"AAEC"}"#).unwrap();
        assert_eq!((&odd.key[..], odd.body, odd.ttl_ms), (&b"\xff"[..], Body::Bytes(Bytes::from_static(b"\xff\xfe")), 5_000));
        assert_eq!(odd.context, &[0, 1, 2][..]);
        let typed = Body::Typed(crate::message::Typed::new("text/css", b"a{}").unwrap());
        assert_eq!(put(r#"{"key":"a","text":"a{}","content_type":"text/css"}"#).unwrap().body, typed);
        assert_eq!(put(r#"{"key":"a","base64":"YXt9","content_type":" text/css"}"#).unwrap().body, typed);
        assert_eq!(put(r#"{"key":"a","text":"1","content_type":"application/json"}"#).unwrap().body, Body::Json("1".into()));
        for wrong in [
            r#"{"key":"a","json":1,"content_type":"application/json"}"#,
            r#"{"key":"a","text":"x","content_type":"image"}"#,
            r#"{"key":"a","text":"x","content_type":null}"#,
            r#"{"key":"a","content_type":"image/png"}"#,
            r#"{"key":"a"}"#,
            r#"{"key":"a","json":1,"text":"x"}"#,
            r#"{"key":"","text":"x"}"#,
            r#"{"key":7,"text":"x"}"#,
            r#"{"key":{"base64":"?"},"text":"x"}"#,
            r#"{"key":"a","base64":"a"}"#,
            r#"{"key":"a","text":"x","ttl":0}"#,
            r#"{"key":"a","text":"x","context":""}"#,
            r#"{"key":"a","text":"x","ttl":null}"#,
            r#"{"key":"a","text":null,"base64":""}"#,
            r#"{"key":"a","text":"x","more":1}"#,
            r#"{"text":"x"}"#,
        ] {
            assert!(put(wrong).is_err(), "{wrong}");
        }
    }
}
