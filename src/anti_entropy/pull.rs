//! One pull: a takes from b what b has, and in the end b's clock as it was at the beginning.
//!
//! What must hold when the clock is taken over: every live dot here that it has seen was compared with what b held *at the time of that clock or
//! later*, and every context that b kept beside that clock has been merged. Then whatever the clock has seen and this store does not hold is gone.
//!
//! 1. b tells root, clock (T0) and explicit contexts, read in one step. From here on, what arrives here by another way and T0 has seen is
//!    noted (`Store::watch`).
//! 2. Contexts: where the live state of the key is the one that b had, they are merged (rule `skip_contexts`), else the key is fetched.
//! 3. If the roots differ: the walk. Every key below what differs is fetched, whoever of the two has it.
//! 4. What was noted is fetched as well, until there is nothing (rule `late_takeover`).
//! 5. T0 is taken over, not what b's clock is by now (rule `early_takeover`).
//!
//! One question is under way at a time: it is asked again if no answer comes, and answers to anything else are not listened to.

use super::walk::{self, Found};
use crate::broken::{Rule, is_broken};
use crate::limits::{FETCH_KEYS_MAX, PULL_ANSWER_MS, PULL_TRIES_MAX, WALK_PREFIXES_MAX, WALK_PREFIXES_OPEN_MAX};
use crate::message::{Compare, Compared, Comparing, Entries, FetchEntries, KeyContext, OperationId, Position, Walk, Walked};
use crate::ring::{MemberId, PartitionId};
use crate::storage::trie::Nibbles;
use crate::storage::{Late, Store, clock_digest};
use crate::vclock::{Seen, Start, pack, unpack};
use bytes::Bytes;
use std::collections::BTreeSet;

/// What a pull has moved.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Figures {
    /// Keys whose entries were fetched.
    pub fetched: u64,
    /// Bytes of questions, about.
    pub sent_bytes: u64,
    /// Bytes of answers, about.
    pub received_bytes: u64,
}

impl Figures {
    /// Adds others.
    pub fn add(&mut self, other: Figures) {
        self.fetched += other.fetched;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
    }
}

/// Something to be taken into the store, in order with everything else on its key.
#[derive(Clone, PartialEq, Debug)]
pub enum Taking {
    /// If the live state of the key has this hash: its context.
    Context {
        /// The key.
        key: Bytes,
        /// The hash.
        hash: u64,
        /// The context.
        context: Seen,
    },
    /// The other owner's packed entry, its context filled.
    Entry {
        /// The key.
        key: Bytes,
        /// The entry.
        packed: Bytes,
    },
}

impl Taking {
    /// The key.
    pub fn key(&self) -> &Bytes {
        match self {
            Taking::Context { key, .. } | Taking::Entry { key, .. } => key,
        }
    }
}

/// What a pull does next.
#[derive(Clone, PartialEq, Debug)]
pub enum Next {
    /// Ask this, about so many things.
    Ask(Comparing, u64),
    /// Wait for an answer, or for the disk.
    Wait,
    /// Everything has been compared: take the clock over.
    Finish,
    /// It cannot be finished; for people.
    Fail(String),
}

/// a's side of a pull.
#[derive(Debug)]
pub struct Pull {
    id: OperationId,
    partition: PartitionId,
    partner: MemberId,
    start: Start,
    known: u64,
    first: Option<First>,
    /// A clock of b that is at hand, and its digest.
    base: Option<(u64, Seen)>,
    /// The snapshot and its page that is to be asked for.
    page: Option<(u64, u32)>,
    open: Vec<Nibbles>,
    fetch: BTreeSet<Bytes>,
    question: Option<Question>,
    asks: u32,
    taking: usize,
    failed: Option<String>,
    figures: Figures,
}

/// What b said first.
#[derive(Debug)]
struct First {
    /// Its clock; none if it is known, and so part of the clock here.
    clock: Option<Seen>,
    digest: u64,
    complete: bool,
    was_equal: bool,
}

/// A question without an answer.
#[derive(Debug)]
struct Question {
    ask: u32,
    message: Comparing,
    /// What is asked about, beside the message itself.
    prefixes: Vec<Nibbles>,
    sent_ms: u64,
    tries: u32,
}

impl Pull {
    /// A pull of a partition from a partner in this start of it. `known` is the digest of its clock that was taken over last, 0 for none.
    pub fn new(id: OperationId, partition: PartitionId, partner: MemberId, start: Start, known: u64) -> Pull {
        Pull {
            id,
            partition,
            partner,
            start,
            known,
            first: None,
            base: None,
            page: Some((0, 0)),
            open: Vec::new(),
            fetch: BTreeSet::new(),
            question: None,
            asks: 0,
            taking: 0,
            failed: None,
            figures: Figures::default(),
        }
    }

    /// Its partition.
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// From whom it learns.
    pub fn partner(&self) -> MemberId {
        self.partner
    }

    /// The start of the partner to which it is bound (rule `stale_takeover`).
    pub fn start(&self) -> Start {
        self.start
    }

    /// What it has moved.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// True if a question waits for an answer.
    pub fn is_asking(&self) -> bool {
        self.question.is_some()
    }

    /// True if roots and clocks were equal at the beginning.
    pub fn was_equal(&self) -> bool {
        self.first.as_ref().is_some_and(|first| first.was_equal)
    }

    /// True if the partner said that it had lost nothing.
    pub fn partner_is_complete(&self) -> bool {
        self.first.as_ref().is_some_and(|first| first.complete)
    }

    /// The digest of the clock that it takes over; 0 before it is known.
    pub fn digest(&self) -> u64 {
        self.first.as_ref().map_or(0, |first| first.digest)
    }

    /// What to do now.
    pub fn next(&mut self, now_ms: u64, store: &mut Store) -> Next {
        if self.question.is_some() || self.taking > 0 {
            return Next::Wait;
        }
        if let Some((snapshot, page)) = self.page {
            let (pull, partition, known) = (self.id, self.partition.0, self.known);
            let compare = Compare { pull, partition, known, snapshot, page };
            return self.ask(now_ms, Comparing::Compare(compare), Vec::new(), 1);
        }
        if self.open.len() > WALK_PREFIXES_OPEN_MAX {
            return Next::Fail("the other side tells of more differences than there can be".into());
        }
        // What cannot be read or taken in would come late for ever.
        if self.fetch.is_empty() && self.open.is_empty() && self.failed.is_none() {
            match store.late(self.id.0) {
                Some(_) if is_broken(Rule::LateTakeover) => {}
                Some(Late::TooMany) => {
                    store.settle_all_late(self.id.0);
                    self.open.push(Nibbles::default());
                }
                Some(Late::Keys(keys)) => self.fetch.extend(keys.iter().take(FETCH_KEYS_MAX).cloned()),
                None => {}
            }
        }
        if self.fetch.len() >= FETCH_KEYS_MAX || self.open.is_empty() && !self.fetch.is_empty() {
            let keys: Vec<Bytes> = (0..FETCH_KEYS_MAX).map_while(|_| self.fetch.pop_first()).collect();
            let (pull, ask, partition) = (self.id, self.asks + 1, self.partition.0);
            let known = self.base.as_ref().map_or(0, |base| base.0);
            let count = keys.len() as u64;
            let fetch = FetchEntries { pull, ask, partition, known, keys };
            return self.ask(now_ms, Comparing::FetchEntries(fetch), Vec::new(), count);
        }
        if !self.open.is_empty() {
            let mut prefixes = self.open.split_off(self.open.len().saturating_sub(WALK_PREFIXES_MAX));
            prefixes.sort_unstable();
            prefixes.dedup();
            let (pull, ask, partition, count) = (self.id, self.asks + 1, self.partition.0, prefixes.len() as u64);
            let walk = Walk { pull, ask, partition, prefixes: prefixes.iter().map(walk::prefix_of).collect() };
            return self.ask(now_ms, Comparing::Walk(walk), prefixes, count);
        }
        match self.failed.take() {
            Some(reason) => Next::Fail(reason),
            None => Next::Finish,
        }
    }

    fn ask(&mut self, now_ms: u64, message: Comparing, prefixes: Vec<Nibbles>, count: u64) -> Next {
        self.asks += 1;
        self.figures.sent_bytes += message.bytes_about();
        self.question = Some(Question { ask: self.asks, message: message.clone(), prefixes, sent_ms: now_ms, tries: 1 });
        Next::Ask(message, count)
    }

    /// When the question is to be asked again (monotonic milliseconds).
    pub fn due_ms(&self) -> Option<u64> {
        self.question.as_ref().map(|question| question.sent_ms + (PULL_ANSWER_MS << (question.tries - 1)))
    }

    /// Asks the question again, if it is time. Fails after some tries.
    pub fn ask_again(&mut self, now_ms: u64) -> Next {
        match (self.due_ms(), &mut self.question) {
            (Some(due_ms), Some(question)) if now_ms >= due_ms => {
                if question.tries >= PULL_TRIES_MAX {
                    return Next::Fail("no answer came".into());
                }
                question.tries += 1;
                question.sent_ms = now_ms;
                self.figures.sent_bytes += question.message.bytes_about();
                Next::Ask(question.message.clone(), 0)
            }
            _ => Next::Wait,
        }
    }

    /// An answer has come. The error is for people, and ends the pull.
    pub fn on_answer(&mut self, answer: Comparing, store: &mut Store) -> Result<Vec<Taking>, String> {
        self.figures.received_bytes += answer.bytes_about();
        let Some(question) = self.question.take() else { return Ok(Vec::new()) };
        match (answer, &question.message) {
            (Comparing::Declined(declined), _) => Err(declined.reason),
            (Comparing::Compared(compared), Comparing::Compare(compare)) if compared.page == compare.page => {
                Ok(self.on_compared(compared, store))
            }
            (Comparing::Walked(walked), Comparing::Walk(_)) if walked.ask == question.ask => {
                self.on_walked(walked, question.prefixes, store)?;
                Ok(Vec::new())
            }
            (Comparing::Entries(entries), Comparing::FetchEntries(fetch)) if entries.ask == question.ask => {
                self.on_entries(entries, &fetch.keys)
            }
            _ => {
                // Late, or twice: the answer that is waited for is still to come.
                self.question = Some(question);
                Ok(Vec::new())
            }
        }
    }

    fn on_compared(&mut self, compared: Compared, store: &mut Store) -> Vec<Taking> {
        let Compared { page, count, sum, digest, clock, contexts, snapshot, complete, .. } = compared;
        self.page = (snapshot != 0).then_some((snapshot, page + 1));
        if page == 0 {
            let root = store.root(self.partition);
            let is_equal = root.count == count && (root.sum == sum || is_broken(Rule::CountsAlone));
            let was_equal = is_equal && clock_digest(store.clock(self.partition)) == digest;
            if let Some(clock) = &clock {
                store.watch(self.id.0, self.partition, clock);
                if is_broken(Rule::EarlyTakeover) {
                    store.take_clock(self.partition, clock);
                }
            }
            if !is_equal {
                self.open.push(Nibbles::default());
            }
            self.base = clock.clone().map(|clock| (digest, clock));
            self.first = Some(First { clock, digest, complete, was_equal });
        }
        let takings: Vec<Taking> = contexts.into_iter().filter_map(|context| self.on_context(context, store)).collect();
        self.taking += takings.len();
        takings
    }

    fn on_context(&mut self, context: KeyContext, store: &Store) -> Option<Taking> {
        let KeyContext { key, hash, context } = context;
        if store.state_hash(self.partition, &key) != hash {
            self.fetch.insert(key);
            return None;
        }
        if is_broken(Rule::SkipContexts) || store.has_seen_of(self.partition, &key, &context) {
            return None;
        }
        Some(Taking::Context { key, hash, context })
    }

    fn on_walked(&mut self, walked: Walked, prefixes: Vec<Nibbles>, store: &Store) -> Result<(), String> {
        let answered = walked.steps.len();
        if answered == 0 || answered > prefixes.len() {
            return Err(format!("{} prefixes were asked for, and {answered} answered", prefixes.len()));
        }
        let mut found = Found::default();
        for (prefix, step) in prefixes.iter().zip(&walked.steps) {
            walk::compare(store, self.partition, prefix, step, &mut found).map_err(|error| error.to_string())?;
        }
        self.open.extend(prefixes.into_iter().skip(answered));
        self.open.extend(found.below);
        self.fetch.extend(found.keys);
        Ok(())
    }

    fn on_entries(&mut self, entries: Entries, keys: &[Bytes]) -> Result<Vec<Taking>, String> {
        let Entries { digest, clock, entries, unreadable, .. } = entries;
        if let Some(clock) = clock {
            if clock_digest(&clock) != digest {
                return Err("a clock came that is not the one of its digest".into());
            }
            self.base = Some((digest, clock));
        }
        let Some((_, clock)) = self.base.as_ref().filter(|base| base.0 == digest) else {
            return Err("entries came without the clock that completes them".into());
        };
        if entries.is_empty() && unreadable.is_empty() {
            return Err("none of the keys asked for was answered".into());
        }
        let mut missing: BTreeSet<&Bytes> = keys.iter().collect();
        let mut takings = Vec::with_capacity(entries.len());
        for (place, packed) in entries {
            let Some(key) = keys.get(usize::from(place)) else { return Err("an entry came that nobody asked for".into()) };
            let mut entry = unpack(&packed).map_err(|error| format!("an entry came that makes no sense: {error}"))?;
            if !is_broken(Rule::EntriesUnfilled) {
                entry.fill(clock);
            }
            if missing.remove(key) {
                takings.push(Taking::Entry { key: key.clone(), packed: pack(&entry) });
            }
        }
        for place in unreadable {
            if let Some(key) = keys.get(usize::from(place)) {
                missing.remove(key);
                self.failed = Some("the other side cannot read what it holds of some keys".into());
            }
        }
        self.fetch.extend(missing.into_iter().cloned());
        self.taking += takings.len();
        Ok(takings)
    }

    /// Something has been taken in.
    pub fn on_taken(&mut self, taking: &Taking, store: &mut Store) {
        self.taking = self.taking.saturating_sub(1);
        if let Taking::Entry { key, .. } = taking {
            self.figures.fetched += 1;
            store.settle_late(self.id.0, key);
        }
    }

    /// The live state of a context's key is another one by now.
    pub fn on_changed(&mut self, key: Bytes) {
        self.taking = self.taking.saturating_sub(1);
        self.fetch.insert(key);
    }

    /// Something cannot be taken in: the rest goes on, but the pull stays unfinished.
    pub fn on_refused(&mut self, reason: String) {
        self.taking = self.taking.saturating_sub(1);
        self.failed = Some(reason);
    }

    /// Takes the clock over. Answers with what has to be durable before anybody relies on the pull. Requires: `next` has said so.
    pub fn finish(&self, store: &mut Store) -> Position {
        store.unwatch(self.id.0);
        match self.first.as_ref().and_then(|first| first.clock.as_ref()) {
            Some(clock) => store.take_clock(self.partition, clock),
            None => store.appended(),
        }
    }
}
