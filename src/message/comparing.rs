//! What peers say to each other when one of them, a, learns from another, b: a *pull* of one partition.
//!
//! Every question is a's and every answer b's; the operation names a's pull. Only explicit contexts that do not fit one answer are kept by b
//! between two questions.

use super::OperationId;
use crate::vclock::Seen;
use bytes::Bytes;

/// A message of a pull.
#[derive(Clone, PartialEq, Debug)]
pub enum Comparing {
    /// a: what do you hold of this partition?
    Compare(Compare),
    /// b: this, all of it read in one step.
    Compared(Compared),
    /// a: what lies below these prefixes?
    Walk(Walk),
    /// b: this.
    Walked(Walked),
    /// a: what do you hold of these keys?
    FetchEntries(FetchEntries),
    /// b: this.
    Entries(Entries),
    /// b: I do not answer this now.
    Declined(Declined),
}

/// The beginning of a pull; or, with a snapshot, the question for more of the explicit contexts.
#[derive(Clone, PartialEq, Debug)]
pub struct Compare {
    /// The pull.
    pub pull: OperationId,
    /// The partition.
    pub partition: u16,
    /// Digest of the clock of b that a has taken over last; 0 for none.
    pub known: u64,
    /// The snapshot of which more is asked for; 0: a new one is to be made.
    pub snapshot: u64,
    /// Which of its pages; 0 for a new one.
    pub page: u32,
}

/// What b held in the step in which it made the snapshot.
#[derive(Clone, PartialEq, Debug)]
pub struct Compared {
    /// The pull.
    pub pull: OperationId,
    /// Which page of the explicit contexts this is, from 0.
    pub page: u32,
    /// The number of live keys.
    pub count: u64,
    /// The sum of the hashes of their states.
    pub sum: u64,
    /// Digest of the clock.
    pub digest: u64,
    /// The clock, unless a has said that it knows this one, and on the first page only.
    pub clock: Option<Seen>,
    /// Keys with an explicit context.
    pub contexts: Vec<KeyContext>,
    /// The snapshot of which the next page can be asked for; 0 if this is the last.
    pub snapshot: u64,
    /// True if b has lost nothing.
    pub complete: bool,
}

/// An explicit context, and of which live state of its key it speaks.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyContext {
    /// The key.
    pub key: Bytes,
    /// The hash of its live state; 0 if nothing is live. Equal hashes: the same live dots.
    pub hash: u64,
    /// Its context, without what the clock has seen.
    pub context: Seen,
}

/// What lies below these prefixes?
#[derive(Clone, PartialEq, Debug)]
pub struct Walk {
    /// The pull.
    pub pull: OperationId,
    /// Counts the questions of the pull.
    pub ask: u32,
    /// The partition.
    pub partition: u16,
    /// The prefixes.
    pub prefixes: Vec<Prefix>,
}

/// A prefix of keys, in half bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// The bytes; with `odd` the low half of the last one is 0 and does not count.
    pub bytes: Vec<u8>,
    /// True if the number of half bytes is odd.
    pub odd: bool,
}

/// What lies there.
#[derive(Clone, PartialEq, Debug)]
pub struct Walked {
    /// The pull.
    pub pull: OperationId,
    /// The question.
    pub ask: u32,
    /// For the first so many of the prefixes what lies below them; the others are to be asked for again.
    pub steps: Vec<Step>,
}

/// What lies below one prefix.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// The sums of the 16 sub-trees one half byte below a longer prefix that all keys share.
    Sums {
        /// The half bytes, each below 16, by which that one is longer than the prefix asked for.
        beyond: Vec<u8>,
        /// The hash of the key that is the longer prefix itself, if it is live.
        own: Option<u64>,
        /// The half bytes that keys go on with, in order, and the sum of the hashes of those keys.
        sums: Vec<(u8, u64)>,
    },
    /// All keys in order, each without the whole bytes of the prefix, and the hashes of their states.
    Keys(Vec<(Bytes, u64)>),
}

/// What do you hold of these keys?
#[derive(Clone, PartialEq, Debug)]
pub struct FetchEntries {
    /// The pull.
    pub pull: OperationId,
    /// Counts the questions of the pull.
    pub ask: u32,
    /// The partition.
    pub partition: u16,
    /// Digest of a clock of b that a has at hand; 0 for none.
    pub known: u64,
    /// The keys.
    pub keys: Vec<Bytes>,
}

/// This is what I hold of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Entries {
    /// The pull.
    pub pull: OperationId,
    /// The question.
    pub ask: u32,
    /// Digest of the clock by which the contexts are to be filled.
    pub digest: u64,
    /// That clock, unless a has it at hand.
    pub clock: Option<Seen>,
    /// Places of keys in the question, and their packed entries. An entry's context is complete together with the clock. Keys that are
    /// missing here did not fit: they are to be asked for again.
    pub entries: Vec<(u16, Bytes)>,
    /// Places of keys that are held and cannot be read.
    pub unreadable: Vec<u16>,
}

/// This is not answered now.
#[derive(Clone, PartialEq, Debug)]
pub struct Declined {
    /// The pull.
    pub pull: OperationId,
    /// Why, for people.
    pub reason: String,
}

impl Comparing {
    /// The pull that it belongs to.
    pub fn pull(&self) -> OperationId {
        match self {
            Comparing::Compare(Compare { pull, .. })
            | Comparing::Compared(Compared { pull, .. })
            | Comparing::Walk(Walk { pull, .. })
            | Comparing::Walked(Walked { pull, .. })
            | Comparing::FetchEntries(FetchEntries { pull, .. })
            | Comparing::Entries(Entries { pull, .. })
            | Comparing::Declined(Declined { pull, .. }) => *pull,
        }
    }

    /// About how many bytes its frame takes, for bounds and for figures that people read.
    pub fn bytes_about(&self) -> u64 {
        const HEADER: usize = 20;
        let body = match self {
            Comparing::Compare(_) => 12,
            Comparing::Compared(compared) => {
                let contexts = compared.contexts.iter().map(KeyContext::bytes_about).sum::<usize>();
                24 + compared.clock.as_ref().map_or(0, seen_bytes_about) + contexts
            }
            Comparing::Walk(walk) => 8 + walk.prefixes.iter().map(|prefix| 3 + prefix.bytes.len() / 2).sum::<usize>(),
            Comparing::Walked(walked) => 4 + walked.steps.iter().map(Step::bytes_about).sum::<usize>(),
            Comparing::FetchEntries(fetch) => 16 + fetch.keys.iter().map(|key| key.len() + 2).sum::<usize>(),
            Comparing::Entries(entries) => {
                let clock = entries.clock.as_ref().map_or(0, seen_bytes_about);
                16 + clock + entries.entries.iter().map(|entry| entry.1.len() + 5).sum::<usize>()
            }
            Comparing::Declined(declined) => declined.reason.len(),
        };
        (HEADER + body) as u64
    }
}

impl KeyContext {
    /// About how many bytes it takes in a frame.
    pub fn bytes_about(&self) -> usize {
        self.key.len() + 14 + seen_bytes_about(&self.context)
    }
}

impl Step {
    /// About how many bytes it takes in a frame.
    pub fn bytes_about(&self) -> usize {
        match self {
            Step::Sums { beyond, own, sums } => 8 + beyond.len() / 2 + own.map_or(0, |_| 8) + 8 * sums.len(),
            Step::Keys(keys) => 6 + keys.iter().map(|(rest, _)| rest.len() + 9).sum::<usize>(),
        }
    }
}

/// About how many bytes a set of dots takes when it is written down.
pub fn seen_bytes_about(seen: &Seen) -> usize {
    2 + seen.runs().map(|(_, intervals)| 10 + 10 * intervals.len()).sum::<usize>()
}
