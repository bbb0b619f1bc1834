//! The world of one seed: one heap of events, and everything that they happen to.
//!
//! An event is taken, handled, and leads to others; nothing else makes the time go on. The rooms: `process` is a peer as its driver sees
//! it, `links` and `delivery` are the network between them, `faults` is what goes wrong, `notes` is what the oracles are told at the
//! moment in which it leaves a peer.

mod ambush;
mod convergence;
mod delivery;
mod disasters;
mod disk_faults;
mod expired;
mod faults;
mod forming;
mod frames;
mod gate;
mod links;
mod notes;
mod process;
mod streams;

pub use faults::Fault;
pub(crate) use gate::Passage;
use streams::{LinkDice, Stream};

use crate::client::{Client, Stats};
use crate::conversation::About;
use crate::dice::Dice;
use crate::history::{History, KeyId};
use crate::network::Network;
use crate::node::{Down, Node};
use crate::oracle::Violation;
use crate::oracle::dots::Dots;
use crate::plan::{Disaster, Plan};
use crate::schedule::{Name, Schedule, Selection, Strike};
use crate::tally::Tallies;
use crate::trace::Trace;
use bytes::Bytes;
use henge::peer::{Input, Origin, Output};
use henge::ring::{Change, MemberId, PartitionId, Placement};
use henge::vclock::{Seen, Start};
use std::collections::BTreeMap;

/// A run that has more events than this is stuck in a circle.
const EVENTS_MAX: u64 = 3_000_000;

/// With more peers than this it is not looked behind every event whether what is waited for holds.
pub(crate) const FEW_PEERS: usize = 8;

/// A client hangs up when a peer has stood still for so long (microseconds).
const HANG_UP: u64 = 60_000_000;

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message arrives, as the bytes of its frame. `session` is that of the link; none for a duplicate from the past.
    Deliver { from: usize, start: Start, to: usize, session: Option<u64>, frame: Bytes },
    /// Somebody dials.
    Dial { a: usize, b: usize },
    /// A peer notices that a link is gone.
    Hangup { node: usize, other: usize, session: u64 },
    /// A disk job is finished.
    Job { node: usize, incarnation: u64, job: u64 },
    /// A peer's timer.
    Wake { node: usize, incarnation: u64, at: u64 },
    /// A request arrives at the start of a peer to which it was sent.
    Ask { node: usize, incarnation: u64, origin: Origin, frame: Bytes },
    /// An answer arrives at a client.
    Answer { origin: Origin, frame: Bytes },
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
    /// Change 0 is handed to a peer, if it has not acknowledged it.
    Form { node: usize },
    /// A peer's process has ended by itself.
    Halted { node: usize, incarnation: u64 },
    /// A disk is full for a while, and another one some time later.
    FillDisk,
    /// A disk has room again.
    Room { node: usize },
    /// A cut is mended.
    Mend { directions: Vec<(usize, usize)> },
    /// A peer learns that it runs from an old copy of its folder.
    Refused { node: usize, incarnation: u64, reason: String },
    /// The disk of a peer is hurt.
    Disaster { node: usize, kind: Disaster, strike: Box<Strike> },
    /// The disk of some time ago is put back under a peer.
    OldDisk { node: usize, name: Name },
    /// A cut that flaps comes once more.
    CutAgain { directions: Vec<(usize, usize)>, length: u64, again: u64, dice: Box<Dice> },
}

/// Everything.
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) time: u64,
    sequence: u64,
    heap: BTreeMap<(u64, u64), Event>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) network_dice: LinkDice,
    disk_dice: Vec<Dice>,
    plant_dice: Dice,
    pub(crate) schedule: Schedule,
    pub(crate) trace: Trace,
    pub(crate) history: History,
    pub(crate) tallies: Tallies,
    pub(crate) dots: Dots,
    dots_of_key: BTreeMap<KeyId, Seen>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) placement: Option<Placement>,
    pub(crate) clients: Vec<Client>,
    pub(crate) stats: Stats,
    /// Change 0.
    change: Option<Change>,
    /// Faults happen.
    pub(crate) is_chaotic: bool,
    /// Everything has been mended: from now on every request must be answered.
    pub(crate) is_settled: bool,
    /// Until then clients hardly ask for anything, and nothing else goes wrong: somebody stands still for minutes.
    pub(crate) idle_until: u64,
    /// A request may wait for long before it is begun: peers stand still, or their clocks run slowly.
    pub(crate) requests_may_wait: bool,
    /// When a record was last being fetched from others that a disk had damaged.
    pub(crate) healed_at: u64,
    /// How many disks have been lost, hurt, or put back from an earlier time.
    pub(crate) disks_lost: u64,
    /// The next disaster waits for somebody who learns from another one.
    strike: Option<(Disaster, Box<Strike>)>,
    /// A coordinator has lost power behind an acknowledgement: a stand-in may have the only copy, and is about to hand it over.
    is_payment_awaited: bool,
    /// A disk was put back from an earlier time.
    pub(crate) old_disk_back: bool,
    /// A clock was wrong at some time.
    pub(crate) clocks_jumped: bool,
    /// The latest that any wall clock has said (milliseconds since 1970).
    latest_wall_ms: u64,
    /// For stories alone.
    gate: Option<gate::Gate>,
    pub(crate) kept_back: Vec<gate::KeptBack>,
    jobs: u64,
    /// The last of them that was begun while faults happened.
    slow_jobs: u64,
    outbox: Vec<Output>,
}

/// The name of a key in the store.
pub(crate) fn key_name(key: KeyId) -> Bytes {
    match crate::tally::is_tally(key) {
        true => Bytes::from(format!("tally{}", key.0)),
        false => Bytes::from(format!("key{}", key.0)),
    }
}

/// The key of a name in the store.
pub(crate) fn key_of(name: &[u8]) -> Option<KeyId> {
    std::str::from_utf8(name.strip_prefix(b"key")?).ok()?.parse().ok().map(KeyId)
}

impl World {
    /// The world of a plan before anything has happened.
    pub fn new(plan: Plan, prints: bool) -> World {
        World::of(plan, Selection::default(), Trace::new(prints))
    }

    /// The same, if only some of what would go wrong does.
    pub fn of(plan: Plan, selection: Selection, trace: Trace) -> World {
        let seed = plan.seed;
        World {
            time: 0,
            sequence: 0,
            heap: BTreeMap::new(),
            nodes: (0..plan.peers).map(|index| Node::new(index, plan.zones, plan.tuning)).collect(),
            network: Network::new(plan.peers),
            network_dice: LinkDice::new(seed, plan.peers),
            disk_dice: (0..plan.peers as u64).map(|index| Dice::of(seed, 100 + index)).collect(),
            plant_dice: Dice::of(seed, 1),
            schedule: Schedule::new(seed, selection),
            trace,
            history: History::default(),
            tallies: Tallies::default(),
            dots: Dots::default(),
            dots_of_key: BTreeMap::new(),
            violations: Vec::new(),
            placement: None,
            clients: Vec::new(),
            stats: Stats::default(),
            change: None,
            is_chaotic: false,
            is_settled: false,
            idle_until: 0,
            requests_may_wait: {
                let process = &plan.process;
                process.pause_interval.or(process.clock_interval).or(process.long_pause).is_some()
            },
            healed_at: 0,
            disks_lost: 0,
            strike: None,
            is_payment_awaited: false,
            old_disk_back: false,
            clocks_jumped: false,
            latest_wall_ms: 0,
            gate: None,
            kept_back: Vec::new(),
            jobs: 0,
            slow_jobs: 0,
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
        let mut next_look = 0;
        while self.violations.is_empty() {
            if self.time >= next_look && holds(self) {
                return true;
            }
            // To look at many peers behind every event would take longer than all else.
            if self.nodes.len() > FEW_PEERS && self.time >= next_look {
                next_look = self.time + 1_000;
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
        let events_max = EVENTS_MAX * (1 + self.plan.peers as u64 / 8).pow(2);
        if self.trace.events() > events_max {
            let what = format!("{events_max} events, and no end: something goes round in a circle; now {event:?}");
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
            return match event {
                // Its client has long hung up, and what is left in the socket is not read any more.
                Event::Ask { origin, .. } if rest > HANG_UP => self.after(HANG_UP, Event::Broken { origin }),
                event => self.after(rest, event),
            };
        }
        match event {
            Event::Deliver { from, start, to, session, frame } => self.on_deliver((from, start), to, session, frame),
            Event::Dial { a, b } => self.on_dial(a, b),
            Event::Hangup { node, other, session } => self.on_hangup(node, other, session),
            Event::Job { node, incarnation, job } => self.on_job(node, incarnation, job),
            Event::Wake { node, incarnation, at } => {
                let peer = &mut self.nodes[node];
                if peer.incarnation == incarnation && peer.peer.is_some() && peer.wake_at == Some(at) {
                    peer.wake_at = None;
                    self.trace
                        .event_about(&About::Routine, self.time, format_args!("wake {node}"), || format!("{} wakes", peer.name));
                    self.step(node, Input::Wake);
                    self.check_wakes(node);
                }
            }
            Event::Ask { node, incarnation, origin, frame } => self.on_ask(node, incarnation, origin, frame),
            Event::Answer { origin, frame } => self.on_reply_frame(origin, frame),
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
            Event::Halted { node, incarnation } => self.on_halted(node, incarnation),
            Event::FillDisk => self.fill_disk(),
            Event::Room { node } => self.make_room(node),
            Event::Form { node } => self.on_form(node),
            Event::Refused { node, incarnation, reason } => {
                if self.nodes[node].incarnation == incarnation {
                    self.on_refused_as_old(node, &reason);
                }
            }
            Event::Disaster { node, kind, strike } => self.on_disaster_at(node, kind, strike),
            Event::OldDisk { node, name } => self.on_old_disk(node, name),
            Event::CutAgain { directions, length, again, dice } => self.cut_these(directions, length, again, *dice),
            Event::Mend { directions } => {
                self.trace.event(self.time, format_args!("mend {directions:?}"), || {
                    format!("mended: {}", faults::told(&self.nodes, &directions))
                });
                directions.into_iter().for_each(|(from, to)| self.network.set_cut(from, to, false));
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

    /// The latest that any wall clock has ever said (milliseconds since 1970). Requires: it is asked before any of them is set back.
    pub(crate) fn latest_wall(&mut self) -> u64 {
        let now = self.nodes.iter().map(|node| node.now(self.time).wall_ms).max();
        self.latest_wall_ms = self.latest_wall_ms.max(now.unwrap_or_default());
        self.latest_wall_ms
    }

    /// True if all peers are up and linked.
    pub(crate) fn is_whole(&self) -> bool {
        let is_up = |node: &Node| node.peer.is_some() && !node.stopping && node.paused_until <= self.time;
        self.nodes.iter().all(is_up) && self.network.pairs().iter().all(|(a, b)| self.network.link(*a, *b).is_up)
    }

    /// True if nobody keeps anything for others any more.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.nodes.iter().all(|node| node.peer.as_ref().is_some_and(|peer| peer.store().hints() == 0))
    }

    /// True if no message from the past is under way any more.
    pub(crate) fn is_quiet(&self) -> bool {
        !self
            .heap
            .values()
            .any(|event| matches!(event, Event::Deliver { .. } | Event::Job { .. } | Event::Ask { .. } | Event::Answer { .. }))
    }
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
