//! The way in for doors other than henge's own protocol.
//!
//! A door runs in the process of its peer, on the same thread, and asks the same coordinator with the same plain requests as any client:
//! what holds of one door holds of all of them. It never touches the peer itself.

use super::core::{Core, SharedCore};
use crate::limits;
use crate::message::{Failure, FailureKind, Reply, Request};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

/// A way to the coordinator of this very process.
#[derive(Clone, Debug)]
pub struct Door {
    name: &'static str,
    calls: mpsc::Sender<Call>,
    told: watch::Receiver<Told>,
    open: Arc<AtomicUsize>,
}

/// A connection through a door, counted while it lives.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all who stand at a door are told.
#[derive(Clone, Copy, Default, Debug)]
struct Told {
    /// The peer is asked to stop.
    stopping: bool,
    /// How often it has hung up.
    hang_ups: u64,
}

/// What is asked through a door, and where the answer goes.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "almost all are requests")]
pub(super) enum Call {
    /// A request of a client.
    Request(&'static str, Request, oneshot::Sender<Reply>),
    /// The figures of this peer.
    Figures(oneshot::Sender<String>),
}

/// A door: what it is called, where it listens, who serves it.
pub struct Gateway {
    /// What people call it, and its flag: `http`, `resp`.
    pub name: &'static str,
    /// Where it listens, `HOST:PORT`; port 0 takes any free one.
    pub listen: String,
    /// True: may listen where other machines reach it, though nothing it carries is sealed.
    pub insecure: bool,
    /// Serves those who call, until [`Door::stopping`] completes and the last of them has his answer.
    pub serve: Serve,
}

/// Serves a listener, with at most so many connections at a time.
pub type Serve = Box<dyn FnOnce(TcpListener, Door, usize) -> Pin<Box<dyn Future<Output = ()>>>>;

impl Door {
    /// Asks this peer, and waits for its reply, which comes within the deadline of the request. A failure is a reply, too. Who does
    /// not wait to the end takes back nothing.
    pub async fn ask(&self, request: Request) -> Reply {
        let (answer, reply) = oneshot::channel();
        let is_write =
            matches!(request, Request::Put(_) | Request::Remove(_) | Request::Update(_) | Request::Expire(_) | Request::Form(_));
        if self.calls.send(Call::Request(self.name, request, answer)).await.is_err() {
            return stopping(FailureKind::Unavailable, "nothing was done");
        }
        reply.await.unwrap_or_else(|_| match is_write {
            true => stopping(FailureKind::Unknown, "it is not known whether the write took effect"),
            false => stopping(FailureKind::Unavailable, "nothing is known"),
        })
    }

    /// All figures of this peer, as text in the OpenMetrics format. Nothing if it stops.
    pub async fn figures(&self) -> Option<String> {
        let (answer, figures) = oneshot::channel();
        self.calls.send(Call::Figures(answer)).await.ok()?;
        figures.await.ok()
    }

    /// A connection has come: it is counted until the seat is dropped.
    pub fn sit_down(&self) -> Seat {
        self.open.fetch_add(1, Ordering::Relaxed);
        Seat(self.open.clone())
    }

    /// Completes when the peer is asked to stop: from then on nobody new is served.
    pub async fn stopping(&self) {
        // If nobody can tell any more, it has stopped.
        let _ = self.told.clone().wait_for(|told| told.stopping).await;
    }

    /// Completes when the peer hangs up on everybody: it stood still for so long that who has asked meanwhile has given up, and nothing that lies in
    /// a connection may be read any more.
    pub fn hung_up(&self) -> impl Future<Output = ()> + use<> {
        let (mut told, before) = (self.told.clone(), self.told.borrow().hang_ups);
        async move {
            let _ = told.wait_for(|told| told.hang_ups > before).await;
        }
    }
}

fn stopping(kind: FailureKind, outcome: &str) -> Reply {
    Reply::Failed(Failure { kind, message: format!("this peer is stopping; {outcome}; ask another"), retry_after_ms: 0 })
}

/// What comes through the doors.
pub(super) type Calls = mpsc::Receiver<Call>;

/// What comes through all doors, and the peer's side of them.
pub(super) fn doors() -> (Calls, Doors) {
    let (sender, calls) = mpsc::channel(limits::FRAMES_PER_TURN_MAX);
    let (tell, _) = watch::channel(Told::default());
    (calls, Doors { replies: HashMap::new(), next: 0, tell, sender, open: Vec::new() })
}

/// The peer's side of all doors: those who wait for replies.
pub(super) struct Doors {
    replies: HashMap<u64, oneshot::Sender<Reply>>,
    next: u64,
    tell: watch::Sender<Told>,
    sender: mpsc::Sender<Call>,
    /// Connections through each door.
    open: Vec<(&'static str, Arc<AtomicUsize>)>,
}

impl Doors {
    /// Makes a door of this name.
    pub(super) fn door(&mut self, name: &'static str) -> Door {
        let open = Arc::new(AtomicUsize::new(0));
        self.open.push((name, open.clone()));
        Door { name, calls: self.sender.clone(), told: self.tell.subscribe(), open }
    }

    /// How many connections there are through each door.
    pub(super) fn connections(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.open.iter().map(|(name, open)| (*name, open.load(Ordering::Relaxed)))
    }

    /// Somebody waits: the number of his request.
    fn add(&mut self, answer: oneshot::Sender<Reply>) -> u64 {
        self.next += 1;
        self.replies.insert(self.next, answer);
        self.next
    }

    /// His reply has come. He may be gone.
    pub(super) fn reply(&mut self, request: u64, reply: Reply) {
        if let Some(answer) = self.replies.remove(&request) {
            let _ = answer.send(reply);
        }
    }

    /// True if nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    /// Nobody new is to be let in.
    pub(super) fn finish(&self) {
        self.tell.send_modify(|told| told.stopping = true);
    }

    /// All connections are to be closed.
    pub(super) fn hang_up(&mut self) {
        self.replies.clear();
        self.tell.send_modify(|told| told.hang_ups += 1);
    }
}

/// Hands what comes through the doors to the peer, up to a turn's share at a time, for ever.
pub(super) async fn serve_doors(core: SharedCore, mut calls: Calls) {
    let mut batch = Vec::new();
    while calls.recv_many(&mut batch, limits::FRAMES_PER_TURN_MAX).await > 0 {
        let mut core = core.borrow_mut();
        batch.drain(..).for_each(|call| take(&mut core, call));
    }
}

fn take(core: &mut Core, call: Call) {
    match call {
        Call::Request(door, request, answer) => {
            let number = core.doors.add(answer);
            core.request_at_door(number, door, request);
        }
        // Who has asked may be gone.
        Call::Figures(answer) => drop(answer.send(core.figures())),
    }
}
