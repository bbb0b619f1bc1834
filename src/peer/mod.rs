//! A stand-in for the peer while it is being built elsewhere: one member, values in a map, the real log.
#![allow(missing_docs)]

use crate::limits;
use crate::message::*;
use crate::ring::{Change, ClusterId, Founder, MemberId};
use crate::storage::{Disk, DiskDone, DiskJob, Log, OpenError, OpenOptions, Record};
use crate::vclock::{Actor, Start};
use bytes::Bytes;
use std::collections::BTreeMap;

#[derive(Clone, Copy)]
pub struct Now {
    pub monotonic_ms: u64,
    pub wall_ms: u64,
}
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Origin {
    pub client: u64,
    pub request: u64,
}
pub enum Input {
    LinkUp { member: MemberId, start: Start },
    LinkDown { member: MemberId },
    Message { from: MemberId, message: Message },
    Request { from: Origin, request: Request },
    Disk(DiskDone),
    Wake,
}
pub enum Output {
    Send { to: MemberId, message: Message, after: Position },
    Reply { to: Origin, reply: Reply, after: Position },
    Disk(DiskJob),
    Members,
    Halt { reason: String },
}
pub struct PeerConfig {
    pub name: String,
    pub address: String,
    pub zone: String,
    pub weight: u16,
    pub sync: SyncMode,
}
#[derive(Clone, Debug)]
pub struct Introduction {
    pub member: MemberId,
    pub actor: Actor,
    pub start: Start,
    pub cluster: Option<ClusterId>,
    pub address: String,
    pub name: String,
}
pub struct StoreOptions {
    pub sync: SyncMode,
    pub cache_bytes: usize,
}
pub struct Store {
    log: Log,
    identity: crate::storage::Identity,
    changes: Vec<Change>,
}
impl Store {
    pub fn open<D: Disk>(disk: &D, _options: StoreOptions, wall_ms: u64, seed: u64) -> Result<Store, OpenError> {
        let mut changes = Vec::new();
        let mut visit = |_, _, record: &Record<'_>| {
            if let Record::Membership { change, .. } = record {
                changes.push(rmp_serde::from_slice(change).unwrap());
            }
        };
        let opened = crate::storage::open(disk, &OpenOptions::new(wall_ms, seed), &mut visit)?;
        Ok(Store { log: opened.log, identity: opened.identity, changes })
    }
}
pub struct Peer {
    store: Store,
    config: PeerConfig,
    values: BTreeMap<Bytes, Bytes>,
    founders: Vec<Founder>,
    links: BTreeMap<MemberId, bool>,
    started: u64,
    idle_at: Option<u64>,
}
impl Peer {
    pub fn new(store: Store, config: PeerConfig, _seed: u64, now: Now) -> Peer {
        let founders = store
            .changes
            .first()
            .map(|change| {
                let Change::Formed { founders, .. } = change;
                founders.clone()
            })
            .unwrap_or_default();
        Peer { store, config, values: BTreeMap::new(), founders, links: BTreeMap::new(), started: now.monotonic_ms, idle_at: None }
    }
    pub fn step(&mut self, now: Now, input: Input, outbox: &mut Vec<Output>) {
        match input {
            Input::LinkUp { member, .. } => drop(self.links.insert(member, true)),
            Input::LinkDown { member } => drop(self.links.insert(member, false)),
            Input::Message { .. } => {}
            Input::Disk(DiskDone::Written(done)) => {
                if let Err(error) = self.store.log.on_write_done(done) {
                    outbox.push(Output::Halt { reason: error.to_string() });
                }
                self.idle_at = self.store.log.needs_idle_mark().then_some(now.monotonic_ms + limits::IDLE_MARK_MS);
            }
            Input::Disk(DiskDone::Prepared(done)) => drop(self.store.log.on_prepared(done)),
            Input::Disk(_) => {}
            Input::Wake => {}
            Input::Request { from, request } => self.request(now, from, request, outbox),
        }
        if let Some(job) = self.store.log.take_prepare(now.wall_ms) {
            outbox.push(Output::Disk(DiskJob::Prepare(job)));
        }
    }
    fn request(&mut self, now: Now, to: Origin, request: Request, outbox: &mut Vec<Output>) {
        let me = Attempt { member: self.store.identity.member, start: self.store.identity.start };
        let mut after = Position(0);
        let failed = |kind, message: &str| Reply::Failed(Failure { kind, message: message.into(), retry_after_ms: 0 });
        let reply = match request {
            Request::Put(put) => {
                let (Body::Bytes(value) | Body::Json(value)) = &put.body;
                let record = Record::Entry { partition: 0, epoch: 0, key: &put.key, entry: value, gone: &[], retry: None };
                after = self.store.log.append(&record).unwrap().position;
                self.idle_at = Some(now.monotonic_ms + limits::IDLE_MARK_MS);
                self.values.insert(Bytes::copy_from_slice(&put.key), Bytes::copy_from_slice(value));
                let acks = vec![Ack { member: me.member, sync: self.config.sync }];
                Reply::Written(Receipt { coordinator: me, acks, dots: vec![], covered: vec![], context: Bytes::new() })
            }
            Request::Get(get) => match self.values.get(&get.key) {
                Some(value) => Reply::Found(Found {
                    value: Some(Value::Bytes(value.clone())),
                    conflicts: vec![],
                    hidden: 0,
                    context: Bytes::new(),
                    answered: 1,
                    agreed: 1,
                    dots: vec![],
                }),
                None => Reply::Missing(Missing { context: Bytes::new(), answered: 1 }),
            },
            Request::Ring if self.founders.is_empty() => failed(FailureKind::NotFormed, "not formed"),
            Request::Ring => Reply::Ring(RingTable {
                cluster: self.cluster().unwrap(),
                replicas: 3,
                members: self.founders.clone(),
                owners: (0..256)
                    .map(|p| (0..self.founders.len().min(3)).map(|i| ((p + i) % self.founders.len()) as u16).collect())
                    .collect(),
            }),
            Request::Status => Reply::Status(Box::new(Status {
                member: MemberStatus {
                    member: me.member,
                    name: self.config.name.clone(),
                    address: self.config.address.clone(),
                    cluster: self.cluster(),
                    start: me.start,
                    version: "0".into(),
                    sync: self.config.sync,
                    uptime_ms: now.monotonic_ms - self.started,
                    partitions: 0,
                    keys: self.values.len() as u64,
                    contexts: 0,
                    log_bytes: 0,
                    trie_bytes: 0,
                    in_flight: 0,
                    requests: RequestCounts::default(),
                    repairs: 0,
                },
                links: self
                    .founders
                    .iter()
                    .filter(|f| f.member != me.member)
                    .map(|f| LinkStatus {
                        member: f.member,
                        name: f.name.clone(),
                        address: f.address.clone(),
                        up: self.links.get(&f.member) == Some(&true),
                    })
                    .collect(),
            })),
            Request::Describe => Reply::Description(Description {
                founder: Founder {
                    member: me.member,
                    name: self.config.name.clone(),
                    address: self.config.address.clone(),
                    zone: self.config.zone.clone(),
                    weight: self.config.weight,
                },
                changes: self.store.changes.clone(),
            }),
            Request::Form(form) => {
                let change = rmp_serde::to_vec(&form.change).unwrap();
                after = self.store.log.append(&Record::Membership { index: 0, change: &change }).unwrap().position;
                let Change::Formed { founders, .. } = &form.change;
                self.founders = founders.clone();
                self.store.changes = vec![form.change];
                outbox.push(Output::Members);
                Reply::Formed
            }
            _ => failed(FailureKind::BadRequest, "the stand-in does not do this"),
        };
        outbox.push(Output::Reply { to, reply, after });
    }
    fn cluster(&self) -> Option<ClusterId> {
        self.store.changes.first().map(|Change::Formed { cluster, .. }| *cluster)
    }
    pub fn take_log_write(&mut self, now: Now) -> Option<DiskJob> {
        if let Some(write) = self.store.log.take_write(true) {
            return Some(DiskJob::Write(write));
        }
        if self.idle_at.is_some_and(|at| at <= now.monotonic_ms) && self.store.log.needs_idle_mark() {
            self.idle_at = None;
            return self.store.log.take_idle_mark().map(DiskJob::Write);
        }
        None
    }
    pub fn released(&self) -> Position {
        self.store.log.progress().durable
    }
    pub fn next_wake(&self) -> Option<u64> {
        self.idle_at
    }
    pub fn founders(&self) -> &[Founder] {
        &self.founders
    }
    pub fn introduction(&self) -> Introduction {
        let identity = &self.store.identity;
        let (address, name) = (self.config.address.clone(), self.config.name.clone());
        Introduction {
            member: identity.member,
            actor: identity.actor,
            start: identity.start,
            cluster: self.cluster(),
            address,
            name,
        }
    }
    pub fn check_introduction(&self, other: &Introduction) -> Result<(), String> {
        if self.cluster().is_some() && other.cluster == self.cluster() { Ok(()) } else { Err("another cluster".into()) }
    }
    pub fn overloaded(&self) -> bool {
        false
    }
    pub fn stop(&mut self, _now: Now) {
        self.store.log.stop();
    }
    pub fn is_drained(&self) -> bool {
        self.store.log.is_stopped()
    }
}
