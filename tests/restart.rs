//! What was acknowledged is there again after a clean stop of all peers, and after all of them were killed at once.

mod harness;

use harness::values::{read_all, write};
use harness::{Folder, Process, connect, free_base_port, says, until};
use rustix::process::Signal;
use std::path::Path;

const PEERS: u16 = 5;
const DOCUMENTS: usize = 500;

/// `henge up` in a folder, and what it starts.
struct Up<'f> {
    folder: &'f Path,
    base_port: u16,
    arguments: Vec<String>,
}

impl Up<'_> {
    /// Starts it, and waits until it says that the cluster is there.
    async fn start(&self, word: &str) -> Process {
        let mut up = Process::start(self.folder, "up", &self.arguments);
        until(&format!("`up` saying {word:?}"), async || {
            assert!(up.ended().is_none(), "it has ended: {}", up.complained());
            up.said().contains(word).then_some(())
        })
        .await;
        up
    }

    fn addresses(&self) -> Vec<String> {
        (1..=PEERS).map(|number| format!("127.0.0.1:{}", self.base_port + number)).collect()
    }

    /// The process that holds the folder of a peer.
    fn process_of(&self, peer: u16) -> u32 {
        let lock = self.folder.join(format!("data/peer-{peer}/LOCK"));
        std::fs::read_to_string(lock).expect("a lock").trim().parse().expect("the number of a process")
    }
}

#[tokio::test]
async fn all_that_was_acknowledged_is_there_after_a_clean_stop_and_after_killing_every_peer() {
    let folder = Folder::new("restart");
    let base_port = free_base_port(PEERS);
    let data = folder.path().join("data").display().to_string();
    let arguments = ["up", "--peers", &PEERS.to_string(), "--base-port", &base_port.to_string(), "--dir", &data];
    let cluster = Up { folder: folder.path(), base_port, arguments: arguments.map(String::from).into() };

    let mut up = cluster.start("The cluster is formed").await;
    let written = write(&connect(&cluster.addresses()).await, 0..DOCUMENTS, |_| {}).await;
    assert_eq!((written.acknowledged, written.unknown), (DOCUMENTS, 0));
    up.signal(Signal::TERM);
    assert_eq!(up.end().await.code(), Some(0), "{}", up.complained());
    says(&up.complained(), &["stopping 5 peers"]);
    assert!(!up.complained().contains("did not stop"), "{}", up.complained());

    let mut up = cluster.start("The cluster is back").await;
    read_all(&connect(&cluster.addresses()).await, 0..DOCUMENTS).await;
    // Some that nobody has stopped cleanly behind.
    let client = connect(&cluster.addresses()).await;
    let written = write(&client, DOCUMENTS..2 * DOCUMENTS, |_| {}).await;
    assert_eq!(written.acknowledged, DOCUMENTS);
    for peer in 1..=PEERS {
        harness::process::kill_grandchild(cluster.process_of(peer), up.id());
    }
    until("five lines that bring the peers back", async || {
        let lines = up.complained();
        let told = (1..=PEERS).all(|peer| lines.contains(&format!("peer-{peer} has ended (killed by signal 9)")));
        (told && lines.matches(" serve --dir ").count() == usize::from(PEERS)).then_some(())
    })
    .await;
    up.signal(Signal::INT);
    assert_eq!(up.end().await.code(), Some(0), "{}", up.complained());

    let back = up.said().matches("The cluster is back").count();
    let mut up = Process::start(cluster.folder, "up", &cluster.arguments);
    until("`up` being back", async || {
        assert!(up.ended().is_none(), "it has ended: {}", up.complained());
        (up.said().matches("The cluster is back").count() > back).then_some(())
    })
    .await;
    read_all(&connect(&cluster.addresses()).await, 0..2 * DOCUMENTS).await;
    up.signal(Signal::TERM);
    assert_eq!(up.end().await.code(), Some(0), "{}", up.complained());
}
