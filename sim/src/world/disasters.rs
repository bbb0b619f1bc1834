//! Disks that are lost, come back as old copies, or rot: one at a time, and the next only when the cluster is whole again.
//!
//! Loss is excluded only while fewer than W disks of a partition are destroyed between two repairs. So a disaster waits until every owner
//! is complete, all owners of every partition hold the same, and nobody owes anything: then whatever was acknowledged lies on N disks. From
//! then on one disk may be lost at any moment, whatever has been begun meanwhile: whatever is acknowledged lies on W.

use super::{Event, Fault, Stream, World, key_name};
use crate::history::KeyId;
use crate::node::{Down, Hurt, Node};
use crate::oracle::Violation;
use crate::plan::Disaster;
use crate::schedule::{Kind, Name, Strike};
use henge::message::{Comparing, Message};
use henge::ring::{MemberId, PartitionId};
use henge::storage::Store;
use henge::vclock::Dot;

/// How long a disaster waits for the cluster to be whole (microseconds), before it looks again.
const WAIT: u64 = 250_000;

impl World {
    /// True if a disk may be lost.
    fn is_ready_for_disaster(&self) -> bool {
        self.has_lost_nothing()
            && self.owes_nothing()
            && self.nodes.iter().all(|node| node.has_formed && !node.stopping && node.hurt.is_none() && node.peer.is_some())
            && self.roots_are_equal()
    }

    /// True if every owner is complete.
    pub(crate) fn has_lost_nothing(&self) -> bool {
        self.partitions().into_iter().all(|partition| {
            self.owners_of(partition)
                .into_iter()
                .all(|owner| self.nodes[owner].peer.as_ref().is_some_and(|peer| peer.store().is_complete(partition)))
        })
    }

    /// Ends what a hurt disk would otherwise keep open for ever: bad bytes that nobody looks at until the next start, and a copy that
    /// everybody has taken in, as there is nothing that it lacks.
    fn settle_hurt(&mut self) {
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            match node.hurt {
                Some(Hurt::Damaged) if node.peer.is_some() && self.schedule.chance(Kind::Disaster, 0.3) => {
                    self.go_down(n, Down::Kill)
                }
                Some(Hurt::Old) if self.is_whole() => self.nodes[n].hurt = None,
                _ => {}
            }
        }
    }

    pub(super) fn on_disaster(&mut self) {
        self.settle_hurt();
        if !self.is_ready_for_disaster() {
            return self.after(WAIT, Event::Fault(Fault::Disaster));
        }
        let Some(mut strike) = self.schedule.strikes(Kind::Disaster).map(Box::new) else { return self.schedule(Fault::Disaster) };
        let dice = &mut strike.dice;
        let n = dice.below(self.nodes.len() as u64) as usize;
        let kind = *dice.pick(&self.plan.disasters.kinds);
        let is_dropped = dice.chance(self.plan.ambush.dropped_copies);
        let kind = if is_dropped { Disaster::DroppedCopy } else { kind };
        let kind = if dice.chance(self.plan.disk_faults.flips) { Disaster::Flip } else { kind };
        match dice.below(3) {
            _ if kind == Disaster::Old => self.on_disaster_at(n, kind, strike),
            0 => self.on_disaster_at(n, kind, strike),
            1 => {
                let delay = dice.spread(1_000, 3_000_000);
                self.after(delay, Event::Disaster { node: n, kind, strike });
            }
            _ => self.strike = Some((kind, strike)),
        }
    }

    /// If the next disaster waits for that: it hits a peer that another one, which knows less, has begun to learn from.
    pub(super) fn strike(&mut self, learner: usize, teacher: MemberId, message: &Message) {
        if self.strike.is_some()
            && let Message::Comparing(comparing) = message
            && matches!(**comparing, Comparing::Walk(_))
            && let Some(node) = self.index_of(teacher)
            && let Some((kind, mut strike)) = self.strike.take()
        {
            let delay = strike.dice.below(2 * self.plan.network.delay_max);
            self.after(delay, Event::Disaster { node, kind, strike });
            self.isolate_learner(learner, node);
        }
    }

    /// The disk of a peer is hurt. Requires: since all were whole, no other was.
    pub(super) fn on_disaster_at(&mut self, n: usize, kind: Disaster, mut strike: Box<Strike>) {
        if !self.is_chaotic {
            return;
        }
        match kind {
            Disaster::Old => {
                self.nodes[n].keep_old_disk();
                let delay = strike.dice.spread(300_000, 3_000_000);
                return self.after(delay, Event::OldDisk { node: n, name: strike.name });
            }
            Disaster::Wiped => self.lose_disk_in(n, Some(strike.name)),
            Disaster::DroppedCopy => {
                if self.drop_copy(n, &mut strike.dice) {
                    self.note_disaster(n, kind, Some(strike.name));
                }
            }
            Disaster::Flip => self.flip_bit(n, &mut strike),
            Disaster::Hole => {
                self.go_down(n, Down::PowerCut);
                if self.nodes[n].damage_log(&mut strike.dice) {
                    self.note_disaster(n, kind, Some(strike.name));
                }
            }
            Disaster::BadRecord => {
                let is_record = strike.dice.chance(0.7);
                let node = &mut self.nodes[n];
                let is_done = is_record && node.damage_record(&mut strike.dice) || node.damage_log(&mut strike.dice);
                if is_done {
                    self.note_disaster(n, kind, Some(strike.name));
                }
            }
        }
        self.schedule(Fault::Disaster);
    }

    /// The disk of some time ago is put back.
    pub(super) fn on_old_disk(&mut self, n: usize, name: Name) {
        if !self.is_chaotic {
            return;
        }
        if !self.is_ready_for_disaster() {
            return self.after(WAIT, Event::OldDisk { node: n, name });
        }
        if self.nodes[n].old_start >= self.nodes[n].start {
            // A copy from the same start cannot be told.
            self.go_down(n, Down::Kill);
            return self.after(WAIT, Event::OldDisk { node: n, name });
        }
        // Nor can one that begins under a number that was used: starts that follow each other faster than seconds run ahead of the clock.
        if u64::from(self.nodes[n].start.0) >= self.nodes[n].now(self.time).wall_ms / 1_000 {
            return self.after(WAIT, Event::OldDisk { node: n, name });
        }
        self.note_disaster(n, Disaster::Old, Some(name));
        self.go_down(n, Down::Kill);
        self.nodes[n].put_old_disk_back();
        self.schedule(Fault::Disaster);
    }

    /// The disk of a peer is gone, and an empty one takes its place.
    pub(crate) fn lose_disk(&mut self, n: usize) {
        self.lose_disk_in(n, None);
    }

    fn lose_disk_in(&mut self, n: usize, name: Option<Name>) {
        self.note_disaster(n, Disaster::Wiped, name);
        self.go_down(n, Down::PowerCut);
        self.replace_disk(n);
    }

    /// An empty disk takes the place of a peer's. Requires: it is down.
    fn replace_disk(&mut self, n: usize) {
        self.note_what_is_lost(n);
        let Some(change) = self.change.clone() else { return };
        // The peer that is asked for the list of members knows the lost start, as soon as it has heard of it.
        let member = self.nodes[n].member;
        let known = self.nodes.iter().filter_map(|node| node.peer.as_ref()?.newest_start(member)).max();
        // Where all are down, a person starts another peer first; what it remembers of this one is the last start that it met.
        let last = known.unwrap_or(self.nodes[n].start);
        self.nodes[n].wipe();
        if self.schedule.chance(Kind::CrashInReplacement, self.plan.process.crash_in_recovery)
            && let Some(mut strike) = self.schedule.strikes(Kind::CrashInReplacement)
        {
            let call = strike.dice.below(30);
            // Whatever it says: it is done again.
            let _ = self.nodes[n].replace(self.time, (&change, last), Some(call), &mut strike.dice);
            self.stats.count_fault("crash in a replacement");
            self.note(strike.name, |world| format!("the replacement of {} is cut short", world.nodes[n].name));
        }
        let mut dice = self.dice_of(Stream::Replacements, n);
        if let Err(reason) = self.nodes[n].replace(self.time, (&change, last), None, &mut dice) {
            let what = format!("{} cannot take its place with an empty disk: {reason}", self.nodes[n].name);
            self.violations.push(Violation::new("i", what));
        }
    }

    /// A peer does not start. If that is because its disk was hurt, and it says so, it is done: an empty disk takes its place.
    pub(super) fn take_over(&mut self, n: usize, reason: String) {
        if self.nodes[n].hurt != Some(Hurt::Damaged) || !reason.contains("--replace") {
            return self.cannot_start(n, reason);
        }
        self.stats.count_fault("replaced as nothing else was left");
        self.trace.event(self.time, format_args!("replace {n}"), || format!("{} is replaced: {reason}", self.nodes[n].name));
        self.replace_disk(n);
    }

    pub(super) fn note_disaster(&mut self, n: usize, kind: Disaster, name: Option<Name>) {
        if let Some(name) = name {
            self.note(name, |world| format!("the disk of {} is hurt: {kind:?}", world.nodes[n].name));
        }
        self.note_what_is_lost(n);
        self.disks_lost += 1;
        self.old_disk_back |= kind == Disaster::Old;
        self.stats.count_fault(&format!("{kind:?} disk"));
        self.trace.event(self.time, format_args!("disaster {n} {kind:?}"), || {
            format!("the disk of {} is hurt: {kind:?}", self.nodes[n].name)
        });
    }

    /// What a peer holds is lost, or some of it: notes the values that nobody else holds for sure.
    ///
    /// Another one does if it has promised so. Or it is an owner that has seen the dot, and all that it has is durable.
    pub(super) fn note_what_is_lost(&mut self, n: usize) {
        let others: Vec<(usize, &Node, Option<&Store>)> = (0..self.nodes.len())
            .zip(&self.nodes)
            .map(|(at, node)| (at, node, durable_store(node)))
            .filter(|other| other.0 != n)
            .collect();
        let is_held = |partition: u16, dot: Dot, key: KeyId| {
            let (name, owners) = (key_name(key), self.owners(key));
            let has_seen = |store: &Store| store.clock(PartitionId(partition)).contains(dot);
            others.iter().any(|(at, node, store)| {
                node.shadow.has_promised(&name, dot) || (owners.contains(at) && store.is_some_and(has_seen))
            })
        };
        let lost = self.dots.all().filter(|(partition, dot, named)| !is_held(*partition, *dot, named.key));
        let lost: Vec<_> = lost.map(|(_, _, named)| named.value).collect();
        lost.into_iter().for_each(|value| self.history.note_lost(value, self.time));
    }

    /// Others have refused a peer as an old copy: it stops, and goes on empty under another actor.
    pub(super) fn on_refused_as_old(&mut self, n: usize, reason: &str) {
        if self.nodes[n].hurt != Some(Hurt::Old) {
            return self.violations.push(Violation::new("i", format!("{} is refused: {reason}", self.nodes[n].name)));
        }
        self.stats.count_fault("refused as an old copy");
        self.note_what_is_lost(n);
        self.go_down(n, Down::Kill);
        // Whoever finds the process ended with no room for its last words makes some.
        self.make_room(n);
        if let Err(error) = self.nodes[n].note_refusal(reason) {
            self.violations.push(Violation::new("i", format!("{} cannot note why it was refused: {error}", self.nodes[n].name)));
        }
    }
}

/// What a peer that is up holds, if all of it is durable.
fn durable_store(node: &Node) -> Option<&Store> {
    let store = node.peer.as_ref()?.store();
    (store.durable() >= store.appended()).then_some(store)
}
