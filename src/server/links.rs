//! Links between peers: one duplex connection per pair. Of two members the one with the smaller id dials; the other one does when there has
//! been no link for a while, since the first may not know where it is now.

use super::connection::Connection;
use super::core::{Core, SharedCore};
use super::handshake::{self, Credentials, DialError, Greeted};
use super::reader::FrameReader;
use crate::limits;
use crate::peer::{Input, Introduction};
use crate::ring::MemberId;
use crate::vclock::Start;
use crate::wire::{RefusalCode, decode_message};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Serves one link until its connection ends or another takes its place.
pub(super) async fn serve_link(core: SharedCore, other: Introduction, greeted: Greeted) {
    let Greeted { mut reader, connection } = greeted;
    let (member, start) = (other.member, other.start);
    let Some(number) = core.borrow_mut().add_link(&other, connection.clone()) else { return connection.close() };
    while !connection.is_closed() {
        match take_turn(&core, &mut reader, &connection, (member, start), number) {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => {
                if !reader.read(&connection).await {
                    break;
                }
            }
            Err(reason) => {
                tracing::warn!(%member, %reason, "closed a link");
                break;
            }
        }
    }
    core.borrow_mut().remove_link(member, number);
    connection.close();
}

/// Steps the peer with the messages that have arrived in whole. True if there may be more.
fn take_turn(
    core: &SharedCore,
    reader: &mut FrameReader,
    connection: &Connection,
    (member, start): (MemberId, Start),
    number: u64,
) -> Result<bool, String> {
    let mut core = core.borrow_mut();
    for _ in 0..limits::FRAMES_PER_TURN_MAX {
        if !core.is_link(member, number) {
            return Err("another link of that member has taken its place".to_string());
        }
        let Some(frame) = reader.take().map_err(|error| error.to_string())? else { return Ok(false) };
        if let Some(refused) = handshake::refusal(&frame) {
            if refused.code == RefusalCode::OldStart {
                core.signals.halt_copy(handshake::said_by(&connection.address, &refused));
            }
            return Err(refused.message);
        }
        let message = decode_message(&frame).map_err(|error| error.to_string())?;
        core.step(Input::Message { from: member, start, message });
    }
    Ok(true)
}

/// Keeps a link to every other member, for ever.
pub(super) async fn keep_links(core: SharedCore, own: Credentials) {
    let mut kept = BTreeSet::new();
    let signals = core.borrow().signals.clone();
    loop {
        let members: Vec<MemberId> = core.borrow().peer.founders().iter().map(|founder| founder.member).collect();
        let me = core.borrow().peer.introduction().member;
        for member in members.into_iter().filter(|member| *member != me) {
            if kept.insert(member) {
                tokio::task::spawn_local(keep_link(core.clone(), me, member, own.clone()));
            }
        }
        signals.members.notified().await;
    }
}

/// Dials one member again and again while there is no link to it, less and less often.
async fn keep_link(core: SharedCore, me: MemberId, member: MemberId, own: Credentials) {
    let mut wait_ms = limits::REDIAL_MS_MIN;
    let mut search = Search { member, said: BTreeMap::new(), met: BTreeMap::new(), rounds: 0 };
    loop {
        let begun = Instant::now();
        wait_for_no_link(&core, member).await;
        if me > member {
            // It is the other's turn first: dialling both at once would only replace one link by another.
            tokio::time::sleep(Duration::from_millis(limits::REDIAL_OUT_OF_TURN_MS)).await;
        }
        if !core.borrow().has_link(member) {
            search.go_round(&core, &own).await;
        }
        if begun.elapsed() >= Duration::from_millis(limits::REDIAL_MS_MAX) && search.said.is_empty() {
            // It was up for a while: it is probably back soon.
            wait_ms = limits::REDIAL_MS_MIN;
        }
        let jitter = rand::random::<u64>() % (wait_ms / 2 + 1);
        tokio::time::sleep(Duration::from_millis(wait_ms + jitter)).await;
        wait_ms = (wait_ms * 2).min(limits::REDIAL_MS_MAX);
    }
}

/// The search for one member.
struct Search {
    member: MemberId,
    /// Why it was not reached, by the addresses that were tried: the same reason is not told twice in a row.
    said: BTreeMap<String, String>,
    /// Who else was met at which address, and in which start.
    met: BTreeMap<String, (MemberId, Start)>,
    /// How often it has been tried.
    rounds: usize,
}

impl Search {
    /// Dials the places where the member may be, one after the other, until there is a link to it; and serves that as long as it lasts.
    async fn go_round(&mut self, core: &SharedCore, own: &Credentials) {
        for (at, place) in self.places(core).into_iter().enumerate() {
            if core.borrow().has_link(self.member) {
                return;
            }
            if let Some(holder) = self.holder_of(&core.borrow(), &place) {
                self.say_once(at, &place, format!("{holder} is there now; start the peer, at whatever address"));
                continue;
            }
            match handshake::dial(core, &place, own).await {
                Ok((other, greeted)) if other.member == self.member => {
                    self.said.clear();
                    return serve_link(core.clone(), other, greeted).await;
                }
                // Another member is there: it was not looked for, and it is as good, since it may know where this one is.
                Ok((other, greeted)) => {
                    self.say_once(at, &place, format!("{} is there now; start the peer, at whatever address", other.name));
                    self.met.insert(place, (other.member, other.start));
                    tokio::task::spawn_local(serve_link(core.clone(), other, greeted));
                }
                Err(DialError::WeAreACopy(reason)) => return core.borrow().signals.halt_copy(reason),
                Err(DialError::Failed(reason)) => self.say_once(at, &place, reason),
            }
        }
    }

    /// Where to look this time: at the member's own places, and in turn at one of all places where anybody of the cluster was, as long as nobody
    /// known is there. So two halves of a cluster that have both moved find each other as soon as one of them is where any member was.
    fn places(&mut self, core: &SharedCore) -> Vec<String> {
        let core = core.borrow();
        let mut places: Vec<String> = core.peer.places_of(self.member).into_iter().map(str::to_owned).collect();
        let all = core.peer.places();
        self.said.retain(|place, _| all.contains(&place.as_str()));
        self.met.retain(|place, _| all.contains(&place.as_str()));
        let is_strange = |place: &&str| !places.iter().any(|own| own == place) && self.holder_of(&core, place).is_none();
        let strange: Vec<&str> = all.into_iter().filter(is_strange).collect();
        places.extend(strange.get(self.rounds % strange.len().max(1)).map(|place| place.to_string()));
        self.rounds = self.rounds.wrapping_add(1);
        places
    }

    /// A member to which there is a link, if it is known to be at an address, or was met there: dialling there would only replace its link, again
    /// and again.
    fn holder_of(&self, core: &Core, place: &str) -> Option<String> {
        let met = self.met.get(place).filter(|(other, start)| core.link_start(*other) == Some(*start)).map(|(other, _)| *other);
        let is_there = |other: MemberId| core.has_link(other) && (met == Some(other) || core.peer.address_of(other) == Some(place));
        core.peer.founders().iter().find(|founder| is_there(founder.member)).map(|founder| founder.name.clone())
    }

    /// Says why a member is not reached at an address, but the same reason not twice in a row. Only the first place is where it should be.
    fn say_once(&mut self, at: usize, place: &str, reason: String) {
        if self.said.get(place) == Some(&reason) {
            return;
        }
        match at {
            0 => tracing::warn!(member = %self.member, address = %place, %reason, "no link"),
            _ => tracing::debug!(member = %self.member, address = %place, %reason, "it is not here, either"),
        }
        self.said.insert(place.to_string(), reason);
    }
}

/// Returns when there is no link to a member.
async fn wait_for_no_link(core: &SharedCore, member: MemberId) {
    let signals = core.borrow().signals.clone();
    while core.borrow().has_link(member) {
        signals.link_down.notified().await;
    }
}
