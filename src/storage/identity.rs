//! Who this store is: the two slots `NODE.0` and `NODE.1`.
//!
//! They are written in turn and synced, so that a write that is cut short never loses the other. A slot:
//!
//! ```text
//!  0  u64   magic "HENGNODE"        48  u32   start number
//!  8  u32   format version          52  u32   newest segment at that start; 0: none yet
//! 12  u32   flags: 1 in a cluster   56  u128  cluster id, if the flag is set
//! 16  u64   sequence number
//! 24  u128  member id               72  u32   first segment of the log; 0: the first there is
//! 40  u64   actor                   76  u32   the starts before, twelve of them, the newest first; 0: none
//!                                  124  u32   CRC32C of the 124 bytes before
//!                                  128  ...   zeros, up to 4,096
//! ```

use super::disk::{Disk, DiskError, Mode, Reason};
use super::varint::Reader;
use crate::broken::{Rule, is_broken};
use crate::ring::{ClusterId, MemberId};
use crate::vclock::{Actor, Start};

/// Who a store is, and how often it was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The member.
    pub member: MemberId,
    /// The actor under which it writes at present.
    pub actor: Actor,
    /// The number of the present start. It is durable before anything is written under it.
    pub start: Start,
    /// The cluster, once it is in one.
    pub cluster: Option<ClusterId>,
    /// The newest segment of the log when it was last started: if it is missing, the log has been damaged. 0: no log yet.
    pub segment: u32,
    /// The first segment of the log: what lies before it is not of this store any more. 0: all of them are.
    pub first_segment: u32,
    /// The starts before, the newest first; 0 behind the first one. As each start is written down here before it does anything, whoever has met
    /// one that lies between these and is none of them has met another folder: this one is an old copy.
    pub past: [Start; PAST_STARTS],
    /// Counts the times that this was stored; the slot with the greater number counts.
    pub sequence: u64,
}

/// So many starts before the present one are remembered: what fits the slot.
pub const PAST_STARTS: usize = 12;

impl Identity {
    /// That of a store that was never started and is in no cluster.
    pub(super) fn new(member: MemberId, actor: Actor) -> Identity {
        let past = [Start(0); PAST_STARTS];
        Identity { member, actor, start: Start(0), cluster: None, segment: 0, first_segment: 0, past, sequence: 0 }
    }

    /// The same in a start of this number.
    pub(super) fn begin(self, start: Start) -> Identity {
        let mut past = self.past;
        if self.start.0 > 0 {
            past.rotate_right(1);
            past[0] = self.start;
        }
        Identity { start, past, ..self }
    }
}

/// Why the identity cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Both slots are there, and neither can be read.
    #[error(
        "NODE.0 and NODE.1 are both damaged, so it is not known which member this folder belongs to; \
         put a copy of one of them back, or move the folder aside and take its place with an empty one: `henge serve --replace MEMBER --from ADDR`"
    )]
    Damaged,
    /// Written by a newer version of henge.
    #[error(
        "{file} has format version {version}, but this program knows only version {VERSION}; start the folder with a newer henge"
    )]
    Version {
        /// Which slot.
        file: String,
        /// Its version.
        version: u32,
    },
}

const MAGIC: [u8; 8] = *b"HENGNODE";
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 4_096;
const CODED_BYTES: usize = 128;
const FLAG_CLUSTER: u32 = 1;
/// The slots.
const SLOTS: [&str; 2] = ["NODE.0", "NODE.1"];

/// Reads the identity; `None` in a fresh folder.
///
/// One slot that cannot be read is what a power cut while it was written leaves: the other counts. That is also so if it is
/// damaged, and harmless: each start stores the same start number in both.
pub fn load_identity<D: Disk>(disk: &D) -> Result<Option<Identity>, IdentityError> {
    let mut found: Option<Identity> = None;
    let mut present = 0;
    for slot in SLOTS {
        let file = match disk.open(slot, Mode::Read) {
            Err(error) if error.reason == Reason::NotFound => continue,
            opened => opened?,
        };
        present += 1;
        let mut bytes = [0; CODED_BYTES];
        let count = disk.read_at(&file, 0, &mut bytes)?;
        match decode(&bytes[..count]) {
            Some(Ok(identity)) if found.is_none_or(|other| other.sequence < identity.sequence) => found = Some(identity),
            Some(Err(version)) => return Err(IdentityError::Version { file: slot.into(), version }),
            _ => {}
        }
    }
    match found {
        // The second slot is written for the first time when the first one is whole and durable.
        None if present == 2 => Err(IdentityError::Damaged),
        found => Ok(found),
    }
}

/// Stores an identity in the slot whose turn it is, durably, with the next sequence number; returns it with that number.
pub fn store_identity<D: Disk>(disk: &D, identity: Identity) -> Result<Identity, DiskError> {
    let identity = Identity { sequence: identity.sequence + 1, ..identity };
    let slot = SLOTS[(identity.sequence % 2) as usize];
    let (file, fresh) = match disk.open(slot, Mode::Write) {
        Err(error) if error.reason == Reason::NotFound => (disk.open(slot, Mode::Create)?, true),
        opened => (opened?, false),
    };
    disk.write_at(&file, 0, &encode(&identity))?;
    if !is_broken(Rule::IdentityUnsynced) {
        disk.sync(&file)?;
    }
    if fresh {
        disk.sync_dir("")?;
    }
    Ok(identity)
}

/// The number of the next start: above all earlier ones, and at least the wall clock in seconds, so that it is above those
/// that an old copy of this folder does not know of.
pub(super) fn next_start(last: Start, wall_ms: u64) -> Option<Start> {
    let wall = u32::try_from(wall_ms / 1_000).unwrap_or(u32::MAX);
    Some(Start(last.0.checked_add(1)?.max(wall)))
}

pub(super) fn encode(identity: &Identity) -> Vec<u8> {
    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend_from_slice(&MAGIC);
    slot.extend_from_slice(&VERSION.to_le_bytes());
    slot.extend_from_slice(&identity.cluster.map_or(0, |_| FLAG_CLUSTER).to_le_bytes());
    slot.extend_from_slice(&identity.sequence.to_le_bytes());
    slot.extend_from_slice(&identity.member.0.to_le_bytes());
    slot.extend_from_slice(&identity.actor.0.to_le_bytes());
    slot.extend_from_slice(&identity.start.0.to_le_bytes());
    slot.extend_from_slice(&identity.segment.to_le_bytes());
    slot.extend_from_slice(&identity.cluster.map_or(0, |cluster| cluster.0).to_le_bytes());
    slot.extend_from_slice(&identity.first_segment.to_le_bytes());
    identity.past.iter().for_each(|start| slot.extend_from_slice(&start.0.to_le_bytes()));
    slot.resize(CODED_BYTES - 4, 0);
    slot.extend_from_slice(&crc32c::crc32c(&slot).to_le_bytes());
    slot.resize(SLOT_BYTES, 0);
    slot
}

/// `None`: not a whole slot. `Err`: a whole one of another version.
pub(super) fn decode(bytes: &[u8]) -> Option<Result<Identity, u32>> {
    let (coded, crc) = bytes.split_at_checked(CODED_BYTES - 4)?;
    if coded[..8] != MAGIC || *crc != crc32c::crc32c(coded).to_le_bytes() {
        return None;
    }
    let mut reader = Reader::new(&coded[8..]);
    let version = reader.u32()?;
    if version != VERSION {
        return Some(Err(version));
    }
    let flags = reader.u32()?;
    let sequence = reader.u64()?;
    let member = MemberId(reader.u128()?);
    let actor = Actor(reader.u64()?);
    let start = Start(reader.u32()?);
    let segment = reader.u32()?;
    let cluster = ClusterId(reader.u128()?);
    let cluster = (flags & FLAG_CLUSTER != 0).then_some(cluster);
    let first_segment = reader.u32()?;
    let mut past = [Start(0); PAST_STARTS];
    for start in &mut past {
        *start = Start(reader.u32()?);
    }
    Some(Ok(Identity { member, actor, start, cluster, segment, first_segment, past, sequence }))
}

impl Reader<'_> {
    pub(super) fn u128(&mut self) -> Option<u128> {
        Some(u128::from_le_bytes(self.take(16)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_above_the_last_one_and_not_below_the_wall_clock() {
        assert_eq!(next_start(Start(7), 5_000), Some(Start(8)));
        assert_eq!(next_start(Start(7), 9_999_999), Some(Start(9_999)));
        assert_eq!(next_start(Start(7), u64::MAX), Some(Start(u32::MAX)));
        assert_eq!(next_start(Start(u32::MAX), 0), None);
    }

    #[test]
    fn the_starts_before_are_remembered_newest_first_and_the_oldest_are_let_go() {
        let mut identity = Identity::new(MemberId(1), Actor(2));
        for start in 1..=20 {
            identity = identity.begin(Start(start * 10));
            let past: Vec<u32> = identity.past.iter().map(|start| start.0).filter(|start| *start > 0).collect();
            let expected: Vec<u32> = (1..start).rev().take(PAST_STARTS).map(|start| start * 10).collect();
            assert_eq!((identity.start, past), (Start(start * 10), expected));
        }
    }

    #[test]
    fn an_identity_comes_back_as_it_was_and_any_flipped_bit_is_noticed() {
        for cluster in [None, Some(ClusterId(0)), Some(ClusterId(u128::MAX - 5))] {
            let identity = Identity {
                member: MemberId(77),
                actor: Actor(5),
                start: Start(9),
                cluster,
                segment: 3,
                first_segment: 2,
                past: std::array::from_fn(|at| Start(8u32.saturating_sub(at as u32))),
                sequence: 12,
            };
            let slot = encode(&identity);
            assert_eq!(slot.len(), SLOT_BYTES);
            assert_eq!(decode(&slot[..CODED_BYTES]), Some(Ok(identity)));
            for bit in 0..CODED_BYTES * 8 {
                let mut flipped = slot.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&flipped[..CODED_BYTES]), None);
            }
        }
    }
}
