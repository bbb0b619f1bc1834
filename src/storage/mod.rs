//! What a peer keeps: the log, its segments and records, recovery, and the disk underneath.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod authors;
mod cache;
pub mod coded;
mod comparing;
mod disk;
mod durability;
mod evidence;
mod expiry;
#[cfg(test)]
mod formats;
mod frame;
mod gap;
mod healed;
mod hinting;
mod hints;
mod identity;
mod job;
mod location;
mod log;
mod members;
mod mending;
mod open;
mod opening;
mod partition;
mod record;
mod recovery;
mod renewal;
mod salvage;
mod segment;
mod standing;
mod store;
mod tables;
pub mod trie;
mod varint;
mod window;

pub use comparing::{Late, clock_digest};
pub use disk::{Call, Disk, DiskError, Mode, Reason};
pub use durability::{DiskEvent, Unread};
pub use expiry::{Expiry, has_expired};
pub use gap::{Gap, SegmentSurveyed, SurveySegment};
pub use hinting::{Debt, LostHint, OwedHint};
pub use identity::{Identity, IdentityError, load_identity, store_identity};
pub use job::{
    DiskDone, DiskJob, LogDone, LogWrite, OpenFiles, PrepareSegment, ReadError, ReadRecord, RecordRead, SegmentPrepared, execute,
};
pub use location::Location;
pub use log::{Appended, Log, Progress, TooLarge};
pub use mending::Lost;
pub use open::{OpenError, OpenOptions, Opened, open};
pub use opening::{Found, StoreBounds, StoreOpenError, StoreOptions};
pub use record::{Batch, Malformed, MemberNote, Record, RetryRecord};
pub use recovery::{Recovered, RecoveryError, Rot};
pub use renewal::{REFUSED_FILE, replace, store_refusal};
pub use segment::{SegmentInfo, segment_path};
pub use standing::{Fence, Progress as Completeness, Standing};
pub use store::{Held, Listed, RetryNote, Store, StoreError, Taken};
