//! What a peer keeps: the log, its segments and records, recovery, and the disk underneath.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod disk;
mod evidence;
mod frame;
mod identity;
mod job;
mod location;
mod log;
mod open;
mod record;
mod recovery;
mod segment;
mod varint;
mod window;

pub use disk::{Call, Disk, DiskError, Mode, Reason};
pub use identity::{Identity, IdentityError, load_identity, store_identity};
pub use job::{
    DiskDone, DiskJob, LogDone, LogWrite, OpenFiles, PrepareSegment, ReadError, ReadRecord, RecordRead, SegmentPrepared, execute,
};
pub use location::Location;
pub use log::{Appended, Log, Progress, TooLarge};
pub use open::{OpenError, OpenOptions, Opened, open};
pub use record::{Batch, Malformed, Record, RetryRecord};
pub use recovery::{Recovered, RecoveryError, Rot};
pub use segment::{SegmentInfo, segment_path};
