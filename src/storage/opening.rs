//! Opening a store: the log is replayed into tries and clocks.

use super::healed::digest;
use super::members::Members;
use super::mending::Mending;
use super::open::open_for;
use super::recovery::Visitor;
use super::standing::{Fence, Standing};
use super::store::{RetryNote, Store, decoded};
use super::tables::Tables;
use super::{Batch, Disk, Gap, Location, OpenOptions, Record, RetryRecord};
use crate::broken::{Rule, is_broken};
use crate::limits::{HINT_BYTES_MAX, HINTS_MAX, LOG_PENDING_BYTES_FULL, RETRY_MEMORY_MS};
use crate::message::{Position, SyncMode};
use crate::ring::{MemberId, PartitionId, Placement};
use crate::vclock::{Actor, Dot, plain, unpack};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// How a store is to be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreOptions {
    /// How its log is synced.
    pub sync: SyncMode,
    /// Bytes of records kept in memory for reads.
    pub cache_bytes: usize,
    /// How its log is opened.
    pub log: OpenOptions,
}

/// Bounds of a store that it meets only when a disk is full or many are down: smaller ones are met in a rehearsal, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreBounds {
    /// What it keeps for owners that are down, in bytes of its records.
    pub hint_bytes_max: u64,
    /// The same, in keys.
    pub hints_max: usize,
    /// Bytes that may wait for a full disk before it refuses what other peers send.
    pub waiting_bytes_full: usize,
}

impl Default for StoreBounds {
    fn default() -> StoreBounds {
        StoreBounds { hint_bytes_max: HINT_BYTES_MAX, hints_max: HINTS_MAX, waiting_bytes_full: LOG_PENDING_BYTES_FULL }
    }
}

/// What was found when a store was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Records replayed.
    pub records: u64,
    /// Bytes cut from a torn end.
    pub cut_bytes: u64,
    /// True if the last start stopped cleanly.
    pub was_clean: bool,
}

/// Why a store could not be opened. Nothing on the disk was changed but the start number.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] super::OpenError),
    /// A record has a right checksum and makes no sense.
    #[error(
        "{0}; it may have been written by a newer version of henge: start that one, or move the folder aside and start the peer empty"
    )]
    Senseless(String),
    /// The identity names a cluster of which the log knows nothing.
    #[error(
        "NODE.0 and NODE.1 name a cluster of which the log knows nothing: the log is not this peer's, or has lost its beginning. Put the right \
         log/ back, or move the folder aside and take its place with an empty one: `henge serve --replace {0} --from ADDR`"
    )]
    ForeignLog(MemberId),
}

impl Store {
    /// Opens a store: takes a new start and replays the log. Blocks.
    pub fn open<D: Disk>(disk: &D, options: &StoreOptions) -> Result<(Store, Found), StoreOpenError> {
        let mut replay = Replay::default();
        let opened = open_for(disk, &options.log, &mut replay)?;
        if let Some(reason) = replay.senseless {
            return Err(StoreOpenError::Senseless(reason));
        }
        if opened.identity.cluster.is_some() && replay.tables.is_none() {
            return Err(StoreOpenError::ForeignLog(opened.identity.member));
        }
        let identity = opened.identity;
        let tables = replay.tables.unwrap_or_default();
        let mut store = Store::new(identity, options.sync, opened.log, options.cache_bytes, tables);
        store.retries = replay.retries.into_iter().map(|(_, note)| note).collect();
        store.fences = replay.fences;
        store.members = replay.members;
        store.mending = Mending::new(replay.healed);
        if !opened.recovered.gaps.is_empty() {
            let gaps = opened.recovered.gaps.len();
            tracing::warn!(
                gaps,
                "damaged places of the log were passed over: all that counted in them has been written anew since"
            );
        }
        // Not the author of whatever dot of the entry has this count: others count from 1 too.
        store.retries.iter_mut().for_each(|note| note.first.actor = identity.actor);
        store.retries.retain(|note| note.wall_ms.saturating_add(RETRY_MEMORY_MS) > options.log.wall_ms);
        if is_broken(Rule::SkipSeen) && !opened.stopped_cleanly {
            store.skip_seen();
        }
        store.strip_contexts();
        if is_broken(Rule::NoStart) {
            store.tables.partitions.iter_mut().for_each(|partition| partition.go_on(identity.actor, identity.start));
        }
        let (records, cut_bytes) = (opened.recovered.records, opened.recovered.cut_bytes);
        Ok((store, Found { records, cut_bytes, was_clean: opened.stopped_cleanly }))
    }

    /// From now on these bounds, in the place of the usual ones.
    pub fn set_bounds(&mut self, bounds: StoreBounds) {
        self.tables.hints.set_bounds(bounds.hint_bytes_max, bounds.hints_max);
        self.waiting_bytes_full = bounds.waiting_bytes_full;
    }
}

/// A store in the making.
#[derive(Default)]
pub(super) struct Replay {
    tables: Option<Tables>,
    /// First tries, and where their dots lie.
    retries: Vec<(PartitionId, RetryNote)>,
    senseless: Option<String>,
    fences: BTreeMap<Actor, Fence>,
    members: Members,
    /// The bad places that have been healed.
    healed: BTreeSet<Gap>,
    /// Whether what stood in the log up to the last note of one came to what the note says.
    is_same: bool,
}

impl Visitor for Replay {
    fn visit(&mut self, location: Location, position: Position, record: &Record<'_>) {
        if self.senseless.is_some() {
            return;
        }
        if let Err(reason) = self.try_record(location, position, record) {
            self.senseless = Some(format!("record {} at {location:?} makes no sense: {reason}", position.0));
        }
    }

    fn vouches(&self) -> bool {
        self.is_same && self.senseless.is_none()
    }
}

impl Replay {
    fn try_record(&mut self, location: Location, position: Position, record: &Record<'_>) -> Result<(), String> {
        match record {
            Record::Membership { change, .. } => {
                let change = super::coded::decode_change(change)?;
                let placement = Placement::from_changes(std::slice::from_ref(&change)).map_err(|error| error.to_string())?;
                let tables = self.tables.get_or_insert_default();
                tables.take_membership(change, &placement);
                Ok(())
            }
            Record::Entry { partition, key, entry, gone, retry, .. } => {
                self.on_entry(PartitionId(*partition), key, entry, gone, location)?;
                if let Some(retry) = retry {
                    self.on_retry(PartitionId(*partition), retry)?;
                }
                Ok(())
            }
            Record::Clock { .. } if is_broken(Rule::ClockUnreplayed) => Ok(()),
            Record::Clock { partition, clock, .. } => {
                let clock = decoded(clock).map_err(|error| error.to_string())?;
                self.tables(PartitionId(*partition))?.partition_mut(PartitionId(*partition)).clock.union_with(&clock);
                Ok(())
            }
            Record::Hint { partition, since_ms, owed, key, entry, .. } => {
                let place = (PartitionId(*partition), Bytes::copy_from_slice(key));
                self.tables(place.0)?.replay_hint(place, (*since_ms, owed, entry), (location, position))
            }
            Record::HintPaid { partition, member, position, key, .. } => {
                let place = (PartitionId(*partition), Bytes::copy_from_slice(key));
                self.tables(place.0)?.replay_hint_paid(&place, *member, *position);
                Ok(())
            }
            Record::PartitionDropped { partition, .. } => {
                let partition = PartitionId(*partition);
                self.tables(partition)?.clear(partition);
                // What they wrote may have been dropped with the copy: nobody can say any more what became of them.
                self.retries.retain(|(of, _)| *of != partition);
                Ok(())
            }
            Record::Fence { actor, member, below } => {
                let fence = Fence { member: *member, below: *below, position: Position(0) };
                self.fences.insert(*actor, fence);
                Ok(())
            }
            Record::Standing { .. } if is_broken(Rule::StandingUnreplayed) => Ok(()),
            Record::Standing { partition, incomplete, compared, .. } => {
                let standing = Standing::decoded(*incomplete, compared);
                self.tables(PartitionId(*partition))?.partition_mut(PartitionId(*partition)).standing = standing;
                Ok(())
            }
            Record::Member(note) => {
                self.members.replay_or_tell(note);
                Ok(())
            }
            Record::Healed { gap, hints, digest: told } => {
                let tables = self.tables.as_mut().ok_or("it comes before the membership list")?;
                if *hints == 0 {
                    tables.hints.clear();
                }
                self.is_same = digest(tables, &self.fences) == *told;
                self.healed.insert(*gap);
                Ok(())
            }
            Record::Batch(batch) => self.on_batch(location, position, batch),
            Record::Mark { .. } | Record::Seal { .. } => Ok(()),
        }
    }

    fn on_batch(&mut self, location: Location, position: Position, batch: &Batch<'_>) -> Result<(), String> {
        batch.iter().try_for_each(|record| self.try_record(location, position, &record))
    }

    fn on_entry(
        &mut self,
        partition: PartitionId,
        key: &[u8],
        packed: &[u8],
        gone: &[u8],
        location: Location,
    ) -> Result<(), String> {
        let gone = decoded(gone).map_err(|error| error.to_string())?;
        let tables = self.tables(partition)?;
        if let Some(plain) = plain(packed)
            && tables.index_plain(partition, key, &plain, &packed[plain.value.clone()], location).is_ok()
        {
            tables.partition_mut(partition).clock.insert(plain.dot);
        } else {
            let entry = match packed {
                [] => Default::default(),
                packed => unpack(&Bytes::copy_from_slice(packed)).map_err(|error| error.to_string())?,
            };
            let clock = &mut tables.partition_mut(partition).clock;
            entry.dots().for_each(|dot| clock.insert(dot));
            if !(packed.is_empty() && is_broken(Rule::RemovalUnreplayed)) {
                tables.index(partition, &Bytes::copy_from_slice(key), &entry, location);
            }
        }
        if !is_broken(Rule::GoneUnreplayed) {
            tables.partition_mut(partition).clock.union_with(&gone);
        }
        Ok(())
    }

    fn on_retry(&mut self, partition: PartitionId, retry: &RetryRecord<'_>) -> Result<(), String> {
        let covered = decoded(retry.covered).map_err(|error| error.to_string())?;
        // The actor is that of the versions that the record made; a removal makes none, and needs none.
        let note = RetryNote {
            session: retry.session,
            number: retry.number,
            digest: retry.digest,
            wall_ms: retry.wall_ms,
            // Set once it is known who this store is.
            first: Dot { actor: crate::vclock::Actor(0), counter: retry.first_counter },
            count: retry.count,
            covered,
        };
        self.retries.push((partition, note));
        Ok(())
    }

    fn tables(&mut self, partition: PartitionId) -> Result<&mut Tables, String> {
        let tables = self.tables.as_mut().ok_or("it comes before the membership list")?;
        if tables.has(partition) { Ok(tables) } else { Err(format!("there is no partition {}", partition.0)) }
    }
}
