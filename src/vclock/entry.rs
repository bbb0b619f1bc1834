//! Entries: what a key holds, and how two of them become one.

use super::{Dot, Path, Seen, Timestamp};
use crate::broken::{Rule, is_broken};
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
    /// The value: raw bytes, JSON text, or what else `kind` says.
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
    /// The amount of one increment, or of several that were folded: a little-endian `i64`. It has no expiry of its own.
    Amount = 4,
    /// An element of a set; the element stands in the path.
    Element = 5,
    /// When the amounts at this path expire that were written before: no bytes, `Version::expiry_ms` says it. (Whoever gave amounts of others
    /// new dots, with an expiry, would have them counted twice beside a fold, so their expiry stands beside them.)
    Term = 6,
    /// Bytes of a content type: its length (1 byte, 1 to 127), the type in ASCII, and the bytes (see [`super::Typed`]).
    Typed = 7,
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
    /// Of two versions of one dot the greater one is kept (see `normalize`).
    pub fn new(mut versions: Vec<Version>, context: Seen) -> Entry {
        normalize(&mut versions);
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

    /// When a live version is hidden, in milliseconds since 1970; 0 for never.
    pub fn expiry_of(&self, version: &Version) -> u64 {
        expiry_among(&self.versions, version)
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
    pub fn merge(&mut self, mut other: Entry) {
        drop_gone(&mut self.versions, &other.context, &other.versions);
        // What was just dropped here is not among theirs, so looking at what is left says the same of each of theirs.
        if !is_broken(Rule::MergeKeeps) {
            drop_gone(&mut other.versions, &self.context, &self.versions);
        }
        if self.versions.is_empty() {
            self.versions = other.versions;
        } else if !other.versions.is_empty() {
            self.versions.append(&mut other.versions);
            normalize(&mut self.versions);
        }
        if !is_broken(Rule::ContextUnmerged) {
            self.context.union_with(&other.context);
        }
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
    ///
    /// Requires: the clock has seen the dots of the live versions here, as the clock of a store always has.
    pub fn take(&mut self, mut incoming: Entry, clock: &mut Seen) -> Vec<Dot> {
        let mut new: Vec<Dot> = incoming.dots().filter(|dot| !clock.contains(*dot)).collect();
        drop_gone(&mut incoming.versions, clock, &self.versions);
        self.merge(incoming);
        new.iter().for_each(|dot| clock.insert(*dot));
        self.strip(clock);
        let live = Live::among(&self.versions);
        new.retain(|dot| !live.contains(*dot));
        new
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

/// When a version is hidden that stands among these, which are sorted by path; 0 for never.
///
/// An amount is hidden by the first term beside it that ends after the amount was written. What is counted after the end begins anew.
pub fn expiry_among(versions: &[Version], version: &Version) -> u64 {
    match version.kind {
        Kind::Amount => term_of(versions, &version.path, version.time),
        _ => version.expiry_ms,
    }
}

/// When an amount is hidden that is written at this path and time; 0 for never.
pub fn term_of(versions: &[Version], path: &Path, time: Timestamp) -> u64 {
    let from = versions.partition_point(|other| other.path < *path);
    let beside = versions[from..].iter().take_while(|other| other.path == *path);
    let terms = beside.filter(|other| other.kind == Kind::Term && other.expiry_ms > time.wall_ms());
    terms.map(|term| term.expiry_ms).min().unwrap_or(0)
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
    /// Where it stands among the versions of an entry and, for two versions of one dot, which of them is the greater.
    fn rank(&self) -> (&Path, Dot, Kind, &Bytes, Timestamp, u64) {
        (&self.path, self.dot, self.kind, &self.value, self.time, self.expiry_ms)
    }
}

/// The dots of some versions, to be asked for often: a document has 65,536 of them, so that looking along the row for each
/// would take billions of steps.
struct Live<'a> {
    versions: &'a [Version],
    /// Empty if there are so few versions that looking along the row is the quicker way.
    sorted: Vec<Dot>,
}

impl Live<'_> {
    fn among(versions: &[Version]) -> Live<'_> {
        let mut sorted = Vec::new();
        if versions.len() > 8 {
            sorted.extend(versions.iter().map(|version| version.dot));
            sorted.sort_unstable();
        }
        Live { versions, sorted }
    }

    fn contains(&self, dot: Dot) -> bool {
        match self.sorted.is_empty() {
            true => self.versions.iter().any(|version| version.dot == dot),
            false => self.sorted.binary_search(&dot).is_ok(),
        }
    }
}

/// Drops the versions that `seen` has seen and that are not among `live`: there, they are gone.
fn drop_gone(versions: &mut Vec<Version>, seen: &Seen, live: &[Version]) {
    if versions.is_empty() || seen.is_empty() {
        return;
    }
    let live = Live::among(live);
    versions.retain(|version| !seen.contains(version.dot) || live.contains(version.dot));
}

/// Brings versions into their order, with one version for each dot. One dot, one value: two different ones, be it in their
/// bytes or in their paths, are a bug or a broken disk, and the greater wins everywhere, so that merging stays a law.
fn normalize(versions: &mut Vec<Version>) {
    if versions.len() < 2 {
        return;
    }
    // Stable: two rows in order, one behind the other, are merged in one pass.
    versions.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let mut dots: Vec<(Dot, usize)> = versions.iter().enumerate().map(|(at, version)| (version.dot, at)).collect();
    dots.sort_unstable();
    let lesser: Vec<usize> = dots.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].1).collect();
    if !lesser.is_empty() {
        let mut at = 0;
        let mut doomed = vec![false; versions.len()];
        lesser.into_iter().for_each(|at| doomed[at] = true);
        versions.retain(|_| {
            at += 1;
            !doomed[at - 1]
        });
    }
}
