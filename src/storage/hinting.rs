//! A store as a stand-in: it keeps entries of keys that it does not own for owners that are down (Dynamo, SOSP 2007, §4.6).
//!
//! A hint speaks with its explicit context alone. The store forgets what it has handed over, so a clock of what it has had would say
//! "seen and gone" of versions that live elsewhere (rule `standin_clock`).

use super::hints::{Hint, Place, bytes_of};
use super::store::{Held, Store, StoreError, Taken};
use super::{Location, Record};
use crate::broken::{Rule, is_broken};
use crate::limits::RECORD_BYTES_MAX;
use crate::message::Position;
use crate::ring::{MemberId, PartitionId};
use crate::vclock::{Actor, Entry, PackError, Seen, Start, pack, unpack};
use bytes::Bytes;

/// A hint that is owed to a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwedHint {
    /// The partition of its key.
    pub partition: PartitionId,
    /// Its key.
    pub key: Bytes,
    /// That of its record: when it grows, it gets another one, above all others.
    pub position: Position,
    /// About how many bytes it has.
    pub bytes: u64,
}

/// A hint whose record cannot be read, and what is known of it all the same.
#[derive(Clone, PartialEq, Debug)]
pub struct LostHint {
    /// Where its record lies.
    pub location: Location,
    /// The dots of its versions.
    pub live: Seen,
    /// Its explicit context.
    pub context: Seen,
}

/// What is owed to a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Debt {
    /// The member.
    pub member: MemberId,
    /// How many hints.
    pub hints: u64,
    /// About how many bytes.
    pub bytes: u64,
    /// Since when the one whose record is the oldest has been owed, in milliseconds since 1970.
    pub since_ms: u64,
}

impl Store {
    /// Takes an entry in for owners that are down: merges it with the hint that is there, and adds to those who are owed it. `wall_ms`: when
    /// that is. The answer names nothing: a stand-in does not know what the key holds.
    ///
    /// # Errors
    /// `Cold` and `Unreadable` as with [`Store::take`]; `HintsFull`: nothing was taken.
    pub fn take_hint(
        &mut self,
        partition: PartitionId,
        key: &Bytes,
        incoming: &Bytes,
        owed: &[MemberId],
        wall_ms: u64,
    ) -> Result<Taken, StoreError> {
        let malformed = |error: PackError| StoreError::Unreadable(format!("the entry that arrived makes no sense: {error}"));
        let arrived = unpack(incoming).map_err(malformed)?;
        let newest = arrived.versions().iter().map(|version| version.time).max().unwrap_or_default();
        // A copy: the key may be a slice of a large buffer.
        let place = (partition, Bytes::copy_from_slice(key));
        let before = self.tables.hints.get(&place).cloned();
        let (entry, packed) = match &before {
            // A copy, for it is going to be kept: what arrived may be a slice of a large buffer.
            None => (arrived, Bytes::copy_from_slice(incoming)),
            Some(hint) => {
                let held = self.entry_at(hint.location)?;
                let mut merged = if is_broken(Rule::HintOverwritten) { Entry::default() } else { held.clone() };
                merged.merge(arrived);
                let is_new = merged.versions() != held.versions() || merged.context() != held.context();
                if !is_new && owed.iter().all(|member| hint.owed.contains(member)) {
                    return Ok(Taken { position: self.position_of(hint.location), held: Held::Absent, newest });
                }
                let packed = pack(&merged);
                (merged, packed)
            }
        };
        let mut members: Vec<MemberId> = before.iter().flat_map(|hint| hint.owed.iter()).chain(owed).copied().collect();
        members.sort_unstable();
        members.dedup();
        if packed.len() > RECORD_BYTES_MAX / 2 {
            let message = "the hint and what arrives are too large together for a record of the log: reconcile the key's siblings";
            return Err(StoreError::Unreadable(message.to_string()));
        }
        let bytes = bytes_of(key, &packed, members.len());
        if self.tables.hints.would_overflow(before.as_ref().map(|hint| hint.bytes), bytes) {
            return Err(StoreError::HintsFull);
        }
        let since_ms = before.as_ref().map_or(wall_ms, |hint| hint.since_ms);
        let position = self.write_hint(&place, &entry, packed, members, since_ms);
        Ok(Taken { position, held: Held::Absent, newest })
    }

    /// What is kept of a key for its owners, and what has to be durable before it may be told. The context is the explicit one, and is never
    /// to be filled.
    ///
    /// # Errors
    /// `Cold` and `Unreadable`.
    pub fn read_hint(&mut self, partition: PartitionId, key: &[u8]) -> Result<Option<(Entry, Position)>, StoreError> {
        let place = (partition, Bytes::copy_from_slice(key));
        let held = match self.tables.hints.get(&place).map(|hint| hint.location) {
            Some(location) => Some((self.entry_at(location)?, self.position_of(location))),
            None => None,
        };
        // Only ever there while a rule is broken on purpose.
        match self.tables.hints.ghost(partition) {
            Some(ghost) => {
                let (mut entry, position) = held.unwrap_or_default();
                entry.fill(ghost);
                Ok(Some((entry, position)))
            }
            None => Ok(held),
        }
    }

    /// To whom this store owes what it keeps of a key.
    pub fn hint_owed(&self, partition: PartitionId, key: &[u8]) -> Vec<MemberId> {
        let place = (partition, Bytes::copy_from_slice(key));
        self.tables.hints.get(&place).map(|hint| hint.owed.to_vec()).unwrap_or_default()
    }

    /// The hint of a key as it is to be handed over, and the position that names it; none if there is none any more.
    ///
    /// # Errors
    /// `Cold` and `Unreadable`.
    pub fn hint_to_pay(&mut self, partition: PartitionId, key: &Bytes) -> Result<Option<(Bytes, Position)>, StoreError> {
        let Some(hint) = self.tables.hints.get(&(partition, key.clone())) else { return Ok(None) };
        let (location, position) = (hint.location, hint.position);
        Ok(Some((self.packed_at(location)?, position)))
    }

    /// A member has the hint of this position durably: it is not owed to it any more, and goes if it is owed to nobody. Synced in every
    /// mode. False, and nothing is written, if it was not owed to it, or has grown since.
    pub fn pay_hint(&mut self, partition: PartitionId, key: &Bytes, member: MemberId, position: Position) -> bool {
        let (is_paid, needless) = self.tables.hints.pay(&(partition, key.clone()), member, position);
        if let Some(location) = needless {
            self.cache.remove(location);
        }
        if is_paid {
            let (appended, _) =
                self.append(&Record::HintPaid { partition: partition.0, epoch: 0, member: member.0, position, key });
            self.want_sync(appended);
        }
        is_paid
    }

    /// What is known of a hint without reading its record; none if nothing is kept of the key.
    pub fn lost_hint(&self, partition: PartitionId, key: &Bytes) -> Option<LostHint> {
        let hint = self.tables.hints.get(&(partition, key.clone()))?;
        let (live, context) = hint.dots();
        Some(LostHint { location: hint.location, live, context })
    }

    /// Writes a hint anew in the place of a record that cannot be read, for those to whom it is still owed. None, and nothing is done, if another
    /// record has taken its place meanwhile, it is owed to nobody any more, or the entry is too large for a record.
    pub fn mend_hint(&mut self, partition: PartitionId, key: &Bytes, lost: &LostHint, entry: &Entry) -> Option<Position> {
        let place = (partition, Bytes::copy_from_slice(key));
        let hint = self.tables.hints.get(&place).filter(|hint| hint.location == lost.location)?;
        let (owed, since_ms, packed) = (hint.owed.clone(), hint.since_ms, pack(entry));
        if packed.len() > RECORD_BYTES_MAX / 2 {
            return None;
        }
        let position = self.write_hint(&place, entry, packed, owed, since_ms);
        self.look_through(lost.location, position);
        Some(position)
    }

    /// Writes down what is kept of a key, for whom, in place of what was kept of it.
    fn write_hint(&mut self, place: &Place, entry: &Entry, packed: Bytes, owed: Vec<MemberId>, since_ms: u64) -> Position {
        let (partition, key) = place;
        let hint = Hint::new(key, entry, &packed, owed, since_ms);
        let owed = coded_members(&hint.owed);
        let (position, location) =
            self.append(&Record::Hint { partition: partition.0, epoch: 0, since_ms, owed: &owed, key, entry: &packed });
        let old = self.tables.hints.set(place, Hint { location, position, ..hint }, entry.dots());
        self.keep(old, location, packed);
        position
    }

    /// The next hint that is owed to a member, in the order in which they were written down: the first after this position.
    pub fn next_hint_for(&self, member: MemberId, after: Position) -> Option<OwedHint> {
        let (position, place, hint) = self.tables.hints.owed_to(member, after).next()?;
        Some(OwedHint { partition: place.0, key: place.1.clone(), position, bytes: hint.bytes })
    }

    /// What is owed, to whom, in the order of the members.
    pub fn debts(&self) -> impl Iterator<Item = Debt> {
        let hints = &self.tables.hints;
        hints.debtors().map(|(member, debts)| {
            let since_ms = hints.owed_to(member, Position(0)).next().map_or(0, |(_, _, hint)| hint.since_ms);
            Debt { member, hints: debts.count(), bytes: debts.bytes, since_ms }
        })
    }

    /// Those to whom something is owed, in order.
    pub fn debtors(&self) -> impl Iterator<Item = MemberId> {
        self.tables.hints.debtors().map(|(member, _)| member)
    }

    /// Hints of all keys.
    pub fn hints(&self) -> usize {
        self.tables.hints.len()
    }

    /// Bytes of the records of all that is kept for others, about.
    pub fn hint_bytes(&self) -> u64 {
        self.tables.hints.bytes()
    }

    /// True if nothing new is taken for others.
    pub fn hints_full(&self) -> bool {
        self.tables.hints.is_full()
    }

    /// The partitions for which a hint here holds a live dot of this actor with a start below this one, in order.
    pub fn hints_hold(&self, actor: Actor, below: Start) -> Vec<PartitionId> {
        self.tables.hints.hold(actor, below)
    }

    /// From now on the log is synced up to this position, whatever the mode: somebody lets something go on the strength of it.
    pub fn want_sync(&mut self, position: Position) {
        self.sync_wanted = self.sync_wanted.max(position);
    }

    fn entry_at(&mut self, location: Location) -> Result<Entry, StoreError> {
        let packed = self.packed_at(location)?;
        unpack(&packed).map_err(|error| {
            StoreError::Unreadable(format!("the hint at {location:?} has a right checksum and makes no sense: {error}"))
        })
    }
}

/// Members as a record has them.
pub(super) fn coded_members(members: &[MemberId]) -> Vec<u8> {
    members.iter().flat_map(|member| member.0.to_be_bytes()).collect()
}

/// Decodes what [`coded_members`] made; they come in order, each once.
pub(super) fn decoded_members(bytes: &[u8]) -> Option<Vec<MemberId>> {
    let (members, rest) = bytes.as_chunks();
    let members: Vec<MemberId> = members.iter().map(|member| MemberId(u128::from_be_bytes(*member))).collect();
    (rest.is_empty() && !members.is_empty() && members.is_sorted_by(|a, b| a < b)).then_some(members)
}

impl super::tables::Tables {
    /// Takes in the record of a hint at a start.
    pub(super) fn replay_hint(
        &mut self,
        place: Place,
        (since_ms, owed, packed): (u64, &[u8], &[u8]),
        (location, position): (Location, Position),
    ) -> Result<(), String> {
        if is_broken(Rule::HintUnreplayed) {
            return Ok(());
        }
        let owed = decoded_members(owed).ok_or("its members are not in order")?;
        let entry = unpack(&Bytes::copy_from_slice(packed)).map_err(|error| error.to_string())?;
        let hint = Hint::new(&place.1, &entry, packed, owed, since_ms);
        self.hints.set(&place, Hint { location, position, ..hint }, entry.dots());
        Ok(())
    }

    /// Takes in the record of a hint that was paid, at a start.
    pub(super) fn replay_hint_paid(&mut self, place: &Place, member: u128, position: Position) {
        self.hints.pay(place, MemberId(member), position);
    }
}
