//! What a benchmark has counted, and how it is told.

use super::wire::Outcome;
use crate::message::FailureKind;
use hdrhistogram::Histogram;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies are kept from 1 ns to this, with three digits.
const LATENCY_NS_MAX: u64 = 120_000_000_000;

/// Counts and latencies of one kind of operation.
pub(super) struct Kind {
    latency_ns: Histogram<u64>,
    missing: u64,
    /// How many took longer than [`SLOW`].
    slow: u64,
}

/// An operation that takes longer than this is one that a person may notice.
const SLOW: Duration = Duration::from_millis(100);

/// Everything that is counted.
pub(super) struct Tally {
    pub(super) puts: Kind,
    pub(super) gets: Kind,
    failed: BTreeMap<String, u64>,
    /// Connections that ended early, and why.
    pub(super) lost: Vec<String>,
}

impl Kind {
    fn new() -> Kind {
        // The bounds are constants that fit.
        let latency_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are well-formed");
        Kind { latency_ns, missing: 0, slow: 0 }
    }

    pub(super) fn count(&self) -> u64 {
        self.latency_ns.len()
    }

    fn ms(&self, quantile: f64) -> f64 {
        self.latency_ns.value_at_quantile(quantile) as f64 / 1e6
    }

    fn json(&self, seconds: f64) -> serde_json::Value {
        json!({
            "operations": self.count(),
            "per_second": (self.count() as f64 / seconds).round(),
            "missing": self.missing,
            "over_100_ms": self.slow,
            "p50_ms": self.ms(0.5),
            "p99_ms": self.ms(0.99),
            "p999_ms": self.ms(0.999),
            "max_ms": self.latency_ns.max() as f64 / 1e6,
            "mean_ms": self.latency_ns.mean() / 1e6,
        })
    }

    fn line(&self, name: &str, seconds: f64) -> String {
        let missing = if self.missing > 0 { format!(", {} found nothing", self.missing) } else { String::new() };
        let slow = if self.slow > 0 { format!(", {} over 100 ms", self.slow) } else { String::new() };
        format!(
            "{name}: {:>9.0}/s   p50 {:.3} ms   p99 {:.3} ms   p99.9 {:.3} ms   max {:.1} ms   ({} operations{missing}{slow})",
            self.count() as f64 / seconds,
            self.ms(0.5),
            self.ms(0.99),
            self.ms(0.999),
            self.latency_ns.max() as f64 / 1e6,
            self.count(),
        )
    }
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally { puts: Kind::new(), gets: Kind::new(), failed: BTreeMap::new(), lost: Vec::new() }
    }

    /// Counts one operation. What failed has no latency.
    pub(super) fn add(&mut self, is_put: bool, outcome: Outcome, latency: Duration) {
        let kind = if is_put { &mut self.puts } else { &mut self.gets };
        match outcome {
            Outcome::Failed(why) => {
                let why = why.map_or("error".to_string(), |kind: FailureKind| format!("{kind:?}"));
                *self.failed.entry(why).or_default() += 1;
                return;
            }
            Outcome::Missing => kind.missing += 1,
            Outcome::Done => {}
        }
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).clamp(1, LATENCY_NS_MAX);
        kind.slow += u64::from(latency > SLOW);
        kind.latency_ns.saturating_record(ns);
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.values().sum()
    }

    /// One JSON object.
    pub(super) fn json(&self, seconds: f64) -> serde_json::Value {
        let all = self.puts.count() + self.gets.count();
        json!({
            "seconds": seconds,
            "operations": all,
            "per_second": (all as f64 / seconds).round(),
            "put": (self.puts.count() > 0).then(|| self.puts.json(seconds)),
            "get": (self.gets.count() > 0).then(|| self.gets.json(seconds)),
            "failed": self.failed,
            "lost": self.lost,
        })
    }

    /// For people.
    pub(super) fn text(&self, seconds: f64) -> String {
        let mut lines = Vec::new();
        let kinds = [("put", &self.puts), ("get", &self.gets)];
        lines.extend(kinds.iter().filter(|(_, kind)| kind.count() > 0).map(|(name, kind)| kind.line(name, seconds)));
        if lines.len() != 1 {
            lines.push(format!("all: {:>9.0}/s", (self.puts.count() + self.gets.count()) as f64 / seconds));
        }
        lines.extend(self.failed.iter().map(|(why, count)| format!("failed: {count} ({why})")));
        lines.extend(self.lost.iter().take(5).map(|why| format!("a connection ended: {why}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_kind_and_leave_the_latencies_alone() {
        let mut tally = Tally::new();
        (1..=100).for_each(|ms| tally.add(true, Outcome::Done, Duration::from_millis(ms)));
        tally.add(true, Outcome::Failed(Some(FailureKind::Overloaded)), Duration::from_secs(100));
        tally.add(false, Outcome::Missing, Duration::from_millis(1));
        let json = tally.json(10.0);
        assert_eq!((json["put"]["per_second"].as_f64(), json["failed"]["Overloaded"].as_u64()), (Some(10.0), Some(1)));
        assert_eq!(json["get"]["missing"], 1);
        let p50 = json["put"]["p50_ms"].as_f64().unwrap();
        assert!((49.9..50.2).contains(&p50), "{p50}");
        assert_eq!(tally.failed(), 1);
    }
}
