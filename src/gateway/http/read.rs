//! Answering with what lies at a key, or at a path of it.

use super::conditional::{Verdict, Wanted, etag, judge, unsatisfied, wanted_part};
use super::context::{context_in, put_context};
use super::problem::{Kind, Problem};
use super::query::Query;
use super::representation::represent;
use super::routes::Answer;
use super::serving::{Serving, unexpected};
use crate::gateway::json::{ConflictShown, ValueShown};
use crate::message::Request as Asked;
use crate::message::{Found, Get, Reply, Value};
use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;

/// How many siblings last-writer-wins has hidden.
const HIDDEN: HeaderName = HeaderName::from_static("henge-hidden");
/// How many of those who answered only stood in, so that newer versions may exist.
const STOOD_IN: HeaderName = HeaderName::from_static("henge-stood-in");

/// Who may load what is answered (Fetch standard, section 3.7).
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What of a key is asked for.
pub(super) struct Wants {
    pub(super) key: Bytes,
    /// The path in the client's syntax; empty for the whole key.
    pub(super) path: String,
    /// True: only a document will do.
    pub(super) document: bool,
}

/// Reads, and answers.
pub(super) async fn read(serving: &Serving, wants: Wants, method: &Method, query: Option<&str>, headers: &HeaderMap) -> Answer {
    let query = Query::read(query, &["r", "lww", "deadline"])?;
    let lww = query.flag("lww")?;
    let get = Get {
        key: wants.key,
        path: wants.path,
        r: query.quorum("r")?,
        session: context_in(headers)?,
        last_writer_wins: lww,
        deadline_ms: query.deadline_ms()?,
    };
    let what = if get.path.is_empty() { "the key is not there" } else { "the key has nothing at this path" };
    match serving.ask(Asked::Get(get)).await? {
        Reply::Found(found) if wants.document && is_bytes(&found) => {
            Err(Problem::new(Kind::NotADocument, "what is stored there are bytes, put without Content-Type: application/json"))
        }
        Reply::Found(found) => answer_found(found, lww, method, headers),
        Reply::Missing(missing) => {
            let mut response = axum::response::IntoResponse::into_response(Problem::new(Kind::NotFound, what));
            put_context(response.headers_mut(), &missing.context);
            Ok(response)
        }
        _ => Err(unexpected()),
    }
}

fn is_bytes(found: &Found) -> bool {
    matches!(found.value, Some(Value::Bytes(_) | Value::Typed(_)))
}

fn answer_found(found: Found, lww: bool, method: &Method, headers: &HeaderMap) -> Answer {
    let mut response = match (found.value, found.conflicts.as_slice()) {
        (Some(value), []) => answer_value(value, &etag(&found.dots, lww), method, headers)?,
        (value, conflicts) => answer_siblings(value.as_ref(), ConflictShown::all(conflicts)),
    };
    let out = response.headers_mut();
    put_context(out, &found.context);
    out.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if lww {
        out.insert(HIDDEN, found.hidden.into());
    }
    if found.stood_in > 0 {
        out.insert(STOOD_IN, u16::from(found.stood_in).into());
    }
    Ok(response)
}

fn answer_value(value: Value, etag: &str, method: &Method, headers: &HeaderMap) -> Answer {
    let (content_type, bytes) = represent(value);
    let length = bytes.len();
    let verdict = judge(headers, etag);
    // A range is of a GET alone; a HEAD tells of the whole.
    let wanted = if *method == Method::GET { wanted_part(headers, etag, length) } else { Wanted::Whole };
    let (status, body) = match (verdict, &wanted) {
        (Verdict::Failed, _) => {
            return Err(Problem::new(Kind::PreconditionFailed, format!("the ETag of what is stored is {etag}")));
        }
        (Verdict::NotModified, _) => (StatusCode::NOT_MODIFIED, Body::empty()),
        (Verdict::Whole, Wanted::Whole) => (StatusCode::OK, bytes.into()),
        (Verdict::Whole, Wanted::Part(part)) => (StatusCode::PARTIAL_CONTENT, bytes.slice(part.clone()).into()),
        (Verdict::Whole, Wanted::Nothing) => return Err(unsatisfied(length)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let out = response.headers_mut();
    out.insert(ETAG, text_value(etag));
    if status != StatusCode::NOT_MODIFIED {
        out.insert(CONTENT_TYPE, content_type);
        out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // Whatever somebody has stored, a browser that shows it must not run it as if it were this peer's own page.
        out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
        // Nor may the page of another site show a picture of here, or run a script: it is kept with its type, and would load.
        out.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    }
    if let (Verdict::Whole, Wanted::Part(part)) = (verdict, wanted) {
        out.insert(CONTENT_RANGE, text_value(&format!("bytes {}-{}/{length}", part.start, part.end - 1)));
    }
    Ok(response)
}

/// Several versions that nobody has reconciled yet.
#[derive(Serialize)]
struct Siblings {
    value: Option<ValueShown>,
    conflicts: Vec<ConflictShown>,
    next: &'static str,
}

fn answer_siblings(value: Option<&Value>, conflicts: Vec<ConflictShown>) -> Response {
    const NEXT: &str = "to resolve, PUT one value with the Henge-Context of this answer (below a path of a document: PATCH or DELETE, too); \
                        to read the newest only, add ?lww";
    let siblings = Siblings { value: value.map(ValueShown::new), conflicts, next: NEXT };
    json_response(StatusCode::MULTIPLE_CHOICES, &siblings)
}

/// Our own text as a header: it has no line ends.
pub(super) fn text_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("?"))
}

/// An answer in JSON, with a line end, so that a terminal stays tidy.
pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    // Maps with text as names, numbers and texts: there is nothing in it that JSON cannot say.
    let mut text = serde_json::to_vec(body).expect("what we answer can be written as JSON");
    text.push(b'\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
