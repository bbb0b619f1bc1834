//! Operations under way at a coordinator: their machines, deadlines and ends.

use super::{CHECK_MS, Now, Origin, Output, Peer};
use crate::coordinator::{
    Demand, Draft, DraftError, Inquiry, Intent, Merged, Outcome, Question, Read, ReadFailure, Scan, ScanStep, View, Walk, Write,
    Written, found_or_missing, left_alone, repair, sealed_receipt,
};
use crate::limits::RETRY_HINT_MS;
use crate::message::{
    Applied, Apply, Attempt, Failure, FailureKind, Fetched, Forwarded, Listed, Message, Naming, OperationId, Position, Reply,
    ScanPage,
};
use crate::ring::{MemberId, PartitionId};
use crate::storage::{RetryNote, has_expired};
use crate::vclock::{Entry, Path, Sealed, Seen, Timestamp};
use bytes::Bytes;
use rand::Rng;
use std::sync::Arc;

/// Where an operation's end is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReplyTo {
    /// To a client of this peer.
    Client(Origin),
    /// To a peer that has forwarded a request.
    Peer(MemberId, OperationId),
    /// To a scan of this peer that waits for the key.
    Scan(OperationId),
    /// To a write of this peer that needs to see the key first.
    Write(OperationId),
}

/// An operation under way.
#[derive(Debug)]
pub(super) struct Operation {
    pub to: ReplyTo,
    pub deadline_ms: u64,
    pub machine: Machine,
    /// What this peer's own replica writes down with the record.
    pub retry: Option<RetryNote>,
}

/// What an operation is waiting for.
#[derive(Debug)]
pub(super) enum Machine {
    /// A write that waits for this peer's own view of the key.
    Drafting(Box<Drafting>),
    /// A write.
    Write { key: Bytes, write: Box<Write> },
    /// A read, and how it is answered.
    Read { read: Read, answer: AnswerAs },
    /// A scan.
    Scan(Scan),
    /// An explanation, of this path in the client's syntax.
    Why { inquiry: Inquiry, path: String },
    /// A request handed on to an owner; true if it is a write.
    Forward { to: MemberId, is_write: bool },
}

/// A write that has not been drawn up yet.
#[derive(Debug)]
pub(super) struct Drafting {
    pub key: Bytes,
    pub intent: Intent,
    pub sealed: Option<Sealed>,
    pub demand: Demand,
    /// How long what is written lives (milliseconds); 0: for ever.
    pub ttl_ms: u64,
    pub retry: Option<RetryNote>,
    /// True once the other owners have been read because this replica was behind its client.
    pub has_caught_up: bool,
    /// A retry: the dots that the first try made. The present state of the key is spread again.
    pub again: Option<crate::coordinator::Remembered>,
}

/// What a read is to find out, and how it is answered.
#[derive(Debug)]
pub(super) struct Wanted {
    pub key: Bytes,
    pub r: usize,
    /// What the answer must have seen.
    pub must_see: Seen,
    pub path: Path,
    pub last_writer_wins: bool,
}

/// How a read is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct AnswerAs {
    pub path: Path,
    pub last_writer_wins: bool,
}

impl Peer {
    /// Starts an operation: from now on it is looked at now and then, until it ends.
    pub(super) fn begin(&mut self, now: Now, id: OperationId, operation: Operation) {
        self.checks.push_back((now.monotonic_ms + CHECK_MS, id));
        self.operations.insert(id, operation);
    }

    /// This replica's view of the key of a write has been read.
    pub(super) fn on_view(
        &mut self,
        now: Now,
        id: OperationId,
        view: Result<crate::vclock::Entry, String>,
        outbox: &mut Vec<Output>,
    ) {
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
        if let Some(again) = drafting.again.clone() {
            return self.spread_again(id, &entry, &again, outbox);
        }
        if let Some(meanwhile) = meanwhile.cloned() {
            // This view may have no values; what is spread again needs them.
            self.remember(id, meanwhile);
            return self.view_for(now, id, outbox);
        }
        let view = View { entry: &entry, clock: self.clock_for(partition) };
        match drafting.intent.draw_up(view, drafting.sealed.as_ref()) {
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
                    DraftError::ValueTooLarge(_) | DraftError::DocumentTooLarge { .. } => FailureKind::TooLarge,
                    DraftError::Document(_) | DraftError::Path(_) | DraftError::Behind => FailureKind::BadRequest,
                };
                self.fail(id, kind, error.to_string(), 0, outbox);
            }
        }
    }

    fn remember(&mut self, id: OperationId, first: crate::coordinator::Remembered) {
        if let Some(operation) = self.operations.get_mut(&id)
            && let Machine::Drafting(drafting) = &mut operation.machine
        {
            drafting.again = Some(first);
        }
    }

    /// Gives a drawn-up write its dots and sends it to the owners.
    fn spread(&mut self, now: Now, id: OperationId, draft: Draft, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Machine::Drafting(drafting) = &mut operation.machine else { return };
        let (key, demand, ttl_ms, retry) = (drafting.key.clone(), drafting.demand, drafting.ttl_ms, drafting.retry.take());
        let partition = self.partition_of(&key);
        let first = self.replica.store_mut().mint(partition, draft.dots());
        let time = self.clock.issue(now.wall_ms);
        let retry = retry.map(|retry| RetryNote {
            first,
            count: draft.dots(),
            covered: draft.covered().iter().copied().collect(),
            wall_ms: now.wall_ms,
            ..retry
        });
        if let Some(retry) = &retry {
            // By the clock that never jumps: a jump must not make it forget a write that may be tried again.
            self.retries.insert(now.monotonic_ms, retry.session, retry.number, remembered(retry));
        }
        let expiry_ms = if ttl_ms == 0 { 0 } else { now.wall_ms.saturating_add(ttl_ms) };
        let write = Write::new(draft.plan(key.clone(), first, time, expiry_ms), self.owners_of(partition).to_vec(), demand);
        self.send_write(id, key, write, retry, outbox);
    }

    /// What a peer may say with when it draws up a write: an owner's clock. A stand-in has none (rule `standin_clock`).
    fn clock_for(&self, partition: PartitionId) -> &Seen {
        if self.is_owner(partition) { self.replica.store().clock(partition) } else { const { &Seen::new() } }
    }

    fn send_write(&mut self, id: OperationId, key: Bytes, mut write: Write, retry: Option<RetryNote>, outbox: &mut Vec<Output>) {
        let walk = self.walk_of(self.partition_of(&key));
        write.send(id, &walk, &mut self.effects);
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.machine = Machine::Write { key, write: Box::new(write) };
            operation.retry = retry;
        }
        self.flush_effects(outbox);
    }

    /// A retry: spreads the present state of the key, which holds the dots of the first try or what has replaced them since.
    fn spread_again(
        &mut self,
        id: OperationId,
        entry: &crate::vclock::Entry,
        again: &crate::coordinator::Remembered,
        outbox: &mut Vec<Output>,
    ) {
        let Some(operation) = self.operations.get(&id) else { return };
        let Machine::Drafting(drafting) = &operation.machine else { return };
        let (key, demand) = (drafting.key.clone(), drafting.demand);
        let partition = self.partition_of(&key);
        if !self.is_owner(partition) && !still_holds(entry, again, drafting.sealed.as_ref()) {
            let message =
                "this peer stood in for the key's owners and has handed the write over since: read the key to see".to_string();
            return self.fail(id, FailureKind::Unknown, message, 0, outbox);
        }
        let clock = self.clock_for(partition);
        // What came after the first try is not named: it may have been acknowledged since.
        let written = entry.versions().iter().find(|version| version.dot == again.first).map(|version| version.time);
        let before = if again.count == 0 { Some(Timestamp::from_wall_ms(again.wall_ms)) } else { written };
        let scope = match drafting.sealed.is_none() {
            true => drafting.intent.draw_up(View { entry, clock }, None).ok().and_then(Draft::scope),
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
        let plan = crate::coordinator::Plan {
            key: key.clone(),
            entry: crate::vclock::pack(&entry),
            naming,
            dots: again.dots(),
            covered: again.covered.dots().collect(),
            context,
            left: drafting.sealed.as_ref().map(|sealed| left_alone(&entry, sealed, &again.covered)).unwrap_or_default(),
        };
        let write = Write::new(plan, self.owners_of(partition).to_vec(), demand);
        self.send_write(id, key, write, None, outbox);
    }

    /// A patch whose context has seen more than this replica: the key is read from all owners first.
    fn catch_up(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Machine::Drafting(drafting) = &mut operation.machine else { return };
        drafting.has_caught_up = true;
        let (key, deadline_ms) = (drafting.key.clone(), operation.deadline_ms);
        let must_see = drafting.sealed.as_ref().map(|sealed| sealed.live.clone()).unwrap_or_default();
        let wanted = Wanted { key, r: 1, must_see, path: Path::ROOT, last_writer_wins: false };
        self.begin_read(now, ReplyTo::Write(id), deadline_ms, wanted, outbox);
    }

    /// Starts a read.
    pub(super) fn begin_read(&mut self, now: Now, to: ReplyTo, deadline_ms: u64, wanted: Wanted, outbox: &mut Vec<Output>) {
        let Wanted { key, r, must_see, path, last_writer_wins } = wanted;
        let id = self.next_operation_id();
        let reach = self.reach(now, self.partition_of(&key));
        self.try_the_slow(now, &key, &reach);
        let (me, turn) = (self.me, self.rng.next_u32());
        let question = Question { path: path.clone(), wall_ms: now.wall_ms };
        let mut read = Read::new((key, question), reach, (r, must_see), (me, turn));
        read.begin(id, now.monotonic_ms, &mut self.effects);
        let answer = AnswerAs { path, last_writer_wins };
        self.begin(now, id, Operation { to, deadline_ms, machine: Machine::Read { read, answer }, retry: None });
        self.plan_hedge(now, id);
        self.flush_effects(outbox);
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
                if let Machine::Write { key, write } = &mut operation.machine {
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
    fn spread_on(&mut self, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(Operation { machine: Machine::Write { key, .. }, .. }) = self.operations.get(&id) else { return };
        let walk = self.walk_of(self.partition_of(key));
        if let Some(Operation { machine: Machine::Write { write, .. }, .. }) = self.operations.get_mut(&id) {
            write.send_to_new(id, &walk, &mut self.effects);
            self.flush_effects(outbox);
        }
    }

    fn finish_write(&mut self, id: OperationId, written: Written, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let Machine::Write { key, .. } = operation.machine else { return };
        let coordinator = Attempt { member: self.me, start: self.replica.store().start() };
        let receipt = sealed_receipt(written, coordinator, &key, &self.seal_keys());
        self.reply(operation.to, Reply::Written(receipt), Position(0), outbox);
    }

    /// A replica has told what it holds.
    pub(super) fn on_fetched(&mut self, now: Now, from: MemberId, fetched: &Fetched, outbox: &mut Vec<Output>) {
        let id = fetched.operation;
        if self.on_fetched_for_healing(now, from, fetched, outbox) {
            return;
        }
        self.note_pace(now, from, id);
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if let Machine::Why { inquiry, .. } = &mut operation.machine {
            if inquiry.on_fetched(from, fetched) == Outcome::Done(()) {
                self.end_late(id, outbox);
            }
            return;
        }
        let Machine::Read { read, .. } = &mut operation.machine else { return };
        let outcome = read.on_fetched(id, now.monotonic_ms, (from, fetched), &mut self.effects);
        self.advance_read(now, id, outcome, outbox);
    }

    fn advance_read(&mut self, now: Now, id: OperationId, outcome: Outcome<Merged>, outbox: &mut Vec<Output>) {
        self.flush_effects(outbox);
        match outcome {
            Outcome::Done(merged) => self.finish_read(now, id, &merged, outbox),
            Outcome::Pending | Outcome::Again => self.end_if_exhausted(id, outbox),
        }
    }

    fn finish_read(&mut self, now: Now, id: OperationId, merged: &Merged, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let Machine::Read { read, answer } = operation.machine else { return };
        self.repairs += merged.behind.len() as u64;
        self.stood_in += u64::from(merged.stood_in > 0);
        self.note_unanswered(now, &read);
        repair(read.key(), merged, OperationId(0), &mut self.effects);
        self.flush_effects(outbox);
        match operation.to {
            ReplyTo::Scan(scan) => {
                let is_visible = merged.entry.versions().iter().any(|version| !has_expired(version, now.wall_ms));
                self.on_scan_key(scan, read.key(), is_visible, outbox);
            }
            ReplyTo::Write(write) => {
                // What was read, and what it has seen, is taken in here before the write is drawn up.
                let entry = crate::vclock::pack(&merged.entry);
                let apply = Apply {
                    operation: OperationId(0),
                    key: read.key().clone(),
                    entry,
                    naming: None,
                    owed: Vec::new(),
                    relief: false,
                };
                self.on_apply(now, self.me, apply, outbox);
                self.view_for(now, write, outbox);
            }
            to => {
                let lww = answer.last_writer_wins;
                let reply = found_or_missing(merged, read.key(), &answer.path, now.wall_ms, lww, &self.seal_keys());
                self.reply(to, reply, Position(0), outbox);
            }
        }
    }

    /// A replica has listed keys.
    pub(super) fn on_scan_page(&mut self, now: Now, from: MemberId, page: ScanPage, outbox: &mut Vec<Output>) {
        let id = page.operation;
        let Some(placement) = &self.placement else { return };
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Machine::Scan(scan) = &mut operation.machine else { return };
        let outcome = scan.on_page(from, page, &|key| placement.partition(key).0, now.wall_ms);
        self.advance_scan(now, id, outcome, outbox);
    }

    fn on_scan_key(&mut self, id: OperationId, key: &Bytes, is_live: bool, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Machine::Scan(scan) = &mut operation.machine else { return };
        let outcome = scan.on_read(key, is_live);
        if let Outcome::Done(ScanStep::Page { keys, resume_after }) = outcome {
            self.finish_scan(id, keys, resume_after, outbox);
        }
    }

    fn advance_scan(&mut self, now: Now, id: OperationId, outcome: Outcome<ScanStep>, outbox: &mut Vec<Output>) {
        match outcome {
            Outcome::Pending => {}
            Outcome::Again => {
                let Some(operation) = self.operations.remove(&id) else { return };
                let new_id = self.next_operation_id();
                if let Machine::Scan(scan) = &operation.machine {
                    scan.send(new_id, &mut self.effects);
                }
                self.begin(now, new_id, operation);
                self.flush_effects(outbox);
            }
            Outcome::Done(ScanStep::Page { keys, resume_after }) => self.finish_scan(id, keys, resume_after, outbox),
            Outcome::Done(ScanStep::Read(keys)) => {
                let Some(operation) = self.operations.get(&id) else { return };
                let deadline_ms = operation.deadline_ms;
                for key in keys {
                    let r = self.owners_of(self.partition_of(&key)).len() / 2 + 1;
                    let wanted = Wanted { key, r, must_see: Seen::new(), path: Path::ROOT, last_writer_wins: false };
                    self.begin_read(now, ReplyTo::Scan(id), deadline_ms, wanted, outbox);
                }
            }
        }
    }

    fn finish_scan(&mut self, id: OperationId, keys: Vec<Bytes>, resume_after: Option<Bytes>, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let listed = Listed { keys, more: resume_after.is_some(), resume_after: resume_after.unwrap_or_default() };
        self.reply(operation.to, Reply::Listed(listed), Position(0), outbox);
    }

    /// The owner to which a request was handed on has answered.
    pub(super) fn on_forwarded(&mut self, _now: Now, from: MemberId, forwarded: Forwarded, outbox: &mut Vec<Output>) {
        let id = forwarded.operation;
        let is_expected = self
            .operations
            .get(&id)
            .is_some_and(|operation| matches!(operation.machine, Machine::Forward { to, .. } if to == from));
        if is_expected && let Some(operation) = self.operations.remove(&id) {
            self.reply(operation.to, forwarded.reply, Position(0), outbox);
        }
    }

    /// Looks at an operation: ends it at its deadline, else asks again whoever has not answered.
    pub(super) fn check(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get(&id) else { return };
        if now.monotonic_ms >= operation.deadline_ms {
            return self.end_late(id, outbox);
        }
        let walk = match &operation.machine {
            Machine::Write { key, .. } => self.walk_of(self.partition_of(key)),
            _ => Walk::default(),
        };
        let Some(operation) = self.operations.get_mut(&id) else { return };
        match &mut operation.machine {
            Machine::Write { write, .. } => write.send(id, &walk, &mut self.effects),
            Machine::Read { read, .. } => read.again(id, now.monotonic_ms, &mut self.effects),
            Machine::Scan(scan) => scan.send(id, &mut self.effects),
            Machine::Why { inquiry, .. } => inquiry.send(id, &mut self.effects),
            Machine::Drafting(_) | Machine::Forward { .. } => {}
        }
        let next = (now.monotonic_ms + CHECK_MS).min(operation.deadline_ms);
        let at = self.checks.partition_point(|check| check.0 <= next);
        self.checks.insert(at, (next, id));
        self.flush_effects(outbox);
        // Who can be reached may have changed without a word: a link that came up, a peer that was found dead.
        self.look_around(now, id, outbox);
    }

    /// A read takes note of who can be reached now.
    fn look_around(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(Machine::Read { read, .. }) = self.operations.get(&id).map(|operation| &operation.machine) else { return };
        let reach = self.reach(now, self.partition_of(read.key()));
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Machine::Read { read, .. } = &mut operation.machine else { return };
        let outcome = read.look(id, now.monotonic_ms, &reach, &mut self.effects);
        self.advance_read(now, id, outcome, outbox);
    }

    /// A member cannot be reached any more.
    pub(super) fn on_link_lost(&mut self, member: MemberId, outbox: &mut Vec<Output>) {
        let ids: Vec<OperationId> = self.operations.keys().copied().collect();
        for id in ids {
            let Some(operation) = self.operations.get(&id) else { continue };
            match &operation.machine {
                Machine::Read { .. } => self.look_around(self.now, id, outbox),
                Machine::Scan(scan) if scan.waits_for(member) => self.end_late(id, outbox),
                Machine::Why { .. } => self.explain_without(id, member, outbox),
                Machine::Forward { to, .. } if *to == member => self.end_late(id, outbox),
                Machine::Write { .. } => self.spread_on(id, outbox),
                _ => {}
            }
        }
    }

    fn end_if_exhausted(&mut self, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get(&id) else { return };
        if matches!(&operation.machine, Machine::Read { read, .. } if read.is_exhausted()) {
            self.end_late(id, outbox);
        }
    }

    /// Ends an operation without its quorum, and says what is known.
    pub(super) fn end_late(&mut self, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get(&id) else { return };
        if let Machine::Read { read, .. } = &operation.machine
            && let Some(merged) = read.settle()
        {
            return self.finish_read(self.now, id, &merged, outbox);
        }
        if matches!(operation.machine, Machine::Why { .. }) {
            return self.finish_why(id, outbox);
        }
        let (kind, message) = match &operation.machine {
            Machine::Why { .. } => unreachable!("it has been answered with what is known"),
            Machine::Drafting(_) => {
                (FailureKind::Unavailable, "the key could not be read in time, and nothing was written: try again".to_string())
            }
            Machine::Write { write, .. } => {
                let (acks, needed, refusals) = write.progress();
                let why = if refusals.is_empty() { String::new() } else { format!("; refused by others: {}", refusals.join("; ")) };
                let message = format!(
                    "{acks} of the {needed} acknowledgements that the write needs came in time{why}. It may or may not take effect: \
                     read the key to see"
                );
                (FailureKind::Unknown, message)
            }
            Machine::Read { read, .. } => (FailureKind::Unavailable, read_failure(&read.failure())),
            Machine::Scan(scan) => {
                let (answered, asked) = scan.progress();
                (FailureKind::Unavailable, format!("{answered} of {asked} peers answered the scan in time: try again"))
            }
            Machine::Forward { to, is_write: true } => {
                let name = self.name_of(*to);
                (FailureKind::Unknown, format!("{name}, which took the write, did not answer. It may or may not take effect"))
            }
            Machine::Forward { to, is_write: false } => {
                (FailureKind::Unavailable, format!("{}, an owner of the key, did not answer in time: try again", self.name_of(*to)))
            }
        };
        self.fail(id, kind, message, if kind == FailureKind::Unknown { 0 } else { RETRY_HINT_MS }, outbox);
    }

    /// Ends an operation with a failure.
    pub(super) fn fail(
        &mut self,
        id: OperationId,
        kind: FailureKind,
        message: String,
        retry_after_ms: u32,
        outbox: &mut Vec<Output>,
    ) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let failure = Reply::Failed(Failure { kind, message, retry_after_ms });
        match operation.to {
            // A key that could not be read leaves its scan or write without an answer too.
            ReplyTo::Scan(parent) => self.end_late(parent, outbox),
            ReplyTo::Write(parent) => {
                let message =
                    "too few owners of the key can be reached to see what the context has seen: try again later".to_string();
                self.fail(parent, FailureKind::Unavailable, message, RETRY_HINT_MS, outbox);
            }
            to => self.reply(to, failure, Position(0), outbox),
        }
    }

    /// Tells the end of an operation to whom it concerns.
    pub(super) fn reply(&mut self, to: ReplyTo, reply: Reply, after: Position, outbox: &mut Vec<Output>) {
        if matches!(reply, Reply::Failed(_)) {
            self.counts.failed += 1;
        }
        match to {
            ReplyTo::Client(origin) => outbox.push(Output::Reply { to: origin, reply, after }),
            ReplyTo::Peer(member, operation) => {
                let message = Message::Forwarded(Box::new(Forwarded { operation, reply }));
                self.respond(member, message, after, outbox);
            }
            ReplyTo::Scan(_) | ReplyTo::Write(_) => unreachable!("operations of this peer end by their own functions"),
        }
    }
}

fn read_failure(failure: &ReadFailure) -> String {
    match failure {
        ReadFailure::TooFew { answered, needed } => {
            format!(
                "{answered} of the {needed} owners that the read needs answered: nothing is known of the key; try again, or ask for a smaller R"
            )
        }
        ReadFailure::Unsure { complete, needed } => {
            format!(
                "{complete} of the {needed} owners answered that it takes to say that nothing is there; others stood in, and what they have \
                 is no whole value: nothing is known of the key; try again when more owners are back"
            )
        }
        ReadFailure::SessionAhead => {
            "the owners that can be reached have not seen what this session has: try again, or read without it".to_string()
        }
    }
}

/// True if a stand-in still keeps what the first try of a write has made and covered. An owner does for ever, a stand-in until it has handed
/// it over; what it spread from less than that would be acknowledged without being there.
fn still_holds(entry: &Entry, again: &crate::coordinator::Remembered, sealed: Option<&Sealed>) -> bool {
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

/// What the coordinator keeps of what its replica writes down.
pub(super) fn remembered(note: &RetryNote) -> crate::coordinator::Remembered {
    crate::coordinator::Remembered {
        digest: note.digest,
        first: note.first,
        count: note.count,
        covered: note.covered.clone(),
        wall_ms: note.wall_ms,
    }
}
