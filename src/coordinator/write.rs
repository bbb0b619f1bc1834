//! A write of any kind: spread one entry to the owners, cover what they name, answer after W of them.
//!
//! 1. *Spreading*: the entry goes to every owner that is live. Each acknowledges it once it is stored as safely as its
//!    sync mode says. For a write without a context each also names the live dots that the write does not cover.
//! 2. *Covering*, only if something was named: the same entry, its context grown by the named dots, goes the same way.
//!    So a write without a context replaces what its replicas hold, and not only what its coordinator happens to see.
//!
//! For an owner that is down the next live member on the walk stands in: it stores the entry, owes it to that owner, and counts for W. It
//! names nothing, since it does not know what the key holds; so a removal without a context needs W owners that have lost nothing.

use super::stand_ins::{StandIns, Walk};
use super::tally::Tally;
use super::{Effects, Outcome};
use crate::broken::{Rule, is_broken};
use crate::message::{Ack, Applied, Apply, Message, Naming, OperationId, StoodIn};
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

/// What a write asks of those who acknowledge it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Demand {
    /// How many must acknowledge it.
    pub w: usize,
    /// True: nobody stands in for an owner.
    pub strict: bool,
    /// True: W of them must be owners that have lost nothing. What is removed without a context only they know.
    pub needs_owners: bool,
}

impl Demand {
    /// True if what meets this one meets another one too.
    pub fn is_at_least(self, other: Demand) -> bool {
        self.w >= other.w && (self.strict || !other.strict) && (self.needs_owners || !other.needs_owners)
    }
}

/// A write under way.
#[derive(Debug)]
pub struct Write {
    plan: Plan,
    demand: Demand,
    /// The owners.
    tally: Tally,
    /// Acknowledgements of owners that have lost nothing.
    complete: usize,
    stand_ins: StandIns,
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
    /// Who of them stood in for whom.
    pub stood_in: Vec<StoodIn>,
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
    /// A write to these owners, or whoever stands in for them.
    pub fn new(plan: Plan, owners: Vec<MemberId>, demand: Demand) -> Write {
        Write {
            plan,
            demand,
            tally: Tally::new(owners, demand.w),
            complete: 0,
            stand_ins: StandIns::default(),
            acks: Vec::new(),
            named: Vec::new(),
            refusals: Vec::new(),
            covering: false,
        }
    }

    /// What it asks of those who acknowledge it.
    pub fn demand(&self) -> Demand {
        self.demand
    }

    /// Sends the entry to every owner that has not acknowledged it, and to those who stand in; again when there was no answer for a while.
    pub fn send(&mut self, id: OperationId, walk: &Walk, effects: &mut Effects) {
        for owner in self.tally.missing() {
            effects.send(owner, Message::Apply(self.apply(id, &[])));
        }
        self.send_to_stand_ins(id, walk, false, effects);
    }

    /// Sends it to whoever stands in from now on: an owner has gone down meanwhile, or a stand-in has refused.
    pub fn send_to_new(&mut self, id: OperationId, walk: &Walk, effects: &mut Effects) {
        self.send_to_stand_ins(id, walk, true, effects);
    }

    fn send_to_stand_ins(&mut self, id: OperationId, walk: &Walk, only_new: bool, effects: &mut Effects) {
        if self.demand.strict {
            return;
        }
        let mut stand_ins = std::mem::take(&mut self.stand_ins);
        stand_ins.arrange(walk, |owner| self.tally.has_answered(owner));
        for (member, owed) in stand_ins.due(only_new) {
            effects.send(member, Message::Apply(self.apply(id, owed)));
        }
        self.stand_ins = stand_ins;
    }

    fn apply(&self, operation: OperationId, owed: &[MemberId]) -> Apply {
        let naming = if owed.is_empty() { self.plan.naming.clone() } else { None };
        Apply { operation, key: self.plan.key.clone(), entry: self.plan.entry.clone(), naming, owed: owed.to_vec(), relief: false }
    }

    /// An owner or a stand-in has answered.
    pub fn on_applied(&mut self, from: MemberId, applied: Applied) -> Outcome<Written> {
        if let Some(reason) = applied.refused {
            let is_asked = self.tally.group().contains(&from) || self.stand_ins.refuse(from);
            if is_asked && !self.refusals.contains(&reason) {
                self.refusals.push(reason);
            }
            return Outcome::Pending;
        }
        if self.tally.count(from) {
            self.complete += usize::from(applied.complete);
        } else if !self.stand_ins.count(from) {
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
        if !self.is_met() {
            return Outcome::Pending;
        }
        if self.covering || self.named.is_empty() {
            return Outcome::Done(self.finish());
        }
        self.cover();
        Outcome::Again
    }

    fn is_met(&self) -> bool {
        let Demand { w, needs_owners, .. } = self.demand;
        self.answers() >= w && (!needs_owners || self.complete >= w || is_broken(Rule::StandInRemoval))
    }

    /// How many disks it will be on whatever is handed over: a stand-in and the owner that it stands in for are one.
    fn answers(&self) -> usize {
        self.tally.answers() + self.stand_ins.acks_beside(|owner| self.tally.has_answered(owner))
    }

    /// How many have acknowledged, of those that count, how many must, and why some refused.
    pub fn progress(&self) -> (usize, usize, &[String]) {
        let answers = if self.demand.needs_owners { self.complete } else { self.answers() };
        (answers, self.demand.w, &self.refusals)
    }

    fn cover(&mut self) {
        let named: Seen = self.named.iter().copied().collect();
        // With the versions of the write: a replica that the first round has not reached must not lose what is covered and have
        // nothing in its place.
        let (mut versions, mut context) = unpack(&self.plan.entry).expect("what was packed here").into_parts();
        // A retry spreads all that the key holds now; what is covered must not travel as live.
        versions.retain(|version| !named.contains(version.dot) && !is_broken(Rule::CoverAlone));
        context.union_with(&named);
        self.plan.entry = pack(&Entry::new(versions, context));
        self.plan.naming = None;
        self.plan.context.union_with(&named);
        self.covering = true;
        if is_broken(Rule::CoverHalf) {
            return;
        }
        self.tally.clear();
        self.complete = 0;
        self.stand_ins.clear();
        self.acks.clear();
    }

    fn finish(&mut self) -> Written {
        let mut covered = std::mem::take(&mut self.plan.covered);
        covered.extend(self.named.iter().filter(|dot| !covered.contains(dot)).copied().collect::<Vec<_>>());
        Written {
            acks: std::mem::take(&mut self.acks),
            stood_in: self.stand_ins.stood_in(|owner| self.tally.has_answered(owner)),
            dots: std::mem::take(&mut self.plan.dots),
            covered,
            context: std::mem::take(&mut self.plan.context),
            left: std::mem::take(&mut self.plan.left),
        }
    }
}
