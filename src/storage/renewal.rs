//! A log begun anew, under a new actor: by a store that has lost its old one or a part of it.
//!
//! The new log is written beside the old one, in segments of greater numbers. Then the identity names its first segment and the new
//! actor, in one write: that is the moment at which the store is another one. What lies before that segment is moved to `quarantine/`, now or
//! at a later start. Whatever breaks off before leaves the folder as it was, as far as anybody reads it.

use super::disk::{Call, Disk, DiskError, Mode, Reason};
use super::hinting::coded_members;
use super::identity::{Identity, load_identity, store_identity};
use super::job::{PrepareSegment, prepare_segment};
use super::log::{Log, Resume};
use super::members::{Members, with_note};
use super::open::{OpenError, OpenOptions, QUARANTINE_DIR};
use super::opening::Replay;
use super::recovery::{RecoveryError, recover};
use super::salvage::{Survivors, read_hint};
use super::segment::{LOG_DIR, SegmentInfo, TMP_DIR, parse_file_name};
use super::standing::Standing;
use super::store::coded;
use super::{Batch, DiskDone, DiskJob, OpenFiles, Record, execute};
use crate::broken::{Rule, is_broken};
use crate::message::Position;
use crate::ring::{Change, MemberId, Placement};
use crate::vclock::{Actor, Start, pack};
use bytes::BytesMut;
use rand::Rng;
use rand::rngs::ChaCha8Rng;
use std::collections::BTreeMap;

/// This file says that other peers have refused the folder as an old copy, and why.
pub const REFUSED_FILE: &str = "REFUSED";

/// Bytes of a new log that wait for the disk at most.
const PENDING_BYTES: usize = 4 << 20;

/// `serve --quarantine`: makes a store that cannot go on with its log one that can.
///
/// * Refused as an old copy: all that it holds is moved aside, and it comes up empty.
/// * Damaged: what can be read survives.
/// * Neither: nothing is done.
pub(super) fn renew<D: Disk>(
    disk: &D,
    identity: Identity,
    options: &OpenOptions,
    random: &mut ChaCha8Rng,
) -> Result<Identity, OpenError> {
    let refused = exists(disk, REFUSED_FILE)?;
    if !refused {
        match recover(disk, identity.segment, &mut Replay::default()) {
            Ok(_) => return Ok(identity),
            Err(error @ (RecoveryError::Disk(_) | RecoveryError::Newer { .. })) => return Err(error.into()),
            Err(_) => {}
        }
    }
    let mut survivors = Survivors::find(disk)?;
    if survivors.changes.is_empty() {
        return Err(OpenError::MembersLost(identity.member));
    }
    if refused {
        survivors.entries.clear();
        survivors.hints.clear();
        survivors.clocks.clear();
    }
    survivors.fences.insert(identity.actor, (identity.member, Start(u32::MAX)));
    let first = newest_segment(disk)?.max(identity.segment) + 1;
    let mut log = NewLog::begin(disk, options, random, (first, identity.start))?;
    log.append_beginning(&survivors.changes, &survivors.fences, &survivors.members)?;
    for ((partition, key), place) in &survivors.entries {
        let Some(entry) = survivors.read(disk, (*partition, key), *place)?.filter(|entry| !entry.is_empty()) else { continue };
        let entry = pack(&entry);
        log.append(&Record::Entry { partition: *partition, epoch: 0, key, entry: &entry, gone: &[], retry: None })?;
    }
    for ((partition, key), (segment, at, _, owed)) in survivors.hints.iter().filter(|(_, (.., owed))| !owed.is_empty()) {
        let Some((since_ms, entry)) = read_hint(disk, (*partition, key), (*segment, *at))? else { continue };
        let owed = coded_members(owed);
        log.append(&Record::Hint { partition: *partition, epoch: 0, since_ms, owed: &owed, key, entry: &entry })?;
    }
    if is_broken(Rule::HoleClock) {
        for (partition, clock) in &survivors.clocks {
            log.append(&Record::Clock { partition: *partition, epoch: 0, clock: &coded(clock) })?;
        }
    }
    let segment = log.finish()?;
    let actor = Actor(random.next_u64());
    tracing::warn!(
        records = survivors.records,
        keys = survivors.entries.len(),
        refused,
        "the log has been begun anew with what could be read; the old one is moved to quarantine/; all partitions are incomplete until the other owners have made them whole"
    );
    Ok(store_identity(disk, Identity { actor, segment, first_segment: first, ..identity })?)
}

/// `serve --replace`: makes a fresh folder that of a member whose own folder is lost, whose `last` start is known. The next is a later one, whatever
/// the clock says: a retry that names the lost start is not taken for one that never arrived. Repeated, it does nothing.
///
/// # Errors
/// The folder is somebody else's; the member is none of the list.
pub fn replace<D: Disk>(
    disk: &D,
    options: &OpenOptions,
    (member, last): (MemberId, Start),
    changes: &[Change],
) -> Result<(), OpenError> {
    let placement = Placement::from_changes(changes).map_err(|error| OpenError::NoMember(member, error.to_string()))?;
    if !placement.members().iter().any(|founder| founder.member == member) {
        return Err(OpenError::NoMember(member, "it is not in the list of members".to_string()));
    }
    for dir in [LOG_DIR, TMP_DIR, QUARANTINE_DIR] {
        disk.make_dir(dir)?;
    }
    disk.sync_dir("")?;
    if let Some(identity) = load_identity(disk)? {
        let is_same = identity.member == member && identity.cluster == Some(placement.cluster());
        return if is_same { Ok(()) } else { Err(OpenError::Occupied(identity.member, member)) };
    }
    use rand::SeedableRng;
    // Other numbers than those that opening draws from the same seed.
    let mut random = ChaCha8Rng::seed_from_u64(!options.seed);
    let first = newest_segment(disk)? + 1;
    let mut log = NewLog::begin(disk, options, &mut random, (first, last))?;
    let coded = |change: &Change| rmp_serde::to_vec(change).expect("a change is plain data");
    let changes = changes.iter().enumerate().map(|(index, change)| (index as u32, coded(change))).collect();
    log.append_beginning(&changes, &BTreeMap::new(), &Members::default())?;
    let segment = log.finish()?;
    let (actor, cluster) = (Actor(random.next_u64()), Some(placement.cluster()));
    store_identity(disk, Identity { start: last, cluster, segment, first_segment: first, ..Identity::new(member, actor) })?;
    Ok(())
}

/// Moves segments that are not of the log any more to where a person finds them, and what a refusal has left.
pub(super) fn move_aside<D: Disk>(disk: &D, identity: &Identity, with_refusal: bool) -> Result<(), DiskError> {
    let is_old = |name: &String| parse_file_name(name).is_some_and(|id| id < identity.first_segment);
    let old: Vec<String> = disk.list(LOG_DIR)?.into_iter().filter(is_old).collect();
    let refused = with_refusal && exists(disk, REFUSED_FILE)?;
    if old.is_empty() && !refused {
        return Ok(());
    }
    let dir = format!("{QUARANTINE_DIR}/{}", identity.start.0);
    disk.make_dir(&dir)?;
    disk.sync_dir(QUARANTINE_DIR)?;
    for name in old {
        disk.rename(&format!("{LOG_DIR}/{name}"), &format!("{dir}/{name}"))?;
    }
    if refused {
        disk.rename(REFUSED_FILE, &format!("{dir}/{REFUSED_FILE}"))?;
    }
    disk.sync_dir(&dir)?;
    disk.sync_dir(LOG_DIR)?;
    disk.sync_dir("")
}

fn exists<D: Disk>(disk: &D, path: &str) -> Result<bool, DiskError> {
    match disk.open(path, Mode::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.reason == Reason::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn newest_segment<D: Disk>(disk: &D) -> Result<u32, DiskError> {
    Ok(disk.list(LOG_DIR)?.iter().filter_map(|name| parse_file_name(name)).max().unwrap_or(0))
}

/// A log that is being written, while nobody else is served.
struct NewLog<'a, D: Disk> {
    disk: &'a D,
    files: OpenFiles<D>,
    log: Log,
    wall_ms: u64,
}

impl<'a, D: Disk> NewLog<'a, D> {
    /// Begins a log in the segment of this number, in this start.
    fn begin(
        disk: &'a D,
        options: &OpenOptions,
        random: &mut ChaCha8Rng,
        (id, start): (u32, Start),
    ) -> Result<NewLog<'a, D>, DiskError> {
        let segment = SegmentInfo { id, salt: random.next_u64(), size: options.segment_bytes_min };
        prepare_segment(disk, &PrepareSegment { segment, wall_ms: options.wall_ms })?;
        let log = Log::resume(Resume {
            start,
            segments: vec![segment],
            ready: vec![segment],
            last: Position(0),
            segment_bytes_min: options.segment_bytes_min,
            segment_bytes_max: options.segment_bytes_max,
            seed: random.next_u64(),
        });
        Ok(NewLog { disk, files: OpenFiles::default(), log, wall_ms: options.wall_ms })
    }

    /// Who the members are, what was promised, and that nothing is complete: all of it or nothing.
    fn append_beginning(
        &mut self,
        changes: &BTreeMap<u32, Vec<u8>>,
        fences: &BTreeMap<Actor, (MemberId, Start)>,
        members: &Members,
    ) -> Result<(), OpenError> {
        let decoded: Result<Vec<Change>, _> = changes.values().map(|change| rmp_serde::from_slice(change)).collect();
        let decoded = decoded.map_err(|error| OpenError::Members(error.to_string()))?;
        let placement = Placement::from_changes(&decoded).map_err(|error| OpenError::Members(error.to_string()))?;
        let mut batch = BytesMut::new();
        changes.iter().for_each(|(index, change)| Batch::push(&mut batch, &Record::Membership { index: *index, change }));
        for (actor, (member, below)) in fences {
            Batch::push(&mut batch, &Record::Fence { actor: *actor, member: *member, below: *below });
        }
        for record in members.iter() {
            with_note(record, |note| Batch::push(&mut batch, &Record::Member(note)));
        }
        let compared = Standing::lost().coded();
        for partition in placement.partition_ids() {
            let record = Record::Standing { partition: partition.0, epoch: 0, incomplete: true, compared: &compared };
            Batch::push(&mut batch, &record);
        }
        let batch = Batch::new(&batch).expect("it was made by push");
        Ok(self.append(&Record::Batch(batch))?)
    }

    fn append(&mut self, record: &Record<'_>) -> Result<(), DiskError> {
        self.log.append(record).expect("what is written anew fitted a record before");
        if self.log.pending_bytes() > PENDING_BYTES { self.write() } else { Ok(()) }
    }

    /// Writes and syncs all that waits.
    fn write(&mut self) -> Result<(), DiskError> {
        loop {
            let job = match self.log.take_prepare(0, self.wall_ms) {
                Some(prepare) => DiskJob::Prepare(prepare),
                None => match self.log.take_write(true) {
                    Some(write) => DiskJob::Write(write),
                    None => return self.check_full(),
                },
            };
            match execute(self.disk, &mut self.files, job) {
                DiskDone::Prepared(done) => self.log.on_prepared(done)?,
                DiskDone::Written(done) => drop(self.log.on_write_done(done)?),
                DiskDone::Read(_) | DiskDone::Surveyed(_) | DiskDone::IdentityStored(_) => unreachable!("none was asked for"),
            }
        }
    }

    fn check_full(&self) -> Result<(), DiskError> {
        if !self.log.is_full() {
            return Ok(());
        }
        let message = "there is no room for the new log beside the old one".to_string();
        Err(DiskError { call: Call::Write, path: LOG_DIR.to_string(), reason: Reason::Full, message })
    }

    /// Writes the rest, and a mark that says that it was durable; returns the number of the newest segment.
    fn finish(mut self) -> Result<u32, DiskError> {
        self.write()?;
        if let Some(mark) = self.log.take_idle_mark()
            && let DiskDone::Written(done) = execute(self.disk, &mut self.files, DiskJob::Write(mark))
        {
            self.log.on_write_done(done)?;
        }
        self.disk.sync_dir(LOG_DIR)?;
        newest_segment(self.disk)
    }
}

/// What stands in the file that a refusal leaves.
pub fn store_refusal<D: Disk>(disk: &D, reason: &str) -> Result<(), DiskError> {
    let file = disk.open(REFUSED_FILE, Mode::Create)?;
    disk.write_at(&file, 0, reason.as_bytes())?;
    disk.sync(&file)?;
    disk.sync_dir("")
}
