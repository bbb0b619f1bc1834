//! What is left of a hint when its versions expire before its owner is back.

use crate::limits::EXPIRY_GRACE_MS;
use crate::vclock::{Dot, Entry, Seen, pack, unpack};
use bytes::Bytes;

/// The entry as it is handed over: versions whose expiry has long passed are left out, and their dots are said to be gone. Without the dots
/// an owner that has the version would keep it, and one that gets it late would take it for new.
///
/// None if nothing has expired: then the entry goes as it is.
pub fn without_expired(packed: &Bytes, wall_ms: u64) -> Option<Bytes> {
    let is_over = |expiry_ms: u64| expiry_ms != 0 && expiry_ms.saturating_add(EXPIRY_GRACE_MS) <= wall_ms;
    let entry = unpack(packed).ok()?;
    let gone: Vec<Dot> =
        entry.versions().iter().filter(|version| is_over(entry.expiry_of(version))).map(|version| version.dot).collect();
    if gone.is_empty() {
        return None;
    }
    let gone: Seen = gone.into_iter().collect();
    let (mut versions, mut context) = entry.into_parts();
    versions.retain(|version| !gone.contains(version.dot));
    context.union_with(&gone);
    Some(pack(&Entry::new(versions, context)))
}
