//! Disk jobs: what the core asks of the disk, as data, and the one function that does it.

use super::disk::{Call, Disk, DiskError, Mode, Reason};
use super::frame::{self, FRAME_BYTES};
use super::gap::{SegmentSurveyed, SurveySegment, survey};
use super::identity::{Identity, store_identity};
use super::location::Location;
use super::segment::{HEADER_BYTES, LOG_DIR, SegmentInfo, encode_header, segment_path, temporary_path};
use crate::broken::{Rule, is_broken};
use crate::limits::SEGMENT_FILES_OPEN_MAX;
use crate::message::Position;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

/// Something to do with the disk.
#[derive(Clone, PartialEq, Debug)]
pub enum DiskJob {
    /// Writes a batch of the log. Never two at a time.
    Write(LogWrite),
    /// Makes a segment ready for use; may run beside anything else.
    Prepare(PrepareSegment),
    /// Reads a record; may run beside anything else.
    Read(ReadRecord),
    /// Looks a whole segment through for what is bad in it; may run beside anything else.
    Survey(SurveySegment),
    /// Stores the identity, durably. Never two at a time.
    StoreIdentity(Identity),
}

/// What became of a job.
#[derive(Clone, PartialEq, Debug)]
pub enum DiskDone {
    /// Of [`DiskJob::Write`]: for [`Log::on_write_done`](super::Log::on_write_done).
    Written(LogDone),
    /// Of [`DiskJob::Prepare`]: for [`Log::on_prepared`](super::Log::on_prepared).
    Prepared(SegmentPrepared),
    /// Of [`DiskJob::Read`].
    Read(RecordRead),
    /// Of [`DiskJob::Survey`].
    Surveyed(SegmentSurveyed),
    /// Of [`DiskJob::StoreIdentity`].
    IdentityStored(Result<Identity, DiskError>),
}

/// A batch of the log, for one segment.
#[derive(Clone, PartialEq, Debug)]
pub struct LogWrite {
    /// Where it goes.
    pub segment: u32,
    /// The first byte in the segment.
    pub offset: u64,
    /// The records.
    pub bytes: Bytes,
    /// The position of the last of them.
    pub last: Position,
    /// Whether to sync behind it.
    pub sync: bool,
}

/// What became of a batch. A failed one is never tried again: nothing is known of the disk any more, and the peer stops.
#[derive(Clone, PartialEq, Debug)]
pub struct LogDone {
    /// The position of the last record of the batch.
    pub last: Position,
    /// Whether the batch was synced.
    pub sync: bool,
    /// Whether it went well.
    pub result: Result<(), DiskError>,
}

/// A segment to be made ready: zeros, a header, synced, and named.
#[derive(Clone, PartialEq, Debug)]
pub struct PrepareSegment {
    /// The segment.
    pub segment: SegmentInfo,
    /// For people who look at the file: when it was made. Milliseconds since 1970, 0 if not known.
    pub wall_ms: u64,
}

/// What became of a segment.
#[derive(Clone, PartialEq, Debug)]
pub struct SegmentPrepared {
    /// Its number.
    pub id: u32,
    /// Whether it is ready.
    pub result: Result<(), DiskError>,
}

/// A record to be read.
#[derive(Clone, PartialEq, Debug)]
pub struct ReadRecord {
    /// Whatever the asker needs to recognise the answer.
    pub ticket: u64,
    /// Where it lies.
    pub location: Location,
    /// The segment that it lies in.
    pub segment: SegmentInfo,
}

/// A record that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct RecordRead {
    /// As in the job.
    pub ticket: u64,
    /// As in the job.
    pub location: Location,
    /// The whole record with its checksum verified, for [`Record::read`](super::Record::read).
    pub result: Result<Bytes, ReadError>,
}

/// Why a record could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What lies there is not the record that was written: the disk has damaged it.
    #[error("{file} is damaged at byte {offset}: {found}")]
    Damaged {
        /// The file, relative to the store's folder.
        file: String,
        /// The first byte of the record.
        offset: u64,
        /// What is wrong with it.
        found: String,
    },
}

/// The segment files that a disk thread keeps open. Each thread has its own.
pub struct OpenFiles<D: Disk> {
    files: BTreeMap<u32, (u64, D::File)>,
    /// Counts the uses, to find the file that was not used for longest.
    uses: u64,
}

impl<D: Disk> Default for OpenFiles<D> {
    fn default() -> Self {
        OpenFiles { files: BTreeMap::new(), uses: 0 }
    }
}

impl<D: Disk> OpenFiles<D> {
    fn get(&mut self, disk: &D, segment: u32) -> Result<&D::File, DiskError> {
        self.uses += 1;
        if !self.files.contains_key(&segment) {
            let file = disk.open(&segment_path(segment), Mode::Write)?;
            if self.files.len() >= SEGMENT_FILES_OPEN_MAX {
                let oldest = self.files.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id);
                self.files.remove(&oldest.expect("there are open files"));
            }
            self.files.insert(segment, (self.uses, file));
        }
        let (used, file) = self.files.get_mut(&segment).expect("it was just put there");
        *used = self.uses;
        Ok(file)
    }
}

/// Does a job, and waits for it.
pub fn execute<D: Disk>(disk: &D, files: &mut OpenFiles<D>, job: DiskJob) -> DiskDone {
    match job {
        DiskJob::Write(write) => {
            let result = run_write(disk, files, &write);
            DiskDone::Written(LogDone { last: write.last, sync: write.sync, result })
        }
        DiskJob::Prepare(prepare) => {
            DiskDone::Prepared(SegmentPrepared { id: prepare.segment.id, result: prepare_segment(disk, &prepare) })
        }
        DiskJob::Read(read) => {
            DiskDone::Read(RecordRead { ticket: read.ticket, location: read.location, result: read_record(disk, files, &read) })
        }
        DiskJob::Survey(job) => DiskDone::Surveyed(SegmentSurveyed { segment: job.segment.id, result: survey(disk, &job) }),
        DiskJob::StoreIdentity(identity) => DiskDone::IdentityStored(store_identity(disk, identity)),
    }
}

fn run_write<D: Disk>(disk: &D, files: &mut OpenFiles<D>, write: &LogWrite) -> Result<(), DiskError> {
    let file = files.get(disk, write.segment)?;
    disk.write_at(file, write.offset, &write.bytes)?;
    if write.sync { disk.sync(file) } else { Ok(()) }
}

/// Zeros are written in pieces of this size (bytes): large enough for the disk, small enough for the memory.
const ZEROS_BYTES: usize = 256 << 10;

/// Makes a segment. Its name is durable when this returns.
pub(super) fn prepare_segment<D: Disk>(disk: &D, prepare: &PrepareSegment) -> Result<(), DiskError> {
    let id = prepare.segment.id;
    let temporary = temporary_path(id);
    let written = write_zeros(disk, &temporary, prepare);
    if written.is_err() {
        // On a full disk what has been written of it is the space that others need most. The error is what counts.
        let _ = disk.remove(&temporary);
    }
    written?;
    disk.rename(&temporary, &segment_path(id))?;
    if is_broken(Rule::DirUnsynced) { Ok(()) } else { disk.sync_dir(LOG_DIR) }
}

fn write_zeros<D: Disk>(disk: &D, path: &str, prepare: &PrepareSegment) -> Result<(), DiskError> {
    let size = prepare.segment.size;
    let file = disk.open(path, Mode::Create)?;
    disk.write_at(&file, 0, &encode_header(prepare.segment, prepare.wall_ms))?;
    let zeros = vec![0; ZEROS_BYTES.min(usize::try_from(size).unwrap_or(usize::MAX))];
    let mut at = HEADER_BYTES;
    while at < size {
        let count = (size - at).min(zeros.len() as u64);
        disk.write_at(&file, at, &zeros[..count as usize])?;
        at += count;
    }
    disk.sync(&file)
}

fn read_record<D: Disk>(disk: &D, files: &mut OpenFiles<D>, read: &ReadRecord) -> Result<Bytes, ReadError> {
    let offset = read.location.byte();
    let damaged = |found: String| ReadError::Damaged { file: segment_path(read.segment.id), offset, found };
    let missing = |error: DiskError| match error.reason {
        Reason::NotFound if error.call == Call::Open => damaged("the file is missing".into()),
        _ => ReadError::Disk(error),
    };
    let room = read.segment.size.saturating_sub(offset);
    let count = usize::try_from(room).unwrap_or(usize::MAX).min(read.location.bytes_max());
    let file = files.get(disk, read.segment.id).map_err(missing)?;
    let mut bytes = BytesMut::zeroed(count);
    let found = disk.read_at(file, offset, &mut bytes)?;
    bytes.truncate(found);
    if bytes.len() < FRAME_BYTES {
        return Err(damaged("the file ends there".into()));
    }
    let size = frame::size(&bytes, bytes.len() as u64).map_err(|bad| damaged(bad.to_string()))?;
    bytes.truncate(size);
    frame::verify(&bytes, read.segment.salt, offset).map_err(|bad| damaged(bad.to_string()))?;
    Ok(bytes.freeze())
}
