//! A read: ask R owners, merge what they say, fetch the values that are missing, answer, repair whoever was behind.

use super::{Effects, Outcome};
use crate::message::{Apply, Fetch, FetchMode, Fetched, Message, OperationId};
use crate::ring::MemberId;
use crate::vclock::{Dot, Entry, Seen, pack, unpack};
use bytes::Bytes;

/// A read under way.
#[derive(Debug)]
pub struct Read {
    key: Bytes,
    /// The owners, in the order in which they are asked; the coordinator itself first if it is one.
    owners: Vec<MemberId>,
    needed: usize,
    /// How many of `owners` have been asked: always the first ones.
    asked: usize,
    answers: Vec<Answer>,
    /// Dots that the answer must have seen (a session).
    must_see: Seen,
}

#[derive(Debug)]
struct Answer {
    from: MemberId,
    entry: Entry,
    mode: FetchMode,
    complete: bool,
}

/// What the owners hold together.
#[derive(Debug)]
pub struct Merged {
    /// The merge of all answers, with their filled contexts.
    pub entry: Entry,
    /// How many complete owners answered.
    pub answered: u8,
    /// How many of them held exactly the merged versions.
    pub agreed: u8,
    /// Who was behind.
    pub behind: Vec<MemberId>,
}

/// Why a read cannot be answered, for people.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadFailure {
    /// Too few owners can be reached.
    TooFew {
        /// How many answered.
        answered: usize,
        /// How many must.
        needed: usize,
    },
    /// All owners that can be reached have not yet seen what the session has.
    SessionAhead,
}

impl Read {
    /// A read that waits for `needed` of the owners.
    pub fn new(key: Bytes, owners: Vec<MemberId>, needed: usize, must_see: Seen) -> Read {
        Read { key, owners, needed, asked: 0, answers: Vec::new(), must_see }
    }

    /// The key that is read.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// Asks `needed` owners that are live: the coordinator itself, and others from the `turn`-th on, so that the load spreads.
    pub fn begin(
        &mut self,
        id: OperationId,
        (me, turn): (MemberId, u32),
        is_live: &dyn Fn(MemberId) -> bool,
        effects: &mut Effects,
    ) {
        let turn = turn as usize % self.owners.len().max(1);
        self.owners.rotate_left(turn);
        self.owners.sort_by_key(|owner| (*owner != me, !is_live(*owner)));
        while self.asked < self.needed {
            self.ask_next(id, effects);
        }
    }

    /// Asks again whoever has not answered, and one more owner.
    pub fn again(&mut self, id: OperationId, effects: &mut Effects) {
        for at in 0..self.asked {
            let owner = self.owners[at];
            if !self.answers.iter().any(|answer| answer.from == owner) {
                effects.send(owner, self.fetch(id, self.mode_for(at)));
            }
        }
        self.ask_next(id, effects);
        for dot in self.without_value(&self.merge()) {
            self.fetch_value(id, dot, effects);
        }
    }

    /// An owner cannot be reached any more: another one is asked instead.
    pub fn on_link_down(&mut self, id: OperationId, member: MemberId, effects: &mut Effects) {
        let asked = self.owners[..self.asked].contains(&member);
        if asked && !self.answers.iter().any(|answer| answer.from == member) {
            self.ask_next(id, effects);
        }
    }

    /// An owner has answered.
    pub fn on_fetched(&mut self, id: OperationId, from: MemberId, fetched: &Fetched, effects: &mut Effects) -> Outcome<Merged> {
        // An empty answer means that the owner holds the key and cannot read it; what cannot be decoded is worth no more.
        let Some(entry) = (!fetched.entry.is_empty()).then(|| unpack(&fetched.entry).ok()).flatten() else {
            self.ask_next(id, effects);
            return Outcome::Pending;
        };
        self.on_entry(id, from, entry, fetched.mode, fetched.complete, effects)
    }

    /// An owner has answered with an entry whose context is filled.
    pub fn on_entry(
        &mut self,
        id: OperationId,
        from: MemberId,
        entry: Entry,
        mode: FetchMode,
        complete: bool,
        effects: &mut Effects,
    ) -> Outcome<Merged> {
        if !self.owners[..self.asked].contains(&from) {
            return Outcome::Pending;
        }
        let answer = Answer { from, entry, mode, complete };
        match self.answers.iter_mut().find(|old| old.from == from) {
            // A late answer to a question for dots must not replace the values that came since.
            Some(old) if old.mode == FetchMode::Full && mode == FetchMode::Dots => return Outcome::Pending,
            Some(old) => *old = answer,
            None => self.answers.push(answer),
        }
        if self.complete_answers() < self.needed {
            if self.answers.len() == self.asked {
                self.ask_next(id, effects);
            }
            return Outcome::Pending;
        }
        let merged = self.merge();
        let missing = self.without_value(&merged);
        if !missing.is_empty() {
            missing.into_iter().for_each(|dot| self.fetch_value(id, dot, effects));
            return Outcome::Pending;
        }
        if !self.session_is_seen(&merged) {
            self.ask_next(id, effects);
            return Outcome::Pending;
        }
        Outcome::Done(self.judge(merged))
    }

    /// Why there is no answer so far.
    pub fn failure(&self) -> ReadFailure {
        let answered = self.complete_answers();
        if answered >= self.needed { ReadFailure::SessionAhead } else { ReadFailure::TooFew { answered, needed: self.needed } }
    }

    /// True if whoever can be reached has answered, so that waiting is of no use.
    pub fn is_exhausted(&self, is_live: &dyn Fn(MemberId) -> bool) -> bool {
        let has_answered = |owner: &MemberId| self.answers.iter().any(|answer| answer.from == *owner);
        self.owners.iter().all(|owner| has_answered(owner) || !is_live(*owner)) && self.without_value(&self.merge()).is_empty()
    }

    fn complete_answers(&self) -> usize {
        self.answers.iter().filter(|answer| answer.complete).count()
    }

    fn ask_next(&mut self, id: OperationId, effects: &mut Effects) {
        if let Some(owner) = self.owners.get(self.asked) {
            effects.send(*owner, self.fetch(id, self.mode_for(self.asked)));
            self.asked += 1;
        }
    }

    /// One full answer, the rest versions only.
    fn mode_for(&self, at: usize) -> FetchMode {
        if at == 0 { FetchMode::Full } else { FetchMode::Dots }
    }

    fn fetch(&self, id: OperationId, mode: FetchMode) -> Message {
        Message::Fetch(Fetch { operation: id, key: self.key.clone(), mode })
    }

    fn merge(&self) -> Entry {
        let mut merged = Entry::default();
        for answer in &self.answers {
            merged.merge(answer.entry.clone());
        }
        merged
    }

    /// The live dots that nobody has sent the value of.
    fn without_value(&self, merged: &Entry) -> Vec<Dot> {
        let full = || self.answers.iter().filter(|answer| answer.mode == FetchMode::Full);
        if full().any(|answer| same_dots(&answer.entry, merged)) {
            return Vec::new();
        }
        let valued: Seen = full().flat_map(|answer| answer.entry.dots()).collect();
        merged.dots().filter(|dot| !valued.contains(*dot)).collect()
    }

    fn fetch_value(&self, id: OperationId, dot: Dot, effects: &mut Effects) {
        let holder = self.answers.iter().find(|answer| answer.mode == FetchMode::Dots && answer.entry.is_live(dot));
        if let Some(holder) = holder {
            let asked_already = effects.sends.iter().any(|(to, message)| {
                *to == holder.from && matches!(message, Message::Fetch(fetch) if fetch.mode == FetchMode::Full)
            });
            if !asked_already {
                effects.send(holder.from, self.fetch(id, FetchMode::Full));
            }
        }
    }

    fn session_is_seen(&self, merged: &Entry) -> bool {
        let mut unseen = self.must_see.clone();
        unseen.subtract(merged.context());
        if !unseen.is_empty() {
            unseen.subtract(&merged.dots().collect());
        }
        unseen.is_empty()
    }

    fn judge(&self, merged: Entry) -> Merged {
        let (agreed, behind): (Vec<&Answer>, Vec<&Answer>) =
            self.answers.iter().partition(|answer| same_dots(&answer.entry, &merged));
        Merged {
            answered: self.complete_answers() as u8,
            agreed: agreed.iter().filter(|answer| answer.complete).count() as u8,
            behind: behind.iter().map(|answer| answer.from).collect(),
            entry: merged,
        }
    }
}

/// What brings those who were behind up to date: the merged entry, by the one message by which values arrive anywhere.
pub fn repair(key: &Bytes, merged: &Merged, operation: OperationId, effects: &mut Effects) {
    if merged.behind.is_empty() {
        return;
    }
    let entry = pack(&merged.entry);
    for member in &merged.behind {
        let apply = Apply { operation, key: key.clone(), entry: entry.clone(), naming: None, owed: Vec::new(), relief: false };
        effects.send(*member, Message::Apply(apply));
    }
}

fn same_dots(a: &Entry, b: &Entry) -> bool {
    a.versions().len() == b.versions().len() && a.dots().eq(b.dots())
}
