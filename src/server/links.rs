//! Links between peers: one duplex connection per pair. Of two members the one with the smaller id dials; the other one does when there has
//! been no link for a while, since the first may not know where it is now.

use super::connection::Connection;
use super::core::SharedCore;
use super::handshake::{self, Credentials, DialError, Greeted};
use super::reader::FrameReader;
use crate::limits;
use crate::peer::{Input, Introduction};
use crate::ring::MemberId;
use crate::vclock::Start;
use crate::wire::{RefusalCode, decode_message};
use std::collections::BTreeSet;
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
    let mut said = String::new();
    loop {
        let begun = Instant::now();
        wait_for_no_link(&core, member).await;
        if me > member {
            // It is the other's turn first: dialling both at once would only replace one link by another.
            tokio::time::sleep(Duration::from_millis(limits::REDIAL_OUT_OF_TURN_MS)).await;
        }
        if !core.borrow().has_link(member) {
            dial_once(&core, member, &own, &mut said).await;
        }
        if begun.elapsed() >= Duration::from_millis(limits::REDIAL_MS_MAX) && said.is_empty() {
            // It was up for a while: it is probably back soon.
            wait_ms = limits::REDIAL_MS_MIN;
        }
        let jitter = rand::random::<u64>() % (wait_ms / 2 + 1);
        tokio::time::sleep(Duration::from_millis(wait_ms + jitter)).await;
        wait_ms = (wait_ms * 2).min(limits::REDIAL_MS_MAX);
    }
}

/// Dials a member where it is now, and serves the link as long as it lasts.
async fn dial_once(core: &SharedCore, member: MemberId, own: &Credentials, said: &mut String) {
    let Some(address) = core.borrow().peer.address_of(member).map(str::to_owned) else { return };
    if let Some(holder) = holder_of(core, member, &address) {
        return say_once(said, member, &address, format!("{holder} is there now; start the peer, at whatever address"));
    }
    match handshake::dial(core, &address, own).await {
        Ok((other, greeted)) if other.member == member => {
            said.clear();
            serve_link(core.clone(), other, greeted).await;
        }
        // Another member is there: it was not looked for, and it is as good, since it may know where this one is.
        Ok((other, greeted)) => {
            say_once(said, member, &address, format!("{} is there now; start the peer, at whatever address", other.name));
            tokio::task::spawn_local(serve_link(core.clone(), other, greeted));
        }
        Err(DialError::WeAreACopy(reason)) => core.borrow().signals.halt_copy(reason),
        Err(DialError::Failed(reason)) => say_once(said, member, &address, reason),
    }
}

/// Another member, or this one, that is known to be at an address: dialling there would only replace its link.
fn holder_of(core: &SharedCore, member: MemberId, address: &str) -> Option<String> {
    let core = core.borrow();
    let me = core.peer.introduction().member;
    let is_there =
        |other: MemberId| other != member && (other == me || core.has_link(other)) && core.peer.address_of(other) == Some(address);
    core.peer.founders().iter().find(|founder| is_there(founder.member)).map(|founder| founder.name.clone())
}

/// Returns when there is no link to a member.
async fn wait_for_no_link(core: &SharedCore, member: MemberId) {
    let signals = core.borrow().signals.clone();
    while core.borrow().has_link(member) {
        signals.link_down.notified().await;
    }
}

/// Says why a member is not reached, but the same reason not twice in a row.
fn say_once(said: &mut String, member: MemberId, address: &str, reason: String) {
    if *said != reason {
        tracing::warn!(%member, %address, %reason, "no link");
        *said = reason;
    }
}
