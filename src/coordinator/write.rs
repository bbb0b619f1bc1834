//! A write of any kind: spread one entry to the owners, cover what they name, answer after W of them.
//!
//! 1. *Spreading*: the entry goes to every owner that is live. Each acknowledges it once it is stored as safely as its
//!    sync mode says. For a write without a context each also names the live dots that the write does not cover.
//! 2. *Covering*, only if something was named: the same entry, its context grown by the named dots, goes the same way.
//!    So a write without a context replaces what its replicas hold, and not only what its coordinator happens to see.

use super::tally::Tally;
use super::{Effects, Outcome};
use crate::broken::{Rule, is_broken};
use crate::message::{Ack, Applied, Apply, Message, Naming, OperationId};
use crate::ring::MemberId;
use crate::vclock::{Dot, Entry, Seen, pack, unpack};
use bytes::Bytes;
use std::sync::Arc;

/// What a write does, drawn up by its coordinator.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The key.
    pub key: Bytes,
    /// The packed entry that every owner takes in.
    pub entry: Bytes,
    /// What the owners are to name, for a write without a context.
    pub naming: Option<Arc<Naming>>,
    /// The dots that the write made.
    pub dots: Vec<Dot>,
    /// The dots that it replaced, as far as its coordinator saw.
    pub covered: Vec<Dot>,
    /// What the context of the receipt covers beside `dots`.
    pub context: Seen,
    /// What its client had seen live and the write leaves where it is.
    pub left: Seen,
}

/// A write under way.
#[derive(Debug)]
pub struct Write {
    plan: Plan,
    tally: Tally,
    acks: Vec<Ack>,
    named: Vec<Dot>,
    refusals: Vec<String>,
    covering: bool,
}

/// How a write went, once W have acknowledged it.
#[derive(Debug)]
pub struct Written {
    /// Who had acknowledged it.
    pub acks: Vec<Ack>,
    /// Its dots.
    pub dots: Vec<Dot>,
    /// What it replaced, the named dots included.
    pub covered: Vec<Dot>,
    /// What the context of the receipt covers beside `dots`.
    pub context: Seen,
    /// What its client had seen live and the write leaves where it is.
    pub left: Seen,
}

impl Write {
    /// A write that waits for `w` of the key's owners.
    pub fn new(plan: Plan, owners: Vec<MemberId>, w: usize) -> Write {
        Write { plan, tally: Tally::new(owners, w), acks: Vec::new(), named: Vec::new(), refusals: Vec::new(), covering: false }
    }

    /// Sends the entry to every owner that has not acknowledged it; again when there was no answer for a while.
    pub fn send(&self, id: OperationId, effects: &mut Effects) {
        for owner in self.tally.missing() {
            let apply = Apply {
                operation: id,
                key: self.plan.key.clone(),
                entry: self.plan.entry.clone(),
                naming: self.plan.naming.clone(),
                owed: Vec::new(),
                relief: false,
            };
            effects.send(owner, Message::Apply(apply));
        }
    }

    /// An owner has answered.
    pub fn on_applied(&mut self, from: MemberId, applied: Applied) -> Outcome<Written> {
        if let Some(reason) = applied.refused {
            if self.tally.group().contains(&from) && !self.refusals.contains(&reason) {
                self.refusals.push(reason);
            }
            return Outcome::Pending;
        }
        if !self.tally.count(from) {
            return Outcome::Pending;
        }
        self.acks.push(Ack { member: from, sync: applied.sync });
        for dot in applied.uncovered {
            if is_broken(Rule::BlindDelete) {
                break;
            }
            if !self.named.contains(&dot) && !self.plan.dots.contains(&dot) {
                self.named.push(dot);
            }
        }
        if !self.tally.is_met() {
            return Outcome::Pending;
        }
        if self.covering || self.named.is_empty() {
            return Outcome::Done(self.finish());
        }
        self.cover();
        Outcome::Again
    }

    /// How many owners have acknowledged, how many must, and why some refused.
    pub fn progress(&self) -> (usize, usize, &[String]) {
        (self.tally.answers(), self.tally.needed(), &self.refusals)
    }

    fn cover(&mut self) {
        let named: Seen = self.named.iter().copied().collect();
        // With the versions of the write: a replica that the first round has not reached must not lose what is covered and have
        // nothing in its place.
        let (mut versions, mut context) = unpack(&self.plan.entry).expect("what was packed here").into_parts();
        // A retry spreads all that the key holds now; what is covered must not travel as live.
        versions.retain(|version| !named.contains(version.dot));
        context.union_with(&named);
        self.plan.entry = pack(&Entry::new(versions, context));
        self.plan.naming = None;
        self.plan.context.union_with(&named);
        self.covering = true;
        self.tally.clear();
        self.acks.clear();
    }

    fn finish(&mut self) -> Written {
        let mut covered = std::mem::take(&mut self.plan.covered);
        covered.extend(self.named.iter().filter(|dot| !covered.contains(dot)).copied().collect::<Vec<_>>());
        Written {
            acks: std::mem::take(&mut self.acks),
            dots: std::mem::take(&mut self.plan.dots),
            covered,
            context: std::mem::take(&mut self.plan.context),
            left: std::mem::take(&mut self.plan.left),
        }
    }
}
