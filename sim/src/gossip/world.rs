//! Some machines of the gossip and the network between them. Every link looks up all the time: a peer that is gone is only silent, which is the
//! hardest case to notice.

use crate::dice::Dice;
use bytes::BytesMut;
use henge::gossip::{Event as Said, Moment, Outcome, Pace, Swim};
use henge::message::{Gossip, MemberRecord, Message};
use henge::ring::MemberId;
use henge::vclock::{Actor, Start};
use henge::wire::encode_message;
use std::collections::{BTreeMap, BTreeSet};

/// A message takes from one to so many milliseconds.
const DELAY_MS_MAX: u64 = 10;
/// A starved peer stands still for so long at a time (milliseconds)...
const STARVED_MS: (u64, u64) = (1_000, 6_000);
/// ...and runs for so long in between.
const FED_MS: (u64, u64) = (100, 1_000);
/// The wall clock at the beginning (milliseconds since 1970).
const EPOCH_MS: u64 = 1_700_000_000_000;

enum Event {
    Deliver { from: usize, start: Start, to: usize, message: Gossip },
    Wake { node: usize, at: u64 },
    Starve { node: usize },
    Kill { node: usize },
    Start { node: usize },
}

struct Node {
    /// None while it is gone.
    swim: Option<Swim>,
    start: Start,
    is_starved: bool,
    still_until: u64,
    wake_at: Option<u64>,
}

/// A death under way: when it happened, and who does not know of it yet.
struct Death {
    at: u64,
    unaware: BTreeSet<usize>,
}

/// The world. Time in milliseconds.
pub(super) struct World {
    pub(super) time: u64,
    loss: f64,
    pace: Pace,
    heap: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    nodes: Vec<Node>,
    dice: Dice,
    deaths: BTreeMap<usize, Death>,
    /// How long it took until each death was known to all (milliseconds).
    pub(super) known_after: Vec<u64>,
    /// Who was declared dead though it was there: the victims' numbers and incarnations, by all that declared it.
    pub(super) falsely_dead: BTreeSet<(usize, u32, u32)>,
    /// Bytes of all frames sent, while they are counted.
    pub(super) bytes: u64,
    pub(super) counts_bytes: bool,
    frame: BytesMut,
}

fn member(node: usize) -> MemberId {
    // Ids look random, as those of real members do.
    MemberId(u128::from(twox_hash::XxHash3_64::oneshot(&(node as u64).to_be_bytes())) << 64 | node as u128)
}

fn node_of(member: MemberId) -> usize {
    member.0 as u64 as usize
}

impl World {
    /// So many peers, just started and linked.
    pub(super) fn new(count: usize, pace: Pace, seed: u64) -> World {
        let node = |_| Node { swim: None, start: Start(0), is_starved: false, still_until: 0, wake_at: None };
        let mut world = World {
            time: 0,
            loss: 0.0,
            pace,
            heap: BTreeMap::new(),
            sequence: 0,
            nodes: (0..count).map(node).collect(),
            dice: Dice::of(seed, 50),
            deaths: BTreeMap::new(),
            known_after: Vec::new(),
            falsely_dead: BTreeSet::new(),
            bytes: 0,
            counts_bytes: false,
            frame: BytesMut::new(),
        };
        (0..count).for_each(|node| world.start(node));
        world
    }

    /// From now on this share of all messages is lost.
    pub(super) fn lose(&mut self, loss: f64) {
        self.loss = loss;
    }

    /// From now on the first so many peers are starved.
    pub(super) fn starve(&mut self, count: usize) {
        for node in 0..count {
            self.nodes[node].is_starved = true;
            let delay = self.dice.below(FED_MS.1);
            self.after(delay, Event::Starve { node });
        }
    }

    /// A peer goes away without a word after `delay`, and comes back `away` later.
    pub(super) fn schedule_death(&mut self, node: usize, delay: u64, away: u64) {
        self.after(delay, Event::Kill { node });
        self.after(delay + away, Event::Start { node });
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.dice.below(bound as u64) as usize
    }

    pub(super) fn is_starved(&self, node: usize) -> bool {
        self.nodes[node].is_starved
    }

    /// True if all that are there have one view.
    pub(super) fn agrees(&self) -> bool {
        let own = |swim: &Swim| (swim.own_record().member, swim.own_record().rank());
        let newest: BTreeMap<_, _> = self.nodes.iter().filter_map(|node| node.swim.as_ref().map(own)).collect();
        let knows = |swim: &Swim| {
            newest.iter().all(|(member, rank)| {
                *member == swim.own_record().member || swim.view().record(*member).map(MemberRecord::rank) == Some(*rank)
            })
        };
        self.nodes.iter().filter_map(|node| node.swim.as_ref()).all(knows)
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.time + ms;
        while let Some(entry) = self.heap.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((at, _), event) = entry.remove_entry();
            self.time = at;
            self.handle(event);
        }
        self.time = end;
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.heap.insert((self.time + delay, self.sequence), event);
    }

    fn handle(&mut self, event: Event) {
        if let Event::Deliver { to: node, .. } | Event::Wake { node, .. } = event
            && self.nodes[node].still_until > self.time
        {
            let rest = self.nodes[node].still_until - self.time;
            return self.after(rest, event);
        }
        match event {
            Event::Deliver { from, start, to, message } => {
                if self.nodes[from].start == start && self.nodes[from].swim.is_some() {
                    self.tell(to, |swim, now, out| swim.on_message(now, member(from), message, out));
                }
            }
            Event::Wake { node, at } => {
                if self.nodes[node].wake_at == Some(at) {
                    self.nodes[node].wake_at = None;
                    self.tell(node, |swim, now, out| swim.on_wake(now, out));
                }
            }
            Event::Starve { node } => {
                let still = self.dice.between(STARVED_MS.0, STARVED_MS.1);
                self.nodes[node].still_until = self.time + still;
                let fed = self.dice.between(FED_MS.0, FED_MS.1);
                self.after(still + fed, Event::Starve { node });
            }
            Event::Kill { node } => self.kill(node),
            Event::Start { node } => self.start(node),
        }
    }

    fn start(&mut self, node: usize) {
        if self.nodes[node].swim.is_some() {
            return;
        }
        self.deaths.remove(&node);
        let start = Start(self.nodes[node].start.0 + 1);
        let record = MemberRecord {
            member: member(node),
            actor: Actor(node as u64),
            ended: Vec::new(),
            start,
            nonce: self.dice.number(),
            incarnation: 0,
            name: format!("peer-{node}"),
            address: format!("10.0.{}.{}:7400", node / 250, node % 250),
            incomplete: 0,
        };
        let mut swim = Swim::new(record, self.pace, self.dice.number());
        swim.set_members(self.moment(), (0..self.nodes.len()).map(member));
        (self.nodes[node].swim, self.nodes[node].start, self.nodes[node].wake_at) = (Some(swim), start, None);
        let others: Vec<usize> =
            (0..self.nodes.len()).filter(|other| *other != node && self.nodes[*other].swim.is_some()).collect();
        for other in others {
            for (side, of) in [(node, other), (other, node)] {
                let (actor, start) = (Actor(of as u64), self.nodes[of].start);
                self.tell(side, |swim, now, out| swim.on_link_up(now, member(of), actor, start, out));
            }
        }
    }

    fn kill(&mut self, node: usize) {
        if self.nodes[node].swim.take().is_some() {
            let unaware = (0..self.nodes.len()).filter(|other| self.nodes[*other].swim.is_some()).collect();
            for death in self.deaths.values_mut() {
                death.unaware.remove(&node);
            }
            self.deaths.insert(node, Death { at: self.time, unaware });
        }
    }

    fn moment(&self) -> Moment {
        Moment { monotonic_ms: self.time, wall_ms: EPOCH_MS + self.time }
    }

    fn tell(&mut self, node: usize, tell: impl FnOnce(&mut Swim, Moment, &mut Outcome)) {
        let now = self.moment();
        let Some(swim) = self.nodes[node].swim.as_mut() else { return };
        let mut out = Outcome::default();
        tell(swim, now, &mut out);
        let wake = swim.next_wake();
        for event in out.events {
            match event {
                Said::Died(of) => self.on_declared_dead(node_of(of), node),
                Said::Returned(_) => {}
                Said::Copy(reason) => panic!("nobody runs twice here: {reason}"),
            }
        }
        let start = self.nodes[node].start;
        for (to, message) in out.sends {
            self.count(&message);
            if !self.dice.chance(self.loss) {
                let delay = self.dice.between(1, DELAY_MS_MAX);
                self.after(delay, Event::Deliver { from: node, start, to: node_of(to), message });
            }
        }
        if let Some(wake) = wake {
            let at = wake.max(self.time + 1);
            if self.nodes[node].wake_at.is_none_or(|earlier| at < earlier) {
                self.nodes[node].wake_at = Some(at);
                self.after(at - self.time, Event::Wake { node, at });
            }
        }
    }

    fn on_declared_dead(&mut self, victim: usize, by: usize) {
        if let Some(swim) = &self.nodes[victim].swim {
            let record = swim.own_record();
            self.falsely_dead.insert((victim, record.start.0, record.incarnation));
        } else if let Some(death) = self.deaths.get_mut(&victim) {
            death.unaware.remove(&by);
            if death.unaware.is_empty() {
                self.known_after.push(self.time - death.at);
                self.deaths.remove(&victim);
            }
        }
    }

    fn count(&mut self, message: &Gossip) {
        if self.counts_bytes {
            self.frame.clear();
            encode_message(&Message::Gossip(Box::new(message.clone())), &mut self.frame).expect("it fits a frame");
            self.bytes += self.frame.len() as u64;
        }
    }
}
