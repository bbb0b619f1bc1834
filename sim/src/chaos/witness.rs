//! Clients that write down what they asked for and what they were told, as the history that the oracles know.
//!
//! A witness is the neighbour of one peer: it asks that one past its proxy, with the real client and without failing over, so that it is on
//! the same side of any cut as its peer. What all witnesses of a run know together is one [`Story`].

use crate::history::{Expiry, History, KeyId, Outcome, Read, Scope, Target, ValueId, Values, Write, WriteId, values_in};
use crate::oracle::Violation;
use crate::oracle::dots::{Dots, Named};
use crate::oracle::receipts::{Takers, judge_acks};
use bytes::Bytes;
use henge::client::{Client, Options};
use henge::message::{
    Body, Failure, FailureKind, Found, Get, List, PatchBody, Put, Quorum, Receipt, Remove, Reply, Request, RingTable, Update, Value,
};
use henge::ring::{MemberId, partition_of};
use henge::vclock::{Dot, Path};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// What all witnesses of a run know together. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Story {
    inner: Arc<Mutex<Told>>,
    begin: Instant,
    ring: Arc<RingTable>,
}

/// What was asked and told so far.
#[derive(Default)]
pub struct Told {
    /// All writes and answered reads.
    pub history: History,
    /// What every dot names that a receipt has shown.
    pub dots: Dots,
    /// Promises that were broken in an answer.
    pub violations: Vec<Violation>,
    /// Writes that stand-ins have acknowledged too.
    pub stood_in: u64,
    /// A disk is in trouble, and peers may say so.
    pub may_fail_storage: bool,
    /// Reads that were asked for, answered or not.
    pub reads_asked: u64,
    next_value: u64,
}

/// What a write does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Writes a new plain value.
    Put,
    /// Writes a new plain value with so many bytes behind it.
    PutLong(usize),
    /// Writes a document with a new value at each of these paths.
    PutAt(&'static [&'static str]),
    /// Sets a new value at a path.
    Set(&'static str),
    /// Removes the key.
    Remove,
}

/// A context, and the values that it covers.
#[derive(Clone, Debug)]
pub struct Token {
    sealed: Bytes,
    covers: Values,
}

/// What a read has shown.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The values that are live.
    pub live: Values,
    /// The context that came with them.
    pub token: Token,
    /// The owners that have lost nothing and answered.
    pub owners: usize,
    /// True if all of them held exactly this.
    pub is_agreed: bool,
}

/// One client, the neighbour of one peer.
#[derive(Clone)]
pub struct Witness {
    /// The peer's number; of a client that asks whom it likes a number above those of all peers.
    pub peer: usize,
    client: Client,
    /// None: whoever can be reached, as the client chooses.
    address: Option<String>,
    story: Story,
}

impl Story {
    /// Nothing has been told yet. `ring` says who owns what.
    pub fn new(ring: Arc<RingTable>) -> Story {
        Story { inner: Arc::default(), begin: Instant::now(), ring }
    }

    /// The next story of the same peers: what was told is told, but dots and values go on as they are.
    pub fn sequel(&self) -> Story {
        let mut told = self.told();
        let (dots, next_value) = (std::mem::take(&mut told.dots), told.next_value);
        let next = Told { dots, next_value, ..Told::default() };
        drop(told);
        Story { inner: Arc::new(Mutex::new(next)), begin: self.begin, ring: self.ring.clone() }
    }

    /// All that was asked and told, a line each, in the order of keys: for people.
    pub fn to_text(&self) -> String {
        let told = self.told();
        let line =
            |key: KeyId, begin: u64, what: &dyn std::fmt::Debug| format!("key {:>4} {:>9} ms {what:?}", key.0, begin / 1_000);
        let writes = told.history.writes().iter().map(|write| line(write.key, write.invoked, write));
        let reads = told.history.reads().iter().map(|read| line(read.key, read.invoked, read));
        let mut lines: Vec<String> = writes.chain(reads).collect();
        lines.sort_unstable();
        lines.join("\n") + "\n"
    }

    /// Nothing is under way any more: no write without an answer can still begin to take effect.
    pub fn is_quiet(&self) {
        let now = self.now();
        let mut told = self.told();
        for id in 0..told.history.writes().len() {
            let write = told.history.write_mut(WriteId(id));
            write.until = write.until.min(now);
        }
    }

    /// What has been told so far.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        // A panic while it is held ends the run.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// N.
    pub fn replicas(&self) -> usize {
        usize::from(self.ring.replicas).min(self.ring.members.len())
    }

    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<MemberId> {
        self.ring.members.iter().find(|member| member.name == name).map(|member| member.member)
    }

    /// True if the member of this name owns a key.
    pub fn is_owner(&self, key: KeyId, name: &str) -> bool {
        self.member(name).is_some_and(|member| self.owners(key).contains(&member))
    }

    fn partition(&self, key: KeyId) -> u16 {
        partition_of(&name(key), self.ring.owners.len() as u16).0
    }

    fn owners(&self, key: KeyId) -> BTreeSet<MemberId> {
        let owners = &self.ring.owners[usize::from(self.partition(key))];
        owners.iter().map(|owner| self.ring.members[usize::from(*owner)].member).collect()
    }

    /// Microseconds since the run began.
    fn now(&self) -> u64 {
        self.begin.elapsed().as_micros() as u64
    }

    fn invoke(&self, client: u64, key: KeyId, deed: Deed, token: Option<&Token>) -> WriteId {
        let mut told = self.told();
        let mut new = |path: &str| {
            told.next_value += 1;
            (path.to_string(), ValueId(told.next_value))
        };
        let (scope, values) = match deed {
            Deed::Put | Deed::PutLong(_) => (Scope::Whole, vec![new("")]),
            Deed::PutAt(paths) => (Scope::Whole, paths.iter().map(|path| new(path)).collect()),
            Deed::Set(path) => (Scope::Paths(vec![Target { path: path.to_string(), is_removal: false }]), vec![new(path)]),
            Deed::Remove => (Scope::Whole, Vec::new()),
        };
        told.history.invoke(Write {
            client,
            key,
            scope,
            values,
            context: token.map(|token| token.covers.clone()),
            expiry: Expiry::default(),
            invoked: self.now(),
            // What is held up on its way is delivered after the cut, whenever that is.
            until: u64::MAX,
            is_retried: false,
            outcome: Outcome::Unknown,
            covered: Values::new(),
        })
    }

    /// A write was acknowledged. The context that its client holds now.
    fn on_written(&self, id: WriteId, receipt: &Receipt, may_be_retried: bool) -> Token {
        let (now, owners, replicas) = (self.now(), self.owners(self.told().history.write(id).key), self.replicas());
        let mut told = self.told();
        let Told { history, dots, violations, stood_in, .. } = &mut *told;
        let key = history.write(id).key;
        let partition = self.partition(key);
        let acked: BTreeSet<MemberId> = receipt.acks.iter().map(|ack| ack.member).collect();
        let takers = Takers { owners: &owners, acked: &acked, stood_in: &receipt.stood_in };
        violations.extend(judge_acks(history.write(id), replicas / 2 + 1, &takers));
        *stood_in += u64::from(!receipt.stood_in.is_empty());
        violations.extend(note_dots(dots, history, id, partition, &receipt.dots));
        let all_known = receipt.covered.iter().all(|dot| dots.is_known(partition, *dot));
        let covered = dots.values(partition, &receipt.covered);
        let write = history.write_mut(id);
        // What is claimed of quorums that meet is claimed of owners alone.
        let w = (replicas / 2 + 1).min(acked.intersection(&owners).count());
        write.outcome = Outcome::Acked { at: now, w };
        write.until = now;
        // What is not known to the oracle cannot be followed: then the receipt excuses whatever was there.
        write.is_retried = !all_known || may_be_retried;
        write.covered = covered;
        let mut covers: Values = write.values.iter().map(|(_, value)| *value).collect();
        covers.extend(write.covered.iter().chain(write.context.iter().flatten()));
        Token { sealed: receipt.context.clone(), covers }
    }

    fn on_not_written(&self, id: WriteId, failure: &Failure) {
        let mut told = self.told();
        let outcome = if failure.kind == FailureKind::Unknown { Outcome::Unknown } else { Outcome::Refused };
        told.history.write_mut(id).outcome = outcome;
        let may_fail = told.may_fail_storage;
        told.violations.extend(unfounded(failure, may_fail));
    }

    fn on_read(&self, mut read: Read, reply: Reply) -> Option<Seen> {
        let (live, context, owners, is_agreed, dots) = match reply {
            Reply::Found(found) => {
                let owners = found.answered.saturating_sub(found.stood_in);
                (values_of(&found), found.context, owners, found.agreed == found.answered, found.dots)
            }
            Reply::Missing(missing) => (Values::new(), missing.context, missing.answered, true, Vec::new()),
            Reply::Failed(failure) => {
                let mut told = self.told();
                let may_fail = told.may_fail_storage;
                told.violations.extend(unfounded(&failure, may_fail));
                return None;
            }
            other => {
                self.told().violations.push(Violation::new("i", format!("a read is answered {other:?}")));
                return None;
            }
        };
        read.ended = self.now();
        read.r = read.r.min(usize::from(owners));
        read.shown = live.clone();
        let (key, partition) = (read.key, self.partition(read.key));
        let mut told = self.told();
        let named = told.dots.values(partition, &dots);
        if dots.iter().all(|dot| told.dots.is_known(partition, *dot)) && named != live {
            let what = format!("an answer for key {} shows {live:?}, and its dots name {named:?}", key.0);
            told.violations.push(Violation::new("b: phantom", what));
        }
        told.history.note_read(read);
        Some(Seen { token: Token { sealed: context, covers: live.clone() }, live, owners: usize::from(owners), is_agreed })
    }
}

impl Witness {
    /// A neighbour of the peer with this number, which listens at this address itself.
    ///
    /// # Errors
    /// The peer does not answer.
    pub async fn beside(peer: usize, address: &str, story: &Story) -> Result<Witness, String> {
        let client = Client::connect(&[address.to_string()], Options::default()).await;
        let client = client.map_err(|error| format!("no client at peer {}: {error}", peer + 1))?;
        Ok(Witness { peer, client, address: Some(address.to_string()), story: story.clone() })
    }

    /// A client that asks whomever of these peers it likes, and another one where that fails, and tries again what was not answered.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn traveller(number: usize, addresses: &[String], story: &Story) -> Result<Witness, String> {
        let client = Client::connect(addresses, Options::default()).await;
        let client = client.map_err(|error| format!("no client: {error}"))?;
        Ok(Witness { peer: number, client, address: None, story: story.clone() })
    }

    /// The same client in another story.
    pub fn in_story(&self, story: &Story) -> Witness {
        Witness { story: story.clone(), ..self.clone() }
    }

    /// Asks, and writes nothing down.
    pub(super) async fn ask(&self, request: Request) -> Reply {
        match &self.address {
            Some(address) => self.client.request_at(address, request).await,
            None => self.client.request(request).await,
        }
    }

    /// Does something to a key, with the context of an earlier answer or without one, and gives up after so many milliseconds (0: the
    /// usual time). The context that came back if it was acknowledged.
    pub async fn write(&self, key: KeyId, deed: Deed, token: Option<&Token>, deadline_ms: u32) -> Option<Token> {
        let id = self.story.invoke(self.peer as u64, key, deed, token);
        let values = self.story.told().history.write(id).values.clone();
        let request = request(key, deed, &values, token.map(|token| token.sealed.clone()).unwrap_or_default(), deadline_ms);
        match self.ask(request).await {
            Reply::Written(receipt) => Some(self.story.on_written(id, &receipt, self.address.is_none())),
            Reply::Failed(failure) => {
                self.story.on_not_written(id, &failure);
                None
            }
            other => {
                self.story.told().violations.push(Violation::new("i", format!("a write is answered {other:?}")));
                None
            }
        }
    }

    /// Writes a value behind the back of the story, or removes the key: what a store does that loses, brings back, or invents something.
    /// True if it was done.
    pub async fn tamper(&self, key: KeyId, value: Option<ValueId>, deadline_ms: u32) -> bool {
        let deed = if value.is_some() { Deed::Put } else { Deed::Remove };
        let values: Vec<(String, ValueId)> = value.map(|value| (String::new(), value)).into_iter().collect();
        let reply = self.ask(request(key, deed, &values, Bytes::new(), deadline_ms)).await;
        matches!(reply, Reply::Written(_))
    }

    /// Reads a key, and gives up after so many milliseconds (0: the usual time). None if the peer cannot answer.
    pub async fn read(&self, key: KeyId, r: Quorum, deadline_ms: u32) -> Option<Seen> {
        let replicas = self.story.replicas();
        let size = match r {
            Quorum::Default => replicas / 2 + 1,
            Quorum::Exactly(size) => usize::from(size),
            Quorum::All => replicas,
        };
        let (client, shown, session) = (self.peer as u64, Values::new(), Values::new());
        self.story.told().reads_asked += 1;
        let read =
            Read { client, key, path: String::new(), r: size, invoked: self.story.now(), ended: 0, wall_ms: 0, shown, session };
        let get = Get { key: name(key), path: String::new(), r, session: Bytes::new(), last_writer_wins: false, deadline_ms };
        let reply = self.ask(Request::Get(get)).await;
        self.story.on_read(read, reply)
    }

    /// Lists all keys. None if the peer cannot answer.
    pub async fn list(&self, deadline_ms: u32) -> Option<Vec<Bytes>> {
        let (mut keys, mut after) = (Vec::new(), Bytes::new());
        loop {
            let list = List { prefix: Bytes::new(), after, limit: 1_000, r: Quorum::All, deadline_ms };
            let Reply::Listed(listed) = self.ask(Request::List(list)).await else { return None };
            keys.extend(listed.keys);
            if !listed.more {
                return Some(keys);
            }
            after = listed.resume_after;
        }
    }
}

/// The bytes of a key.
pub fn name(key: KeyId) -> Bytes {
    format!("key:{}", key.0).into()
}

/// The key that has these bytes, if it is one of ours.
pub fn key_named(name: &[u8]) -> Option<KeyId> {
    std::str::from_utf8(name).ok()?.strip_prefix("key:")?.parse().ok().map(KeyId)
}

fn request(key: KeyId, deed: Deed, values: &[(String, ValueId)], context: Bytes, deadline_ms: u32) -> Request {
    let (key, w, retry, strict, ttl_ms) = (name(key), Quorum::Default, None, false, 0);
    let put = |key, context, body| Request::Put(Put { key, body, context, w, deadline_ms, retry, strict, ttl_ms });
    match deed {
        Deed::Put => put(key, context, Body::Bytes(values[0].1.to_string().into())),
        Deed::PutLong(bytes) => put(key, context, Body::Bytes(format!("{}{}", values[0].1, " ".repeat(bytes)).into())),
        Deed::PutAt(_) => {
            let leaves: Vec<String> = values.iter().map(|(path, value)| format!("\"{path}\":\"{value}\"")).collect();
            put(key, context, Body::Json(format!("{{{}}}", leaves.join(",")).into()))
        }
        Deed::Set(path) => {
            let patch = PatchBody::Set { path: path.to_string(), json: format!("\"{}\"", values[0].1).into() };
            Request::Update(Update { key, patch, context, w, deadline_ms, retry, strict, ttl_ms })
        }
        Deed::Remove => Request::Remove(Remove { key, path: String::new(), context, w, deadline_ms, retry, strict }),
    }
}

/// The dots of a receipt stand in the order of the paths.
fn note_dots(dots: &mut Dots, history: &History, id: WriteId, partition: u16, made: &[Dot]) -> Vec<Violation> {
    let write = history.write(id);
    let mut values = write.values.clone();
    values.sort_by_key(|(path, _)| Path::parse(path).ok());
    if values.len() != made.len() {
        let what = format!("a write of {} leaves of key {} made {} dots", values.len(), write.key.0, made.len());
        return vec![Violation::new("a″", what)];
    }
    let note =
        |((path, value), dot): ((String, ValueId), &Dot)| dots.note(partition, *dot, Named { key: write.key, path, value }).err();
    values.into_iter().zip(made).filter_map(note).collect()
}

/// A failure that no fault of the network, or of a disk where there is one, can explain.
fn unfounded(failure: &Failure, may_fail_storage: bool) -> Option<Violation> {
    let is_founded = matches!(failure.kind, FailureKind::Unavailable | FailureKind::Unknown | FailureKind::Overloaded)
        || (may_fail_storage && failure.kind == FailureKind::Storage);
    (!is_founded).then(|| Violation::new("i", format!("refused as {:?}: {}", failure.kind, failure.message)))
}

fn values_of(found: &Found) -> Values {
    let text = |value: &Value| match value {
        Value::Bytes(bytes) | Value::Json(bytes) => values_in(bytes),
        Value::Typed(typed) => values_in(&typed.bytes()),
        Value::Counter(_) | Value::Set(_) => Values::new(),
    };
    let conflicts = found.conflicts.iter().flat_map(|conflict| &conflict.values);
    found.value.iter().chain(conflicts).flat_map(text).collect()
}
