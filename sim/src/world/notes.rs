//! What the oracles note of what leaves a peer, and what they ask it.

use super::{World, key_name, key_of};
use crate::history::KeyId;
use crate::node::Node;
use crate::oracle::{Violation, expiry};
use crate::questions::Asked;
use bytes::Bytes;
use henge::message::{Fetch, FetchMode, Message, OperationId, Reply};
use henge::peer::{Input, Origin, Output};
use henge::ring::MemberId;
use henge::storage::DiskJob;
use henge::vclock::{Dot, Entry, Seen, unpack};

/// The operation under which oracles ask peers.
const AUDIT: OperationId = OperationId(u64::MAX);

impl World {
    pub(super) fn note_promise(&mut self, n: usize, message: &Message, asked: Option<Asked>) {
        match message {
            Message::Apply(apply) => {
                if let (Ok(entry), Some(key)) = (unpack(&apply.entry), key_of(&apply.key)) {
                    self.note_versions(key, &entry);
                }
            }
            Message::Forwarded(forwarded) => {
                if let Some(Asked::Get(name)) = asked
                    && let Some(key) = key_of(&name)
                {
                    self.check_shown(n, key, &forwarded.reply);
                }
            }
            Message::Applied(applied) if applied.refused.is_none() => match asked {
                Some(Asked::Apply(key, entry)) => self.nodes[n].shadow.on_applied(&key, &entry),
                Some(Asked::Keep(key, entry, owed)) => match key_of(&key).is_some_and(|key| self.owners(key).contains(&n)) {
                    true => self.nodes[n].shadow.on_applied(&key, &entry),
                    false => self.nodes[n].shadow.on_kept(&key, &entry, &owed),
                },
                _ => {}
            },
            Message::Fetched(fetched) => {
                if let (Some(Asked::Fetch(name)), Ok(entry)) = (asked, unpack(&fetched.entry)) {
                    // What a stand-in tells it may have handed over and forgotten a moment later.
                    if !key_of(&name).is_some_and(|key| self.owners(key).contains(&n)) {
                        return;
                    }
                    let node = &mut self.nodes[n];
                    let known = key_of(&name).and_then(|key| self.dots_of_key.get(&key));
                    node.shadow.on_told(&name, entry.dots());
                    node.shadow.on_gone(
                        &name,
                        known.into_iter().flat_map(dots_in).filter(|dot| entry.has_seen(*dot) && !entry.is_live(*dot)),
                    );
                    if let (FetchMode::Full, Some(key)) = (fetched.mode, key_of(&name)) {
                        self.note_versions(key, &entry);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn note_receipt(&mut self, n: usize, to: Origin, reply: &Reply) {
        let Some(key) = self.key_of_request(to).filter(|key| self.owners(*key).contains(&n)) else { return };
        // Whoever is no owner hands on what another one has answered.
        self.check_shown(n, key, reply);
        let Reply::Written(receipt) = reply else { return };
        let member = self.nodes[n].member;
        if receipt.acks.iter().any(|ack| ack.member == member) {
            self.nodes[n].shadow.on_told(&key_name(key), receipt.dots.iter().copied());
        }
    }

    /// Oracle x: nothing is shown that has expired by the clock of whoever answers. Requires: this is the moment of its answer.
    fn check_shown(&mut self, n: usize, key: KeyId, reply: &Reply) {
        let Reply::Found(found) = reply else { return };
        let wall_ms = self.nodes[n].now(self.time).wall_ms;
        let values = self.dots.values(self.partition(key).0, &found.dots);
        self.violations.extend(expiry::shown(&self.history, (&self.nodes[n].name, wall_ms), key, &values));
    }

    /// Oracle a″ and the phantoms of b, for every version in any message.
    pub(crate) fn note_versions(&mut self, key: KeyId, entry: &Entry) {
        let partition = self.partition(key);
        for version in entry.versions() {
            self.dots_of_key.entry(key).or_default().insert(version.dot);
            match self.dots.note_version(&self.history, partition.0, key, version) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    if let Err(what) = self.history.note_expiry(value, version.expiry_ms) {
                        self.violations.push(Violation::new("x", what));
                    }
                }
                Err(violation) => self.violations.push(violation),
            }
        }
    }

    /// What a peer would answer if it were asked for a key at this moment: its entry with the context filled. None if it is down, or
    /// is no owner, or is waiting for its disk.
    pub(crate) fn ask(&mut self, n: usize, key: &Bytes, mode: FetchMode) -> Option<Entry> {
        // A peer that has just come up may take another one for what it was before its disk was lost, and not listen to it.
        (1..self.nodes.len()).find_map(|next| self.ask_as((n + next) % self.nodes.len(), n, key, mode))
    }

    /// What a peer keeps of a key for others, and for whom. None if it is down, or is waiting for its disk.
    pub(super) fn ask_kept(&mut self, n: usize, key: &Bytes) -> Option<(Entry, Vec<MemberId>)> {
        let held = self.ask(n, key, FetchMode::Dots)?;
        let partition = key_of(key).map(|key| self.partition(key))?;
        let owed = self.nodes[n].peer.as_ref()?.store().hint_owed(partition, key);
        Some((held, owed))
    }

    /// A member has acknowledged something to a peer, perhaps what was kept for it.
    pub(super) fn note_handed_over(&mut self, n: usize, to: MemberId) {
        let (mut shadow, mut held) = (std::mem::take(&mut self.nodes[n].shadow), std::mem::take(&mut self.nodes[n].held));
        if let Some(peer) = &self.nodes[n].peer {
            let partition = |key: &Bytes| key_of(key).map(|key| self.partition(key));
            let is_owed =
                |key: &Bytes| partition(key).is_some_and(|partition| peer.store().hint_owed(partition, key).contains(&to));
            shadow.on_handed_over(to, is_owed);
            held.iter_mut().filter_map(|held| held.asked.as_mut()).for_each(|asked| asked.hand_over(to, is_owed));
        }
        (self.nodes[n].shadow, self.nodes[n].held) = (shadow, held);
    }

    fn ask_as(&mut self, asker: usize, n: usize, key: &Bytes, mode: FetchMode) -> Option<Entry> {
        let Node { member: from, start, .. } = self.nodes[asker];
        let now = self.nodes[n].now(self.time);
        let fetch = Message::Fetch(Fetch { operation: AUDIT, key: key.clone(), mode });
        let mut inputs = vec![Input::Message { from, start, message: fetch }];
        let mut answer = None;
        while let Some(input) = inputs.pop() {
            let mut outbox = Vec::new();
            self.nodes[n].peer.as_mut()?.step(now, input, &mut outbox);
            for output in outbox {
                match output {
                    Output::Send { message: Message::Fetched(fetched), .. } if fetched.operation == AUDIT => {
                        answer = Some(unpack(&fetched.entry).unwrap_or_default());
                    }
                    Output::Disk(DiskJob::Read(read)) => {
                        let done = self.nodes[n].execute(DiskJob::Read(read));
                        inputs.push(Input::Disk(done));
                    }
                    other => self.route(n, other),
                }
            }
        }
        answer
    }
}

fn dots_in(seen: &Seen) -> impl Iterator<Item = Dot> {
    seen.runs().flat_map(|(actor, intervals)| {
        intervals.iter().flat_map(move |run| (run.first..=run.last).map(move |counter| Dot { actor, counter }))
    })
}
