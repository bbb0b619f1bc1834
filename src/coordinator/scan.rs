//! A page of a scan: R owners of every partition list what they hold; where they differ, the key is read.

use super::{Effects, Outcome};
use crate::message::{Message, OperationId, ScanAsk, ScanItem, ScanPage};
use crate::ring::MemberId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A scan under way.
#[derive(Debug)]
pub struct Scan {
    prefix: Bytes,
    after: Bytes,
    limit: usize,
    /// The partitions, each with its owners that were live at the beginning.
    partitions: Vec<(u16, Vec<MemberId>)>,
    /// How many owners of each have to answer.
    needed: usize,
    me: MemberId,
    /// Who has lost something of which partition: what it does not list there means nothing.
    excluded: BTreeSet<(MemberId, u16)>,
    /// Who has been asked for which partitions, in order.
    asked: BTreeMap<MemberId, Vec<u16>>,
    pages: BTreeMap<MemberId, ScanPage>,
    /// The keys of the page once all have answered: true if live, none while that is being found out.
    verdicts: BTreeMap<Bytes, Option<bool>>,
    /// Set with the verdicts: where the next page begins, if there is one.
    resume_after: Option<Bytes>,
}

/// What a scan needs next.
#[derive(Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// The owners of these keys do not agree: read them, and say what was found.
    Read(Vec<Bytes>),
    /// The page: keys in order, and where to go on if there is more.
    Page {
        /// The live keys.
        keys: Vec<Bytes>,
        /// The last key that was looked at, if there may be more behind it.
        resume_after: Option<Bytes>,
    },
}

impl Scan {
    /// A scan of these partitions: each with its owners that are live, in the order of preference.
    /// An error names a partition with fewer than `needed` of them.
    pub fn new(
        (prefix, after, limit): (Bytes, Bytes, usize),
        partitions: impl IntoIterator<Item = (u16, Vec<MemberId>)>,
        needed: usize,
        me: MemberId,
    ) -> Result<Scan, (u16, usize)> {
        let mut scan = Scan {
            prefix,
            after,
            limit,
            partitions: partitions.into_iter().collect(),
            needed,
            me,
            excluded: BTreeSet::new(),
            asked: BTreeMap::new(),
            pages: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            resume_after: None,
        };
        scan.assign()?;
        Ok(scan)
    }

    /// Chooses who is asked for what.
    fn assign(&mut self) -> Result<(), (u16, usize)> {
        let mut asked: BTreeMap<MemberId, Vec<u16>> = BTreeMap::new();
        for (partition, owners) in &self.partitions {
            let mut owners: Vec<MemberId> =
                owners.iter().copied().filter(|owner| !self.excluded.contains(&(*owner, *partition))).collect();
            if owners.len() < self.needed {
                return Err((*partition, owners.len()));
            }
            // Whoever is asked anyway is asked for this one too: the fewer peers, the fewer messages.
            owners.sort_by_key(|owner| (*owner != self.me, !asked.contains_key(owner)));
            for owner in owners.into_iter().take(self.needed) {
                asked.entry(owner).or_default().push(*partition);
            }
        }
        self.asked = asked;
        Ok(())
    }

    /// Asks everybody who has not answered.
    pub fn send(&self, id: OperationId, effects: &mut Effects) {
        for (member, partitions) in self.asked.iter().filter(|(member, _)| !self.pages.contains_key(*member)) {
            let ask = ScanAsk {
                operation: id,
                partitions: partitions.clone(),
                prefix: self.prefix.clone(),
                after: self.after.clone(),
                limit: self.limit as u32,
            };
            effects.send(*member, Message::ScanAsk(ask));
        }
    }

    /// True if the member still owes a page.
    pub fn waits_for(&self, member: MemberId) -> bool {
        self.asked.contains_key(&member) && !self.pages.contains_key(&member)
    }

    /// A member has answered. `partition_of` says where a key lies.
    /// `wall_ms`: what has expired by then is left out.
    pub fn on_page(
        &mut self,
        from: MemberId,
        page: ScanPage,
        partition_of: &dyn Fn(&[u8]) -> u16,
        wall_ms: u64,
    ) -> Outcome<ScanStep> {
        if !self.waits_for(from) {
            return Outcome::Pending;
        }
        if !page.complete {
            return self.exclude(from, &page.incomplete);
        }
        self.pages.insert(from, page);
        if self.pages.len() < self.asked.len() {
            return Outcome::Pending;
        }
        self.compare(partition_of, wall_ms);
        let unclear: Vec<Bytes> = self.verdicts.iter().filter(|(_, live)| live.is_none()).map(|(key, _)| key.clone()).collect();
        if unclear.is_empty() { Outcome::Done(self.page()) } else { Outcome::Done(ScanStep::Read(unclear)) }
    }

    /// A member has lost something of some partitions: others are asked for them. Everybody is asked anew, under a new id, because a
    /// page says of all partitions together where it ends.
    fn exclude(&mut self, member: MemberId, incomplete: &[u16]) -> Outcome<ScanStep> {
        let before = self.excluded.len();
        let asked = self.asked.get(&member).map_or(&[][..], Vec::as_slice);
        let lost = incomplete.iter().filter(|partition| asked.binary_search(partition).is_ok());
        self.excluded.extend(lost.map(|partition| (member, *partition)));
        // Without anybody to ask in its place the scan waits: it may have become whole when it is asked again.
        if self.excluded.len() == before || self.assign().is_err() {
            self.excluded.retain(|(excluded, _)| *excluded != member);
            return Outcome::Pending;
        }
        self.pages.clear();
        Outcome::Again
    }

    /// A key that was unclear has been read.
    pub fn on_read(&mut self, key: &Bytes, is_live: bool) -> Outcome<ScanStep> {
        if let Some(verdict) = self.verdicts.get_mut(key) {
            *verdict = Some(is_live);
        }
        if self.verdicts.values().any(Option::is_none) { Outcome::Pending } else { Outcome::Done(self.page()) }
    }

    /// How many members have answered, of how many.
    pub fn progress(&self) -> (usize, usize) {
        (self.pages.len(), self.asked.len())
    }

    fn compare(&mut self, partition_of: &dyn Fn(&[u8]) -> u16, wall_ms: u64) {
        // Nobody has looked behind the last key of a page that is not its last one.
        let cut = self.pages.values().filter(|page| page.more).filter_map(|page| page.items.last()).map(|item| &item.key).min();
        let within = |key: &Bytes| cut.is_none_or(|cut| key <= cut);
        let mut listed: BTreeMap<&Bytes, Vec<(u64, u64)>> = BTreeMap::new();
        let in_order = |item: &&ScanItem| within(&item.key) && item.key > self.after && item.key.starts_with(&self.prefix);
        for item in self.pages.values().flat_map(|page| &page.items).filter(in_order) {
            listed.entry(&item.key).or_default().push((item.hash, item.hidden_ms));
        }
        let more = cut.is_some() || listed.len() > self.limit;
        let mut verdicts = BTreeMap::new();
        for (key, states) in listed.into_iter().take(self.limit) {
            let partition = partition_of(key);
            let owners = self.asked.values().filter(|partitions| partitions.binary_search(&partition).is_ok()).count();
            let agree = states.len() == owners && states.iter().collect::<BTreeSet<_>>().len() == 1;
            let is_visible = states.iter().all(|(_, hidden_ms)| *hidden_ms == 0 || *hidden_ms > wall_ms);
            verdicts.insert(key.clone(), agree.then_some(is_visible));
        }
        self.resume_after = more.then(|| verdicts.keys().next_back().cloned().unwrap_or_default());
        self.verdicts = verdicts;
    }

    fn page(&mut self) -> ScanStep {
        let keys = self.verdicts.iter().filter(|(_, live)| **live == Some(true)).map(|(key, _)| key.clone()).collect();
        ScanStep::Page { keys, resume_after: self.resume_after.take() }
    }
}
