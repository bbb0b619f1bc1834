//! Probes: one in each period, tried through others if it gets no answer, and the probes that others have asked for.

use super::pace::Pace;
use super::round::{Round, below, shuffle};
use super::swim::{Moment, Outcome, Swim};
use super::view::MemberState;
use crate::limits::MEMBERS_MAX;
use crate::message::{Gossip, News, Probe};
use crate::ring::MemberId;
use crate::vclock::Start;
use std::collections::BTreeMap;

/// The probes of one peer.
#[derive(Debug)]
pub(super) struct Probing {
    round: Round,
    /// The probe of this period.
    current: Option<Current>,
    /// When the next period begins; none before there are members.
    period_ms: Option<u64>,
    /// Probes on behalf of others, by their own numbers.
    relays: BTreeMap<u64, Relay>,
    /// The number of the last probe.
    number: u64,
}

/// The probe of this period.
#[derive(Debug)]
struct Current {
    target: MemberId,
    number: u64,
    sent_ms: u64,
    /// Until when the target itself may answer before others are asked. None once they were.
    direct_until_ms: Option<u64>,
    /// Whether it went over a link.
    was_sent: bool,
    /// So many others were asked, and so many of them had no answer either.
    asked: usize,
    missed: usize,
    is_answered: bool,
}

/// A probe on behalf of another.
#[derive(Debug)]
struct Relay {
    asker: MemberId,
    /// The asker's number of it.
    number: u64,
    target: MemberId,
    /// When the asker is told that there is no answer.
    missed_ms: u64,
}

impl Probing {
    /// Numbers go on from the start: so an answer that is late by a restart finds nobody.
    pub(super) fn new(start: Start) -> Probing {
        Probing { round: Round::default(), current: None, period_ms: None, relays: BTreeMap::new(), number: start.base() }
    }

    fn next_number(&mut self) -> u64 {
        // It would take 136 years at one a second for a start's numbers to meet the next one's.
        self.number = self.number.wrapping_add(1);
        self.number
    }

    pub(super) fn next_timer(&self) -> Option<u64> {
        let direct = self.current.as_ref().filter(|current| !current.is_answered).and_then(|current| current.direct_until_ms);
        let relay = self.relays.values().map(|relay| relay.missed_ms).min();
        [self.period_ms, direct, relay].into_iter().flatten().min()
    }

    /// Time in which this process did not run does not count.
    pub(super) fn delay(&mut self, by_ms: u64) {
        if let Some(current) = self.current.as_mut().filter(|current| !current.is_answered) {
            current.direct_until_ms = current.direct_until_ms.map(|until_ms| until_ms + by_ms);
            self.period_ms = self.period_ms.map(|period_ms| period_ms + by_ms);
        }
        self.relays.values_mut().for_each(|relay| relay.missed_ms += by_ms);
    }

    /// Forgets all probes under way: they say nothing any more.
    pub(super) fn give_up(&mut self, now_ms: u64) {
        self.current = None;
        self.relays.clear();
        self.period_ms = self.period_ms.map(|_| now_ms);
    }

    /// Somebody who was asked has no answer either: it is not we who are deaf.
    pub(super) fn on_missed(&mut self, number: u64) {
        if let Some(current) = self.current.as_mut().filter(|current| current.number == number) {
            current.missed = (current.missed + 1).min(current.asked);
        }
    }
}

impl Swim {
    /// The first period begins at a random moment, so that peers started together do not probe in step.
    pub(super) fn begin_probing(&mut self, now: Moment) {
        if self.probing.period_ms.is_none() && self.view.len() > 0 {
            self.probing.period_ms = Some(now.monotonic_ms + below(self.pace.period_ms as usize, &mut self.rng) as u64);
        }
    }

    /// Does what is due of probes.
    pub(super) fn fire_probes(&mut self, now: Moment, out: &mut Outcome) {
        let now_ms = now.monotonic_ms;
        while let Some((number, _)) = self.probing.relays.iter().find(|(_, relay)| relay.missed_ms <= now_ms) {
            let relay = self.probing.relays.remove(&{ *number }).expect("it was found");
            self.send(relay.asker, Gossip::ProbeMissed { number: relay.number }, out);
        }
        let is_over = |until_ms: Option<u64>| until_ms.is_some_and(|until_ms| until_ms <= now_ms);
        if self.probing.current.as_ref().is_some_and(|current| !current.is_answered && is_over(current.direct_until_ms)) {
            self.ask_others(out);
        }
        if is_over(self.probing.period_ms) {
            self.end_probe(now, out);
            self.begin_probe(now, out);
        }
    }

    fn begin_probe(&mut self, now: Moment, out: &mut Outcome) {
        self.probing.period_ms = Some(now.monotonic_ms + self.health.stretch(self.pace.period_ms));
        // The dead without a link could only be told of by others, who tell it as news anyway.
        let is_wanted =
            |member| self.linked.contains(&member) || self.view.state(member).is_some_and(|(state, _)| state != MemberState::Dead);
        let Some(target) = self.probing.round.next(self.view.members(), is_wanted, &mut self.rng) else { return };
        let number = self.probing.next_number();
        let was_sent = self.linked.contains(&target);
        self.probing.current = Some(Current {
            target,
            number,
            sent_ms: now.monotonic_ms,
            direct_until_ms: Some(now.monotonic_ms + self.health.stretch(self.pace.timeout_ms)),
            was_sent,
            asked: 0,
            missed: 0,
            is_answered: false,
        });
        if was_sent {
            let probe = self.probe(now, target, number);
            out.sends.push((target, Gossip::Probe(probe)));
        } else {
            self.ask_others(out);
        }
    }

    fn probe(&mut self, now: Moment, to: MemberId, number: u64) -> Probe {
        Probe { number, wall_ms: now.wall_ms, digest: self.digest(), news: self.news_for(to) }
    }

    /// The target has not answered, or its link is down: perhaps it is only the way to it.
    fn ask_others(&mut self, out: &mut Outcome) {
        let Some(Current { target, number, .. }) = self.probing.current else { return };
        let helpers = self.some_linked(self.pace.helpers, |swim, member| member != target && !swim.is_dead(member));
        for helper in &helpers {
            let news = self.news_for(*helper);
            out.sends.push((*helper, Gossip::ProbeFor { number, target, news }));
        }
        if let Some(current) = &mut self.probing.current {
            (current.direct_until_ms, current.asked) = (None, helpers.len());
        }
    }

    /// A period is over. No answer: the target is suspected, and perhaps this peer is slow itself.
    fn end_probe(&mut self, now: Moment, out: &mut Outcome) {
        let Some(current) = self.probing.current.take().filter(|current| !current.is_answered) else { return };
        match current.asked {
            // A link that is down says nothing of our own health.
            0 => self.health.worsen(usize::from(current.was_sent)),
            asked => self.health.worsen(asked - current.missed),
        }
        if let Some((state, rank)) = self.view.state(current.target)
            && state != MemberState::Dead
        {
            let me = self.me.member;
            self.hear_one(now, me, News::Suspect { member: current.target, rank, from: me }, true, out);
        }
    }

    /// The link to a member is gone: a probe that is on its way to it goes through others at once.
    pub(super) fn on_target_unlinked(&mut self, member: MemberId, out: &mut Outcome) {
        let is_waiting = |current: &Current| current.target == member && !current.is_answered && current.direct_until_ms.is_some();
        if self.probing.current.as_ref().is_some_and(is_waiting) {
            self.ask_others(out);
        }
    }

    pub(super) fn acknowledge(&mut self, now: Moment, to: MemberId, number: u64, out: &mut Outcome) {
        let ack = self.probe(now, to, number);
        self.send(to, Gossip::ProbeAck(ack), out);
    }

    pub(super) fn on_ack(&mut self, now: Moment, from: MemberId, number: u64, wall_ms: u64, out: &mut Outcome) {
        if let Some(current) = self.probing.current.as_mut().filter(|current| current.number == number && !current.is_answered) {
            current.is_answered = true;
            if from == current.target {
                self.offsets.note(from, now, current.sent_ms, wall_ms);
            }
            self.health.improve();
        } else if let Some(relay) = self.probing.relays.get(&number)
            && relay.target == from
        {
            let (asker, number) = (relay.asker, relay.number);
            self.probing.relays.retain(|_, relay| (relay.asker, relay.number) != (asker, number));
            self.acknowledge(now, asker, number, out);
        }
    }

    /// Probes a member on behalf of another.
    pub(super) fn probe_for(&mut self, now: Moment, (asker, asked): (MemberId, u64), target: MemberId, out: &mut Outcome) {
        if target == self.me.member {
            return self.acknowledge(now, asker, asked, out);
        }
        if !self.linked.contains(&target) || self.probing.relays.len() >= MEMBERS_MAX {
            return self.send(asker, Gossip::ProbeMissed { number: asked }, out);
        }
        let number = self.probing.next_number();
        let missed_ms = now.monotonic_ms + missed_after_ms(&self.pace);
        self.probing.relays.insert(number, Relay { asker, number: asked, target, missed_ms });
        let probe = self.probe(now, target, number);
        self.send(target, Gossip::Probe(probe), out);
    }

    /// So many members at random whose link is up.
    pub(super) fn some_linked(&mut self, count: usize, wanted: impl Fn(&Swim, MemberId) -> bool) -> Vec<MemberId> {
        let mut members: Vec<MemberId> = self.linked.iter().copied().filter(|member| wanted(self, *member)).collect();
        shuffle(&mut members, &mut self.rng);
        members.truncate(count);
        members
    }

    fn send(&self, to: MemberId, message: Gossip, out: &mut Outcome) {
        if self.linked.contains(&to) {
            out.sends.push((to, message));
        }
    }
}

/// After this long without an answer an asker is told (milliseconds): so that its period is not over before it hears it.
fn missed_after_ms(pace: &Pace) -> u64 {
    pace.timeout_ms * 8 / 10
}
