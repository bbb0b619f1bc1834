//! The gossip inside a peer: links are its transport, and what it says of members decides who counts as reachable.

use super::{Linked, Now, Output, Peer, PeerConfig};
use crate::gossip::{Event, MemberState, Moment, Outcome, Pace, Swim, View};
use crate::limits::ENDED_ACTORS_MAX;
use crate::message::{EndedActor, Gossip, GossipStatus, MemberRecord, MemberView, Message, Position, Rank, ViewState};
use crate::ring::MemberId;
use crate::storage::Store;
use crate::vclock::Start;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// The gossip of a peer, and what follows from it.
#[derive(Debug)]
pub(super) struct Gossiping {
    swim: Swim,
    /// Members whose link is up and who are not known to be dead: what the rest of the peer goes by.
    reachable: BTreeSet<MemberId>,
    /// Where this peer was in an earlier start, if that was elsewhere.
    former: Option<String>,
}

impl Gossiping {
    /// `seed` feeds its randomness, the nonce of this start included.
    pub(super) fn new(store: &Store, config: &PeerConfig, seed: u64) -> Gossiping {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // The peer's own draws are those of stream 0.
        rng.set_stream(1);
        let record = MemberRecord {
            member: store.member(),
            actor: store.actor(),
            ended: own_ended(store),
            start: store.start(),
            nonce: rng.next_u64(),
            incarnation: 0,
            name: config.name.clone(),
            address: config.address.clone(),
            incomplete: 0,
        };
        let swim = Swim::new(record, Pace::default(), rng.next_u64());
        let own = store.members().find(|record| record.member == store.member());
        let former = own.map(|record| record.address.clone()).filter(|address| *address != config.address);
        Gossiping { swim, reachable: BTreeSet::new(), former }
    }

    /// What this peer says of itself.
    pub(super) fn own_record(&self) -> &MemberRecord {
        self.swim.own_record()
    }

    /// The nonce of this start.
    pub(super) fn nonce(&self) -> u64 {
        self.own_record().nonce
    }

    pub(super) fn view(&self) -> &View {
        self.swim.view()
    }

    pub(super) fn record(&self, member: MemberId) -> Option<&MemberRecord> {
        self.swim.view().record(member)
    }

    pub(super) fn is_reachable(&self, member: MemberId) -> bool {
        self.reachable.contains(&member)
    }

    pub(super) fn next_wake(&self) -> Option<u64> {
        self.swim.next_wake()
    }
}

/// The actors under which this member wrote before, as far as its store knows: what it has learnt from others, and those that it has given up itself.
fn own_ended(store: &Store) -> Vec<EndedActor> {
    let mut ended =
        store.members().find(|record| record.member == store.member()).map_or(Vec::new(), |record| record.ended.clone());
    for (actor, fence) in store.fences() {
        let is_own = fence.member == store.member() && fence.below == Start(u32::MAX) && actor != store.actor();
        if is_own && ended.len() < ENDED_ACTORS_MAX && ended.iter().all(|known| known.actor != actor) {
            ended.push(EndedActor { actor, last: store.newest_start_of(actor).unwrap_or(Start(0)) });
        }
    }
    ended.retain(|known| known.actor != store.actor());
    ended.sort_unstable();
    ended
}

fn moment(now: Now) -> Moment {
    Moment { monotonic_ms: now.monotonic_ms, wall_ms: now.wall_ms }
}

impl Peer {
    /// Where a member is reached: where it says itself; until that is known, where it was when the cluster was formed.
    pub fn address_of(&self, member: MemberId) -> Option<&str> {
        if member == self.me {
            return Some(&self.config.address);
        }
        let record = self.gossip.record(member).map(|record| record.address.as_str());
        record.or_else(|| self.founders().iter().find(|founder| founder.member == member).map(|founder| founder.address.as_str()))
    }

    /// Where a member may be, the likeliest first: where it says itself, and where it was when the cluster was formed. The second counts too: what
    /// it has said may be older than its going back there.
    pub fn places_of(&self, member: MemberId) -> Vec<&str> {
        let founding = self.founders().iter().find(|founder| founder.member == member).map(|founder| founder.address.as_str());
        self.distinct([self.address_of(member), founding].into_iter().flatten())
    }

    /// Where any member may be: all places where one was, this one included. Who is there now may be another than the one that was, and knows of
    /// others.
    pub fn places(&self) -> Vec<&str> {
        let known = self.founders().iter().flat_map(|founder| [self.address_of(founder.member), Some(founder.address.as_str())]);
        self.distinct([self.gossip.former.as_deref()].into_iter().chain(known).flatten())
    }

    /// Each once, in this order, and none where this peer is itself.
    fn distinct<'a>(&self, places: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let mut seen = BTreeSet::from([self.config.address.as_str()]);
        places.filter(|place| !place.is_empty() && seen.insert(place)).collect()
    }

    /// Says for people if this peer's wall clock is more than a minute off the middle of its peers'; None while it is fine.
    pub fn clock_trouble(&self) -> Option<String> {
        self.gossip.swim.clock_trouble(moment(self.now))
    }

    /// True if this peer may drop what is over by its wall clock: it has measured those of others, and is near them; or there are no others.
    pub(super) fn believes_its_clock(&self) -> bool {
        let is_alone = self.founders().len() <= 1;
        self.clock_trouble().is_none() && (is_alone || self.gossip.swim.is_clock_right(moment(self.now)))
    }

    /// The members are known from now on.
    pub(super) fn gossip_with_members(&mut self, now: Now) {
        let members: Vec<MemberId> = self.founders().iter().map(|founder| founder.member).collect();
        self.gossip.swim.set_members(moment(now), members);
        for record in self.replica.store().members().filter(|record| record.member != self.me) {
            self.gossip.swim.remember(moment(now), record);
        }
    }

    pub(super) fn on_gossip(&mut self, now: Now, from: MemberId, message: Gossip, outbox: &mut Vec<Output>) {
        self.with_gossip(now, outbox, |swim, now, out| swim.on_message(now, from, message, out));
    }

    pub(super) fn wake_gossip(&mut self, now: Now, outbox: &mut Vec<Output>) {
        let incomplete = self.incomplete().partitions;
        self.with_gossip(now, outbox, |swim, now, out| {
            swim.set_incomplete(now, incomplete);
            swim.on_wake(now, out);
        });
    }

    pub(super) fn gossip_link_up(&mut self, now: Now, member: MemberId, linked: Linked, outbox: &mut Vec<Output>) {
        self.with_gossip(now, outbox, |swim, now, out| swim.on_link_up(now, member, linked.actor, linked.start, out));
        self.tell_reach(now, member, outbox);
    }

    pub(super) fn gossip_link_down(&mut self, now: Now, member: MemberId, outbox: &mut Vec<Output>) {
        self.with_gossip(now, outbox, |swim, now, out| swim.on_link_down(now, member, out));
        self.tell_reach(now, member, outbox);
    }

    fn with_gossip(&mut self, now: Now, outbox: &mut Vec<Output>, tell: impl FnOnce(&mut Swim, Moment, &mut Outcome)) {
        let mut out = Outcome::default();
        tell(&mut self.gossip.swim, moment(now), &mut out);
        for (to, said) in out.sends {
            outbox.push(Output::Send { to, message: Message::Gossip(Box::new(said)), after: Position(0) });
        }
        // Its own address is written down with the first that it learns of others.
        if !out.learnt.is_empty() {
            self.replica.store_mut().remember_member(self.gossip.swim.own_record());
        }
        for member in out.learnt {
            if let Some(record) = self.gossip.swim.view().record(member) {
                self.replica.store_mut().remember_member(record);
            }
        }
        for event in out.events {
            match event {
                Event::Died(member) => {
                    tracing::warn!(%member, "a member is taken for dead");
                    self.tell_reach(now, member, outbox);
                }
                Event::Returned(member) => {
                    tracing::info!(%member, "a member that was taken for dead is alive");
                    self.tell_reach(now, member, outbox);
                }
                Event::Copy(reason) => outbox.push(Output::Refused { reason }),
            }
        }
    }

    /// Tells the rest of the peer if a member has become reachable, or is so no more.
    fn tell_reach(&mut self, now: Now, member: MemberId, outbox: &mut Vec<Output>) {
        let is_reachable = self.links.contains_key(&member) && !self.gossip.swim.is_dead(member);
        let was_reachable = self.gossip.reachable.contains(&member);
        if is_reachable && !was_reachable {
            self.gossip.reachable.insert(member);
            self.on_member_up(now, member, outbox);
        } else if was_reachable && !is_reachable {
            self.gossip.reachable.remove(&member);
            self.on_member_down(now, member, outbox);
        }
    }

    pub(super) fn gossip_status(&self, now: Now) -> GossipStatus {
        let (swim, now) = (&self.gossip.swim, moment(now));
        let view = |member: MemberId| {
            let (state, rank) = swim.view().state(member).unwrap_or((MemberState::Alive, Rank::default()));
            MemberView {
                member,
                state: match state {
                    MemberState::Alive => ViewState::Alive,
                    MemberState::Suspect => ViewState::Suspect,
                    MemberState::Dead => ViewState::Dead,
                },
                since_ms: now.monotonic_ms.saturating_sub(swim.since_ms(member)),
                start: rank.start.max(swim.view().record(member).map_or(Start(0), |record| record.start)),
                incarnation: rank.incarnation,
                incomplete: swim.view().record(member).map_or(0, |record| record.incomplete),
                wall_offset_ms: swim.wall_offset_ms(member, now),
            }
        };
        GossipStatus {
            incarnation: swim.own_record().incarnation,
            local_health: swim.local_health(),
            clock_trouble: swim.clock_trouble(now),
            others: self.founders().iter().map(|founder| founder.member).filter(|member| *member != self.me).map(view).collect(),
        }
    }
}
