//! Links between peers: one duplex connection per pair. Of two members the one with the smaller id dials.

use super::connection::Connection;
use super::core::SharedCore;
use super::handshake::{self, Credentials, DialError, Greeted, OtherPeer};
use super::reader::FrameReader;
use crate::limits;
use crate::peer::Input;
use crate::ring::{Founder, MemberId};
use crate::vclock::Start;
use crate::wire::{RefusalCode, decode_message};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Serves one link until its connection ends or another takes its place.
pub(super) async fn serve_link(core: SharedCore, other: OtherPeer, greeted: Greeted) {
    let Greeted { mut reader, connection } = greeted;
    let (member, start) = (other.introduction.member, other.introduction.start);
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

/// Keeps a dialler for every member that this peer has to dial, for ever.
pub(super) async fn keep_links(core: SharedCore, own: Credentials) {
    let mut dialled = BTreeSet::new();
    let signals = core.borrow().signals.clone();
    loop {
        let (me, founders) = {
            let core = core.borrow();
            (core.peer.introduction().member, core.peer.founders().to_vec())
        };
        for founder in founders.iter().filter(|founder| me < founder.member) {
            if dialled.insert(founder.member) {
                tokio::task::spawn_local(keep_link(core.clone(), founder.member, own.clone()));
            }
        }
        signals.members.notified().await;
    }
}

/// Dials one member again and again, less and less often while it is away.
async fn keep_link(core: SharedCore, member: MemberId, own: Credentials) {
    let mut wait_ms = limits::REDIAL_MS_MIN;
    let mut said = String::new();
    loop {
        let Some(founder) = core.borrow().peer.founders().iter().find(|founder| founder.member == member).cloned() else { return };
        let dialled = Instant::now();
        match handshake::dial(&core, &founder.address, &own).await {
            Ok((other, greeted)) => match check_dialled(&founder, &other) {
                Ok(()) => {
                    said.clear();
                    serve_link(core.clone(), other, greeted).await;
                }
                Err(reason) => say_once(&mut said, &founder, reason),
            },
            Err(DialError::WeAreACopy(reason)) => return core.borrow().signals.halt_copy(reason),
            Err(DialError::Failed(reason)) => say_once(&mut said, &founder, reason),
        }
        if dialled.elapsed() >= Duration::from_millis(limits::REDIAL_MS_MAX) && said.is_empty() {
            // It was up for a while: it is probably back soon.
            wait_ms = limits::REDIAL_MS_MIN;
        }
        let jitter = rand::random::<u64>() % (wait_ms / 2 + 1);
        tokio::time::sleep(Duration::from_millis(wait_ms + jitter)).await;
        wait_ms = (wait_ms * 2).min(limits::REDIAL_MS_MAX);
    }
}

fn check_dialled(founder: &Founder, other: &OtherPeer) -> Result<(), String> {
    let found = other.introduction.member;
    if found == founder.member {
        return Ok(());
    }
    Err(format!("it is held by member {found} now; start {} there again, or correct the address", founder.name))
}

/// Says why a member is not reached, but the same reason not twice in a row.
fn say_once(said: &mut String, founder: &Founder, reason: String) {
    if *said != reason {
        tracing::warn!(member = %founder.member, name = %founder.name, address = %founder.address, %reason, "no link");
        *said = reason;
    }
}
