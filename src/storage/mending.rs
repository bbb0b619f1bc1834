//! Known damage: a key's record that cannot be read any more. Its place in the trie still says which state it was, by its hash, and of a
//! plain value which dot; the other owners are asked for it, and what they have is written down anew.
//!
//! So that the next start can pass over the bad bytes, the segment is then looked through: other keys that lie in them are healed too, whatever
//! else may lie there and is known in memory is written anew, and last a note of it.

use super::gap::{Gap, SegmentSurveyed, SurveySegment};
use super::healed::digest;
use super::members::with_note;
use super::store::{Store, coded};
use super::{Location, Record};
use crate::message::Position;
use crate::ring::PartitionId;
use crate::vclock::{Dot, Entry, Seen, Version};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A record that cannot be read, and what is known of it all the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Lost {
    /// Where it lies.
    pub location: Location,
    /// The hash of the state that it holds.
    pub hash: u64,
    /// Its dot, if it is a plain value.
    pub dot: Option<Dot>,
    /// What had been seen of the partition when it was found to be lost.
    pub clock: Seen,
}

/// Damage on its way to being healed.
#[derive(Debug, Default)]
pub(super) struct Mending {
    /// Segments to be looked through, once what has been written anew is durable up to there.
    due: BTreeMap<u32, Position>,
    /// One is being looked through.
    is_surveying: bool,
    /// Bad places of which no note has been written yet.
    open: BTreeSet<Gap>,
    /// Keys that lay in them when they were found.
    keys: Vec<(PartitionId, Bytes)>,
    /// Those of which one has been written.
    healed: BTreeSet<Gap>,
    /// Records of which nobody else had all: what they lie in is never said to be healed.
    given_up: Vec<Location>,
}

impl Mending {
    /// With the bad places of which the log says that they have been healed.
    pub(super) fn new(healed: BTreeSet<Gap>) -> Mending {
        Mending { healed, ..Mending::default() }
    }
}

impl Store {
    /// What is known of a key's record without reading it; none if the key is not live here.
    pub fn lost(&self, partition: PartitionId, key: &[u8]) -> Option<Lost> {
        let (location, dot) = self.tables.glance(partition, key)?;
        let hash = self.tables.partition(partition).trie.get(key)?.hash;
        Some(Lost { location, hash, dot, clock: self.clock(partition).clone() })
    }

    /// True if these versions are just what the lost record holds, byte for byte.
    pub fn is_lost_state(&self, key: &[u8], lost: &Lost, versions: &[Version]) -> bool {
        let entry = Entry::new(versions.to_vec(), Seen::new());
        !versions.is_empty() && self.tables.leaf_hash(key, &entry) == lost.hash
    }

    /// Writes the state of a key anew in the place of a record that cannot be read; its explicit context is known without that record.
    /// None, and nothing is done, if another record has taken its place meanwhile.
    ///
    /// Requires: the clock has seen the dots of the versions.
    pub fn mend(&mut self, partition: PartitionId, key: &Bytes, lost: &Lost, versions: Vec<Version>) -> Option<Position> {
        if self.tables.location(partition, key) != Some(lost.location) {
            return None;
        }
        let entry = Entry::new(versions, self.tables.context(partition, key));
        let position = self.put(partition, key, &entry, &Seen::new(), None);
        self.look_through(lost.location, position);
        Some(position)
    }

    /// What lay in a bad place has been written anew at this position: once that is durable, its segment is looked through.
    pub(super) fn look_through(&mut self, lost: Location, position: Position) {
        // Of one in a place that is known to be bad there is nothing to find out.
        if !self.mending.open.iter().any(|gap| gap.holds(lost)) {
            self.mending.due.insert(lost.segment, position);
            self.want_sync(position);
        }
    }

    /// What a lost record held may be nowhere else: the next start is to refuse the place, so that somebody looks at it.
    pub fn give_up(&mut self, lost: Location) {
        self.mending.given_up.push(lost);
    }

    /// The next segment to be looked through.
    pub(super) fn take_survey(&mut self) -> Option<SurveySegment> {
        if self.mending.is_surveying || self.mending.due.is_empty() {
            return None;
        }
        let durable = self.durable();
        let (segment, _) = self.mending.due.iter().find(|(_, position)| **position <= durable)?;
        let job = self.log.survey_job(*segment)?;
        self.mending.due.remove(&job.segment.id);
        self.mending.is_surveying = true;
        Some(job)
    }

    /// A segment has been looked through: the keys whose records are bad.
    pub(super) fn on_surveyed(&mut self, done: SegmentSurveyed) -> Vec<(PartitionId, Bytes)> {
        self.mending.is_surveying = false;
        let gaps = match done.result {
            Ok(gaps) => gaps,
            Err(error) => {
                tracing::warn!(%error, "a damaged file of the log could not be looked through: the next start may refuse it");
                return Vec::new();
            }
        };
        self.mending.open.retain(|gap| gap.segment != done.segment);
        self.mending.open.extend(gaps.into_iter().filter(|gap| !self.mending.healed.contains(gap)));
        self.mending.keys = if self.mending.open.is_empty() { Vec::new() } else { self.keys_in_gaps() };
        self.mending.keys.clone()
    }

    /// True if the record of a key, or of what is kept of it for its owners, lies in a bad place.
    pub fn is_in_gap(&self, place: &(PartitionId, Bytes)) -> bool {
        let of_hint = self.tables.hints.get(place).map(|hint| hint.location);
        let mut lies = self.tables.location(place.0, &place.1).into_iter().chain(of_hint);
        lies.any(|location| self.mending.open.iter().any(|gap| gap.holds(location)))
    }

    /// Looks at every key and every hint: rare enough.
    fn keys_in_gaps(&self) -> Vec<(PartitionId, Bytes)> {
        let hints = self.tables.hints.iter().map(|(place, _)| place);
        let mut found: Vec<(PartitionId, Bytes)> = hints.filter(|place| self.is_in_gap(place)).cloned().collect();
        for (index, partition) in (0u16..).zip(&self.tables.partitions) {
            let mut scan = partition.trie.scan(&[], None);
            while let Some((key, slot)) = scan.next_key() {
                let location = Location { segment: slot.segment, offset: slot.offset, class: slot.class };
                if self.mending.open.iter().any(|gap| gap.holds(location)) {
                    found.push((PartitionId(index), Bytes::copy_from_slice(key)));
                }
            }
        }
        found
    }

    /// Writes a note of each bad place in which nothing lies any more that counts. True if it has written one.
    ///
    /// What the place may have held beside keys and hints is known whole, and is written anew before the note. A start that passes over the place comes
    /// to what the store holds now, or refuses.
    pub fn close_gaps(&mut self) -> bool {
        if self.mending.open.is_empty() || !self.log.is_running() {
            return false;
        }
        let keys: Vec<(PartitionId, Bytes)> = self.mending.keys.iter().filter(|place| self.is_in_gap(place)).cloned().collect();
        let of_keys = keys.iter().filter_map(|(partition, key)| self.tables.location(*partition, key));
        let of_hints = self.tables.hints.iter().map(|(_, hint)| hint.location);
        let held: Vec<Location> = of_keys.chain(of_hints).chain(self.mending.given_up.iter().copied()).collect();
        let is_closed = |gap: &&Gap| !held.iter().any(|location| gap.holds(*location));
        let closed: Vec<Gap> = self.mending.open.iter().filter(is_closed).copied().collect();
        self.mending.keys = keys;
        if closed.is_empty() {
            return false;
        }
        self.append_all_but_entries();
        for gap in closed {
            let (hints, digest) = (self.tables.hints.len() as u64, self.digest());
            let (position, _) = self.append(&Record::Healed { gap, hints, digest });
            self.want_sync(position);
            self.mending.open.remove(&gap);
            self.mending.healed.insert(gap);
            tracing::info!(
                segment = gap.segment,
                from = gap.from,
                to = gap.to,
                "all that counted in a damaged place of the log has been written anew: the next start passes over it"
            );
        }
        true
    }

    /// The digest of all that the store holds and that its log has to bring back.
    pub fn digest(&self) -> u64 {
        digest(&self.tables, &self.fences)
    }

    /// Clocks, standings, promises, and what the members have said of themselves: as they are now.
    fn append_all_but_entries(&mut self) {
        for partition in (0..self.tables.partitions.len()).map(|index| PartitionId(index as u16)) {
            let place = self.tables.partition(partition);
            let (clock, standing) = (coded(&place.clock), place.standing.clone());
            if !clock.is_empty() {
                self.append(&Record::Clock { partition: partition.0, epoch: 0, clock: &clock });
            }
            self.append_standing(partition, &standing);
        }
        let fences: Vec<_> = self.fences().collect();
        for (actor, fence) in fences {
            self.append(&Record::Fence { actor, member: fence.member, below: fence.below });
        }
        let members: Vec<_> = self.members().cloned().collect();
        for member in &members {
            with_note(member, |note| {
                self.append(&Record::Member(note));
            });
        }
    }
}
