//! One client's connection: what it sends is cut into commands, they run in its queue, their answers go out in order, as many as there are with
//! one write. Everything happens in one task.

use super::answer::Answer;
use super::command::{self, Step};
use super::framing::{Bounds, Framing};
use super::gate::{Gate, add};
use super::queue::Queue;
use super::session::Session;
use crate::limits;
use bytes::{Buf, BytesMut};
use std::future::poll_fn;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// The least that a read may take (bytes): some dozens of small commands.
const READ_BYTES_MIN: usize = 8 << 10;
/// A buffer that has grown beyond this gives its memory back when it is empty (bytes).
const BUFFER_BYTES_KEPT: usize = 1 << 20;
/// Who has to wait for memory that others hold looks again this often.
const MEMORY_PAUSE: Duration = Duration::from_millis(20);

struct Connection {
    gate: Rc<Gate>,
    stream: TcpStream,
    session: Session,
    framing: Framing,
    inbox: BytesMut,
    read_bytes: usize,
    queue: Queue,
    out: BytesMut,
    /// Of the gate's bytes, those that this connection holds.
    held: usize,
    /// No more commands are taken: it ends when all answers are out.
    closing: bool,
    /// Since when a command has been unfinished, and since when the client takes no answer.
    unfinished: Option<Instant>,
    stuck: Option<Instant>,
}

/// What a connection waits for.
enum Event {
    /// The oldest command has its answer.
    Answered,
    Readable,
    Writable,
    /// The peer is asked to stop.
    Stopping,
    /// A deadline is over.
    Late,
}

/// Serves one client until he goes, or has to.
pub(super) async fn serve(gate: Rc<Gate>, stream: TcpStream, address: SocketAddr) {
    // Without it answers wait for acknowledgements of earlier ones; a socket that refuses it still works.
    let _ = stream.set_nodelay(true);
    add(&gate.counts.connections, 1);
    let connection = Connection {
        session: Session::new(&gate, address, &stream),
        gate,
        stream,
        framing: Framing::default(),
        inbox: BytesMut::new(),
        read_bytes: READ_BYTES_MIN,
        queue: Queue::default(),
        out: BytesMut::new(),
        held: 0,
        closing: false,
        unfinished: None,
        stuck: None,
    };
    if let Err(error) = connection.run().await {
        tracing::debug!(%address, %error, "a Redis connection has ended");
    }
}

impl Connection {
    async fn run(mut self) -> Result<()> {
        let gate = self.gate.clone();
        let stopping = gate.door.stopping();
        tokio::pin!(stopping);
        loop {
            let starved = self.take_commands();
            self.collect();
            self.write()?;
            self.count();
            if self.closing && self.queue.is_empty() && self.out.is_empty() {
                return Ok(());
            }
            let room = self.has_room();
            if !starved && room {
                // Others have their turn between two batches.
                tokio::task::yield_now().await;
                continue;
            }
            if !room {
                // While we do not read for his answers' sake, it is not the client who is late.
                self.unfinished = None;
            }
            let reads = starved && room && !self.is_crowded();
            let takes = self.takes_answers();
            let deadline = self.deadline(reads);
            let event = tokio::select! {
                biased;
                () = poll_fn(|context| answered(&mut self.queue, takes, context)), if !self.queue.is_empty() => Event::Answered,
                ready = self.stream.readable(), if reads => ready.map(|()| Event::Readable)?,
                ready = self.stream.writable(), if !self.out.is_empty() => ready.map(|()| Event::Writable)?,
                () = &mut stopping, if !self.closing => Event::Stopping,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Event::Late,
            };
            match event {
                Event::Answered | Event::Writable => {}
                Event::Readable if self.read()? => {}
                // At the end of what he sends he may still want his answers.
                Event::Readable | Event::Stopping => self.closing = true,
                Event::Late => {
                    if let Some(reason) = self.overdue() {
                        tracing::debug!(address = %self.session.visitor.address, reason, "closed a Redis connection");
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes what has arrived. False at its end.
    fn read(&mut self) -> Result<bool> {
        self.inbox.reserve(self.read_bytes);
        let room = self.inbox.capacity() - self.inbox.len();
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.read_bytes = next_read_bytes(self.read_bytes, read, room);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Begins what has arrived in whole, as far as there is room. True if it is for the client to go on.
    fn take_commands(&mut self) -> bool {
        while !self.closing {
            if !self.has_room() {
                return false;
            }
            let bounds = if self.session.is_welcome() { Bounds::CLIENT } else { Bounds::STRANGER };
            match self.framing.take(&mut self.inbox, bounds) {
                Ok(Some((words, bytes))) => {
                    self.unfinished = None;
                    add(&self.gate.counts.commands, 1);
                    match command::begin(&self.gate, &mut self.session, words) {
                        Step::Answer(answer, protocol) => self.queue.answer(answer, protocol),
                        Step::Work(work, touches) => self.queue.push(work, touches, self.session.protocol, bytes),
                        Step::Close(answer, protocol) => {
                            self.queue.answer(answer, protocol);
                            self.closing = true;
                        }
                    }
                }
                Ok(None) => {
                    match self.inbox.is_empty() {
                        true => self.unfinished = None,
                        false => drop(self.unfinished.get_or_insert_with(Instant::now)),
                    }
                    return true;
                }
                Err(error) => {
                    self.queue.answer(Answer::error(format!("ERR Protocol error: {error}")), self.session.protocol);
                    self.closing = true;
                }
            }
        }
        true
    }

    /// True if one more command may begin.
    fn has_room(&self) -> bool {
        let own = self.queue.foreseen_bytes() + self.out.len();
        !self.closing
            && self.queue.weight() < limits::RESP_IN_FLIGHT_MAX
            && (self.queue.is_empty() || own < limits::RESP_IN_FLIGHT_BYTES_MAX)
            && self.takes_answers()
    }

    /// True if all connections together hold so much that this one, which holds more than a little, is not read from. What it has sent in whole is
    /// done all the same, or none of them would ever hold less.
    fn is_crowded(&self) -> bool {
        self.gate.held() > limits::UNSENT_BYTES_MAX && self.held > limits::UNFINISHED_BYTES_SMALL
    }

    /// True while there is room for another answer behind those that are to be sent.
    fn takes_answers(&self) -> bool {
        self.out.len() < limits::CLIENT_PAUSE_BYTES
    }

    /// Moves the answers whose turn it is behind those that are to be sent.
    fn collect(&mut self) {
        while self.takes_answers()
            && let Some((answer, protocol)) = self.queue.take()
        {
            if matches!(answer, Answer::Error(_)) {
                add(&self.gate.counts.errors, 1);
            }
            answer.write(protocol, &mut self.out);
        }
    }

    /// Sends what the socket takes.
    fn write(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(written) => {
                    self.out.advance(written);
                    self.stuck = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stuck.get_or_insert_with(Instant::now);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if self.out.capacity() > BUFFER_BYTES_KEPT {
            self.out = BytesMut::new();
        }
        Ok(())
    }

    /// Keeps our part of the gate's total up to date.
    fn count(&mut self) {
        let now = self.inbox.len() + self.queue.bytes() + self.out.len();
        self.gate.hold(self.held, now);
        self.held = now;
    }

    /// Since when what may have no end has been going on, how long it may (milliseconds), and what it is.
    fn patience(&self) -> [(Option<Instant>, u64, &'static str); 3] {
        [
            (self.unfinished, limits::FRAME_DEADLINE_MS, "a command was not finished in time"),
            (self.stuck, limits::DRAIN_DEADLINE_MS, "the client does not take its answers"),
            (self.session.stranger_since(), limits::RESP_AUTH_DEADLINE_MS, "the client has not shown the token in time"),
        ]
    }

    /// When something has to have happened, or is to be looked at again.
    fn deadline(&self, reads: bool) -> Option<Instant> {
        let ends = self.patience().into_iter().filter_map(|(since, ms, _)| Some(since? + Duration::from_millis(ms)));
        let waits = !reads && self.queue.is_empty() && self.out.is_empty();
        ends.chain(waits.then(|| Instant::now() + MEMORY_PAUSE)).min()
    }

    /// Why the connection has to end, if it has to.
    fn overdue(&self) -> Option<&'static str> {
        let over = |since: Option<Instant>, ms| since.is_some_and(|since| since.elapsed() >= Duration::from_millis(ms));
        self.patience().into_iter().find_map(|(since, ms, what)| over(since, ms).then_some(what))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.gate.hold(self.held, 0);
    }
}

/// Goes on with the commands; ready when there is an answer, and room for it. Without room there is nothing to be done with one before the client
/// has taken others: whoever was ready then would be so for ever, and nobody else on this thread would have a turn.
fn answered(queue: &mut Queue, takes: bool, context: &mut Context<'_>) -> Poll<()> {
    match queue.poll(context) {
        Poll::Ready(()) if takes => Poll::Ready(()),
        _ => Poll::Pending,
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
