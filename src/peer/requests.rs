//! Requests: checked, routed to an owner, started.

use super::operation::{Drafting, Machine, Operation, ReplyTo, Wanted};
use super::{Now, Output, Peer};
use crate::coordinator::{Demand, DraftError, Intent, Remembered, Scan, quorum_size};
use crate::limits::{
    CONTEXT_BYTES_MAX, KEY_BYTES_MAX, READ_STAND_INS_MAX, REQUEST_DEADLINE_MS, REQUEST_DEADLINE_MS_MAX, REQUESTS_IN_FLIGHT_MAX,
    RETRY_HINT_MS, SCAN_PAGE_KEYS_MAX, TTL_MS_MAX,
};
use crate::message::{
    Body, Expire, Failure, FailureKind, Get, List, OperationId, PatchBody, Position, Put, Quorum, Remove, Reply, Request, Retry,
    Update,
};
use crate::ring::{PartitionId, group};
use crate::storage::RetryNote;
use crate::vclock::{Dot, Path, SealKey, SealKeys, Sealed, Seen};
use bytes::Bytes;
use std::hash::Hasher;

/// A write of any kind, as far as routing and quorums are concerned.
pub(super) struct Write<'a> {
    pub key: &'a Bytes,
    context: &'a Bytes,
    w: Quorum,
    deadline_ms: u32,
    pub retry: Option<Retry>,
    pub strict: bool,
    ttl_ms: u64,
    /// When it is to expire (milliseconds since 1970; 0: never), if that is what is asked for.
    expiry_ms: Option<u64>,
}

impl Write<'_> {
    /// None of a request that does not write.
    fn of(request: &Request) -> Option<Write<'_>> {
        let ttl_ms = match request {
            Request::Put(put) => put.ttl_ms,
            Request::Update(update) => update.ttl_ms,
            _ => 0,
        };
        match request {
            Request::Put(Put { key, context, w, deadline_ms, retry, strict, .. })
            | Request::Remove(Remove { key, context, w, deadline_ms, retry, strict, .. })
            | Request::Update(Update { key, context, w, deadline_ms, retry, strict, .. })
            | Request::Expire(Expire { key, context, w, deadline_ms, retry, strict, .. }) => {
                let (w, deadline_ms, retry, strict) = (*w, *deadline_ms, *retry, *strict);
                let expiry_ms = if let Request::Expire(expire) = request { Some(expire.expiry_ms) } else { None };
                Some(Write { key, context, w, deadline_ms, retry, strict, ttl_ms, expiry_ms })
            }
            _ => None,
        }
    }

    /// Tells requests of one session and number apart: two requests of one digest are one request.
    fn digest(&self, request: &Request) -> u64 {
        let kind = match request {
            Request::Put(Put { body: Body::Typed(_), .. }) => 7,
            Request::Put(_) => 1,
            Request::Remove(_) => 2,
            Request::Expire(_) => 4,
            Request::Update(Update { patch: PatchBody::Increment { .. }, .. }) => 5,
            Request::Update(Update { patch: PatchBody::Elements { .. }, .. }) => 6,
            _ => 3,
        };
        let mut hasher = twox_hash::XxHash3_64::with_seed(kind);
        for part in [self.key, self.context] {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        match request {
            Request::Remove(remove) => hasher.write(remove.path.as_bytes()),
            _ => hasher.write_u64(self.ttl_ms),
        }
        match request {
            Request::Put(Put { body: Body::Bytes(bytes) | Body::Json(bytes), .. }) => hasher.write(bytes),
            Request::Put(Put { body: Body::Typed(typed), .. }) => hasher.write(typed.as_packed()),
            Request::Update(Update { patch: PatchBody::Set { path, json }, .. }) => {
                hasher.write(path.as_bytes());
                hasher.write(json);
            }
            Request::Update(Update { patch: PatchBody::Merge { json }, .. }) => hasher.write(json),
            Request::Update(Update { patch: PatchBody::Increment { path, amount }, .. }) => {
                hasher.write(path.as_bytes());
                hasher.write_i64(*amount);
            }
            Request::Update(Update { patch: PatchBody::Elements { path, add, remove }, .. }) => {
                hasher.write_u64(path.len() as u64);
                hasher.write(path.as_bytes());
                for members in [add, remove] {
                    hasher.write_u64(members.len() as u64);
                    members.iter().for_each(|member| {
                        hasher.write_u64(member.len() as u64);
                        hasher.write(member);
                    });
                }
            }
            Request::Expire(expire) => hasher.write_u64(expire.expiry_ms),
            _ => {}
        }
        hasher.finish()
    }
}

/// A request that is refused before anything was done.
pub(super) struct Refusal(pub FailureKind, pub String, pub u32);

impl Peer {
    /// A request has come, from a client or from a peer that has forwarded it.
    pub(super) fn on_request(&mut self, now: Now, to: ReplyTo, request: Request, outbox: &mut Vec<Output>) {
        if let Err(Refusal(kind, message, retry_after_ms)) = self.try_request(now, to, request, outbox) {
            self.reply(to, Reply::Failed(Failure { kind, message, retry_after_ms }), Position(0), outbox);
        }
    }

    fn try_request(&mut self, now: Now, to: ReplyTo, request: Request, outbox: &mut Vec<Output>) -> Result<(), Refusal> {
        match request {
            Request::Describe => self.reply(to, Reply::Description(self.description()), Position(0), outbox),
            Request::Status => {
                let status = self.status(now);
                self.reply(to, Reply::Status(Box::new(status)), Position(0), outbox);
            }
            Request::Form(form) => {
                let after = self.form(now, form.change, outbox).map_err(|reason| Refusal(FailureKind::BadRequest, reason, 0))?;
                self.reply(to, Reply::Formed, after, outbox);
            }
            Request::Ring => {
                let table = self.ring_table().ok_or_else(|| self.not_formed())?;
                self.reply(to, Reply::Ring(table), Position(0), outbox);
            }
            work => self.start(now, to, work, outbox)?,
        }
        Ok(())
    }

    fn start(&mut self, now: Now, to: ReplyTo, request: Request, outbox: &mut Vec<Output>) -> Result<(), Refusal> {
        if self.placement.is_none() {
            return Err(self.not_formed());
        }
        if self.is_overloaded() {
            let message = format!(
                "{} has {} requests under way (at most {REQUESTS_IN_FLIGHT_MAX}) and much to write: try again in a moment",
                self.config.name,
                self.operations.len()
            );
            return Err(Refusal(FailureKind::Overloaded, message, RETRY_HINT_MS));
        }
        let write = Write::of(&request);
        let key = match (&request, &write) {
            (_, Some(write)) => write.key,
            (Request::Get(get), _) => &get.key,
            (Request::List(list), _) => return self.start_scan(now, to, list, outbox),
            (Request::Why(why), _) => return self.start_why(now, to, why, outbox),
            _ => return Ok(()),
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            let message = format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len());
            return Err(Refusal(if key.is_empty() { FailureKind::BadRequest } else { FailureKind::TooLarge }, message, 0));
        }
        let partition = self.partition_of(key);
        if let Some(target) = self.forward_to(to, partition, write.as_ref())? {
            return self.forward(now, to, target, request, outbox);
        }
        let (count, intent) = match &request {
            Request::Put(put) => (&mut self.counts.puts, Intent::put(&put.body)),
            Request::Remove(remove) => (&mut self.counts.removes, Intent::remove(&remove.path)),
            Request::Update(update) => (&mut self.counts.updates, Intent::update(&update.patch, update.ttl_ms > 0)),
            Request::Expire(expire) => (&mut self.counts.updates, Ok(Intent::Expire { never: expire.expiry_ms == 0 })),
            _ => {
                let Request::Get(get) = request else { return Ok(()) };
                return self.start_get(now, to, get, outbox);
            }
        };
        *count += 1;
        match write {
            Some(write) => self.start_write(now, to, (&write, write.digest(&request)), intent.map_err(refused)?, outbox),
            None => Ok(()),
        }
    }

    fn start_write(
        &mut self,
        now: Now,
        to: ReplyTo,
        (write, digest): (&Write<'_>, u64),
        intent: Intent,
        outbox: &mut Vec<Output>,
    ) -> Result<(), Refusal> {
        let partition = self.partition_of(write.key);
        let w = self.quorum(write.w, partition, "W")?;
        let needs_owners = write.context.is_empty() && intent.removes();
        let demand = Demand { w, strict: write.strict, needs_owners };
        self.check_takers(partition, demand)?;
        let is_expiry = write.expiry_ms.is_some();
        if !self.is_owner(partition) && (write.context.is_empty() || is_expiry) && intent.needs_view() {
            let message = "no owner of the key can be reached, and a change of a path without a context, or of an expiry, needs to see what \
                           is there: bring one back or try again later, or write the whole key";
            return Err(Refusal(FailureKind::Unavailable, message.to_string(), RETRY_HINT_MS));
        }
        let sealed = self.open_context(write.key, write.context)?;
        let (again, retry) = self.remembered(write.retry, digest)?;
        self.check_ttl(write.ttl_ms, is_expiry)?;
        let expiry_ms = self.expiry_of(now, write)?;
        // Whose expiry is to be set is read first, unless this is a retry, which spreads what is there.
        let catches_up = is_expiry && again.is_none();
        let drafting = Drafting { key: write.key.clone(), intent, sealed, demand, expiry_ms, retry, has_caught_up: false, again };
        let id = self.next_operation_id();
        let deadline_ms = deadline(now, write.deadline_ms);
        let machine = Machine::Drafting(Box::new(drafting));
        self.begin(now, id, Operation { to, deadline_ms, machine, retry: None });
        match catches_up {
            true => self.catch_up(now, id, outbox),
            false => self.view_for(now, id, outbox),
        }
        Ok(())
    }

    /// When what a write sets expires (milliseconds since 1970); 0: never.
    fn expiry_of(&self, now: Now, write: &Write<'_>) -> Result<u64, Refusal> {
        match write.expiry_ms {
            Some(expiry_ms) if expiry_ms > now.wall_ms.saturating_add(TTL_MS_MAX) => Err(lives_too_long()),
            Some(expiry_ms) => Ok(expiry_ms),
            None if write.ttl_ms == 0 => Ok(0),
            None => Ok(now.wall_ms.saturating_add(write.ttl_ms)),
        }
    }

    /// A peer whose clock is far off would let values expire far too early, everywhere.
    /// Nor can it say what has expired already, and must not be given another expiry.
    fn check_ttl(&self, ttl_ms: u64, is_expiry: bool) -> Result<(), Refusal> {
        if ttl_ms > TTL_MS_MAX {
            return Err(lives_too_long());
        }
        match self.clock_trouble().filter(|_| ttl_ms > 0 || is_expiry) {
            Some(trouble) => {
                let message = format!("{} sets no expiry: {trouble}. Set its clock right, or ask another peer", self.config.name);
                Err(Refusal(FailureKind::Unavailable, message, RETRY_HINT_MS))
            }
            None => Ok(()),
        }
    }

    /// What is remembered of a write that is tried again, and what to remember of it.
    fn remembered(&self, retry: Option<Retry>, digest: u64) -> Result<(Option<Remembered>, Option<RetryNote>), Refusal> {
        let Some(retry) = retry else { return Ok((None, None)) };
        match self.retries.get(retry.session, retry.number) {
            Some(first) if first.digest != digest => {
                let message = format!(
                    "write {} of this session was another request: give each write of a session a number of its own",
                    retry.number
                );
                return Err(Refusal(FailureKind::BadRequest, message, 0));
            }
            _ => {}
        }
        let again = self.retries.get(retry.session, retry.number).cloned();
        let start = self.replica.store().start();
        if again.is_none() && retry.first.is_some_and(|first| first.member == self.me && first.start != start) {
            let message = format!(
                "{} has started anew since the first try and does not remember it: read the key to see whether it took effect",
                self.config.name
            );
            return Err(Refusal(FailureKind::Unknown, message, 0));
        }
        let first = Dot { actor: self.replica.store().actor(), counter: 0 };
        let record =
            RetryNote { session: retry.session, number: retry.number, digest, wall_ms: 0, first, count: 0, covered: Seen::new() };
        Ok((again, Some(record)))
    }

    fn start_get(&mut self, now: Now, to: ReplyTo, get: Get, outbox: &mut Vec<Output>) -> Result<(), Refusal> {
        self.counts.gets += 1;
        let partition = self.partition_of(&get.key);
        let r = self.quorum(get.r, partition, "R")?;
        self.check_reach(partition, r)?;
        let path = Path::parse(&get.path).map_err(|error| Refusal(FailureKind::BadRequest, error.to_string(), 0))?;
        let must_see = self.open_context(&get.key, &get.session)?.map(|sealed| sealed.live).unwrap_or_default();
        let deadline_ms = deadline(now, get.deadline_ms);
        let wanted = Wanted { key: get.key, r, must_see, path, last_writer_wins: get.last_writer_wins };
        self.begin_read(now, to, deadline_ms, wanted, outbox);
        Ok(())
    }

    fn start_scan(&mut self, now: Now, to: ReplyTo, list: &List, outbox: &mut Vec<Output>) -> Result<(), Refusal> {
        self.counts.lists += 1;
        let Some(placement) = &self.placement else { return Err(self.not_formed()) };
        if list.limit == 0 || list.limit as usize > SCAN_PAGE_KEYS_MAX {
            let message = format!("a page has 1 to {SCAN_PAGE_KEYS_MAX} keys, {} were asked for", list.limit);
            return Err(Refusal(FailureKind::BadRequest, message, 0));
        }
        if list.prefix.len() > KEY_BYTES_MAX || list.after.len() > KEY_BYTES_MAX {
            let message = format!("a prefix and a key to go on from have at most {KEY_BYTES_MAX} bytes");
            return Err(Refusal(FailureKind::TooLarge, message, 0));
        }
        // Keys of one `{group}` lie together: a prefix that holds a whole group needs one partition alone.
        let all = match group(&list.prefix) {
            whole if whole.len() == list.prefix.len() => 0..placement.partitions(),
            _ => placement.partition(&list.prefix).0..placement.partition(&list.prefix).0 + 1,
        };
        let r = self.quorum(list.r, PartitionId(all.start), "R")?;
        let live_owners = all.map(|partition| {
            let owners = self.owners_of(PartitionId(partition)).iter().copied();
            (partition, owners.filter(|owner| self.is_live(*owner)).collect::<Vec<_>>())
        });
        let bounds = (list.prefix.clone(), list.after.clone(), list.limit as usize);
        let scan = Scan::new(bounds, live_owners, r, self.me)
            .map_err(|(partition, live)| self.too_few(live, r, "owner", PartitionId(partition)))?;
        let id = self.next_operation_id();
        scan.send(id, &mut self.effects);
        let operation = Operation { to, deadline_ms: deadline(now, list.deadline_ms), machine: Machine::Scan(scan), retry: None };
        self.begin(now, id, operation);
        self.flush_effects(outbox);
        Ok(())
    }

    fn quorum(&self, quorum: Quorum, partition: PartitionId, name: &str) -> Result<usize, Refusal> {
        let replicas = self.owners_of(partition).len();
        quorum_size(quorum, replicas, name).map_err(|message| Refusal(FailureKind::BadRequest, message, 0))
    }

    /// Of a read, stand-ins fill up R for what is found.
    fn check_reach(&self, partition: PartitionId, r: usize) -> Result<(), Refusal> {
        let owners = self.owners_of(partition).iter().filter(|owner| self.is_live(**owner)).count();
        if owners >= r || owners + self.live_stand_ins(partition).take(READ_STAND_INS_MAX).count() >= r {
            Ok(())
        } else {
            Err(self.too_few(owners, r, "R", partition))
        }
    }

    /// Refuses a write that too few could take in.
    fn check_takers(&self, partition: PartitionId, demand: Demand) -> Result<(), Refusal> {
        let Demand { w, strict, needs_owners } = demand;
        let walk = self.walk_of(partition);
        let live = self.owners_of(partition).len() - walk.down.len();
        // One peer that stands in for several owners counts once.
        let takers = live + walk.stand_ins.len().min(walk.down.len());
        if live >= w || (takers >= w && !strict && !needs_owners) {
            return Ok(());
        }
        if needs_owners && takers >= w && !strict {
            let down = walk.down.iter().map(|owner| self.name_of(*owner)).collect::<Vec<_>>().join(", ");
            let message = format!(
                "a removal without a context needs {w} owners of the key, and {live} can be reached (down: {down}): nothing was done; read \
                 the key first and remove with the context of that answer, or wait until they are back"
            );
            return Err(Refusal(FailureKind::Unavailable, message, RETRY_HINT_MS));
        }
        Err(self.too_few(live, w, "W", partition))
    }

    pub(super) fn too_few(&self, live: usize, needed: usize, name: &str, partition: PartitionId) -> Refusal {
        let owners = self.owners_of(partition);
        let down = owners.iter().filter(|owner| !self.is_live(**owner)).map(|owner| self.name_of(*owner)).collect::<Vec<_>>();
        let message = format!(
            "{live} of the key's {} owners can be reached, and {name}={needed} are needed (down: {}): nothing was done; bring them \
             back or try again later",
            owners.len(),
            down.join(", ")
        );
        Refusal(FailureKind::Unavailable, message, RETRY_HINT_MS)
    }

    fn open_context(&self, key: &[u8], context: &[u8]) -> Result<Option<Sealed>, Refusal> {
        if context.is_empty() {
            return Ok(None);
        }
        if context.len() > CONTEXT_BYTES_MAX {
            let message = format!("a context has at most {CONTEXT_BYTES_MAX} bytes, this one {}", context.len());
            return Err(Refusal(FailureKind::TooLarge, message, 0));
        }
        match Sealed::open(context, &self.seal_keys(), key) {
            Ok(sealed) => Ok(Some(sealed)),
            Err(error) => Err(Refusal(FailureKind::BadContext, error.to_string(), 0)),
        }
    }

    pub(super) fn not_formed(&self) -> Refusal {
        let message = format!("{} belongs to no cluster yet: form one with `henge form ADDR…`", self.config.name);
        Refusal(FailureKind::NotFormed, message, 0)
    }

    pub(super) fn seal_keys(&self) -> SealKeys {
        let secret = self.placement.as_ref().map(|placement| *placement.secret()).unwrap_or_default();
        SealKeys { newest: SealKey { number: 0, secret }, previous: None }
    }

    pub(super) fn partition_of(&self, key: &[u8]) -> PartitionId {
        self.placement.as_ref().map_or(PartitionId(0), |placement| placement.partition(key))
    }

    pub(super) fn drafting_key(&self, id: OperationId) -> Option<Bytes> {
        match &self.operations.get(&id)?.machine {
            Machine::Drafting(drafting) => Some(drafting.key.clone()),
            _ => None,
        }
    }

    /// A patch must see the paths of the document; the present state is what a retry spreads.
    pub(super) fn drafting_needs_values(&self, id: OperationId) -> bool {
        self.operations.get(&id).is_some_and(|operation| match &operation.machine {
            Machine::Drafting(drafting) => drafting.again.is_some() || drafting.intent.needs_values(),
            _ => false,
        })
    }
}

fn lives_too_long() -> Refusal {
    let message = format!("a value lives for at most {} days, or for ever", TTL_MS_MAX / (24 * 3_600 * 1_000));
    Refusal(FailureKind::BadRequest, message, 0)
}

fn refused(error: DraftError) -> Refusal {
    match error {
        DraftError::ValueTooLarge(_) | DraftError::TooManyMembers(_) => Refusal(FailureKind::TooLarge, error.to_string(), 0),
        _ => Refusal(FailureKind::BadRequest, error.to_string(), 0),
    }
}

/// How long a request may take, as it says itself (milliseconds); 0: it does not say.
pub(super) fn deadline_of(request: &Request) -> u32 {
    match request {
        Request::Put(put) => put.deadline_ms,
        Request::Remove(remove) => remove.deadline_ms,
        Request::Update(update) => update.deadline_ms,
        Request::Expire(expire) => expire.deadline_ms,
        Request::Get(get) => get.deadline_ms,
        Request::List(list) => list.deadline_ms,
        Request::Why(why) => why.deadline_ms,
        _ => 0,
    }
}

pub(super) fn deadline(now: Now, asked_ms: u32) -> u64 {
    let wait = if asked_ms == 0 { REQUEST_DEADLINE_MS } else { u64::from(asked_ms).min(REQUEST_DEADLINE_MS_MAX) };
    now.monotonic_ms + wait
}
