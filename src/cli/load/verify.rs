//! Reading everything back, and comparing it with the lines.

use super::super::output;
use super::source::{Record, Source};
use crate::client::{Client, Read};
use crate::message::{Get, Quorum, Value};
use crate::vclock::Path;
use bytes::Bytes;
use serde_json::Value as Json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::sleep;

/// What all workers share.
pub(super) struct Verify {
    pub(super) client: Client,
    pub(super) source: Arc<Source>,
    pub(super) r: Quorum,
    pub(super) equal: AtomicU64,
    differences: Mutex<Differences>,
    sample: Mutex<Sample>,
}

#[derive(Default)]
struct Differences {
    count: u64,
    first: Vec<String>,
}

/// A fair sample of all paths that went by, of a fixed size (reservoir sampling, Vitter 1985).
struct Sample {
    wanted: usize,
    seen: u64,
    places: Vec<Place>,
}

/// One path of one record, and what should lie there.
#[derive(Clone, Debug)]
struct Place {
    key: String,
    path: String,
    expected: Json,
}

/// Differences are listed up to this number, and then only counted.
const DIFFERENCES_LISTED: usize = 20;
/// How often a read is tried that finds too few replicas.
const TRIES: u32 = 20;

impl Verify {
    pub(super) fn new(client: Client, source: Arc<Source>, r: Quorum, paths: usize) -> Verify {
        let sample = Mutex::new(Sample { wanted: paths, seen: 0, places: Vec::new() });
        Verify { client, source, r, equal: AtomicU64::new(0), differences: Mutex::default(), sample }
    }

    /// One worker: reads record after record back.
    pub(super) async fn work(&self) {
        while let Some(record) = self.source.next().await {
            let mut next = Some(record);
            while let Some(record) = next {
                self.check_record(&record).await;
                next = self.source.finish(&record.line.key);
            }
        }
    }

    /// One of so many workers: reads its part of the sampled paths. Requires: all records have been looked at.
    pub(super) async fn work_on_paths(&self, nth: usize, of: usize) {
        let places: Vec<Place> = lock(&self.sample).places.iter().skip(nth).step_by(of).cloned().collect();
        for place in places {
            self.check(&place).await;
        }
    }

    /// How many paths have been sampled.
    pub(super) fn sampled(&self) -> usize {
        lock(&self.sample).places.len()
    }

    /// How many differences there are, and the first of them.
    pub(super) fn differences(&self) -> (u64, Vec<String>) {
        let differences = lock(&self.differences);
        (differences.count, differences.first.clone())
    }

    async fn check_record(&self, record: &Record) {
        let expected: Json = match serde_json::from_str(&record.line.json) {
            Ok(expected) => expected,
            Err(error) => return self.differs(format!("line {}: {error}", record.number)),
        };
        let key = record.line.key.clone();
        {
            let mut sample = lock(&self.sample);
            if sample.wanted > 0 {
                sample.offer(&key, &expected, &mut Vec::new());
            }
        }
        self.check(&Place { key, path: String::new(), expected }).await;
    }

    async fn check(&self, place: &Place) {
        let read = self.read(place).await;
        let at = if place.path.is_empty() { String::new() } else { format!(" at {}", place.path) };
        let found = match read {
            Err(message) => return self.differs(format!("{}{at}: {message}", place.key)),
            Ok(Read::Missing(_)) => return self.differs(format!("{}{at}: nothing is there", place.key)),
            Ok(Read::Found(found)) => found,
        };
        if !found.conflicts.is_empty() {
            return self.differs(format!("{}{at}: {} paths are in conflict", place.key, found.conflicts.len()));
        }
        let value = match &found.value {
            Some(Value::Json(json)) => serde_json::from_slice::<Json>(json).ok(),
            _ => None,
        };
        if value.as_ref() == Some(&place.expected) {
            self.equal.fetch_add(1, Ordering::Relaxed);
        } else {
            let shown = |value: &Json| value.to_string().chars().take(80).collect::<String>();
            let value = found.value.as_ref().map(output::value_json).unwrap_or_default();
            self.differs(format!("{}{at}: expected {}, found {}", place.key, shown(&place.expected), shown(&value)));
        }
    }

    async fn read(&self, place: &Place) -> Result<Read, String> {
        let mut tried = 0;
        loop {
            let get = Get {
                key: Bytes::copy_from_slice(place.key.as_bytes()),
                path: place.path.clone(),
                r: self.r,
                session: Bytes::new(),
                last_writer_wins: false,
                deadline_ms: 0,
            };
            tried += 1;
            match self.client.get(get).await {
                Ok(read) => return Ok(read),
                Err(failure) if tried == TRIES => return Err(failure.message),
                Err(_) => sleep(Duration::from_millis(250)).await,
            }
        }
    }

    fn differs(&self, what: String) {
        let mut differences = lock(&self.differences);
        differences.count += 1;
        if differences.first.len() < DIFFERENCES_LISTED {
            differences.first.push(what);
        }
    }
}

impl Sample {
    /// Offers every path below the root. What is in an array has none.
    fn offer(&mut self, key: &str, value: &Json, names: &mut Vec<String>) {
        if !names.is_empty() {
            self.seen += 1;
            let place = match self.places.len() < self.wanted {
                true => Some(self.places.len()),
                false => usize::try_from(rand::random::<u64>() % self.seen).ok().filter(|place| *place < self.wanted),
            };
            if let (Some(place), Ok(path)) = (place, Path::from_segments(&*names)) {
                let sampled = Place { key: key.to_string(), path: path.to_text(), expected: value.clone() };
                self.places.truncate(self.wanted);
                match self.places.get_mut(place) {
                    Some(old) => *old = sampled,
                    None => self.places.push(sampled),
                }
            }
        }
        if let Json::Object(members) = value {
            for (name, member) in members {
                names.push(name.clone());
                self.offer(key, member, names);
                names.pop();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_the_size_that_was_asked_for_and_holds_real_paths() {
        let value: Json = serde_json::from_str(r#"{"a":{"b.c":1,"d":[{"x":1}]},"e":{}}"#).unwrap();
        let mut sample = Sample { wanted: 100, seen: 0, places: Vec::new() };
        sample.offer("k", &value, &mut Vec::new());
        let mut paths: Vec<_> = sample.places.iter().map(|place| place.path.as_str()).collect();
        paths.sort();
        assert_eq!(paths, ["a", r"a.b\.c", "a.d", "e"]);
        let mut small = Sample { wanted: 2, seen: 0, places: Vec::new() };
        (0..50).for_each(|_| small.offer("k", &value, &mut Vec::new()));
        assert_eq!((small.places.len(), small.seen), (2, 200));
    }
}
