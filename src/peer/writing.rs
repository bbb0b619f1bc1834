//! Writes under way: this replica's view of the key, the draft, the dots, the acknowledgements.

use super::operation::{Machine, Operation, ReplyTo, Wanted};
use super::{Now, Output, Peer};
use crate::broken::{Rule, is_broken};
use crate::coordinator::{
    Acknowledged, Draft, DraftError, FirstTry, Intent, Outcome, Plan, Question, Remembered, View, Write, Written, left_alone,
    sealed_receipt,
};
use crate::limits::RETRY_HINT_MS;
use crate::message::{Applied, Attempt, FailureKind, Missing, Naming, OperationId, Position, Reply};
use crate::ring::{MemberId, PartitionId};
use crate::storage::RetryNote;
use crate::vclock::{Dot, Entry, Path, Sealed, Seen, pack};
use bytes::Bytes;
use std::sync::Arc;

impl Peer {
    /// This replica's view of the key of a write has been read.
    pub(super) fn on_view(&mut self, now: Now, id: OperationId, view: Result<Entry, String>, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get(&id) else { return };
        let Machine::Drafting(drafting) = &operation.machine else { return };
        let entry = match view {
            Ok(entry) => entry,
            Err(reason) => return self.fail(id, FailureKind::Storage, reason, 0, outbox),
        };
        let partition = self.partition_of(&drafting.key);
        let is_owner = self.is_owner(partition);
        // Another try of this write may have been drawn up while this one waited for the disk or for other owners.
        let meanwhile = drafting
            .retry
            .as_ref()
            .and_then(|retry| self.retries.get(retry.session, retry.number).filter(|first| first.digest == retry.digest));
        if drafting.waits_for_first_try() {
            return self.answer_removal_again(now, id, outbox);
        }
        let is_increment = matches!(drafting.intent, Intent::Increment { .. });
        if let Some(again) = drafting.again.clone().filter(|_| !is_increment || !is_broken(Rule::IncrementAgain)) {
            return self.spread_again(id, &entry, &again, outbox);
        }
        if let Some(meanwhile) = meanwhile.cloned().filter(|_| !is_increment || !is_broken(Rule::IncrementAgain)) {
            // This view may have no values; what is spread again needs them.
            self.remember(id, meanwhile);
            return self.view_for(now, id, outbox);
        }
        let is_expiry = matches!(drafting.intent, Intent::Expire { .. });
        let everything = Question { path: Path::ROOT, wall_ms: now.wall_ms };
        let folds = if is_increment { self.folds(&drafting.key.clone(), &entry) } else { None };
        let Some(Operation { machine: Machine::Drafting(drafting), .. }) = self.operations.get(&id) else { return };
        let view = View { folds, ..self.as_view(now, &entry, partition) };
        match drafting.intent.draw_up(view, drafting.sealed.as_ref()) {
            Ok(_) if is_expiry && !everything.shows_any(&entry) => self.answer_missing(id, &entry, outbox),
            Ok(draft) => self.spread(now, id, draft, outbox),
            Err(DraftError::Behind) if is_owner && !drafting.has_caught_up => self.catch_up(now, id, outbox),
            Err(DraftError::Behind) => {
                let message = "too few owners of the key can be reached to see what the context has seen: try again later, or \
                               write without a context"
                    .to_string();
                self.fail(id, FailureKind::Unavailable, message, RETRY_HINT_MS, outbox);
            }
            Err(error) => {
                let kind = match error {
                    DraftError::TooManySiblings(_) | DraftError::SiblingsTooLarge(_) => FailureKind::TooManySiblings,
                    DraftError::ValueTooLarge(_) | DraftError::DocumentTooLarge { .. } | DraftError::TooManyMembers(_) => {
                        FailureKind::TooLarge
                    }
                    DraftError::Document(_) | DraftError::Path(_) | DraftError::NoMember | DraftError::Behind => {
                        FailureKind::BadRequest
                    }
                };
                self.fail(id, kind, error.to_string(), 0, outbox);
            }
        }
    }

    fn remember(&mut self, id: OperationId, first: Remembered) {
        if let Some(operation) = self.operations.get_mut(&id)
            && let Machine::Drafting(drafting) = &mut operation.machine
        {
            drafting.again = Some(first);
        }
    }

    /// Gives a drawn-up write its dots and sends it to the owners.
    fn spread(&mut self, now: Now, id: OperationId, mut draft: Draft, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let until_ms = operation.deadline_ms;
        let Machine::Drafting(drafting) = &mut operation.machine else { return };
        let is_blind_removal = drafting.sealed.is_none() && draft.dots() == 0;
        let is_fold = matches!(drafting.intent, Intent::Increment { .. }) && !draft.covered().is_empty();
        let (key, demand, expiry_ms, retry) = (drafting.key.clone(), drafting.demand, drafting.expiry_ms, drafting.retry.take());
        let partition = self.partition_of(&key);
        let first = self.replica.store_mut().mint(partition, draft.dots());
        let time = self.clock.issue(now.wall_ms);
        if is_fold {
            draft.cover_too(&self.folding.below(&key, draft.covered()));
            self.folding.begin(&key, first, draft.covers().clone());
        }
        let retry = retry.map(|retry| RetryNote {
            first,
            count: draft.dots(),
            covered: draft.covered().iter().copied().collect(),
            wall_ms: now.wall_ms,
            ..retry
        });
        if let Some(retry) = &retry {
            // By the clock that never jumps: a jump must not make it forget a write that may be tried again.
            self.retries.insert(now.monotonic_ms, retry.session, retry.number, remembered(retry, until_ms));
        }
        let write = Write::new(draft.plan(key.clone(), first, time, expiry_ms), self.owners_of(partition).to_vec(), demand);
        let removal = retry.as_ref().filter(|_| is_blind_removal).map(|retry| (retry.session, retry.number));
        self.send_write(id, key, write, (retry, removal), outbox);
    }

    /// What a peer may say with when it draws up a write: an owner's clock. A stand-in has none (rule `standin_clock`).
    fn clock_for(&self, partition: PartitionId) -> &Seen {
        if self.is_owner(partition) { self.replica.store().clock(partition) } else { const { &Seen::new() } }
    }

    /// What is seen of a key here when a write of it is drawn up.
    fn as_view<'a>(&'a self, now: Now, entry: &'a Entry, partition: PartitionId) -> View<'a> {
        let (clock, time) = (self.clock_for(partition), self.clock.next(now.wall_ms));
        View { entry, clock, folds: None, wall_ms: now.wall_ms, time }
    }

    /// Whose amounts an increment may fold. A stand-in forgets what it has handed over, and might take an amount in again that it has folded.
    fn folds(&mut self, key: &Bytes, entry: &Entry) -> Option<Dot> {
        let partition = self.partition_of(key);
        if !self.is_owner(partition) {
            return None;
        }
        let store = self.replica.store();
        let clock = store.clock(partition);
        let may_fold = self.folding.may_fold(key, |dot| clock.contains(dot) || entry.has_seen(dot));
        may_fold.then(|| store.began_behind(partition))
    }

    /// There is nothing whose expiry could be set: a majority of the owners has been read.
    fn answer_missing(&mut self, id: OperationId, entry: &Entry, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let Machine::Drafting(drafting) = operation.machine else { return };
        let partition = self.partition_of(&drafting.key);
        let mut entry = entry.clone();
        entry.fill(self.clock_for(partition));
        let answered = (self.owners_of(partition).len() / 2 + 1) as u8;
        let sealed = Sealed { live: Seen::new(), context: entry.context().clone() };
        let context = sealed.seal(&self.seal_keys(), &drafting.key);
        self.reply(operation.to, Reply::Missing(Missing { context, answered }), Position(0), outbox);
    }

    fn send_write(
        &mut self,
        id: OperationId,
        key: Bytes,
        mut write: Write,
        (retry, removal): (Option<RetryNote>, Option<(u64, u64)>),
        outbox: &mut Vec<Output>,
    ) {
        let walk = self.walk_of(self.partition_of(&key));
        write.send(id, &walk, &mut self.effects);
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.machine = Machine::Write { key, write: Box::new(write), removal };
            operation.retry = retry;
        }
        self.flush_effects(outbox);
    }

    /// A retry of a removal without a context (`FirstTry` says why it spreads nothing): answered as the first try was, once that has ended.
    pub(super) fn answer_removal_again(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(Operation { machine: Machine::Drafting(drafting), .. }) = self.operations.get(&id) else { return };
        let remembered = drafting.retry.as_ref().and_then(|retry| self.retries.get(retry.session, retry.number));
        match remembered.map_or(FirstTry::Unknown, |first| first.first_try(now.monotonic_ms, drafting.demand)) {
            // `check` looks again.
            FirstTry::UnderWay => {}
            FirstTry::Acknowledged(acknowledged) => {
                let Some(operation) = self.operations.remove(&id) else { return };
                self.reply(operation.to, Reply::Written(acknowledged.receipt.clone()), Position(0), outbox);
            }
            FirstTry::Unknown => {
                let message = format!(
                    "{} has begun this removal before and does not know that it was acknowledged. It may or may not have taken effect: read \
                     the key to see, or remove it anew, under a number of its own",
                    self.config.name
                );
                self.fail(id, FailureKind::Unknown, message, 0, outbox);
            }
        }
    }

    /// A retry: spreads the present state of the key, which holds the dots of the first try or what has replaced them since.
    fn spread_again(&mut self, id: OperationId, entry: &Entry, again: &Remembered, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get(&id) else { return };
        let Machine::Drafting(drafting) = &operation.machine else { return };
        let (key, demand) = (drafting.key.clone(), drafting.demand);
        let partition = self.partition_of(&key);
        if !self.is_owner(partition) && !still_holds(entry, again, drafting.sealed.as_ref()) {
            let message =
                "this peer stood in for the key's owners and has handed the write over since: read the key to see".to_string();
            return self.fail(id, FailureKind::Unknown, message, 0, outbox);
        }
        let place = (partition, key);
        let is_lost = |dot: Dot| !entry.is_live(dot) && self.losses.may_hold(&place, dot);
        if again.dots().into_iter().any(is_lost) {
            // It is not live, and nobody has replaced it either.
            let message = format!(
                "{} has begun this write before and has lost what it held of the key since. It may or may not have taken effect: read the key \
                 to see, or write anew, under a number of its own",
                self.config.name
            );
            return self.fail(id, FailureKind::Unknown, message, 0, outbox);
        }
        let (_, key) = place;
        let clock = self.clock_for(partition);
        let is_unseen = |dot: Dot| !entry.has_seen(dot) && !clock.contains(dot);
        if again.dots().into_iter().any(is_unseen) || entry.dots().any(|dot| again.covered.contains(dot)) {
            // What is spread would be the state before the write.
            let message = format!(
                "{} has not taken in the first try yet, which waits for its disk: read the key to see whether it took effect",
                self.config.name
            );
            return self.fail(id, FailureKind::Unknown, message, 0, outbox);
        }
        // What came after the first try is not named: it may have been acknowledged since.
        let before = entry.versions().iter().find(|version| version.dot == again.first).map(|version| version.time);
        let scope = match drafting.sealed.is_none() {
            true => drafting.intent.draw_up(self.as_view(self.now, entry, partition), None).ok().and_then(Draft::scope),
            false => None,
        };
        let naming = scope.zip(before).map(|(scope, before)| Arc::new(Naming { scope, dots: again.dots(), before }));
        let mut entry = entry.clone();
        entry.fill(clock);
        // The receipt covers what that of the first try would have: the client's own context too (a retry carries the same one).
        let mut context = again.covered.clone();
        if let Some(sealed) = &drafting.sealed {
            context.union_with(&sealed.context);
            context.union_with(&sealed.live);
        }
        let plan = Plan {
            key: key.clone(),
            entry: pack(&entry),
            naming,
            dots: again.dots(),
            covered: again.covered.dots().collect(),
            context,
            left: drafting.sealed.as_ref().map(|sealed| left_alone(&entry, sealed, &again.covered)).unwrap_or_default(),
        };
        let write = Write::new(plan, self.owners_of(partition).to_vec(), demand);
        self.send_write(id, key, write, (None, None), outbox);
    }

    /// A patch whose context has seen more than this replica, or an expiry: the key is read from others first.
    pub(super) fn catch_up(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Machine::Drafting(drafting) = &mut operation.machine else { return };
        drafting.has_caught_up = true;
        let is_expiry = matches!(drafting.intent, Intent::Expire { .. });
        let (key, deadline_ms) = (drafting.key.clone(), operation.deadline_ms);
        let must_see = drafting.sealed.as_ref().map(|sealed| sealed.live.clone()).unwrap_or_default();
        // Of a patch those who have seen what its client saw; of an expiry those who have seen whatever was acknowledged.
        let r = if is_expiry { self.owners_of(self.partition_of(&key)).len() / 2 + 1 } else { 1 };
        let wanted = Wanted { key, r, must_see, path: Path::ROOT, last_writer_wins: false };
        self.begin_read(now, ReplyTo::Write(id), deadline_ms, wanted, outbox);
    }

    /// A replica has stored what a write sent it.
    pub(super) fn on_applied(&mut self, now: Now, from: MemberId, applied: Applied, outbox: &mut Vec<Output>) {
        let (id, is_refused) = (applied.operation, applied.refused.is_some());
        if self.on_hint_applied(now, from, &applied) {
            return;
        }
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Machine::Write { write, .. } = &mut operation.machine else { return };
        match write.on_applied(from, applied) {
            // Somebody else may stand in.
            Outcome::Pending if is_refused => self.spread_on(id, outbox),
            Outcome::Pending => {}
            Outcome::Again => {
                let Some(mut operation) = self.operations.remove(&id) else { return };
                let new_id = self.next_operation_id();
                if let Machine::Write { key, write, .. } = &mut operation.machine {
                    let walk = self.walk_of(self.partition_of(key));
                    write.send(new_id, &walk, &mut self.effects);
                }
                self.begin(now, new_id, Operation { retry: None, ..operation });
                self.flush_effects(outbox);
            }
            Outcome::Done(written) => self.finish_write(id, written, outbox),
        }
    }

    /// Sends a write to those who stand in from now on.
    pub(super) fn spread_on(&mut self, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(Operation { machine: Machine::Write { key, .. }, .. }) = self.operations.get(&id) else { return };
        let walk = self.walk_of(self.partition_of(key));
        if let Some(Operation { machine: Machine::Write { write, .. }, .. }) = self.operations.get_mut(&id) {
            write.send_to_new(id, &walk, &mut self.effects);
            self.flush_effects(outbox);
        }
    }

    fn finish_write(&mut self, id: OperationId, written: Written, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let Machine::Write { key, write, removal } = operation.machine else { return };
        self.folding.acknowledge(&key, &written.dots);
        let coordinator = Attempt { member: self.me, start: self.replica.store().start() };
        let receipt = sealed_receipt(written, coordinator, &key, &self.seal_keys());
        if let Some((session, number)) = removal {
            self.retries.acknowledge(session, number, Acknowledged { demand: write.demand(), receipt: receipt.clone() });
        }
        self.reply(operation.to, Reply::Written(receipt), Position(0), outbox);
    }
}

/// True if a stand-in still keeps what the first try of a write has made and covered. An owner does for ever, a stand-in until it has handed
/// it over; what it spread from less than that would be acknowledged without being there.
fn still_holds(entry: &Entry, again: &Remembered, sealed: Option<&Sealed>) -> bool {
    let mut needed: Seen = again.dots().into_iter().collect();
    needed.union_with(&again.covered);
    if let Some(sealed) = sealed {
        needed.union_with(&sealed.context);
        needed.union_with(&sealed.live);
    }
    needed.subtract(entry.context());
    needed.subtract(&entry.dots().collect());
    needed.is_empty()
}

/// What the coordinator keeps of what its replica writes down. `until_ms`: until when the first try may be under way; 0: it was begun in an
/// earlier start.
pub(super) fn remembered(note: &RetryNote, until_ms: u64) -> Remembered {
    let RetryNote { digest, first, count, .. } = *note;
    Remembered { digest, first, count, covered: note.covered.clone(), until_ms, acknowledged: None }
}
