//! Peers find each other again wherever they are, and know who is there.

mod harness;

use harness::values::{read_all, write};
use harness::{Cluster, free_ports, until};
use henge::message::{Status, ViewState};
use rustix::process::Signal;

const DOCUMENTS: usize = 50;

fn moved() -> String {
    format!("127.0.0.1:{}", free_ports(1))
}

#[tokio::test]
async fn peers_that_come_back_at_other_addresses_find_each_other_from_any_one_that_is_where_it_was() {
    let mut cluster = Cluster::formed("gossip-moved", 4).await;
    write(&cluster.client().await, 0..DOCUMENTS, |_| {}).await;

    // Two at once: they meet each other only through the two that stayed.
    for at in [1, 2] {
        assert!(cluster.peers[at].stop().await.success());
        cluster.peers[at].address = moved();
    }
    for at in [2, 1] {
        cluster.peers[at].start().await;
    }
    cluster.linked().await;
    read_all(&cluster.client().await, 0..DOCUMENTS).await;

    // All of them, so that nobody remembers anything, and the one that is where it was comes last.
    for peer in &mut cluster.peers {
        assert!(peer.stop().await.success());
    }
    for at in [3, 1, 2] {
        cluster.peers[at].address = moved();
        cluster.peers[at].start().await;
    }
    cluster.peers[0].start().await;
    cluster.linked().await;
    read_all(&cluster.client().await, 0..DOCUMENTS).await;
    cluster.check_events();
}

#[tokio::test]
async fn a_peer_that_stands_still_is_dead_to_the_others_and_takes_nobody_for_dead_when_it_goes_on() {
    let mut cluster = Cluster::formed("gossip-paused", 4).await;
    let paused = cluster.peers[3].status().await.expect("it answers").member.member;
    let state = |status: &Status| status.gossip.others.iter().find(|view| view.member == paused).expect("a member").state;
    cluster.peers[3].signal(Signal::STOP);
    until("the death, in all views", async || {
        for peer in &cluster.peers[..3] {
            (state(&peer.status().await?) == ViewState::Dead).then_some(())?;
        }
        Some(())
    })
    .await;

    cluster.peers[3].signal(Signal::CONT);
    until("its return, in all views", async || {
        for peer in &cluster.peers {
            let status = peer.status().await?;
            status.gossip.others.iter().all(|view| view.state == ViewState::Alive).then_some(())?;
        }
        Some(())
    })
    .await;
    // Whoever is declared dead refutes it, and that would show.
    let status = cluster.peers[3].status().await.expect("it answers");
    assert!(status.gossip.others.iter().all(|view| view.incarnation == 0), "{:?}", status.gossip);
    assert!(status.gossip.incarnation > 0, "it has refuted its own death");
    cluster.linked().await;
    cluster.check_events();
}
