//! Turning outcomes into what a client reads.

use super::read::Merged;
use super::write::Written;
use crate::message::{Attempt, Found, Missing, Receipt, Reply};
use crate::vclock::{Entry, Path, SealKeys, Sealed, Seen, render};

/// The answer to a get: what lies at and below the path, or that nothing does.
///
/// The context of a whole read covers all that was seen of the key. That of a path covers only what the answer shows: with it, a
/// write of the whole key must not sweep away the leaves that the client did not read.
pub fn found_or_missing(merged: &Merged, key: &[u8], path: &Path, wall_ms: u64, lww: bool, seal: &SealKeys) -> Reply {
    let rendered = render(&merged.entry, path, wall_ms, lww);
    let live: Seen = rendered.iter().flat_map(|rendered| rendered.dots.iter().copied()).collect();
    let context = if path.is_root() { filled(&merged.entry) } else { live.clone() };
    let context = Sealed { live, context }.seal(seal, key);
    match rendered {
        None => Reply::Missing(Missing { context, answered: merged.answered }),
        Some(rendered) => Reply::Found(Found {
            value: rendered.value,
            conflicts: rendered.conflicts,
            hidden: rendered.hidden,
            context,
            answered: merged.answered,
            agreed: merged.agreed,
            dots: rendered.dots,
            stood_in: merged.stood_in,
            expiry_ms: rendered.expiry_ms,
        }),
    }
}

/// The answer to a write.
pub fn sealed_receipt(written: Written, coordinator: Attempt, key: &[u8], seal: &SealKeys) -> Receipt {
    let mut live: Seen = written.dots.iter().copied().collect();
    live.union_with(&written.left);
    let mut context = written.context;
    context.union_with(&live);
    Receipt {
        coordinator,
        acks: written.acks,
        dots: written.dots,
        covered: written.covered,
        context: Sealed { live, context }.seal(seal, key),
        stood_in: written.stood_in,
    }
}

fn filled(entry: &Entry) -> Seen {
    let mut seen = entry.context().clone();
    entry.dots().for_each(|dot| seen.insert(dot));
    seen
}
