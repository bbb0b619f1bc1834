//! Clients: each makes one request at a time, tries again as the client library does, and notes what it was told.
//!
//! A try that was answered with "nothing was done" may be made anywhere again. One whose answer never came is *uncertain*: the write is tried
//! again under its number, naming the coordinator and its start, and only if that is known: the peer was an owner, so that it took the
//! write itself. If all tries end like that, the write is unknown.

mod answers;
mod stats;

pub use stats::Stats;

use crate::dice::Dice;
use crate::history::{Expiry, KeyId, Outcome, Scope, Values, Write, WriteId};
use crate::machine_clock::EPOCH_MS;
use crate::node::Node;
use crate::schedule::Kind;
use crate::tally::{self, Deed, Done};
use crate::workload::{Wish, Workload};
use crate::world::{Event, World};
use bytes::Bytes;
use henge::message::{Attempt, FailureKind, Reply, Request, Retry};
use henge::peer::Origin;
use std::collections::{BTreeMap, VecDeque};

/// Tries of one request.
const TRIES_MAX: u32 = 6;
/// Contexts that a client keeps for each key: the older ones make conflicts.
const TOKENS_MAX: usize = 3;

/// A context that a client was given.
#[derive(Clone, Debug)]
struct Token {
    context: Bytes,
    /// The values that it covers.
    covers: Values,
    /// Those of them that were live in the answer.
    live: Values,
    /// It comes from a path, not from the whole key: it covers what that answer showed, and not what came before it elsewhere.
    of_path: bool,
    /// Of a client that counts: how many of its own increments it has seen.
    own: u64,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    id: u64,
    session: u64,
    /// Counts its writes.
    number: u64,
    /// Counts its tries.
    tries: u64,
    tokens: BTreeMap<KeyId, VecDeque<Token>>,
    pending: Option<Pending>,
    /// It asks for these and then stops; if there is no script it goes on and on.
    script: Option<VecDeque<Wish>>,
    workload: Workload,
    dice: Dice,
    /// It asks nobody but this peer.
    only: Option<usize>,
    /// What it found last under each key.
    pub found: BTreeMap<KeyId, Values>,
    /// The keys that it listed, page by page.
    pub listed: Vec<KeyId>,
}

#[derive(Debug)]
struct Pending {
    wish: Wish,
    write: Option<WriteId>,
    session: Values,
    invoked: u64,
    deadline_ms: u32,
    tries: u32,
    origin: Origin,
    target: usize,
    attempt: Option<Attempt>,
    /// A try may have been begun.
    uncertain: bool,
    /// The first such try, if it is known who took it.
    first: Option<Attempt>,
    counts_as_healed: bool,
    /// A record was being fetched from others meanwhile that a disk had damaged.
    met_healing: bool,
    /// How many of its own increments the context handed in has seen.
    own: u64,
}

impl Pending {
    /// True if a request with a session, or with a context, fails for good with this try.
    fn is_last_try(&self) -> bool {
        self.tries >= TRIES_MAX && !self.session.is_empty() && !self.uncertain
    }
}

impl World {
    /// Brings the clients of the plan to life.
    pub(crate) fn start_clients(&mut self) {
        for id in 0..self.plan.clients.count {
            let strike = self.schedule.strikes(Kind::Client);
            if let Some(strike) = strike {
                self.note(strike.name, |_| format!("client {id}"));
                self.add_client(id, None);
            }
        }
        self.start_counting();
    }

    /// Brings those to life that count.
    fn start_counting(&mut self) {
        for digit in 0..if self.plan.tallies { tally::CLIENTS } else { 0 } {
            let client = self.add_client(tally::FIRST_CLIENT + digit, None);
            self.clients[client].workload.count(digit as usize);
        }
    }

    /// A client with a script, or without one; its index.
    pub(crate) fn add_client(&mut self, id: u64, script: Option<VecDeque<Wish>>) -> usize {
        let mut dice = Dice::of(self.plan.seed, 1_000 + id);
        let mut workload = Workload::new(Dice::of(self.plan.seed, 2_000 + id), self.plan.clients.keys);
        if self.plan.disasters.interval.is_some() {
            workload.write_with_care();
        }
        if let Some(expiry) = &self.plan.expiry {
            workload.let_expire(Dice::of(self.plan.seed, 3_000 + id), expiry.clone());
        }
        workload.begin_values_at(id << 20);
        let first = dice.below(self.plan.clients.think);
        self.clients.push(Client {
            id,
            session: dice.number(),
            number: 0,
            tries: 0,
            tokens: BTreeMap::new(),
            pending: None,
            script,
            workload,
            dice,
            only: None,
            found: BTreeMap::new(),
            listed: Vec::new(),
        });
        let client = self.clients.len() - 1;
        self.after(first, Event::Next { client });
        client
    }

    /// A client of a story: it asks for what it is told to, and with the context that it was given last.
    pub(crate) fn add_teller(&mut self) -> usize {
        let id = self.clients.len() as u64;
        self.add_client(id, Some(VecDeque::new()))
    }

    /// A client of a story that counts, with this digit.
    pub(crate) fn add_counter(&mut self, digit: u64) -> usize {
        self.add_client(tally::FIRST_CLIENT + digit, Some(VecDeque::new()))
    }

    /// A client of a story asks one peer for this.
    pub(crate) fn ask_for(&mut self, client: usize, peer: usize, wish: impl FnOnce(&mut Workload) -> Wish) {
        let teller = &mut self.clients[client];
        teller.only = Some(peer);
        let wish = wish(&mut teller.workload);
        teller.script = Some(VecDeque::from([wish]));
        self.on_next(client);
    }

    /// True if all writes that this client asked for were acknowledged.
    pub(crate) fn has_all_acknowledged(&self, client: usize) -> bool {
        let id = self.clients[client].id;
        self.history.writes().iter().filter(|write| write.client == id).all(|write| write.is_acked())
    }

    /// A client is gone: what it waited for is never answered.
    pub(crate) fn leave_client(&mut self, client: usize) {
        let teller = &mut self.clients[client];
        (teller.pending, teller.script) = (None, Some(VecDeque::new()));
    }

    /// From now on every client has only so many requests left.
    pub(crate) fn limit_clients(&mut self, requests: u32) {
        for client in &mut self.clients {
            client.script = Some((0..requests).map(|_| client.workload.wish()).collect());
        }
        for client in 0..self.clients.len() {
            self.after(1_000, Event::Next { client });
        }
    }

    /// True if no client waits for anything, or will ask for anything.
    pub(crate) fn clients_are_done(&self) -> bool {
        self.clients.iter().all(|client| client.pending.is_none() && client.script.as_ref().is_some_and(VecDeque::is_empty))
    }

    /// The key of a request under way.
    pub(crate) fn key_of_request(&self, origin: Origin) -> Option<KeyId> {
        let pending = self.clients.iter().find(|client| client.id == origin.client)?.pending.as_ref()?;
        (pending.origin == origin).then_some(pending.wish.key)
    }

    pub(crate) fn on_next(&mut self, c: usize) {
        let client = &mut self.clients[c];
        if client.pending.is_some() {
            return;
        }
        let wish = match &mut client.script {
            Some(script) => script.pop_front(),
            None => Some(client.workload.wish()),
        };
        if let Some(wish) = wish {
            self.begin(c, wish);
        }
    }

    fn begin(&mut self, c: usize, mut wish: Wish) {
        let (plan, time) = (&self.plan, self.time);
        let client = &mut self.clients[c];
        let deadline_ms = client.dice.spread(300, 3_000) as u32;
        let is_blind = client.dice.chance(plan.clients.blind);
        let is_whole = matches!(wish.scope, Some(Scope::Whole));
        let token = client.tokens.get(&wish.key).filter(|_| !is_blind).map(|tokens| {
            let at = if client.dice.chance(0.7) { tokens.len() - 1 } else { client.dice.below(tokens.len() as u64) as usize };
            tokens[at].clone()
        });
        // Whatever is taken out of a set, its client has put in before, perhaps after this context.
        let token = token.filter(|token| !(is_whole && token.of_path) && wish.key != tally::SET);
        let own = token.as_ref().map_or(0, |token| token.own);
        let context = token.as_ref().map(|token| token.context.clone()).unwrap_or_default();
        set_context(&mut wish.request, context, deadline_ms);
        let ttl_ms = wish.ttl_ms();
        // Not before this, whoever takes it: where no clock is ever wrong, but for the fraction of a millisecond that it loses when it is set.
        let at_ms = if plan.process.clock_interval.is_none() { EPOCH_MS + time / 1_000 + ttl_ms - 1 } else { 0 };
        let deed = tally::deed_of(&wish.request);
        let write = wish.scope.clone().map(|scope| {
            client.number += 1;
            self.history.invoke(Write {
                client: client.id,
                key: wish.key,
                scope,
                values: wish.values.clone(),
                // Only taking out needs owners, as a removal without a context does.
                context: match deed {
                    Some(Deed::Add | Deed::PutIn(_)) => Some(Values::new()),
                    _ => token.as_ref().map(|token| token.covers.clone()),
                },
                expiry: Expiry { ttl_ms, at_ms: if ttl_ms > 0 { at_ms } else { 0 }, is_known: false },
                invoked: time,
                until: time,
                is_retried: false,
                outcome: Outcome::Unknown,
                covered: Values::new(),
            })
        });
        if let (Some(deed), Some(write)) = (deed, write) {
            let digit = (client.id - tally::FIRST_CLIENT) as usize;
            self.tallies.writes.push(Done { write, digit, key: wish.key, deed });
        }
        let counts_as_healed = self.is_settled;
        match counts_as_healed {
            true => self.stats.asked_healed += 1,
            false => self.stats.asked += 1,
        }
        let session = token.map(|token| token.live).unwrap_or_default();
        let origin = Origin { client: client.id, request: 0 };
        client.pending = Some(Pending {
            wish,
            write,
            session,
            invoked: time,
            deadline_ms,
            tries: 0,
            origin,
            target: 0,
            attempt: None,
            uncertain: false,
            first: None,
            counts_as_healed,
            met_healing: false,
            own,
        });
        self.try_request(c);
    }

    /// Sends the request to a peer: to whoever took the first try, to an owner, or to anybody.
    fn try_request(&mut self, c: usize) {
        let owners = match self.clients[c].pending.as_ref().map(|pending| pending.wish.key) {
            Some(key) => self.owners(key),
            None => return,
        };
        let stray = self.plan.clients.stray;
        let client = &mut self.clients[c];
        let Some(pending) = client.pending.as_mut() else { return };
        let anybody = client.dice.below(self.nodes.len() as u64) as usize;
        let owner = if owners.is_empty() { anybody } else { *client.dice.pick(&owners) };
        let mut target = if client.dice.chance(stray) { anybody } else { owner };
        if let Some(first) = pending.first
            && client.dice.chance(0.6)
        {
            target = self.nodes.iter().position(|node| node.member == first.member).unwrap_or(target);
        }
        target = client.only.unwrap_or(target);
        client.tries += 1;
        pending.tries += 1;
        if pending.tries > 1 {
            self.stats.retries += 1;
        }
        let node = &self.nodes[target];
        let origin = Origin { client: client.id, request: client.tries };
        pending.origin = origin;
        pending.target = target;
        // Only an owner is sure to coordinate the write itself.
        pending.attempt = owners.contains(&target).then_some(Attempt { member: node.member, start: node.start });
        let retry = Retry { session: client.session, number: client.number, first: pending.first.filter(|_| pending.uncertain) };
        let request = with_retry(pending.wish.request.clone(), retry);
        let patience = u64::from(pending.deadline_ms) * 1_000 + 300_000;
        if let Some(write) = pending.write {
            let write = self.history.write_mut(write);
            // A peer that stands still may begin it whenever it goes on.
            // So may one whose clock runs slowly.
            write.until = match self.requests_may_wait {
                true => u64::MAX,
                false => self.time + 2 * patience + 3_000_000,
            };
        }
        let is_down = node.peer.is_none() || node.stopping;
        let (name, usual) = (client.id, self.plan.network.usual_delay(&mut client.dice));
        let target_name = node.name.clone();
        let delay = self.delay(usual, |_| format!("slow: a request of client {name} to {target_name}"));
        if is_down {
            // Refused at the door: surely nothing was done.
            let kind = FailureKind::Unavailable;
            let failure = henge::message::Failure { kind, message: "the peer is down".into(), retry_after_ms: 0 };
            return self.send_reply(delay, origin, &Reply::Failed(failure));
        }
        self.send_request(delay, target, origin, &request);
        self.after(patience, Event::Patience { origin });
    }

    pub(crate) fn on_again(&mut self, origin: Origin) {
        if let Some(c) = self.waiting(origin) {
            self.try_request(c);
        }
    }

    pub(crate) fn on_broken(&mut self, origin: Origin) {
        self.on_no_answer(origin);
    }

    pub(crate) fn on_patience(&mut self, origin: Origin) {
        self.on_no_answer(origin);
    }

    /// All clients that wait for this peer notice that it is gone.
    pub(crate) fn break_connections(&mut self, node: usize) {
        let broken = self.clients.iter_mut().filter_map(|client| {
            let origin = client.pending.as_ref().filter(|pending| pending.target == node)?.origin;
            Some((client.dice.spread(100, 100_000), origin))
        });
        for (delay, origin) in broken.collect::<Vec<_>>() {
            self.after(delay, Event::Broken { origin });
        }
    }

    /// The client whose present try this is.
    fn waiting(&self, origin: Origin) -> Option<usize> {
        let is_waiting = |client: &Client| client.pending.as_ref().is_some_and(|pending| pending.origin == origin);
        self.clients.iter().position(is_waiting)
    }

    fn on_no_answer(&mut self, origin: Origin) {
        let Some(c) = self.waiting(origin) else { return };
        let Some(pending) = self.clients[c].pending.as_mut() else { return };
        if !pending.uncertain {
            pending.first = pending.attempt;
        }
        pending.uncertain = true;
        let may_retry = pending.write.is_none() || pending.first.is_some();
        self.give_up_or_retry(c, may_retry);
    }

    fn give_up_or_retry(&mut self, c: usize, may_retry: bool) {
        let waits_for_healing = self.nodes.iter().any(Node::is_healing);
        let client = &mut self.clients[c];
        let Some(pending) = client.pending.as_mut() else { return };
        // A damaged record of which the others lack something keeps its owner from answering for a while, whatever the network does.
        pending.met_healing |= self.is_settled && self.healed_at >= pending.invoked;
        if may_retry && (pending.tries < TRIES_MAX || (self.is_settled && waits_for_healing)) {
            let delay = client.dice.spread(5_000, 300_000);
            // Late answers to this try are not listened to any more.
            client.tries += 1;
            pending.origin = Origin { client: client.id, request: client.tries };
            let origin = pending.origin;
            return self.after(delay, Event::Again { origin });
        }
        let (write, uncertain, met_healing) = (pending.write, pending.uncertain, pending.met_healing);
        if let Some(write) = write {
            let outcome = if uncertain { Outcome::Unknown } else { Outcome::Refused };
            self.stats.unknown += u64::from(uncertain);
            self.history.write_mut(write).outcome = outcome;
        }
        // A removal without a context that such an owner did not acknowledge in time stays unknown, and that is its answer.
        self.finish(c, uncertain && met_healing);
    }

    fn finish(&mut self, c: usize, is_answered: bool) {
        let client = &mut self.clients[c];
        let Some(pending) = client.pending.take() else { return };
        match pending.counts_as_healed {
            true => self.stats.answered_healed += u64::from(is_answered),
            false => self.stats.answered += u64::from(is_answered),
        }
        let think = client.dice.below(2 * self.plan.clients.think);
        let think = if self.time < self.idle_until { 200 * think } else { think };
        self.after(think, Event::Next { client: c });
    }

    /// N, as it is with this number of peers.
    pub(crate) fn replicas(&self) -> usize {
        usize::from(self.plan.replicas).min(self.plan.peers)
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = KeyId> + use<> {
        (0..self.plan.clients.keys).map(KeyId)
    }
}

fn set_context(request: &mut Request, sealed: Bytes, deadline: u32) {
    match request {
        Request::Put(put) => (put.context, put.deadline_ms) = (sealed, deadline),
        Request::Remove(remove) => (remove.context, remove.deadline_ms) = (sealed, deadline),
        Request::Update(update) => (update.context, update.deadline_ms) = (sealed, deadline),
        Request::Get(get) => (get.session, get.deadline_ms) = (sealed, deadline),
        Request::List(list) => list.deadline_ms = deadline,
        _ => {}
    }
}

fn with_retry(mut request: Request, retry: Retry) -> Request {
    match &mut request {
        Request::Put(put) => put.retry = Some(retry),
        Request::Remove(remove) => remove.retry = Some(retry),
        Request::Update(update) => update.retry = Some(retry),
        _ => {}
    }
    request
}
