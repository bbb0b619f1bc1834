//! One connection shared by many requests.
//!
//! Two tasks stand behind it: one reads answers and hands each to its caller, one writes all that has been queued since its
//! last turn, with one system call.

use super::connection::{Connection, Reader};
use super::request::encode;
use super::{ClientError, Options};
use crate::limits;
use crate::message::{Attempt, Reply, Request};
use crate::wire::WireError;
use bytes::BytesMut;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, oneshot};

/// How a call ends that brought no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// The connection was gone before anything was queued: nothing was done.
    NotSent,
    /// The connection ended while the answer was due.
    Lost,
    /// The time is over.
    TimedOut,
    /// The request does not fit a frame: nothing was done.
    TooLarge(WireError),
}

/// One connection shared by many requests; it ends when the last handle is dropped, or with the socket.
pub(super) struct Channel {
    shared: Arc<Shared>,
    attempt: Attempt,
}

struct Shared {
    address: String,
    state: Mutex<State>,
    /// Something was queued, or the channel has ended.
    queued: Notify,
    /// The writer has taken what was queued.
    taken: Notify,
}

#[derive(Default)]
struct State {
    out: BytesMut,
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
    received: u64,
    ended: Option<ClientError>,
}

impl Channel {
    /// Connects, says hello, and starts the two tasks.
    pub(super) async fn open(address: &str, options: &Options) -> Result<Channel, ClientError> {
        let connection = Connection::open(address, options).await?;
        let attempt = connection.attempt();
        let (reader, writer) = connection.into_halves();
        let shared = Arc::new(Shared {
            address: address.to_string(),
            state: Mutex::new(State::default()),
            queued: Notify::new(),
            taken: Notify::new(),
        });
        tokio::spawn(read_all(reader, shared.clone()));
        tokio::spawn(write_all(writer, shared.clone()));
        Ok(Channel { shared, attempt })
    }

    /// The peer at the other end, and its start.
    pub(super) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// False once the socket is gone.
    pub(super) fn is_open(&self) -> bool {
        self.shared.lock().ended.is_none()
    }

    /// How many answers have come so far, to anybody.
    pub(super) fn received(&self) -> u64 {
        self.shared.lock().received
    }

    /// Sends a request and waits for its answer. Dropping the future forgets the answer; the request is not taken back.
    pub(super) async fn call(&self, request: &Request, patience: Duration) -> Result<Reply, CallError> {
        self.wait_for_room().await;
        let (sender, answer) = oneshot::channel();
        let (id, received) = {
            let mut state = self.shared.lock();
            if state.ended.is_some() {
                return Err(CallError::NotSent);
            }
            let id = state.next;
            state.next += 1;
            encode(id, request, &mut state.out).map_err(CallError::TooLarge)?;
            state.waiting.insert(id, sender);
            (id, state.received)
        };
        self.shared.queued.notify_one();
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(CallError::Lost),
            Err(_) => {
                let silent = {
                    let mut state = self.shared.lock();
                    state.waiting.remove(&id);
                    state.received == received
                };
                if silent {
                    // Not one answer to anybody in all that time: the other side is stuck, or the network lost it.
                    self.shared.end(ClientError::Lost { address: self.shared.address.clone() });
                }
                Err(CallError::TimedOut)
            }
        }
    }

    /// A queue that grows faster than the socket takes it makes its callers wait.
    async fn wait_for_room(&self) {
        loop {
            let taken = self.shared.taken.notified();
            {
                let state = self.shared.lock();
                if state.out.len() < limits::CLIENT_PAUSE_BYTES || state.ended.is_some() {
                    return;
                }
            }
            taken.await;
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.shared.end(ClientError::Lost { address: self.shared.address.clone() });
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Ends the channel: every caller that waits learns it, and both tasks stop.
    fn end(&self, why: ClientError) {
        let waiting = {
            let mut state = self.lock();
            state.ended.get_or_insert(why);
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
        self.queued.notify_one();
        self.taken.notify_waiters();
    }
}

/// Hands each answer to its caller until the socket ends.
async fn read_all(mut reader: Reader, shared: Arc<Shared>) {
    let why = loop {
        match reader.receive().await {
            Ok((id, reply)) => {
                let caller = {
                    let mut state = shared.lock();
                    state.received += 1;
                    state.waiting.remove(&id)
                };
                if let Some(caller) = caller {
                    // The caller may have given up.
                    let _ = caller.send(reply);
                }
            }
            Err(why) => break why,
        }
        if shared.lock().ended.is_some() {
            return;
        }
    };
    shared.end(why);
}

/// Writes what is queued, all of it at once, until the channel ends. Then the socket's other half is shut down too.
async fn write_all(mut writer: OwnedWriteHalf, shared: Arc<Shared>) {
    let mut batch = BytesMut::new();
    loop {
        shared.queued.notified().await;
        loop {
            {
                let mut state = shared.lock();
                if state.ended.is_some() {
                    return;
                }
                batch.clear();
                std::mem::swap(&mut batch, &mut state.out);
            }
            shared.taken.notify_waiters();
            if batch.is_empty() {
                break;
            }
            if writer.write_all(&batch).await.is_err() {
                return shared.end(ClientError::Lost { address: shared.address.clone() });
            }
        }
    }
}
