//! What went wrong, as RFC 9457 says it: one body for all errors, with what to do next.

use super::read::json_response;
use crate::message::{Failure, FailureKind};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What kind of thing went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    BadKey,
    BadPath,
    BadQuery,
    BadContext,
    BadHeader,
    BadBody,
    BadRequest,
    Unauthorized,
    Misdirected,
    NoSuchPlace,
    NotFound,
    MethodNotAllowed,
    NotADocument,
    TooManySiblings,
    LengthRequired,
    PreconditionFailed,
    NoPreconditions,
    TooLarge,
    UnsupportedType,
    RangeNotSatisfiable,
    SlowBody,
    Unavailable,
    NotFormed,
    NotReady,
    Overloaded,
    OutcomeUnknown,
    Storage,
    Internal,
}

impl Kind {
    /// Its status, name, title, and what is to be done, if nothing better is known.
    fn facts(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        use Kind::*;
        match self {
            BadKey => (
                StatusCode::BAD_REQUEST,
                "bad-key",
                "That is no key",
                "a key has 1 to 4096 bytes, each written as itself or as a percent code such as %2F",
            ),
            BadPath => (
                StatusCode::BAD_REQUEST,
                "bad-path",
                "That is no path of a document",
                "write /doc/KEY/NAME/NAME with each name in UTF-8, and a slash in a name or in the key as %2F",
            ),
            BadQuery => (StatusCode::BAD_REQUEST, "bad-query", "The query cannot be read", "see docs/http.md or /openapi.json"),
            BadContext => (
                StatusCode::BAD_REQUEST,
                "bad-context",
                "The causal context cannot be used",
                "GET the key again, and send the Henge-Context of that answer, unchanged",
            ),
            BadHeader => (StatusCode::BAD_REQUEST, "bad-header", "A header cannot be read", "correct the header"),
            BadBody => (StatusCode::BAD_REQUEST, "bad-body", "The body cannot be read", "correct the body"),
            BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be done", "correct the request"),
            Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "A token is needed",
                "send the header Authorization: Bearer TOKEN, with the token of the peer's --client-token-file",
            ),
            Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                "This peer does not go by that name",
                "use localhost or the address; to serve other names, give the peer a token with --client-token-file",
            ),
            NoSuchPlace => (
                StatusCode::NOT_FOUND,
                "no-such-place",
                "Nothing is served here",
                "there are /kv/KEY, /doc/KEY/PATH, /keys, /batch/get, /batch/put, /status, /ring, /why/KEY, /metrics, /healthz, /readyz and \
                 /openapi.json",
            ),
            NotFound => {
                (StatusCode::NOT_FOUND, "not-found", "Nothing is stored there", "PUT something, or look with /keys?prefix=")
            }
            MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "That cannot be done here",
                "the header Allow lists what can be done",
            ),
            NotADocument => (
                StatusCode::CONFLICT,
                "not-a-document",
                "The key holds bytes and no document",
                "read it at /kv/KEY, or replace it by a document with PUT and Content-Type: application/json",
            ),
            TooManySiblings => (
                StatusCode::CONFLICT,
                "too-many-siblings",
                "Too many versions of the value are in conflict",
                "GET the key, and PUT one value with the Henge-Context of that answer",
            ),
            LengthRequired => (
                StatusCode::LENGTH_REQUIRED,
                "length-required",
                "The request has no body",
                "send Content-Length (0 for an empty value), or Transfer-Encoding: chunked",
            ),
            PreconditionFailed => (
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "What is stored has another ETag",
                "GET it without If-Match",
            ),
            NoPreconditions => (
                StatusCode::NOT_IMPLEMENTED,
                "no-preconditions",
                "Writes cannot be made to depend on an ETag or a date",
                "send the Henge-Context of a GET: the write replaces what that answer showed and nothing newer, which then stands beside it",
            ),
            TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "Something is over its limit",
                "send less, or split it over several keys",
            ),
            UnsupportedType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-type",
                "A body of that kind is not taken here",
                "send the body with the right Content-Type",
            ),
            RangeNotSatisfiable => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range-not-satisfiable",
                "The value does not have these bytes",
                "the header Content-Range says how many there are",
            ),
            SlowBody => {
                (StatusCode::REQUEST_TIMEOUT, "slow-body", "The body did not arrive in time", "send it again; nothing was done")
            }
            Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Too few replicas can be reached",
                "try again, or ask with r=one or w=one, which promise less",
            ),
            NotFormed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-formed",
                "This peer belongs to no cluster yet",
                "form the cluster with henge form, and try again",
            ),
            NotReady => {
                (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "This peer is not ready", "send requests to another peer meanwhile")
            }
            Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "This peer has too much to do",
                "try again after what Retry-After says; nothing was done",
            ),
            OutcomeUnknown => (
                StatusCode::GATEWAY_TIMEOUT,
                "outcome-unknown",
                "The write may or may not take effect",
                "GET the key to see, or issue the write again: that is a new write then, which may stand beside the first",
            ),
            Storage => (
                StatusCode::INSUFFICIENT_STORAGE,
                "storage",
                "The peer's disk is full or fails",
                "ask another peer, and look at this peer's /status and log",
            ),
            Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The peer made a mistake", "look at its log, and report it")
            }
        }
    }
}

/// A problem on its way to whoever asked.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    next: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), next: None, headers: Vec::new() }
    }

    /// Says what to do in this very case.
    pub(super) fn next(mut self, next: impl Into<String>) -> Problem {
        self.next = Some(next.into());
        self
    }

    /// Says in which entry of a batch, counted from 1. Nothing of the batch was done.
    pub(super) fn in_entry(mut self, number: usize) -> Problem {
        self.detail = format!("entry {number}: {}; nothing of the batch was done", self.detail);
        self
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    pub(super) fn retry_after(self, seconds: u32) -> Problem {
        self.with(RETRY_AFTER, seconds.into())
    }

    /// The rest of the request is not read: nothing more can come on this connection.
    pub(super) fn closing(self) -> Problem {
        self.with(CONNECTION, HeaderValue::from_static("close"))
    }

    pub(super) fn status(&self) -> StatusCode {
        self.kind.facts().0
    }

    /// The body.
    pub(super) fn said(&self) -> Said {
        let (status, name, title, next) = self.kind.facts();
        Said {
            kind: format!("urn:henge:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            next: self.next.clone().unwrap_or_else(|| next.to_string()),
        }
    }
}

/// The body of a problem: the members of RFC 9457 in its order, and what to do next.
#[derive(Serialize, Debug)]
pub(super) struct Said {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    next: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status(), &self.said());
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        let kind = match failure.kind {
            FailureKind::BadRequest => Kind::BadRequest,
            FailureKind::TooLarge => Kind::TooLarge,
            FailureKind::BadContext => Kind::BadContext,
            FailureKind::TooManySiblings => Kind::TooManySiblings,
            FailureKind::Unavailable => Kind::Unavailable,
            FailureKind::Unknown => Kind::OutcomeUnknown,
            FailureKind::Overloaded => Kind::Overloaded,
            FailureKind::NotFormed => Kind::NotFormed,
            FailureKind::Storage => Kind::Storage,
        };
        let problem = Problem::new(kind, failure.message);
        match problem.status() {
            // The header counts in seconds.
            StatusCode::SERVICE_UNAVAILABLE => problem.retry_after(failure.retry_after_ms.div_ceil(1_000).max(1)),
            _ => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_in_milliseconds_is_rounded_up_to_seconds() {
        for (ms, seconds) in [(0, "1"), (50, "1"), (1_000, "1"), (1_001, "2")] {
            let failure = Failure { kind: FailureKind::Overloaded, message: "busy".into(), retry_after_ms: ms };
            let response = Problem::from(failure).into_response();
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn every_failure_of_the_coordinator_has_its_status() {
        use FailureKind::*;
        let statuses = [BadRequest, TooLarge, BadContext, TooManySiblings, Unavailable, Unknown, Overloaded, NotFormed, Storage]
            .map(|kind| Problem::from(Failure { kind, message: String::new(), retry_after_ms: 0 }).status().as_u16());
        assert_eq!(statuses, [400, 413, 400, 409, 503, 504, 503, 503, 507]);
    }
}
