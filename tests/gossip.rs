//! Peers find each other again wherever they are, and know who is there.

mod harness;

use harness::values::{read_all, write};
use harness::{Cluster, Peer, free_ports, until};
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

    let founding = cluster.peers[1].address.clone();
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

    // One goes back to where it was founded, while one that stayed remembers where it was in between; its place of then is held by another. Each
    // is told from who was there by its id.
    for at in [0, 1, 3] {
        assert!(cluster.peers[at].stop().await.success());
    }
    cluster.peers[3].address = std::mem::replace(&mut cluster.peers[0].address, moved());
    cluster.peers[1].address = founding;
    for at in [3, 1, 0] {
        cluster.peers[at].start().await;
    }
    cluster.linked().await;
    read_all(&cluster.client().await, 0..DOCUMENTS).await;
    cluster.check_events();
}

/// Stops these, lets them move, and starts them in this order.
async fn restart_moved(cluster: &mut Cluster, order: &[usize], move_all: impl FnOnce(&mut [Peer])) {
    for at in order {
        assert!(cluster.peers[*at].stop().await.success());
    }
    move_all(&mut cluster.peers);
    for at in order {
        cluster.peers[*at].start().await;
    }
    cluster.linked().await;
}

fn swap(peers: &mut [Peer], a: usize, b: usize) {
    let one = std::mem::take(&mut peers[a].address);
    peers[a].address = std::mem::replace(&mut peers[b].address, one);
}

#[tokio::test]
async fn five_peers_that_have_all_been_down_find_each_other_by_what_they_remember_in_any_order() {
    let mut cluster = Cluster::formed("gossip-all-moved", 5).await;
    write(&cluster.client().await, 0..DOCUMENTS, |_| {}).await;
    let reversed = [4, 3, 2, 1, 0];

    // Nobody is where it was; one is where another was when the cluster was formed.
    restart_moved(&mut cluster, &reversed, |peers| {
        let old = peers[0].address.clone();
        peers.iter_mut().for_each(|peer| peer.address = moved());
        peers[4].address = old;
    })
    .await;
    // One is where it was, and that is nobody's place of then: the others remember it.
    restart_moved(&mut cluster, &reversed, |peers| [0, 1, 2, 4].into_iter().for_each(|at| peers[at].address = moved())).await;
    // Two swap their places while the others run.
    restart_moved(&mut cluster, &[1, 2], |peers| swap(peers, 1, 2)).await;
    read_all(&cluster.client().await, 0..DOCUMENTS).await;

    // Two swap their places, and nobody else is there to ask: each looks where it was itself.
    for peer in &mut cluster.peers {
        assert!(peer.stop().await.success());
    }
    swap(&mut cluster.peers, 0, 4);
    for at in [4, 0] {
        cluster.peers[at].start().await;
    }
    cluster.linked().await;
    for at in [3, 2, 1] {
        cluster.peers[at].start().await;
    }
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
    let took_for_dead = |peer: &Peer| peer.complained().contains("a member is taken for dead");
    assert!(cluster.peers[..3].iter().any(took_for_dead), "a death is told");
    assert!(!took_for_dead(&cluster.peers[3]), "{}", cluster.peers[3].complained());
    let status = cluster.peers[3].status().await.expect("it answers");
    assert!(status.gossip.incarnation > 0, "it has refuted its own death");
    cluster.linked().await;
    cluster.check_events();
}
