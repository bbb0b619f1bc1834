//! A counter that the clients of all peers add to while their peers do not hear each other.
//!
//! Each adds to a digit of its own, so that what the counter shows tells how many of whose increments it holds: all that were acknowledged, any of
//! those of which it is not known what became of them, and no other.

use super::halves::{CALM_DEADLINE_MS, patiently};
use super::witness::Witness;
use bytes::Bytes;
use henge::message::{FailureKind, Get, Quorum, Reply, Request, Update, Value};
use tokio::task::JoinSet;

/// Its key: no key of a story.
pub(super) const KEY: Bytes = Bytes::from_static(b"counter");
/// So many increments of a client are under way at a time.
const IN_FLIGHT: u64 = 8;
/// Bits of a digit: more increments than a client makes.
const DIGIT: u32 = 12;

/// What clients were told of their increments.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// They count.
    pub acked: u64,
    /// They may count.
    pub unknown: u64,
    /// They do not count.
    pub refused: u64,
}

impl Count {
    /// Both together.
    pub fn and(self, other: Count) -> Count {
        Count { acked: self.acked + other.acked, unknown: self.unknown + other.unknown, refused: self.refused + other.refused }
    }
}

/// Every client adds so many times, some at a time. What each was told, in the order of the clients.
pub(super) async fn add(clients: &[Witness], times: u64, deadline_ms: u32) -> Vec<Count> {
    let mut running = JoinSet::new();
    for (client, digit) in clients.iter().zip(0..) {
        for turn in 0..IN_FLIGHT {
            let (client, times) = (client.clone(), (turn..times).step_by(IN_FLIGHT as usize).count());
            running.spawn(async move {
                let mut count = Count::default();
                for _ in 0..times {
                    count = count.and(add_once(&client, 1 << (DIGIT * digit), deadline_ms).await);
                }
                (digit as usize, count)
            });
        }
    }
    let mut counts = vec![Count::default(); clients.len()];
    for (digit, count) in running.join_all().await {
        counts[digit] = counts[digit].and(count);
    }
    counts
}

async fn add_once(client: &Witness, amount: i64, deadline_ms: u32) -> Count {
    let request = Request::Update(Update { deadline_ms, ..Update::increment(KEY, "", amount) });
    match client.ask(request).await {
        Reply::Written(_) => Count { acked: 1, ..Count::default() },
        Reply::Failed(failure) if failure.kind != FailureKind::Unknown => Count { refused: 1, ..Count::default() },
        _ => Count { unknown: 1, ..Count::default() },
    }
}

/// Asks every peer for what all owners hold. What is wrong with that, for people.
pub(super) async fn judge(clients: &[Witness], counts: &[Count]) -> Vec<String> {
    let mut objections = Vec::new();
    for client in clients {
        let asked = client.peer + 1;
        let Some(value) = patiently(|| sum(client)).await else {
            objections.push(format!("peer {asked} does not say after healing what the counter is"));
            continue;
        };
        objections.extend(weigh(value, counts).into_iter().map(|what| format!("VIOLATED n: peer {asked}: {what}")));
    }
    objections
}

async fn sum(client: &Witness) -> Option<i64> {
    let (key, path, session) = (KEY, String::new(), Bytes::new());
    let get = Get { key, path, r: Quorum::All, session, last_writer_wins: false, deadline_ms: CALM_DEADLINE_MS };
    match client.ask(Request::Get(get)).await {
        Reply::Missing(_) => Some(0),
        Reply::Found(found) => match found.value {
            Some(Value::Counter(text)) => std::str::from_utf8(&text).ok()?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Holds a sum against what the clients were told.
fn weigh(sum: i64, counts: &[Count]) -> Vec<String> {
    let mut rest = sum;
    let mut wrong = Vec::new();
    for (count, client) in counts.iter().zip(1..) {
        let shown = (rest & ((1 << DIGIT) - 1)) as u64;
        rest >>= DIGIT;
        let most = count.acked + count.unknown;
        if shown < count.acked || shown > most {
            let Count { acked, unknown, .. } = count;
            wrong.push(format!(
                "the counter holds {shown} increments of client {client}, of which {acked} were acknowledged and {unknown} are unknown"
            ));
        }
    }
    if rest != 0 {
        wrong.push(format!("the counter is {sum}, which no increments of these clients make"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_with_one_increment_too_few_or_too_many_is_wrong() {
        let counts = [Count { acked: 3, unknown: 1, refused: 5 }, Count { acked: 2, ..Count::default() }];
        let sum = |first: i64, second: i64| first | second << DIGIT;
        assert!(weigh(sum(3, 2), &counts).is_empty() && weigh(sum(4, 2), &counts).is_empty());
        for (first, second) in [(2, 2), (5, 2), (3, 1), (3, 3), (0, 0)] {
            assert_eq!(weigh(sum(first, second), &counts).len(), if first == 0 { 2 } else { 1 }, "{first} {second}");
        }
        assert_eq!(weigh(sum(3, 2) | 1 << (2 * DIGIT), &counts).len(), 1);
        assert_eq!(weigh(-1, &counts).len(), 3);
    }
}
