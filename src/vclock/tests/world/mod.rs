//! A small world: one partition, its owners and stand-ins, and all that may befall them, on top of the crate's own dots,
//! sets and entries. Messages and turns are drawn from a seed. Each rule of DESIGN can be broken by a switch, which replaces
//! the line that keeps it; a run then shows what the rule is for.

mod change;
mod directed;
mod judge;
mod peer;
mod pull;
mod request;
mod store;

pub(super) use directed::{delete_before_write, hint_of_an_ended_start, late_arrival, write_of_an_ended_start};

use super::*;
use peer::Peer;
use pull::Pull;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use std::collections::{BTreeMap, BTreeSet};
use store::Store;

const KEYS: u8 = 3;

/// What must not be done otherwise; each line says how it is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    /// A new dot claims its actor's earlier dots (a context as a plain version vector).
    VvOnly,
    /// Receiving an entry adds the dots of its context to the clock, not only those of its live versions.
    AddContext,
    /// A stand-in speaks with a clock, though it forgets what it has paid back.
    StandinClock,
    /// After a power cut the counters go on from where the disk says, under the same start number.
    NoStart,
    /// After a power cut the counters that the last start may have used are marked as seen.
    SkipSeen,
    /// A store with a hole keeps its clock and goes on saying "seen and gone".
    HoleClock,
    /// The survivors of a hole are given contexts filled from the old clock.
    HoleFill,
    /// A clock is taken over before every key has been compared.
    EarlyTakeover,
    /// What arrived during the comparison is not looked at again before the clock is taken over.
    LateTakeover,
    /// A comparison begun with a store that was dropped or restarted since still counts.
    StaleTakeover,
    /// Where the live dots are equal the explicit contexts are not exchanged.
    SkipContexts,
    /// Counters are forgotten with a dropped partition.
    DropCounter,
    /// A patch is applied by a coordinator that has not seen the live dots that its client saw.
    BlindPatch,
    /// A patch travels with a context filled from its coordinator's clock.
    FilledPatch,
    /// A write without a context covers only what its coordinator sees, not what the replicas name.
    BlindDelete,
    /// Messages of a start whose gaps are being closed are still taken in.
    NoFence,
    /// The gaps of an actor are closed while a stand-in still holds its dots.
    CloseEarly,
}

/// An entry on its way.
#[derive(Clone)]
struct Message {
    to: usize,
    key: u8,
    entry: Entry,
    /// It was sent to an owner: one that is none any more refuses it.
    as_owner: bool,
    owed: BTreeSet<usize>,
    /// The coordinator's actor and start.
    origin: (Actor, u32),
}

/// What a client of a session saw of a key.
#[derive(Clone)]
struct Session {
    numbers: BTreeSet<u32>,
    context: Seen,
    live: BTreeSet<Dot>,
}

/// One write of one leaf, as the judge sees it.
struct Write {
    key: u8,
    leaf: u8,
    delete: bool,
    acks: usize,
    past: Past,
}

/// All writes before a write, by number; a bit for each.
#[derive(Clone, Default)]
struct Past(Vec<u64>);

impl Past {
    fn add(&mut self, number: u32) {
        let word = number as usize / 64;
        self.0.resize(self.0.len().max(word + 1), 0);
        self.0[word] |= 1 << (number % 64);
    }

    fn add_all(&mut self, other: &Past) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// Something that may happen next.
type Act = fn(&mut World);

pub(super) struct World {
    rng: ChaCha8Rng,
    broken: Option<Rule>,
    peers: Vec<Peer>,
    replicas: usize,
    quorum: usize,
    net: Vec<Message>,
    /// Every comparison ever begun, and which of them are under way.
    pulls: Vec<Pull>,
    under_way: Vec<usize>,
    sessions: BTreeMap<(u8, u8), Session>,
    writes: Vec<Write>,
    /// Which write each dot belongs to: a second one is a violation.
    issued: BTreeMap<Dot, u32>,
    next_actor: u64,
    next_store: u64,
    bad: Option<String>,
    leaver: Option<(usize, Vec<usize>)>,
    closing: Option<change::Closing>,
    /// Actors that were replaced, with the end of what they may have issued.
    ended: Vec<(Actor, u64)>,
    /// Disks that were destroyed or lost a part of their log.
    pub(super) disasters: usize,
    /// Ranges of counters closed by asking every member.
    pub(super) closed: usize,
    /// A leaf was seen with more than one version.
    pub(super) had_siblings: bool,
}

impl World {
    fn empty(seed: u64, broken: Option<Rule>, peers: usize) -> World {
        let mut world = World {
            rng: ChaCha8Rng::seed_from_u64(seed),
            broken,
            peers: Vec::new(),
            replicas: 3,
            quorum: 2,
            net: Vec::new(),
            pulls: Vec::new(),
            under_way: Vec::new(),
            sessions: BTreeMap::new(),
            writes: Vec::new(),
            issued: BTreeMap::new(),
            next_actor: 0,
            next_store: 0,
            bad: None,
            leaver: None,
            closing: None,
            ended: Vec::new(),
            disasters: 0,
            closed: 0,
            had_siblings: false,
        };
        (0..peers).for_each(|_| world.add_peer());
        world
    }

    /// A world of five peers, some of them owners.
    pub(super) fn new(seed: u64, broken: Option<Rule>) -> World {
        let mut world = World::empty(seed, broken, 5);
        (world.replicas, world.quorum) = world.pick(&[(3, 2), (3, 2), (2, 1), (1, 1)]);
        for peer in &mut world.peers[..world.replicas] {
            (peer.owner, peer.complete) = (true, true);
            peer.save();
        }
        world
    }

    fn is_broken(&self, rule: Rule) -> bool {
        self.broken == Some(rule)
    }

    fn add_peer(&mut self) {
        let (actor, store) = (self.new_actor(), self.new_store());
        self.peers.push(Peer::new(actor, store, self.broken));
    }

    fn new_actor(&mut self) -> Actor {
        self.next_actor += 1;
        Actor(self.next_actor)
    }

    fn new_store(&mut self) -> Store {
        self.next_store += 1;
        Store::new(self.next_store, self.broken)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())].clone()
    }

    /// The owners that take part in writes.
    fn owners(&self) -> Vec<usize> {
        (0..self.peers.len()).filter(|at| self.peers[*at].owner && !self.peers[*at].leaving).collect()
    }

    fn others(&self) -> Vec<usize> {
        (0..self.peers.len()).filter(|at| !self.peers[*at].owner && !self.peers[*at].gone).collect()
    }

    /// Runs the seed's history, heals everything, and says what is wrong in the end.
    pub(super) fn run(&mut self) -> Option<String> {
        const ACTS: [(Act, u32); 10] = [
            (World::write, 30),
            (World::read, 15),
            (World::deliver, 20),
            (World::pay, 6),
            (World::compare, 60),
            (World::change_owners, 6),
            (World::restart, 2),
            (World::lose_part_of_a_log, 1),
            (World::destroy_a_disk, 1),
            (World::close, 12),
        ];
        // Another mixture for every seed.
        let weights: Vec<u32> = ACTS.iter().map(|(_, weight)| weight * self.pick(&[1, 10, 10, 40])).collect();
        let all: u32 = weights.iter().sum();
        for _ in 0..self.rng.random_range(60..=500) {
            let mut drawn = self.rng.random_range(0..all);
            let at = weights.iter().position(|weight| {
                let here = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                here
            });
            ACTS[at.expect("what was drawn is below the sum")].0(self);
            if self.bad.is_some() {
                return self.bad.take();
            }
        }
        self.heal();
        self.judge()
    }

    /// Delivers all that is under way and compares every two owners.
    fn heal(&mut self) {
        for message in std::mem::take(&mut self.net) {
            self.arrive(&message);
        }
        for peer in self.others() {
            for (key, hint) in self.peers[peer].hints.clone() {
                self.owners().into_iter().for_each(|owner| self.peers[owner].take(key, &hint.entry, &BTreeSet::new()));
            }
        }
        let owners = self.owners();
        if let Some((leaver, _)) = self.leaver {
            self.make_equal(&[owners.as_slice(), &[leaver]].concat());
        }
        self.make_equal(&owners);
        self.make_equal(&owners);
    }

    fn make_equal(&mut self, owners: &[usize]) {
        for _ in 0..3 {
            for (a, b) in owners.iter().flat_map(|a| owners.iter().map(move |b| (*a, *b))) {
                if a != b {
                    let pull = self.new_pull(a, b);
                    pull.whole(self);
                }
            }
        }
    }

    /// One message arrives; now and then a duplicate stays under way.
    fn deliver(&mut self) {
        if self.net.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.net.len());
        let message = if self.chance(80) { self.net.remove(at) } else { self.net[at].clone() };
        self.arrive(&message);
    }

    fn arrive(&mut self, message: &Message) {
        let (actor, start) = message.origin;
        let fenced = !self.is_broken(Rule::NoFence);
        let peer = &mut self.peers[message.to];
        let ended = fenced && peer.fence.get(&actor).is_some_and(|fence| start < *fence);
        if !peer.gone && !peer.leaving && !ended && (peer.owner || !message.as_owner) {
            peer.take(message.key, &message.entry, &message.owed);
        }
    }

    /// A stand-in pays a hint back and forgets it.
    fn pay(&mut self) {
        let at = self.rng.random_range(0..self.peers.len());
        let keys: Vec<u8> = self.peers[at].hints.keys().copied().collect();
        if self.peers[at].owner || keys.is_empty() {
            return;
        }
        let key = self.pick(&keys);
        let hint = self.peers[at].hints.remove(&key).expect("the key was listed");
        let owners: BTreeSet<usize> = self.owners().into_iter().collect();
        // If somebody owed is no owner any more, a write quorum of the present ones gets it.
        let to: Vec<usize> =
            if hint.owed.is_subset(&owners) { hint.owed.iter().copied().collect() } else { owners.into_iter().collect() };
        for owner in to {
            self.peers[owner].take(key, &hint.entry, &BTreeSet::new());
            self.peers[owner].save();
        }
        self.peers[at].save();
    }

    /// A step of a comparison.
    fn compare(&mut self) {
        let owners = self.owners();
        if owners.len() > 1 && self.under_way.len() < 4 && self.chance(40) {
            let a = self.rng.random_range(0..owners.len());
            let b = (a + self.rng.random_range(1..owners.len())) % owners.len();
            self.begin_pull(owners[a], owners[b]);
        }
        if !self.under_way.is_empty() {
            let at = self.rng.random_range(0..self.under_way.len());
            if self.step_pull(self.under_way[at]) {
                self.under_way.remove(at);
            }
        }
    }

    /// A clean stop, or a power cut that brings an older state back.
    fn restart(&mut self) {
        let there: Vec<usize> = (0..self.peers.len()).filter(|at| !self.peers[*at].gone).collect();
        let (at, clean, store) = (self.pick(&there), self.chance(40), self.new_store());
        self.peers[at].begin(clean, store.id);
    }
}
