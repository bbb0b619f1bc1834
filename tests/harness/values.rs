//! Writing and reading through the client library, in few words.

use henge::client::{Client, Read};
use henge::message::{Body, Failure, FailureKind, Found, Get, Put, Quorum, Value};
use serde_json::Value as Json;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// A write of a whole value, with the usual quorum and without a context.
pub fn put(key: &str, body: Body) -> Put {
    Put {
        key: key.to_string().into(),
        body,
        context: Default::default(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    }
}

/// A read of a whole value, with the usual quorum.
pub fn get(key: &str) -> Get {
    Get {
        key: key.to_string().into(),
        path: String::new(),
        r: Quorum::Default,
        session: Default::default(),
        last_writer_wins: false,
        deadline_ms: 0,
    }
}

pub fn json(value: &Json) -> Body {
    Body::Json(value.to_string().into())
}

pub fn bytes(value: &[u8]) -> Body {
    Body::Bytes(value.to_vec().into())
}

/// What lies there; there has to be something.
#[track_caller]
pub fn found(read: Result<Read, Failure>) -> Found {
    match read {
        Ok(Read::Found(found)) => found,
        other => panic!("something had to be there: {other:?}"),
    }
}

/// Reads a document that has to be there.
pub async fn read(client: &Client, key: &str) -> Found {
    found(client.get(get(key)).await)
}

/// The JSON value that was found, without what is in conflict.
#[track_caller]
pub fn value(found: &Found) -> Json {
    match &found.value {
        Some(Value::Json(text)) => serde_json::from_slice(text).expect("JSON"),
        other => panic!("JSON had to be there: {other:?}"),
    }
}

/// The siblings at a path, as text, in the order of the alphabet; none if there is no conflict.
pub fn conflict(found: &Found, path: &str) -> Vec<String> {
    let conflict = found.conflicts.iter().find(|conflict| conflict.path == path);
    let text = |value: &Value| match value {
        Value::Bytes(bytes) | Value::Json(bytes) | Value::Counter(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Typed(typed) => format!("{} {}", typed.content_type(), String::from_utf8_lossy(&typed.bytes())),
        Value::Set(members) => format!("{:?}", members.iter().collect::<Vec<_>>()),
    };
    let mut values: Vec<String> = conflict.map_or(Vec::new(), |conflict| conflict.values.iter().map(text).collect());
    values.sort();
    values
}

/// The document with this number: some leaves, one below another.
pub fn document(number: usize) -> Json {
    serde_json::json!({
        "number": number,
        "name": { "first": format!("first-{number}"), "last": { "text": "x".repeat(number % 40) } },
        "even": number.is_multiple_of(2),
    })
}

/// The key of the document with this number.
pub fn key(number: usize) -> String {
    format!("document:{number}")
}

/// How many writes and reads are under way at a time.
const IN_FLIGHT: usize = 32;

/// How the writes went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// How many were acknowledged.
    pub acknowledged: usize,
    /// How often it was not known whether one was done, and it was issued again.
    pub unknown: usize,
    /// How often nothing was done, and it was tried again.
    pub refused: usize,
}

/// Writes the documents with these numbers, many at a time, until each of them is acknowledged. `acknowledged` is told the number of those
/// that have been, after each of them.
pub async fn write(client: &Client, numbers: Range<usize>, acknowledged: impl Fn(usize) + Send + Sync + 'static) -> Written {
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let done = Arc::new(AtomicUsize::new(0));
    let acknowledged = Arc::new(acknowledged);
    let mut workers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, next, done, acknowledged) = (client.clone(), next.clone(), done.clone(), acknowledged.clone());
        let end = numbers.end;
        workers.spawn(async move {
            let mut written = Written::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return written;
                }
                write_one(&client, number, &mut written).await;
                acknowledged(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        });
    }
    let each = workers.join_all().await;
    each.iter().fold(Written::default(), |sum, one| Written {
        acknowledged: sum.acknowledged + one.acknowledged,
        unknown: sum.unknown + one.unknown,
        refused: sum.refused + one.refused,
    })
}

async fn write_one(client: &Client, number: usize, written: &mut Written) {
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        let failure = match client.put(put(&key(number), json(&document(number)))).await {
            Ok(receipt) => {
                assert!(receipt.acks.len() >= 2, "acknowledged by a majority of three: {receipt:?}");
                written.acknowledged += 1;
                return;
            }
            Err(failure) => failure,
        };
        assert!(Instant::now() < deadline, "document {number} is still not acknowledged: {failure:?}");
        match failure.kind {
            FailureKind::Unknown => written.unknown += 1,
            FailureKind::Unavailable | FailureKind::Overloaded => written.refused += 1,
            _ => panic!("document {number}: {failure:?}"),
        }
        // A peer that refuses does so at once: it is not to be asked without a breath.
        sleep(Duration::from_millis(failure.retry_after_ms.clamp(10, 1_000).into())).await;
    }
}

/// Reads the documents with these numbers, and finds each as it was written, without siblings.
pub async fn read_all(client: &Client, numbers: Range<usize>) {
    let mut reads = JoinSet::new();
    let next = Arc::new(AtomicUsize::new(numbers.start));
    for _ in 0..IN_FLIGHT {
        let (client, next, end) = (client.clone(), next.clone(), numbers.end);
        reads.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return;
                }
                let found = read(&client, &key(number)).await;
                assert_eq!(value(&found), document(number), "document {number}");
                assert_eq!(found.conflicts, [], "document {number}");
            }
        });
    }
    reads.join_all().await;
}
