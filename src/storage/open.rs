//! Opening a store's log: the same sequence under the server and under the simulator.

use super::disk::{Disk, DiskError};
use super::identity::{Identity, IdentityError, load_identity, next_start, store_identity};
use super::job::{PrepareSegment, prepare_segment};
use super::location::Location;
use super::log::{Log, Resume};
use super::record::Record;
use super::recovery::{Onlooker, Recovered, RecoveryError, Visitor, recover};
use super::renewal::{move_aside, renew};
use super::segment::{LOG_DIR, SegmentInfo, TMP_DIR};
use crate::broken::{Rule, is_broken};
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::message::Position;
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// Where a person finds what was moved aside.
pub(super) const QUARANTINE_DIR: &str = "quarantine";

/// What opening needs to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenOptions {
    /// The wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// From which ids and salts are drawn. Requires: another one at each start.
    pub seed: u64,
    /// The size of the first segment after a start (bytes).
    pub segment_bytes_min: u64,
    /// The size up to which segments double (bytes).
    pub segment_bytes_max: u64,
    /// A log that is damaged, or that other peers have refused as an old copy, is moved aside, and the store goes on with a new actor and
    /// what could be read. Without it such a log is an error.
    pub quarantine: bool,
}

impl OpenOptions {
    /// With the usual sizes of segments.
    pub fn new(wall_ms: u64, seed: u64) -> OpenOptions {
        OpenOptions { wall_ms, seed, segment_bytes_min: SEGMENT_BYTES_MIN, segment_bytes_max: SEGMENT_BYTES_MAX, quarantine: false }
    }
}

/// A log that is ready.
pub struct Opened {
    /// To append to.
    pub log: Log,
    /// Who the store is; its start number is that of this start.
    pub identity: Identity,
    /// The start before this one; `None` if this is the first.
    pub previous: Option<Start>,
    /// True if that start stopped cleanly as the last thing that it did: then it has used no dot that is not in the log.
    pub stopped_cleanly: bool,
    /// What was found.
    pub recovered: Recovered,
}

/// Why a log could not be opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It is not known who the store is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is a log, and no identity.
    #[error(
        "NODE.0 and NODE.1 are missing or damaged, but there is a log ({0}); put a copy of NODE.0 or NODE.1 back, or move the folder aside and take its place with an empty one: `henge serve --replace MEMBER --from ADDR`"
    )]
    Nameless(String),
    /// All start numbers are used up.
    #[error("the start number of this store cannot grow any more; move the folder aside and start the peer empty")]
    Starts,
    /// No readable record of a damaged log says who the members are.
    #[error(
        "what can be read of the log does not say who the members of the cluster are; move the folder aside and take its place with an \
         empty one: `henge serve --replace {0} --from ADDR`, with the address of a running peer"
    )]
    MembersLost(MemberId),
    /// The list of members makes no sense.
    #[error("the list of members makes no sense: {0}")]
    Members(String),
    /// Who is to be replaced is no member.
    #[error("member {0} cannot be replaced: {1}")]
    NoMember(MemberId, String),
    /// The folder that is to take a member's place has a member of its own.
    #[error("the folder is that of member {0}, so it cannot take the place of member {1}: give an empty one with --dir")]
    Occupied(MemberId, MemberId),
    /// The log cannot be recovered.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
}

/// Opens the log in a folder: who am I, one more start, what is there, and a segment to go on in.
///
/// Requires: nobody else uses the folder (the file disk holds a lock). The visitor is told every record, in order; if an error is
/// returned, whatever it has gathered is worth nothing.
pub fn open<D: Disk>(
    disk: &D,
    options: &OpenOptions,
    visitor: &mut dyn FnMut(Location, Position, &Record<'_>),
) -> Result<Opened, OpenError> {
    open_for(disk, options, &mut Onlooker(visitor))
}

/// The same for a visitor that is also asked whether it may be true that the bad places of the log have been healed.
pub(super) fn open_for<D: Disk>(disk: &D, options: &OpenOptions, visitor: &mut dyn Visitor) -> Result<Opened, OpenError> {
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    for dir in [LOG_DIR, TMP_DIR, QUARANTINE_DIR] {
        disk.make_dir(dir)?;
    }
    // A name may be there and not be durable: that of a segment or a slot whose maker died before it synced the folder.
    disk.sync_dir("")?;
    disk.sync_dir(LOG_DIR)?;
    let (previous, identity) = begin_start(disk, options, &mut random)?;
    for name in disk.list(TMP_DIR)? {
        disk.remove(&format!("{TMP_DIR}/{name}"))?;
    }
    move_aside(disk, &identity, false)?;
    let identity = if options.quarantine { renew(disk, identity, options, &mut random)? } else { identity };
    move_aside(disk, &identity, options.quarantine)?;
    let recovered = recover(disk, identity.segment, visitor)?;
    let (segments, ready) = segments_to_go_on(disk, &recovered, options, &mut random)?;
    // The second slot takes the start number too. And from now on the log is known to have this segment.
    let identity = store_identity(disk, Identity { segment: ready[0].id, ..identity })?;
    let log = Log::resume(Resume {
        start: identity.start,
        segments,
        ready,
        last: recovered.last,
        segment_bytes_min: options.segment_bytes_min,
        segment_bytes_max: options.segment_bytes_max,
        seed: random.next_u64(),
    });
    let stopped_cleanly = previous.is_some() && recovered.clean == previous;
    Ok(Opened { log, identity, previous, stopped_cleanly, recovered })
}

/// Loads or makes the identity, and raises its start number, durably. Gives back the start before, too.
fn begin_start<D: Disk>(disk: &D, options: &OpenOptions, random: &mut ChaCha8Rng) -> Result<(Option<Start>, Identity), OpenError> {
    let loaded = load_identity(disk)?;
    let identity = match loaded {
        Some(identity) => identity,
        None => match disk.list(LOG_DIR)?.into_iter().next() {
            Some(file) => return Err(OpenError::Nameless(format!("{LOG_DIR}/{file}"))),
            None => new_identity(random),
        },
    };
    let start = match loaded {
        Some(known) if is_broken(Rule::NoStart) => known.start,
        _ => next_start(identity.start, options.wall_ms).ok_or(OpenError::Starts)?,
    };
    let identity = store_identity(disk, identity.begin(start))?;
    Ok((loaded.map(|identity| identity.start), identity))
}

fn new_identity(random: &mut ChaCha8Rng) -> Identity {
    let member = MemberId(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()));
    Identity::new(member, Actor(random.next_u64()))
}

/// All segments, and those of them that can be written to: what was prepared and never used, else a new one.
fn segments_to_go_on<D: Disk>(
    disk: &D,
    recovered: &Recovered,
    options: &OpenOptions,
    random: &mut ChaCha8Rng,
) -> Result<(Vec<SegmentInfo>, Vec<SegmentInfo>), DiskError> {
    let mut segments = recovered.segments.clone();
    if !recovered.unused.is_empty() {
        return Ok((segments, recovered.unused.clone()));
    }
    let id = segments.last().map_or(1, |segment| segment.id + 1);
    let segment = SegmentInfo { id, salt: random.next_u64(), size: options.segment_bytes_min };
    prepare_segment(disk, &PrepareSegment { segment, wall_ms: options.wall_ms })?;
    segments.push(segment);
    Ok((segments, vec![segment]))
}
