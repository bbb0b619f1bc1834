//! Two of five peers are killed: writes go on, other peers stand in, and hand everything over when the two are back.

mod harness;

use harness::values::{document, found, key, value, write};
use harness::{Cluster, get, henge, json, put, says, until};
use henge::client::Client;
use henge::message::{Get, Put, Quorum};

const WRITES: usize = 400;

/// How many keys all running peers keep for others.
async fn owed(cluster: &mut Cluster) -> Option<u64> {
    let mut owed = 0;
    for peer in &mut cluster.peers {
        if peer.is_running() {
            owed += peer.status().await?.member.debts.iter().map(|debt| debt.hints).sum::<u64>();
        }
    }
    Some(owed)
}

async fn drained(cluster: &mut Cluster) {
    until("the end of all debts", async || (owed(cluster).await? == 0).then_some(())).await;
}

/// Every owner has each document, and answers for it.
async fn read_at_all_owners(client: &Client) {
    for number in 0..WRITES {
        let read = client.get(Get { r: Quorum::All, ..get(&key(number)) }).await;
        let found = found(read);
        assert_eq!(value(&found), document(number), "document {number}");
        // A copy beyond W may have been on its way to the disk when its peer was killed: so not all three need to have agreed.
        assert!(found.answered == 3 && found.agreed >= 2, "document {number}: {} of {} agree", found.agreed, found.answered);
    }
}

#[tokio::test]
async fn with_two_of_five_killed_writes_go_on_and_reach_them_when_they_are_back() {
    let mut cluster = Cluster::formed("handoff", 5).await;
    let client = cluster.client().await;
    cluster.peers[1].kill().await;
    cluster.peers[3].kill().await;
    cluster.linked().await;
    let written = write(&client, 0..WRITES, |_| ()).await;
    assert_eq!(written.acknowledged, WRITES);
    let before = owed(&mut cluster).await.expect("three peers answer");
    assert!(before > WRITES as u64, "two of five own six fifths of a key of three: {before}");

    // People are told, on a write and in the status.
    let addresses = cluster.addresses();
    let receipt = henge(&["--peer", &addresses[0], "--json", "put", "shown", "1", "-w", "all"]).await;
    assert_eq!(receipt.code, Some(0), "{receipt:?}");
    says(&receipt.said, &["stood_in"]);
    let status = henge(&["--peer", &addresses[0], "status"]).await;
    says(&status.said, &["keeps", "for peer-2, the oldest for", "for peer-4, the oldest for"]);

    // A stand-in keeps what it owes over a restart.
    cluster.peers[0].kill().await;
    cluster.peers[0].start().await;
    cluster.linked().await;
    let kept = owed(&mut cluster).await.expect("three peers answer");
    // A copy beyond W may have been on its way to the disk; without all that this stand-in owes it would be a third less.
    assert!(kept > WRITES as u64, "{kept} of {before}");

    cluster.peers[1].start().await;
    cluster.peers[3].start().await;
    cluster.linked().await;
    drained(&mut cluster).await;
    read_at_all_owners(&cluster.client().await).await;
    cluster.check_events();
}

#[tokio::test]
async fn strict_and_removals_without_a_context_need_the_owners_themselves() {
    let mut cluster = Cluster::formed("handoff-strict", 4).await;
    let client = cluster.client().await;
    cluster.peers[1].kill().await;
    cluster.peers[3].kill().await;
    cluster.linked().await;
    // Among four peers with three replicas each key has one or two owners left.
    let (mut taken, mut refused) = (0, 0);
    for number in 0..40 {
        let strict = Put { strict: true, ..put(&key(number), json(&document(number))) };
        match client.put(strict).await {
            Ok(receipt) => taken += usize::from(receipt.stood_in.is_empty()),
            Err(failure) => {
                refused += 1;
                says(&failure.message, &["W=2"]);
                client.put(put(&key(number), json(&document(number)))).await.expect("a stand-in takes it");
                let removed = henge(&["--peer", &cluster.addresses()[0], "del", &key(number)]).await;
                assert_eq!(removed.code, Some(3), "{removed:?}");
                says(&removed.complained, &["a removal without a context needs 2 owners"]);
            }
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    cluster.peers[1].start().await;
    cluster.peers[3].start().await;
    cluster.linked().await;
    drained(&mut cluster).await;
    cluster.check_events();
}
