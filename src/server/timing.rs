//! What each request costs, by what it asks, through which door it came, and how it ended; and those that took long.

use crate::message::{Expire, FailureKind, Get, List, OperationId, Put, Remove, Reply, Request, Update, Why};
use crate::peer::Origin;
use crate::ring::MemberId;
use bytes::Bytes;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

/// What requests are told apart by.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct Labels {
    kind: &'static str,
    door: &'static str,
}

/// And by how they ended.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct Ended {
    kind: &'static str,
    door: &'static str,
    outcome: &'static str,
}

/// The requests that are under way, and what has become of all others.
pub(super) struct Timing {
    /// By how they ended.
    pub requests: Family<Ended, Counter>,
    /// From their arrival until the answer goes out.
    pub latency: Family<Labels, Histogram>,
    /// Until the quorum is complete; what follows is the wait for this peer's own disk.
    pub quorum: Family<Labels, Histogram>,
    /// Those that took longer than the bound.
    pub slow: Counter,
    /// Reads that found siblings, and shows them.
    pub siblings: Counter,
    /// Siblings that last-writer-wins has hidden.
    pub hidden: Counter,
    under_way: HashMap<Origin, Begun>,
    /// How long a request may take before it is told of.
    slow_bound: Duration,
    told: Told,
}

/// A request under way.
struct Begun {
    labels: Labels,
    key: Bytes,
    id: RequestId,
    at: Instant,
    /// When its answer was complete.
    answered: Option<Instant>,
}

/// A name for a request that no other has: the peer that took it, and the number of its operation there. The same name stands in what the peers tell
/// of the messages that serve it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RequestId {
    pub member: MemberId,
    pub operation: OperationId,
}

/// How much has been told in this second.
struct Told {
    since: Instant,
    count: u32,
}

/// Upper ends of the histograms' buckets (seconds): from what a request in memory takes to the longest deadline.
const BUCKETS: [f64; 16] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// So many slow requests are told of in a second; the others are only counted.
const TOLD_PER_SECOND: u32 = 10;
/// So many bytes of a key are told.
const KEY_BYTES_TOLD: usize = 64;

/// A histogram of seconds.
pub(super) fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Timing {
    pub(super) fn new(slow_bound: Duration) -> Timing {
        Timing {
            requests: Family::default(),
            latency: Family::new_with_constructor(histogram),
            quorum: Family::new_with_constructor(histogram),
            slow: Counter::default(),
            siblings: Counter::default(),
            hidden: Counter::default(),
            under_way: HashMap::new(),
            slow_bound,
            told: Told { since: Instant::now(), count: 0 },
        }
    }

    /// A request has come.
    pub(super) fn begin(&mut self, origin: Origin, door: &'static str, request: &Request, id: RequestId) {
        let (kind, key) = kind_and_key(request);
        tracing::debug!(request = %id, door, kind, key = %shown(&key), "a request begins");
        let begun = Begun { labels: Labels { kind, door }, key, id, at: Instant::now(), answered: None };
        self.under_way.insert(origin, begun);
    }

    /// Its answer is complete, and may have to wait for this peer's disk.
    pub(super) fn answered(&mut self, origin: Origin) {
        if let Some(begun) = self.under_way.get_mut(&origin) {
            begun.answered = Some(Instant::now());
        }
    }

    /// Its answer goes out.
    pub(super) fn end(&mut self, origin: Origin, reply: &Reply) {
        let Some(Begun { labels, key, id, at, answered }) = self.under_way.remove(&origin) else { return };
        let outcome = outcome(reply);
        if let Reply::Found(found) = reply {
            self.siblings.inc_by(u64::from(!found.conflicts.is_empty()));
            self.hidden.inc_by(u64::from(found.hidden));
        }
        let (took, quorum) = (at.elapsed(), answered.map_or(Duration::ZERO, |answered| answered - at));
        self.latency.get_or_create(&labels).observe(took.as_secs_f64());
        self.quorum.get_or_create(&labels).observe(quorum.as_secs_f64());
        let Labels { kind, door } = labels;
        self.requests.get_or_create(&Ended { kind, door, outcome }).inc();
        if took >= self.slow_bound {
            self.slow.inc();
            if self.told.may_tell() {
                let (took_ms, quorum_ms) = (took.as_millis() as u64, quorum.as_millis() as u64);
                tracing::warn!(request = %id, door, kind, key = %shown(&key), outcome, took_ms, quorum_ms, "a slow request");
            }
        }
    }

    /// Whoever asked is gone, and nobody is told.
    pub(super) fn forget(&mut self, client: u64) {
        self.under_way.retain(|origin, _| origin.client != client);
    }
}

impl Told {
    fn may_tell(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Told { since: Instant::now(), count: 0 };
        }
        self.count += 1;
        self.count <= TOLD_PER_SECOND
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-{:x}", self.member, self.operation.0)
    }
}

fn kind_and_key(request: &Request) -> (&'static str, Bytes) {
    match request {
        Request::Put(Put { key, .. }) => ("put", key.clone()),
        Request::Remove(Remove { key, .. }) => ("remove", key.clone()),
        Request::Update(Update { key, .. }) => ("update", key.clone()),
        Request::Expire(Expire { key, .. }) => ("expire", key.clone()),
        Request::Get(Get { key, .. }) => ("get", key.clone()),
        Request::List(List { prefix, .. }) => ("list", prefix.clone()),
        Request::Why(Why { key, .. }) => ("why", key.clone()),
        Request::Ring | Request::Status | Request::Describe | Request::Form(_) => ("other", Bytes::new()),
    }
}

fn outcome(reply: &Reply) -> &'static str {
    match reply {
        Reply::Found(found) if !found.conflicts.is_empty() => "siblings",
        Reply::Missing(_) => "missing",
        Reply::Failed(failure) => match failure.kind {
            FailureKind::BadRequest => "bad_request",
            FailureKind::TooLarge => "too_large",
            FailureKind::BadContext => "bad_context",
            FailureKind::TooManySiblings => "too_many_siblings",
            FailureKind::Unavailable => "unavailable",
            FailureKind::Unknown => "unknown",
            FailureKind::Overloaded => "overloaded",
            FailureKind::NotFormed => "not_formed",
            FailureKind::Storage => "storage",
        },
        _ => "done",
    }
}

/// The beginning of a key, for people.
fn shown(key: &[u8]) -> impl fmt::Display + '_ {
    key[..key.len().min(KEY_BYTES_TOLD)].escape_ascii()
}
