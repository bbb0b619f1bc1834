//! b's side of a pull. Every answer stands for itself, but for the explicit contexts: they belong to the step in which the clock was read, and
//! what does not fit one answer is kept as a snapshot.

use super::walk;
use crate::limits::{ANSWERS_MAX, CONTEXT_PAGE_BYTES, FETCH_ANSWER_BYTES, FETCH_KEYS_MAX, SNAPSHOT_KEPT_MS, SNAPSHOTS_MAX};
use crate::message::{Compare, Compared, Comparing, Declined, Entries, FetchEntries, KeyContext, OperationId, Walk, Walked};
use crate::ring::{MemberId, PartitionId};
use crate::storage::{Store, clock_digest};
use crate::vclock::{Entry, Seen, pack};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What is kept for those who learn from this peer.
#[derive(Default, Debug)]
pub struct Serving {
    snapshots: BTreeMap<u64, Snapshot>,
    snapshots_made: u64,
    answers: BTreeMap<u64, Answer>,
    answers_made: u64,
}

/// Explicit contexts as they were in one step.
#[derive(Debug)]
struct Snapshot {
    owner: MemberId,
    first: Compared,
    pages: Vec<Vec<KeyContext>>,
    used_ms: u64,
}

/// An answer that is being gathered.
#[derive(Debug)]
struct Answer {
    to: MemberId,
    pull: OperationId,
    ask: u32,
    clock: Seen,
    digest: u64,
    is_known: bool,
    entries: Vec<(u16, Bytes)>,
    bytes: usize,
    unreadable: Vec<u16>,
    waiting: usize,
}

impl Serving {
    /// Root, clock and contexts of a partition in one step; or more of the contexts of such a step. `complete`: this store has lost nothing
    /// of the partition.
    pub fn compare(&mut self, now_ms: u64, from: MemberId, ask: &Compare, complete: bool, store: &mut Store) -> Comparing {
        self.snapshots.retain(|_, snapshot| snapshot.used_ms + SNAPSHOT_KEPT_MS > now_ms);
        let declined = |reason: &str| Comparing::Declined(Declined { pull: ask.pull, reason: reason.into() });
        if ask.snapshot != 0 {
            let Some(snapshot) = self.snapshots.get_mut(&ask.snapshot).filter(|snapshot| snapshot.owner == from) else {
                return declined("the contexts of this comparison are not kept any more");
            };
            let page = ask.page as usize;
            let Some(contexts) = page.checked_sub(1).and_then(|at| snapshot.pages.get(at)).cloned() else {
                return declined("there is no such page of contexts");
            };
            snapshot.used_ms = now_ms;
            // The last page is kept too: its answer may be lost on the way.
            let next = if page == snapshot.pages.len() { 0 } else { ask.snapshot };
            let first = &snapshot.first;
            return Comparing::Compared(Compared { page: ask.page, contexts, snapshot: next, ..first.clone() });
        }
        let partition = PartitionId(ask.partition);
        let mut pages = pages(store.explicit_contexts(partition));
        for context in pages.iter_mut().flatten() {
            context.hash = store.state_hash(partition, &context.key);
        }
        let (root, clock) = (store.root(partition), store.clock(partition).clone());
        let digest = clock_digest(&clock);
        let mut first = Compared {
            pull: ask.pull,
            page: 0,
            count: root.count,
            sum: root.sum,
            digest,
            clock: None,
            contexts: Vec::new(),
            snapshot: 0,
            complete,
        };
        let mut rest = pages.split_off(pages.len().min(1));
        if !rest.is_empty() {
            if self.snapshots.len() >= SNAPSHOTS_MAX {
                return declined("too many comparisons with many contexts are under way");
            }
            self.snapshots_made += 1;
            rest.iter_mut().for_each(Vec::shrink_to_fit);
            let kept = Snapshot { owner: from, first: first.clone(), pages: rest, used_ms: now_ms };
            self.snapshots.insert(self.snapshots_made, kept);
            first.snapshot = self.snapshots_made;
        }
        first.contexts = pages.pop().unwrap_or_default();
        first.clock = (digest != ask.known).then_some(clock);
        Comparing::Compared(first)
    }

    /// What lies below some prefixes.
    pub fn walk(ask: &Walk, store: &Store) -> Comparing {
        match walk::answer(store, PartitionId(ask.partition), &ask.prefixes) {
            Some(steps) => Comparing::Walked(Walked { pull: ask.pull, ask: ask.ask, steps }),
            None => Comparing::Declined(Declined { pull: ask.pull, reason: "a prefix is none".into() }),
        }
    }

    /// Begins to gather entries. Answers with the number of the answer and the keys to read for it; an error says why it is not done, for
    /// people.
    pub fn begin_entries(&mut self, from: MemberId, ask: FetchEntries, store: &Store) -> Result<(u64, Vec<Bytes>), String> {
        if self.answers.len() >= ANSWERS_MAX {
            return Err("too many comparisons wait for the disk".into());
        }
        let clock = store.clock(PartitionId(ask.partition)).clone();
        let digest = clock_digest(&clock);
        let mut keys = ask.keys;
        keys.truncate(FETCH_KEYS_MAX);
        self.answers_made += 1;
        let answer = Answer {
            to: from,
            pull: ask.pull,
            ask: ask.ask,
            clock,
            digest,
            is_known: digest == ask.known,
            entries: Vec::new(),
            bytes: 0,
            unreadable: Vec::new(),
            waiting: keys.len(),
        };
        self.answers.insert(self.answers_made, answer);
        Ok((self.answers_made, keys))
    }

    /// The clock beside which an answer's contexts are to be complete.
    pub fn clock_of(&self, answer: u64) -> Option<&Seen> {
        self.answers.get(&answer).map(|answer| &answer.clock)
    }

    /// An entry has been read for an answer, or cannot be.
    pub fn add_entry(&mut self, answer: u64, place: u16, entry: Option<&Entry>) {
        let Some(answer) = self.answers.get_mut(&answer) else { return };
        answer.waiting = answer.waiting.saturating_sub(1);
        let Some(entry) = entry else {
            answer.unreadable.push(place);
            return;
        };
        // Those that find no room are asked for again: one always finds some.
        if answer.bytes < FETCH_ANSWER_BYTES {
            let packed = pack(entry);
            if answer.entries.is_empty() || answer.bytes + packed.len() <= FETCH_ANSWER_BYTES {
                answer.bytes += packed.len();
                answer.entries.push((place, packed));
            }
        }
    }

    /// The answer, if nothing is missing any more, and to whom.
    pub fn take_entries(&mut self, answer: u64) -> Option<(MemberId, Comparing)> {
        if self.answers.get(&answer)?.waiting > 0 {
            return None;
        }
        let Answer { to, pull, ask, clock, digest, is_known, mut entries, unreadable, .. } = self.answers.remove(&answer)?;
        entries.sort_by_key(|entry| entry.0);
        let clock = (!is_known).then_some(clock);
        Some((to, Comparing::Entries(Entries { pull, ask, digest, clock, entries, unreadable })))
    }

    /// A member is away: what was kept for it is dropped.
    pub fn forget(&mut self, member: MemberId) {
        self.snapshots.retain(|_, snapshot| snapshot.owner != member);
    }
}

/// Contexts in pages that fit an answer each; the hashes are still to be filled in.
fn pages(contexts: &BTreeMap<Bytes, Seen>) -> Vec<Vec<KeyContext>> {
    let mut pages: Vec<Vec<KeyContext>> = Vec::new();
    let mut bytes = usize::MAX;
    for (key, context) in contexts {
        let context = KeyContext { key: key.clone(), hash: 0, context: context.clone() };
        let size = context.bytes_about();
        if bytes.saturating_add(size) > CONTEXT_PAGE_BYTES {
            pages.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        pages.last_mut().expect("a page was begun").push(context);
    }
    pages
}
