//! Pulls of this peer from other owners, and theirs from it: messages, the store, and time brought together.

use super::replica::Task;
use super::{Now, Output, Peer};
use crate::anti_entropy::{Ended, Next, Pull, Serving, Taking};
use crate::broken::{Rule, is_broken};
use crate::limits::{
    CLOCK_AHEAD_MS_MAX, PULL_PAUSE_US_PER_ITEM, PULL_QUESTIONS_MAX, PULL_YIELDS_FROM_OPERATIONS, PULLS_MAX, PULLS_SETTLING_MAX,
};
use crate::message::{Comparing, Declined, Message, OperationId, Position, SyncMode};
use crate::ring::{MemberId, PartitionId};
use crate::storage::StoreError;
use crate::vclock::{Entry, Start, pack};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The pulls of a peer.
#[derive(Default, Debug)]
pub(super) struct Pulls {
    under_way: BTreeMap<OperationId, Pull>,
    /// Pulls that may have something to ask, each in its turn.
    ready: VecDeque<OperationId>,
    /// Pulls that were taken over and wait for the disk.
    taken_over: VecDeque<TakenOver>,
    /// Not before this time is the next question asked, while clients are to be yielded to (monotonic microseconds).
    pause_us: u64,
    serving: Serving,
}

#[derive(Debug)]
struct TakenOver {
    after: Position,
    partition: PartitionId,
    partner: MemberId,
    began: u64,
    partner_is_complete: bool,
}

impl Pulls {
    fn ready(&mut self, pull: OperationId) {
        if !self.ready.contains(&pull) {
            self.ready.push_back(pull);
        }
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// How many were taken over and wait for the disk.
    pub(super) fn settling(&self) -> usize {
        self.taken_over.len()
    }

    /// When something is to be done (monotonic milliseconds).
    pub(super) fn next_wake(&self) -> Option<u64> {
        // While a question is under way, its answer brings the next one up.
        let due = self.under_way.values().filter_map(Pull::due_ms).min();
        due.or_else(|| (!self.ready.is_empty()).then(|| self.pause_us.div_ceil(1_000)))
    }
}

impl Peer {
    /// How long a whole round of comparisons takes (milliseconds); none: there are no rounds.
    pub fn set_comparing(&mut self, round_ms: Option<u64>) {
        self.rounds.set_round(round_ms);
    }

    /// True if this peer compares a partition with a member at this moment, to learn from it.
    pub fn is_learning(&self, partition: PartitionId, partner: MemberId) -> bool {
        self.pulls.under_way.values().any(|pull| (pull.partition(), pull.partner()) == (partition, partner))
    }

    /// The owners have become known.
    pub(super) fn set_pairs(&mut self, now_ms: u64) {
        let pairs =
            self.owners.iter().zip(0u16..).filter(|(owners, _)| owners.contains(&self.me)).flat_map(|(owners, partition)| {
                owners.iter().filter(|owner| **owner != self.me).map(move |owner| (PartitionId(partition), *owner))
            });
        self.rounds.set_pairs(now_ms, pairs);
    }

    /// A message of a pull has come, said in this start of its sender.
    pub(super) fn on_comparing(&mut self, now: Now, from: MemberId, start: Start, message: Comparing, outbox: &mut Vec<Output>) {
        match message {
            Comparing::Compare(_) | Comparing::Walk(_) | Comparing::FetchEntries(_) => {
                self.on_question(now, from, message, outbox);
            }
            answer => self.on_answer(now, from, start, answer, outbox),
        }
    }

    fn on_question(&mut self, now: Now, from: MemberId, question: Comparing, outbox: &mut Vec<Output>) {
        let pull = question.pull();
        let partition = PartitionId(match &question {
            Comparing::Compare(compare) => compare.partition,
            Comparing::Walk(walk) => walk.partition,
            Comparing::FetchEntries(fetch) => fetch.partition,
            _ => return,
        });
        let owners = self.owners_of(partition);
        if !owners.contains(&self.me) || !owners.contains(&from) {
            let reason = format!("{} and the asker do not own partition {} together", self.config.name, partition.0);
            return self.respond_comparing(from, Comparing::Declined(Declined { pull, reason }), outbox);
        }
        let complete = self.replica.store().is_complete(partition);
        let answer = match question {
            Comparing::Compare(compare) => {
                let store = self.replica.store_mut();
                self.pulls.serving.compare(now.monotonic_ms, from, &compare, complete, store)
            }
            Comparing::Walk(walk) => Serving::walk(&walk, self.replica.store()),
            Comparing::FetchEntries(fetch) => match self.pulls.serving.begin_entries(from, fetch, self.replica.store()) {
                Ok((answer, keys)) => {
                    for (key, place) in keys.into_iter().zip(0u16..) {
                        self.run_in_order(now, partition, key, Task::Serve(answer, place), outbox);
                    }
                    // For a question without keys.
                    return self.finish_entries(answer, outbox);
                }
                Err(reason) => Comparing::Declined(Declined { pull, reason }),
            },
            _ => return,
        };
        self.respond_comparing(from, answer, outbox);
    }

    /// What an answer tells of is promised: it waits for the disk.
    fn respond_comparing(&mut self, to: MemberId, answer: Comparing, outbox: &mut Vec<Output>) {
        let store = self.replica.store();
        let after = store.promise(store.appended());
        self.respond(to, Message::Comparing(Box::new(answer)), after, outbox);
    }

    /// Reads an entry for an answer.
    pub(super) fn try_serve(
        &mut self,
        partition: PartitionId,
        key: &[u8],
        answer: u64,
        place: u16,
        outbox: &mut Vec<Output>,
    ) -> Result<(), StoreError> {
        let Some(clock) = self.pulls.serving.clock_of(answer) else { return Ok(()) };
        let entry = self.replica.store_mut().read_beside(partition, key, clock)?;
        self.pulls.serving.add_entry(answer, place, Some(&entry));
        self.finish_entries(answer, outbox);
        Ok(())
    }

    /// The entry cannot be read.
    pub(super) fn refuse_serve(&mut self, answer: u64, place: u16, outbox: &mut Vec<Output>) {
        self.pulls.serving.add_entry(answer, place, None);
        self.finish_entries(answer, outbox);
    }

    fn finish_entries(&mut self, answer: u64, outbox: &mut Vec<Output>) {
        if let Some((to, entries)) = self.pulls.serving.take_entries(answer) {
            self.respond_comparing(to, entries, outbox);
        }
    }

    fn on_answer(&mut self, now: Now, from: MemberId, start: Start, answer: Comparing, outbox: &mut Vec<Output>) {
        let id = answer.pull();
        let Some(pull) = self.pulls.under_way.get_mut(&id) else { return };
        if pull.partner() != from || (pull.start() != start && !is_broken(Rule::StaleTakeover)) {
            return;
        }
        let partition = pull.partition();
        match pull.on_answer(answer, self.replica.store_mut()) {
            Ok(takings) => {
                for taking in takings {
                    self.run_in_order(now, partition, taking.key().clone(), Task::Take(id, taking), outbox);
                }
                self.pulls.ready(id);
            }
            Err(reason) => self.abandon(now, id, &reason),
        }
    }

    /// Takes in what a pull has brought.
    pub(super) fn try_take(
        &mut self,
        now: Now,
        partition: PartitionId,
        pull: OperationId,
        taking: &Taking,
    ) -> Result<(), StoreError> {
        let key = taking.key();
        if let Err(reason) = self.serves(key).and_then(|own| match own == partition {
            true => Ok(()),
            false => Err(format!("a key of partition {} came in a comparison of partition {}", own.0, partition.0)),
        }) {
            self.refuse_take(pull, reason);
            return Ok(());
        }
        let store = self.replica.store_mut();
        if store.has_no_room() {
            let reason = format!("the disk of {} is full", self.config.name);
            self.refuse_take(pull, reason);
            return Ok(());
        }
        let packed = match taking {
            Taking::Context { hash, .. } if store.state_hash(partition, key) != *hash => {
                if let Some(pull) = self.pulls.under_way.get_mut(&pull) {
                    pull.on_changed(key.clone());
                }
                self.pulls.ready(pull);
                return Ok(());
            }
            Taking::Context { context, .. } => pack(&Entry::new(Vec::new(), context.clone())),
            Taking::Entry { packed, .. } => packed.clone(),
        };
        let taken = store.take(partition, key, &packed, None)?;
        self.clock.follow(taken.newest, now.wall_ms, CLOCK_AHEAD_MS_MAX);
        if let Some(under_way) = self.pulls.under_way.get_mut(&pull) {
            under_way.on_taken(taking, self.replica.store_mut());
            self.pulls.ready(pull);
        }
        Ok(())
    }

    /// What a pull has brought cannot be taken in.
    pub(super) fn refuse_take(&mut self, pull: OperationId, reason: String) {
        if let Some(under_way) = self.pulls.under_way.get_mut(&pull) {
            under_way.on_refused(reason);
            self.pulls.ready(pull);
        }
    }

    /// Lets pulls ask, each in its turn.
    pub(super) fn drive_pulls(&mut self, now: Now, outbox: &mut Vec<Output>) {
        let yields = self.operations.len() >= PULL_YIELDS_FROM_OPERATIONS;
        let questions_max = if yields { 1 } else { PULL_QUESTIONS_MAX };
        let now_us = now.monotonic_ms * 1_000;
        let mut asking = self.pulls.under_way.values().filter(|pull| pull.is_asking()).count();
        while asking < questions_max && !(yields && self.pulls.pause_us > now_us) {
            let Some(id) = self.pulls.ready.pop_front() else { return };
            let Some(pull) = self.pulls.under_way.get_mut(&id) else { continue };
            match pull.next(now.monotonic_ms, self.replica.store_mut()) {
                Next::Ask(question, items) => {
                    asking += 1;
                    self.pulls.pause_us = self.pulls.pause_us.max(now_us) + items * PULL_PAUSE_US_PER_ITEM;
                    self.ask(id, question, outbox);
                }
                Next::Wait => {}
                Next::Finish => {
                    self.take_over(now, id);
                    self.begin_pulls(now);
                }
                Next::Fail(reason) => {
                    self.abandon(now, id, &reason);
                    self.begin_pulls(now);
                }
            }
        }
    }

    fn ask(&mut self, id: OperationId, question: Comparing, outbox: &mut Vec<Output>) {
        let Some(to) = self.pulls.under_way.get(&id).map(Pull::partner) else { return };
        if self.links.contains_key(&to) {
            outbox.push(Output::Send { to, message: Message::Comparing(Box::new(question)), after: Position(0) });
        }
    }

    fn take_over(&mut self, now: Now, id: OperationId) {
        let Some(pull) = self.pulls.under_way.remove(&id) else { return };
        let (partition, partner) = (pull.partition(), pull.partner());
        let mut after = pull.finish(self.replica.store_mut());
        let ended = Ended::TakenOver { digest: pull.digest(), was_equal: pull.was_equal() };
        let began = self.rounds.end(now.monotonic_ms, partition, partner, ended, pull.figures());
        if self.sync_mode() == SyncMode::Never {
            // Nothing else would ever sync it.
            match self.rounds.is_wanted(partition, partner) {
                true => self.replica.store_mut().want_durable(after),
                false => after = Position(0),
            }
        }
        let partner_is_complete = pull.partner_is_complete();
        self.pulls.taken_over.push_back(TakenOver { after, partition, partner, began, partner_is_complete });
    }

    fn abandon(&mut self, now: Now, id: OperationId, reason: &str) {
        let Some(pull) = self.pulls.under_way.remove(&id) else { return };
        let (partition, partner) = (pull.partition(), pull.partner());
        self.replica.store_mut().unwatch(id.0);
        tracing::debug!(partition = partition.0, from = ?partner, reason, "a comparison stays unfinished");
        self.rounds.end(now.monotonic_ms, partition, partner, Ended::Unfinished, pull.figures());
    }

    /// Begins what is due or wanted, as far as there is room.
    pub(super) fn begin_pulls(&mut self, now: Now) {
        let unfinished = self.pulls.under_way.len();
        let room = PULLS_MAX.min(PULLS_SETTLING_MAX.saturating_sub(self.pulls.taken_over.len())).saturating_sub(unfinished);
        let live: BTreeSet<MemberId> = self.links.keys().copied().filter(|member| self.is_live(*member)).collect();
        let begun = self.rounds.begin(now.monotonic_ms, room, |member| live.contains(&member));
        for (partition, partner, known) in begun {
            let Some(start) = self.links.get(&partner).map(|link| link.start) else { continue };
            let id = self.next_operation_id();
            self.pulls.under_way.insert(id, Pull::new(id, partition, partner, start, known));
            self.pulls.ready(id);
        }
    }

    /// Time has passed.
    pub(super) fn wake_pulls(&mut self, now: Now, outbox: &mut Vec<Output>) {
        let due = |pull: &Pull| pull.due_ms().is_some_and(|due_ms| due_ms <= now.monotonic_ms);
        let late: Vec<OperationId> = self.pulls.under_way.iter().filter(|(_, pull)| due(pull)).map(|(id, _)| *id).collect();
        for id in late {
            let Some(pull) = self.pulls.under_way.get_mut(&id) else { continue };
            match pull.ask_again(now.monotonic_ms) {
                Next::Ask(question, _) => self.ask(id, question, outbox),
                Next::Fail(reason) => self.abandon(now, id, &reason),
                Next::Wait | Next::Finish => {}
            }
        }
        if self.rounds.next_wake().is_some_and(|at| at <= now.monotonic_ms) {
            self.begin_pulls(now);
        }
    }

    /// What has been taken over and is durable counts from now on.
    pub(super) fn settle_pulls(&mut self, now: Now) {
        let durable = self.released();
        while let Some(at) = self.pulls.taken_over.iter().position(|pull| pull.after <= durable) {
            let Some(pull) = self.pulls.taken_over.remove(at) else { break };
            self.rounds.settle(now.monotonic_ms, pull.partition, pull.partner, pull.began);
            self.on_pull_finished(now, pull.partition, pull.partner, pull.partner_is_complete);
        }
    }

    /// A member can be reached: whatever it has missed, or knows and this peer has missed, is looked for at once.
    pub(super) fn compare_with_returned(&mut self, now: Now, member: MemberId) {
        let start = self.links.get(&member).map(|link| link.start);
        let stale = |pull: &&Pull| pull.partner() == member && Some(pull.start()) != start;
        self.abandon_all(now, stale, "the other side has begun another start");
        self.rounds.want_all_with(member);
        self.begin_pulls(now);
    }

    /// A member cannot be reached any more.
    pub(super) fn stop_comparing_with(&mut self, now: Now, member: MemberId) {
        self.abandon_all(now, |pull| pull.partner() == member, "the other side cannot be reached any more");
        self.pulls.serving.forget(member);
    }

    /// What was compared of a partition so far does not count: its copy is dropped, and what was equal is not here any more.
    pub(super) fn stop_comparing(&mut self, partition: PartitionId) {
        self.abandon_all(self.now, |pull| pull.partition() == partition, "the copy has been dropped");
        self.pulls.taken_over.retain(|pull| pull.partition != partition);
        self.rounds.forget(partition);
    }

    fn abandon_all(&mut self, now: Now, is_meant: impl Fn(&&Pull) -> bool, reason: &str) {
        if is_broken(Rule::StaleTakeover) {
            return;
        }
        let stale: Vec<OperationId> = self.pulls.under_way.iter().filter(|(_, pull)| is_meant(pull)).map(|(id, _)| *id).collect();
        stale.into_iter().for_each(|id| self.abandon(now, id, reason));
    }
}
