//! The store: tables over a log. It takes entries in, tells what it holds, and names what has to wait for the disk.

use super::cache::Cache;
use super::members::Members;
use super::standing::Fence;
use super::tables::Tables;
use super::{Identity, Location, Log, Record, RetryRecord, has_expired};
use crate::broken::{Rule, is_broken};
use crate::limits::{LOG_PENDING_BYTES_FULL, RECORD_BYTES_MAX};
use crate::message::{Position, SyncMode};
use crate::ring::{Change, MemberId, PartitionId, Placement};
use crate::vclock::{
    Actor, Dot, Entry, Kind, PackError, Path, Seen, Start, Timestamp, Version, decode_seen, encode_seen, pack, pack_plain,
    plain_with_context, unpack,
};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// A peer's store, once it has been opened. It does no I/O: what it wants from the disk it hands out as jobs.
#[derive(Debug)]
pub struct Store {
    pub(super) identity: Identity,
    pub(super) sync: SyncMode,
    pub(super) log: Log,
    pub(super) tables: Tables,
    pub(super) cache: Cache,
    pub(super) retries: Vec<RetryNote>,
    /// Records that are not durable yet, oldest first: where they begin, and their position.
    unsettled: VecDeque<((u32, u32), Position)>,
    /// Keys whose absence is not durable yet.
    removed: BTreeMap<(PartitionId, Bytes), Position>,
    /// Up to here the log is to be synced, whatever the mode.
    pub(super) sync_wanted: Position,
    /// When the log was last handed something to write, and to sync (monotonic milliseconds).
    pub(super) written_ms: u64,
    pub(super) synced_ms: u64,
    /// What pulls that are under way want to be told of.
    pub(super) watches: super::comparing::Watches,
    /// An identity to store once the log is durable up to this position.
    pub(super) identity_due: Option<(Position, Identity)>,
    /// What it has promised to refuse.
    pub(super) fences: BTreeMap<Actor, Fence>,
    /// What the members have said of themselves.
    pub(super) members: Members,
    /// Damage that is being healed.
    pub(super) mending: super::mending::Mending,
    /// Bytes that may wait for a full disk before what others send is refused.
    pub(super) waiting_bytes_full: usize,
}

/// What a coordinator remembers of a write; its own replica writes it down with the record.
#[derive(Clone, PartialEq, Debug)]
pub struct RetryNote {
    /// The client's session.
    pub session: u64,
    /// The number of the write in it.
    pub number: u64,
    /// Tells whether a retry is the same request.
    pub digest: u64,
    /// When it began, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The first of its dots.
    pub first: Dot,
    /// How many dots it made, one after the other.
    pub count: u32,
    /// What it replaced, as far as its coordinator saw.
    pub covered: Seen,
}

/// What a store holds of a key.
#[derive(Clone, PartialEq, Debug)]
pub enum Held {
    /// No live version.
    Absent,
    /// The version that arrived, alone, at the root path.
    Plain(Dot),
    /// Whatever it holds now.
    Entry(Entry),
}

/// A key of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The key.
    pub key: Vec<u8>,
    /// The hash of its live state.
    pub hash: u64,
    /// When its last version expires, in milliseconds since 1970; 0: never.
    pub hidden_ms: u64,
}

/// What became of an entry that was taken in.
#[derive(Debug)]
pub struct Taken {
    /// What has to be durable before this may be promised.
    pub position: Position,
    /// What the key holds now.
    pub held: Held,
    /// The latest timestamp among the arriving versions.
    pub newest: Timestamp,
}

/// Why a key cannot be served at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// Its record lies on the disk only: read it, then ask again.
    Cold(Location),
    /// Its record, or the entry that arrives, cannot be read; for people.
    Unreadable(String),
    /// So much is kept for others already that nothing new is taken.
    HintsFull,
}

impl Store {
    pub(super) fn new(identity: Identity, sync: SyncMode, log: Log, cache_bytes: usize, tables: Tables) -> Store {
        Store {
            identity,
            sync,
            log,
            tables,
            cache: Cache::new(cache_bytes),
            retries: Vec::new(),
            unsettled: VecDeque::new(),
            removed: BTreeMap::new(),
            sync_wanted: Position(0),
            written_ms: 0,
            synced_ms: 0,
            watches: Default::default(),
            identity_due: None,
            fences: BTreeMap::new(),
            members: Members::default(),
            mending: Default::default(),
            waiting_bytes_full: LOG_PENDING_BYTES_FULL,
        }
    }

    /// The member whose store this is.
    pub fn member(&self) -> MemberId {
        self.identity.member
    }

    /// The actor under which it writes.
    pub fn actor(&self) -> Actor {
        self.identity.actor
    }

    /// Its present start.
    pub fn start(&self) -> Start {
        self.identity.start
    }

    /// The starts before, as the folder has them: the newest first; none for a new one.
    pub fn past_starts(&self) -> impl Iterator<Item = Start> {
        self.identity.past.into_iter().take_while(|start| start.0 > 0)
    }

    /// The newest start of an actor of which a dot has been seen here.
    pub fn newest_start_of(&self, actor: Actor) -> Option<Start> {
        let last = |clock: &Seen| clock.intervals(actor).last().map(|interval| Dot { actor, counter: interval.last }.start());
        self.tables.partitions.iter().filter_map(|partition| last(&partition.clock)).max()
    }

    /// How its log is synced.
    pub fn sync_mode(&self) -> SyncMode {
        self.sync
    }

    /// The membership list, empty before the peer was formed.
    pub fn membership(&self) -> &[Change] {
        &self.tables.membership
    }

    /// What its last starts remember of their writes, oldest first. Gives it away: the coordinator keeps it from here on.
    pub fn take_retries(&mut self) -> Vec<RetryNote> {
        std::mem::take(&mut self.retries)
    }

    /// Writes down the first change of the membership list; it counts when the position is durable. Requires: there is none yet.
    pub fn append_membership(&mut self, change: &Change, placement: &Placement) -> Position {
        assert!(self.tables.membership.is_empty(), "a peer is formed once");
        let bytes = rmp_serde::to_vec(change).expect("a change is plain data");
        let (position, _) = self.append(&Record::Membership { index: 0, change: &bytes });
        self.sync_wanted = position;
        self.identity_due = Some((position, Identity { cluster: Some(placement.cluster()), ..self.identity }));
        self.tables.take_membership(change.clone(), placement);
        position
    }

    /// Every dot that has been seen in a partition.
    pub fn clock(&self, partition: PartitionId) -> &Seen {
        &self.tables.partition(partition).clock
    }

    /// The number of live keys of a partition and the sum of their hashes: equal for equal contents.
    pub fn summary(&self, partition: PartitionId) -> (u64, u64) {
        let trie = &self.tables.partition(partition).trie;
        (trie.len(), trie.sum())
    }

    /// Issues a run of dots for a write of this store and returns the first.
    pub fn mint(&mut self, partition: PartitionId, count: u32) -> Dot {
        self.tables.mint(partition, self.identity.actor, self.identity.start, count)
    }

    /// The last dot of its own that this copy of a partition may not have seen: the one before its start, or before it was owned again.
    pub fn began_behind(&self, partition: PartitionId) -> Dot {
        self.tables.partition(partition).began_behind(self.identity.actor, self.identity.start)
    }

    /// What a key holds, and what has to be durable before it may be told. The context is explicit, not filled.
    pub fn read(&mut self, partition: PartitionId, key: &[u8]) -> Result<(Entry, Position), StoreError> {
        let Some(location) = self.tables.location(partition, key) else {
            return Ok(self.absent(partition, key));
        };
        let packed = self.packed_at(location)?;
        let undecodable = |error: PackError| {
            StoreError::Unreadable(format!("the record at {location:?} has a right checksum and makes no sense: {error}"))
        };
        let (versions, _) = unpack(&packed).map_err(undecodable)?.into_parts();
        Ok((Entry::new(versions, self.tables.context(partition, key)), self.relied_on(partition, location)))
    }

    /// The same, with the values left out where that saves reading the record.
    pub fn read_dots(&mut self, partition: PartitionId, key: &[u8]) -> Result<(Entry, Position), StoreError> {
        match self.tables.glance(partition, key) {
            None => Ok(self.absent(partition, key)),
            Some((_, None)) => self.read(partition, key),
            Some((location, Some(dot))) => {
                Ok((Entry::new(vec![bare(dot)], self.tables.context(partition, key)), self.relied_on(partition, location)))
            }
        }
    }

    /// Keys with a prefix, after a key, in order, over some partitions: at most `limit` of them, and whether there are more. What has
    /// expired and is not dropped yet is among them.
    pub fn list(&self, partitions: &[u16], prefix: &[u8], after: &[u8], limit: usize) -> (Vec<Listed>, bool) {
        let mut found: BTreeMap<Vec<u8>, (u64, u64)> = BTreeMap::new();
        let mut more = false;
        let after = (!after.is_empty()).then_some(after);
        for partition in partitions.iter().map(|partition| PartitionId(*partition)).filter(|partition| self.tables.has(*partition))
        {
            let place = self.tables.partition(partition);
            let mut scan = place.trie.scan(prefix, after);
            let mut key = Vec::new();
            while let Some(slot) = scan.next_into(&mut key) {
                if found.len() == limit {
                    more = true;
                    if found.last_key_value().is_some_and(|(last, _)| *last < key) {
                        break;
                    }
                    found.pop_last();
                }
                let hidden_ms = match place.expiries.is_empty() {
                    true => 0,
                    false => place.expiries.get(key.as_slice()).map_or(0, |expiry| expiry.hidden_ms),
                };
                found.insert(key.clone(), (slot.hash, hidden_ms));
            }
        }
        let listed = found.into_iter().map(|(key, (hash, hidden_ms))| Listed { key, hash, hidden_ms });
        (listed.collect(), more)
    }

    /// Takes an entry in: the one way by which anything arrives, from a coordinator, a repair, anybody.
    ///
    /// The common case, one plain version over nothing or over one plain version that it covers, reads no record and
    /// builds no entry.
    pub fn take(
        &mut self,
        partition: PartitionId,
        key: &Bytes,
        incoming: &Bytes,
        retry: Option<&RetryNote>,
    ) -> Result<Taken, StoreError> {
        match self.take_plain(partition, key, incoming, retry) {
            Some(taken) => Ok(taken),
            None => self.take_entry(partition, key, incoming, retry),
        }
    }

    fn take_plain(&mut self, partition: PartitionId, key: &Bytes, incoming: &Bytes, retry: Option<&RetryNote>) -> Option<Taken> {
        let (plain, context) = plain_with_context(incoming)?;
        let place = self.tables.partition(partition);
        let is_new = !place.clock.contains(plain.dot) || is_broken(Rule::PlainAgain);
        let leaves_no_context =
            context.is_subset_of(&place.clock) && (place.contexts.is_empty() || !place.contexts.contains_key(key));
        let covers_what_is_held = match self.tables.glance(partition, key) {
            None => true,
            Some((_, Some(dot))) => context.contains(dot) || is_broken(Rule::PlainOverwrites),
            Some((_, None)) => false,
        };
        if !(is_new && leaves_no_context && covers_what_is_held && self.tables.can_name(plain.dot)) {
            return None;
        }
        let value = &incoming[plain.value.clone()];
        let packed = pack_plain(&Version { value: incoming.slice(plain.value.clone()), ..version_of(&plain) });
        let (position, location) = self.append_entry(partition, key, &packed, &Seen::new(), retry);
        let old = self.tables.index_plain(partition, key, &plain, value, location).expect("the author has an alias");
        self.tables.partition_mut(partition).clock.insert(plain.dot);
        if !self.watches.is_empty() {
            self.note_arrival(partition, key, &[plain.dot]);
        }
        self.keep(old, location, packed);
        Some(Taken { position, held: Held::Plain(plain.dot), newest: plain.time })
    }

    fn take_entry(
        &mut self,
        partition: PartitionId,
        key: &Bytes,
        incoming: &Bytes,
        retry: Option<&RetryNote>,
    ) -> Result<Taken, StoreError> {
        let malformed = |error: PackError| StoreError::Unreadable(format!("the entry that arrived makes no sense: {error}"));
        let incoming = unpack(incoming).map_err(malformed)?;
        let newest = incoming.versions().iter().map(|version| version.time).max().unwrap_or_default();
        let (before, position) = self.read(partition, key)?;
        let bytes = |entry: &Entry| {
            entry.versions().iter().map(|version| version.value.len() + version.path.as_bytes().len() + 64).sum::<usize>()
        };
        if bytes(&before) + bytes(&incoming) > RECORD_BYTES_MAX / 2 {
            let message =
                "what the key holds and what arrives are too large together for a record of the log: reconcile its siblings";
            return Err(StoreError::Unreadable(message.to_string()));
        }
        if !self.watches.is_empty() {
            // A dot that has been seen was noted when it came first, or is gone; else two pulls would hand each other the same for ever.
            let clock = self.clock(partition);
            let new: Vec<Dot> = incoming.dots().filter(|dot| !clock.contains(*dot)).collect();
            self.note_arrival(partition, key, &new);
        }
        let mut entry = before.clone();
        let claimed = is_broken(Rule::AddContext).then(|| incoming.context().clone());
        let clock = &mut self.tables.partition_mut(partition).clock;
        let gone: Seen = entry.take(incoming, clock).into_iter().collect();
        claimed.into_iter().for_each(|claimed| clock.union_with(&claimed));
        let unchanged = gone.is_empty() && entry.versions() == before.versions() && entry.context() == before.context();
        let position = if unchanged && retry.is_none() { position } else { self.put(partition, key, &entry, &gone, retry) };
        Ok(Taken { position, held: held(entry), newest })
    }

    /// The keys that have a version that expired at or before this moment (milliseconds since 1970): at most `limit` of them.
    pub fn expired(&self, by_ms: u64, limit: usize) -> Vec<(PartitionId, Bytes)> {
        let due = self.tables.due().take_while(|due| due.0 <= by_ms).take(limit);
        due.map(|(_, partition, key)| (*partition, key.clone())).collect()
    }

    /// When the next version expires, in milliseconds since 1970.
    pub fn next_expiry(&self) -> Option<u64> {
        self.tables.due().next().map(|due| due.0)
    }

    /// Drops the versions of a key that expired at or before this moment. Expiry takes a version, never what has been seen: its dot
    /// stays in the clock, and the context of the key stays as it is.
    pub fn expire(&mut self, partition: PartitionId, key: &Bytes, by_ms: u64) -> Result<(), StoreError> {
        if self.tables.partition(partition).expiries.get(key).is_none_or(|expiry| expiry.first_ms > by_ms) {
            return Ok(());
        }
        // The dot of a plain version stands in its slot: nothing has to be read.
        let (entry, _) = self.read_dots(partition, key)?;
        let is_plain = matches!(self.tables.glance(partition, key), Some((_, Some(_))));
        let is_gone = |version: &&Version| is_plain || has_expired(&entry, version, by_ms) || is_broken(Rule::ExpireAll);
        let gone: Seen = entry.versions().iter().filter(is_gone).map(|version| version.dot).collect();
        let (mut kept, context) = entry.into_parts();
        kept.retain(|version| !gone.contains(version.dot));
        self.put(partition, key, &Entry::new(kept, context), &gone, None);
        Ok(())
    }

    /// Writes the state of a key down and lets the tables follow.
    pub(super) fn put(
        &mut self,
        partition: PartitionId,
        key: &Bytes,
        entry: &Entry,
        gone: &Seen,
        retry: Option<&RetryNote>,
    ) -> Position {
        let packed = if entry.is_empty() { Bytes::new() } else { pack(entry) };
        let (position, location) = self.append_entry(partition, key, &packed, gone, retry);
        let old = self.tables.index(partition, key, entry, location);
        self.keep(old, location, packed);
        if entry.versions().is_empty() {
            self.removed.insert((partition, Bytes::copy_from_slice(key)), position);
        }
        position
    }

    fn append_entry(
        &mut self,
        partition: PartitionId,
        key: &[u8],
        entry: &[u8],
        gone: &Seen,
        retry: Option<&RetryNote>,
    ) -> (Position, Location) {
        let gone = coded(gone);
        let covered = retry.map(|retry| coded(&retry.covered)).unwrap_or_default();
        let retry = retry.map(|retry| RetryRecord {
            session: retry.session,
            number: retry.number,
            digest: retry.digest,
            wall_ms: retry.wall_ms,
            first_counter: retry.first.counter,
            count: retry.count,
            covered: &covered,
        });
        self.append(&Record::Entry { partition: partition.0, epoch: 0, key, entry, gone: &gone, retry })
    }

    pub(super) fn append(&mut self, record: &Record<'_>) -> (Position, Location) {
        let appended = self.log.append(record).expect("what is written was bounded when it came in");
        self.unsettled.push_back((place(appended.location), appended.position));
        (appended.position, appended.location)
    }

    /// The cache follows: a record that is no longer the key's will not be read again.
    pub(super) fn keep(&mut self, old: Option<Location>, location: Location, packed: Bytes) {
        if let Some(old) = old {
            self.cache.remove(old);
        }
        if !packed.is_empty() {
            self.cache.insert(location, packed);
        }
    }

    pub(super) fn forget_removed(&mut self, partition: PartitionId) {
        self.removed.retain(|(of, _), _| *of != partition);
    }

    fn absent(&self, partition: PartitionId, key: &[u8]) -> (Entry, Position) {
        let position = match self.removed.is_empty() || is_broken(Rule::AbsentEarly) {
            true => None,
            false => self.removed.get(&(partition, Bytes::copy_from_slice(key))).copied(),
        };
        let position = position.unwrap_or_default().max(self.tables.partition(partition).clock_at);
        (Entry::new(Vec::new(), self.tables.context(partition, key)), position)
    }

    /// What has to be durable before anybody relies on what a key holds, and on what it is said to have seen.
    fn relied_on(&self, partition: PartitionId, location: Location) -> Position {
        self.position_of(location).max(self.tables.partition(partition).clock_at)
    }

    pub(super) fn packed_at(&mut self, location: Location) -> Result<Bytes, StoreError> {
        if let Some(packed) = self.cache.get(location) {
            return Ok(packed);
        }
        let Some(bytes) = self.log.peek(location) else {
            return Err(StoreError::Cold(location));
        };
        match Record::read(bytes) {
            Ok((_, Record::Entry { entry, .. } | Record::Hint { entry, .. })) => {
                let packed = Bytes::copy_from_slice(entry);
                self.cache.insert(location, packed.clone());
                Ok(packed)
            }
            _ => Err(StoreError::Unreadable(format!("the record at {location:?} holds no entry"))),
        }
    }

    /// The position of a record that is not durable yet; 0 if it is.
    pub(super) fn position_of(&self, location: Location) -> Position {
        match self.unsettled.binary_search_by_key(&place(location), |record| record.0) {
            Ok(at) => self.unsettled[at].1,
            Err(_) => Position(0),
        }
    }

    /// Forgets what has become durable.
    pub(super) fn settle(&mut self) {
        let durable = self.durable();
        while self.unsettled.front().is_some_and(|record| record.1 <= durable) {
            self.unsettled.pop_front();
        }
        self.removed.retain(|_, position| *position > durable);
    }

    /// Live keys.
    pub fn keys(&self) -> u64 {
        self.tables.partitions.iter().map(|partition| partition.trie.len()).sum()
    }

    /// Keys with an explicit context.
    pub fn contexts(&self) -> u64 {
        self.tables.partitions.iter().map(|partition| partition.contexts.len() as u64).sum()
    }

    /// Bytes of memory taken by the tries.
    pub fn trie_bytes(&self) -> usize {
        self.tables.partitions.iter().map(|partition| partition.trie.bytes()).sum()
    }

    /// Drops from all explicit contexts what the clocks have seen meanwhile.
    pub fn strip_contexts(&mut self) {
        self.tables.partitions.iter_mut().for_each(super::partition::Partition::strip_contexts);
    }
}

fn held(entry: Entry) -> Held {
    match entry.versions() {
        [] => Held::Absent,
        _ => Held::Entry(entry),
    }
}

fn bare(dot: Dot) -> Version {
    Version { dot, path: Path::ROOT, kind: Kind::Bytes, value: Bytes::new(), time: Timestamp::default(), expiry_ms: 0 }
}

fn version_of(plain: &crate::vclock::Plain) -> Version {
    Version {
        dot: plain.dot,
        path: Path::ROOT,
        kind: plain.kind,
        value: Bytes::new(),
        time: plain.time,
        expiry_ms: plain.expiry_ms,
    }
}

fn place(location: Location) -> (u32, u32) {
    (location.segment, location.offset)
}

pub(super) fn coded(seen: &Seen) -> Vec<u8> {
    let mut bytes = Vec::new();
    if !seen.is_empty() {
        encode_seen(seen, &mut bytes);
    }
    bytes
}

/// Decodes what [`coded`] made.
pub(super) fn decoded(mut bytes: &[u8]) -> Result<Seen, PackError> {
    if bytes.is_empty() { Ok(Seen::new()) } else { decode_seen(&mut bytes) }
}
