//! Peers, and clusters of them.

use super::process::Process;
use super::{Folder, connect, free_ports, henge, until};
use henge::client::{Client, Options};
use henge::message::Status;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// One peer, running or not.
pub struct Peer {
    pub name: String,
    pub address: String,
    pub dir: PathBuf,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
    /// A program, with its arguments, that runs the peer instead of us; empty for none.
    pub within: Vec<String>,
    folder: PathBuf,
    process: Option<Process>,
}

impl Peer {
    /// One that has not been started yet, with its data below the folder, and a port of its own.
    pub fn new(folder: &Path, name: &str) -> Peer {
        let address = format!("127.0.0.1:{}", free_ports(1));
        let (name, dir) = (name.to_string(), folder.join(name));
        Peer { name, address, dir, arguments: Vec::new(), within: Vec::new(), folder: folder.to_path_buf(), process: None }
    }

    /// Starts it, and does not wait for anything.
    pub fn launch(&mut self) -> &mut Process {
        let dir = self.dir.display().to_string();
        let mut arguments: Vec<String> =
            ["serve", "--dir", &dir, "--listen", &self.address, "--stop-at-eof"].map(Into::into).into();
        arguments.extend(self.arguments.iter().cloned());
        self.process.insert(Process::start_within(&self.within, &self.folder, &self.name, &arguments))
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&mut self) {
        let (name, address) = (self.name.clone(), self.address.clone());
        let process = self.launch();
        until(&format!("an answer of {name}"), async || {
            assert!(process.ended().is_none(), "{name} has ended: {}", process.complained());
            Client::connect(std::slice::from_ref(&address), Options::default()).await.ok()
        })
        .await;
    }

    /// Starts it although it is going to refuse: waits for its end. The exit code, and what it said this time.
    pub async fn refuse(&mut self) -> (Option<i32>, String) {
        let before = self.complained().len();
        let status = self.launch().end().await;
        self.process = None;
        (status.code(), self.complained().split_off(before))
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.as_mut().expect("it runs").signal(signal);
    }

    /// Kills it, as a crash would.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::KILL);
        process.end().await;
    }

    /// Stops it cleanly.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::TERM);
        process.end().await
    }

    /// Waits for it to end by itself.
    pub async fn end(&mut self) -> ExitStatus {
        let status = self.process.as_mut().expect("it runs").end().await;
        self.process = None;
        status
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// All that it has written on standard error.
    pub fn complained(&self) -> String {
        let path = self.folder.join(format!("{}.err", self.name));
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// How it is, as it says itself.
    pub async fn status(&self) -> Option<Status> {
        let client = Client::connect(std::slice::from_ref(&self.address), Options::default()).await.ok()?;
        client.status_at(&self.address).await.ok()
    }
}

/// Peers that have been formed, and their folder.
pub struct Cluster {
    // Before the folder: they end first.
    pub peers: Vec<Peer>,
    pub folder: Folder,
}

impl Cluster {
    /// So many peers in a folder of this name, started, formed by `henge form`, and linked.
    pub async fn formed(name: &str, count: usize) -> Cluster {
        let folder = Folder::new(name);
        let peers = (1..=count).map(|number| Peer::new(folder.path(), &format!("peer-{number}"))).collect();
        Cluster::of(peers, folder).await
    }

    /// Starts these peers, forms them, and waits until they are linked.
    pub async fn of(peers: Vec<Peer>, folder: Folder) -> Cluster {
        let mut cluster = Cluster { peers, folder };
        cluster.form().await;
        cluster
    }

    /// Starts the peers, forms them, waits until they have found each other.
    async fn form(&mut self) {
        for peer in &mut self.peers {
            peer.start().await;
        }
        let addresses = self.addresses();
        let mut arguments = vec!["form"];
        arguments.extend(addresses.iter().map(String::as_str));
        let formed = henge(&arguments).await;
        assert_eq!(formed.code, Some(0), "{formed:?}");
        self.linked().await;
    }

    /// Waits until every running peer has links to all the others that run, and to none that does not.
    pub async fn linked(&mut self) {
        let mut running: Vec<String> =
            self.peers.iter_mut().filter_map(|peer| peer.is_running().then(|| peer.address.clone())).collect();
        running.sort();
        linked(&running).await;
    }

    pub fn addresses(&self) -> Vec<String> {
        self.peers.iter().map(|peer| peer.address.clone()).collect()
    }

    pub async fn client(&self) -> Client {
        connect(&self.addresses()).await
    }

    /// Asserts that no peer has panicked: whoever did has said so.
    pub fn check_events(&self) {
        for peer in &self.peers {
            let said = peer.complained();
            assert!(!said.contains("panicked"), "{}: {said}", peer.name);
        }
    }
}

/// Waits until each of these peers has links to just the others of them.
pub async fn linked(running: &[String]) {
    until("links between all running peers", async || {
        let client = Client::connect(running, Options::default()).await.ok()?;
        for address in running {
            let status = client.status_at(address).await.ok()?;
            let mut up: Vec<&String> = status.links.iter().filter(|link| link.up).map(|link| &link.address).collect();
            up.push(address);
            up.sort();
            let mut wanted: Vec<&String> = running.iter().collect();
            wanted.sort();
            if up != wanted {
                return None;
            }
        }
        Some(())
    })
    .await;
}
