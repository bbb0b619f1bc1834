//! Healing: a record that the disk has damaged is fetched from the other owners, while the tasks of its key wait.

use super::replica::Task;
use super::{Now, Output, Peer};
use crate::message::{Fetch, FetchMode, Fetched, Message, OperationId};
use crate::ring::{MemberId, PartitionId};
use crate::storage::Lost;
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
    lost: Lost,
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
        let lost = match self.is_owner(place.0) {
            true => self.replica.store().lost(place.0, &place.1),
            false => None,
        };
        let Some(lost) = lost else { return tasks.into_iter().for_each(|task| self.refuse(now, task, reason, outbox)) };
        let known = self.healings.by_place.get(&place);
        if known
            .is_some_and(|healing| healing.lost.location == lost.location && now.monotonic_ms >= healing.begun_ms + TASKS_WAIT_MS)
        {
            return tasks.into_iter().for_each(|task| self.refuse(now, task, reason, outbox));
        }
        self.replica.hold(place.clone(), NO_TICKET, tasks);
        if known.is_some_and(|healing| healing.lost.location == lost.location) {
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
        let Some(Verdict { versions, merged, unaccounted }) = self.verdict(now, place, healing) else { return };
        let (lost, given_up) = (healing.lost.clone(), !unaccounted.is_empty());
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
                self.replica.store_mut().give_up(&lost);
                self.losses.note_record(place, &unaccounted, self.replica.store().actor());
                let key = String::from_utf8_lossy(&place.1).into_owned();
                self.alarm(format!(
                    "the record of the key {key:?} in partition {} was damaged, and no other peer has all that this one had seen: acknowledged \
                     writes of that key may be missing",
                    place.0.0
                ));
            }
        }
        for task in self.replica.release(place, NO_TICKET) {
            self.run_in_order(now, place.0, place.1.clone(), task, outbox);
        }
        self.heal_queued(now, outbox);
    }

    /// What becomes of the lost record. None: not yet.
    fn verdict(&self, now: Now, (partition, key): &(PartitionId, Bytes), healing: &Healing) -> Option<Verdict> {
        let lost = &healing.lost;
        let brought_back = |versions, merged| Some(Verdict { versions, merged, unaccounted: Seen::new() });
        let merged = healing.answers.values().fold(Entry::default(), |mut merged, answer| {
            merged.merge(answer.clone());
            merged
        });
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
        let mut told: Seen = merged.context().clone();
        merged.dots().for_each(|dot| told.insert(dot));
        // Whatever was live here has been seen elsewhere: it is live there, or gone.
        let mut unaccounted = lost.clock.clone();
        unaccounted.subtract(&told);
        let is_told_of_all = unaccounted.is_empty();
        // They have seen more since, and the rest is just what was here. Or nothing of it is left, replaced, removed or expired: whoever
        // has not answered could add nothing to that.
        if self.replica.store().is_lost_state(key, lost, &versions) || (is_told_of_all && versions.is_empty()) {
            return brought_back(versions, merged);
        }
        let silent_may_be_none = now.monotonic_ms >= healing.begun_ms + GIVE_UP_MS;
        let is_answered = |member: MemberId| {
            member == self.me
                || healing.answers.contains_key(&member)
                || (silent_may_be_none && !self.owners_of(*partition).contains(&member))
        };
        if !self.founders().iter().all(|founder| is_answered(founder.member)) {
            return None;
        }
        // All owners have been heard: what is live among them is gone for none of them.
        (is_told_of_all || silent_may_be_none).then_some(Verdict { versions, merged, unaccounted })
    }

    fn forget_healing(&mut self, place: &(PartitionId, Bytes)) {
        if let Some(healing) = self.healings.by_place.remove(place) {
            self.healings.places.remove(&healing.operation);
        }
    }
}
