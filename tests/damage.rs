//! A log that was cut or damaged: what a crash can do is mended, what it cannot do is refused, and nothing is changed by a refusal.

mod harness;

use harness::values::{document, key, read_all, value, write};
use harness::{Cluster, Folder, Peer, henge, says, until};
use henge::ring::partition_of;
use std::path::PathBuf;

const DOCUMENTS: usize = 300;
/// Before the first record of a segment (docs/storage-format.md).
const HEADER_BYTES: usize = 4_096;

/// The segments of a peer's log, in order, and their bytes.
fn log_of(peer: &Peer) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(peer.dir.join("log")).expect("a log");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("read"))).collect()
}

/// The segment that was written last, and where what was written in it ends.
fn end_of_log(peer: &Peer) -> (PathBuf, Vec<u8>, usize) {
    let written = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let segments = log_of(peer).into_iter().map(|(path, bytes)| (written(&bytes), path, bytes));
    // One that was only prepared has a header and nothing behind.
    let (end, path, bytes) = segments.rev().find(|(end, ..)| *end > HEADER_BYTES).expect("a segment with records");
    (path, bytes, end)
}

/// A cluster with documents, and its first peer stopped.
async fn with_one_stopped(name: &str) -> Cluster {
    let mut cluster = Cluster::formed(name, 3).await;
    let written = write(&cluster.client().await, 0..DOCUMENTS, |_| {}).await;
    assert_eq!(written.acknowledged, DOCUMENTS);
    assert!(cluster.peers[0].stop().await.success());
    cluster
}

#[tokio::test]
async fn a_log_whose_last_batches_never_reached_the_disk_is_cut_and_the_others_have_the_rest() {
    let mut cluster = with_one_stopped("damage-torn").await;
    let (path, mut bytes, end) = end_of_log(&cluster.peers[0]);
    // What a power cut leaves in a file that has its size already: the beginning of a record, and zeros.
    let torn = (end - (end - HEADER_BYTES) / 3) | 1;
    bytes[torn..].fill(0);
    std::fs::write(&path, &bytes).expect("written");

    cluster.peers[0].start().await;
    says(&cluster.peers[0].complained(), &["the log has been read", "cut_bytes="]);
    cluster.linked().await;
    read_all(&cluster.client().await, 0..DOCUMENTS).await;
    // Also when one of those that have everything is away: read repair has brought the first up to date, for what was read.
    let written = write(&cluster.client().await, DOCUMENTS..2 * DOCUMENTS, |_| {}).await;
    assert_eq!(written.acknowledged, DOCUMENTS);
    read_all(&cluster.client().await, 0..2 * DOCUMENTS).await;
    cluster.check_events();
}

#[tokio::test]
async fn a_log_file_that_was_cut_off_or_has_a_flipped_bit_is_refused_and_not_touched() {
    let mut cluster = with_one_stopped("damage-rot").await;
    let peer = &mut cluster.peers[0];
    let (path, sound, end) = end_of_log(peer);
    let name = format!("log/{}", path.file_name().expect("a name").to_string_lossy());

    // A file that is shorter than its header says was cut by no crash.
    std::fs::write(&path, &sound[..end - 101]).expect("written");
    let before = log_of(peer);
    let (code, said) = peer.refuse().await;
    assert_eq!(code, Some(4), "{said}");
    says(&said, &[&name, "is damaged", &format!("it has {} bytes", end - 101), "its header says", "Nothing was changed"]);
    assert!(log_of(peer) == before, "the refusal has changed the log");

    // One bit, in the middle of what was durable long ago.
    for at in [HEADER_BYTES + (end - HEADER_BYTES) / 2, HEADER_BYTES + (end - HEADER_BYTES) / 5] {
        let mut flipped = sound.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&path, &flipped).expect("written");
        let before = log_of(peer);
        let (code, said) = peer.refuse().await;
        assert_eq!(code, Some(4), "{said}");
        let advice = ["Nothing was changed", "put a copy of the file back", "henge serve --quarantine"];
        says(&said, &[&name, "is damaged at byte", "expected record", "found", "so this is no torn write"]);
        says(&said, &advice);
        let offset: usize = said.split("at byte ").nth(1).and_then(|rest| rest.split(':').next()?.parse().ok()).expect("an offset");
        assert!(offset <= at && at - offset < 4_096, "the damage is at byte {at}, and the message says {offset}: {said}");
        assert!(log_of(peer) == before, "the refusal has changed the log");
    }

    // The others go on meanwhile; and with the sound file back, so does this one.
    let client = harness::connect(&cluster.addresses()[1..]).await;
    read_all(&client, 0..DOCUMENTS).await;
    std::fs::write(&path, &sound).expect("written");
    cluster.peers[0].start().await;
    cluster.linked().await;
    read_all(&cluster.client().await, 0..DOCUMENTS).await;
    cluster.check_events();
}

/// Waits until a peer misses nothing any more, and raises no alarm.
async fn whole(peer: &Peer) {
    until("a peer that is whole", async || {
        let status = peer.status().await?.member;
        assert!(status.alarms.is_empty(), "{:?}", status.alarms);
        (status.incomplete_partitions == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_damaged_log_is_salvaged_and_the_other_owners_make_the_peer_whole_while_reads_stay_right() {
    let mut cluster = with_one_stopped("damage-quarantine").await;
    let (path, mut bytes, end) = end_of_log(&cluster.peers[0]);
    bytes[HEADER_BYTES + (end - HEADER_BYTES) / 2] ^= 0x10;
    std::fs::write(&path, &bytes).expect("written");
    let (code, said) = cluster.peers[0].refuse().await;
    assert_eq!(code, Some(4), "{said}");
    says(&said, &["is damaged at byte", "henge serve --quarantine"]);

    cluster.peers[0].arguments = vec!["--quarantine".into()];
    cluster.peers[0].start().await;
    cluster.linked().await;
    read_all(&cluster.client().await, 0..DOCUMENTS).await;
    whole(&cluster.peers[0]).await;
    let kept = std::fs::read_dir(cluster.peers[0].dir.join("quarantine")).expect("a folder").count();
    assert_eq!(kept, 1, "the damaged log is kept for a look");

    // The flag left there does no harm, and what was mended stays.
    assert!(cluster.peers[0].stop().await.success());
    cluster.peers[0].start().await;
    cluster.linked().await;
    whole(&cluster.peers[0]).await;
    cluster.peers[1].kill().await;
    read_all(&harness::connect(&cluster.addresses()[..1]).await, 0..DOCUMENTS).await;
    cluster.check_events();
}

#[tokio::test]
async fn a_fresh_folder_takes_the_place_of_a_lost_one_and_is_filled_by_the_others() {
    let mut cluster = with_one_stopped("damage-lost").await;
    std::fs::remove_dir_all(&cluster.peers[0].dir).expect("removed");
    let from = cluster.addresses()[1].clone();
    cluster.peers[0].arguments = ["--replace", "nobody", "--from", &from].map(String::from).into();
    let (code, said) = cluster.peers[0].refuse().await;
    assert_eq!(code, Some(2), "{said}");
    says(&said, &["nobody names 0 members", "peer-1", "peer-2"]);

    cluster.peers[0].arguments = ["--replace", "peer-1", "--from", &from].map(String::from).into();
    cluster.peers[0].start().await;
    cluster.linked().await;
    read_all(&cluster.client().await, 0..DOCUMENTS).await;
    whole(&cluster.peers[0]).await;
    cluster.peers[2].kill().await;
    read_all(&harness::connect(&cluster.addresses()[..1]).await, 0..DOCUMENTS).await;
    cluster.check_events();
}

#[tokio::test]
async fn a_fresh_folder_takes_a_place_also_where_the_secret_stands_in_a_file_of_options() {
    let folder = Folder::new("damage-secret");
    let [secret, options] = ["secret", "henge.toml"].map(|file| folder.path().join(file).display().to_string());
    std::fs::write(&secret, "what the standing stones have heard").expect("written");
    std::fs::write(&options, format!("secret-file = {secret:?}\n")).expect("written");
    let mut peers = ["peer-1", "peer-2"].map(|name| Peer::new(folder.path(), name));
    for peer in &mut peers {
        peer.arguments = vec!["--config".into(), options.clone()];
        peer.launch();
    }
    let [lost, other] = [peers[0].address.clone(), peers[1].address.clone()];
    until("a cluster", async || (henge(&["form", &lost, &other, "--secret-file", &secret]).await.code == Some(0)).then_some(()))
        .await;

    peers[0].kill().await;
    std::fs::remove_dir_all(&peers[0].dir).expect("removed");
    peers[0].arguments.extend(["--replace", "peer-1", "--from", &other].map(String::from));
    peers[0].launch();
    let at_both = format!("{lost},{other}");
    let status = ["status", "--peer", &at_both, "--secret-file", &secret];
    let in_step = |said: String| said.matches("in step with all partners").count() == 2;
    until("both are there, and in step", async || in_step(henge(&status).await.said).then_some(())).await;
}

#[tokio::test]
async fn a_record_that_is_damaged_under_a_running_peer_is_fetched_from_the_others() {
    let mut cluster = with_one_stopped("damage-record").await;
    // Started anew it has nothing in memory.
    cluster.peers[0].start().await;
    cluster.linked().await;
    // One that the client asks this very peer for: its first owner.
    let client = harness::connect(&cluster.addresses()[..1]).await;
    let me = cluster.peers[0].status().await.expect("it answers").member.member;
    let ring = client.ring_table().await.expect("a ring");
    let owners = |n: usize| &ring.owners[usize::from(partition_of(key(n).as_bytes(), ring.owners.len() as u16).0)];
    let first = |n: &usize| ring.members[usize::from(owners(*n)[0])].member == me;
    let hit = (100..DOCUMENTS).find(first).expect("a third of them");
    let needle = format!("\"first-{hit}\"").into_bytes();
    let mut hurt = 0;
    for (path, mut bytes) in log_of(&cluster.peers[0]) {
        while let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[at + 3] ^= 0x10;
            let file = std::fs::OpenOptions::new().write(true).open(&path).expect("a segment");
            std::os::unix::fs::FileExt::write_all_at(&file, &bytes[at..at + needle.len()], at as u64).expect("written");
            hurt += 1;
        }
    }
    assert_eq!(hurt, 1, "one record holds the document");
    let one = henge::message::Get { r: henge::message::Quorum::Exactly(1), ..harness::get(&key(hit)) };
    let found = harness::values::found(client.get(one).await);
    assert_eq!(value(&found), document(hit));
    until("the damage in the log of events", async || cluster.peers[0].complained().contains("written anew").then_some(())).await;
    assert_eq!(cluster.peers[0].status().await.expect("it answers").member.alarms, Vec::<String>::new());

    // What has been healed is passed over by the next start, and by the one after that.
    until("a note of it", async || cluster.peers[0].complained().contains("the next start passes over it").then_some(())).await;
    for is_clean in [true, false] {
        match is_clean {
            true => assert!(cluster.peers[0].stop().await.success()),
            false => cluster.peers[0].kill().await,
        }
        cluster.peers[0].start().await;
        says(&cluster.peers[0].complained(), &["damaged places of the log were passed over"]);
        let status = cluster.peers[0].status().await.expect("it answers").member;
        assert_eq!((status.incomplete_partitions, status.alarms), (0, Vec::new()));
        cluster.linked().await;
    }
    let kept = std::fs::read_dir(cluster.peers[0].dir.join("quarantine")).expect("a folder").count();
    assert_eq!(kept, 0, "nothing had to be moved aside");
    cluster.peers[1].kill().await;
    read_all(&harness::connect(&cluster.addresses()[..1]).await, 0..DOCUMENTS).await;
    cluster.check_events();
}
