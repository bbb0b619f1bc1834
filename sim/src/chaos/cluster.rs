//! A cluster of real processes, each behind a proxy, in a folder of its own; all on loopback, or each in a network namespace of its own, on the
//! loopback of that.
//!
//! Nothing but the processes that stand here is ever sent a signal, each through the handle of its own child, and they end with the value
//! that stands for them, also in a panic. They run with `--stop-at-eof`: if this program is killed, they stop by themselves.

use super::disks::Disks;
use super::folder::Folder;
use super::keeper::run;
use super::namespaces::{DOOR_PORT, Namespaces, PEER_PORT, PROXY_PORT};
use super::process::Process;
use super::program::{Launch, Program};
use super::proxy::{Cuts, Proxy, Way};
use super::until;
use henge::client::{Client, Options};
use henge::message::{Status, SyncMode};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// How a cluster is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Peers.
    pub peers: usize,
    /// Replicas of each key (N).
    pub replicas: u8,
    /// Partitions; a power of two.
    pub partitions: u16,
    /// When the peers' logs are synced.
    pub sync: SyncMode,
    /// Each peer's data is on a file system of its own, which can lose power. The machine has to allow that.
    pub has_disks: bool,
    /// Each peer is in a network namespace of its own. The machine has to allow that.
    pub in_namespaces: bool,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { peers: 5, replicas: 3, partitions: 32, sync: SyncMode::Always, has_disks: false, in_namespaces: false }
    }
}

/// Peers that have been formed, and everything that belongs to them.
pub struct Cluster {
    // They end before the folder does.
    peers: Vec<Peer>,
    cuts: Cuts,
    sync: SyncMode,
    disks: Option<Disks>,
    network: Option<Namespaces>,
    folder: Folder,
}

/// One peer, running or not.
struct Peer {
    name: String,
    /// Where it listens itself.
    listen: String,
    /// In a network namespace: where its neighbours reach it, and what stands there and lets everybody in.
    door: Option<(String, Proxy)>,
    /// Where others reach it: its proxy.
    advertised: String,
    proxy: Proxy,
    /// Its folder, as it sees it itself.
    data: PathBuf,
    process: Option<Process>,
}

impl Peer {
    /// Where it is reached past its proxy.
    fn near(&self) -> &str {
        self.door.as_ref().map_or(&self.listen, |(address, _)| address)
    }
}

impl Cluster {
    /// Starts so many peers behind proxies, forms them with `henge form`, and waits until they are linked.
    ///
    /// # Errors
    /// For people: what could not be done.
    pub async fn form(program: &Program, shape: Shape) -> Result<Cluster, String> {
        let folder = Folder::new(&program.folders).map_err(|error| format!("no folder for the cluster: {error}"))?;
        let cuts = Cuts::default();
        let network = if shape.in_namespaces { Some(Namespaces::open(shape.peers).await?) } else { None };
        let (mut listeners, mut doors) = (Vec::new(), Vec::new());
        for number in 0..shape.peers {
            let listener = match &network {
                Some(network) => network.listen(number, PROXY_PORT),
                None => TcpListener::bind("127.0.0.1:0").await,
            };
            listeners.push(listener.map_err(|error| format!("no port for a proxy: {error}"))?);
            let door = network.as_ref().map(|network| network.listen(number, DOOR_PORT)).transpose();
            doors.push(door.map_err(|error| format!("no port for the neighbours of a peer: {error}"))?);
        }
        let address_of = |listener: &TcpListener| {
            listener.local_addr().map(|address| address.to_string()).map_err(|error| format!("a proxy has no address: {error}"))
        };
        let advertised: Arc<[String]> = listeners.iter().map(address_of).collect::<Result<Vec<_>, _>>()?.into();
        let mut disks = None;
        if shape.has_disks {
            let made = disks.insert(Disks::open(&folder.path)?);
            for number in 0..shape.peers {
                made.make(number).await?;
            }
        }
        let place = |number| disks.as_ref().map_or_else(|| folder.path.clone(), |disks| disks.place(number));
        let mut peers = Vec::new();
        for (number, (listener, door)) in listeners.into_iter().zip(doors).enumerate() {
            let home = || (number, network.as_ref().map(|network| network.place(number).clone()));
            let door = door.map(|door| {
                // It knows nobody, so it takes nobody for a peer.
                address_of(&door).map(|address| (address, Proxy::stand_before(door, home(), Arc::default(), cuts.clone())))
            });
            peers.push(Peer {
                name: name(number),
                listen: String::new(),
                door: door.transpose()?,
                data: place(number).join(name(number)),
                advertised: advertised[number].clone(),
                proxy: Proxy::stand_before(listener, home(), advertised.clone(), cuts.clone()),
                process: None,
            });
        }
        let mut cluster = Cluster { peers, cuts, sync: shape.sync, disks, network, folder };
        for number in 0..shape.peers {
            cluster.start(program, number).await?;
        }
        let formed = program
            .command()
            .arg("form")
            .args(advertised.iter())
            .args(["--replicas", &shape.replicas.to_string(), "--partitions", &shape.partitions.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut formed = formed.map_err(|error| format!("henge form cannot be started: {error}"))?;
        // The proxies run in this thread: it must not stand still.
        let ended = until("the end of henge form", async || formed.try_wait().ok().flatten()).await?;
        if !ended.success() {
            let said = formed.wait_with_output().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
            return Err(format!("henge form has failed: {}", said.unwrap_or_default().trim()));
        }
        cluster.linked().await?;
        Ok(cluster)
    }

    /// What the proxies between the peers do.
    pub fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// The network between the peers, if it is one of their own.
    pub fn network(&self) -> Option<&Namespaces> {
        self.network.as_ref()
    }

    /// From now on nothing passes these ways: it is lost in the router, and that is made sure of, or if there is none it is held up by the
    /// proxies.
    ///
    /// # Errors
    /// For people: what the system says, or that something passes all the same.
    pub async fn cut(&self, ways: &[Way]) -> Result<(), String> {
        let Some(network) = &self.network else {
            self.cuts.cut(ways.iter().copied());
            return Ok(());
        };
        network.set(network.cut().into_iter().chain(ways.iter().copied()).collect()).await?;
        network.check().await
    }

    /// From now on nothing is cut, slow, stopped, or about to break, neither in the proxies nor in the router, and that is made sure of.
    ///
    /// # Errors
    /// For people: what the system says, or that something does not pass.
    pub async fn calm(&self) -> Result<(), String> {
        self.cuts.calm();
        let Some(network) = self.network.as_ref().filter(|network| !network.cut().is_empty()) else { return Ok(()) };
        network.set(BTreeSet::new()).await?;
        network.check().await
    }

    /// Where a peer is reached past its proxy: for clients that are its neighbours.
    pub fn listen(&self, number: usize) -> &str {
        self.peers[number].near()
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// True of a cluster of nobody.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Where a peer is reached by everybody: its proxy.
    pub fn advertised(&self, number: usize) -> &str {
        &self.peers[number].advertised
    }

    /// Where the peers' folders and logs are.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The folder stays when the cluster ends: somebody wants to look.
    pub fn keep_folder(&mut self) {
        self.folder.is_kept = true;
    }

    /// Nobody does: it goes with the cluster.
    pub fn drop_folder(&mut self) {
        self.folder.is_kept = false;
    }

    /// Starts a peer, for the first time or again, and waits until it answers.
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub async fn start(&mut self, program: &Program, number: usize) -> Result<(), String> {
        self.start_as(program, number, &Launch::Plain).await
    }

    /// Starts a peer in some way, and waits until it answers.
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub async fn start_as(&mut self, program: &Program, number: usize, launch: &Launch) -> Result<(), String> {
        self.spawn(program, number, launch)?;
        self.answers(program, number, launch).await
    }

    /// Waits until a peer answers that has just been spawned.
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub async fn answers(&mut self, program: &Program, number: usize, launch: &Launch) -> Result<(), String> {
        loop {
            let peer = &mut self.peers[number];
            let near = peer.near().to_string();
            let Some(process) = &mut peer.process else { return Err(format!("{} does not run", peer.name)) };
            let listen = std::slice::from_ref(&near);
            let what = format!("an answer of {}", peer.name);
            let answers = until(&what, async || match process.has_ended() {
                true => Some(false),
                false => Client::connect(listen, Options::default()).await.is_ok().then_some(true),
            });
            if answers.await? {
                peer.proxy.lead_to(&peer.listen);
                return Ok(());
            }
            // Only what it said this time.
            let said = process.said_now();
            if !said.contains("the port of") {
                return Err(format!("{} has ended: {}", peer.name, said.trim()));
            }
            // Somebody else has taken it meanwhile.
            peer.listen.clear();
            self.spawn(program, number, launch)?;
        }
    }

    /// Starts a peer's process, and waits for nothing.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&mut self, program: &Program, number: usize, launch: &Launch) -> Result<(), String> {
        let peer = &mut self.peers[number];
        if let Some((_, door)) = &peer.door {
            peer.listen = format!("127.0.0.1:{PEER_PORT}");
            door.lead_to(&peer.listen);
        } else if peer.listen.is_empty() {
            peer.listen = format!("127.0.0.1:{}", free_port().ok_or("no port is free")?);
        }
        let trace = peer.data.with_extension("trace");
        // The tracer begins it anew some time after its start: until then nobody must take an earlier one for it.
        match std::fs::remove_file(&trace) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(format!("{} stays: {error}", trace.display())),
            _ => {}
        }
        let mut command = program.serve(number, (self.disks.as_ref(), self.network.as_ref()), &trace, launch);
        command.arg("--dir").arg(&peer.data).args(["--listen", &peer.listen, "--advertise", &peer.advertised, "--stop-at-eof"]);
        command.args(["--sync", &sync_flag(self.sync)]);
        let started = Process::start(command, &self.folder.path.join(format!("{}.log", peer.name)));
        peer.process = Some(started.map_err(|error| format!("{} cannot be started: {error}", peer.name))?);
        Ok(())
    }

    /// True if a peer's process has been started and has not ended by itself.
    pub fn is_running(&mut self, number: usize) -> bool {
        self.peers[number].process.as_mut().is_some_and(|process| !process.has_ended())
    }

    /// What a peer has said since its last start.
    pub fn said(&self, number: usize) -> String {
        self.peers[number].process.as_ref().map_or_else(String::new, Process::said_now)
    }

    /// Waits for a peer's process to end by itself.
    ///
    /// # Errors
    /// It does not.
    pub async fn ended(&mut self, number: usize) -> Result<String, String> {
        let peer = &mut self.peers[number];
        let what = format!("the end of {}", peer.name);
        let Some(process) = &mut peer.process else { return Ok(String::new()) };
        until(&what, async || process.has_ended().then_some(())).await?;
        Ok(process.said_now())
    }

    /// True if one of a peer's system calls has failed as it was told to.
    pub fn has_injected(&self, number: usize) -> bool {
        std::fs::read_to_string(self.data(number).with_extension("trace")).is_ok_and(|trace| trace.contains("(INJECTED)"))
    }

    /// The file systems of the peers, if they have some of their own.
    pub fn disks(&self) -> Option<&Disks> {
        self.disks.as_ref()
    }

    /// A peer's folder, as this program sees it.
    pub fn data(&self, number: usize) -> PathBuf {
        let data = &self.peers[number].data;
        self.disks.as_ref().map_or_else(|| data.clone(), |disks| disks.seen_from_outside(data))
    }

    /// These peers lose power in the same moment; if all of them do, whoever wrote to one of them has nothing left of it but what was synced.
    ///
    /// # Errors
    /// They have no file systems of their own, or for people: what the system says.
    pub async fn cut_power(&mut self, numbers: &[usize]) -> Result<(), String> {
        let disks = self.disks.as_ref().ok_or("the peers have no disks of their own")?;
        // First the disks: what the processes still do fails, so they can promise nothing more.
        disks.lose_power(numbers).await?;
        for number in numbers {
            self.peers[*number].process = None;
        }
        disks.power_on(numbers).await
    }

    /// The folders of the peers' disks go when the cluster ends: here they are copied to where they stay. All peers are killed.
    pub async fn preserve(&mut self) {
        self.keep_folder();
        for number in 0..self.len() {
            self.kill(number);
            if self.disks.is_some() {
                let mut copy = Command::new("cp");
                copy.arg("-a").arg(self.data(number)).arg(&self.folder.path);
                // Nothing better can be done for somebody who wants to look.
                let _ = run(copy).await;
            }
        }
    }

    /// Kills a peer, as a crash would.
    pub fn kill(&mut self, number: usize) {
        // Dropping it kills it and waits for its end.
        self.peers[number].process = None;
    }

    /// Lets a peer stand still.
    pub fn pause(&mut self, number: usize) {
        self.signal(number, Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&mut self, number: usize) {
        self.signal(number, Signal::CONT);
    }

    fn signal(&mut self, number: usize, signal: Signal) {
        if let Some(process) = &mut self.peers[number].process {
            process.signal(signal);
        }
    }

    /// How a peer is, as it says itself; none if it does not answer.
    pub async fn status(&self, number: usize) -> Option<Status> {
        let address = self.listen(number).to_string();
        let client = Client::connect(std::slice::from_ref(&address), Options::default()).await.ok()?;
        client.status_at(&address).await.ok()
    }

    /// Waits until every peer has a link to every other.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn linked(&self) -> Result<(), String> {
        let others = self.len() - 1;
        until("links between all peers", async || {
            for number in 0..self.len() {
                let status = self.status(number).await?;
                (status.links.iter().filter(|link| link.up).count() == others).then_some(())?;
            }
            Some(())
        })
        .await
    }

    /// What went wrong with the processes themselves: who has ended, or has said that it panicked.
    pub fn complaints(&mut self) -> Vec<String> {
        let mut complaints = Vec::new();
        for peer in &mut self.peers {
            let Some(process) = &mut peer.process else { continue };
            let said = process.said();
            if process.has_ended() || said.contains("panicked at") {
                let last = said.lines().rev().take(5).collect::<Vec<_>>().join(" | ");
                complaints.push(format!("{} has ended or panicked: {last}", peer.name));
            }
        }
        complaints
    }

    /// Every way between two peers.
    pub fn ways(&self) -> impl Iterator<Item = Way> + use<> {
        let count = self.len();
        (0..count).flat_map(move |from| (0..count).filter(move |to| *to != from).map(move |to| Way { from, to }))
    }
}

/// What the peer with this number is called.
pub fn name(number: usize) -> String {
    format!("peer-{}", number + 1)
}

fn sync_flag(sync: SyncMode) -> String {
    match sync {
        SyncMode::Always => "always".to_string(),
        SyncMode::Interval(ms) => format!("interval:{ms}"),
        SyncMode::Never => "never".to_string(),
    }
}

/// Peers listen on ports from here up: below those that the operating system gives to outgoing connections, since a port of theirs could
/// be taken while a peer is away for a moment, and above those of the other tests.
const PORTS_FROM: u16 = 30_000;
/// And below this one.
const PORTS_TO: u16 = 32_700;

/// A port on 127.0.0.1 that is free at this moment, and that no other call of this process has returned for long.
fn free_port() -> Option<u16> {
    // Where to go on looking. Begins at another place in each process.
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let span = PORTS_TO - PORTS_FROM;
    let begin = next.unwrap_or((std::process::id().wrapping_mul(101) % u32::from(span)) as u16);
    let free = (0..span)
        .map(|step| (begin + step) % span)
        .find(|offset| std::net::TcpListener::bind(("127.0.0.1", PORTS_FROM + offset)).is_ok())?;
    *next = Some((free + 1) % span);
    Some(PORTS_FROM + free)
}
