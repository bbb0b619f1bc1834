//! Clients: each makes one request at a time, tries again as the client library does, and notes what it was told.
//!
//! A try that was answered with "nothing was done" may be made anywhere again. One whose answer never came is *uncertain*: the write is tried
//! again under its number, naming the coordinator and its start, and only if that is known: the peer was an owner, so that it took the
//! write itself. If all tries end like that, the write is unknown.

use crate::dice::Dice;
use crate::history::{Expiry, KeyId, Outcome, Read, Scope, ValueId, Values, Write, WriteId, values_in};
use crate::machine_clock::EPOCH_MS;
use crate::node::Node;
use crate::oracle::receipts::{self, Takers};
use crate::oracle::{Violation, dots};
use crate::schedule::Kind;
use crate::workload::{Wish, Workload};
use crate::world::{Event, World, key_of};
use bytes::Bytes;
use henge::message::{Attempt, FailureKind, Found, Quorum, Receipt, Reply, Request, Retry, Value};
use henge::peer::Origin;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
}

/// What happened in a run, in figures.
#[derive(Clone, Default, Debug)]
pub struct Stats {
    /// Requests begun while faults happened.
    pub asked: u64,
    /// Those of them that were answered as they should be.
    pub answered: u64,
    /// Requests begun after healing.
    pub asked_healed: u64,
    /// Those of them that were answered as they should be.
    pub answered_healed: u64,
    /// Writes acknowledged.
    pub acked: u64,
    /// Of these, how many have an expiry.
    pub expiring: u64,
    /// Versions that had expired by the end and were dropped by then.
    pub dropped: u64,
    /// Writes of which it is not known whether they took effect.
    pub unknown: u64,
    /// Answers with siblings.
    pub conflicts: u64,
    /// Most versions in one answer.
    pub versions_max: u64,
    /// Tries beyond the first of a request.
    pub retries: u64,
    /// Writes acknowledged in a later try.
    pub retried: u64,
    /// Writes acknowledged with stand-ins among those who did.
    pub stood_in: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
}

impl Pending {
    /// True if a request with a session, or with a context, fails for good with this try.
    fn is_last_try(&self) -> bool {
        self.tries >= TRIES_MAX && !self.session.is_empty() && !self.uncertain
    }
}

impl Stats {
    /// Counts a fault.
    pub(crate) fn count_fault(&mut self, kind: &str) {
        match self.faults.get_mut(kind) {
            Some(count) => *count += 1,
            None => _ = self.faults.insert(kind.to_string(), 1),
        }
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
        let token = token.filter(|token| !(is_whole && token.of_path));
        let context = token.as_ref().map(|token| token.context.clone()).unwrap_or_default();
        set_context(&mut wish.request, context, deadline_ms);
        let ttl_ms = wish.ttl_ms();
        // Not before this, whoever takes it: where no clock is ever wrong, but for the fraction of a millisecond that it loses when it is set.
        let at_ms = if plan.process.clock_interval.is_none() { EPOCH_MS + time / 1_000 + ttl_ms - 1 } else { 0 };
        let write = wish.scope.clone().map(|scope| {
            client.number += 1;
            self.history.invoke(Write {
                client: client.id,
                key: wish.key,
                scope,
                values: wish.values.clone(),
                context: token.as_ref().map(|token| token.covers.clone()),
                expiry: Expiry { ttl_ms, at_ms: if ttl_ms > 0 { at_ms } else { 0 }, is_known: false },
                invoked: time,
                until: time,
                is_retried: false,
                outcome: Outcome::Unknown,
                covered: Values::new(),
            })
        });
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

    pub(crate) fn on_answer(&mut self, origin: Origin, reply: Reply) {
        if self.is_answer_to_forming(origin, &reply) {
            return;
        }
        let Some(c) = self.waiting(origin) else { return };
        match reply {
            Reply::Written(receipt) => self.on_written(c, &receipt),
            Reply::Found(found) => self.on_found(c, found),
            Reply::Missing(missing) => self.on_read(c, Values::new(), missing.context, (missing.answered, 0)),
            Reply::Listed(listed) => {
                let keys: Vec<Option<KeyId>> = listed.keys.iter().map(|key| key_of(key)).collect();
                if keys.iter().any(|key| key.is_none_or(|key| key.0 >= self.plan.clients.keys)) {
                    self.violations
                        .push(Violation::new("b: phantom", format!("a key that nobody wrote is listed: {:?}", listed.keys)));
                }
                self.clients[c].listed.extend(keys.into_iter().flatten());
                if listed.more
                    && let Some(pending) = &mut self.clients[c].pending
                    && let Request::List(list) = &mut pending.wish.request
                {
                    list.after = listed.resume_after;
                    pending.tries = 0;
                    return self.try_request(c);
                }
                self.finish(c, true);
            }
            Reply::Failed(failure) => {
                let Some(pending) = self.clients[c].pending.as_mut() else { return };
                match failure.kind {
                    // What this session has seen was on one disk alone, and that is lost: the honest answer is this one, for ever.
                    FailureKind::Unavailable if self.disks_lost > 0 && self.is_settled && pending.is_last_try() => {
                        let key = pending.wish.key;
                        self.clients[c].tokens.remove(&key);
                        self.finish(c, true);
                    }
                    FailureKind::Unavailable | FailureKind::Overloaded | FailureKind::NotFormed | FailureKind::Storage => {
                        self.give_up_or_retry(c, true);
                    }
                    FailureKind::TooManySiblings => self.give_up_or_retry(c, false),
                    FailureKind::Unknown => {
                        if pending.write.is_none() {
                            let what = format!("a read is unknown: {}", failure.message);
                            self.violations.push(Violation::new("i", what));
                        }
                        self.on_no_answer(origin);
                    }
                    FailureKind::BadRequest | FailureKind::TooLarge | FailureKind::BadContext => {
                        let what = format!("{:?} is refused as {:?}: {}", pending.wish.request, failure.kind, failure.message);
                        self.violations.push(Violation::new("i", what));
                    }
                }
            }
            other => self.violations.push(Violation::new("i", format!("client {} is answered {other:?}", origin.client))),
        }
    }

    fn on_written(&mut self, c: usize, receipt: &Receipt) {
        let Some(pending) = self.clients[c].pending.as_ref() else { return };
        let (Some(id), key) = (pending.write, pending.wish.key) else {
            return self.violations.push(Violation::new("i", "a read is answered as a write"));
        };
        let (w, is_retried) = (size(pending.wish.quorum, self.replicas()), pending.uncertain);
        let members: BTreeSet<_> = receipt.acks.iter().map(|ack| ack.member).collect();
        let owners: BTreeSet<_> = self.owners(key).into_iter().map(|owner| self.nodes[owner].member).collect();
        let takers = Takers { owners: &owners, acked: &members, stood_in: &receipt.stood_in };
        self.violations.extend(receipts::judge_acks(self.history.write(id), w, &takers));
        // What is claimed of quorums that meet is claimed of owners alone.
        let w = w.min(members.intersection(&owners).count());
        let partition = self.partition(key).0;
        self.violations.extend(self.dots.note_receipt(self.history.write(id), partition, &receipt.dots));
        let covered = self.dots.values(partition, &receipt.covered);
        let all_known = receipt.covered.iter().all(|dot| self.dots.is_known(partition, *dot));
        self.stats.acked += 1;
        self.stats.expiring += u64::from(self.history.write(id).expiry.ttl_ms > 0);
        self.stats.retried += u64::from(is_retried);
        self.stats.stood_in += u64::from(!receipt.stood_in.is_empty());
        let time = self.time;
        let write = self.history.write_mut(id);
        write.outcome = Outcome::Acked { at: time, w };
        // What is not known to the oracle cannot be followed: then the receipt excuses whatever was there.
        write.is_retried |= is_retried || !all_known;
        write.covered = covered;
        let write = write.clone();
        self.violations.extend(receipts::judge_scope(&self.history, &write));
        let live: Values = write.values.iter().map(|(_, value)| *value).collect();
        let mut covers: Values = live.union(&write.covered).copied().collect();
        covers.extend(write.context.iter().flatten());
        self.keep_token(
            c,
            key,
            Token { context: receipt.context.clone(), covers, live, of_path: !matches!(write.scope, Scope::Whole) },
        );
        self.finish(c, true);
    }

    fn on_found(&mut self, c: usize, found: Found) {
        let Some(key) = self.clients[c].pending.as_ref().map(|pending| pending.wish.key) else { return };
        let partition = self.partition(key).0;
        let mut shown = values_of(found.value.as_ref());
        found.conflicts.iter().flat_map(|conflict| &conflict.values).for_each(|value| shown.extend(values_of(Some(value))));
        let named = self.dots.values(partition, &found.dots);
        let all_known = found.dots.iter().all(|dot| self.dots.is_known(partition, *dot));
        self.stats.conflicts += u64::from(!found.conflicts.is_empty());
        self.stats.versions_max = self.stats.versions_max.max(found.dots.len() as u64);
        let hides = found.hidden > 0;
        self.violations.extend(all_known.then(|| dots::judge_answer(key, &shown, &named, hides)).flatten());
        shown.extend(named);
        // Who stands in knows only what it keeps for others: regular reads count owners.
        self.on_read(c, shown, found.context, (found.answered, found.stood_in));
    }

    /// `answered`: how many have answered; `stood_in`: those of them that are no owners that have lost nothing.
    fn on_read(&mut self, c: usize, shown: Values, context: Bytes, (answered, stood_in): (u8, u8)) {
        let (replicas, wall_ms) = (self.replicas(), self.latest_wall());
        let client = &mut self.clients[c];
        let Some(pending) = client.pending.as_ref() else { return };
        let key = pending.wish.key;
        let Request::Get(get) = &pending.wish.request else {
            return self.violations.push(Violation::new("i", "a write is answered as a read"));
        };
        let (of_path, wanted) = (!get.path.is_empty(), size(pending.wish.quorum, replicas));
        if usize::from(answered) < wanted {
            let what = format!("a read of key {} with R={wanted} is answered by {answered}", key.0);
            self.violations.push(Violation::new("e", what));
        }
        self.history.note_read(Read {
            client: client.id,
            key,
            path: get.path.clone(),
            r: wanted.min(usize::from(answered.saturating_sub(stood_in))),
            invoked: pending.invoked,
            ended: self.time,
            wall_ms,
            shown: shown.clone(),
            session: pending.session.clone(),
        });
        client.found.insert(key, shown.clone());
        self.keep_token(c, key, Token { context, covers: shown.clone(), live: shown, of_path });
        self.finish(c, true);
    }

    fn keep_token(&mut self, c: usize, key: KeyId, token: Token) {
        let tokens = self.clients[c].tokens.entry(key).or_default();
        tokens.push_back(token);
        if tokens.len() > TOKENS_MAX {
            tokens.pop_front();
        }
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

fn size(quorum: Quorum, replicas: usize) -> usize {
    match quorum {
        Quorum::Default => replicas / 2 + 1,
        Quorum::Exactly(n) => usize::from(n),
        Quorum::All => replicas,
    }
}

fn values_of(value: Option<&Value>) -> BTreeSet<ValueId> {
    match value {
        Some(Value::Bytes(bytes) | Value::Json(bytes)) => values_in(bytes),
        None => Values::new(),
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
