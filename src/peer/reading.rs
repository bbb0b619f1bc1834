//! Reads and scans under way.

use super::operation::{AnswerAs, Machine, Operation, ReplyTo, Wanted};
use super::{Now, Output, Peer};
use crate::coordinator::{Merged, Outcome, Question, Read, ReadFailure, ScanStep, found_or_missing, repair};
use crate::message::{Apply, Fetched, Listed, OperationId, Position, Reply, ScanPage};
use crate::ring::MemberId;
use crate::vclock::{Path, Seen, pack};
use bytes::Bytes;
use rand::Rng;

impl Peer {
    /// Starts a read.
    pub(super) fn begin_read(&mut self, now: Now, to: ReplyTo, deadline_ms: u64, wanted: Wanted, outbox: &mut Vec<Output>) {
        let Wanted { key, r, must_see, path, last_writer_wins } = wanted;
        let id = self.next_operation_id();
        let reach = self.reach(self.partition_of(&key), !must_see.is_empty());
        self.try_the_slow(now, &key, &reach.owners);
        let (me, turn) = (self.me, self.rng.next_u32());
        let question = Question { path: path.clone(), wall_ms: now.wall_ms };
        let mut read = Read::new((key, question), reach, (r, must_see), (me, turn));
        read.begin(id, now.monotonic_ms, &mut self.effects);
        let answer = AnswerAs { path, last_writer_wins };
        self.begin(now, id, Operation { to, deadline_ms, machine: Machine::Read { read, answer }, retry: None });
        self.plan_hedge(now, id);
        self.flush_effects(outbox);
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
        read.judge_at(now.wall_ms);
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

    pub(super) fn finish_read(&mut self, now: Now, id: OperationId, merged: &Merged, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let Machine::Read { read, answer } = operation.machine else { return };
        self.repairs += merged.behind.len() as u64;
        self.stood_in += u64::from(merged.stood_in > 0);
        self.note_unanswered(now, &read);
        repair(read.key(), merged, OperationId(0), &mut self.effects);
        self.flush_effects(outbox);
        match operation.to {
            ReplyTo::Scan(scan) => {
                let everything = Question { path: Path::ROOT, wall_ms: now.wall_ms };
                let is_visible = everything.shows_any(&merged.entry);
                self.on_scan_key(scan, read.key(), is_visible, outbox);
            }
            ReplyTo::Write(write) => {
                // What was read, and what it has seen, is taken in here before the write is drawn up.
                let entry = pack(&merged.entry);
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

    /// A read takes note of who can be reached now.
    pub(super) fn look_around(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(Machine::Read { read, .. }) = self.operations.get(&id).map(|operation| &operation.machine) else { return };
        let reach = self.reach(self.partition_of(read.key()), read.has_session());
        let Some(operation) = self.operations.get_mut(&id) else { return };
        let Machine::Read { read, .. } = &mut operation.machine else { return };
        read.judge_at(now.wall_ms);
        let outcome = read.look(id, now.monotonic_ms, &reach, &mut self.effects);
        self.advance_read(now, id, outcome, outbox);
    }

    fn end_if_exhausted(&mut self, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get(&id) else { return };
        if matches!(&operation.machine, Machine::Read { read, .. } if read.is_exhausted()) {
            self.end_late(id, outbox);
        }
    }
}

pub(super) fn read_failure(failure: &ReadFailure) -> String {
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
            "the owners that can be reached, and those who stood in for them, have not seen what this session has: try again, or read without it".to_string()
        }
    }
}
