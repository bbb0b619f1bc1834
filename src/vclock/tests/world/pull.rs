//! One direction of a comparison: a takes from b what b has, key by key, and at the end b's clock as it was at the beginning.

use super::*;

/// An answer of b about one key, all of it read in one step.
#[derive(Clone)]
struct Answer {
    key: u8,
    live: BTreeSet<Dot>,
    explicit: Entry,
    filled: Entry,
}

#[derive(Clone)]
pub(super) struct Pull {
    a: usize,
    b: usize,
    /// The two stores.
    bound: (u64, u64),
    clock: Seen,
    /// Per key, what was live here at the beginning, and what b named: all else that is live came in between.
    before: Vec<BTreeSet<Dot>>,
    todo: Vec<u8>,
    mail: Vec<Answer>,
    pub done: bool,
    /// With how many complete owners a must have compared to be complete.
    need: usize,
}

impl World {
    pub(super) fn new_pull(&self, a: usize, b: usize) -> Pull {
        let (here, there) = (&self.peers[a].store, &self.peers[b].store);
        Pull {
            a,
            b,
            bound: (here.id, there.id),
            clock: there.clock.clone(),
            before: (0..KEYS).map(|key| here.live(key)).collect(),
            todo: (0..KEYS).collect(),
            mail: Vec::new(),
            done: false,
            need: (self.replicas - self.quorum + 1).min((self.replicas - 1).max(1)),
        }
    }

    pub(super) fn begin_pull(&mut self, a: usize, b: usize) -> usize {
        self.pulls.push(self.new_pull(a, b));
        self.under_way.push(self.pulls.len() - 1);
        self.pulls.len() - 1
    }

    pub(super) fn is_valid(&self, pull: usize) -> bool {
        let pull = &self.pulls[pull];
        let (a, b) = (&self.peers[pull.a], &self.peers[pull.b]);
        a.owner && b.owner && (pull.bound == (a.store.id, b.store.id) || self.is_broken(Rule::StaleTakeover))
    }

    /// One step of a pull that is under way; true if it ended.
    pub(super) fn step_pull(&mut self, at: usize) -> bool {
        if !self.is_valid(at) {
            return true;
        }
        let mut pull = self.pulls[at].clone();
        if !pull.mail.is_empty() && (pull.todo.is_empty() || self.chance(50)) {
            let answer = pull.mail.swap_remove(self.rng.random_range(0..pull.mail.len()));
            pull.deliver(answer, self);
        } else if let Some(key) = pull.todo.pop() {
            pull.send(key, self);
        } else {
            pull.finish(self);
        }
        if !pull.done && self.is_broken(Rule::EarlyTakeover) && self.chance(20) {
            pull.finish(self);
        }
        let done = pull.done;
        self.pulls[at] = pull;
        done
    }
}

impl Pull {
    pub fn send(&mut self, key: u8, world: &World) {
        let b = &world.peers[self.b].store;
        self.mail.push(Answer { key, live: b.live(key), explicit: b.explicit(key), filled: b.filled(key) });
    }

    fn deliver(&mut self, answer: Answer, world: &mut World) {
        let broken = world.is_broken(Rule::SkipContexts);
        let a = &mut world.peers[self.a].store;
        if a.live(answer.key) != answer.live {
            a.take(answer.key, &answer.filled);
            self.before[usize::from(answer.key)].extend(answer.live);
        } else if !broken {
            a.take(answer.key, &answer.explicit);
        }
    }

    /// Every key that is still to be compared.
    pub fn every_key(&mut self, world: &mut World) {
        while let Some(key) = self.todo.pop() {
            self.send(key, world);
            let answer = self.mail.pop().expect("it was just sent");
            self.deliver(answer, world);
        }
    }

    pub fn finish(&mut self, world: &mut World) {
        let late = |dot: &Dot, key: u8| self.clock.contains(*dot) && !self.before[usize::from(key)].contains(dot);
        if !world.is_broken(Rule::LateTakeover) {
            for key in 0..KEYS {
                if world.peers[self.a].store.live(key).iter().any(|dot| late(dot, key)) {
                    let filled = world.peers[self.b].store.filled(key);
                    world.peers[self.a].store.take(key, &filled);
                }
            }
        }
        let from_complete = world.peers[self.b].complete;
        let a = &mut world.peers[self.a];
        a.store.take_clock(&self.clock);
        if !a.complete && from_complete {
            a.partners.insert(self.b);
            a.complete = a.partners.len() >= self.need;
        }
        self.done = true;
    }

    /// All of it at once.
    pub fn whole(mut self, world: &mut World) {
        self.every_key(world);
        self.finish(world);
    }
}
