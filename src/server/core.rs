//! The peer and everything that its outputs go to. One thread owns it; the tasks of the sockets borrow it in turns.

use super::clock::Clock;
use super::connection::{Connection, Total};
use super::disk::DiskThreads;
use super::door::Doors;
use super::figures::{self, Queues};
use super::held::Held;
use super::timing::{RequestId, Timing};
use crate::limits;
use crate::message::{Failure, FailureKind, Message, Position, Reply, Request, Serves};
use crate::peer::{Input, Introduction, Origin, Output, Peer, Verdict};
use crate::ring::MemberId;
use crate::storage::DiskDone;
use crate::vclock::Start;
use crate::wire;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use tokio::sync::Notify;

/// The core, as the tasks of one thread share it. It is borrowed for a turn and never across an await.
pub(super) type SharedCore = Rc<RefCell<Core>>;

/// The peer, and where its outputs go.
pub(super) struct Core {
    pub(super) peer: Peer,
    me: MemberId,
    pub(super) clock: Clock,
    pub(super) signals: Rc<Signals>,
    outbox: Vec<Output>,
    clients: HashMap<u64, ClientSide>,
    next_client: u64,
    pub(super) doors: Doors,
    pub(super) timing: Timing,
    links: BTreeMap<MemberId, LinkSide>,
    next_link: u64,
    held_replies: Held<(Origin, Reply)>,
    held_messages: Held<(MemberId, Message)>,
    /// How far the held ones have been looked through.
    released: Position,
    /// Connections with something for the flusher.
    unflushed: Vec<Rc<Connection>>,
    life: Life,
    /// None once the server has stopped.
    disk: Option<DiskThreads>,
    /// Hashes of what was told of connections that were turned away.
    told: BTreeSet<u64>,
    /// Of all clients: bytes of answers not yet sent, and of frames not yet complete.
    pub(super) unsent: Total,
    pub(super) unfinished: Total,
}

/// What wakes the tasks beside the sockets.
#[derive(Default)]
pub(super) struct Signals {
    flush: Notify,
    flush_due: Cell<bool>,
    /// The membership list has changed.
    pub(super) members: Notify,
    /// A link has ended: whoever keeps that one looks after it.
    pub(super) link_down: Notify,
    /// The process is to stop: gracefully, or at once with this message.
    pub(super) stop: Notify,
    halted: RefCell<Option<String>>,
    /// True if others have refused the folder as a copy.
    pub(super) is_copy: Cell<bool>,
}

/// How far the server is on its way to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Serving,
    /// What is under way is finished; clients begin nothing new.
    Finishing,
    /// The log is written to its end; nothing else reaches the peer.
    Stopping,
}

struct ClientSide {
    connection: Rc<Connection>,
    in_flight: usize,
}

struct LinkSide {
    connection: Rc<Connection>,
    number: u64,
    start: Start,
}

impl Signals {
    /// Wakes the flusher behind the tasks that are ready now.
    pub(super) fn want_flush(&self) {
        if !self.flush_due.replace(true) {
            self.flush.notify_one();
        }
    }

    pub(super) async fn flush_wanted(&self) {
        self.flush.notified().await;
    }

    /// Stops the process at once, with a message for people.
    pub(super) fn halt(&self, reason: String) {
        self.halted.borrow_mut().get_or_insert(reason);
        self.stop.notify_one();
    }

    /// Stops the process at once: others know that the folder is a copy.
    pub(super) fn halt_copy(&self, reason: String) {
        self.is_copy.set(true);
        self.halt(reason);
    }

    pub(super) fn halted(&self) -> Option<String> {
        self.halted.borrow().clone()
    }
}

impl Core {
    pub(super) fn new(peer: Peer, clock: Clock, disk: DiskThreads, signals: Rc<Signals>, doors: Doors, timing: Timing) -> Core {
        Core {
            me: peer.introduction().member,
            peer,
            clock,
            signals,
            outbox: Vec::new(),
            clients: HashMap::new(),
            next_client: 0,
            doors,
            timing,
            links: BTreeMap::new(),
            next_link: 0,
            held_replies: Held::new(),
            held_messages: Held::new(),
            released: Position::default(),
            unflushed: Vec::new(),
            life: Life::Serving,
            disk: Some(disk),
            told: BTreeSet::new(),
            unsent: Total::default(),
            unfinished: Total::default(),
        }
    }

    /// One step of the peer, and what comes out of it.
    pub(super) fn step(&mut self, input: Input) {
        if self.signals.halted.borrow().is_some() {
            return;
        }
        // Behind the clean mark nothing may be appended: only the log's own writes go on.
        if self.life == Life::Stopping && !matches!(input, Input::Disk(DiskDone::Written(_) | DiskDone::Prepared(_))) {
            return;
        }
        if let Input::Message { from, message, .. } = &input {
            self.trace(*from, message);
        }
        let now = self.clock.now();
        self.peer.step(now, input, &mut self.outbox);
        self.carry_out();
    }

    /// Tells of a message that serves a client's request, under the name that the request has at the peer that coordinates it.
    fn trace(&self, from: MemberId, message: &Message) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let Some((what, serves)) = message.serves() else { return };
        let request = match serves {
            Serves::Sender(operation) => RequestId { member: from, operation },
            Serves::Recipient(operation) => RequestId { member: self.me, operation },
        };
        match message {
            Message::Forward(_) => {
                let goes_on_as = RequestId { member: self.me, operation: self.peer.upcoming_operation() };
                tracing::debug!(%request, ?from, %goes_on_as, "forward");
            }
            _ => tracing::debug!(%request, ?from, "{what}"),
        }
    }

    /// Carries out what the peer has asked for, and lets go what has become durable.
    pub(super) fn carry_out(&mut self) {
        let released = self.peer.released();
        let mut outbox = std::mem::take(&mut self.outbox);
        for output in outbox.drain(..) {
            match output {
                Output::Send { to, message, after } if after <= released => self.send(to, &message),
                Output::Send { to, message, after } => self.held_messages.push(after, (to, message)),
                Output::Reply { to, reply, after } if after <= released => self.reply(to, reply),
                Output::Reply { to, reply, after } => {
                    self.timing.answered(to);
                    self.held_replies.push(after, (to, reply));
                }
                Output::Disk(job) => {
                    if !self.disk.as_ref().is_some_and(|disk| disk.run(job)) {
                        self.signals.halt("a disk thread has ended; start the peer again".to_string());
                    }
                }
                Output::HangUp => self.hang_up(),
                Output::Members => self.signals.members.notify_one(),
                Output::Halt { reason } => self.signals.halt(reason),
                Output::Refused { reason } => self.signals.halt_copy(reason),
            }
        }
        self.outbox = outbox;
        if released > self.released {
            self.released = released;
            while let Some((to, message)) = self.held_messages.take(released) {
                self.send(to, &message);
            }
            while let Some((to, reply)) = self.held_replies.take(released) {
                self.reply(to, reply);
            }
        }
        self.signals.want_flush();
    }

    /// The flusher's turn: the next batch goes to the log, what is queued goes to the sockets. Returns when the peer wants
    /// to be woken (monotonic milliseconds).
    pub(super) fn flush(&mut self) -> Option<u64> {
        self.signals.flush_due.set(false);
        if self.signals.halted.borrow().is_none() {
            let now = self.clock.now();
            if let Some(job) = self.peer.take_log_write(now)
                && !self.disk.as_ref().is_some_and(|disk| disk.write_log(job))
            {
                self.signals.halt("the log's thread has ended; start the peer again".to_string());
            }
        }
        for connection in self.unflushed.drain(..) {
            connection.flush();
        }
        self.peer.next_wake()
    }

    /// Takes a client connection in. None if there are too many.
    pub(super) fn add_client(&mut self, connection: Rc<Connection>) -> Option<u64> {
        if self.clients.len() >= limits::CLIENT_CONNECTIONS_MAX {
            return None;
        }
        let client = self.next_client;
        self.next_client += 1;
        self.clients.insert(client, ClientSide { connection, in_flight: 0 });
        Some(client)
    }

    /// Forgets a client connection; what is answered to it from now on is dropped.
    pub(super) fn remove_client(&mut self, client: u64) {
        if self.clients.remove(&client).is_some_and(|side| side.in_flight > 0) {
            self.timing.forget(client);
        }
    }

    /// A request of a client begins.
    pub(super) fn request(&mut self, client: u64, id: u64, request: Request) {
        if self.life != Life::Serving {
            return self.answer(client, id, stopping());
        }
        if let Some(side) = self.clients.get_mut(&client) {
            side.in_flight += 1;
            self.begin(Origin { client, request: id }, NATIVE, request);
        }
    }

    /// A request of somebody at a door begins.
    pub(super) fn request_at_door(&mut self, id: u64, door: &'static str, request: Request) {
        if self.life != Life::Serving {
            return self.doors.reply(id, Reply::Failed(stopping()));
        }
        self.begin(Origin { client: AT_DOORS, request: id }, door, request);
    }

    fn begin(&mut self, from: Origin, door: &'static str, request: Request) {
        let id = RequestId { member: self.me, operation: self.peer.upcoming_operation() };
        self.timing.begin(from, door, &request, id);
        self.step(Input::Request { from, request });
    }

    /// All figures of this peer, as text.
    pub(super) fn figures(&mut self) -> String {
        let now = self.clock.now();
        let queues = Queues {
            connections: std::iter::once((NATIVE, self.clients.len())).chain(self.doors.connections()).collect(),
            held_replies: self.held_replies.len(),
            held_messages: self.held_messages.len(),
            unsent_bytes: self.unsent.bytes(),
            links: self.links.iter().map(|(member, link)| (*member, link.connection.queued_bytes())).collect(),
        };
        figures::text(&self.peer, now, &self.timing, &queues, self.disk.as_ref().map(DiskThreads::figures))
    }

    /// Answers a client out of turn: its frame was no request.
    pub(super) fn answer(&mut self, client: u64, id: u64, failure: Failure) {
        if let Some(side) = self.clients.get_mut(&client) {
            side.in_flight += 1;
            self.reply(Origin { client, request: id }, Reply::Failed(failure));
            self.signals.want_flush();
        }
    }

    /// False while the client has to wait: too many of its requests are under way, or it does not take its answers.
    pub(super) fn may_read(&self, client: u64) -> bool {
        self.clients.get(&client).is_none_or(|side| {
            let unsent = side.connection.queued_bytes();
            let share = if self.unsent.bytes() < limits::UNSENT_BYTES_MAX { limits::CLIENT_PAUSE_BYTES } else { 1 };
            side.in_flight < limits::CLIENT_IN_FLIGHT_MAX && unsent < share
        })
    }

    /// Takes a link in, in the place of an earlier one with that member; returns the number by which it is removed.
    /// None if it may not come in any more: another start of that member has come in since it was judged.
    pub(super) fn add_link(&mut self, other: &Introduction, connection: Rc<Connection>) -> Option<u64> {
        if self.peer.judge(other) != Verdict::Welcome {
            return None;
        }
        if let Some(old) = self.links.remove(&other.member) {
            old.connection.close();
            self.step(Input::LinkDown { member: other.member });
        }
        self.peer.welcome(other);
        self.next_link += 1;
        self.links.insert(other.member, LinkSide { connection, number: self.next_link, start: other.start });
        tracing::info!(member = %other.member, name = %other.name, "link up");
        self.step(Input::LinkUp { member: other.member, actor: other.actor, start: other.start });
        Some(self.next_link)
    }

    /// A link's connection has ended. Nothing happens if another has taken its place.
    pub(super) fn remove_link(&mut self, member: MemberId, number: u64) {
        if self.links.get(&member).is_some_and(|link| link.number == number) {
            self.links.remove(&member);
            tracing::info!(%member, "link down");
            self.step(Input::LinkDown { member });
            self.signals.link_down.notify_waiters();
        }
    }

    /// Closes all connections. Whatever lies in them is not read: neither links nor clients are known any more.
    fn hang_up(&mut self) {
        self.doors.hang_up();
        for (client, side) in self.clients.drain() {
            side.connection.close();
            self.timing.forget(client);
        }
        self.timing.forget(AT_DOORS);
        while let Some((member, link)) = self.links.pop_first() {
            link.connection.close();
            self.step(Input::LinkDown { member });
        }
        self.signals.link_down.notify_waiters();
    }

    /// True while this link has not been replaced.
    pub(super) fn is_link(&self, member: MemberId, number: u64) -> bool {
        self.links.get(&member).is_some_and(|link| link.number == number)
    }

    /// True if this has not been told yet, or so much has been told since that it may be told again.
    pub(super) fn is_news(&mut self, text: &str) -> bool {
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.told.insert(hasher.finish())
    }

    /// True while there is a link to a member.
    pub(super) fn has_link(&self, member: MemberId) -> bool {
        self.links.contains_key(&member)
    }

    /// The start of a member to which there is a link.
    pub(super) fn link_start(&self, member: MemberId) -> Option<Start> {
        self.links.get(&member).map(|link| link.start)
    }

    /// From here on clients begin nothing new.
    pub(super) fn finish(&mut self) {
        self.life = Life::Finishing;
        self.doors.finish();
    }

    /// True if no client waits for an answer.
    pub(super) fn is_quiet(&self) -> bool {
        self.clients.values().all(|side| side.in_flight == 0) && self.doors.is_empty()
    }

    /// Ends the log: from here on only its last writes are done. The links are closed, so that the others count on us no more.
    pub(super) fn stop(&mut self) {
        self.links.values().for_each(|link| link.connection.close());
        self.life = Life::Stopping;
        self.peer.stop();
        self.carry_out();
    }

    /// Closes all connections and ends the disk's threads, and with them the hold on the folder. The peer steps no more.
    pub(super) fn let_go(&mut self) {
        self.signals.halt("the server has stopped".to_string());
        self.disk = None;
        for (_, side) in self.clients.drain() {
            side.connection.close();
        }
        while let Some((_, link)) = self.links.pop_first() {
            link.connection.close();
        }
        self.unflushed.clear();
    }

    /// A message whose link is down is dropped: the peer has been told of it, and asks others.
    fn send(&mut self, to: MemberId, message: &Message) {
        let Some(link) = self.links.get(&to) else { return };
        let connection = &link.connection;
        let unlisted = connection.queue(|out| {
            if let Err(error) = wire::encode_message(message, out) {
                tracing::error!(%error, member = %to, "a message does not fit a frame and is dropped");
            }
        });
        if unlisted {
            self.unflushed.push(connection.clone());
        }
        if connection.queued_bytes() > limits::LINK_QUEUE_BYTES_MAX {
            tracing::warn!(member = %to, "closed a link: the peer does not take its messages");
            connection.close();
        }
    }

    fn reply(&mut self, to: Origin, reply: Reply) {
        self.timing.end(to, &reply);
        if to.client == AT_DOORS {
            return self.doors.reply(to.request, reply);
        }
        let Some(side) = self.clients.get_mut(&to.client) else { return };
        let paused = side.in_flight >= limits::CLIENT_IN_FLIGHT_MAX;
        side.in_flight = side.in_flight.saturating_sub(1);
        let connection = &side.connection;
        if connection.queue(|out| encode_reply(to.request, &reply, out)) {
            self.unflushed.push(connection.clone());
        }
        if paused {
            connection.resume();
        }
    }
}

/// What henge's own door is called in the figures.
const NATIVE: &str = "native";

/// The client that stands for all who come through other doors. No connection gets this number.
const AT_DOORS: u64 = u64::MAX - 1;

fn stopping() -> Failure {
    let message = "this peer is stopping; nothing was done; ask another".to_string();
    Failure { kind: FailureKind::Unavailable, message, retry_after_ms: 0 }
}

/// So many different reasons are remembered, so that none of them is told every second.
const TOLD_MAX: usize = 256;

/// An answer that does not fit a frame becomes a failure that says so.
fn encode_reply(id: u64, reply: &Reply, out: &mut bytes::BytesMut) {
    if let Err(error) = wire::encode_reply(id, reply, out) {
        let message = format!("the answer cannot be sent: {error}; read a path of the document, or a shorter page");
        let failed = Reply::Failed(Failure { kind: FailureKind::TooLarge, message, retry_after_ms: 0 });
        wire::encode_reply(id, &failed, out).expect("a short failure fits a frame");
    }
}
