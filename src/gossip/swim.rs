//! The machine of the gossip: what it knows, and what it does with what it hears.

use super::health::LocalHealth;
use super::news::NewsQueue;
use super::offsets::Offsets;
use super::pace::Pace;
use super::probing::Probing;
use super::suspicion::Suspicion;
use super::view::{Change, MemberState, View, own_contribution};
use crate::broken::{Rule, is_broken};
use crate::limits::{CATCH_UP_BYTES_MAX, CLOCK_AHEAD_MS_MAX, ENDED_ACTORS_MAX, NEWS_BYTES_MAX};
use crate::message::{EndedActor, Gossip, MemberRecord, News, Rank, Standing};
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::collections::BTreeSet;

/// The time, on both clocks of this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    /// Milliseconds of a clock that never goes back. For timers.
    pub monotonic_ms: u64,
    /// Milliseconds since 1970, as far as this machine knows. To be compared with those of others.
    pub wall_ms: u64,
}

/// Something that the rest of the peer should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A member counts as dead from now on.
    Died(MemberId),
    /// It counts as alive again.
    Returned(MemberId),
    /// The others know a newer start of this member, or know that its actor has ended: this process runs from an old copy of its folder. For
    /// people.
    Copy(String),
}

/// What the machine wants done.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Outcome {
    /// Messages, each for a member whose link is up.
    pub sends: Vec<(MemberId, Gossip)>,
    /// What has happened.
    pub events: Vec<Event>,
    /// Members whose records have changed, this one perhaps among them.
    pub learnt: Vec<MemberId>,
}

/// The gossip of one peer.
#[derive(Debug)]
pub struct Swim {
    pub(super) me: MemberRecord,
    pub(super) pace: Pace,
    pub(super) view: View,
    /// Members whose link is up.
    pub(super) linked: BTreeSet<MemberId>,
    pub(super) probing: Probing,
    pub(super) health: LocalHealth,
    pub(super) offsets: Offsets,
    pub(super) rng: ChaCha8Rng,
    news: NewsQueue,
    /// When news may be told next without a probe.
    news_ms: u64,
    /// When views may be compared next.
    compare_ms: u64,
    /// When the machine wants to be woken: the least of its timers.
    wake_ms: Option<u64>,
}

impl Swim {
    /// The gossip of a peer that knows nobody yet. `seed` feeds all of its randomness.
    pub fn new(me: MemberRecord, pace: Pace, seed: u64) -> Swim {
        Swim {
            probing: Probing::new(me.start),
            me,
            pace,
            view: View::default(),
            linked: BTreeSet::new(),
            health: LocalHealth::new(pace.local_health),
            offsets: Offsets::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            news: NewsQueue::default(),
            news_ms: 0,
            compare_ms: 0,
            wake_ms: None,
        }
    }

    /// Tells who the members are. This one among them is passed over; who is known stays as it is.
    pub fn set_members(&mut self, now: Moment, members: impl IntoIterator<Item = MemberId>) {
        for member in members.into_iter().filter(|member| *member != self.me.member) {
            self.view.insert(member, now.monotonic_ms);
        }
        self.begin_probing(now);
        self.wake_ms = self.earliest_timer();
    }

    /// A link is up: the member introduced itself with this actor and start.
    pub fn on_link_up(&mut self, now: Moment, member: MemberId, actor: Actor, start: Start, out: &mut Outcome) {
        self.notice(now);
        self.linked.insert(member);
        let change = self.view.meet(member, actor, start, now.monotonic_ms);
        note(member, change, out);
        let mut news = vec![News::Record(Box::new(self.me.clone()))];
        news.extend(self.word_against(member));
        out.sends.push((member, Gossip::Tell { news }));
        self.fire(now, out);
    }

    /// A link is gone.
    pub fn on_link_down(&mut self, now: Moment, member: MemberId, out: &mut Outcome) {
        self.notice(now);
        self.linked.remove(&member);
        self.on_target_unlinked(member, out);
        self.fire(now, out);
    }

    /// A message has come over the link to a member.
    pub fn on_message(&mut self, now: Moment, from: MemberId, message: Gossip, out: &mut Outcome) {
        self.notice(now);
        match message {
            Gossip::Probe(probe) => {
                self.hear(now, from, probe.news, true, out);
                self.acknowledge(now, from, probe.number, out);
            }
            Gossip::ProbeAck(ack) => {
                self.hear(now, from, ack.news, true, out);
                self.on_ack(now, from, ack.number, ack.wall_ms, out);
                self.compare(now, from, ack.digest, out);
            }
            Gossip::ProbeFor { number, target, news } => {
                self.hear(now, from, news, true, out);
                self.probe_for(now, (from, number), target, out);
            }
            Gossip::ProbeMissed { number } => self.probing.on_missed(number),
            Gossip::Tell { news } => self.hear(now, from, news, true, out),
            Gossip::Compare { standings } => self.on_compare(now, from, &standings, out),
            Gossip::CatchUp { news, wanted } => {
                // It is nobody's news but ours.
                self.hear(now, from, news, false, out);
                self.hand_over(from, &wanted, out);
            }
        }
        self.fire(now, out);
    }

    /// The time of [`Swim::next_wake`] has come, or some other time.
    pub fn on_wake(&mut self, now: Moment, out: &mut Outcome) {
        if self.wake_ms.is_some_and(|wake_ms| wake_ms <= now.monotonic_ms) {
            self.notice(now);
            self.fire(now, out);
        }
    }

    /// When the machine wants to be woken (monotonic milliseconds).
    pub fn next_wake(&self) -> Option<u64> {
        self.wake_ms
    }

    /// What this member says of itself.
    pub fn own_record(&self) -> &MemberRecord {
        &self.me
    }

    /// Tells the others in how many of its partitions this member has lost something.
    pub fn set_incomplete(&mut self, now: Moment, incomplete: u32) {
        if self.me.incomplete != incomplete {
            self.me.incomplete = incomplete;
            self.announce(self.me.incarnation);
            self.wake_ms = self.wake_ms.map(|wake_ms| wake_ms.min(self.news_ms.max(now.monotonic_ms)));
        }
    }

    /// What a member said of itself before this start. It is nobody's news; whatever is newer takes its place.
    pub fn remember(&mut self, now: Moment, record: &MemberRecord) {
        self.view.merge_record(record, now.monotonic_ms);
    }

    /// What is believed of the others.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// True if a member is known to be dead. Suspected is not dead.
    pub fn is_dead(&self, member: MemberId) -> bool {
        self.view.state(member).is_some_and(|(state, _)| state == MemberState::Dead)
    }

    /// Since when a member has been in its present state (monotonic milliseconds).
    pub fn since_ms(&self, member: MemberId) -> u64 {
        self.view.belief(member).map_or(0, |belief| belief.since_ms)
    }

    /// Lifeguard's local health multiplier: 0 is well, 7 the worst.
    pub fn local_health(&self) -> u8 {
        self.health.count()
    }

    /// How far a member's wall clock is ahead of this machine's (milliseconds), if that has been measured.
    pub fn wall_offset_ms(&self, member: MemberId, now: Moment) -> Option<i64> {
        self.offsets.of(member, now)
    }

    /// True if this machine's wall clock is no more than a minute off the middle of those that were measured, be their members dead by now. False
    /// if none was.
    pub fn is_clock_right(&self, now: Moment) -> bool {
        self.offsets.median(now, |_| true).is_some_and(|median| median.unsigned_abs() <= CLOCK_AHEAD_MS_MAX)
    }

    /// Says for people if this machine's wall clock is more than a minute off the middle of the others'.
    pub fn clock_trouble(&self, now: Moment) -> Option<String> {
        self.offsets.trouble(now, |member| !self.is_dead(member))
    }

    // What is heard.

    /// Takes news in, and hands on what is new if that is wanted.
    fn hear(&mut self, now: Moment, from: MemberId, news: Vec<News>, spread: bool, out: &mut Outcome) {
        for piece in news {
            self.hear_one(now, from, piece, spread, out);
        }
    }

    pub(super) fn hear_one(&mut self, now: Moment, from: MemberId, news: News, spread: bool, out: &mut Outcome) {
        let member = news.member();
        if member == self.me.member {
            return self.hear_of_myself(from, news, out);
        }
        let now_ms = now.monotonic_ms;
        let ended = match &news {
            News::Record(record) => self.unaware_of(record),
            _ => None,
        };
        let change = match &news {
            News::Record(record) => self.view.merge_record(record, now_ms),
            News::Dead { rank, .. } => self.view.merge_claim(member, MemberState::Dead, *rank, now_ms),
            News::Suspect { rank, from: witness, .. } => self.hear_suspicion(member, *rank, *witness, now_ms),
        };
        note(member, change, out);
        if change.is_some() && matches!(news, News::Record(_)) {
            out.learnt.push(member);
        }
        if let Some(known) = ended.filter(|_| change.is_some() || from == member) {
            // A new store in an old one's place: it learns here which actor has ended, and tells everybody.
            out.sends.push((member, Gossip::Tell { news: vec![News::Record(Box::new(known))] }));
        }
        if change.is_some() && spread {
            self.news.push(news);
        }
    }

    /// The record of the same member under another actor that is known here, and of which this one does not say that it has ended.
    fn unaware_of(&self, record: &MemberRecord) -> Option<MemberRecord> {
        let known = self.view.record(record.member)?;
        (known.actor != record.actor && record.ended_at(known.actor).is_none()).then(|| known.clone())
    }

    /// A new suspicion, or one more witness of a known one.
    fn hear_suspicion(&mut self, member: MemberId, rank: Rank, witness: MemberId, now_ms: u64) -> Option<Change> {
        // Whom nobody but us and it knows has nobody to confirm it.
        let others = self.view.len().saturating_sub(1);
        let change = self.view.merge_claim(member, MemberState::Suspect, rank, now_ms);
        let is_known = self.view.state(member) == Some((MemberState::Suspect, rank));
        let suspicion = self.view.suspicion_mut(member)?;
        match suspicion {
            _ if change.is_some() => {
                let times = self.pace.suspicion_ms(others + 2);
                *suspicion = Some(Suspicion::new(now_ms, witness, times, self.pace.confirmations.min(others)));
                change
            }
            Some(suspicion) if is_known => suspicion.confirm(witness).then_some(Change::Same),
            _ => None,
        }
    }

    /// What others say of this member: refuted if it is against it.
    fn hear_of_myself(&mut self, from: MemberId, news: News, out: &mut Outcome) {
        match news {
            News::Record(record) => self.hear_own_record(&record, out),
            News::Suspect { rank, .. } | News::Dead { rank, .. } => {
                let mine = self.me.rank();
                if (rank.actors, rank.start) == (mine.actors, mine.start) && rank >= mine {
                    self.health.worsen(1);
                    self.announce(rank.incarnation);
                }
                if rank < self.me.rank() && self.linked.contains(&from) {
                    // At once: the others hear it as news.
                    out.sends.push((from, Gossip::Tell { news: vec![News::Record(Box::new(self.me.clone()))] }));
                }
            }
        }
    }

    /// A record of this member comes back to it: from an earlier start, or from another process that says that it is this member.
    fn hear_own_record(&mut self, record: &MemberRecord, out: &mut Outcome) {
        if *record == self.me {
            return;
        }
        let me = format!("{} at {} (member {:?}, start {})", self.me.name, self.me.address, self.me.member, self.me.start.0);
        let other = format!("{} at {} (start {})", record.name, record.address, record.start.0);
        if record.ended_at(self.me.actor).is_some() {
            out.events.push(Event::Copy(format!(
                "{me} writes as actor {}, which has ended: {other} has taken its place. This is an old copy of the folder; start the peer from its \
                 newest folder",
                self.me.actor
            )));
            return;
        }
        if record.actor == self.me.actor {
            let is_newer = record.start > self.me.start;
            let is_twin = record.start == self.me.start && record.nonce != self.me.nonce && record.supersedes(&self.me);
            if is_newer || is_twin {
                out.events.push(Event::Copy(format!(
                    "{me} is an old or second copy of its folder: the other peers know {other}. Start the peer from its newest folder, and only once"
                )));
                return;
            }
        }
        let mut ended = record.ended.clone();
        if record.actor != self.me.actor {
            // A store that has lost its disk learns here under which actor it has written before.
            ended.push(EndedActor { actor: record.actor, last: record.start });
        }
        let has_learnt = self.learn_ended(&ended);
        if has_learnt {
            out.learnt.push(self.me.member);
        }
        if has_learnt || (record.start == self.me.start && record.supersedes(&self.me)) {
            self.announce(record.incarnation.max(self.me.incarnation));
        }
    }

    fn learn_ended(&mut self, ended: &[EndedActor]) -> bool {
        let before = self.me.ended.clone();
        for new in ended.iter().filter(|new| new.actor != self.me.actor) {
            let has_room = self.me.ended.len() < ENDED_ACTORS_MAX;
            match self.me.ended.iter_mut().find(|known| known.actor == new.actor) {
                Some(known) => known.last = known.last.max(new.last),
                None if has_room => self.me.ended.push(*new),
                None => {}
            }
        }
        self.me.ended.sort_unstable();
        self.me.ended != before
    }

    /// Says something newer of this member than anybody knows.
    fn announce(&mut self, above: u32) {
        self.me.incarnation = above.saturating_add(u32::from(!is_broken(Rule::Unrefuted)));
        self.news.push(News::Record(Box::new(self.me.clone())));
    }

    // What is told.

    /// News for a probe or its answer. Whoever is suspected or dead hears so first, to refute it.
    pub(super) fn news_for(&mut self, member: MemberId) -> Vec<News> {
        let against = self.word_against(member);
        let taken = against.as_ref().map_or(0, News::bytes);
        let sent_max = self.pace.transmissions_max(self.view.len() + 1);
        against.into_iter().chain(self.news.take(NEWS_BYTES_MAX - taken, sent_max)).collect()
    }

    fn word_against(&self, member: MemberId) -> Option<News> {
        let (state, rank) = self.view.state(member)?;
        match state {
            MemberState::Alive => None,
            MemberState::Suspect => Some(News::Suspect { member, rank, from: self.me.member }),
            MemberState::Dead => Some(News::Dead { member, rank }),
        }
    }

    pub(super) fn digest(&self) -> u64 {
        self.view.digest().wrapping_add(own_contribution(&self.me))
    }

    /// Tells news without waiting for a probe: so they are round in a second or two.
    fn tell_news(&mut self, now: Moment, out: &mut Outcome) {
        if self.news.is_empty() || now.monotonic_ms < self.news_ms {
            return;
        }
        self.news_ms = now.monotonic_ms + self.pace.news_ms;
        for member in self.some_linked(self.pace.news_fanout, |_, _| true) {
            let news = self.news_for(member);
            if !news.is_empty() {
                out.sends.push((member, Gossip::Tell { news }));
            }
        }
    }

    // Comparing views.

    /// After a probe: if the other's view is another one, and no news on their way explain it, they are compared.
    fn compare(&mut self, now: Moment, with: MemberId, digest: u64, out: &mut Outcome) {
        let has_waited = now.monotonic_ms >= self.compare_ms + COMPARE_PATIENCE_PERIODS * self.pace.period_ms;
        let may = now.monotonic_ms >= self.compare_ms && (self.news.is_empty() || has_waited);
        if digest != self.digest() && may && self.linked.contains(&with) {
            self.compare_ms = now.monotonic_ms + self.pace.period_ms;
            let me = Standing { member: self.me.member, record: self.me.rank(), dead: None };
            let standings = self.view.standings().chain([me]).collect();
            out.sends.push((with, Gossip::Compare { standings }));
        }
    }

    fn on_compare(&mut self, now: Moment, from: MemberId, standings: &[Standing], out: &mut Outcome) {
        for Standing { member, dead, .. } in standings {
            if let Some(rank) = *dead {
                self.hear_one(now, from, News::Dead { member: *member, rank }, false, out);
            }
        }
        let theirs: std::collections::BTreeMap<MemberId, &Standing> =
            standings.iter().map(|standing| (standing.member, standing)).collect();
        let me = Standing { member: self.me.member, record: self.me.rank(), dead: None };
        let (mut news, mut wanted) = (Vec::new(), Vec::new());
        for mine in self.view.standings().chain([me]) {
            let their = theirs.get(&mine.member).map_or(Rank::default(), |their| their.record);
            let their_dead = theirs.get(&mine.member).and_then(|their| their.dead);
            if their > mine.record {
                wanted.push(mine.member);
            }
            if their < mine.record {
                news.extend(self.record_of(mine.member));
            }
            if let Some(rank) = mine.dead
                && their_dead < Some(rank)
            {
                news.push(News::Dead { member: mine.member, rank });
            }
        }
        // What does not fit follows with the next comparison.
        let mut bytes = 0;
        news.retain(|piece| {
            bytes += piece.bytes();
            bytes <= CATCH_UP_BYTES_MAX
        });
        if !(news.is_empty() && wanted.is_empty()) && self.linked.contains(&from) {
            out.sends.push((from, Gossip::CatchUp { news, wanted }));
        }
    }

    fn hand_over(&mut self, to: MemberId, wanted: &[MemberId], out: &mut Outcome) {
        let mut bytes = 0;
        let fits = |piece: &News| {
            bytes += piece.bytes();
            bytes <= CATCH_UP_BYTES_MAX
        };
        let news: Vec<News> = wanted.iter().filter_map(|member| self.record_of(*member)).take_while(fits).collect();
        if !news.is_empty() && self.linked.contains(&to) {
            out.sends.push((to, Gossip::CatchUp { news, wanted: Vec::new() }));
        }
    }

    fn record_of(&self, member: MemberId) -> Option<News> {
        let record = if member == self.me.member { &self.me } else { self.view.record(member)? };
        Some(News::Record(Box::new(record.clone())))
    }

    // Time.

    /// Compares the time with when the machine wanted to be woken. Time in which this process did not run counts against nobody; after a long pause
    /// everything begins anew, since all that was believed before it may be wrong.
    fn notice(&mut self, now: Moment) {
        let late_ms = self.wake_ms.map_or(0, |wake_ms| now.monotonic_ms.saturating_sub(wake_ms));
        if !self.pace.local_health || late_ms <= super::pace::LATE_MS {
            return;
        }
        let suspected: Vec<MemberId> = self.view.suspicions().map(|(member, _)| member).collect();
        if late_ms <= self.pace.pause_ms() {
            self.probing.delay(late_ms);
            for member in suspected {
                self.view.suspicion_mut(member).and_then(Option::as_mut).expect("it is suspected").delay(late_ms);
            }
            return;
        }
        self.probing.give_up(now.monotonic_ms);
        suspected.into_iter().for_each(|member| self.view.drop_suspicion(member, now.monotonic_ms));
        self.news.take_back_suspicions_of(self.me.member);
        self.health.worsen(1);
    }

    /// Does what is due.
    fn fire(&mut self, now: Moment, out: &mut Outcome) {
        self.fire_probes(now, out);
        let now_ms = now.monotonic_ms;
        let expired: Vec<(MemberId, Rank)> = self
            .view
            .suspicions()
            .filter(|(_, suspicion)| suspicion.expires_ms() <= now_ms)
            .filter_map(|(member, _)| Some((member, self.view.state(member)?.1)))
            .collect();
        for (member, rank) in expired {
            self.hear_one(now, self.me.member, News::Dead { member, rank }, true, out);
        }
        self.tell_news(now, out);
        self.wake_ms = self.earliest_timer();
    }

    fn earliest_timer(&self) -> Option<u64> {
        let suspicion = self.view.suspicions().map(|(_, suspicion)| suspicion.expires_ms()).min();
        let news = (!self.news.is_empty() && !self.linked.is_empty()).then_some(self.news_ms);
        [self.probing.next_timer(), suspicion, news].into_iter().flatten().min()
    }
}

/// Views that differ while there are news on their way are compared all the same after so many periods.
const COMPARE_PATIENCE_PERIODS: u64 = 5;

fn note(member: MemberId, change: Option<Change>, out: &mut Outcome) {
    match change {
        Some(Change::Died) => out.events.push(Event::Died(member)),
        Some(Change::Returned) => out.events.push(Event::Returned(member)),
        Some(Change::Same) | None => {}
    }
}
