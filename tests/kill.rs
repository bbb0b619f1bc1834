//! One peer of three is killed while writes are in flight: all of them are acknowledged in the end, and none is lost.

mod harness;

use harness::Cluster;
use harness::values::{read_all, write};
use std::sync::Mutex;
use tokio::sync::oneshot;

const WRITES: usize = 2_000;
/// The peer is killed when so many are acknowledged.
const KILLED_AT: usize = WRITES / 5;

#[tokio::test]
async fn a_peer_killed_among_two_thousand_writes_loses_none_that_was_acknowledged() {
    let mut cluster = Cluster::formed("kill", 3).await;
    let client = cluster.client().await;

    let (reached, enough) = oneshot::channel();
    let reached = Mutex::new(Some(reached));
    let writing = tokio::spawn({
        let client = client.clone();
        async move {
            let tell = move |acknowledged| {
                if acknowledged >= KILLED_AT
                    && let Some(reached) = reached.lock().expect("nobody panics").take()
                {
                    let _ = reached.send(acknowledged);
                }
            };
            write(&client, 0..WRITES, tell).await
        }
    });
    let acknowledged = enough.await.expect("the writes go on until then");
    cluster.peers[1].kill().await;
    assert!(!writing.is_finished(), "all was written before the peer was killed");
    let written = writing.await.expect("every write is acknowledged");
    assert_eq!(written.acknowledged, WRITES);
    println!("killed at {acknowledged} of {WRITES}; issued again: {} unknown, {} refused", written.unknown, written.refused);

    read_all(&client, 0..WRITES).await;
    cluster.peers[1].start().await;
    cluster.linked().await;
    read_all(&cluster.client().await, 0..WRITES).await;
    // What the killed peer has acknowledged itself it knows again: all three answer, and read repair has its turn.
    read_all(&client, 0..WRITES).await;
    cluster.check_events();
}
