//! What a put and a get cost the core: three peers in one thread, every message through the codec, the log on a file that is never synced.
//!
//! `cargo bench --bench peer [-- SECONDS]` prints nanoseconds of CPU for one request, over all three peers together. Client, sockets and
//! threads are not in it.

use bytes::{Bytes, BytesMut};
use henge::message::{Body, Form, Get, Message, Position, Put, Quorum, Reply, Request, SyncMode};
use henge::peer::{Input, Now, Origin, Output, Peer, PeerConfig};
use henge::ring::{Change, ClusterId, Founder, MemberId};
use henge::server::file_disk::FileDisk;
use henge::storage::{OpenFiles, OpenOptions, Store, StoreOptions, execute};
use henge::wire;
use std::collections::VecDeque;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Machine {
    peer: Peer,
    disk: FileDisk,
    files: OpenFiles<FileDisk>,
}

struct Cluster {
    machines: Vec<Machine>,
    ids: Vec<MemberId>,
    mail: VecDeque<(usize, MemberId, BytesMut)>,
    outbox: Vec<Output>,
    now: Now,
    replies: u64,
    last: Option<Reply>,
}

impl Cluster {
    fn new(folder: &Path) -> Cluster {
        let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
        let now = Now { monotonic_ms: 1, wall_ms };
        let machines: Vec<Machine> = (0..3).map(|at| machine(&folder.join(format!("peer-{at}")), at, now)).collect();
        let ids: Vec<MemberId> = machines.iter().map(|machine| machine.peer.introduction().member).collect();
        let mut cluster = Cluster { machines, ids, mail: VecDeque::new(), outbox: Vec::new(), now, replies: 0, last: None };
        cluster.form();
        cluster
    }

    fn form(&mut self) {
        let founder = |at: usize| Founder {
            member: self.ids[at],
            name: format!("p{at}"),
            address: format!("p{at}:1"),
            zone: String::new(),
            weight: 1,
        };
        let change = Change::Formed {
            cluster: ClusterId(1),
            secret: [1; 16],
            partitions: 256,
            replicas: 3,
            placement_rule: 1,
            founders: (0..3).map(founder).collect(),
        };
        for at in 0..3 {
            self.step(
                at,
                Input::Request { from: Origin { client: 0, request: 0 }, request: Request::Form(Form { change: change.clone() }) },
            );
        }
        for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            let other = self.machines[b].peer.introduction();
            self.step(a, Input::LinkUp { member: other.member, actor: other.actor, start: other.start });
        }
        self.run();
    }

    fn step(&mut self, at: usize, input: Input) {
        let from = self.ids[at];
        let mut outbox = std::mem::take(&mut self.outbox);
        self.machines[at].peer.step(self.now, input, &mut outbox);
        for output in outbox.drain(..) {
            match output {
                Output::Send { to, message, after } => {
                    assert_eq!(after, Position(0), "without syncs nothing waits");
                    let to = self.ids.iter().position(|id| *id == to).expect("a member");
                    let mut frame = BytesMut::new();
                    wire::encode_message(&message, &mut frame).expect("a small message");
                    self.mail.push_back((to, from, frame));
                }
                Output::Reply { reply, .. } => {
                    let mut frame = BytesMut::new();
                    wire::encode_reply(1, &reply, &mut frame).expect("a small reply");
                    self.replies += 1;
                    self.last = Some(reply);
                }
                Output::Disk(job) => {
                    let machine = &mut self.machines[at];
                    let done = execute(&machine.disk, &mut machine.files, job);
                    machine.peer.step(self.now, Input::Disk(done), &mut Vec::new());
                }
                Output::Members | Output::HangUp => {}
                Output::Halt { reason } | Output::Refused { reason } => panic!("{reason}"),
            }
        }
        self.outbox = outbox;
    }

    fn run(&mut self) {
        let start = self.machines[0].peer.introduction().start;
        while let Some((to, from, mut frame)) = self.mail.pop_front() {
            let frame = wire::take_frame(&mut frame, 1 << 24).expect("whole").expect("a frame");
            let message: Message = wire::decode_message(&frame).expect("a message");
            self.step(to, Input::Message { from, start, message });
        }
    }

    fn flush(&mut self) {
        for at in 0..3 {
            let machine = &mut self.machines[at];
            if let Some(job) = machine.peer.take_log_write(self.now) {
                let done = execute(&machine.disk, &mut machine.files, job);
                self.step(at, Input::Disk(done));
            }
        }
        self.run();
    }

    /// Sends requests to an owner of their key, each through the codec, in batches of 16 with one log write each.
    fn drive(&mut self, name: &str, seconds: f64, mut request: impl FnMut(u64) -> Request) {
        let (begin, first) = (Instant::now(), self.replies);
        let mut count = 0;
        while begin.elapsed().as_secs_f64() < seconds {
            for _ in 0..16 {
                let mut frame = BytesMut::new();
                wire::encode_request(count, &request(count), &mut frame).expect("a small request");
                let frame = wire::take_frame(&mut frame, 1 << 24).expect("whole").expect("a frame");
                let request = wire::decode_request(&frame).expect("a request");
                self.step((count % 3) as usize, Input::Request { from: Origin { client: 0, request: count }, request });
                count += 1;
            }
            self.run();
            self.flush();
            self.now.monotonic_ms += 1;
            if count.is_multiple_of(16 * 256) {
                (0..3).for_each(|at| self.step(at, Input::Wake));
            }
        }
        let taken = begin.elapsed();
        assert_eq!(self.replies - first, count, "every request was answered");
        assert!(!matches!(self.last, Some(Reply::Failed(_))), "{:?}", self.last);
        println!(
            "{name:<28} {:>8.0} ns a request {:>12.0} requests/s",
            taken.as_nanos() as f64 / count as f64,
            count as f64 / taken.as_secs_f64()
        );
    }
}

fn machine(folder: &Path, at: u64, now: Now) -> Machine {
    std::fs::create_dir_all(folder).expect("a temporary folder");
    let disk = FileDisk::open(folder).expect("nobody else uses it");
    let options = StoreOptions { sync: SyncMode::Never, cache_bytes: 1 << 30, log: OpenOptions::new(now.wall_ms, at + 1) };
    let (store, _) = Store::open(&disk, &options).expect("an empty store");
    let config = PeerConfig { name: format!("p{at}"), address: format!("p{at}:1"), zone: String::new(), weight: 1, hedges: true };
    Machine { peer: Peer::new(store, config, at, now), disk, files: OpenFiles::default() }
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(2.0);
    let folder = std::env::temp_dir().join(format!("henge-bench-peer-{}", std::process::id()));
    let mut cluster = Cluster::new(&folder);
    let keys: Vec<Bytes> = (0..100_000).map(|n| Bytes::from(format!("user:{n:08}"))).collect();
    let key = |n: u64| keys[(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys.len() as u64) as usize].clone();
    let value = Bytes::from(vec![b'x'; 100]);
    let put = |key: Bytes, body: Body| {
        Request::Put(Put {
            key,
            body,
            context: Bytes::new(),
            w: Quorum::Default,
            deadline_ms: 0,
            retry: None,
            strict: false,
            ttl_ms: 0,
        })
    };
    let get = |key: Bytes| {
        let (path, session) = (String::new(), Bytes::new());
        Request::Get(Get { key, path, r: Quorum::Default, session, last_writer_wins: false, deadline_ms: 0 })
    };
    cluster.drive("put, 100 bytes, new", seconds / 4.0, |n| put(keys[n as usize % keys.len()].clone(), Body::Bytes(value.clone())));
    cluster.drive("put, 100 bytes", seconds, |n| put(key(n), Body::Bytes(value.clone())));
    cluster.drive("get, R=2", seconds, |n| get(key(n)));
    let document =
        Bytes::from_static(br#"{"name":"Ada","born":1815,"city":"London","tags":["a","b"],"address":{"street":"x","no":12}}"#);
    cluster.drive("put, document of 6 leaves", seconds, |n| put(key(n), Body::Json(document.clone())));
    cluster.drive("get, document of 6 leaves", seconds, |n| get(key(n)));
    drop(cluster);
    let _ = std::fs::remove_dir_all(&folder);
}
