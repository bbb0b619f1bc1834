//! One record of the log: what it says, and the bytes of its body. The frame around them: [`frame`](super::frame).
//!
//! A small entry (no retry memory, nothing gone) takes 22 bytes and the padding beside its key and packed entry, frame included.

use super::frame::FRAME_BYTES;
use super::gap::Gap;
use super::varint::{Reader, put_slice, put_varint};
use crate::message::Position;
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use bytes::{BufMut, BytesMut};

/// The kinds of records. Numbers are never used again for something else.
///
/// Reserved for what is not written yet: blob reference 7.
pub(super) mod kind {
    pub const ENTRY: u8 = 1;
    pub const BATCH: u8 = 2;
    pub const CLOCK: u8 = 3;
    pub const HINT: u8 = 4;
    pub const HINT_PAID: u8 = 5;
    pub const MEMBERSHIP: u8 = 6;
    pub const PARTITION_DROPPED: u8 = 8;
    pub const MARK: u8 = 9;
    pub const SEAL: u8 = 10;
    pub const FENCE: u8 = 11;
    pub const STANDING: u8 = 12;
    pub const MEMBER: u8 = 13;
    pub const HEALED: u8 = 14;
}

/// What a record says. Decoding copies nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// The whole state of a key, taking the place of what earlier records say of it.
    Entry {
        /// The partition.
        partition: u16,
        /// Counts the ownerships of the partition: what an earlier one wrote is not of this one.
        epoch: u32,
        /// The key.
        key: &'a [u8],
        /// The packed entry; empty: the key is gone.
        entry: &'a [u8],
        /// Coded dots that the partition clock takes in with this record as seen and gone; empty for none.
        gone: &'a [u8],
        /// What recognises a retry of the request that made this.
        retry: Option<RetryRecord<'a>>,
    },
    /// Several records under one checksum: all or nothing.
    Batch(Batch<'a>),
    /// The clock of a partition, whole.
    Clock {
        /// The partition.
        partition: u16,
        /// The ownership of it.
        epoch: u32,
        /// The coded clock.
        clock: &'a [u8],
    },
    /// What this store keeps of a key for owners that were down, in place of what earlier records of this kind say of it.
    Hint {
        /// The partition.
        partition: u16,
        /// The ownership of it.
        epoch: u32,
        /// Since when it has been owed, in milliseconds since 1970.
        since_ms: u64,
        /// The members whom it is owed to: 16 bytes each, big-endian, in order; never none.
        owed: &'a [u8],
        /// The key.
        key: &'a [u8],
        /// The packed entry.
        entry: &'a [u8],
    },
    /// A hint has been handed to a member that it was owed to.
    HintPaid {
        /// The partition.
        partition: u16,
        /// The ownership of it.
        epoch: u32,
        /// The member.
        member: u128,
        /// The position of the hint that was paid: what was owed later still is.
        position: Position,
        /// The key.
        key: &'a [u8],
    },
    /// A change of the membership list.
    Membership {
        /// Its place in the list, from 0.
        index: u32,
        /// The coded change.
        change: &'a [u8],
    },
    /// All earlier records of this partition and epoch are void.
    PartitionDropped {
        /// The partition.
        partition: u16,
        /// The ownership that has ended.
        epoch: u32,
    },
    /// A promise: nothing that this actor says in a start below is taken in any more.
    Fence {
        /// The actor.
        actor: Actor,
        /// The member whose actor it is or was, as far as it was known; else 0.
        member: MemberId,
        /// The first start that may still speak.
        below: Start,
    },
    /// How whole a partition is, in place of what earlier records say of it.
    Standing {
        /// The partition.
        partition: u16,
        /// The ownership of it.
        epoch: u32,
        /// True if it has lost something that comparisons have not brought back yet.
        incomplete: bool,
        /// With whom it has compared since: 17 bytes each, the member and whether it was complete.
        compared: &'a [u8],
    },
    /// What a member has said of itself, in place of what earlier records say that it did. A start begins with it.
    Member(MemberNote<'a>),
    /// A place of the log is bad, and all that counted in it has been written anew before this: a start passes over it.
    Healed {
        /// The place.
        gap: Gap,
        /// How many hints were kept then. 0: hints that stand before this count no more.
        hints: u64,
        /// The digest of all that the store held then: what a start has to come to that passes over the place.
        digest: u64,
    },
    /// Begins each commit. The log writes it by itself.
    Mark {
        /// Everything up to here was durable before this was written.
        durable: Position,
        /// The start that wrote it.
        start: Start,
        /// True: the last record of that start, which stopped cleanly.
        clean: bool,
    },
    /// Ends a full segment. The log writes it by itself.
    Seal {
        /// Everything up to here was durable before this was written.
        durable: Position,
        /// The segment that goes on; it existed, durably, before this was written.
        next: u32,
    },
}

/// What a coordinator remembers of a client's write, so that it knows a retry when it sees one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryRecord<'a> {
    /// The client's session.
    pub session: u64,
    /// The number of the request in it.
    pub number: u64,
    /// Of the request; a retry with another one is not a retry.
    pub digest: u64,
    /// When it was taken in, in milliseconds since 1970.
    pub wall_ms: u64,
    /// The counter of the first dot that it made.
    pub first_counter: u64,
    /// How many dots it made.
    pub count: u32,
    /// The coded dots that it covered; empty for none.
    pub covered: &'a [u8],
}

/// What a member has said of itself. Whether that makes sense is asked by those who use it, not by the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberNote<'a> {
    /// The member; of this store's own, what it says of itself.
    pub member: MemberId,
    /// The actor under which its store writes.
    pub actor: Actor,
    /// Its start.
    pub start: Start,
    /// Drawn at that start.
    pub nonce: u64,
    /// Counts what it has said of itself in that start.
    pub incarnation: u32,
    /// What people call it, as UTF-8.
    pub name: &'a [u8],
    /// Where it is reached, as UTF-8: `host:port`.
    pub address: &'a [u8],
    /// The actors under which it wrote before: 12 bytes each, the actor and its last start.
    pub ended: &'a [u8],
}

/// Records that stand and fall together, in their coded form.
///
/// Decoding has checked each of them, so that [`iter`](Batch::iter) has nothing left to refuse.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Batch<'a> {
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Adds a record to the coded form of a batch, which begins as no bytes. Requires: no batch, mark or seal.
    pub fn push(bytes: &mut BytesMut, record: &Record<'_>) {
        assert!(record.may_stand_in_a_batch(), "a batch holds neither batches nor marks, seals or notes of healed places");
        let mut one = BytesMut::new();
        record.put(&mut one, 0);
        put_slice(bytes, &one);
    }

    /// The batch of these coded records, made with [`push`](Batch::push).
    pub fn new(bytes: &'a [u8]) -> Result<Batch<'a>, Malformed> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let (kind, body) = reader.slice().and_then(|one| one.split_first()).ok_or(Malformed::Body { kind: kind::BATCH })?;
            // Asked before it is read: batches inside of batches would else be taken apart one inside the other, down to the stack's end.
            if *kind == kind::BATCH || !Record::decode(*kind, body)?.may_stand_in_a_batch() {
                return Err(Malformed::Body { kind: kind::BATCH });
            }
        }
        Ok(Batch { bytes })
    }

    /// Its records in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = Record<'a>> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || {
            let (kind, body) = reader.slice()?.split_first()?;
            Record::decode(*kind, body).ok()
        })
    }
}

/// A record whose checksum is right, and that makes no sense all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// A kind that this version does not know, or flags in it.
    #[error("record kind {kind} with flags {flags:#x} is not known to this version of henge")]
    Unknown {
        /// The kind.
        kind: u8,
        /// The unknown flags; 0 if the kind itself is unknown.
        flags: u8,
    },
    /// The body ends early, or a number in it is out of range.
    #[error("the body of a record of kind {kind} makes no sense")]
    Body {
        /// The kind.
        kind: u8,
    },
}

const FLAG_RETRY: u8 = 1;
const FLAG_GONE: u8 = 2;
const FLAG_CLEAN: u8 = 1;
const FLAG_INCOMPLETE: u8 = 1;
/// A member, and whether it was complete.
pub(super) const COMPARED_BYTES: usize = 17;
/// The length of the record of a healed place, frame included and padding not: it proves itself with the salt at its end, as a mark does.
pub(super) const HEALED_BYTES: usize = FRAME_BYTES + 4 + 7 * 8;
/// An actor, and its last start.
pub(super) const ENDED_BYTES: usize = 12;

impl<'a> Record<'a> {
    fn kind(&self) -> u8 {
        match self {
            Record::Entry { .. } => kind::ENTRY,
            Record::Batch(_) => kind::BATCH,
            Record::Clock { .. } => kind::CLOCK,
            Record::Hint { .. } => kind::HINT,
            Record::HintPaid { .. } => kind::HINT_PAID,
            Record::Membership { .. } => kind::MEMBERSHIP,
            Record::PartitionDropped { .. } => kind::PARTITION_DROPPED,
            Record::Mark { .. } => kind::MARK,
            Record::Seal { .. } => kind::SEAL,
            Record::Fence { .. } => kind::FENCE,
            Record::Standing { .. } => kind::STANDING,
            Record::Member(_) => kind::MEMBER,
            Record::Healed { .. } => kind::HEALED,
        }
    }

    fn may_stand_in_a_batch(&self) -> bool {
        !matches!(self, Record::Batch(_) | Record::Mark { .. } | Record::Seal { .. } | Record::Healed { .. })
    }

    /// Appends kind and body. The salt is what marks and seals prove themselves with.
    pub(super) fn put(&self, out: &mut BytesMut, salt: u64) {
        out.put_u8(self.kind());
        match *self {
            Record::Entry { partition, epoch, key, entry, gone, retry } => {
                let flags = if retry.is_some() { FLAG_RETRY } else { 0 } | if gone.is_empty() { 0 } else { FLAG_GONE };
                out.put_u8(flags);
                put_varint(out, partition.into());
                put_varint(out, epoch.into());
                if let Some(retry) = retry {
                    retry.put(out);
                }
                if !gone.is_empty() {
                    put_slice(out, gone);
                }
                put_slice(out, key);
                out.put_slice(entry);
            }
            Record::Batch(batch) => out.put_slice(batch.bytes),
            Record::Clock { partition, epoch, clock } => {
                put_varint(out, partition.into());
                put_varint(out, epoch.into());
                out.put_slice(clock);
            }
            Record::Hint { partition, epoch, since_ms, owed, key, entry } => {
                put_varint(out, partition.into());
                put_varint(out, epoch.into());
                put_varint(out, since_ms);
                put_slice(out, owed);
                put_slice(out, key);
                out.put_slice(entry);
            }
            Record::HintPaid { partition, epoch, member, position, key } => {
                put_varint(out, partition.into());
                put_varint(out, epoch.into());
                out.put_u128(member);
                put_varint(out, position.0);
                out.put_slice(key);
            }
            Record::Membership { index, change } => {
                put_varint(out, index.into());
                out.put_slice(change);
            }
            Record::PartitionDropped { partition, epoch } => {
                put_varint(out, partition.into());
                put_varint(out, epoch.into());
            }
            Record::Fence { actor, member, below } => {
                out.put_u64_le(actor.0);
                out.put_u128_le(member.0);
                out.put_u32_le(below.0);
            }
            Record::Standing { partition, epoch, incomplete, compared } => {
                out.put_u8(if incomplete { FLAG_INCOMPLETE } else { 0 });
                put_varint(out, partition.into());
                put_varint(out, epoch.into());
                out.put_slice(compared);
            }
            Record::Member(note) => note.put(out),
            Record::Healed { gap, hints, digest } => {
                out.put_u32_le(gap.segment);
                for number in [gap.from, gap.to, gap.first.0, gap.next.0, hints, digest, salt] {
                    out.put_u64_le(number);
                }
            }
            Record::Mark { durable, start, clean } => put_proof(out, if clean { FLAG_CLEAN } else { 0 }, start.0, durable, salt),
            Record::Seal { durable, next } => put_proof(out, 0, next, durable, salt),
        }
    }

    /// Reads kind and body.
    pub(super) fn decode(kind: u8, body: &'a [u8]) -> Result<Record<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let record = match kind {
            kind::ENTRY => decode_entry(&mut reader)?,
            kind::BATCH => Some(Record::Batch(Batch::new(body)?)),
            kind::CLOCK => reader.place().map(|(partition, epoch)| Record::Clock { partition, epoch, clock: reader.rest() }),
            kind::HINT => decode_hint(&mut reader),
            kind::HINT_PAID => decode_hint_paid(&mut reader),
            kind::MEMBERSHIP => reader.varint_u32().map(|index| Record::Membership { index, change: reader.rest() }),
            kind::PARTITION_DROPPED => {
                reader.place().filter(|_| reader.is_empty()).map(|(partition, epoch)| Record::PartitionDropped { partition, epoch })
            }
            kind::MARK | kind::SEAL => decode_proof(kind, &mut reader)?,
            kind::FENCE => decode_fence(&mut reader),
            kind::STANDING => decode_standing(&mut reader)?,
            kind::MEMBER => MemberNote::decode(&mut reader).map(Record::Member),
            kind::HEALED => decode_healed(&mut reader),
            _ => return Err(Malformed::Unknown { kind, flags: 0 }),
        };
        record.ok_or(Malformed::Body { kind })
    }

    /// Reads a whole record from its checked bytes, as a read job or [`Log::peek`](super::Log::peek) gives them.
    pub fn read(bytes: &'a [u8]) -> Result<(Position, Record<'a>), Malformed> {
        let mut reader = Reader::new(bytes);
        let frame = (|| {
            let _crc = reader.u32()?;
            let length = reader.u32()?;
            let position = Position(reader.u64()?);
            let kind = reader.u8()?;
            let body = reader.take((length as usize).checked_sub(FRAME_BYTES)?)?;
            Some((position, kind, body))
        })();
        let (position, kind, body) = frame.ok_or(Malformed::Body { kind: 0 })?;
        Ok((position, Record::decode(kind, body)?))
    }
}

/// The body of a mark or a seal. It proves itself with the whole salt beside the CRC: recovery looks for marks at every place
/// behind a bad record, and nothing that a client stored may look like one.
fn put_proof(out: &mut BytesMut, flags: u8, number: u32, durable: Position, salt: u64) {
    out.put_slice(&[flags, 0, 0]);
    out.put_u32_le(number);
    out.put_u64_le(durable.0);
    out.put_u64_le(salt);
}

fn decode_proof<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Option<Record<'a>>, Malformed> {
    let read = (|| {
        let flags = reader.take(3)?[0];
        let number = reader.u32()?;
        let durable = Position(reader.u64()?);
        let _salt = reader.u64()?;
        reader.is_empty().then_some((flags, number, durable))
    })();
    let Some((flags, number, durable)) = read else { return Ok(None) };
    let known = if kind == kind::MARK { FLAG_CLEAN } else { 0 };
    if flags & !known != 0 {
        return Err(Malformed::Unknown { kind, flags: flags & !known });
    }
    Ok(Some(match kind {
        kind::MARK => Record::Mark { durable, start: Start(number), clean: flags & FLAG_CLEAN != 0 },
        _ => Record::Seal { durable, next: number },
    }))
}

fn decode_fence<'a>(reader: &mut Reader<'a>) -> Option<Record<'a>> {
    let (actor, member, below) = (Actor(reader.u64()?), MemberId(reader.u128()?), Start(reader.u32()?));
    reader.is_empty().then_some(Record::Fence { actor, member, below })
}

fn decode_healed<'a>(reader: &mut Reader<'a>) -> Option<Record<'a>> {
    let (segment, from, to) = (reader.u32()?, reader.u64()?, reader.u64()?);
    let (first, next) = (Position(reader.u64()?), Position(reader.u64()?));
    let (hints, digest, _salt) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let gap = Gap { segment, from, to, first, next };
    reader.is_empty().then_some(Record::Healed { gap, hints, digest })
}

fn decode_standing<'a>(reader: &mut Reader<'a>) -> Result<Option<Record<'a>>, Malformed> {
    let Some(flags) = reader.u8() else { return Ok(None) };
    if flags & !FLAG_INCOMPLETE != 0 {
        return Err(Malformed::Unknown { kind: kind::STANDING, flags: flags & !FLAG_INCOMPLETE });
    }
    Ok((|| {
        let (partition, epoch) = reader.place()?;
        let compared = reader.rest();
        let is_whole = compared.len().is_multiple_of(COMPARED_BYTES);
        is_whole.then_some(Record::Standing { partition, epoch, incomplete: flags & FLAG_INCOMPLETE != 0, compared })
    })())
}

fn decode_entry<'a>(reader: &mut Reader<'a>) -> Result<Option<Record<'a>>, Malformed> {
    let Some(flags) = reader.u8() else { return Ok(None) };
    let unknown = flags & !(FLAG_RETRY | FLAG_GONE);
    if unknown != 0 {
        return Err(Malformed::Unknown { kind: kind::ENTRY, flags: unknown });
    }
    Ok((|| {
        let (partition, epoch) = reader.place()?;
        let retry = if flags & FLAG_RETRY != 0 { Some(RetryRecord::decode(reader)?) } else { None };
        let gone = if flags & FLAG_GONE != 0 { reader.slice()? } else { &[] };
        let key = reader.slice()?;
        Some(Record::Entry { partition, epoch, key, entry: reader.rest(), gone, retry })
    })())
}

fn decode_hint<'a>(reader: &mut Reader<'a>) -> Option<Record<'a>> {
    let (partition, epoch) = reader.place()?;
    let since_ms = reader.varint()?;
    let owed = reader.slice().filter(|owed| !owed.is_empty() && owed.len().is_multiple_of(size_of::<u128>()))?;
    let key = reader.slice()?;
    Some(Record::Hint { partition, epoch, since_ms, owed, key, entry: reader.rest() })
}

fn decode_hint_paid<'a>(reader: &mut Reader<'a>) -> Option<Record<'a>> {
    let (partition, epoch) = reader.place()?;
    let member = u128::from_be_bytes(reader.take(size_of::<u128>())?.try_into().ok()?);
    let position = Position(reader.varint()?);
    Some(Record::HintPaid { partition, epoch, member, position, key: reader.rest() })
}

impl<'a> MemberNote<'a> {
    fn put(&self, out: &mut BytesMut) {
        out.put_u128_le(self.member.0);
        out.put_u64_le(self.actor.0);
        out.put_u32_le(self.start.0);
        out.put_u64_le(self.nonce);
        put_varint(out, self.incarnation.into());
        put_slice(out, self.name);
        put_slice(out, self.address);
        out.put_slice(self.ended);
    }

    fn decode(reader: &mut Reader<'a>) -> Option<MemberNote<'a>> {
        Some(MemberNote {
            member: MemberId(reader.u128()?),
            actor: Actor(reader.u64()?),
            start: Start(reader.u32()?),
            nonce: reader.u64()?,
            incarnation: reader.varint_u32()?,
            name: reader.slice()?,
            address: reader.slice()?,
            ended: Some(reader.rest()).filter(|ended| ended.len().is_multiple_of(ENDED_BYTES))?,
        })
    }
}

impl<'a> RetryRecord<'a> {
    fn put(&self, out: &mut BytesMut) {
        out.put_u64_le(self.session);
        put_varint(out, self.number);
        out.put_u64_le(self.digest);
        put_varint(out, self.wall_ms);
        put_varint(out, self.first_counter);
        put_varint(out, self.count.into());
        put_slice(out, self.covered);
    }

    fn decode(reader: &mut Reader<'a>) -> Option<RetryRecord<'a>> {
        Some(RetryRecord {
            session: reader.u64()?,
            number: reader.varint()?,
            digest: reader.u64()?,
            wall_ms: reader.varint()?,
            first_counter: reader.varint()?,
            count: reader.varint_u32()?,
            covered: reader.slice()?,
        })
    }
}

impl Reader<'_> {
    fn varint_u32(&mut self) -> Option<u32> {
        u32::try_from(self.varint()?).ok()
    }

    fn place(&mut self) -> Option<(u16, u32)> {
        Some((u16::try_from(self.varint()?).ok()?, self.varint_u32()?))
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
