//! What all connections of the door share.

use super::Options;
use super::cursors::Cursors;
use super::session::Visitor;
use crate::limits;
use crate::message::{Reply, Request};
use crate::server::Door;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::RandomState;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

/// The door, and what is known of those who came through it. One thread owns it.
pub(super) struct Gate {
    pub(super) door: Door,
    pub(super) options: Options,
    pub(super) cursors: RefCell<Cursors>,
    /// Who is here, by number.
    pub(super) visitors: RefCell<BTreeMap<i64, Rc<Visitor>>>,
    pub(super) counts: Counts,
    pub(super) connections_max: usize,
    /// `HOST:PORT` of the door.
    pub(super) address: String,
    /// Hashes keys: nobody outside may know which ones meet.
    pub(super) hasher: RandomState,
    /// Bytes that all connections hold: commands that are not complete, or under way, and answers that are not sent.
    held: Cell<usize>,
    last_visitor: Cell<i64>,
    room: Semaphore,
}

/// What has happened since the door was opened.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) connections: Cell<u64>,
    pub(super) commands: Cell<u64>,
    pub(super) errors: Cell<u64>,
    /// Answers that show one of several siblings.
    pub(super) resolved: Cell<u64>,
    /// Siblings that these answers do not show.
    pub(super) hidden: Cell<u64>,
}

/// Counts one more.
pub(super) fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get().saturating_add(more));
}

impl Gate {
    pub(super) fn new(door: Door, options: Options, address: String, connections_max: usize) -> Rc<Gate> {
        Rc::new(Gate {
            door,
            options,
            cursors: RefCell::new(Cursors::new(rand::random())),
            visitors: RefCell::default(),
            counts: Counts::default(),
            connections_max,
            address,
            hasher: RandomState::new(),
            held: Cell::new(0),
            last_visitor: Cell::new(0),
            room: Semaphore::new(limits::RESP_REQUESTS_MAX),
        })
    }

    /// Asks the coordinator, when it is our turn.
    pub(super) async fn ask(&self, request: Request) -> Reply {
        // It is never closed; and without a place it could still be asked.
        let _place = self.room.acquire().await;
        self.door.ask(request).await
    }

    /// The number of the next connection.
    pub(super) fn next_visitor(&self) -> i64 {
        self.last_visitor.set(self.last_visitor.get() + 1);
        self.last_visitor.get()
    }

    /// Bytes that all connections hold.
    pub(super) fn held(&self) -> usize {
        self.held.get()
    }

    /// A connection that held so many bytes holds so many now.
    pub(super) fn hold(&self, before: usize, now: usize) {
        self.held.set(self.held.get() - before + now);
    }

    /// Notes that an answer does not show so many siblings.
    pub(super) fn hide(&self, hidden: u32) {
        if hidden > 0 {
            add(&self.counts.resolved, 1);
            add(&self.counts.hidden, hidden.into());
        }
    }
}

/// Milliseconds since 1970 by this machine's clock.
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
