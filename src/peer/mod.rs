//! A peer is a function: `step(now, input, outbox)`.
//!
//! It takes one input at a time (a message, a client's request, a finished disk job, a due timer) and answers with data. It never
//! sleeps, spawns, locks, reads a clock, draws its own randomness or touches a socket. Two small drivers run it: tokio in
//! `server/`, the simulator in `sim/`.
//!
//! Every output that promises something names the log position on which it stands; the driver lets it go when the log is durable
//! that far. What only informs (replicate messages, questions) goes at once.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod acquaintance;
mod closing;
mod comparing;
mod expiring;
mod forwarding;
mod gossiping;
mod handoff;
mod healing;
mod losses;
mod membership;
mod operation;
mod pace;
mod pause;
mod reading;
mod replica;
mod requests;
mod standing;
mod status;
#[cfg(test)]
mod tests;
mod why;
mod writing;

pub use acquaintance::Verdict;
pub use membership::Introduction;
pub use status::Load;

use crate::anti_entropy::{Closing, Rounds, Strangers};
use crate::coordinator::{Effects, Folding, RetryMemory};
use crate::gossip::View;
use crate::hinted_handoff::Handoff;
use crate::message::{Applied, MemberRecord, Message, OperationId, Position, Reply, Request, RequestCounts, SyncMode};
use crate::ring::{MemberId, PartitionId, Placement};
use crate::storage::{DiskDone, DiskEvent, DiskJob, Store};
use crate::vclock::{Actor, HybridClock, Start};
use acquaintance::KnownStart;
use comparing::Pulls;
use expiring::Expiring;
use gossiping::Gossiping;
use healing::Healings;
use losses::Losses;
use operation::{Operation, ReplyTo};
use pace::Paces;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use replica::Replica;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The time, as a driver tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Milliseconds of a clock that never goes back. For timers.
    pub monotonic_ms: u64,
    /// Milliseconds since 1970, as far as this machine knows. For timestamps and expiry.
    pub wall_ms: u64,
}

/// Who asked: a client connection, numbered by the driver, and the request's id on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin {
    /// The connection.
    pub client: u64,
    /// The request.
    pub request: u64,
}

/// One thing that happens to a peer.
#[derive(Debug)]
pub enum Input {
    /// A link to a member is up: hellos are exchanged and checked.
    LinkUp {
        /// The member.
        member: MemberId,
        /// The actor under which its store writes.
        actor: Actor,
        /// Its start.
        start: Start,
    },
    /// The link is gone.
    LinkDown {
        /// The member.
        member: MemberId,
    },
    /// A message came over the link to a member.
    Message {
        /// The member.
        from: MemberId,
        /// The start in which it said this: that of the link.
        start: Start,
        /// The message.
        message: Message,
    },
    /// A client asks.
    Request {
        /// Who.
        from: Origin,
        /// What.
        request: Request,
    },
    /// A disk job is finished.
    Disk(DiskDone),
    /// The time of [`Peer::next_wake`] has come.
    Wake,
}

/// One thing that a peer wants done.
#[derive(Debug)]
pub enum Output {
    /// Send a message to a member once [`Peer::released`] has reached `after`. If its link is down, drop it.
    Send {
        /// The member.
        to: MemberId,
        /// The message.
        message: Message,
        /// The position on which it stands; `Position(0)`: at once.
        after: Position,
    },
    /// Answer a client once [`Peer::released`] has reached `after`.
    Reply {
        /// The client.
        to: Origin,
        /// The answer.
        reply: Reply,
        /// The position on which it stands.
        after: Position,
    },
    /// Run a disk job, in any order with other jobs, and answer with [`Input::Disk`]. Log writes come by [`Peer::take_log_write`] instead.
    Disk(DiskJob),
    /// The others know that this peer runs from an old or second copy of its folder: note it in the folder, stop the process, tell why.
    Refused {
        /// For people.
        reason: String,
    },
    /// This process has stood still for very long: close all connections, those of clients and links, and read nothing that lies in them.
    HangUp,
    /// The list of members has changed: keep a link to each of [`Peer::founders`] but this one.
    Members,
    /// The store can promise nothing any more: stop the process and tell why.
    Halt {
        /// For people.
        reason: String,
    },
}

/// What a peer is told about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerConfig {
    /// What people call it.
    pub name: String,
    /// Where others reach it: `host:port`.
    pub address: String,
    /// Its failure zone.
    pub zone: String,
    /// Its share of the data, relative to the others.
    pub weight: u16,
    /// True: a read that waits longer than usual asks one replica more, and slow ones are asked last.
    pub hedges: bool,
}

/// Who is at the other end of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Linked {
    actor: Actor,
    start: Start,
}

/// A peer: the composition of all machines over one store.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    me: MemberId,
    replica: Replica,
    placement: Option<Placement>,
    /// The owners of each partition, in order of preference.
    owners: Vec<Vec<MemberId>>,
    /// The links that are up.
    links: BTreeMap<MemberId, Linked>,
    /// The newest start of each member that a link was up to.
    met: BTreeMap<MemberId, KnownStart>,
    gossip: Gossiping,
    clock: HybridClock,
    retries: RetryMemory,
    folding: Folding,
    operations: BTreeMap<OperationId, Operation>,
    operation_count: u32,
    /// When each operation is looked at again: for its deadline, and to ask again whoever has not answered.
    checks: VecDeque<(u64, OperationId)>,
    /// Messages of this peer to itself, handled within the same step.
    local: VecDeque<Message>,
    /// Acknowledgements and answers of this peer to itself that wait for the disk.
    own: VecDeque<(Position, Message)>,
    effects: Effects,
    /// What it owes and is paying.
    handoff: Handoff,
    /// When to learn what from whom.
    rounds: Rounds,
    pulls: Pulls,
    paces: Paces,
    counts: RequestCounts,
    repairs: u64,
    /// Reads that were answered with the help of stand-ins.
    stood_in: u64,
    /// The time of the present step.
    now: Now,
    started_ms: u64,
    stripped_ms: u64,
    expiring: Expiring,
    stopping: bool,
    closing: Closing,
    strangers: Strangers,
    healings: Healings,
    losses: Losses,
    /// Partitions that count as complete though acknowledged writes may be missing.
    doubtful: BTreeSet<PartitionId>,
    /// What people have to know, as long as this process runs.
    alarms: Vec<String>,
    rng: ChaCha8Rng,
}

/// An operation is looked at this often (milliseconds): the granularity of deadlines, and after how long a lost message is sent again.
const CHECK_MS: u64 = 250;

/// Explicit contexts are held against the clocks at most this often (milliseconds): what the clock has seen meanwhile costs nothing any more.
const STRIP_MS: u64 = 1_000;

impl Peer {
    /// A peer over an opened store. `seed` feeds all of its randomness.
    pub fn new(mut store: Store, config: PeerConfig, seed: u64, now: Now) -> Peer {
        let placement = match store.membership() {
            [] => None,
            changes => Some(Placement::from_changes(changes).expect("what was checked before it was written down is right")),
        };
        let mut retries = RetryMemory::default();
        for note in store.take_retries() {
            retries.insert(now.monotonic_ms, note.session, note.number, writing::remembered(&note, 0));
        }
        let gossip = Gossiping::new(&store, &config, seed);
        let mut peer = Peer {
            paces: Paces::new(config.hedges),
            config,
            me: store.member(),
            replica: Replica::new(store),
            owners: placement.as_ref().map(membership::owners).unwrap_or_default(),
            placement,
            links: BTreeMap::new(),
            met: BTreeMap::new(),
            gossip,
            clock: HybridClock::default(),
            retries,
            folding: Folding::default(),
            operations: BTreeMap::new(),
            operation_count: 0,
            checks: VecDeque::new(),
            local: VecDeque::new(),
            own: VecDeque::new(),
            effects: Effects::default(),
            handoff: Handoff::default(),
            rounds: Rounds::default(),
            pulls: Pulls::default(),
            counts: RequestCounts::default(),
            repairs: 0,
            stood_in: 0,
            now,
            started_ms: now.monotonic_ms,
            stripped_ms: now.monotonic_ms,
            expiring: Expiring { looked: now },
            stopping: false,
            closing: Closing::new(now.monotonic_ms),
            strangers: Strangers::default(),
            healings: Healings::default(),
            losses: Losses::default(),
            doubtful: BTreeSet::new(),
            alarms: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        };
        peer.set_pairs(now.monotonic_ms);
        peer.gossip_with_members(now);
        peer.settle_alone(now);
        peer
    }

    /// Takes one input and appends to the outbox what it leads to.
    pub fn step(&mut self, now: Now, input: Input, outbox: &mut Vec<Output>) {
        if self.stopping {
            return self.step_stopping(now, input, outbox);
        }
        if self.notice_pause(now, outbox) && matches!(input, Input::Message { .. } | Input::Request { .. }) {
            return self.settle(now, outbox);
        }
        match input {
            Input::LinkUp { member, actor, start } => self.on_link_up(now, member, Linked { actor, start }, outbox),
            Input::LinkDown { member } => self.on_link_down(now, member, outbox),
            Input::Message { from, start, message } => {
                if self.is_current(from, start) && !self.is_fenced(from, start) {
                    match message {
                        Message::Comparing(comparing) => self.on_comparing(now, from, start, *comparing, outbox),
                        message => self.on_message(now, from, message, outbox),
                    }
                }
            }
            Input::Request { from, request } => self.on_request(now, ReplyTo::Client(from), request, outbox),
            Input::Disk(done) => self.on_disk(now, done, outbox),
            Input::Wake => self.on_wake(now, outbox),
        }
        self.settle(now, outbox);
    }

    /// The next batch for the log, if there is something to write and no batch is under way. The driver runs it in order with other
    /// log writes and answers with [`Input::Disk`].
    pub fn take_log_write(&mut self, now: Now) -> Option<DiskJob> {
        self.replica.store_mut().take_log_write(now.monotonic_ms)
    }

    /// Whatever stands on this position or an earlier one may leave.
    pub fn released(&self) -> Position {
        self.replica.store().durable()
    }

    /// When the peer wants [`Input::Wake`] next, on the monotonic clock.
    pub fn next_wake(&self) -> Option<u64> {
        let store = self.replica.store();
        if self.stopping {
            return store.next_wake();
        }
        let check = self.checks.front().map(|check| check.0);
        let hedge = self.paces.next_wake();
        let pulls = [self.rounds.next_wake(), self.pulls.next_wake()];
        let closing = self.placement.is_some().then(|| self.closing.next_wake());
        let own = [check, hedge, store.next_wake(), self.next_expired(), self.next_payment()];
        let rest = own.into_iter().chain([self.gossip.next_wake(), closing, self.next_healing()]);
        rest.chain(pulls).flatten().min()
    }

    /// True while requests are answered with `Overloaded`, so that a driver may as well leave them in their sockets.
    pub fn is_overloaded(&self) -> bool {
        self.operations.len() >= crate::limits::REQUESTS_IN_FLIGHT_MAX
            || self.replica.store().pending_bytes() >= crate::limits::LOG_PENDING_BYTES_MAX
    }

    /// Begins a clean stop: the log ends with a mark that names this start. From here on nothing is taken in but ends of disk jobs.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.replica.store_mut().stop();
    }

    /// True if nothing is left to write.
    pub fn is_drained(&self) -> bool {
        self.replica.store().is_stopped()
    }

    /// What this peer says of itself, for oracles that look inside.
    pub fn own_record(&self) -> &MemberRecord {
        self.gossip.own_record()
    }

    /// What it believes of the others, for oracles that look inside.
    pub fn view(&self) -> &View {
        self.gossip.view()
    }

    /// The store below, for oracles that look inside.
    pub fn store(&self) -> &Store {
        self.replica.store()
    }

    /// After a stop the log takes nothing any more, so nothing can be promised any more. What is under way comes to its end.
    fn step_stopping(&mut self, now: Now, input: Input, outbox: &mut Vec<Output>) {
        if let Input::Disk(done) = input
            && let DiskEvent::Failed { reason } = self.replica.store_mut().on_disk(done)
        {
            outbox.push(Output::Halt { reason });
        }
        // The end of the log may need a segment yet.
        while let Some(job) = self.replica.store_mut().take_background_job(now.monotonic_ms, now.wall_ms) {
            outbox.push(Output::Disk(job));
        }
    }

    fn on_wake(&mut self, now: Now, outbox: &mut Vec<Output>) {
        self.handoff.on_wake(now.monotonic_ms);
        if now.monotonic_ms >= self.stripped_ms + STRIP_MS {
            self.stripped_ms = now.monotonic_ms;
            self.replica.store_mut().strip_contexts();
            // A hint in a bad place may have been handed over meanwhile.
            self.replica.store_mut().close_gaps();
        }
        self.drop_expired(now, outbox);
        self.wake_gossip(now, outbox);
        while self.checks.front().is_some_and(|check| check.0 <= now.monotonic_ms) {
            let Some((_, id)) = self.checks.pop_front() else { break };
            self.check(now, id, outbox);
        }
        self.wake_pulls(now, outbox);
        self.hedge(now, outbox);
        self.wake_closing(now, outbox);
        self.wake_healings(now, outbox);
    }

    fn on_disk(&mut self, now: Now, done: DiskDone, outbox: &mut Vec<Output>) {
        match self.replica.store_mut().on_disk(done) {
            DiskEvent::Progress => {}
            DiskEvent::Record { ticket, result } => self.on_record(now, ticket, result, outbox),
            DiskEvent::Damage { keys } => self.on_damage(now, keys, outbox),
            DiskEvent::Failed { reason } => outbox.push(Output::Halt { reason }),
        }
    }

    /// Handles what this peer has said to itself, until there is nothing left.
    fn settle(&mut self, now: Now, outbox: &mut Vec<Output>) {
        let durable = self.released();
        while self.own.front().is_some_and(|own| own.0 <= durable) {
            self.local.extend(self.own.pop_front().map(|own| own.1));
        }
        while let Some(message) = self.local.pop_front() {
            self.on_message(now, self.me, message, outbox);
        }
        self.pay_hints(now, outbox);
        self.settle_pulls(now);
        self.drive_pulls(now, outbox);
        while let Some(job) = self.replica.store_mut().take_background_job(now.monotonic_ms, now.wall_ms) {
            outbox.push(Output::Disk(job));
        }
        self.drop_idle_hedges();
    }

    fn on_message(&mut self, now: Now, from: MemberId, message: Message, outbox: &mut Vec<Output>) {
        match message {
            Message::Apply(apply) => self.on_apply(now, from, apply, outbox),
            Message::Fetch(fetch) => self.on_fetch(now, from, fetch, outbox),
            Message::ScanAsk(ask) => self.on_scan_ask(from, &ask, outbox),
            Message::Forward(forward) => {
                let to = ReplyTo::Peer(from, forward.operation);
                self.on_request(now, to, forward.request, outbox);
            }
            Message::Applied(applied) => {
                self.paces.on_applied(from);
                self.on_applied(now, from, applied, outbox);
            }
            Message::Fetched(fetched) => self.on_fetched(now, from, &fetched, outbox),
            Message::ScanPage(page) => self.on_scan_page(now, from, page, outbox),
            Message::Forwarded(forwarded) => self.on_forwarded(now, from, *forwarded, outbox),
            Message::FenceAsk(ask) => self.on_fence_ask(from, &ask, outbox),
            Message::FencePromise(promise) => self.on_fence_promise(now, from, &promise),
            Message::ActorAsk(ask) => self.on_actor_ask(from, ask, outbox),
            Message::ActorDenial(denial) => self.on_actor_denial(now, from, denial),
            // A pull is never from this very peer.
            Message::Comparing(_) => {}
            Message::Gossip(said) => self.on_gossip(now, from, *said, outbox),
        }
    }

    /// Sends what a machine has asked for. To itself without a detour; to members whose link is down not at all.
    fn flush_effects(&mut self, outbox: &mut Vec<Output>) {
        for (to, message) in self.effects.sends.drain(..) {
            if to == self.me {
                self.local.push_back(message);
            } else if self.links.contains_key(&to) {
                match &message {
                    Message::Fetch(_) => self.paces.on_asked(to, self.now.monotonic_ms),
                    Message::Forward(forward) if matches!(forward.request, Request::Get(_)) => {
                        self.paces.on_asked(to, self.now.monotonic_ms);
                    }
                    // A repair is not acknowledged.
                    Message::Apply(apply) if apply.operation == OperationId(0) => {}
                    Message::Apply(_) | Message::Forward(_) => self.paces.on_told(to, self.now.monotonic_ms),
                    _ => {}
                }
                outbox.push(Output::Send { to, message, after: Position(0) });
            }
        }
    }

    /// Answers a coordinator, which may be this very peer, once the log is durable up to `after`.
    fn respond(&mut self, to: MemberId, message: Message, after: Position, outbox: &mut Vec<Output>) {
        if to != self.me {
            outbox.push(Output::Send { to, message, after });
        } else if after <= self.released() {
            self.local.push_back(message);
        } else {
            let at = self.own.partition_point(|own| own.0 <= after);
            self.own.insert(at, (after, message));
        }
    }

    fn is_live(&self, member: MemberId) -> bool {
        member == self.me || self.gossip.is_reachable(member)
    }

    /// The number that the next operation of this peer will have: that of a request, if it is the next input.
    pub fn upcoming_operation(&self) -> OperationId {
        OperationId(self.replica.store().start().base() | (u64::from(self.operation_count) + 1))
    }

    fn next_operation_id(&mut self) -> OperationId {
        // The count cannot come round within a start: that would take 4 billion operations a start, and it stops the process.
        self.operation_count = self.operation_count.checked_add(1).expect("a start has fewer than 2^32 operations");
        OperationId(self.replica.store().start().base() | u64::from(self.operation_count))
    }

    fn sync_mode(&self) -> SyncMode {
        self.replica.store().sync_mode()
    }

    fn refusal(&self, operation: OperationId, reason: String) -> Message {
        let sync = self.sync_mode();
        Message::Applied(Applied { operation, sync, uncovered: Vec::new(), refused: Some(reason), complete: false })
    }
}
