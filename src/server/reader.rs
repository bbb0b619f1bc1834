//! The receiving side of one connection: takes what is ready, parses it in place, steps the peer.

use super::connection::{Connection, Total};
use crate::limits;
use crate::wire::{Frame, WireError, take_frame};
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, sleep, timeout_at};

/// The receiving side of one connection.
pub(super) struct FrameReader {
    socket: OwnedReadHalf,
    inbox: BytesMut,
    /// Largest frame that is taken (bytes).
    frame_bytes_max: usize,
    /// How much the next read may take: grows while the socket has more, shrinks when it has little.
    read_bytes: usize,
    /// Since when the inbox holds an unfinished frame, if it does.
    unfinished_since: Option<Instant>,
    /// Unfinished bytes of all connections that share this bound, and how many of them are ours.
    unfinished: Total,
    counted: usize,
}

/// The least that a read may take (bytes): some dozens of small requests.
const READ_BYTES_MIN: usize = 8 << 10;
/// Who has to wait for memory looks again this often. It happens under attack only.
const MEMORY_PAUSE: Duration = Duration::from_millis(20);

impl FrameReader {
    /// Goes on where the handshake has ended: `inbox` holds what came behind it.
    pub(super) fn new(socket: OwnedReadHalf, inbox: BytesMut) -> FrameReader {
        FrameReader {
            socket,
            inbox,
            frame_bytes_max: limits::FRAME_BYTES_MAX,
            read_bytes: READ_BYTES_MIN,
            unfinished_since: None,
            unfinished: Total::default(),
            counted: 0,
        }
    }

    /// For clients: frames are shorter, and what is unfinished counts against a bound for all of them.
    pub(super) fn restrict(&mut self, frame_bytes_max: usize, unfinished: Total) {
        self.frame_bytes_max = frame_bytes_max;
        self.unfinished = unfinished;
    }

    /// A frame that has arrived in whole, if there is one.
    pub(super) fn take(&mut self) -> Result<Option<Frame>, WireError> {
        let taken = take_frame(&mut self.inbox, self.frame_bytes_max)?;
        if taken.is_some() {
            self.unfinished_since = None;
        }
        Ok(taken)
    }

    /// Reads what is ready, waiting for it if need be. False at the end of the stream, when a frame is not finished in time, or when the
    /// connection has been closed.
    pub(super) async fn read(&mut self, connection: &Connection) -> bool {
        self.count();
        let read = if self.inbox.is_empty() {
            self.read_some(connection).await
        } else {
            let since = *self.unfinished_since.get_or_insert_with(Instant::now);
            let deadline = since + Duration::from_millis(limits::FRAME_DEADLINE_MS);
            match timeout_at(deadline, self.read_some(connection)).await {
                Ok(read) => read,
                Err(_) => {
                    tracing::warn!(address = %connection.address, "closed a connection: a frame was not finished in time");
                    false
                }
            }
        };
        self.count();
        read && !connection.is_closed()
    }

    async fn read_some(&mut self, connection: &Connection) -> bool {
        while self.inbox.len() > limits::UNFINISHED_BYTES_SMALL && self.unfinished.bytes() > limits::UNFINISHED_BYTES_MAX {
            sleep(MEMORY_PAUSE).await;
        }
        self.inbox.reserve(self.read_bytes);
        let room = self.inbox.capacity() - self.inbox.len();
        let read = tokio::select! {
            biased;
            read = self.socket.read_buf(&mut self.inbox) => read,
            () = connection.closed() => return false,
        };
        match read {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.read_bytes = next_read_bytes(self.read_bytes, read, room);
                true
            }
        }
    }

    /// Keeps our part of the total up to date.
    fn count(&mut self) {
        self.unfinished.add(self.inbox.len());
        self.unfinished.subtract(self.counted);
        self.counted = self.inbox.len();
    }
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        self.unfinished.subtract(self.counted);
    }
}

/// A read that filled its room is followed by a larger one, a small one by a smaller one.
fn next_read_bytes(current: usize, read: usize, room: usize) -> usize {
    if read == room {
        (current * 2).min(limits::READ_BYTES_PER_TURN)
    } else if read < current / 4 {
        (current / 2).max(READ_BYTES_MIN)
    } else {
        current
    }
}
