//! A peer that is started from an old copy of its folder has lost what it acknowledged since: the others tell, and refuse it.

mod harness;

use harness::values::{read_all, write};
use harness::{Cluster, says, until};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const DOCUMENTS: usize = 200;

#[tokio::test]
async fn an_old_copy_of_a_folder_is_refused_also_by_peers_that_have_started_anew_and_takes_nothing_back() {
    let mut cluster = Cluster::formed("old-copy", 3).await;
    let written = write(&cluster.client().await, 0..DOCUMENTS, |_| {}).await;
    assert_eq!(written.acknowledged, DOCUMENTS);

    // The copy is made after a clean stop, and then the peer goes on writing in a new start.
    assert!(cluster.peers[0].stop().await.success());
    let (dir, copy) = (cluster.peers[0].dir.clone(), cluster.peers[0].dir.with_extension("copy"));
    copy_folder(&dir, &copy);
    cluster.peers[0].start().await;
    cluster.linked().await;
    let written = write(&cluster.client().await, DOCUMENTS..2 * DOCUMENTS, |_| {}).await;
    assert_eq!(written.acknowledged, DOCUMENTS);

    let newest = cluster.peers[0].status().await.expect("it answers").member.start;

    // Nobody remembers more than what stands on the disks.
    for peer in &mut cluster.peers {
        assert!(peer.stop().await.success());
    }
    std::fs::remove_dir_all(&dir).expect("removed");
    copy_folder(&copy, &dir);
    // A start takes the number of the second, if that is above the last one of its folder.
    let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    until("the next second", async || (seconds() > u64::from(newest.0)).then_some(())).await;
    // Started twice before anybody meets it: its last start but one is newer then than all that the others know.
    for _ in 0..2 {
        cluster.peers[0].start().await;
        assert!(cluster.peers[0].stop().await.success());
    }
    for peer in &mut cluster.peers[1..] {
        peer.start().await;
    }
    let (code, said) = cluster.peers[0].refuse().await;
    assert_eq!(code, Some(1), "{said}");
    says(
        &said,
        &["old copy of this folder", "knows nothing of", "start the peer from its newest folder", "henge serve --quarantine"],
    );

    cluster.linked().await;
    let others: Vec<String> = cluster.peers[1..].iter().map(|peer| peer.address.clone()).collect();
    read_all(&harness::connect(&others).await, 0..2 * DOCUMENTS).await;

    // With the newest folder lost: all that the copy holds is moved aside, and the others fill the peer again.
    cluster.peers[0].arguments = vec!["--quarantine".into()];
    cluster.peers[0].start().await;
    cluster.linked().await;
    until("a peer that is whole", async || (cluster.peers[0].status().await?.member.incomplete_partitions == 0).then_some(()))
        .await;
    cluster.peers[1].kill().await;
    read_all(&harness::connect(&cluster.addresses()[..1]).await, 0..2 * DOCUMENTS).await;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("listed").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}
