//! The world of one seed: one heap of events, and everything that they happen to.
//!
//! An event is taken, handled, and leads to others; nothing else makes the time go on. What peers say to each other passes through
//! `network`, what they promise is noted by the oracles at the moment in which it leaves them.

use crate::client::{Client, Stats};
use crate::dice::Dice;
use crate::history::{History, KeyId};
use crate::network::Network;
use crate::node::{Asked, Down, Held, Node, asks};
use crate::oracle::Violation;
use crate::oracle::dots::Dots;
use crate::plan::{NetworkPlan, Plan, Plant, ProcessPlan};
use crate::trace::{self, Trace};
use bytes::Bytes;
use henge::message::{Applied, Fetch, FetchMode, Message, OperationId, Position, Reply, Request, SyncMode};
use henge::peer::{Input, Origin, Output};
use henge::ring::{Change, MemberId, PartitionId, Placement};
use henge::storage::DiskJob;
use henge::vclock::{Dot, Entry, Seen, Start, pack, unpack};
use std::collections::BTreeMap;

/// A run that has more events than this is stuck in a circle.
const EVENTS_MAX: u64 = 3_000_000;
/// The operation under which oracles ask peers.
const AUDIT: OperationId = OperationId(u64::MAX);

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message arrives. `session` is that of the link; none for a duplicate from the past.
    Deliver { from: usize, start: Start, to: usize, session: Option<u64>, message: Box<Message> },
    /// Somebody dials.
    Dial { a: usize, b: usize },
    /// A peer notices that a link is gone.
    Hangup { node: usize, other: usize, session: u64 },
    /// A disk job is finished.
    Job { node: usize, incarnation: u64, job: u64 },
    /// A peer's timer.
    Wake { node: usize, incarnation: u64, at: u64 },
    /// A request arrives at the start of a peer to which it was sent.
    Ask { node: usize, incarnation: u64, origin: Origin, request: Box<Request> },
    /// An answer arrives at a client.
    Answer { origin: Origin, reply: Box<Reply> },
    /// A client notices that its connection is gone.
    Broken { origin: Origin },
    /// A client loses its patience.
    Patience { origin: Origin },
    /// A client turns to its next request.
    Next { client: usize },
    /// A client tries its request again.
    Again { origin: Origin },
    /// A fault.
    Fault(Fault),
    /// A peer goes down, if this is still the same start of it.
    Down { node: usize, incarnation: u64, how: Down },
    /// A peer is started.
    Start { node: usize },
    /// A cut is mended.
    Mend { directions: Vec<(usize, usize)> },
}

/// A kind of fault that comes again and again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// One peer goes down.
    Crash,
    /// All peers lose power.
    Blackout,
    /// A peer stands still.
    Pause,
    /// A wall clock jumps.
    Clock,
    /// Links are cut.
    Cut,
}

/// Everything.
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) time: u64,
    sequence: u64,
    heap: BTreeMap<(u64, u64), Event>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) network_dice: Dice,
    pub(crate) fault_dice: Dice,
    disk_dice: Vec<Dice>,
    pub(crate) trace: Trace,
    pub(crate) history: History,
    pub(crate) dots: Dots,
    dots_of_key: BTreeMap<KeyId, Seen>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) placement: Option<Placement>,
    pub(crate) clients: Vec<Client>,
    pub(crate) stats: Stats,
    /// Faults happen.
    pub(crate) is_chaotic: bool,
    /// Everything has been mended: from now on every request must be answered.
    pub(crate) is_settled: bool,
    /// A wall clock has jumped.
    pub(crate) clocks_jumped: bool,
    jobs: u64,
    outbox: Vec<Output>,
}

/// The name of a key in the store.
pub(crate) fn key_name(key: KeyId) -> Bytes {
    Bytes::from(format!("key{}", key.0))
}

/// The key of a name in the store.
pub(crate) fn key_of(name: &[u8]) -> Option<KeyId> {
    std::str::from_utf8(name.strip_prefix(b"key")?).ok()?.parse().ok().map(KeyId)
}

impl World {
    /// The world of a plan before anything has happened.
    pub fn new(plan: Plan, prints: bool) -> World {
        let seed = plan.seed;
        World {
            time: 0,
            sequence: 0,
            heap: BTreeMap::new(),
            nodes: (0..plan.peers).map(|index| Node::new(index, plan.zones)).collect(),
            network: Network::new(plan.peers),
            network_dice: Dice::of(seed, 1),
            fault_dice: Dice::of(seed, 2),
            disk_dice: (0..plan.peers as u64).map(|index| Dice::of(seed, 100 + index)).collect(),
            trace: Trace::new(prints),
            history: History::default(),
            dots: Dots::default(),
            dots_of_key: BTreeMap::new(),
            violations: Vec::new(),
            placement: None,
            clients: Vec::new(),
            stats: Stats::default(),
            is_chaotic: false,
            is_settled: false,
            clocks_jumped: false,
            jobs: 0,
            outbox: Vec::new(),
            plan,
        }
    }

    /// Lets something happen after a while (microseconds).
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.heap.insert((self.time + delay, self.sequence), event);
    }

    /// Handles events until one would come after `time`, or a promise is broken.
    pub(crate) fn run_to(&mut self, time: u64) {
        while self.violations.is_empty() && self.heap.first_key_value().is_some_and(|((at, _), _)| *at <= time) {
            self.take_event();
        }
        self.time = self.time.max(time);
    }

    /// Handles events until something holds. False if it does not within `limit` (microseconds), or a promise is broken.
    pub(crate) fn run_until(&mut self, limit: u64, holds: impl Fn(&World) -> bool) -> bool {
        let end = self.time + limit;
        while self.violations.is_empty() {
            if holds(self) {
                return true;
            }
            if self.heap.first_key_value().is_none_or(|((at, _), _)| *at > end) {
                return false;
            }
            self.take_event();
        }
        false
    }

    fn take_event(&mut self) {
        let Some(((at, _), event)) = self.heap.pop_first() else { return };
        self.time = at;
        if self.trace.events() > EVENTS_MAX {
            let what = format!("{EVENTS_MAX} events, and no end: something goes round in a circle; now {event:?}");
            self.violations.push(Violation::new("i", what));
            return;
        }
        self.handle(event);
    }

    fn handle(&mut self, event: Event) {
        if let Some(node) = event.node()
            && self.nodes[node].paused_until > self.time
        {
            let rest = self.nodes[node].paused_until - self.time;
            return self.after(rest, event);
        }
        match event {
            Event::Deliver { from, start, to, session, message } => self.on_deliver((from, start), to, session, *message),
            Event::Dial { a, b } => self.on_dial(a, b),
            Event::Hangup { node, other, session } => self.on_hangup(node, other, session),
            Event::Job { node, incarnation, job } => self.on_job(node, incarnation, job),
            Event::Wake { node, incarnation, at } => {
                let peer = &mut self.nodes[node];
                if peer.incarnation == incarnation && peer.peer.is_some() && peer.wake_at == Some(at) {
                    peer.wake_at = None;
                    self.trace.event(self.time, format_args!("wake {node}"), || format!("{} wakes", peer.name));
                    self.step(node, Input::Wake);
                }
            }
            Event::Ask { node, incarnation, origin, request } => self.on_ask(node, incarnation, origin, *request),
            Event::Answer { origin, reply } => self.on_answer(origin, *reply),
            Event::Broken { origin } => self.on_broken(origin),
            Event::Patience { origin } => self.on_patience(origin),
            Event::Next { client } => self.on_next(client),
            Event::Again { origin } => self.on_again(origin),
            Event::Fault(fault) => self.on_fault(fault),
            Event::Down { node, incarnation, how } => {
                if self.nodes[node].incarnation == incarnation && self.is_chaotic {
                    self.go_down(node, how);
                }
            }
            Event::Start { node } => self.start_node(node),
            Event::Mend { directions } => {
                self.trace.event(self.time, format_args!("mend {directions:?}"), || format!("mended: {directions:?}"));
                directions.into_iter().for_each(|(from, to)| self.network.set_cut(from, to, false));
            }
        }
    }

    // Peers.

    /// Hands an input to a peer that is up, and does what it wants done.
    pub(crate) fn step(&mut self, n: usize, input: Input) {
        let node = &mut self.nodes[n];
        let now = node.now(self.time);
        let Some(peer) = node.peer.as_mut() else { return };
        if node.stopping && !matches!(input, Input::Disk(_) | Input::Wake) {
            return;
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        peer.step(now, input, &mut outbox);
        outbox.drain(..).for_each(|output| self.route(n, output));
        self.outbox = outbox;
        self.settle(n);
    }

    fn route(&mut self, n: usize, output: Output) {
        match output {
            Output::Send { after, .. } | Output::Reply { after, .. } => self.nodes[n].held.push(Held { after, output }),
            Output::Disk(job) => self.start_job(n, job),
            Output::Members => self.dial_all(n),
            Output::Halt { reason } => {
                self.violations.push(Violation::new("halt", format!("{} stops: {reason}", self.nodes[n].name)));
            }
        }
    }

    /// Starts the next log write, lets go what may leave, sets the timer.
    fn settle(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        let now = node.now(self.time);
        let Some(peer) = node.peer.as_mut() else { return };
        if let Some(job) = peer.take_log_write(now) {
            self.start_job(n, job);
        }
        let node = &mut self.nodes[n];
        let Some(peer) = node.peer.as_ref() else { return };
        let released = if self.plan.plant == Plant::EarlyRelease { Position(u64::MAX) } else { peer.released() };
        let (leave, stay) = std::mem::take(&mut node.held).into_iter().partition(|held| held.after <= released);
        node.held = stay;
        let is_finished = node.stopping && peer.is_drained() && node.jobs.is_empty();
        if let Some(wake_ms) = peer.next_wake() {
            let at = (wake_ms * 1_000).max(self.time + 1);
            if node.wake_at.is_none_or(|earlier| at < earlier) {
                node.wake_at = Some(at);
                let incarnation = node.incarnation;
                self.after(at - self.time, Event::Wake { node: n, incarnation, at });
            }
        }
        let leave: Vec<Held> = leave;
        leave.into_iter().for_each(|held| self.leave(n, held.output));
        if is_finished {
            self.go_down(n, Down::Clean);
        }
    }

    /// An output leaves its peer: from here on it is a promise.
    fn leave(&mut self, n: usize, output: Output) {
        match output {
            Output::Send { to, message, .. } => {
                self.note_promise(n, to, &message);
                self.send(n, to, message);
            }
            Output::Reply { to, reply, .. } => {
                self.note_receipt(n, to, &reply);
                self.trace.event(self.time, format_args!("reply {n} {to:?} {reply:?}"), || {
                    format!("{} ⇒ client {}.{}: {}", self.nodes[n].name, to.client, to.request, trace::reply(&reply))
                });
                let delay = self.plan.network.delay(&mut self.network_dice);
                self.after(delay, Event::Answer { origin: to, reply: Box::new(reply) });
            }
            Output::Disk(_) | Output::Members | Output::Halt { .. } => unreachable!("only what names a position is held"),
        }
        if self.is_chaotic && self.fault_dice.chance(self.plan.process.crash_at_send) {
            let incarnation = self.nodes[n].incarnation;
            let delay = self.fault_dice.below(200);
            self.after(delay, Event::Down { node: n, incarnation, how: Down::PowerCut });
        }
    }

    fn note_promise(&mut self, n: usize, to: MemberId, message: &Message) {
        match message {
            Message::Apply(apply) => {
                if let (Ok(entry), Some(key)) = (unpack(&apply.entry), key_of(&apply.key)) {
                    self.note_versions(key, &entry);
                }
            }
            Message::Applied(applied) if applied.refused.is_none() => {
                if let Some(Asked::Apply(key, entry)) = self.nodes[n].asked.remove(&(to, applied.operation)) {
                    self.nodes[n].shadow.on_applied(&key, &entry);
                }
            }
            Message::Fetched(fetched) => {
                let node = &mut self.nodes[n];
                if let (Some(Asked::Fetch(name)), Ok(entry)) = (node.asked.remove(&(to, fetched.operation)), unpack(&fetched.entry))
                {
                    let known = key_of(&name).and_then(|key| self.dots_of_key.get(&key));
                    node.shadow.on_told(&name, entry.dots());
                    node.shadow.on_gone(
                        &name,
                        known.into_iter().flat_map(dots_in).filter(|dot| entry.has_seen(*dot) && !entry.is_live(*dot)),
                    );
                    if let (FetchMode::Full, Some(key)) = (fetched.mode, key_of(&name)) {
                        self.note_versions(key, &entry);
                    }
                }
            }
            _ => {}
        }
    }

    fn note_receipt(&mut self, n: usize, to: Origin, reply: &Reply) {
        let Reply::Written(receipt) = reply else { return };
        let member = self.nodes[n].member;
        if let Some(key) = self.key_of_request(to)
            && receipt.acks.iter().any(|ack| ack.member == member)
        {
            self.nodes[n].shadow.on_told(&key_name(key), receipt.dots.iter().copied());
        }
    }

    /// Oracle a″ and the phantoms of b, for every version in any message.
    pub(crate) fn note_versions(&mut self, key: KeyId, entry: &Entry) {
        let partition = self.partition(key);
        for version in entry.versions() {
            self.dots_of_key.entry(key).or_default().insert(version.dot);
            if let Err(violation) = self.dots.note_version(&self.history, partition.0, key, version) {
                self.violations.push(violation);
            }
        }
    }

    pub(crate) fn partition(&self, key: KeyId) -> PartitionId {
        self.placement.as_ref().map_or(PartitionId(0), |placement| placement.partition(&key_name(key)))
    }

    /// The peers that own a key, in the order of preference.
    pub(crate) fn owners(&self, key: KeyId) -> Vec<usize> {
        let Some(placement) = &self.placement else { return Vec::new() };
        let members = placement.owners(placement.partition(&key_name(key))).iter().map(|owner| placement.member(*owner).member);
        members.filter_map(|member| self.index_of(member)).collect()
    }

    pub(crate) fn index_of(&self, member: MemberId) -> Option<usize> {
        self.nodes.iter().position(|node| node.member == member)
    }

    fn start_job(&mut self, n: usize, job: DiskJob) {
        self.jobs += 1;
        let number = self.jobs;
        let latency = self.plan.disk.latency(&mut self.disk_dice[n]);
        self.nodes[n].jobs.insert(number, job);
        let incarnation = self.nodes[n].incarnation;
        self.after(latency, Event::Job { node: n, incarnation, job: number });
    }

    fn on_job(&mut self, n: usize, incarnation: u64, number: u64) {
        if self.nodes[n].incarnation != incarnation {
            return;
        }
        let Some(job) = self.nodes[n].jobs.remove(&number) else { return };
        let name = &self.nodes[n].name;
        match &job {
            DiskJob::Write(write) => {
                let (last, sync, bytes) = (write.last.0, write.sync, write.bytes.len());
                self.trace.event(self.time, format_args!("write {n} {last} {bytes} {sync}"), || {
                    format!("{name} disk: {bytes} bytes up to {last}{}", if sync { ", synced" } else { "" })
                });
            }
            other => {
                self.trace.event(self.time, format_args!("job {n} {other:?}"), || {
                    format!("{name} disk: {}", format!("{other:?}").chars().take(90).collect::<String>())
                });
            }
        }
        let done = self.nodes[n].execute(job);
        self.step(n, Input::Disk(done));
    }

    /// What a peer would answer if it were asked for a key at this moment: its entry with the context filled. None if it is down, or
    /// is no owner, or is waiting for its disk.
    pub(crate) fn ask(&mut self, n: usize, key: &Bytes, mode: FetchMode) -> Option<Entry> {
        let Node { member: from, start, .. } = self.nodes[(n + 1) % self.nodes.len()];
        let now = self.nodes[n].now(self.time);
        let fetch = Message::Fetch(Fetch { operation: AUDIT, key: key.clone(), mode });
        let mut inputs = vec![Input::Message { from, start, message: fetch }];
        let mut answer = None;
        while let Some(input) = inputs.pop() {
            let mut outbox = Vec::new();
            self.nodes[n].peer.as_mut()?.step(now, input, &mut outbox);
            for output in outbox {
                match output {
                    Output::Send { message: Message::Fetched(fetched), .. } if fetched.operation == AUDIT => {
                        answer = Some(unpack(&fetched.entry).unwrap_or_default());
                    }
                    Output::Disk(DiskJob::Read(read)) => {
                        let done = self.nodes[n].execute(DiskJob::Read(read));
                        inputs.push(Input::Disk(done));
                    }
                    other => self.route(n, other),
                }
            }
        }
        answer
    }

    // Going down and coming up.

    pub(crate) fn go_down(&mut self, n: usize, how: Down) {
        if self.nodes[n].peer.is_none() {
            return;
        }
        self.trace.event(self.time, format_args!("down {n} {how:?}"), || format!("{} goes down: {how:?}", self.nodes[n].name));
        *self.stats.faults.entry(format!("{how:?}")).or_default() += 1;
        let mut shadow = std::mem::take(&mut self.nodes[n].shadow);
        shadow.before_crash(|key| self.ask(n, key, FetchMode::Dots));
        self.nodes[n].shadow = shadow;
        self.nodes[n].go_down(how, &mut self.fault_dice);
        self.break_connections(n);
        for other in (0..self.nodes.len()).filter(|other| *other != n) {
            self.network.set_belief(n, other, false);
            self.break_link(n, other, 2_000_000);
        }
        if self.plan.plant == Plant::OldIdentity {
            self.nodes[n].forget_starts();
        }
        let away = match self.is_chaotic {
            true => self.fault_dice.spread(20_000, 2_000_000),
            false => 1_000,
        };
        self.after(away, Event::Start { node: n });
    }

    /// Starts a peer; its recovery may be cut short by the next crash, twice.
    pub(crate) fn start_node(&mut self, n: usize) {
        if self.nodes[n].peer.is_some() {
            return;
        }
        let cuts = if self.is_chaotic && self.fault_dice.chance(self.plan.process.crash_in_recovery) {
            self.fault_dice.between(1, 2)
        } else {
            0
        };
        for _ in 0..cuts {
            let call = self.fault_dice.below(40);
            match self.nodes[n].start(self.time, self.plan.sync, Some(call), &mut self.fault_dice) {
                Ok(false) => *self.stats.faults.entry("crash in recovery".into()).or_default() += 1,
                Ok(true) => break,
                Err(reason) => return self.cannot_start(n, reason),
            }
        }
        if self.nodes[n].peer.is_none() {
            match self.nodes[n].start(self.time, self.plan.sync, None, &mut self.fault_dice) {
                Ok(is_up) => assert!(is_up, "nothing was to go wrong"),
                Err(reason) => return self.cannot_start(n, reason),
            }
        }
        let node = &self.nodes[n];
        self.trace.event(self.time, format_args!("start {n} {:?}", node.start), || {
            format!("{} comes up, start {}", node.name, node.start.0)
        });
        if self.plan.plant == Plant::LyingSync {
            node.make_disk_lie();
        }
        if self.plan.plant == Plant::OldIdentity && node.incarnation == 1 {
            self.nodes[n].forget_starts();
        }
        let shadow = std::mem::take(&mut self.nodes[n].shadow);
        if self.plan.sync == SyncMode::Always {
            let name = self.nodes[n].name.clone();
            let broken = shadow.after_recovery(|key| self.ask(n, key, FetchMode::Dots).unwrap_or_default());
            self.violations.extend(broken.into_iter().map(|mut violation| {
                violation.what = format!("{name}: {}", violation.what);
                violation
            }));
        }
        self.nodes[n].shadow = shadow;
        self.dial_all(n);
        self.settle(n);
    }

    fn cannot_start(&mut self, n: usize, reason: String) {
        self.violations.push(Violation::new("a′", format!("{} cannot start: {reason}", self.nodes[n].name)));
    }

    // Links.

    fn dial_all(&mut self, n: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != n) {
            let delay = 200 + self.network_dice.below(5_000);
            self.dial_after(delay, n, other);
        }
    }

    fn dial_after(&mut self, delay: u64, a: usize, b: usize) {
        let link = self.network.link_mut(a, b);
        if !link.is_up && !link.is_dialing {
            link.is_dialing = true;
            self.after(delay, Event::Dial { a: a.min(b), b: a.max(b) });
        }
    }

    fn on_dial(&mut self, a: usize, b: usize) {
        self.network.link_mut(a, b).is_dialing = false;
        let (Some(left), Some(right)) = (&self.nodes[a].peer, &self.nodes[b].peer) else { return };
        let is_stopping = self.nodes[a].stopping || self.nodes[b].stopping;
        let is_paused = self.nodes[a].paused_until > self.time || self.nodes[b].paused_until > self.time;
        let is_cut = self.network.is_cut(a, b) || self.network.is_cut(b, a);
        let are_members = !left.founders().is_empty() && !right.founders().is_empty();
        if is_stopping || is_paused || is_cut || !are_members {
            let delay = 50_000 + self.network_dice.below(100_000);
            return self.dial_after(delay, a, b);
        }
        let (mine, theirs) = (left.introduction(), right.introduction());
        let refusal = left.check_introduction(&theirs).and_then(|()| right.check_introduction(&mine));
        if let Err(reason) = refusal {
            self.violations.push(Violation::new("i", format!("a link is refused: {reason}")));
            return;
        }
        self.trace
            .event(self.time, format_args!("link {a} {b}"), || format!("{} ↔ {} linked", self.nodes[a].name, self.nodes[b].name));
        for (side, other) in [(a, b), (b, a)] {
            if self.network.believes(side, other) {
                self.network.set_belief(side, other, false);
                let member = self.nodes[other].member;
                self.step(side, Input::LinkDown { member });
            }
        }
        let link = self.network.link_mut(a, b);
        link.session += 1;
        link.is_up = true;
        link.believes = [true, true];
        for (side, other) in [(a, b), (b, a)] {
            let Node { member, actor, start, .. } = self.nodes[other];
            self.step(side, Input::LinkUp { member, actor, start });
        }
    }

    /// A link is gone; each side that believes in it notices within `limit` (microseconds).
    pub(crate) fn break_link(&mut self, a: usize, b: usize, limit: u64) {
        let link = self.network.link_mut(a, b);
        link.is_up = false;
        let session = link.session;
        for (node, other) in [(a, b), (b, a)] {
            if self.network.believes(node, other) {
                let delay = self.network_dice.spread(100, limit);
                self.after(delay, Event::Hangup { node, other, session });
            }
        }
        let delay = self.network_dice.spread(5_000, 500_000);
        self.dial_after(delay, a, b);
    }

    fn on_hangup(&mut self, n: usize, other: usize, session: u64) {
        if self.network.link(n, other).session != session || !self.network.believes(n, other) {
            return;
        }
        self.network.set_belief(n, other, false);
        let names = (&self.nodes[n].name, &self.nodes[other].name);
        self.trace.event(self.time, format_args!("hangup {n} {other}"), || {
            format!("{} notices that its link to {} is gone", names.0, names.1)
        });
        let member = self.nodes[other].member;
        self.step(n, Input::LinkDown { member });
    }

    fn send(&mut self, from: usize, to: MemberId, message: Message) {
        let Some(to) = self.index_of(to) else {
            self.violations.push(Violation::new("i", format!("{} sends to {to:?}, which is nobody", self.nodes[from].name)));
            return;
        };
        let start = self.nodes[from].start;
        let network: &NetworkPlan = &self.plan.network;
        let dice = &mut self.network_dice;
        // A forwarded request is as good as the request itself: twice would be two writes.
        let may_repeat = !matches!(message, Message::Forward(_));
        let delay = network.delay(dice);
        let is_lost = dice.chance(network.loss);
        let duplicate = (dice.chance(network.duplicates) && may_repeat).then(|| network.delay(dice));
        let late = (dice.chance(network.late_duplicates) && may_repeat).then(|| dice.spread(100_000, 20_000_000));
        let goes =
            self.network.believes(from, to) && self.network.link(from, to).is_up && !self.network.is_cut(from, to) && !is_lost;
        let fate = if goes { "" } else { " (lost)" };
        self.trace.event(self.time, format_args!("send {from} {to} {goes} {message:?}"), || {
            format!("{} → {}: {}{fate}", self.nodes[from].name, self.nodes[to].name, trace::message(&message))
        });
        if let Some(late) = late {
            *self.stats.faults.entry("late duplicate".into()).or_default() += 1;
            self.after(late, Event::Deliver { from, start, to, session: None, message: Box::new(message.clone()) });
        }
        if !goes {
            *self.stats.faults.entry("lost message".into()).or_default() += 1;
            return;
        }
        let session = Some(self.network.link(from, to).session);
        if self.plan.plant == Plant::FalseAck
            && let Message::Apply(apply) = &message
            && self.network_dice.chance(0.05)
        {
            let sync = self.plan.sync;
            let ack = Message::Applied(Applied {
                operation: apply.operation,
                sync,
                uncovered: Vec::new(),
                refused: None,
                complete: true,
            });
            return self.after(
                2 * delay,
                Event::Deliver { from: to, start: self.nodes[to].start, to: from, session, message: Box::new(ack) },
            );
        }
        if let Some(duplicate) = duplicate {
            *self.stats.faults.entry("duplicate".into()).or_default() += 1;
            self.after(duplicate, Event::Deliver { from, start, to, session, message: Box::new(message.clone()) });
        }
        self.after(delay, Event::Deliver { from, start, to, session, message: Box::new(message) });
    }

    fn on_deliver(&mut self, (from, start): (usize, Start), to: usize, session: Option<u64>, mut message: Message) {
        let is_current = session.is_none_or(|session| {
            let link = self.network.link(from, to);
            link.session == session && link.is_up && self.network.believes(to, from)
        });
        if !is_current || self.nodes[to].peer.is_none() || self.nodes[to].stopping {
            return;
        }
        if self.plan.plant == Plant::LostContext
            && let Message::Apply(apply) = &mut message
            && let Ok(entry) = unpack(&apply.entry)
        {
            apply.entry = pack(&Entry::new(entry.into_parts().0, Seen::new()));
        }
        let names = (&self.nodes[from].name, &self.nodes[to].name);
        self.trace.event(self.time, format_args!("deliver {from} {to} {session:?}"), || {
            let late = if session.is_none() { " (long ago)" } else { "" };
            format!("{} ⇢ {}{late}: {}", names.0, names.1, trace::message(&message))
        });
        let member = self.nodes[from].member;
        if let Some((operation, asked)) = asks(&message) {
            self.nodes[to].asked.insert((member, operation), asked);
        }
        self.step(to, Input::Message { from: member, start, message });
    }

    fn on_ask(&mut self, n: usize, incarnation: u64, origin: Origin, request: Request) {
        let node = &self.nodes[n];
        if node.incarnation != incarnation || node.peer.is_none() || node.stopping {
            let delay = self.plan.network.delay(&mut self.network_dice);
            return self.after(delay, Event::Broken { origin });
        }
        self.trace.event(self.time, format_args!("ask {n} {origin:?} {request:?}"), || {
            format!("client {}.{} ⇒ {}: {}", origin.client, origin.request, node.name, trace::request(&request))
        });
        self.step(n, Input::Request { from: origin, request });
    }

    // Faults.

    /// From now on faults happen.
    pub(crate) fn start_faults(&mut self) {
        self.is_chaotic = true;
        for fault in [Fault::Crash, Fault::Blackout, Fault::Pause, Fault::Clock, Fault::Cut] {
            self.schedule(fault);
        }
    }

    /// Nothing goes wrong any more, and what is wrong is mended.
    pub(crate) fn stop_faults(&mut self) {
        self.is_chaotic = false;
        self.plan.network = self.plan.network.calm();
        self.plan.process = ProcessPlan::calm();
        self.plan.disk.tail = 0.0;
        self.network.mend();
        for n in 0..self.nodes.len() {
            self.nodes[n].paused_until = self.nodes[n].paused_until.min(self.time);
            self.after(0, Event::Start { node: n });
        }
        for (a, b) in self.network.pairs() {
            if !self.network.link(a, b).is_up {
                self.dial_after(1_000, a, b);
            }
        }
    }

    fn schedule(&mut self, fault: Fault) {
        let plan = &self.plan.process;
        let interval = match fault {
            Fault::Crash => plan.crash_interval,
            Fault::Blackout => plan.blackout_interval,
            Fault::Pause => plan.pause_interval,
            Fault::Clock => plan.clock_interval,
            Fault::Cut => self.plan.network.cut_interval,
        };
        if let Some(interval) = interval {
            let delay = (-(1.0 - self.fault_dice.unit()).ln() * interval as f64) as u64;
            self.after(delay, Event::Fault(fault));
        }
    }

    fn on_fault(&mut self, fault: Fault) {
        if !self.is_chaotic {
            return;
        }
        self.schedule(fault);
        let n = self.fault_dice.below(self.nodes.len() as u64) as usize;
        if !matches!(fault, Fault::Crash) {
            *self.stats.faults.entry(format!("{fault:?}")).or_default() += 1;
        }
        match fault {
            Fault::Crash => self.crash(n),
            Fault::Blackout => (0..self.nodes.len()).for_each(|n| self.go_down(n, Down::PowerCut)),
            Fault::Pause => {
                let length = self.fault_dice.spread(10_000, 3_000_000);
                self.nodes[n].paused_until = self.time + length;
                self.trace.event(self.time, format_args!("pause {n} {length}"), || {
                    format!("{} stands still for {} ms", self.nodes[n].name, length / 1_000)
                });
            }
            Fault::Clock => {
                let years = 365 * 24 * 3_600 * 1_000;
                let by = *self.fault_dice.pick(&[0, 1_000, -1_000, 120_000, -120_000, years, -years]);
                self.nodes[n].clock_off_ms = by;
                self.clocks_jumped = true;
                self.trace.event(self.time, format_args!("clock {n} {by}"), || {
                    format!("{}'s wall clock is off by {by} ms", self.nodes[n].name)
                });
            }
            Fault::Cut => self.cut(),
        }
    }

    fn crash(&mut self, n: usize) {
        let process = &self.plan.process;
        if self.fault_dice.chance(process.clean_stops) {
            let node = &mut self.nodes[n];
            if let Some(peer) = node.peer.as_mut()
                && !node.stopping
            {
                node.stopping = true;
                peer.stop();
                self.trace.event(self.time, format_args!("stop {n}"), || format!("{} is asked to stop", node.name));
                self.settle(n);
            }
        } else {
            let how = if self.fault_dice.chance(process.kills) { Down::Kill } else { Down::PowerCut };
            self.go_down(n, how);
        }
    }

    fn cut(&mut self) {
        let directions = self.network.draw_cut(self.plan.network.one_way, &mut self.fault_dice);
        let length = self.fault_dice.spread(20_000, 3_000_000);
        self.trace.event(self.time, format_args!("cut {directions:?} {length}"), || {
            format!("cut for {} ms: {directions:?}", length / 1_000)
        });
        let is_noticed = self.fault_dice.chance(0.7);
        for (from, to) in &directions {
            self.network.set_cut(*from, *to, true);
            if is_noticed && self.network.link(*from, *to).is_up {
                self.break_link(*from, *to, 1_000_000);
            }
        }
        self.after(length, Event::Mend { directions });
    }

    // What phases wait for.

    /// True if all peers are up and linked.
    pub(crate) fn is_whole(&self) -> bool {
        let is_up = |node: &Node| node.peer.is_some() && !node.stopping && node.paused_until <= self.time;
        self.nodes.iter().all(is_up) && self.network.pairs().iter().all(|(a, b)| self.network.link(*a, *b).is_up)
    }

    /// True if no message from the past is under way any more.
    pub(crate) fn is_quiet(&self) -> bool {
        !self
            .heap
            .values()
            .any(|event| matches!(event, Event::Deliver { .. } | Event::Job { .. } | Event::Ask { .. } | Event::Answer { .. }))
    }

    /// Change 0, from the peers' own descriptions.
    pub(crate) fn change(&self) -> Change {
        let founder = |node: &Node| henge::ring::Founder {
            member: node.member,
            name: node.name.clone(),
            address: node.address(),
            zone: node.zone().to_string(),
            weight: 1,
        };
        let mut dice = Dice::of(self.plan.seed, 3);
        Change::Formed {
            cluster: henge::ring::ClusterId((u128::from(dice.number()) << 64) | u128::from(dice.number())),
            secret: (u128::from(dice.number()) << 64 | u128::from(dice.number())).to_le_bytes(),
            partitions: self.plan.partitions,
            replicas: self.plan.replicas,
            placement_rule: 1,
            founders: self.nodes.iter().map(founder).collect(),
        }
    }
}

fn dots_in(seen: &Seen) -> impl Iterator<Item = Dot> {
    seen.runs().flat_map(|(actor, intervals)| {
        intervals.iter().flat_map(move |run| (run.first..=run.last).map(move |counter| Dot { actor, counter }))
    })
}

impl Event {
    /// Whom it happens to, if that is a process, which may stand still.
    fn node(&self) -> Option<usize> {
        match self {
            Event::Deliver { to, .. } => Some(*to),
            Event::Hangup { node, .. } | Event::Job { node, .. } | Event::Wake { node, .. } | Event::Ask { node, .. } => {
                Some(*node)
            }
            _ => None,
        }
    }
}
