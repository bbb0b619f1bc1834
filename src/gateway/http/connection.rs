//! One connection: its requests one after the other, each within its bounds, until one side has had enough.

use super::draining::Draining;
use crate::limits::{DRAIN_DEADLINE_MS, HTTP_HEAD_BYTES_MAX, HTTP_HEAD_DEADLINE_MS, HTTP_LINGER_MS};
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a connection is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the next whole head of a request, the time before its first byte counted in.
    head: Duration,
    /// For the other side to take some byte of an answer.
    drain: Duration,
    /// For the rest of a request that was refused.
    linger: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            head: Duration::from_millis(HTTP_HEAD_DEADLINE_MS),
            drain: Duration::from_millis(DRAIN_DEADLINE_MS),
            linger: Duration::from_millis(HTTP_LINGER_MS),
        }
    }
}

/// Serves a connection until it ends, or until `stopping` completes and the request under way is answered.
pub(super) async fn serve_connection<S, F>(
    socket: S,
    answer: impl Fn(Request<Incoming>) -> F,
    stopping: impl Future<Output = ()>,
    patience: Patience,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response>,
{
    let service = service_fn(|request| {
        let answered = answer(request);
        Box::pin(async move { Ok::<_, Infallible>(answered.await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        // No connection takes more memory for what it reads than a head may have.
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        // Somebody who has said all that he has to say may still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Draining::new(socket, patience.drain)), service);
    let mut stopping = pin!(stopping);
    let mut is_stopping = false;
    let served = loop {
        tokio::select! {
            served = poll_fn(|context| connection.poll_without_shutdown(context)) => break served,
            () = &mut stopping, if !is_stopping => is_stopping = true,
        }
        Pin::new(&mut connection).graceful_shutdown();
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ends");
    }
    // A request whose body was not wanted may still be on its way. If the socket were closed with some of it unread, the system would throw away
    // the answer that its sender has not read yet.
    let mut socket = connection.into_parts().io.into_inner();
    if timeout(patience.drain, socket.shutdown()).await.is_ok() {
        let mut waste = vec![0; 16 << 10];
        let _ = timeout(patience.linger, async { while socket.read(&mut waste).await.is_ok_and(|count| count > 0) {} }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use std::future::pending;
    use tokio::io::{DuplexStream, duplex};

    const QUICK: Patience =
        Patience { head: Duration::from_millis(50), drain: Duration::from_millis(50), linger: Duration::from_millis(50) };

    /// Serves one side of a pipe that holds so many bytes, with an answer of so many bytes; ends when the connection does.
    async fn served(held: usize, answer_bytes: usize, client: impl AsyncFnOnce(DuplexStream) -> String) -> String {
        let (ours, theirs) = duplex(held);
        let answer = async |_: Request<Incoming>| Response::new(Body::from("x".repeat(answer_bytes)));
        let (_, said) = tokio::join!(serve_connection(ours, answer, pending(), QUICK), client(theirs));
        said
    }

    async fn rest(mut socket: DuplexStream) -> String {
        let mut said = Vec::new();
        socket.read_to_end(&mut said).await.unwrap();
        String::from_utf8(said).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_answered_and_an_idle_connection_then_closed() {
        let said = served(1 << 16, 3, async |mut socket: DuplexStream| {
            socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            rest(socket).await
        });
        let said = said.await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\nxxx"), "{said}");
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_to_an_end_is_not_waited_for() {
        let said = served(1 << 16, 3, async |mut socket: DuplexStream| {
            for line in ["GET / HTTP/1.1\r\n", "Host: x\r\n"] {
                socket.write_all(line.as_bytes()).await.unwrap();
            }
            rest(socket).await
        });
        assert!(!said.await.contains("200"));
    }

    #[tokio::test]
    async fn somebody_who_does_not_take_his_answer_is_hung_up_on() {
        let said = served(1_024, 1 << 20, async |mut socket: DuplexStream| {
            socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            // The other side gives up by itself: what it had written before is all there is.
            tokio::time::sleep(Duration::from_millis(300)).await;
            rest(socket).await
        });
        assert!(said.await.len() <= 1_024);
    }

    #[tokio::test]
    async fn who_stops_answers_what_was_asked_and_no_more() {
        let (ours, mut theirs) = duplex(1 << 16);
        theirs.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (asked, wait) = tokio::sync::oneshot::channel::<()>();
        let asked = std::cell::Cell::new(Some(asked));
        let answer = |_: Request<Incoming>| {
            let _ = asked.take().expect("one request").send(());
            async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Response::new(Body::from("done"))
            }
        };
        let stopping = async {
            let _ = wait.await;
        };
        serve_connection(ours, answer, stopping, QUICK).await;
        let said = rest(theirs).await;
        assert!(said.ends_with("done") && said.contains("connection: close"), "{said}");
    }
}
