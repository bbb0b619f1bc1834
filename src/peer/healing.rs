//! Healing: a record that the disk has damaged is fetched from the other owners, while the tasks of its key wait. What is kept for owners that are down
//! is healed like what is owned.

use super::replica::Task;
use super::{Now, Output, Peer};
use crate::message::{Fetch, FetchMode, Fetched, Message, OperationId};
use crate::ring::{MemberId, PartitionId};
use crate::storage::{Location, Lost, LostHint};
use crate::vclock::{Entry, Seen, Version, pack, unpack};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Records that are being healed.
#[derive(Debug, Default)]
pub(super) struct Healings {
    by_place: BTreeMap<(PartitionId, Bytes), Healing>,
    places: BTreeMap<OperationId, (PartitionId, Bytes)>,
    /// Keys of which nobody has asked for the record, which is bad all the same: they are healed when there is room.
    queue: VecDeque<(PartitionId, Bytes)>,
}

#[derive(Debug)]
struct Healing {
    operation: OperationId,
    lost: Damaged,
    answers: BTreeMap<MemberId, Entry>,
    begun_ms: u64,
    /// When everybody is asked again (monotonic milliseconds).
    ask_ms: u64,
}

/// What becomes of a lost record.
struct Verdict {
    /// The versions that it held, or that take the place of what it held.
    versions: Vec<Version>,
    /// What to take in after that.
    merged: Entry,
    /// What had been seen here, of the whole partition, and nobody accounts for: part of that may have been live in the record, and is lost.
    unaccounted: Seen,
}

/// What cannot be read.
#[derive(Clone, Debug)]
enum Damaged {
    /// The record of a key that is owned here.
    Record(Lost),
    /// That of what is kept of a key for its owners.
    Hint(LostHint),
}

impl Damaged {
    fn location(&self) -> Location {
        match self {
            Damaged::Record(lost) => lost.location,
            Damaged::Hint(lost) => lost.location,
        }
    }
}

/// Tasks of the key wait for this long; then they are refused, and others serve them (milliseconds).
const TASKS_WAIT_MS: u64 = 1_000;
/// Everybody is asked again this often (milliseconds).
const ASK_AGAIN_MS: u64 = 1_000;
/// What all deny is given up after this long (milliseconds): what was on its way has arrived by then.
const GIVE_UP_MS: u64 = 5_000;
/// Records that nobody has asked for are healed while fewer than this many healings are under way.
const HEALINGS_MAX: usize = 64;
/// The ticket of tasks that wait for a healing: no read of the disk has it.
const NO_TICKET: u64 = 0;

impl Peer {
    /// A key's record is damaged: its tasks wait until it is healed.
    pub(super) fn heal(
        &mut self,
        now: Now,
        place: (PartitionId, Bytes),
        tasks: VecDeque<Task>,
        reason: &str,
        outbox: &mut Vec<Output>,
    ) {
        let Some(lost) = self.damaged(&place) else {
            return tasks.into_iter().for_each(|task| self.refuse(now, task, reason, outbox));
        };
        let known = self.healings.by_place.get(&place);
        if known.is_some_and(|healing| {
            healing.lost.location() == lost.location() && now.monotonic_ms >= healing.begun_ms + TASKS_WAIT_MS
        }) {
            return tasks.into_iter().for_each(|task| self.refuse(now, task, reason, outbox));
        }
        self.replica.hold(place.clone(), NO_TICKET, tasks);
        if known.is_some_and(|healing| healing.lost.location() == lost.location()) {
            return;
        }
        tracing::warn!(%reason, "a record is damaged: it is fetched from the other owners");
        self.forget_healing(&place);
        let operation = self.next_operation_id();
        let healing = Healing { operation, lost, answers: BTreeMap::new(), begun_ms: now.monotonic_ms, ask_ms: now.monotonic_ms };
        self.healings.places.insert(operation, place.clone());
        self.healings.by_place.insert(place, healing);
        self.wake_healings(now, outbox);
    }

    /// What is known of the record of a key without reading it.
    fn damaged(&self, (partition, key): &(PartitionId, Bytes)) -> Option<Damaged> {
        let store = self.replica.store();
        match self.is_owner(*partition) {
            true => store.lost(*partition, key).map(Damaged::Record),
            false => store.lost_hint(*partition, key).map(Damaged::Hint),
        }
    }

    /// Bad places of the log have been found, and these keys lie in them: they are healed, too, and then the next start can pass over the places.
    pub(super) fn on_damage(&mut self, now: Now, keys: Vec<(PartitionId, Bytes)>, outbox: &mut Vec<Output>) {
        self.healings.queue.extend(keys);
        self.heal_queued(now, outbox);
    }

    fn heal_queued(&mut self, now: Now, outbox: &mut Vec<Output>) {
        while self.healings.by_place.len() < HEALINGS_MAX
            && let Some(place) = self.healings.queue.pop_front()
        {
            // A task that waits for the record will find by itself that it is bad.
            if self.replica.store().is_in_gap(&place) && !self.replica.is_held(&place) {
                self.heal(now, place, VecDeque::new(), "nobody has asked for it, but it lies beside one that is damaged", outbox);
            }
        }
        self.replica.store_mut().close_gaps();
    }

    /// How many records are being healed.
    pub(super) fn healings(&self) -> usize {
        self.healings.by_place.len()
    }

    /// When a healing wants to be woken (monotonic milliseconds).
    pub(super) fn next_healing(&self) -> Option<u64> {
        self.healings.by_place.values().map(|healing| healing.ask_ms).min()
    }

    /// Asks everybody again, refuses the tasks that have waited for long, gives up what all deny.
    pub(super) fn wake_healings(&mut self, now: Now, outbox: &mut Vec<Output>) {
        let due = |healing: &&mut Healing| now.monotonic_ms >= healing.ask_ms;
        let mut late = Vec::new();
        for (place, healing) in &mut self.healings.by_place {
            let Some(healing) = Some(healing).filter(due) else { continue };
            healing.ask_ms = now.monotonic_ms + ASK_AGAIN_MS;
            let fetch = Fetch { operation: healing.operation, key: place.1.clone(), mode: FetchMode::Full };
            // Whoever is no owner may keep a hint of it.
            let others = self.placement.iter().flat_map(|placement| placement.members()).map(|founder| founder.member);
            for member in others.filter(|member| *member != self.me) {
                self.effects.send(member, Message::Fetch(fetch.clone()));
            }
            if now.monotonic_ms >= healing.begun_ms + TASKS_WAIT_MS {
                late.push(place.clone());
            }
        }
        self.flush_effects(outbox);
        for place in late {
            for task in self.replica.release(&place, NO_TICKET) {
                self.refuse(now, task, "its record is damaged, and the other owners have not brought it back yet", outbox);
            }
            self.settle_healing(now, &place, outbox);
        }
    }

    /// Somebody has told what it holds of a key whose record is lost here. False if the question was another one.
    pub(super) fn on_fetched_for_healing(&mut self, now: Now, from: MemberId, fetched: &Fetched, outbox: &mut Vec<Output>) -> bool {
        let Some(place) = self.healings.places.get(&fetched.operation).cloned() else { return false };
        if fetched.mode == FetchMode::Full
            && !fetched.entry.is_empty()
            && let Ok(entry) = unpack(&fetched.entry)
            && let Some(healing) = self.healings.by_place.get_mut(&place)
        {
            healing.answers.insert(from, entry);
            self.settle_healing(now, &place, outbox);
        }
        true
    }

    /// Writes the key down anew if the answers allow it, and lets its tasks go on.
    fn settle_healing(&mut self, now: Now, place: &(PartitionId, Bytes), outbox: &mut Vec<Output>) {
        let Some(healing) = self.healings.by_place.get(place) else { return };
        let lost = match healing.lost.clone() {
            Damaged::Record(lost) => lost,
            Damaged::Hint(lost) => return self.settle_hint(now, place, &lost, outbox),
        };
        let Some(Verdict { versions, merged, unaccounted }) = self.verdict(now, place, healing, &lost) else { return };
        let given_up = !unaccounted.is_empty();
        self.forget_healing(place);
        let store = self.replica.store_mut();
        if store.mend(place.0, &place.1, &lost, versions).is_some() {
            tracing::info!(partition = place.0.0, given_up, "a damaged record has been written anew");
            // What the others have beside it comes in as ever.
            if let Err(error) = self.replica.store_mut().take(place.0, &place.1, &pack(&merged), None) {
                tracing::warn!(
                    ?error,
                    "what others hold of a key whose record was damaged could not be taken in; comparison brings it"
                );
            }
            if given_up {
                self.replica.store_mut().give_up(lost.location);
                self.losses.note_record(place, &unaccounted, self.replica.store().actor());
                let key = String::from_utf8_lossy(&place.1).into_owned();
                self.alarm(format!(
                    "the record of the key {key:?} in partition {} was damaged, and no other peer has all that this one had seen: acknowledged \
                     writes of that key may be missing",
                    place.0.0
                ));
            }
        }
        self.go_on(now, place, outbox);
    }

    /// The same for what is kept of a key for its owners.
    fn settle_hint(&mut self, now: Now, place: &(PartitionId, Bytes), lost: &LostHint, outbox: &mut Vec<Output>) {
        let Some(healing) = self.healings.by_place.get(place) else { return };
        let present = self.replica.store().lost_hint(place.0, &place.1);
        // Handed over from memory meanwhile, or replaced: then there is nothing to heal.
        if present.is_some_and(|present| present.location == lost.location) {
            let Some((entry, given_up)) = self.verdict_of_hint(now, place.0, healing, lost) else { return };
            let store = self.replica.store_mut();
            if store.mend_hint(place.0, &place.1, lost, &entry).is_some() {
                tracing::info!(
                    partition = place.0.0,
                    given_up,
                    "a damaged record of what is owed to another peer has been written anew"
                );
                if given_up {
                    store.give_up(lost.location);
                    let key = String::from_utf8_lossy(&place.1).into_owned();
                    self.alarm(format!(
                        "what this peer kept of the key {key:?} in partition {} for owners that were down was damaged, and no other peer has all \
                         of it: acknowledged writes of that key may be missing",
                        place.0.0
                    ));
                }
            }
        }
        self.forget_healing(place);
        self.go_on(now, place, outbox);
    }

    /// Nothing is to be healed any more in this place.
    fn go_on(&mut self, now: Now, place: &(PartitionId, Bytes), outbox: &mut Vec<Output>) {
        for task in self.replica.release(place, NO_TICKET) {
            self.run_in_order(now, place.0, place.1.clone(), task, outbox);
        }
        self.heal_queued(now, outbox);
    }

    /// What becomes of the lost record. None: not yet.
    fn verdict(&self, now: Now, (partition, key): &(PartitionId, Bytes), healing: &Healing, lost: &Lost) -> Option<Verdict> {
        let brought_back = |versions, merged| Some(Verdict { versions, merged, unaccounted: Seen::new() });
        let merged = healing.merged();
        for (member, answer) in &healing.answers {
            if self.replica.store().is_lost_state(key, lost, answer.versions()) {
                return brought_back(answer.versions().to_vec(), merged);
            }
            let Some(dot) = lost.dot else { continue };
            let same: Vec<Version> = answer.versions().iter().filter(|version| version.dot == dot).cloned().collect();
            if self.replica.store().is_lost_state(key, lost, &same) {
                return brought_back(same, merged);
            }
            // It has been replaced since, and this replica was only behind.
            let is_gone = !answer.is_live(dot) && answer.context().contains(dot);
            if is_gone && self.owners_of(*partition).contains(member) {
                return brought_back(Vec::new(), merged);
            }
        }
        // A dot that is live there and was seen here may have been live here, too.
        let versions: Vec<Version> = merged.versions().iter().filter(|version| lost.clock.contains(version.dot)).cloned().collect();
        let told = told_by(&merged);
        // Whatever was live here has been seen elsewhere: it is live there, or gone.
        let mut unaccounted = lost.clock.clone();
        unaccounted.subtract(&told);
        let is_told_of_all = unaccounted.is_empty();
        // They have seen more since, and the rest is just what was here. Or nothing of it is left, replaced, removed or expired: whoever
        // has not answered could add nothing to that.
        if self.replica.store().is_lost_state(key, lost, &versions) || (is_told_of_all && versions.is_empty()) {
            return brought_back(versions, merged);
        }
        if !self.have_all_answered(now, *partition, healing) {
            return None;
        }
        // All owners have been heard: what is live among them is gone for none of them.
        (is_told_of_all || healing.is_old(now)).then_some(Verdict { versions, merged, unaccounted })
    }

    /// What takes the place of a lost hint, and whether something may be lost by it. None: not yet.
    ///
    /// It says what the lost one said: of each of its versions that it is live, as somebody has it, or that it is gone; its context is known. What
    /// nobody has seen is left out, as if it had never come here.
    fn verdict_of_hint(&self, now: Now, partition: PartitionId, healing: &Healing, lost: &LostHint) -> Option<(Entry, bool)> {
        let merged = healing.merged();
        let mut unknown = lost.live.clone();
        unknown.subtract(&told_by(&merged));
        let given_up = !unknown.is_empty();
        if given_up && !(healing.is_old(now) && self.have_all_answered(now, partition, healing)) {
            return None;
        }
        let (mut versions, _) = merged.into_parts();
        versions.retain(|version| lost.live.contains(version.dot));
        let mut gone = lost.live.clone();
        gone.subtract(&versions.iter().map(|version| version.dot).collect());
        let mut context = lost.context.clone();
        context.union_with(&gone);
        context.subtract(&unknown);
        Some((Entry::new(versions, context), given_up))
    }

    /// True if everybody has told what it holds. After a while whoever is no owner may be silent.
    fn have_all_answered(&self, now: Now, partition: PartitionId, healing: &Healing) -> bool {
        let may_be_silent = |member: MemberId| healing.is_old(now) && !self.owners_of(partition).contains(&member);
        let is_answered = |member: MemberId| member == self.me || healing.answers.contains_key(&member) || may_be_silent(member);
        self.founders().iter().all(|founder| is_answered(founder.member))
    }

    fn forget_healing(&mut self, place: &(PartitionId, Bytes)) {
        if let Some(healing) = self.healings.by_place.remove(place) {
            self.healings.places.remove(&healing.operation);
        }
    }
}

impl Healing {
    /// What all answers say together.
    fn merged(&self) -> Entry {
        self.answers.values().fold(Entry::default(), |mut merged, answer| {
            merged.merge(answer.clone());
            merged
        })
    }

    /// True if what was on its way when it began has arrived.
    fn is_old(&self, now: Now) -> bool {
        now.monotonic_ms >= self.begun_ms + GIVE_UP_MS
    }
}

/// The dots that an entry has seen, live or gone.
fn told_by(entry: &Entry) -> Seen {
    let mut told: Seen = entry.context().clone();
    entry.dots().for_each(|dot| told.insert(dot));
    told
}
