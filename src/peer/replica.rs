//! A peer as a replica: takes entries in, tells what it holds, in order for each key also when one of them waits for the disk.

use super::handoff::Capacity;
use super::{Now, Output, Peer};
use crate::anti_entropy::Taking;
use crate::broken::{Rule, is_broken};
use crate::limits::{CLOCK_AHEAD_MS_MAX, KEY_BYTES_MAX, SCAN_PAGE_KEYS_MAX};
use crate::message::{
    Applied, Apply, Fetch, FetchMode, Fetched, Holding, Message, Naming, OperationId, Position, ScanAsk, ScanItem, ScanPage, Scope,
};
use crate::ring::{MemberId, PartitionId};
use crate::storage::{DiskJob, Held, Listed, Store, StoreError, Taken, Unread};
use crate::vclock::{Dot, Entry, Kind, Path, Seen, Version, pack, pack_bare};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// The store and the tasks that wait for one of its cold records.
#[derive(Debug)]
pub(super) struct Replica {
    store: Store,
    /// Per key the tasks in order; the first of them has asked for the record of this ticket.
    waiting: BTreeMap<(PartitionId, Bytes), (u64, VecDeque<Task>)>,
    tickets: BTreeMap<u64, (PartitionId, Bytes)>,
    last_ticket: u64,
}

/// Something to do with one key.
#[derive(Debug)]
pub(super) enum Task {
    Apply(MemberId, Apply),
    Fetch(MemberId, Fetch),
    View(OperationId),
    /// A hint that is to be handed over under this operation.
    Pay(OperationId),
    /// Drop what expired by then (milliseconds since 1970).
    Expire(u64),
    /// Take in what a pull has brought.
    Take(OperationId, Taking),
    /// Read the entry that belongs at this place of an answer to a pull.
    Serve(u64, u16),
}

impl Replica {
    pub(super) fn new(store: Store) -> Replica {
        Replica { store, waiting: BTreeMap::new(), tickets: BTreeMap::new(), last_ticket: 0 }
    }

    /// True if something that this member said waits for the disk; for member 0, if anybody's words do.
    pub(super) fn waits_with_words_of(&self, member: MemberId) -> bool {
        let is_of = |task: &Task| matches!(task, Task::Apply(from, _) if *from == member || member == MemberId(0));
        self.waiting.values().any(|(_, tasks)| tasks.iter().any(is_of))
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Lets tasks of a key wait, and whatever comes behind them.
    pub(super) fn hold(&mut self, place: (PartitionId, Bytes), ticket: u64, tasks: VecDeque<Task>) {
        self.waiting.entry(place).or_insert_with(|| (ticket, VecDeque::new())).1.extend(tasks);
    }

    /// True if tasks of a key wait.
    pub(super) fn is_held(&self, place: &(PartitionId, Bytes)) -> bool {
        self.waiting.contains_key(place)
    }

    /// The tasks of a key that wait under this ticket, in order; they wait no more.
    pub(super) fn release(&mut self, place: &(PartitionId, Bytes), ticket: u64) -> VecDeque<Task> {
        match self.waiting.get(place) {
            Some((of, _)) if *of == ticket => self.waiting.remove(place).map(|(_, tasks)| tasks).unwrap_or_default(),
            _ => VecDeque::new(),
        }
    }
}

impl Peer {
    pub(super) fn on_apply(&mut self, now: Now, from: MemberId, apply: Apply, outbox: &mut Vec<Output>) {
        let key = apply.key.clone();
        let no_room = from != self.me && self.replica.store().has_no_room();
        let capacity = match no_room {
            true => Err(format!("the disk of {} is full", self.config.name)),
            false => self.capacity_for(&key, &apply.owed),
        };
        match capacity {
            Ok((partition, _)) => self.run_in_order(now, partition, key, Task::Apply(from, apply), outbox),
            Err(reason) => {
                let refusal = self.refusal(apply.operation, reason);
                self.respond(from, refusal, Default::default(), outbox);
            }
        }
    }

    pub(super) fn on_fetch(&mut self, now: Now, from: MemberId, fetch: Fetch, outbox: &mut Vec<Output>) {
        // A peer that cannot say anything of the key says nothing: the coordinator asks another one.
        let key = fetch.key.clone();
        if let Ok(partition) = self.partition_to_serve(&key) {
            self.run_in_order(now, partition, key, Task::Fetch(from, fetch), outbox);
        }
    }

    /// Shows the key of a write to its coordinator, this very peer, as [`Peer::on_view`].
    pub(super) fn view_for(&mut self, now: Now, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(key) = self.drafting_key(id) else { return };
        let partition = self.partition_of(&key);
        self.run_in_order(now, partition, key, Task::View(id), outbox);
    }

    /// Which keys this replica holds, over some partitions.
    pub(super) fn on_scan_ask(&mut self, from: MemberId, ask: &ScanAsk, outbox: &mut Vec<Output>) {
        let limit = (ask.limit as usize).clamp(1, SCAN_PAGE_KEYS_MAX);
        let store = self.replica.store();
        let (items, more) = store.list(&ask.partitions, &ask.prefix, &ask.after, limit);
        let item = |Listed { key, hash, hidden_ms }: Listed| ScanItem { key: key.into(), hash, hidden_ms };
        let items = items.into_iter().map(item).collect();
        let incomplete: Vec<u16> =
            ask.partitions.iter().copied().filter(|partition| !self.counts_for(PartitionId(*partition))).collect();
        let page = ScanPage { operation: ask.operation, items, more, complete: incomplete.is_empty(), incomplete };
        let after = store.promise(store.appended());
        self.respond(from, Message::ScanPage(page), after, outbox);
    }

    /// Drops what expired in this key by then.
    pub(super) fn expire(&mut self, now: Now, place: (PartitionId, Bytes), by_ms: u64, outbox: &mut Vec<Output>) {
        self.run_in_order(now, place.0, place.1, Task::Expire(by_ms), outbox);
    }

    /// A cold record has come from the disk: its key's tasks go on.
    pub(super) fn on_record(&mut self, now: Now, ticket: u64, record: Result<(), Unread>, outbox: &mut Vec<Output>) {
        let Some(place) = self.replica.tickets.remove(&ticket) else { return };
        let Some((_, tasks)) = self.replica.waiting.remove(&place) else { return };
        let (partition, key) = place;
        match record {
            Ok(()) => tasks.into_iter().for_each(|task| self.run_in_order(now, partition, key.clone(), task, outbox)),
            Err(unread) if unread.is_damaged => self.heal(now, (partition, key), tasks, &unread.reason, outbox),
            Err(unread) => tasks.into_iter().for_each(|task| self.refuse(now, task, &unread.reason, outbox)),
        }
    }

    pub(super) fn run_in_order(&mut self, now: Now, partition: PartitionId, key: Bytes, task: Task, outbox: &mut Vec<Output>) {
        if !self.replica.waiting.is_empty()
            && let Some((_, tasks)) = self.replica.waiting.get_mut(&(partition, key.clone()))
        {
            tasks.push_back(task);
            return;
        }
        let done = match &task {
            Task::Apply(from, apply) => self.try_apply(now, partition, *from, apply, outbox),
            Task::Fetch(from, fetch) => self.try_fetch(partition, *from, fetch, outbox),
            Task::View(id) => self.try_view(now, partition, &key, *id, outbox),
            Task::Pay(id) => self.try_pay(now, *id, outbox),
            Task::Expire(by_ms) => self.replica.store.expire(partition, &key, *by_ms),
            Task::Take(pull, taking) => self.try_take(now, partition, *pull, taking),
            Task::Serve(answer, place) => self.try_serve(partition, &key, *answer, *place, outbox),
        };
        match done {
            Ok(()) => {}
            Err(StoreError::Cold(location)) => {
                self.replica.last_ticket += 1;
                let ticket = self.replica.last_ticket;
                self.replica.tickets.insert(ticket, (partition, key.clone()));
                self.replica.waiting.insert((partition, key), (ticket, VecDeque::from([task])));
                let job = DiskJob::Read(self.replica.store.read_job(ticket, location));
                outbox.push(Output::Disk(job));
            }
            Err(StoreError::Unreadable(reason)) => self.refuse(now, task, &reason, outbox),
            Err(StoreError::HintsFull) => {
                let name = &self.config.name;
                let reason = format!("{name} keeps as much as it may for owners that are down, and stands in for nothing new");
                self.refuse(now, task, &reason, outbox);
            }
        }
    }

    fn try_apply(
        &mut self,
        now: Now,
        partition: PartitionId,
        from: MemberId,
        apply: &Apply,
        outbox: &mut Vec<Output>,
    ) -> Result<(), StoreError> {
        // What is no owner's has been looked at when it came in.
        let capacity = if self.is_owner(partition) { Capacity::Owner } else { Capacity::StandIn };
        let retry = match from == self.me && capacity == Capacity::Owner {
            true => self.operations.get(&apply.operation).and_then(|operation| operation.retry.clone()),
            false => None,
        };
        let store = &mut self.replica.store;
        let taken = match capacity {
            Capacity::Owner => store.take(partition, &apply.key, &apply.entry, retry.as_ref())?,
            Capacity::StandIn => store.take_hint(partition, &apply.key, &apply.entry, &apply.owed, now.wall_ms)?,
        };
        if retry.is_some()
            && let Some(operation) = self.operations.get_mut(&apply.operation)
        {
            // Written down: when the entry is sent again, there is nothing new to write.
            operation.retry = None;
        }
        if !self.clock.follow(taken.newest, now.wall_ms, CLOCK_AHEAD_MS_MAX) {
            tracing::warn!(from = ?from, ahead_ms = taken.newest.wall_ms() - now.wall_ms, "a write is dated in our future; check the clocks");
        }
        let uncovered = apply.naming.as_ref().map(|naming| name_uncovered(naming, &taken)).unwrap_or_default();
        if apply.operation != OperationId(0) {
            let after = self.promise_of(apply, &taken);
            let (operation, sync) = (apply.operation, self.sync_mode());
            let complete = capacity == Capacity::Owner && self.counts_for(partition);
            let applied = Applied { operation, sync, uncovered, refused: None, complete };
            self.respond(from, Message::Applied(applied), after, outbox);
        }
        Ok(())
    }

    /// What an acknowledgement waits for. Whoever lets something go on the strength of it relies on all that made this store say so, a clock
    /// that came with a comparison included: so everything up to now is to be on the disk.
    fn promise_of(&mut self, apply: &Apply, taken: &Taken) -> Position {
        let store = &mut self.replica.store;
        if !apply.relief {
            return store.promise(taken.position);
        }
        store.want_sync(store.appended());
        store.appended()
    }

    fn try_fetch(
        &mut self,
        partition: PartitionId,
        from: MemberId,
        fetch: &Fetch,
        outbox: &mut Vec<Output>,
    ) -> Result<(), StoreError> {
        let is_owner = self.owners_of(partition).contains(&self.me);
        let (mut entry, position) = match fetch.mode {
            // A stand-in speaks for what it owes, with explicit contexts: it forgets what it has paid back.
            _ if !is_owner => self.replica.store.read_hint(partition, &fetch.key)?.unwrap_or_default(),
            FetchMode::Full | FetchMode::Explain => self.replica.store.read(partition, &fetch.key)?,
            FetchMode::Dots => self.replica.store.read_dots(partition, &fetch.key)?,
        };
        let holding = (fetch.mode == FetchMode::Explain).then(|| {
            let owed = if is_owner { Vec::new() } else { self.replica.store.hint_owed(partition, &fetch.key) };
            Box::new(Holding { context_intervals: entry.context().interval_count() as u32, owed })
        });
        if is_owner {
            entry.fill(self.replica.store.clock(partition));
        }
        let entry = match fetch.mode {
            FetchMode::Full | FetchMode::Explain => pack(&entry),
            FetchMode::Dots => pack_bare(&entry),
        };
        let complete = is_owner && self.counts_for(partition);
        let fetched = Fetched { operation: fetch.operation, entry, mode: fetch.mode, complete, holding };
        let after = if is_broken(Rule::ReadEarly) { Position(0) } else { self.replica.store.promise(position) };
        self.respond(from, Message::Fetched(fetched), after, outbox);
        Ok(())
    }

    fn try_view(
        &mut self,
        now: Now,
        partition: PartitionId,
        key: &Bytes,
        id: OperationId,
        outbox: &mut Vec<Output>,
    ) -> Result<(), StoreError> {
        let entry = match (self.is_owner(partition), self.drafting_needs_values(id)) {
            (true, true) => self.replica.store.read(partition, key)?.0,
            (true, false) => self.replica.store.read_dots(partition, key)?.0,
            // A stand-in sees what it keeps for the owners, and nothing else.
            (false, _) => self.replica.store.read_hint(partition, key)?.map(|held| held.0).unwrap_or_default(),
        };
        self.on_view(now, id, Ok(entry), outbox);
        Ok(())
    }

    pub(super) fn refuse(&mut self, now: Now, task: Task, reason: &str, outbox: &mut Vec<Output>) {
        match task {
            Task::Apply(from, apply) => {
                let refusal = self.refusal(apply.operation, reason.to_string());
                self.respond(from, refusal, Default::default(), outbox);
            }
            Task::Fetch(from, fetch) => {
                // No entry at all: held, but not to be read.
                let fetched =
                    Fetched { operation: fetch.operation, entry: Bytes::new(), mode: fetch.mode, complete: false, holding: None };
                self.respond(from, Message::Fetched(fetched), Default::default(), outbox);
            }
            Task::View(id) => self.on_view(now, id, Err(reason.to_string()), outbox),
            Task::Pay(id) => self.on_hint_unreadable(now, id, reason),
            // It stays hidden, and is tried again.
            Task::Expire(_) => {}
            Task::Take(pull, _) => self.refuse_take(pull, reason.to_string()),
            Task::Serve(answer, place) => self.refuse_serve(answer, place, outbox),
        }
    }

    /// Whether what this peer says of a partition counts as that of a store that has lost nothing.
    fn counts_for(&self, partition: PartitionId) -> bool {
        self.replica.store.is_complete(partition) || is_broken(Rule::IncompleteCounts)
    }

    /// The partition of a key that this peer owns; else why it takes nothing of it in.
    pub(super) fn serves(&self, key: &[u8]) -> Result<PartitionId, String> {
        let partition = self.partition_to_serve(key)?;
        if self.owners_of(partition).contains(&self.me) {
            Ok(partition)
        } else {
            Err(format!("{} does not own partition {}", self.config.name, partition.0))
        }
    }

    /// The partition of a key, of which this peer is an owner, or may stand in for one; else why it has nothing to say of it.
    fn partition_to_serve(&self, key: &[u8]) -> Result<PartitionId, String> {
        let Some(placement) = &self.placement else {
            return Err(format!("{} belongs to no cluster yet", self.config.name));
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len()));
        }
        Ok(placement.partition(key))
    }
}

/// The live dots that a write without a context has not covered here.
fn name_uncovered(naming: &Naming, taken: &Taken) -> Vec<Dot> {
    match &taken.held {
        // Nothing, or the write itself.
        Held::Absent | Held::Plain(_) => Vec::new(),
        Held::Entry(entry) => name_in(naming, entry),
    }
}

fn name_in(naming: &Naming, entry: &Entry) -> Vec<Dot> {
    let live: Seen = entry.dots().collect();
    if !naming.dots.iter().all(|dot| live.contains(*dot)) {
        return Vec::new();
    }
    let written: Seen = naming.dots.iter().copied().collect();
    let is_before = |version: &Version| match naming.dots.first() {
        Some(first) => (version.time, version.dot) < (naming.before, *first),
        None => version.time < naming.before,
    };
    let named = entry
        .versions()
        .iter()
        .filter(|version| !written.contains(version.dot) && replaces(&naming.scope, &version.path, version.kind))
        .filter(|version| is_before(version));
    named.map(|version| version.dot).collect()
}

/// True if a write of this scope replaces a version of this path and kind.
fn replaces(scope: &Scope, path: &Path, kind: Kind) -> bool {
    let holds = |paths: &[Path], path: &Path| paths.binary_search(path).is_ok();
    let lies_above_one_of = |paths: &[Path]| {
        let at = paths.partition_point(|other| other < path);
        paths.get(at).is_some_and(|other| path.contains(other))
    };
    lies_above_one_of(&scope.set)
        || holds(&scope.removed, path)
        || path.ancestors().any(|above| holds(&scope.set, &above) || holds(&scope.removed, &above))
        || (kind != Kind::EmptyMap && lies_above_one_of(&scope.objects))
}
