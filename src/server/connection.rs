//! The sending side of one connection: what is queued for it, and what happens when it does not take it.

use crate::limits;
use bytes::{Buf, BytesMut};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// A number of bytes that several connections hold together.
#[derive(Clone, Default)]
pub(super) struct Total(Rc<Cell<usize>>);

impl Total {
    pub(super) fn bytes(&self) -> usize {
        self.0.get()
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes);
    }

    pub(super) fn subtract(&self, bytes: usize) {
        self.0.set(self.0.get() - bytes);
    }
}

/// The sending side of one connection, shared by its reader task, the core and the flusher; all of them on one thread.
pub(super) struct Connection {
    /// `HOST:PORT` of the other side, for people.
    pub(super) address: String,
    socket: OwnedWriteHalf,
    /// Encoded frames that wait for the flusher.
    queue: RefCell<BytesMut>,
    /// Unsent bytes of all connections that share this bound.
    total: Total,
    /// It stands in the flusher's list.
    listed: Cell<bool>,
    /// The socket took less than there was: a task of its own waits for it, so that nobody else does.
    stuck: Cell<bool>,
    closed: Cell<bool>,
    /// The reader waits until there is room again.
    paused: Cell<bool>,
    /// Wakes the reader task: there is room again, or the connection is closed.
    wake: Notify,
}

impl Connection {
    pub(super) fn new(address: String, socket: OwnedWriteHalf, total: Total) -> Rc<Connection> {
        Rc::new(Connection {
            address,
            socket,
            queue: RefCell::default(),
            total,
            listed: Cell::new(false),
            stuck: Cell::new(false),
            closed: Cell::new(false),
            paused: Cell::new(false),
            wake: Notify::new(),
        })
    }

    /// Lets `encode` append to the queue. True if the flusher has to be told of this connection.
    pub(super) fn queue(&self, encode: impl FnOnce(&mut BytesMut)) -> bool {
        if self.closed.get() {
            return false;
        }
        let mut queue = self.queue.borrow_mut();
        let before = queue.len();
        encode(&mut queue);
        self.total.add(queue.len() - before);
        !self.listed.replace(true)
    }

    /// Bytes that wait for the socket.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Writes what is queued with one system call, as far as the socket takes it; leaves the rest to a task that waits for it.
    pub(super) fn flush(self: &Rc<Self>) {
        self.listed.set(false);
        if self.stuck.get() || self.closed.get() {
            return;
        }
        if self.write_now() {
            self.resume();
        } else {
            self.stuck.set(true);
            tokio::task::spawn_local(drain(self.clone()));
        }
    }

    /// True if nothing is left, or the connection is closed.
    fn write_now(&self) -> bool {
        let mut queue = self.queue.borrow_mut();
        while !queue.is_empty() {
            match self.socket.try_write(&queue) {
                Ok(written) => {
                    queue.advance(written);
                    self.total.subtract(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => {
                    tracing::debug!(address = %self.address, %error, "a connection broke while it was written to");
                    drop(queue);
                    self.close();
                    return true;
                }
            }
        }
        if queue.capacity() > QUEUE_BYTES_KEPT {
            // One burst must not keep its memory for ever.
            *queue = BytesMut::new();
        }
        true
    }

    /// Closes the connection; its reader task ends and tells the core.
    pub(super) fn close(&self) {
        self.closed.set(true);
        let unsent = std::mem::take(&mut *self.queue.borrow_mut());
        self.total.subtract(unsent.len());
        self.wake.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Waits until the connection is closed.
    pub(super) async fn closed(&self) {
        while !self.closed.get() {
            self.wake.notified().await;
        }
    }

    /// Waits until there may be room again, or the connection is closed.
    pub(super) async fn paused(&self) {
        self.paused.set(true);
        self.wake.notified().await;
        self.paused.set(false);
    }

    /// Lets a paused reader look again.
    pub(super) fn resume(&self) {
        if self.paused.get() {
            self.wake.notify_one();
        }
    }
}

/// A queue that has grown beyond this gives its memory back when it is empty (bytes).
const QUEUE_BYTES_KEPT: usize = 1 << 20;

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// Writes what is queued as the socket takes it. A socket that takes nothing for too long is closed.
async fn drain(connection: Rc<Connection>) {
    let patience = Duration::from_millis(limits::DRAIN_DEADLINE_MS);
    loop {
        match tokio::time::timeout(patience, connection.socket.writable()).await {
            Ok(Ok(())) if connection.is_closed() => break,
            Ok(Ok(())) if connection.write_now() => break,
            Ok(Ok(())) => connection.resume(),
            Ok(Err(_)) => {
                connection.close();
                break;
            }
            Err(_) => {
                tracing::warn!(address = %connection.address, "closed a connection: the other side does not read");
                connection.close();
                break;
            }
        }
    }
    connection.stuck.set(false);
    connection.resume();
}
