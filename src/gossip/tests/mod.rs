//! The machine among its like: a few of them over a network that a test controls.

mod laws;
mod rules;

use super::{Event, Moment, Outcome, Pace, Swim};
use crate::message::{Gossip, MemberRecord};
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use std::collections::{BTreeMap, BTreeSet};

/// How long a message takes (milliseconds).
const DELAY_MS: u64 = 5;
/// The wall clock at the beginning (milliseconds since 1970).
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Machines 1 to n, each linked with all others at the beginning.
struct Net {
    now_ms: u64,
    swims: BTreeMap<u128, Swim>,
    mail: BTreeMap<(u64, u64), (u128, u128, Gossip)>,
    sequence: u64,
    /// From whom to whom nothing arrives.
    cut: BTreeSet<(u128, u128)>,
    /// Who does nothing until when.
    paused: BTreeMap<u128, u64>,
    events: Vec<(u64, u128, Event)>,
    sent: u64,
    pace: Pace,
}

impl Net {
    fn new(count: u128) -> Net {
        let mut net = Net {
            now_ms: 1_000,
            swims: BTreeMap::new(),
            mail: BTreeMap::new(),
            sequence: 0,
            cut: BTreeSet::new(),
            paused: BTreeMap::new(),
            events: Vec::new(),
            sent: 0,
            pace: Pace::default(),
        };
        (1..=count).for_each(|id| net.start(record(id, 1, 0), count));
        (1..=count).for_each(|id| net.link_all(id));
        net
    }

    /// Starts a machine, without links.
    fn start(&mut self, me: MemberRecord, count: u128) {
        let id = me.member.0;
        let mut swim = Swim::new(me, self.pace, id as u64);
        swim.set_members(self.moment(), (1..=count).map(MemberId));
        self.swims.insert(id, swim);
    }

    fn link_all(&mut self, id: u128) {
        let others: Vec<u128> = self.swims.keys().copied().filter(|other| *other != id).collect();
        others.into_iter().for_each(|other| self.link(id, other));
    }

    /// Brings a link up on one side, and on the other if that is new to it.
    fn link(&mut self, a: u128, b: u128) {
        for (at, other) in [(a, b), (b, a)] {
            let MemberRecord { actor, start, .. } = *self.swims[&other].own_record();
            self.tell(at, |swim, now, out| swim.on_link_up(now, MemberId(other), actor, start, out));
        }
    }

    fn unlink(&mut self, a: u128, b: u128) {
        for (at, other) in [(a, b), (b, a)] {
            self.tell(at, |swim, now, out| swim.on_link_down(now, MemberId(other), out));
        }
    }

    fn moment(&self) -> Moment {
        Moment { monotonic_ms: self.now_ms, wall_ms: EPOCH_MS + self.now_ms }
    }

    fn tell(&mut self, id: u128, tell: impl FnOnce(&mut Swim, Moment, &mut Outcome)) {
        let now = self.moment();
        let Some(swim) = self.swims.get_mut(&id) else { return };
        let mut out = Outcome::default();
        tell(swim, now, &mut out);
        self.events.extend(out.events.into_iter().map(|event| (now.monotonic_ms, id, event)));
        for (to, message) in out.sends {
            self.sent += 1;
            if !self.cut.contains(&(id, to.0)) {
                self.sequence += 1;
                self.mail.insert((now.monotonic_ms + DELAY_MS, self.sequence), (id, to.0, message));
            }
        }
    }

    /// Lets time pass: mail and timers in their order.
    fn run(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        loop {
            let awake = |id: &u128, at_ms: u64| at_ms.max(self.paused.get(id).copied().unwrap_or(0));
            let timer = self.swims.iter().filter_map(|(id, swim)| Some((awake(id, swim.next_wake()?), *id))).min();
            let mail = self.mail.iter().map(|(at, (_, to, _))| (awake(to, at.0), *at)).min();
            match (timer, mail) {
                (timer, Some((at_ms, place))) if timer.is_none_or(|(timer_ms, _)| at_ms <= timer_ms) && at_ms <= end_ms => {
                    self.now_ms = at_ms.max(self.now_ms);
                    let (from, to, message) = self.mail.remove(&place).expect("it was found");
                    self.tell(to, |swim, now, out| swim.on_message(now, MemberId(from), message, out));
                }
                (Some((at_ms, id)), _) if at_ms <= end_ms => {
                    self.now_ms = at_ms.max(self.now_ms);
                    self.tell(id, |swim, now, out| swim.on_wake(now, out));
                }
                _ => break,
            }
        }
        self.now_ms = end_ms;
    }

    /// From now on nothing leaves a machine or reaches it, though its links look up.
    fn silence(&mut self, id: u128) {
        let others: Vec<u128> = self.swims.keys().copied().collect();
        self.cut.extend(others.iter().flat_map(|other| [(id, *other), (*other, id)]));
    }

    fn swim(&self, id: u128) -> &Swim {
        &self.swims[&id]
    }

    fn is_dead_to(&self, id: u128, at: u128) -> bool {
        self.swim(at).is_dead(MemberId(id))
    }

    fn deaths(&self) -> usize {
        self.events.iter().filter(|(_, _, event)| matches!(event, Event::Died(_))).count()
    }

    /// True if all these views are equal: each has the newest record of everybody, and the same deaths.
    fn agree(&self, ids: impl IntoIterator<Item = u128>) -> bool {
        let digests: BTreeSet<u64> = ids.into_iter().map(|id| self.swim(id).digest()).collect();
        digests.len() == 1
    }
}

/// A record of a member, of this start and incarnation.
pub(super) fn record(member: u128, start: u32, incarnation: u32) -> MemberRecord {
    MemberRecord {
        member: MemberId(member),
        actor: Actor(member as u64 + 1_000),
        ended: Vec::new(),
        start: Start(start),
        nonce: u64::from(start),
        incarnation,
        name: format!("p{member}"),
        address: format!("10.0.0.{member}:7400"),
        incomplete: 0,
    }
}
