//! The receiving side of one connection: takes what is ready, parses it in place, steps the peer.

use super::connection::Connection;
use crate::limits;
use crate::wire::{Frame, WireError, take_frame};
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

/// The receiving side of one connection.
pub(super) struct FrameReader {
    socket: OwnedReadHalf,
    inbox: BytesMut,
    /// How much the next read may take: grows while the socket has more, shrinks when it has little.
    read_bytes: usize,
}

/// The least that a read may take (bytes): some dozens of small requests.
const READ_BYTES_MIN: usize = 8 << 10;

impl FrameReader {
    /// Goes on where the handshake has ended: `inbox` holds what came behind it.
    pub(super) fn new(socket: OwnedReadHalf, inbox: BytesMut) -> FrameReader {
        FrameReader { socket, inbox, read_bytes: READ_BYTES_MIN }
    }

    /// A frame that has arrived in whole, if there is one.
    pub(super) fn take(&mut self) -> Result<Option<Frame>, WireError> {
        take_frame(&mut self.inbox, limits::FRAME_BYTES_MAX)
    }

    /// Reads what is ready, waiting for it if need be. False at the end of the stream, or when the connection has been closed.
    pub(super) async fn read(&mut self, connection: &Connection) -> bool {
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
                !connection.is_closed()
            }
        }
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
