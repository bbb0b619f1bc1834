//! Entries: what a key holds, and how two of them become one.

use super::{Dot, Path, Seen, Timestamp};
use bytes::Bytes;

/// One written leaf of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The name of the write.
    pub dot: Dot,
    /// Which leaf of the document; the empty path for a plain value.
    pub path: Path,
    /// How the bytes are to be understood.
    pub kind: Kind,
    /// The value: raw bytes, or JSON text, as `kind` says.
    pub value: Bytes,
    /// Hybrid-logical time of the write. Only last-writer-wins answers look at it.
    pub time: Timestamp,
    /// When the version is hidden, in milliseconds since 1970; 0 for never.
    pub expiry_ms: u64,
}

/// What the bytes of a version are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Opaque bytes.
    Bytes = 0,
    /// A JSON string, number, `true`, `false` or `null`, as its JSON text; numbers as they were written.
    Scalar = 1,
    /// A JSON array, whole, as its JSON text.
    Array = 2,
    /// A JSON object without members; no bytes.
    EmptyMap = 3,
    /// The amount of one increment: a little-endian `i64`.
    Amount = 4,
    /// An element of a set; the element stands in the path.
    Element = 5,
}

/// The state of a key: its live versions, and a context of dots of this key that have been seen here.
///
/// A dot of a live version counts as seen whether or not the context lists it. So each dot is in one of three states,
/// *unknown < live < gone*, and merging takes the greater one for each dot: commutative, associative and idempotent
/// (optimised OR-sets, Bieniusa et al. 2012; dotted version vector sets, Almeida et al. 2014).
#[derive(Clone, Default, Debug)]
pub struct Entry {
    /// Sorted by path, then dot; no dot stands twice.
    versions: Vec<Version>,
    /// Explicit context. May or may not list the dots of the live versions.
    context: Seen,
}

impl Entry {
    /// An entry of these versions (in any order) and this explicit context.
    /// Of two versions of one dot the first in (path, dot) order is kept.
    pub fn new(mut versions: Vec<Version>, context: Seen) -> Entry {
        versions.sort_by(|a, b| a.place().cmp(&b.place()));
        versions.dedup_by(|a, b| a.dot == b.dot);
        Entry { versions, context }
    }

    /// The live versions, sorted by path, then dot.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The explicit context.
    pub fn context(&self) -> &Seen {
        &self.context
    }

    /// Takes the entry apart.
    pub fn into_parts(self) -> (Vec<Version>, Seen) {
        (self.versions, self.context)
    }

    /// True if nothing needs to be stored.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.context.is_empty()
    }

    /// The dots of the live versions, in (path, dot) order.
    pub fn dots(&self) -> impl Iterator<Item = Dot> {
        self.versions.iter().map(|version| version.dot)
    }

    /// True if a version of this dot is live here.
    pub fn is_live(&self, dot: Dot) -> bool {
        self.versions.iter().any(|version| version.dot == dot)
    }

    /// True if this entry has seen the dot: it is live here, or gone.
    pub fn has_seen(&self, dot: Dot) -> bool {
        self.context.contains(dot) || self.is_live(dot)
    }

    /// Takes in another state of the same key: keeps a version that both hold, or that one holds and the other has not seen.
    pub fn merge(&mut self, other: Entry) {
        let (mine, theirs) = (std::mem::take(&mut self.versions), other.versions);
        let (mut ours, mut yours) = (mine.into_iter().peekable(), theirs.into_iter().peekable());
        let mut kept = Vec::with_capacity(ours.len().max(yours.len()));
        loop {
            use std::cmp::Ordering::{Equal, Greater, Less};
            let order = match (ours.peek(), yours.peek()) {
                (None, None) => break,
                (Some(_), None) => Less,
                (None, Some(_)) => Greater,
                (Some(a), Some(b)) => a.place().cmp(&b.place()),
            };
            match order {
                Less => kept.extend(ours.next().filter(|version| !other.context.contains(version.dot))),
                Greater => kept.extend(yours.next().filter(|version| !self.context.contains(version.dot))),
                Equal => {
                    // One dot, one value: different bytes are a bug or a broken disk, and the greater ones win everywhere.
                    let (a, b) = (ours.next(), yours.next());
                    kept.extend(a.max_by_content(b));
                }
            }
        }
        self.versions = kept;
        self.context.union_with(&other.context);
    }

    /// Drops from the context what the partition clock has seen anyway.
    pub fn strip(&mut self, clock: &Seen) {
        self.context.subtract(clock);
    }

    /// Completes the context from the partition clock: what a store that has lost nothing may say of its key.
    pub fn fill(&mut self, clock: &Seen) {
        self.context.union_with(clock);
    }

    /// What an owner does with an entry that arrives: merges it into the state of the key, with the context filled from the
    /// partition clock; lets the clock see the arriving *live versions* (never the arriving context: rule `add_context`);
    /// strips the context again. Returns the dots that the clock saw here for the first time and that are not live
    /// afterwards: they are seen and gone, and must be written down as such.
    pub fn take(&mut self, incoming: Entry, clock: &mut Seen) -> Vec<Dot> {
        let new: Vec<Dot> = incoming.dots().filter(|dot| !clock.contains(*dot)).collect();
        let versions = incoming.versions.into_iter().filter(|version| {
            let gone = clock.contains(version.dot) && !self.versions.iter().any(|held| held.place() == version.place());
            !gone
        });
        let incoming = Entry { versions: versions.collect(), context: incoming.context };
        self.merge(incoming);
        new.iter().for_each(|dot| clock.insert(*dot));
        self.strip(clock);
        new.into_iter().filter(|dot| !self.is_live(*dot)).collect()
    }

    /// Drops the versions that a context has seen, and returns their dots.
    pub fn cover(&mut self, context: &Seen) -> Vec<Dot> {
        let mut covered = Vec::new();
        self.versions.retain(|version| {
            let keep = !context.contains(version.dot);
            if !keep {
                covered.push(version.dot);
            }
            keep
        });
        self.context.union_with(context);
        covered
    }
}

/// Two entries are equal if they say the same of every dot.
impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        let whole = |entry: &Entry| {
            let mut seen = entry.context.clone();
            entry.dots().for_each(|dot| seen.insert(dot));
            seen
        };
        self.versions == other.versions && whole(self) == whole(other)
    }
}

impl Eq for Entry {}

impl Version {
    fn place(&self) -> (&Path, Dot) {
        (&self.path, self.dot)
    }

    fn content(&self) -> (Kind, &Bytes, Timestamp, u64) {
        (self.kind, &self.value, self.time, self.expiry_ms)
    }
}

trait MaxByContent {
    fn max_by_content(self, other: Option<Version>) -> Option<Version>;
}

impl MaxByContent for Option<Version> {
    fn max_by_content(self, other: Option<Version>) -> Option<Version> {
        match (self, other) {
            (Some(a), Some(b)) => Some(if b.content() > a.content() { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}
