//! Writing records until each of them is acknowledged.

use super::source::{Record, Source};
use crate::client::Client;
use crate::message::{Body, FailureKind, Put, Quorum};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// What all workers share.
pub(super) struct Load {
    pub(super) client: Client,
    pub(super) source: Arc<Source>,
    pub(super) w: Quorum,
    /// How long nothing may succeed before a record, or all of it, is given up.
    pub(super) patience: Duration,
    pub(super) counts: Counts,
    first_refused: Mutex<Vec<Refused>>,
    last_ack: Mutex<Instant>,
    given_up: AtomicBool,
}

/// What has been counted.
#[derive(Default)]
pub(super) struct Counts {
    /// Records that were acknowledged.
    pub(super) acked: AtomicU64,
    /// Writes that were issued again as new ones, because it was not known what became of them.
    pub(super) issued_again: AtomicU64,
    /// Tries that found too few replicas, or too busy ones.
    pub(super) retried: AtomicU64,
    /// Records that the cluster refuses: trying again would not help.
    pub(super) refused: AtomicU64,
    /// Records that were given up while the cluster was down.
    pub(super) unacked: AtomicU64,
}

/// A record that the cluster refuses, and why.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) number: u64,
    pub(super) key: String,
    pub(super) reason: String,
}

/// Refused records are listed up to this number, and then only counted.
const REFUSED_LISTED: usize = 20;
/// Pauses between tries grow from this to the next.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

impl Load {
    pub(super) fn new(client: Client, source: Arc<Source>, w: Quorum, patience: Duration) -> Load {
        let (first_refused, last_ack) = (Mutex::default(), Mutex::new(Instant::now()));
        Load { client, source, w, patience, counts: Counts::default(), first_refused, last_ack, given_up: AtomicBool::new(false) }
    }

    /// One worker: takes record after record until there are no more, or all is given up.
    pub(super) async fn work(&self) {
        while !self.is_given_up()
            && let Some(record) = self.source.next().await
        {
            let mut next = Some(record);
            while let Some(record) = next {
                self.write(&record).await;
                next = self.source.finish(&record.line.key);
            }
        }
    }

    /// True once the cluster has been down for longer than the patience.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> Vec<Refused> {
        lock(&self.first_refused).clone()
    }

    async fn write(&self, record: &Record) {
        let put = Put {
            key: Bytes::copy_from_slice(record.line.key.as_bytes()),
            body: Body::Json(Bytes::copy_from_slice(record.line.json.as_bytes())),
            context: Bytes::new(),
            w: self.w,
            deadline_ms: 0,
            // The client numbers each try anew: issued again, it is a new write.
            retry: None,
            strict: false,
            ttl_ms: 0,
        };
        let (begun, mut pause) = (Instant::now(), PAUSE_MIN);
        loop {
            if self.is_given_up() {
                return add(&self.counts.unacked);
            }
            let Err(failure) = self.client.put(put.clone()).await else {
                *lock(&self.last_ack) = Instant::now();
                return add(&self.counts.acked);
            };
            match failure.kind {
                FailureKind::Unknown => add(&self.counts.issued_again),
                FailureKind::Unavailable | FailureKind::Overloaded | FailureKind::Storage | FailureKind::NotFormed => {
                    add(&self.counts.retried)
                }
                FailureKind::BadRequest | FailureKind::TooLarge | FailureKind::BadContext | FailureKind::TooManySiblings => {
                    return self.refuse(record, failure.message);
                }
            }
            if lock(&self.last_ack).elapsed() > self.patience {
                self.given_up.store(true, Ordering::Relaxed);
            }
            if begun.elapsed() > self.patience {
                return add(&self.counts.unacked);
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn refuse(&self, record: &Record, reason: String) {
        add(&self.counts.refused);
        let mut refused = lock(&self.first_refused);
        if refused.len() < REFUSED_LISTED {
            refused.push(Refused { number: record.number, key: record.line.key.clone(), reason });
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
