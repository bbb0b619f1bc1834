//! What befalls the owners: others take their place, disks fail, and gaps of starts that are over are closed.

use super::store::range;
use super::*;
use crate::vclock::Start;

/// Gaps that nobody can fill any more, of a start that is over. An owner asks every member, which promises to refuse messages
/// of that start from then on and says whether it holds a hint with a dot of it. If none does, the owner pulls from every other
/// owner and marks the rest as seen. Comparisons carry that on.
#[derive(Clone)]
pub(super) struct Closing {
    pub actor: Actor,
    /// The last counter, and the first start that is not over.
    pub end: u64,
    pub start: u32,
    pub owner: usize,
    pub store: u64,
    pub ask: Vec<usize>,
    /// The pulls, and the owners when they began.
    pub pulls: Option<(Vec<usize>, Vec<usize>)>,
}

impl World {
    pub(super) fn change_owners(&mut self) {
        let (owners, others) = (self.owners(), self.others());
        if let Some((leaver, pulls)) = self.leaver.clone() {
            // It takes nothing any more; the others pull from it, then it drops all.
            if pulls.iter().any(|pull| self.under_way.contains(pull)) {
                return;
            }
            if pulls.is_empty() || !pulls.iter().all(|pull| self.pulls[*pull].done && self.is_valid(*pull)) {
                let pulls = owners.iter().map(|owner| self.begin_pull(*owner, leaver)).collect();
                self.leaver = Some((leaver, pulls));
                return;
            }
            // A drop relies on what is durable elsewhere.
            owners.iter().for_each(|owner| self.peers[*owner].save());
            let (store, broken) = (self.new_store(), self.is_broken(Rule::DropCounter));
            let peer = &mut self.peers[leaver];
            (peer.owner, peer.complete, peer.leaving, peer.store) = (false, false, false, store);
            peer.used = if broken { 0 } else { peer.used };
            peer.save();
            self.leaver = None;
            if self.chance(30) {
                self.join(leaver); // Straight back.
            }
        } else if owners.len() <= self.replicas && !others.is_empty() {
            let joins = self.pick(&others);
            self.join(joins);
        } else if owners.len() > self.replicas && owners.iter().all(|owner| self.peers[*owner].complete) {
            let leaver = self.pick(&owners);
            self.peers[leaver].leaving = true;
            self.leaver = Some((leaver, Vec::new()));
        }
    }

    fn join(&mut self, at: usize) {
        let store = self.new_store();
        self.peers[at].join(store);
    }

    /// Who may be hit: loss is only excluded while fewer than a quorum of disks are lost between two repairs.
    fn victim(&mut self) -> Option<usize> {
        let owners = self.owners();
        let whole = owners.len() == 3 && owners.iter().all(|owner| self.peers[*owner].complete);
        if self.quorum < 2 || self.leaver.is_some() || !whole {
            return None;
        }
        self.disasters += 1;
        Some(self.pick(&owners))
    }

    /// A hole in the log: unknown damage. Of each key some record survives, an older one, or none.
    pub(super) fn lose_part_of_a_log(&mut self) {
        let Some(victim) = self.victim() else { return };
        let (actor, new) = (self.new_actor(), self.new_store());
        let damaged = std::mem::replace(&mut self.peers[victim].store, new);
        self.peers[victim].hints.clear();
        if self.is_broken(Rule::HoleClock) {
            self.peers[victim].store.clock = damaged.clock.clone();
        }
        for key in 0..KEYS {
            let older = damaged.old.get(&key).cloned().unwrap_or_default();
            let mut survivor = self.pick(&[damaged.explicit(key), older, Entry::default()]);
            if self.is_broken(Rule::HoleFill) {
                survivor.fill(&damaged.clock);
            }
            self.peers[victim].store.restore(key, survivor);
        }
        self.retire(victim);
        self.peers[victim].renew(actor);
    }

    pub(super) fn destroy_a_disk(&mut self) {
        let Some(victim) = self.victim() else { return };
        let store = self.new_store();
        let peer = &mut self.peers[victim];
        (peer.owner, peer.complete, peer.gone) = (false, false, true);
        peer.store = store;
        peer.hints.clear();
        self.retire(victim);
        self.add_peer();
    }

    fn retire(&mut self, at: usize) {
        let peer = &self.peers[at];
        self.ended.push((peer.actor, Start(peer.start + 1).base()));
    }

    /// A step of closing the gaps of some start that is over.
    pub(super) fn close(&mut self) {
        let all_owners = |world: &World| (0..world.peers.len()).filter(|at| world.peers[*at].owner).collect::<Vec<_>>();
        let Some(mut closing) = self.closing.take() else {
            let (of, owners) = (self.rng.random_range(0..self.peers.len()), self.owners());
            let (owner, of) = (self.pick(&owners), &self.peers[of]);
            let start = of.start + u32::from(of.gone);
            if start > 0 && self.peers[owner].complete {
                let ask = (0..self.peers.len()).filter(|at| !self.peers[*at].gone).collect();
                self.closing = Some(Closing::new(of.actor, start, owner, self.peers[owner].store.id, ask));
            }
            return;
        };
        let owner = &self.peers[closing.owner];
        if owner.store.id != closing.store || !owner.owner {
            return; // Given up: it is another store now.
        }
        if let Some(asked) = closing.ask.pop() {
            let broken = self.is_broken(Rule::CloseEarly);
            let peer = &mut self.peers[asked];
            let fence = peer.fence.entry(closing.actor).or_default();
            *fence = closing.start.max(*fence);
            let mut held = peer.hints.values().flat_map(|hint| hint.entry.dots());
            if !broken && held.any(|dot| dot.actor == closing.actor && dot.counter <= closing.end) {
                return; // Given up: a hint still holds a dot of it.
            }
            self.closing = Some(closing);
            return;
        }
        match closing.pulls.take() {
            None => {
                let owners = all_owners(self);
                let pulls =
                    owners.iter().filter(|at| **at != closing.owner).map(|at| self.begin_pull(closing.owner, *at)).collect();
                closing.pulls = Some((pulls, owners));
                self.closing = Some(closing);
            }
            Some((_, owners)) if owners != all_owners(self) => {}
            Some((pulls, owners)) if pulls.iter().any(|pull| self.under_way.contains(pull)) => {
                closing.pulls = Some((pulls, owners));
                self.closing = Some(closing);
            }
            Some((pulls, _)) if pulls.iter().all(|pull| self.pulls[*pull].done) => {
                self.peers[closing.owner].store.take_clock(&range(closing.actor, 1, closing.end));
                self.closed += 1;
            }
            Some(_) => {}
        }
    }

    /// After healing: everybody stops and starts again, and then all that is over is closed. (A dot that a stand-in made and
    /// covered again before any owner had seen it stays in a context until the start of its author is over.)
    pub(super) fn close_everything(&mut self) {
        let there = self.peers.iter().filter(|peer| !peer.gone);
        let over: Vec<(Actor, u64)> =
            there.map(|peer| (peer.actor, Start(peer.start + 1).base())).chain(self.ended.clone()).collect();
        for owner in self.owners() {
            over.iter().for_each(|(actor, end)| self.peers[owner].store.take_clock(&range(*actor, 1, *end)));
        }
    }
}

impl Closing {
    pub fn new(actor: Actor, start: u32, owner: usize, store: u64, ask: Vec<usize>) -> Closing {
        Closing { actor, end: Start(start).base(), start, owner, store, ask, pulls: None }
    }
}
