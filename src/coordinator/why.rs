//! Why a read of a key says what it says: everybody who can be reached is asked, and what they hold is set side by side.

use super::read::{Question, Verdict, is_plain_version, verdict};
use super::{Effects, Outcome};
use crate::limits::WHY_VERSIONS_MAX;
use crate::message::{Choice, Fate, Fetch, FetchMode, Fetched, Held, Holding, Judged, Message, OperationId, Says, Would};
use crate::ring::MemberId;
use crate::vclock::{Actor, Dot, Entry, Kind, Path, Seen, Typed, Version, unpack};
use bytes::Bytes;
use std::collections::BTreeMap;

/// An explanation under way.
#[derive(Debug)]
pub struct Inquiry {
    key: Bytes,
    question: Question,
    /// The owners in their order, then the others.
    members: Vec<MemberId>,
    owners: usize,
    /// Who is waited for.
    open: Vec<MemberId>,
    answers: BTreeMap<MemberId, Answer>,
}

#[derive(Debug)]
struct Answer {
    /// None: held, and not to be read.
    entry: Option<Entry>,
    complete: bool,
    holding: Holding,
}

/// What has been found out.
#[derive(Debug)]
pub struct Finding {
    /// What each member said, in the order in which they were given; none if it did not answer.
    pub held: Vec<Option<Held>>,
    /// The versions at and below the path.
    pub versions: Vec<Judged>,
    /// So many more are not listed.
    pub more: u32,
    /// What reads would have said.
    pub quorums: Vec<Would>,
}

/// A version, who holds it and for whom it is gone: one bit for each of the replicas.
struct Weighed<'a> {
    version: &'a Version,
    live: u64,
    gone: u64,
}

impl Weighed<'_> {
    /// True if these replicas together hold it: a dot is unknown, live or gone to each of them, and the greater counts.
    fn is_live_among(&self, replicas: u64) -> bool {
        self.live & replicas != 0 && self.gone & replicas == 0
    }
}

impl Inquiry {
    /// Asks all owners and others that are live. The owners come first among `members`.
    pub fn new(
        (key, question): (Bytes, Question),
        (members, owners): (Vec<MemberId>, usize),
        is_live: impl Fn(MemberId) -> bool,
    ) -> Inquiry {
        let open = members.iter().copied().filter(|member| is_live(*member)).collect();
        Inquiry { key, question, members, owners, open, answers: BTreeMap::new() }
    }

    /// True if nobody is waited for.
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// The key.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// The owners, then the others.
    pub fn members(&self) -> (&[MemberId], &[MemberId]) {
        self.members.split_at(self.owners)
    }

    /// Asks whoever has not answered; again when there was no answer for a while.
    pub fn send(&self, id: OperationId, effects: &mut Effects) {
        for member in &self.open {
            effects.send(*member, Message::Fetch(Fetch { operation: id, key: self.key.clone(), mode: FetchMode::Explain }));
        }
    }

    /// A member has answered.
    pub fn on_fetched(&mut self, from: MemberId, fetched: &Fetched) -> Outcome<()> {
        let entry = (!fetched.entry.is_empty()).then(|| unpack(&fetched.entry).ok()).flatten();
        let is_owner = self.members[..self.owners].contains(&from);
        if self.open.contains(&from) {
            let holding = fetched.holding.as_deref().cloned().unwrap_or_default();
            self.answers.insert(from, Answer { entry, complete: fetched.complete && is_owner, holding });
        }
        self.give_up(from)
    }

    /// A member can be waited for no more.
    pub fn give_up(&mut self, member: MemberId) -> Outcome<()> {
        self.open.retain(|open| *open != member);
        if self.open.is_empty() { Outcome::Done(()) } else { Outcome::Pending }
    }

    /// What has been found out so far. `author` names the member behind an actor.
    pub fn finding(&self, author: impl Fn(Actor) -> Option<MemberId>) -> Finding {
        let weighed = self.weigh();
        let shown: Vec<&Weighed<'_>> =
            weighed.iter().filter(|weighed| self.question.path.contains(&weighed.version.path)).collect();
        let state = live_state(&shown);
        let fates = fates(&shown, &state, self.question.wall_ms);
        let listed = shown.iter().zip(fates).take(WHY_VERSIONS_MAX);
        let versions: Vec<Judged> =
            listed.map(|(weighed, (fate, beside))| self.judged(weighed, &state, (fate, beside), &author)).collect();
        Finding {
            held: self.members.iter().map(|member| self.answers.get(member).map(held)).collect(),
            more: (shown.len() - versions.len()) as u32,
            versions,
            quorums: (1..=self.owners).map(|r| Would { r: r as u8, choices: self.choices(r, &weighed) }).collect(),
        }
    }

    /// Those who answered with what can be read, in order; of others than owners only who holds something. One bit for each.
    fn speakers(&self) -> Vec<(MemberId, &Answer, &Entry)> {
        let speaks = |(at, member): (usize, &MemberId)| {
            let answer = self.answers.get(member)?;
            let entry = answer.entry.as_ref()?;
            (at < self.owners || !entry.is_empty()).then_some((*member, answer, entry))
        };
        self.members.iter().enumerate().filter_map(speaks).take(u64::BITS as usize).collect()
    }

    /// Every version that anybody holds, in (path, dot) order.
    fn weigh(&self) -> Vec<Weighed<'_>> {
        let speakers = self.speakers();
        let mut weighed: BTreeMap<(&Path, Dot), Weighed<'_>> = BTreeMap::new();
        for (bit, (_, _, entry)) in speakers.iter().enumerate() {
            for version in entry.versions() {
                let place = weighed.entry((&version.path, version.dot));
                place.or_insert(Weighed { version, live: 0, gone: 0 }).live |= 1 << bit;
            }
        }
        let mut weighed: Vec<Weighed<'_>> = weighed.into_values().collect();
        for (bit, (_, _, entry)) in speakers.iter().enumerate() {
            for one in weighed.iter_mut().filter(|one| one.live & (1 << bit) == 0 && entry.context().contains(one.version.dot)) {
                one.gone |= 1 << bit;
            }
        }
        weighed
    }

    fn judged(
        &self,
        weighed: &Weighed<'_>,
        state: &Entry,
        (fate, beside): (Fate, Vec<Dot>),
        author: impl Fn(Actor) -> Option<MemberId>,
    ) -> Judged {
        let speakers = self.speakers();
        let of = |mask: u64| {
            let members = speakers.iter().enumerate().filter(move |(bit, _)| mask & (1 << bit) != 0);
            members.map(|(_, (member, ..))| *member).collect::<Vec<_>>()
        };
        let version = weighed.version;
        Judged {
            dot: version.dot,
            author: author(version.dot.actor),
            path: version.path.to_text(),
            kind: version.kind as u8,
            bytes: shown_bytes(version) as u32,
            wall_ms: version.time.wall_ms(),
            expiry_ms: state.expiry_of(version),
            held_by: of(weighed.live),
            fate,
            gone_at: of(weighed.gone),
            beside,
        }
    }

    /// What a read with this R would have said, for every choice of owners that answered.
    fn choices(&self, r: usize, weighed: &[Weighed<'_>]) -> Vec<Choice> {
        let speakers = self.speakers();
        let owners: Vec<usize> =
            (0..speakers.len()).filter(|bit| self.members[..self.owners].contains(&speakers[*bit].0)).collect();
        let mut masks: Vec<u64> = (0..1_u64 << owners.len()).filter(|mask| mask.count_ones() as usize == r).collect();
        // Bits are counted among the owners that answered; those come first among the speakers.
        let mut silent = Vec::new();
        if owners.len() < r {
            let all = (0..speakers.len()).take(r).fold(0, |mask, bit| mask | 1 << bit);
            // Who holds nothing for the owners answers too.
            let holds_nothing =
                |member: &&MemberId| self.answers.contains_key(*member) && !speakers.iter().any(|speaker| speaker.0 == **member);
            let missing = r.saturating_sub(speakers.len());
            silent.extend(self.members[self.owners..].iter().filter(holds_nothing).take(missing).copied());
            masks = vec![all];
        }
        let everybody = (0..speakers.len()).fold(0_u64, |mask, bit| mask | 1 << bit);
        let all = self.live_among(everybody, weighed);
        let choice = |mask: u64| {
            let chosen = || speakers.iter().enumerate().filter(move |(bit, _)| mask & (1 << bit) != 0).map(|(_, speaker)| speaker);
            let complete = chosen().filter(|(_, answer, _)| answer.complete).count();
            let others = chosen().count() - complete + silent.len();
            let live = self.live_among(mask, weighed);
            let is_shown = !live.is_empty();
            // Of the whole key, not of the path.
            let whole: Vec<&Weighed<'_>> = weighed.iter().filter(|weighed| weighed.is_live_among(mask)).collect();
            let is_plain = matches!(whole.as_slice(), [only] if is_plain_version(only.version));
            let says = match verdict((is_shown, is_plain), (complete, others), r) {
                Verdict::Found => Says::Found,
                Verdict::Missing => Says::Missing,
                Verdict::Unreachable => Says::Unreachable,
            };
            let same = says != Says::Unreachable && live.iter().map(dot_of).eq(all.iter().map(dot_of));
            let members = chosen().map(|(member, ..)| *member).chain(silent.iter().copied()).collect();
            Choice { members, says, same }
        };
        masks.into_iter().map(choice).collect()
    }

    /// What a read of the path shows if these replicas answer.
    fn live_among<'a, 'w>(&self, replicas: u64, weighed: &'w [Weighed<'a>]) -> Vec<&'w Weighed<'a>> {
        let live: Vec<&Weighed<'_>> = weighed.iter().filter(|weighed| weighed.is_live_among(replicas)).collect();
        let state = state_of(live.iter().map(|weighed| weighed.version));
        live.into_iter().filter(|weighed| self.question.shows(weighed.version, state.expiry_of(weighed.version))).collect()
    }
}

/// What is live of these versions, as an entry: it knows when each of them is hidden.
fn live_state(versions: &[&Weighed<'_>]) -> Entry {
    state_of(versions.iter().filter(|weighed| weighed.gone == 0).map(|weighed| weighed.version))
}

fn state_of<'a>(versions: impl Iterator<Item = &'a Version>) -> Entry {
    Entry::new(versions.cloned().collect(), Seen::new())
}

fn dot_of(weighed: &&Weighed<'_>) -> Dot {
    weighed.version.dot
}

fn held(answer: &Answer) -> Held {
    Held {
        is_readable: answer.entry.is_some(),
        complete: answer.complete,
        versions: answer.entry.as_ref().map_or(0, |entry| entry.versions().len() as u32),
        context_intervals: answer.holding.context_intervals,
        owed: answer.holding.owed.clone(),
    }
}

/// What became of each version, and which live ones stand in its place or beside it.
fn fates(versions: &[&Weighed<'_>], state: &Entry, wall_ms: u64) -> Vec<(Fate, Vec<Dot>)> {
    let expires = |version: &Version| Some(state.expiry_of(version)).filter(|expiry_ms| *expiry_ms != 0);
    let is_live = |weighed: &Weighed<'_>| weighed.gone == 0 && expires(weighed.version).is_none_or(|expiry_ms| expiry_ms > wall_ms);
    let live: Vec<&Version> = versions.iter().filter(|weighed| is_live(weighed)).map(|weighed| weighed.version).collect();
    // What lies below a leaf quarrels with it: the place of a quarrel is that of its topmost leaf.
    let mut leaves: BTreeMap<&Path, ()> = BTreeMap::new();
    leaves.extend(
        live.iter().filter(|version| !matches!(version.kind, Kind::EmptyMap | Kind::Term)).map(|version| (&version.path, ())),
    );
    let place = |path: &Path| {
        let above = path.ancestors().filter(|above| leaves.contains_key(above)).min_by_key(|above| above.as_bytes().len());
        above.unwrap_or_else(|| path.clone())
    };
    let mut quarrels: BTreeMap<Path, Vec<&Version>> = BTreeMap::new();
    for version in &live {
        quarrels.entry(place(&version.path)).or_default().push(version);
    }
    let fate = |weighed: &&Weighed<'_>| {
        let version = weighed.version;
        let at = place(&version.path);
        let beside: Vec<&Version> = quarrels.get(&at).map(Vec::as_slice).unwrap_or_default().to_vec();
        if weighed.gone != 0 {
            let near = |other: &&&Version| other.path.contains(&version.path) || version.path.contains(&other.path);
            let near = live.iter().filter(near).take(BESIDE_MAX);
            return (Fate::Replaced, near.map(|other| other.dot).collect());
        }
        if !is_live(weighed) {
            return (Fate::Expired, Vec::new());
        }
        let others: Vec<Dot> =
            beside.iter().filter(|other| quarrel(version, other)).map(|other| other.dot).take(BESIDE_MAX).collect();
        if others.is_empty() {
            return (Fate::Shown, others);
        }
        let newest = beside.iter().max_by_key(|version| (version.time, version.dot)).expect("it is one of them");
        // An object is shown by its newest leaf, as a whole.
        let wins = newest.dot == version.dot || (newest.path != at && version.path != at);
        (if wins { Fate::SiblingNewest } else { Fate::SiblingOlder }, others)
    };
    versions.iter().map(fate).collect()
}

/// The size of a value as it is shown: without its content type.
fn shown_bytes(version: &Version) -> usize {
    match version.kind {
        Kind::Typed => Typed::from_packed(version.value.clone()).map_or(version.value.len(), |typed| typed.bytes().len()),
        _ => version.value.len(),
    }
}

/// Versions that are named beside another one, at most: of a large object that was replaced there may be many.
const BESIDE_MAX: usize = 16;

/// True if two live versions cannot both be the value: they differ at one path, or one lies below the other.
fn quarrel(a: &Version, b: &Version) -> bool {
    // A term says when amounts end, and is nothing besides.
    if a.dot == b.dot || a.kind == Kind::Term || b.kind == Kind::Term {
        return false;
    }
    match a.path == b.path {
        true => {
            let adds_up = |kind: Kind| matches!(kind, Kind::Amount | Kind::Element | Kind::EmptyMap);
            (a.kind, &a.value) != (b.kind, &b.value) && !(a.kind == b.kind && adds_up(a.kind))
        }
        false => a.path.contains(&b.path) && a.kind != Kind::EmptyMap || b.path.contains(&a.path) && b.kind != Kind::EmptyMap,
    }
}

#[cfg(test)]
mod tests;
