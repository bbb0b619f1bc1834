//! What clients do: whole writes, patches of one leaf, deletes, with and without a context; reads, and read repair.

use super::*;

impl World {
    pub(super) fn write(&mut self) {
        let key = self.rng.random_range(0..KEYS);
        let leaves: &[u8] = self.pick(&[&[0, 1][..], &[0, 1], &[0], &[1]]);
        let (owners, others) = (self.owners(), self.others());
        let all = [owners.clone(), others].concat();
        let coordinator = if self.chance(85) { self.pick(&owners) } else { self.pick(&all) };
        let (delete, patch) = (self.chance(30), leaves.len() == 1);
        let session = (self.rng.random_range(0..3), key);
        let session = if self.chance(60) { self.sessions.get(&session).cloned() } else { None };
        let (mut took, mut later) = (vec![coordinator], Vec::new());
        for at in all.into_iter().filter(|at| *at != coordinator) {
            if !self.peers[at].owner && !self.chance(20) {
                continue;
            }
            match (self.chance(50), self.chance(70)) {
                (true, _) => took.push(at),
                (false, true) => later.push(at),
                (false, false) => {}
            }
        }
        if session.is_none() && delete && !took.iter().any(|at| self.peers[*at].owner) {
            return; // A stand-in cannot know what it would delete.
        }
        if let Some(Session { live, .. }) = &session
            && patch
            && !self.is_broken(Rule::BlindPatch)
            && !self.learns(coordinator, key, live)
        {
            return; // Says so rather than guess which leaf each dot belongs to.
        }
        let view = self.peers[coordinator].view(key);
        let (numbers, context) = match session.clone() {
            Some(session) => (session.numbers, session.context),
            None => (view.versions().iter().map(|version| leaf_and_number(version).1).collect(), view.context().clone()),
        };
        let replaced = |version: &&Version| leaves.contains(&leaf_and_number(version).0) && context.contains(version.dot);
        let mut cover =
            if patch { view.versions().iter().filter(replaced).map(|version| version.dot).collect() } else { context.clone() };
        let (first, mut new) = (self.writes.len() as u32, Vec::new());
        for leaf in leaves {
            let number = self.note_write(key, *leaf, delete, &numbers);
            if delete {
                continue;
            }
            let dot = self.peers[coordinator].mint();
            if *self.issued.entry(dot).or_insert(number) != number {
                self.bad = Some(format!("dot {dot} issued twice"));
                return;
            }
            new.push(version_of(dot, *leaf, number));
            let claimed = if self.is_broken(Rule::VvOnly) { 1 } else { dot.counter };
            cover.union_with(&store::range(dot.actor, claimed, dot.counter));
        }
        if patch && self.is_broken(Rule::FilledPatch) {
            cover.union_with(view.context());
        }
        let made: BTreeSet<Dot> = new.iter().map(|version| version.dot).collect();
        let mut entry = Entry::new(new, cover);
        let owed: BTreeSet<usize> = owners.iter().copied().filter(|at| !took.contains(at) || *at == coordinator).collect();
        took.iter().for_each(|at| self.peers[*at].take(key, &entry, &owed));
        if session.is_none() && !self.is_broken(Rule::BlindDelete) {
            // What the replicas name as not covered is covered before the answer.
            let named = self.not_covered(&took, key, leaves, &made);
            if !named.is_empty() {
                (first..self.writes.len() as u32).for_each(|number| self.extend_past(number, named.values()));
                let more = Entry::new(Vec::new(), named.into_keys().collect());
                took.iter().for_each(|at| self.peers[*at].take(key, &more, &owed));
                entry.merge(more);
            }
        }
        let origin = (self.peers[coordinator].actor, self.peers[coordinator].start);
        for to in later {
            let as_owner = self.peers[to].owner;
            self.net.push(Message { to, key, entry: entry.clone(), as_owner, owed: owed.clone(), origin });
        }
        let counts = |peer: &Peer| (peer.owner && peer.complete) || session.is_some() || !delete;
        if took.iter().filter(|at| counts(&self.peers[**at])).count() >= self.quorum {
            took.iter().for_each(|at| self.peers[*at].save()); // An ack waits for the disk.
            (first as usize..self.writes.len()).for_each(|at| self.writes[at].acks = took.len());
            if session.is_none() && !self.not_covered(&took, key, leaves, &made).is_empty() {
                self.bad = Some(format!("a write of key {key} without a context left something"));
            }
        }
    }

    /// The coordinator of a patch asks other owners until it has seen what its client saw.
    fn learns(&mut self, coordinator: usize, key: u8, live: &BTreeSet<Dot>) -> bool {
        let knows = |world: &World| {
            let view = world.peers[coordinator].view(key);
            live.iter().all(|dot| view.has_seen(*dot))
        };
        if !knows(self) {
            let owners = self.owners();
            let owed: BTreeSet<usize> = owners.iter().copied().collect();
            for at in owners {
                if at != coordinator && self.chance(70) {
                    let view = self.peers[at].view(key);
                    self.peers[coordinator].take(key, &view, &owed);
                }
            }
        }
        knows(self)
    }

    /// The live dots of these leaves that the write has not made, with the numbers of their writes.
    fn not_covered(&self, took: &[usize], key: u8, leaves: &[u8], made: &BTreeSet<Dot>) -> BTreeMap<Dot, u32> {
        let mut named = BTreeMap::new();
        for version in took.iter().flat_map(|at| self.peers[*at].view(key).into_parts().0) {
            let (leaf, number) = leaf_and_number(&version);
            if leaves.contains(&leaf) && !made.contains(&version.dot) {
                named.insert(version.dot, number);
            }
        }
        named
    }

    /// Tells the judge of a write whose client, or coordinator, has seen the writes of these numbers.
    fn note_write(&mut self, key: u8, leaf: u8, delete: bool, numbers: &BTreeSet<u32>) -> u32 {
        let number = self.writes.len() as u32;
        self.writes.push(Write { key, leaf, delete, acks: 0, past: Past::default() });
        self.extend_past(number, numbers);
        number
    }

    fn extend_past<'a>(&mut self, number: u32, seen: impl IntoIterator<Item = &'a u32>) {
        let mut past = std::mem::take(&mut self.writes[number as usize].past);
        let leaf = self.writes[number as usize].leaf;
        for other in seen.into_iter().filter(|other| self.writes[**other as usize].leaf == leaf) {
            past.add(*other);
            past.add_all(&self.writes[*other as usize].past);
        }
        self.writes[number as usize].past = past;
    }

    pub(super) fn read(&mut self) {
        let key = self.rng.random_range(0..KEYS);
        let owners = self.owners();
        let complete: Vec<usize> = owners.iter().copied().filter(|at| self.peers[*at].complete).collect();
        let mut asked = vec![self.pick(if complete.is_empty() { &owners } else { &complete })];
        if self.chance(70) {
            asked.push(self.pick(&[owners, self.others()].concat()));
        }
        // Nothing that is not durable is read out.
        asked.iter().for_each(|at| self.peers[*at].save());
        let mut entry = self.peers[asked[0]].view(key);
        asked[1..].iter().for_each(|at| entry.merge(self.peers[*at].view(key)));
        self.had_siblings |= judge::has_siblings(&entry);
        let numbers = entry.versions().iter().map(|version| leaf_and_number(version).1).collect();
        let session = Session { numbers, context: entry.context().clone(), live: entry.dots().collect() };
        let client = self.rng.random_range(0..3);
        self.sessions.insert((client, key), session);
        if self.chance(50) {
            for at in asked.into_iter().filter(|at| self.peers[*at].owner).collect::<Vec<_>>() {
                self.peers[at].take(key, &entry, &BTreeSet::new());
            }
        }
    }
}
