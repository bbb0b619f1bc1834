//! Asking the coordinator, and saying in the words of Redis what it answered.

use super::answer::Answer;
use super::framing::Words;
use super::gate::Gate;
use super::queue::Work;
use super::session::Outcome;
use crate::limits;
use crate::message::{Failure, FailureKind, Found, Get, Quorum, Reply, Request, Value};
use bytes::Bytes;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// How a command that asks the store is begun.
pub(super) type Begin = fn(Rc<Gate>, Words) -> Work;

/// A command at work; an error of it is its answer.
pub(super) fn work(outcome: impl Future<Output = Outcome> + 'static) -> Work {
    Box::pin(async move { outcome.await.unwrap_or_else(|error| error) })
}

/// What a key holds; none if nothing. Of siblings the newest is shown, and the others are counted.
pub(super) async fn get(gate: &Gate, key: &Bytes) -> Result<Option<Found>, Answer> {
    let get = Get {
        key: key.clone(),
        path: String::new(),
        r: Quorum::Default,
        session: Bytes::new(),
        last_writer_wins: true,
        deadline_ms: 0,
    };
    match gate.ask(Request::Get(get)).await {
        Reply::Found(found) => {
            gate.hide(found.hidden);
            Ok(Some(found))
        }
        Reply::Missing(_) => Ok(None),
        other => Err(error(other)),
    }
}

/// What is found as a string: bytes as they are, whatever their content type, a document as its JSON text, a counter in digits.
pub(super) fn text(found: Found) -> Result<Bytes, Answer> {
    match found.value {
        Some(Value::Bytes(bytes) | Value::Json(bytes) | Value::Counter(bytes)) => Ok(bytes),
        Some(Value::Typed(typed)) => Ok(typed.bytes()),
        Some(Value::Set(_)) => Err(wrong_type()),
        None => {
            Err(Answer::error("ERR the key holds writes that conflict, and none of them could be chosen: read it with `henge get`"))
        }
    }
}

/// The error of Redis for a command on a key that holds something else.
pub(super) fn wrong_type() -> Answer {
    Answer::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

/// What a key holds as a string; none if nothing.
pub(super) async fn get_text(gate: &Gate, key: &Bytes) -> Result<Option<Bytes>, Answer> {
    get(gate, key).await?.map(text).transpose()
}

/// The error for a reply that is none of those that were hoped for.
pub(super) fn error(reply: Reply) -> Answer {
    match reply {
        Reply::Failed(failure) => failed(&failure),
        // No coordinator answers a request with the reply to another.
        other => unreachable!("a reply of another kind: {other:?}"),
    }
}

/// A failure in the words of Redis: clients know some of these codes, and all show the text.
pub(super) fn failed(failure: &Failure) -> Answer {
    let code = match failure.kind {
        FailureKind::BadRequest | FailureKind::TooLarge | FailureKind::BadContext | FailureKind::TooManySiblings => "ERR",
        FailureKind::Unavailable => "UNAVAILABLE",
        FailureKind::Unknown => "UNKNOWN",
        FailureKind::Overloaded => "TRYAGAIN",
        FailureKind::NotFormed => "LOADING",
        FailureKind::Storage => "MISCONF",
    };
    let again = match failure.retry_after_ms {
        0 => String::new(),
        after => format!(" (again in {after} ms)"),
    };
    Answer::error(format!("{code} {}{again}", failure.message))
}

/// Does all of it, so much at a time as one connection may; hands each result with its number to `take`, as they come. False from `take` ends it.
pub(super) async fn each<F: Future>(works: impl Iterator<Item = F>, mut take: impl FnMut(usize, F::Output) -> bool) {
    let mut works = works.enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    loop {
        let room = limits::RESP_KEYS_AT_ONCE - running.len();
        running.extend(works.by_ref().take(room).map(|(number, work)| (number, Box::pin(work))));
        if running.is_empty() {
            return;
        }
        let done = poll_fn(|context| {
            let mut done = Vec::new();
            running.retain_mut(|(number, work)| match work.as_mut().poll(context) {
                Poll::Ready(output) => {
                    done.push((*number, output));
                    false
                }
                Poll::Pending => true,
            });
            if done.is_empty() { Poll::Pending } else { Poll::Ready(done) }
        });
        for (number, output) in done.await {
            if !take(number, output) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn many_are_done_some_at_a_time_and_none_is_left_out() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let works = (0..1_000).map(|number| {
            let (running, most) = (&running, &most);
            async move {
                running.set(running.get() + 1);
                most.set(running.get().max(most.get()));
                for _ in 0..number % 7 {
                    tokio::task::yield_now().await;
                }
                running.set(running.get() - 1);
                number
            }
        });
        let mut taken = vec![false; 1_000];
        each(works, |number, output| {
            assert_eq!(number, output);
            assert!(!std::mem::replace(&mut taken[number], true));
            true
        })
        .await;
        assert!(taken.iter().all(|taken| *taken));
        assert!(most.get() <= limits::RESP_KEYS_AT_ONCE && most.get() > 1, "{}", most.get());
    }

    #[tokio::test]
    async fn who_has_enough_ends_it() {
        let mut taken = 0;
        each((0..1_000).map(std::future::ready), |_, _| {
            taken += 1;
            taken < 10
        })
        .await;
        assert_eq!(taken, 10);
    }

    #[test]
    fn every_failure_has_a_code_and_says_when_to_try_again() {
        use FailureKind::*;
        for (kind, code) in [
            (BadRequest, "ERR"),
            (TooLarge, "ERR"),
            (BadContext, "ERR"),
            (TooManySiblings, "ERR"),
            (Unavailable, "UNAVAILABLE"),
            (Unknown, "UNKNOWN"),
            (Overloaded, "TRYAGAIN"),
            (NotFormed, "LOADING"),
            (Storage, "MISCONF"),
        ] {
            let failure = Failure { kind, message: "too few".into(), retry_after_ms: 50 };
            assert_eq!(failed(&failure), Answer::error(format!("{code} too few (again in 50 ms)")));
            assert_eq!(failed(&Failure { retry_after_ms: 0, ..failure }), Answer::error(format!("{code} too few")));
        }
    }
}
