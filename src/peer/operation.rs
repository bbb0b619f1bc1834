//! Operations under way at a coordinator: their deadlines and ends. What moves them stands in `writing`, `reading` and `forwarding`.

use super::forwarding::Forwarding;
use super::reading::read_failure;
use super::{CHECK_MS, Now, Origin, Output, Peer};
use crate::coordinator::{Demand, Inquiry, Intent, Read, Remembered, Scan, Walk, Write};
use crate::limits::RETRY_HINT_MS;
use crate::message::{Failure, FailureKind, Forwarded, Message, OperationId, Position, Reply};
use crate::ring::MemberId;
use crate::storage::RetryNote;
use crate::vclock::{Path, Sealed, Seen};
use bytes::Bytes;

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
    /// A write. `removal`: session and number of a removal that a retry may ask for.
    Write { key: Bytes, write: Box<Write>, removal: Option<(u64, u64)> },
    /// A read, and how it is answered.
    Read { read: Read, answer: AnswerAs },
    /// A scan.
    Scan(Scan),
    /// An explanation, of this path in the client's syntax.
    Why { inquiry: Inquiry, path: String },
    /// A request handed on to an owner.
    Forward(Forwarding),
}

/// A write that has not been drawn up yet.
#[derive(Debug)]
pub(super) struct Drafting {
    pub key: Bytes,
    pub intent: Intent,
    pub sealed: Option<Sealed>,
    pub demand: Demand,
    /// When what is written expires (milliseconds since 1970); 0: never.
    pub expiry_ms: u64,
    /// Its session and number, if it has any, and what is to be remembered of it.
    pub retry: Option<RetryNote>,
    /// True once the other owners have been read because this replica was behind its client.
    pub has_caught_up: bool,
    /// A retry: what is remembered of the first try. The present state of the key is spread again, except for `waits_for_first_try`.
    pub again: Option<Remembered>,
}

impl Drafting {
    /// True if it is a retry of a removal without a context that made no dot: nothing is spread again, the first try is all there is.
    pub fn waits_for_first_try(&self) -> bool {
        self.sealed.is_none() && self.again.as_ref().is_some_and(|first| first.count == 0)
    }
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
            Machine::Drafting(drafting) if drafting.waits_for_first_try() => {
                self.answer_removal_again(now, id, outbox);
            }
            Machine::Drafting(_) | Machine::Forward(_) => {}
        }
        let Some(operation) = self.operations.get(&id) else { return };
        let next = (now.monotonic_ms + CHECK_MS).min(operation.deadline_ms);
        let at = self.checks.partition_point(|check| check.0 <= next);
        self.checks.insert(at, (next, id));
        self.flush_effects(outbox);
        // Who can be reached may have changed without a word: a link that came up, a peer that was found dead.
        self.look_around(now, id, outbox);
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
                Machine::Forward(_) => self.forward_without(id, member, outbox),
                Machine::Write { .. } => self.spread_on(id, outbox),
                _ => {}
            }
        }
    }

    /// Ends an operation without its quorum, and says what is known.
    pub(super) fn end_late(&mut self, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if let Machine::Read { read, .. } = &mut operation.machine {
            read.judge_at(self.now.wall_ms);
            if let Some(merged) = read.settle() {
                return self.finish_read(self.now, id, &merged, outbox);
            }
        }
        let Some(operation) = self.operations.get(&id) else { return };
        if matches!(operation.machine, Machine::Why { .. }) {
            return self.finish_why(id, outbox);
        }
        let (kind, message) = match &operation.machine {
            Machine::Why { .. } => unreachable!("it has been answered with what is known"),
            Machine::Drafting(drafting) if drafting.again.is_some() => (
                FailureKind::Unknown,
                "the first try has not ended in time. It may or may not take effect: read the key to see".to_string(),
            ),
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
            Machine::Forward(forwarding) if forwarding.is_write() => {
                let name = self.name_of(forwarding.first());
                (FailureKind::Unknown, format!("{name}, which took the write, did not answer. It may or may not take effect"))
            }
            Machine::Forward(forwarding) => {
                let name = self.name_of(forwarding.first());
                (FailureKind::Unavailable, format!("{name}, an owner of the key, did not answer in time: try again"))
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
