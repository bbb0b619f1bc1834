//! The handle to a cluster: routing, failing over, retrying.

use super::channel::{CallError, Channel};
use super::request::{failed, is_write, key, name_first, retry_mut, settle_deadline};
use super::slot::Slot;
use super::{ClientError, Options};
use crate::hedging::Budget;
use crate::limits;
use crate::message::{
    Attempt, Description, Failure, FailureKind, Form, Found, Get, List, Listed, Missing, Put, Receipt, Remove, Reply, Request,
    Retry, RingTable, Status, Update,
};
use crate::ring::{Change, partition_of};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A handle to a cluster: cheap to clone, and any number of requests may be under way on it.
///
/// It has to be used inside a tokio runtime; one on a single thread serves it best.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
}

/// What a read found.
#[derive(Clone, PartialEq, Debug)]
pub enum Read {
    /// Something.
    Found(Found),
    /// Nothing, as R complete owners say.
    Missing(Missing),
}

pub(super) struct Inner {
    pub(super) options: Options,
    /// The addresses that the caller named.
    seeds: Vec<Arc<Slot>>,
    /// Peers that were asked by address.
    named: Mutex<BTreeMap<String, Arc<Slot>>>,
    /// The ring as it was learnt; none while the cluster has not been formed.
    view: RwLock<Option<Arc<View>>>,
    session: u64,
    number: AtomicU64,
    /// Spreads what has no owner over the members.
    turn: AtomicU64,
    /// How often a read may be asked of a second peer because the first one is late.
    pub(super) budget: Mutex<Budget>,
}

/// The ring, and the place of every member, in the table's order.
pub(super) struct View {
    table: Arc<RingTable>,
    slots: Vec<Arc<Slot>>,
}

/// A coordinator that is gone with a write under way is looked for this long: a peer that starts anew right away still knows the write.
const GONE_DEADLINE: Duration = Duration::from_millis(1_500);

/// After the peer's own deadline its answer gets this long to arrive.
pub(super) const ANSWER_GRACE: Duration = Duration::from_millis(1_000);

impl Client {
    /// Connects to whichever of these peers can be reached first, and learns the ring from it.
    ///
    /// Each address is `HOST:PORT`. A cluster that has not been formed yet is no error: describing and forming work.
    /// Errors: none of them can be reached, or the one that can turns the client away.
    pub async fn connect(addresses: &[String], options: Options) -> Result<Client, ClientError> {
        if addresses.is_empty() {
            return Err(ClientError::NoAddress);
        }
        let seeds = addresses.iter().map(|address| Arc::new(Slot::new(address, None))).collect();
        let inner = Inner {
            options,
            seeds,
            named: Mutex::default(),
            view: RwLock::new(None),
            session: rand::random(),
            number: AtomicU64::new(1),
            turn: AtomicU64::new(0),
            budget: Mutex::default(),
        };
        let client = Client { inner: Arc::new(inner) };
        client.reach_one_seed().await?;
        client.learn_ring().await;
        Ok(client)
    }

    /// Sends any request, and waits for its answer.
    ///
    /// What has a key goes to the first owner that can be reached and is not stuck, then to any other peer; the rest goes to any peer. It never
    /// fails otherwise than by `Reply::Failed`: of a read that found nobody, `Unavailable`; of a write, `Unavailable` when it
    /// was not sent, and `Unknown` when it may have been done and its coordinator cannot be asked: the caller may then issue it
    /// again as a new write. `Overloaded` is waited for while there is time. A write without `retry` gets this client's session and
    /// the next number.
    pub async fn request(&self, mut request: Request) -> Reply {
        let give_up = Instant::now() + settle_deadline(&mut request, self.inner.options.deadline);
        self.number(&mut request);
        let mut view = self.view();
        if view.is_none() && self.learn_ring().await {
            view = self.view();
        }
        let (mut candidate, mut tried, mut renewed) = (0, String::new(), false);
        let mut turned_down: Option<Failure> = None;
        let turn = self.inner.turn.fetch_add(1, Ordering::Relaxed) as usize;
        loop {
            let Some((slot, owner)) = self.candidate(view.as_deref(), &request, candidate, turn) else {
                return turned_down.map_or_else(|| failed(FailureKind::Unavailable, unreachable(&tried)), Reply::Failed);
            };
            candidate += 1;
            let second =
                if self.inner.options.hedges && owner { self.better(view.as_deref(), &request, candidate, turn) } else { None };
            // Who is stuck is left alone, if another owner is there to ask.
            if second.is_some() && slot.is_avoided() {
                self.try_apart(&slot);
                note(&mut tried, &no_answer(slot.address(), &CallError::TimedOut));
                continue;
            }
            let channel = match self.dial(&slot, second.is_some()).await {
                Ok(channel) => channel,
                Err(why) => {
                    note(&mut tried, &why);
                    continue;
                }
            };
            let tried_at = match second {
                Some(second) if matches!(request, Request::Get(_)) => {
                    self.try_at_two((&slot, channel), &second, &request, give_up).await
                }
                _ => self.try_at(&slot, channel, &mut request, owner, give_up).await,
            };
            match tried_at {
                Tried::Answered(Reply::Failed(failure)) if failure.kind == FailureKind::Overloaded => {
                    if !pause(failure.retry_after_ms, give_up).await {
                        return Reply::Failed(failure);
                    }
                    candidate -= 1;
                }
                Tried::Answered(Reply::Failed(failure)) if failure.kind == FailureKind::NotFormed => {
                    if renewed || !self.learn_ring().await {
                        return Reply::Failed(failure);
                    }
                    (view, renewed, candidate) = (self.view(), true, 0);
                }
                // Nothing was done. It may be this peer alone that reaches too few others, that is about to stop, or whose disk fails.
                Tried::Answered(Reply::Failed(failure))
                    if matches!(failure.kind, FailureKind::Unavailable | FailureKind::Storage)
                        && turned_down.is_none()
                        && Instant::now() < give_up =>
                {
                    turned_down = Some(failure);
                }
                Tried::Answered(reply) => return reply,
                Tried::Elsewhere(why) => {
                    note(&mut tried, &why);
                    if Instant::now() >= give_up {
                        return failed(FailureKind::Unavailable, unreachable(&tried));
                    }
                }
            }
        }
    }

    /// Writes a whole value.
    pub async fn put(&self, put: Put) -> Result<Receipt, Failure> {
        written(self.request(Request::Put(put)).await)
    }

    /// Removes a key, or what lies at and below a path of it.
    pub async fn remove(&self, remove: Remove) -> Result<Receipt, Failure> {
        written(self.request(Request::Remove(remove)).await)
    }

    /// Changes some paths of a document.
    pub async fn update(&self, update: Update) -> Result<Receipt, Failure> {
        written(self.request(Request::Update(update)).await)
    }

    /// Reads a key, or what lies at and below a path of it.
    pub async fn get(&self, get: Get) -> Result<Read, Failure> {
        match self.request(Request::Get(get)).await {
            Reply::Found(found) => Ok(Read::Found(found)),
            Reply::Missing(missing) => Ok(Read::Missing(missing)),
            other => Err(unexpected(other)),
        }
    }

    /// Lists a page of keys.
    pub async fn list(&self, list: List) -> Result<Listed, Failure> {
        match self.request(Request::List(list)).await {
            Reply::Listed(listed) => Ok(listed),
            other => Err(unexpected(other)),
        }
    }

    /// How the peer is that answers first.
    pub async fn status(&self) -> Result<Status, Failure> {
        status(self.request(Request::Status).await)
    }

    /// The ring, asked for anew.
    pub async fn ring_table(&self) -> Result<Arc<RingTable>, Failure> {
        match self.request(Request::Ring).await {
            Reply::Ring(table) => Ok(self.take_ring(table)),
            other => Err(unexpected(other)),
        }
    }

    /// The ring as it was last learnt, without asking; none while the cluster has not been formed.
    pub fn known_ring(&self) -> Option<Arc<RingTable>> {
        self.view().map(|view| view.table.clone())
    }

    /// Sends a request to this very peer and no other. A lost connection is not retried: of a write that is `Unknown`.
    pub async fn request_at(&self, address: &str, mut request: Request) -> Reply {
        let patience = settle_deadline(&mut request, self.inner.options.deadline) + ANSWER_GRACE;
        self.number(&mut request);
        let slot = self.named(address);
        let channel = match slot.channel(&self.inner.options).await {
            Ok(channel) => channel,
            Err(error) => return failed(FailureKind::Unavailable, error.to_string()),
        };
        match channel.call(&request, patience).await {
            Ok(reply) => reply,
            Err(CallError::TooLarge(error)) => failed(FailureKind::TooLarge, error.to_string()),
            Err(CallError::NotSent) => failed(FailureKind::Unavailable, format!("the connection to {address} was lost; try again")),
            Err(error) if is_write(&request) => failed(FailureKind::Unknown, unknown(address, &error)),
            Err(error) => failed(FailureKind::Unavailable, no_answer(address, &error)),
        }
    }

    /// How this very peer is.
    pub async fn status_at(&self, address: &str) -> Result<Status, Failure> {
        status(self.request_at(address, Request::Status).await)
    }

    /// Who this very peer is.
    pub async fn describe_at(&self, address: &str) -> Result<Description, Failure> {
        match self.request_at(address, Request::Describe).await {
            Reply::Description(description) => Ok(description),
            other => Err(unexpected(other)),
        }
    }

    /// Hands change 0 of the membership list to this very peer. It may be repeated.
    pub async fn form_at(&self, address: &str, change: Change) -> Result<(), Failure> {
        match self.request_at(address, Request::Form(Form { change })).await {
            Reply::Formed => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Succeeds as soon as one of the named peers answers a hello; they are tried in order.
    async fn reach_one_seed(&self) -> Result<(), ClientError> {
        let mut tried = String::new();
        let mut refused = None;
        for slot in &self.inner.seeds {
            match slot.channel(&self.inner.options).await {
                Ok(_) => return Ok(()),
                Err(ClientError::Unreachable { tried: why }) => note(&mut tried, &why),
                Err(other) => refused = Some(other),
            }
        }
        Err(refused.unwrap_or(ClientError::Unreachable { tried }))
    }

    /// Asks for the ring wherever somebody answers. True if one was learnt.
    async fn learn_ring(&self) -> bool {
        let members = self.view().map(|view| view.slots.clone()).unwrap_or_default();
        for slot in self.inner.seeds.iter().chain(&members) {
            let Ok(channel) = slot.channel(&self.inner.options).await else { continue };
            if let Ok(Reply::Ring(table)) = channel.call(&Request::Ring, self.inner.options.deadline).await {
                self.take_ring(table);
                return true;
            }
        }
        false
    }

    /// Takes a ring in. Members keep their place, and with it their connection, while their id and address stay.
    fn take_ring(&self, table: RingTable) -> Arc<RingTable> {
        let old = self.view();
        let slot = |founder: &crate::ring::Founder| {
            let kept = old.as_ref().and_then(|view| {
                let same = |known: &crate::ring::Founder| known.member == founder.member && known.address == founder.address;
                view.table.members.iter().position(same).map(|at| view.slots[at].clone())
            });
            kept.unwrap_or_else(|| Arc::new(Slot::new(&founder.address, Some(founder.member))))
        };
        let slots = table.members.iter().map(slot).collect();
        let table = Arc::new(table);
        let view = Arc::new(View { table: table.clone(), slots });
        *self.inner.view.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(view);
        table
    }

    fn view(&self) -> Option<Arc<View>> {
        self.inner.view.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn named(&self, address: &str) -> Arc<Slot> {
        let seed = self.inner.seeds.iter().find(|slot| slot.address() == address);
        if let Some(slot) = seed {
            return slot.clone();
        }
        let mut named = self.inner.named.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        named.entry(address.to_string()).or_insert_with(|| Arc::new(Slot::new(address, None))).clone()
    }

    fn number(&self, request: &mut Request) {
        if let Some(retry @ None) = retry_mut(request) {
            let number = self.inner.number.fetch_add(1, Ordering::Relaxed);
            *retry = Some(Retry { session: self.inner.session, number, first: None });
        }
    }

    /// The peers to try, in order: the owners of the key, the other members, the addresses that the caller named. True of owners.
    pub(super) fn candidate(&self, view: Option<&View>, request: &Request, at: usize, turn: usize) -> Option<(Arc<Slot>, bool)> {
        let seed = |at: usize| Some((self.inner.seeds.get(at)?.clone(), false));
        let Some(view) = view else { return seed(at) };
        let count = view.slots.len();
        if at >= count {
            // The members may have moved since the ring was learnt; whoever was named is worth a last try.
            return seed(at - count);
        }
        let owners = owners(&view.table, request);
        let member = member_to_try(owners, count, at, turn)?;
        Some((view.slots.get(member)?.clone(), at < owners.len()))
    }

    /// One try at one peer. A write whose connection is lost stays with that peer until it answers or the time is over:
    /// only the coordinator of the first try can tell a retry from a new write.
    pub(super) async fn try_at(
        &self,
        slot: &Slot,
        channel: Arc<Channel>,
        request: &mut Request,
        owner: bool,
        give_up: Instant,
    ) -> Tried {
        let first = channel.attempt();
        let begun = Instant::now();
        slot.on_asked();
        let called = channel.call(request, self.patience(request, give_up)).await;
        if called.is_ok() {
            slot.on_answered(begun.elapsed());
        }
        match called {
            Ok(reply) => Tried::Answered(reply),
            Err(CallError::TooLarge(error)) => Tried::Answered(failed(FailureKind::TooLarge, error.to_string())),
            Err(CallError::NotSent) => Tried::Elsewhere(format!("the connection to {} was lost", slot.address())),
            Err(error) if !is_write(request) => Tried::Elsewhere(no_answer(slot.address(), &error)),
            Err(CallError::Lost) if owner => Tried::Answered(self.retry_at(slot, request, first, give_up).await),
            Err(error) => Tried::Answered(failed(FailureKind::Unknown, unknown(slot.address(), &error))),
        }
    }

    /// A read does not spend all its time on the first peer: it has others to ask.
    fn patience(&self, request: &Request, give_up: Instant) -> Duration {
        let left = give_up.saturating_duration_since(Instant::now());
        if is_write(request) { left + ANSWER_GRACE } else { left / 2 + ANSWER_GRACE }
    }

    /// Asks the coordinator of a lost try again and again what became of it. While nobody is there at all it is not waited for to the
    /// end: a caller that may simply write again is better off knowing soon.
    async fn retry_at(&self, slot: &Slot, request: &mut Request, first: Attempt, give_up: Instant) -> Reply {
        name_first(request, first);
        let mut gone_at = give_up.min(Instant::now() + GONE_DEADLINE);
        let mut wait_ms = limits::REDIAL_MS_MIN;
        loop {
            if let Ok(channel) = slot.channel(&self.inner.options).await {
                if channel.attempt().member != first.member {
                    return failed(FailureKind::Unknown, unknown(slot.address(), &CallError::Lost));
                }
                gone_at = give_up;
                match channel.call(request, self.patience(request, give_up)).await {
                    // That nothing was done is said of this try: what became of the first one is still to be learnt.
                    Ok(Reply::Failed(failure)) if says_nothing_of_first(failure.kind) => {}
                    Ok(reply) => return reply,
                    Err(CallError::TimedOut | CallError::TooLarge(_)) => break,
                    Err(CallError::NotSent | CallError::Lost) => gone_at = give_up.min(Instant::now() + GONE_DEADLINE),
                }
            }
            if Instant::now() + Duration::from_millis(wait_ms) >= gone_at {
                break;
            }
            sleep(Duration::from_millis(wait_ms)).await;
            wait_ms = (wait_ms * 2).min(limits::REDIAL_MS_MAX);
        }
        failed(FailureKind::Unknown, unknown(slot.address(), &CallError::Lost))
    }
}

/// True of what a coordinator may answer to a retry though the first try was done: it has started anew and reaches too few others yet, or its
/// disk is full by now. What is wrong with the request itself was wrong at the first try, too.
fn says_nothing_of_first(kind: FailureKind) -> bool {
    use FailureKind::*;
    matches!(kind, Overloaded | Unavailable | Storage | NotFormed | TooManySiblings)
}

/// How one try ended.
pub(super) enum Tried {
    /// With an answer for the caller.
    Answered(Reply),
    /// With nothing done: another peer may be tried. Why, for people.
    Elsewhere(String),
}

impl Tried {
    /// True if another peer could not do better.
    pub(super) fn is_good(&self) -> bool {
        !matches!(self, Tried::Elsewhere(_) | Tried::Answered(Reply::Failed(_)))
    }
}

/// The owners of a request's key; none if it has no key, or the table is malformed.
fn owners<'t>(table: &'t RingTable, request: &Request) -> &'t [u16] {
    let Some(key) = key(request) else { return &[] };
    let Ok(partitions) = u16::try_from(table.owners.len()) else { return &[] };
    if !partitions.is_power_of_two() {
        return &[];
    }
    table.owners.get(usize::from(partition_of(key, partitions).0)).map_or(&[], Vec::as_slice)
}

/// The member to try at this place: owners first, in order; then the others, beginning at another one each time.
fn member_to_try(owners: &[u16], members: usize, at: usize, turn: usize) -> Option<usize> {
    if let Some(owner) = owners.get(at) {
        return Some(usize::from(*owner));
    }
    let others = (0..members).map(|step| (turn.wrapping_add(step)) % members);
    others.filter(|member| !owners.iter().any(|owner| usize::from(*owner) == *member)).nth(at - owners.len())
}

/// Waits as an overloaded peer asks, and somewhat longer at random, so that those who wait do not come back together.
/// False if the time is over before.
async fn pause(retry_after_ms: u32, give_up: Instant) -> bool {
    let hint = u64::from(if retry_after_ms == 0 { limits::RETRY_HINT_MS } else { retry_after_ms });
    let wait = Duration::from_millis(hint + rand::random::<u64>() % (hint / 2 + 1));
    let fits = Instant::now() + wait < give_up;
    if fits {
        sleep(wait).await;
    }
    fits
}

fn note(tried: &mut String, why: &str) {
    // A person reads this: the first few reasons are enough.
    if tried.len() < 500 && !tried.contains(why) {
        if !tried.is_empty() {
            tried.push_str("; ");
        }
        tried.push_str(why);
    }
}

fn unreachable(tried: &str) -> String {
    format!("no peer could be asked ({tried}); nothing was done; check that the cluster runs and try again")
}

pub(super) fn no_answer(address: &str, error: &CallError) -> String {
    match error {
        CallError::TimedOut => format!("{address} did not answer in time"),
        CallError::TooLarge(error) => error.to_string(),
        CallError::Lost | CallError::NotSent => format!("the connection to {address} was lost"),
    }
}

fn unknown(address: &str, error: &CallError) -> String {
    let what = no_answer(address, error);
    format!("{what} after the write was sent there; it may or may not take effect; read the key, or write it again")
}

fn written(reply: Reply) -> Result<Receipt, Failure> {
    match reply {
        Reply::Written(receipt) => Ok(receipt),
        other => Err(unexpected(other)),
    }
}

fn status(reply: Reply) -> Result<Status, Failure> {
    match reply {
        Reply::Status(status) => Ok(*status),
        other => Err(unexpected(other)),
    }
}

/// The failure in an answer; an answer of another kind than the request asks for is one, too.
pub(super) fn unexpected(reply: Reply) -> Failure {
    match reply {
        Reply::Failed(failure) => failure,
        _ => Failure {
            kind: FailureKind::Unknown,
            message: "the peer gave an answer of another kind than was asked for; check that both sides run the same version"
                .into(),
            retry_after_ms: 0,
        },
    }
}
