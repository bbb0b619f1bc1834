//! Two owners of one partition in one thread, every message through the codec, to count what comparing them costs in bytes.

use bytes::{Bytes, BytesMut};
use henge::message::{Apply, Comparing, Form, Message, OperationId, Request, SyncMode};
use henge::peer::{Input, Now, Origin, Output, Peer, PeerConfig};
use henge::ring::{Change, ClusterId, Founder, MemberId, PartitionId};
use henge::server::file_disk::FileDisk;
use henge::storage::{OpenFiles, OpenOptions, Store, StoreOptions, execute};
use henge::vclock::{Actor, Dot, Entry, Kind, Path, Seen, Start, Timestamp, Version, pack};
use henge::wire;
use std::collections::VecDeque;
use std::path::PathBuf;

/// What a pull has cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Bytes of all frames of both directions, headers included.
    pub bytes: usize,
    /// Frames.
    pub frames: usize,
}

struct Machine {
    peer: Peer,
    disk: FileDisk,
    files: OpenFiles<FileDisk>,
}

/// The two. Both write under the same foreign actor, so that they can be given the same.
pub struct TwoOwners {
    folder: PathBuf,
    machines: Vec<Machine>,
    mail: VecDeque<(usize, Message)>,
    now: Now,
    cost: Cost,
    dots: u64,
}

const PARTITION: PartitionId = PartitionId(0);

impl TwoOwners {
    /// Two empty ones.
    pub fn new(name: &str) -> TwoOwners {
        let folder = std::env::temp_dir().join(format!("henge-{name}-{}", std::process::id()));
        let now = Now { monotonic_ms: 1, wall_ms: 1_700_000_000_000 };
        let machine = |at: u64| {
            let folder = folder.join(format!("owner-{at}"));
            std::fs::create_dir_all(&folder).expect("a temporary folder");
            let disk = FileDisk::open(&folder).expect("nobody else uses it");
            let options = StoreOptions { sync: SyncMode::Never, cache_bytes: 64 << 20, log: OpenOptions::new(now.wall_ms, at + 1) };
            let (store, _) = Store::open(&disk, &options).expect("an empty store");
            let config =
                PeerConfig { name: format!("p{at}"), address: format!("p{at}:1"), zone: String::new(), weight: 1, hedges: true };
            let mut peer = Peer::new(store, config, at, now);
            peer.set_comparing(None);
            Machine { peer, disk, files: OpenFiles::default() }
        };
        let machines = vec![machine(0), machine(1)];
        let cost = Cost { bytes: 0, frames: 0 };
        let mut owners = TwoOwners { folder, machines, mail: VecDeque::new(), now, cost, dots: 0 };
        let founder = |at: usize| Founder {
            member: owners.id(at),
            name: format!("p{at}"),
            address: format!("p{at}:1"),
            zone: String::new(),
            weight: 1,
        };
        let change = Change::Formed {
            cluster: ClusterId(1),
            secret: *b"sixteen byte key",
            partitions: 1,
            replicas: 2,
            placement_rule: 1,
            founders: vec![founder(0), founder(1)],
        };
        for at in 0..2 {
            let request = Request::Form(Form { change: change.clone() });
            owners.step(at, Input::Request { from: Origin { client: 0, request: 0 }, request });
        }
        owners
    }

    fn id(&self, at: usize) -> MemberId {
        self.machines[at].peer.introduction().member
    }

    fn step(&mut self, at: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let machine = &mut self.machines[at];
            let mut outbox = Vec::new();
            machine.peer.step(self.now, input, &mut outbox);
            let write = machine.peer.take_log_write(self.now).map(Output::Disk);
            for output in outbox.into_iter().chain(write) {
                match output {
                    Output::Send { message, .. } => self.send(1 - at, &message),
                    Output::Disk(job) => {
                        let machine = &mut self.machines[at];
                        inputs.push_back(Input::Disk(execute(&machine.disk, &mut machine.files, job)));
                    }
                    Output::Halt { reason } | Output::Refused { reason } => panic!("{reason}"),
                    Output::Reply { .. } | Output::Members | Output::HangUp => {}
                }
            }
        }
    }

    fn send(&mut self, to: usize, message: &Message) {
        let mut frame = BytesMut::new();
        wire::encode_message(message, &mut frame).expect("it fits a frame");
        if matches!(message, Message::Comparing(comparing) if !matches!(**comparing, Comparing::Declined(_))) {
            self.cost.bytes += frame.len();
            self.cost.frames += 1;
        }
        let frame = wire::take_frame(&mut frame, 1 << 24).expect("sound").expect("whole");
        self.mail.push_back((to, wire::decode_message(&frame).expect("what we write we read")));
    }

    fn message(&mut self, to: usize, message: Message) {
        let from = &self.machines[1 - to].peer.introduction();
        self.step(to, Input::Message { from: from.member, start: from.start, message });
    }

    /// Gives some owners a version of a key, over whatever they hold of it.
    pub fn put(&mut self, owners: &[usize], key: &str, value: &str) {
        self.dots += 1;
        let dot = Dot { actor: Actor(0x1122_3344_5566_7788), counter: Start(1_700_000_000).base() + self.dots };
        let value = Bytes::copy_from_slice(value.as_bytes());
        let version = Version { dot, path: Path::ROOT, kind: Kind::Bytes, value, time: Timestamp(1 << 40), expiry_ms: 0 };
        self.write(owners, key, vec![version]);
    }

    /// Removes a key at some owners.
    pub fn remove(&mut self, owners: &[usize], key: &str) {
        self.write(owners, key, Vec::new());
    }

    fn write(&mut self, owners: &[usize], key: &str, versions: Vec<Version>) {
        for at in owners {
            let clock: &Seen = self.machines[*at].peer.store().clock(PARTITION);
            let entry = pack(&Entry::new(versions.clone(), clock.clone()));
            let key = Bytes::copy_from_slice(key.as_bytes());
            let apply = Apply { operation: OperationId(0), key, entry, naming: None, owed: Vec::new(), relief: false };
            self.message(*at, Message::Apply(apply));
        }
    }

    /// One pull: what it costs.
    pub fn pull(&mut self, at: usize) -> Cost {
        self.cost = Cost { bytes: 0, frames: 0 };
        let other = self.machines[1 - at].peer.introduction();
        self.step(at, Input::LinkUp { member: other.member, actor: other.actor, start: other.start });
        while let Some((to, message)) = self.mail.pop_front() {
            self.message(to, message);
        }
        self.step(at, Input::LinkDown { member: other.member });
        self.cost
    }

    /// Whether both hold and know the same.
    pub fn are_equal(&self) -> bool {
        let state =
            |at: usize| (self.machines[at].peer.store().summary(PARTITION), self.machines[at].peer.store().clock(PARTITION));
        state(0) == state(1)
    }

    /// Gives both the same keys, and lets each learn the other's clock.
    pub fn fill(&mut self, keys: impl Iterator<Item = String>) {
        for key in keys {
            self.put(&[0, 1], &key, "a small value of some bytes");
        }
        self.pull(0);
        self.pull(1);
        assert!(self.are_equal());
    }

    /// Lets the second owner go on alone: of ten differences six are new versions, two new keys, two removed keys.
    pub fn differ(&mut self, count: u64, keys: u64, name: impl Fn(u64) -> String) {
        let step = keys / count;
        for n in 0..count {
            let key = name(n * step + n % step);
            match n % 10 {
                0 | 5 => self.put(&[1], &name(keys + n), "a small value of some bytes"),
                3 | 8 => self.remove(&[1], &key),
                _ => self.put(&[1], &key, "a small value of some bytes"),
            }
        }
    }
}

impl Drop for TwoOwners {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Keys as people make them.
pub fn counted(n: u64) -> String {
    format!("user:{n:08}")
}

/// Keys without any order: 16 letters and digits.
pub fn scattered(n: u64) -> String {
    let mixed = |salt: u64| {
        let x = (n ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        x ^ x >> 32
    };
    let letters = b"0123456789abcdefghijklmnopqrstuv";
    let (a, b) = (mixed(1), mixed(2 << 40));
    (0..16).map(|at| char::from(letters[(if at < 8 { a >> (5 * at) } else { b >> (5 * (at - 8)) } & 31) as usize])).collect()
}
