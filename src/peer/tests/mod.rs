//! Peers wired together in one process: messages arrive at once and in order, unless a test holds them back.

mod closing;
mod comparing;
mod counters;
mod damage;
mod damaged_hints;
mod expiry;
mod explanations;
mod full_disks;
mod gossip;
mod handoff;
mod memory_disk;
mod pauses;
mod reads;
mod sets;
mod stand_in_reads;
mod writes;

use super::{Input, Now, Origin, Output, Peer, PeerConfig};
use crate::message::{Body, Failure, Form, Found, Get, Message, PatchBody, Put, Quorum, Receipt, Remove, Reply, Request, Update};
use crate::message::{List, Retry, SyncMode, Value};
use crate::ring::{Change, ClusterId, Founder, MemberId, PartitionId};
use crate::storage::{OpenFiles, OpenOptions, Store, StoreOptions, execute};
use crate::vclock::Start;
use bytes::Bytes;
use memory_disk::MemoryDisk;
use std::collections::{BTreeMap, VecDeque};

struct Machine {
    disk: MemoryDisk,
    files: OpenFiles<MemoryDisk>,
    peer: Option<Peer>,
    held: Vec<Output>,
}

type Filter = Box<dyn Fn(usize, &Message) -> bool>;

/// Some peers of one cluster.
struct Cluster {
    now: Now,
    machines: Vec<Machine>,
    mail: VecDeque<(usize, (MemberId, Start), Message)>,
    replies: BTreeMap<u64, Reply>,
    /// What is told of each message before it is delivered; false drops it.
    filter: Filter,
    /// Every message that was told to the filter, for tests that want to know (set to `Some`).
    offered: Option<Vec<(usize, Message)>>,
    requests: u64,
    options: StoreOptions,
}

impl Cluster {
    fn new(peers: usize) -> Cluster {
        Cluster::with_sync(peers, SyncMode::Always)
    }

    fn with_sync(peers: usize, sync: SyncMode) -> Cluster {
        let log = OpenOptions { segment_bytes_min: 1 << 16, segment_bytes_max: 1 << 20, ..OpenOptions::new(1_700_000_000_000, 0) };
        let options = StoreOptions { sync, cache_bytes: 1 << 20, log };
        let machine = |_| Machine { disk: MemoryDisk::default(), files: OpenFiles::default(), peer: None, held: Vec::new() };
        let mut cluster = Cluster {
            now: Now { monotonic_ms: 1_000, wall_ms: 1_700_000_000_000 },
            machines: (0..peers).map(machine).collect(),
            mail: VecDeque::new(),
            replies: BTreeMap::new(),
            filter: Box::new(|_, _| true),
            offered: None,
            requests: 0,
            options,
        };
        (0..peers).for_each(|at| cluster.start(at));
        let founders = (0..peers).map(|at| cluster.founder(at)).collect();
        let change =
            Change::Formed { cluster: ClusterId(7), secret: [9; 16], partitions: 8, replicas: 3, placement_rule: 1, founders };
        for at in 0..peers {
            assert_eq!(cluster.ask(at, Request::Form(Form { change: change.clone() })), Reply::Formed);
        }
        (0..peers).for_each(|at| cluster.connect(at));
        cluster
    }

    fn founder(&self, at: usize) -> Founder {
        Founder {
            member: self.id(at),
            name: format!("p{at}"),
            address: format!("127.0.0.1:{}", 7401 + at),
            zone: String::new(),
            weight: 1,
        }
    }

    fn id(&self, at: usize) -> MemberId {
        self.peer(at).introduction().member
    }

    fn peer(&self, at: usize) -> &Peer {
        self.machines[at].peer.as_ref().expect("the peer is up")
    }

    fn start(&mut self, at: usize) {
        let seed = 1 + at as u64 + self.now.monotonic_ms * 100;
        let log = OpenOptions { wall_ms: self.now.wall_ms, seed, ..self.options.log };
        let (store, _) = Store::open(&self.machines[at].disk, &StoreOptions { log, ..self.options }).expect("the store opens");
        let config = PeerConfig {
            name: format!("p{at}"),
            address: format!("127.0.0.1:{}", 7401 + at),
            zone: String::new(),
            weight: 1,
            hedges: true,
        };
        self.machines[at].files = OpenFiles::default();
        self.machines[at].peer = Some(Peer::new(store, config, seed, self.now));
    }

    /// Links a peer with all others that are up.
    fn connect(&mut self, at: usize) {
        for other in (0..self.machines.len()).filter(|other| *other != at) {
            if self.machines[other].peer.is_some() {
                let (a, b) = (self.peer(at).introduction(), self.peer(other).introduction());
                assert_eq!(self.peer(at).check_introduction(&b), Ok(()));
                self.step(at, Input::LinkUp { member: b.member, actor: b.actor, start: b.start });
                self.step(other, Input::LinkUp { member: a.member, actor: a.actor, start: a.start });
            }
        }
        self.run();
    }

    fn kill(&mut self, at: usize) {
        let member = self.id(at);
        self.machines[at].peer = None;
        self.machines[at].held.clear();
        self.mail.retain(|mail| mail.0 != at && mail.1.0 != member);
        for other in 0..self.machines.len() {
            if self.machines[other].peer.is_some() {
                self.step(other, Input::LinkDown { member });
            }
        }
        self.run();
    }

    fn step(&mut self, at: usize, input: Input) {
        let Some(peer) = &mut self.machines[at].peer else { return };
        let mut outbox = Vec::new();
        peer.step(self.now, input, &mut outbox);
        self.machines[at].held.extend(outbox);
        self.flush(at);
    }

    fn flush(&mut self, at: usize) {
        loop {
            let machine = &mut self.machines[at];
            let Some(peer) = &mut machine.peer else { return };
            let from = (peer.introduction().member, peer.introduction().start);
            let released = peer.released();
            let mut jobs = Vec::new();
            for output in std::mem::take(&mut machine.held) {
                match output {
                    Output::Send { to, message, after } if after <= released => {
                        let to =
                            (0..self.machines.len()).find(|other| self.machines[*other].peer.is_some() && self.id(*other) == to);
                        if let (Some(to), Some(offered)) = (to, &mut self.offered) {
                            offered.push((to, message.clone()));
                        }
                        if let Some(to) = to.filter(|to| (self.filter)(*to, &message)) {
                            self.mail.push_back((to, from, message));
                        }
                    }
                    Output::Reply { to, reply, after } if after <= released => drop(self.replies.insert(to.request, reply)),
                    Output::Disk(job) => jobs.push(job),
                    Output::Members | Output::HangUp => {}
                    Output::Halt { reason } | Output::Refused { reason } => panic!("{reason}"),
                    waiting => self.machines[at].held.push(waiting),
                }
            }
            let now = self.now;
            let machine = &mut self.machines[at];
            let Some(peer) = &mut machine.peer else { return };
            jobs.extend(peer.take_log_write(now));
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                let done = execute(&machine.disk, &mut machine.files, job);
                let mut outbox = Vec::new();
                peer.step(now, Input::Disk(done), &mut outbox);
                machine.held.extend(outbox);
            }
        }
    }

    /// What has been sent since the last look, whether or not the filter let it through.
    fn take_offered(&mut self) -> Vec<(usize, Message)> {
        self.offered.replace(Vec::new()).unwrap_or_default()
    }

    /// Delivers all mail.
    fn run(&mut self) {
        while let Some((to, (from, start), message)) = self.mail.pop_front() {
            self.step(to, Input::Message { from, start, message });
        }
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now.monotonic_ms + ms;
        while self.now.monotonic_ms < until {
            self.now = Now { monotonic_ms: self.now.monotonic_ms + 50, wall_ms: self.now.wall_ms + 50 };
            (0..self.machines.len()).for_each(|at| self.step(at, Input::Wake));
            self.run();
        }
    }

    fn begin(&mut self, at: usize, request: Request) -> u64 {
        self.requests += 1;
        let id = self.requests;
        self.step(at, Input::Request { from: Origin { client: 1, request: id }, request });
        self.run();
        id
    }

    /// Asks a peer, and waits up to the deadline for its answer.
    fn ask(&mut self, at: usize, request: Request) -> Reply {
        let id = self.begin(at, request);
        for _ in 0..200 {
            if let Some(reply) = self.replies.remove(&id) {
                return reply;
            }
            self.wait(50);
        }
        panic!("no answer in ten seconds");
    }

    /// The peers that own a key, in order, and then those that do not.
    fn owners(&self, key: &str) -> Vec<usize> {
        let up = (0..self.machines.len()).find(|at| self.machines[*at].peer.is_some()).expect("a peer is up");
        let peer = self.peer(up);
        let owners = peer.owners_of(peer.partition_of(key.as_bytes())).to_vec();
        let index = |founder: &Founder| founder.name[1..].parse::<usize>().expect("a number");
        let of = |id: &MemberId| index(peer.founders().iter().find(|founder| founder.member == *id).expect("a member"));
        let mut order: Vec<usize> = owners.iter().map(of).collect();
        order.extend((0..self.machines.len()).filter(|at| !order.contains(at)).collect::<Vec<_>>());
        order
    }

    fn put(&mut self, at: usize, key: &str, json: &str, context: &Bytes) -> Receipt {
        written(self.ask(at, put(key, json, context)))
    }

    fn get(&mut self, at: usize, key: &str) -> Reply {
        self.ask(at, get(key, ""))
    }

    fn found(&mut self, at: usize, key: &str) -> Found {
        match self.get(at, key) {
            Reply::Found(found) => found,
            other => panic!("{key}: {other:?}"),
        }
    }
}

fn put(key: &str, json: &str, context: &Bytes) -> Request {
    Request::Put(Put {
        key: bytes(key),
        body: Body::Json(bytes(json)),
        context: context.clone(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    })
}

fn get(key: &str, path: &str) -> Request {
    Request::Get(Get {
        key: bytes(key),
        path: path.into(),
        r: Quorum::Default,
        session: Bytes::new(),
        last_writer_wins: false,
        deadline_ms: 0,
    })
}

fn set(key: &str, path: &str, json: &str, context: &Bytes) -> Request {
    let patch = PatchBody::Set { path: path.into(), json: bytes(json) };
    Request::Update(Update {
        key: bytes(key),
        patch,
        context: context.clone(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    })
}

fn remove(key: &str, path: &str, context: &Bytes) -> Request {
    Request::Remove(Remove {
        key: bytes(key),
        path: path.into(),
        context: context.clone(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
    })
}

fn written(reply: Reply) -> Receipt {
    match reply {
        Reply::Written(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

fn failed(reply: Reply) -> Failure {
    match reply {
        Reply::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn json(text: &str) -> Option<Value> {
    Some(Value::Json(bytes(text)))
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

const NONE: Bytes = Bytes::new();
