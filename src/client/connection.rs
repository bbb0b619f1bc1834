//! One TCP connection after its hello, without any task behind it.

use super::dial::{Dialed, dial, refusal};
use super::request::encode;
use super::{ClientError, Options};
use crate::limits;
use crate::message::{Attempt, Reply, Request};
use crate::wire::{WireError, decode_reply, take_frame};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// One TCP connection after its hello: requests go out in batches, answers come back in any order. For load generators, and for
/// talking to one very peer; everybody else wants a [`Client`](super::Client).
pub struct Connection {
    attempt: Attempt,
    reader: Reader,
    writer: OwnedWriteHalf,
    out: BytesMut,
    next: u64,
}

/// The receiving half: cuts answers out of the stream.
pub(super) struct Reader {
    address: String,
    socket: OwnedReadHalf,
    inbox: BytesMut,
}

/// Room made for each read, in bytes: some hundreds of small answers.
const READ_BYTES: usize = 64 << 10;

impl Connection {
    /// Connects to `address` (`HOST:PORT`) and says hello.
    ///
    /// Errors: nobody answers there in time, or the peer turns us away, or it is no peer.
    pub async fn open(address: &str, options: &Options) -> Result<Connection, ClientError> {
        let Dialed { stream, inbox, attempt } = dial(address, options).await?;
        let (socket, writer) = stream.into_split();
        let reader = Reader { address: address.to_string(), socket, inbox };
        Ok(Connection { attempt, reader, writer, out: BytesMut::new(), next: 0 })
    }

    /// The address that was dialled.
    pub fn address(&self) -> &str {
        &self.reader.address
    }

    /// Who answered the hello, and its start: what a retry has to name.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Queues a request and returns its id: 0, 1, 2, …. Nothing is sent before `flush` or `recv`.
    ///
    /// Errors: the request is larger than a peer takes. Nothing was queued, and the id is not used.
    pub fn send(&mut self, request: &Request) -> Result<u64, WireError> {
        encode(self.next, request, &mut self.out)?;
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Writes all that is queued, with one system call if the socket takes it.
    ///
    /// Errors: the connection is lost.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        while !self.out.is_empty() {
            // `write` and `advance`, not `write_all`: so that cancelling loses no count of what has been written.
            match self.writer.write(&self.out).await {
                Ok(written) if written > 0 => self.out.advance(written),
                _ => return Err(self.reader.lost()),
            }
        }
        Ok(())
    }

    /// The next answer and the id of its request, in the order in which they come. Flushes first. Safe to cancel.
    ///
    /// Errors: the connection is lost, or what comes is no answer.
    pub async fn recv(&mut self) -> Result<(u64, Reply), ClientError> {
        self.flush().await?;
        self.reader.receive().await
    }

    /// An answer that has been received already, if there is one; does not wait, and does not look at the socket.
    ///
    /// Errors: what came is no answer.
    pub fn try_recv(&mut self) -> Result<Option<(u64, Reply)>, ClientError> {
        self.reader.take()
    }

    /// One request and its answer. Requires: nothing else is under way.
    ///
    /// Errors: the connection is lost, or the request does not fit a frame.
    pub async fn request(&mut self, request: &Request) -> Result<Reply, ClientError> {
        let sent = self.send(request);
        let id = sent.map_err(|error| ClientError::Protocol { address: self.address().to_string(), reason: error.to_string() })?;
        loop {
            let (answered, reply) = self.recv().await?;
            if answered == id {
                return Ok(reply);
            }
        }
    }

    pub(super) fn into_halves(self) -> (Reader, OwnedWriteHalf) {
        (self.reader, self.writer)
    }
}

impl Reader {
    pub(super) async fn receive(&mut self) -> Result<(u64, Reply), ClientError> {
        loop {
            if let Some(answer) = self.take()? {
                return Ok(answer);
            }
            self.inbox.reserve(READ_BYTES);
            match self.socket.read_buf(&mut self.inbox).await {
                Ok(0) | Err(_) => return Err(self.lost()),
                Ok(_) => {}
            }
        }
    }

    /// An answer that has arrived in whole.
    pub(super) fn take(&mut self) -> Result<Option<(u64, Reply)>, ClientError> {
        let protocol =
            |address: &str, error: WireError| ClientError::Protocol { address: address.to_string(), reason: error.to_string() };
        let taken = take_frame(&mut self.inbox, limits::FRAME_BYTES_MAX);
        let Some(frame) = taken.map_err(|error| protocol(&self.address, error))? else { return Ok(None) };
        if let Some(message) = refusal(&frame) {
            return Err(ClientError::Refused { address: self.address.clone(), message });
        }
        let reply = decode_reply(&frame).map_err(|error| protocol(&self.address, error))?;
        Ok(Some((frame.id(), reply)))
    }

    fn lost(&self) -> ClientError {
        ClientError::Lost { address: self.address.clone() }
    }
}
