//! A read: ask R owners, merge what they say, fetch the values that are missing, answer, repair whoever was behind.
//!
//! Where fewer than R owners are live, stand-ins fill up R *for what is found* (Dynamo, §4.6). They speak for what they owe and for
//! nothing else, so **absence, of a key or of a leaf, needs R complete owners**; else the answer is *unreachable*, never *not found*.
//! An owner that is not complete counts like a stand-in.

use super::{Effects, Outcome};
use crate::broken::{Rule, is_broken};
use crate::message::{Apply, Fetch, FetchMode, Fetched, Message, OperationId};
use crate::ring::MemberId;
use crate::vclock::{Dot, Entry, Kind, Path, Seen, Version, pack, pack_bare, unpack};
use bytes::Bytes;

/// Who can be asked for a key, as its coordinator sees it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reach {
    /// The owners.
    pub owners: Vec<(MemberId, Pace)>,
    /// The stand-ins that are live, in the order of the walk; needed only while an owner is down, or for a session.
    pub stand_ins: Vec<MemberId>,
}

/// How well an owner can be reached, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pace {
    /// As usual.
    Quick,
    /// It owes answers for longer than usual.
    Slow,
    /// Not at all.
    Down,
}

/// A read under way.
#[derive(Debug)]
pub struct Read {
    key: Bytes,
    question: Question,
    needed: usize,
    /// The owners, in the order in which they are asked; behind them the stand-ins.
    replicas: Vec<Replica>,
    /// Dots that the answer must have seen (a session).
    must_see: Seen,
}

/// What is asked for: versions at and below this path that have not expired at this time (milliseconds since 1970).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The path.
    pub path: Path,
    /// The time.
    pub wall_ms: u64,
}

#[derive(Debug)]
struct Replica {
    member: MemberId,
    is_owner: bool,
    pace: Pace,
    /// When it was first asked (monotonic milliseconds), if it was, and for how much.
    asked: Option<(u64, FetchMode)>,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    entry: Entry,
    mode: FetchMode,
    /// True if it counts for absence.
    complete: bool,
}

/// What the replicas hold together.
#[derive(Debug)]
pub struct Merged {
    /// The merge of all answers, those of owners with their filled contexts.
    pub entry: Entry,
    /// How many replicas answered.
    pub answered: u8,
    /// How many of them held exactly the merged versions.
    pub agreed: u8,
    /// How many of those that answered count only for what is found: stand-ins, and owners that are not complete. 0 if there were enough
    /// others.
    pub stood_in: u8,
    /// The owners that were behind.
    pub behind: Vec<MemberId>,
}

/// Why a read cannot be answered, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFailure {
    /// Too few replicas can be reached.
    TooFew {
        /// How many answered.
        answered: usize,
        /// How many must.
        needed: usize,
    },
    /// Enough have answered, but too few of them are complete owners, and what they hold does not count as found.
    Unsure {
        /// How many complete owners answered.
        complete: usize,
        /// How many it takes to say that nothing is there.
        needed: usize,
    },
    /// All owners that can be reached have not yet seen what the session has.
    SessionAhead,
}

/// What a number of answers is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Something is there.
    Found,
    /// Nothing is there.
    Missing,
    /// Neither can be said.
    Unreachable,
}

impl Question {
    /// What the merge of `complete` answers of complete owners and `others` is worth, of which `needed` must be.
    ///
    /// Nothing is there only if `needed` complete owners say so. With one complete owner among enough answers, what is found counts;
    /// without any only a plain value does: of a document stand-ins may hold some leaves alone, of siblings one.
    pub fn judge(&self, merged: &Entry, (complete, others): (usize, usize), needed: usize) -> Verdict {
        let is_shown = self.shows_any(merged);
        let is_plain = matches!(merged.versions(), [only] if is_plain_version(only));
        verdict((is_shown, is_plain), (complete, others), needed)
    }

    /// True if anything of an entry belongs to the answer.
    pub fn shows_any(&self, entry: &Entry) -> bool {
        entry.versions().iter().any(|version| self.shows(version, entry.expiry_of(version)))
    }

    /// True if a live version belongs to the answer that is hidden at this time (milliseconds since 1970); 0: never.
    pub(super) fn shows(&self, version: &Version, expiry_ms: u64) -> bool {
        self.path.contains(&version.path) && version.kind != Kind::Term && (expiry_ms == 0 || expiry_ms > self.wall_ms)
    }
}

/// The rule behind [`Question::judge`].
pub(super) fn verdict((is_shown, is_plain): (bool, bool), (complete, others): (usize, usize), needed: usize) -> Verdict {
    match (complete >= needed, is_shown) {
        (true, true) => Verdict::Found,
        (true, false) => Verdict::Missing,
        (false, true) if complete + others >= needed && (complete > 0 || is_plain) => Verdict::Found,
        (false, _) => Verdict::Unreachable,
    }
}

/// A version that is a value of its own if it is the only one. An empty object, an amount and an element are parts of something.
pub(super) fn is_plain_version(version: &Version) -> bool {
    version.path.is_root() && matches!(version.kind, Kind::Bytes | Kind::Typed | Kind::Scalar | Kind::Array)
}

impl Read {
    /// A read that waits for `needed` of the owners, or for those who stand in for them. `me` is asked first if it is an owner, and
    /// others from the `turn`-th on, so that the load spreads.
    pub fn new(
        (key, question): (Bytes, Question),
        reach: Reach,
        (needed, must_see): (usize, Seen),
        (me, turn): (MemberId, u32),
    ) -> Read {
        let Reach { mut owners, stand_ins } = reach;
        let turn = turn as usize % owners.len().max(1);
        owners.rotate_left(turn);
        owners.sort_by_key(|(owner, pace)| (*pace == Pace::Down, *owner != me, *pace));
        let owner = |(member, pace)| Replica { member, is_owner: true, pace, asked: None, answer: None };
        let mut replicas: Vec<Replica> = owners.into_iter().map(owner).collect();
        replicas.extend(stand_ins.into_iter().map(stand_in));
        let needed = if is_broken(Rule::ReadOneLess) { needed.max(2) - 1 } else { needed };
        Read { key, question, needed, replicas, must_see }
    }

    /// The key that is read.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// What follows is judged by this time (milliseconds since 1970): what has expired since the read began does not count as found, as it is
    /// not shown either.
    pub fn judge_at(&mut self, wall_ms: u64) {
        self.question.wall_ms = wall_ms;
    }

    /// Asks as many as must answer.
    pub fn begin(&mut self, id: OperationId, now_ms: u64, effects: &mut Effects) {
        self.ask_enough(id, now_ms, effects);
    }

    /// Asks again whoever has not answered.
    pub fn again(&mut self, id: OperationId, now_ms: u64, effects: &mut Effects) {
        for replica in self.replicas.iter().filter(|replica| replica.answer.is_none()) {
            if let Some((_, mode)) = replica.asked {
                effects.send(replica.member, fetch(id, &self.key, mode));
            }
        }
        self.ask_another(id, now_ms, effects);
        for dot in self.without_value(&self.merge()) {
            self.fetch_value(id, dot, effects);
        }
    }

    /// The members can be reached otherwise than before: others may have to be asked, or what has come may have to do.
    pub fn look(&mut self, id: OperationId, now_ms: u64, reach: &Reach, effects: &mut Effects) -> Outcome<Merged> {
        for replica in &mut self.replicas {
            let known = reach.owners.iter().find(|(member, _)| *member == replica.member).map(|(_, pace)| *pace);
            let stands_in = || if reach.stand_ins.contains(&replica.member) { Pace::Quick } else { Pace::Down };
            replica.pace = known.unwrap_or_else(stands_in);
        }
        for member in &reach.stand_ins {
            if !self.replicas.iter().any(|replica| replica.member == *member) {
                self.replicas.push(stand_in(*member));
            }
        }
        self.advance(id, now_ms, effects)
    }

    /// Asks one owner more than it takes, if there is one: the others are late.
    pub fn ask_another(&mut self, id: OperationId, now_ms: u64, effects: &mut Effects) {
        if let Some(at) = self.next_owner() {
            self.ask(at, id, now_ms, effects);
        }
    }

    /// True if there is an owner that could be asked and has not been.
    pub fn has_another(&self) -> bool {
        self.next_owner().is_some()
    }

    /// The owners that have been asked and have not answered, and since when (monotonic milliseconds).
    pub fn waits_for(&self) -> impl Iterator<Item = (MemberId, u64)> {
        let open = self.replicas.iter().filter(|replica| replica.is_owner && replica.is_open());
        open.filter_map(|replica| replica.asked.map(|(since, _)| (replica.member, since)))
    }

    /// How long the first answer of a member has taken that answers now (milliseconds); none if it is not its first.
    pub fn took_ms(&self, member: MemberId, now_ms: u64) -> Option<u64> {
        let replica = self.replicas.iter().find(|replica| replica.member == member && replica.answer.is_none())?;
        replica.asked.map(|(since, _)| now_ms.saturating_sub(since))
    }

    /// A replica has answered.
    pub fn on_fetched(
        &mut self,
        id: OperationId,
        now_ms: u64,
        (from, fetched): (MemberId, &Fetched),
        effects: &mut Effects,
    ) -> Outcome<Merged> {
        let Some(replica) = self.replicas.iter_mut().find(|replica| replica.member == from && replica.asked.is_some()) else {
            return Outcome::Pending;
        };
        // An empty answer means that the owner holds the key and cannot read it; what cannot be decoded is worth no more.
        let Some(entry) = (!fetched.entry.is_empty()).then(|| unpack(&fetched.entry).ok()).flatten() else {
            if replica.answer.is_none() {
                replica.pace = Pace::Down;
            }
            return self.advance(id, now_ms, effects);
        };
        let complete = match is_broken(Rule::StandInAbsence) {
            true => !replica.is_owner || fetched.complete,
            false => replica.is_owner && (fetched.complete || is_broken(Rule::IncompleteCounts)),
        };
        let answer = Answer { entry, mode: fetched.mode, complete };
        match &mut replica.answer {
            // A late answer to a question for dots must not replace the values that came since.
            Some(old) if old.mode == FetchMode::Full && answer.mode == FetchMode::Dots => return Outcome::Pending,
            place => *place = Some(answer),
        }
        self.advance(id, now_ms, effects)
    }

    /// The time is over: what has come, if it counts.
    pub fn settle(&self) -> Option<Merged> {
        let merged = self.merge();
        let counts = self.verdict(&merged) != Verdict::Unreachable;
        (counts && self.without_value(&merged).is_empty() && self.session_is_seen(&merged)).then(|| self.finish(merged))
    }

    /// Why there is no answer so far.
    pub fn failure(&self) -> ReadFailure {
        let (complete, others) = self.counts();
        let needed = self.needed;
        match (complete >= needed, complete + others >= needed) {
            (true, _) => ReadFailure::SessionAhead,
            (false, true) => ReadFailure::Unsure { complete, needed },
            (false, false) => ReadFailure::TooFew { answered: complete + others, needed },
        }
    }

    /// True if whoever can be reached has answered, so that waiting is of no use.
    pub fn is_exhausted(&self) -> bool {
        let is_anybody_left =
            self.replicas.iter().any(Replica::is_open) || self.next_owner().or_else(|| self.next_stand_in()).is_some();
        let (complete, others) = self.counts();
        // A value that is still to come is of use only if enough have answered, and if it can come.
        let is_coming = |dot: &Dot| self.holders(*dot).any(|holder| holder.pace != Pace::Down);
        let waits_for_value = complete + others >= self.needed && self.without_value(&self.merge()).iter().any(is_coming);
        !is_anybody_left && !waits_for_value
    }

    fn advance(&mut self, id: OperationId, now_ms: u64, effects: &mut Effects) -> Outcome<Merged> {
        self.ask_enough(id, now_ms, effects);
        let (complete, others) = self.counts();
        // While an owner may still answer, those who count only for what is found do not fill up.
        let waits = complete < self.needed && (complete + others < self.needed || self.waits_for().next().is_some());
        if waits {
            return Outcome::Pending;
        }
        let merged = self.merge();
        let missing = self.without_value(&merged);
        if !missing.is_empty() {
            missing.into_iter().for_each(|dot| self.fetch_value(id, dot, effects));
            return Outcome::Pending;
        }
        if self.verdict(&merged) != Verdict::Unreachable && self.session_is_seen(&merged) {
            return Outcome::Done(self.finish(merged));
        }
        if self.replicas.iter().any(Replica::is_open) {
            return Outcome::Pending;
        }
        if let Some(at) = self.next_owner().or_else(|| self.next_stand_in()) {
            self.ask(at, id, now_ms, effects);
        }
        Outcome::Pending
    }

    /// Asks until those who have answered, and count, and those who may still answer are enough.
    fn ask_enough(&mut self, id: OperationId, now_ms: u64, effects: &mut Effects) {
        loop {
            let (complete, others) = self.counts();
            let open_owners = self.waits_for().count();
            let open = self.replicas.iter().filter(|replica| replica.is_open()).count();
            let next = if complete + open_owners < self.needed { self.next_owner() } else { None };
            let next = match next {
                None if complete + others + open < self.needed => self.next_stand_in(),
                next => next,
            };
            match next {
                Some(at) => self.ask(at, id, now_ms, effects),
                None => return,
            }
        }
    }

    fn next_owner(&self) -> Option<usize> {
        self.replicas.iter().position(|replica| replica.is_owner && replica.may_be_asked())
    }

    /// Stand-ins are asked when too few owners are live, and for a session that has seen what no live owner has: they may not have handed
    /// it over yet, also when all owners are back.
    fn next_stand_in(&self) -> Option<usize> {
        let is_up = |replica: &&Replica| replica.is_owner && (replica.pace != Pace::Down || replica.answer.is_some());
        let up = self.replicas.iter().filter(is_up).count();
        let wanted = up < self.needed || self.counts().0 < self.needed || self.lacks_for_session();
        let next = || self.replicas.iter().position(|replica| !replica.is_owner && replica.may_be_asked());
        wanted.then(next).flatten()
    }

    fn ask(&mut self, at: usize, id: OperationId, now_ms: u64, effects: &mut Effects) {
        // One full answer, the rest versions only; of a stand-in there is little, and nobody else may have it.
        let has_full = self.replicas.iter().any(|replica| match (&replica.answer, replica.asked) {
            (Some(answer), _) => answer.mode == FetchMode::Full,
            (None, Some((since, mode))) => mode == FetchMode::Full && replica.is_open() && since == now_ms,
            (None, None) => false,
        });
        let replica = &mut self.replicas[at];
        let mode = if has_full && replica.is_owner { FetchMode::Dots } else { FetchMode::Full };
        replica.asked = Some((now_ms, mode));
        effects.send(replica.member, fetch(id, &self.key, mode));
    }

    /// Complete owners that have answered, and all others that have.
    fn counts(&self) -> (usize, usize) {
        let (mut complete, mut others) = (0, 0);
        for answer in self.replicas.iter().filter_map(|replica| replica.answer.as_ref()) {
            *(if answer.complete { &mut complete } else { &mut others }) += 1;
        }
        (complete, others)
    }

    fn verdict(&self, merged: &Entry) -> Verdict {
        self.question.judge(merged, self.counts(), self.needed)
    }

    fn answers(&self) -> impl Iterator<Item = (&Replica, &Answer)> {
        self.replicas.iter().filter_map(|replica| Some((replica, replica.answer.as_ref()?)))
    }

    fn merge(&self) -> Entry {
        let mut merged = Entry::default();
        for (_, answer) in self.answers() {
            merged.merge(answer.entry.clone());
        }
        merged
    }

    /// The live dots that nobody has sent the value of.
    fn without_value(&self, merged: &Entry) -> Vec<Dot> {
        let full = || self.answers().map(|(_, answer)| answer).filter(|answer| answer.mode == FetchMode::Full);
        if full().any(|answer| same_dots(&answer.entry, merged) || is_broken(Rule::ValuesMissing)) {
            return Vec::new();
        }
        let valued: Seen = full().flat_map(|answer| answer.entry.dots()).collect();
        merged.dots().filter(|dot| !valued.contains(*dot)).collect()
    }

    fn holders(&self, dot: Dot) -> impl Iterator<Item = &Replica> {
        let holds = move |answer: &Answer| answer.mode == FetchMode::Dots && answer.entry.is_live(dot);
        self.answers().filter(move |(_, answer)| holds(answer)).map(|(replica, _)| replica)
    }

    fn fetch_value(&self, id: OperationId, dot: Dot, effects: &mut Effects) {
        // Of several holders one that can be reached, the quickest first.
        if let Some(holder) = self.holders(dot).min_by_key(|holder| holder.pace) {
            let asked_already = effects.sends.iter().any(|(to, message)| {
                *to == holder.member && matches!(message, Message::Fetch(fetch) if fetch.mode == FetchMode::Full)
            });
            if !asked_already {
                effects.send(holder.member, fetch(id, &self.key, FetchMode::Full));
            }
        }
    }

    fn lacks_for_session(&self) -> bool {
        self.has_session() && !self.session_is_seen(&self.merge())
    }

    /// True if there is something that the answer must have seen.
    pub fn has_session(&self) -> bool {
        !self.must_see.is_empty()
    }

    fn session_is_seen(&self, merged: &Entry) -> bool {
        let mut unseen = self.must_see.clone();
        unseen.subtract(merged.context());
        if !unseen.is_empty() {
            unseen.subtract(&merged.dots().collect());
        }
        unseen.is_empty() || is_broken(Rule::SessionUnchecked)
    }

    fn finish(&self, merged: Entry) -> Merged {
        let (complete, others) = self.counts();
        let stood_in = if complete >= self.needed { 0 } else { others };
        let counts = |answer: &Answer| answer.complete || stood_in > 0;
        let agrees = |answer: &Answer| same_dots(&answer.entry, &merged);
        let behind = self.answers().filter(|(replica, answer)| replica.is_owner && !agrees(answer));
        Merged {
            answered: (complete + stood_in) as u8,
            agreed: self.answers().filter(|(_, answer)| counts(answer) && agrees(answer)).count() as u8,
            stood_in: stood_in as u8,
            behind: behind.map(|(replica, _)| replica.member).collect(),
            entry: merged,
        }
    }
}

impl Replica {
    fn is_open(&self) -> bool {
        self.asked.is_some() && self.answer.is_none() && self.pace != Pace::Down
    }

    fn may_be_asked(&self) -> bool {
        self.asked.is_none() && self.pace != Pace::Down
    }
}

fn stand_in(member: MemberId) -> Replica {
    Replica { member, is_owner: false, pace: Pace::Quick, asked: None, answer: None }
}

fn fetch(id: OperationId, key: &Bytes, mode: FetchMode) -> Message {
    Message::Fetch(Fetch { operation: id, key: key.clone(), mode })
}

/// What brings those who were behind up to date: the merged entry, by the one message by which values arrive anywhere.
pub fn repair(key: &Bytes, merged: &Merged, operation: OperationId, effects: &mut Effects) {
    if merged.behind.is_empty() {
        return;
    }
    let entry = match merged.entry.versions().iter().max_by_key(|version| version.time) {
        _ if is_broken(Rule::RepairBare) => pack_bare(&merged.entry),
        Some(newest) if is_broken(Rule::RepairPicks) => {
            let mut context = merged.entry.context().clone();
            merged.entry.dots().for_each(|dot| context.insert(dot));
            pack(&Entry::new(vec![newest.clone()], context))
        }
        _ => pack(&merged.entry),
    };
    for member in &merged.behind {
        let apply = Apply { operation, key: key.clone(), entry: entry.clone(), naming: None, owed: Vec::new(), relief: false };
        effects.send(*member, Message::Apply(apply));
    }
}

fn same_dots(a: &Entry, b: &Entry) -> bool {
    a.versions().len() == b.versions().len() && a.dots().eq(b.dots())
}

#[cfg(test)]
mod tests;
