//! One peer of five stands still for a while: it is not down, and nobody who asks for anything needs to wait for it.

mod harness;

use harness::Cluster;
use harness::values::{found, get, json, put, value};
use henge::limits::SLOW_MS_MAX;
use rustix::process::Signal;
use serde_json::json as text;
use std::time::Duration;

const KEYS: usize = 200;

#[tokio::test]
async fn while_a_peer_stands_still_every_read_is_answered_and_so_is_every_write() {
    let mut cluster = Cluster::formed("pause", 5).await;
    let client = cluster.client().await;
    for n in 0..KEYS {
        client.put(put(&format!("key{n}"), json(&text!({ "n": n })))).await.expect("it is written");
    }
    cluster.peers[2].signal(Signal::STOP);
    let mut read = 0;
    for round in 0..3 {
        for n in 0..KEYS {
            // The first request to the peer that stands still is waited for a moment, then another owner is asked.
            let found = found(client.get(get(&format!("key{n}"))).await);
            assert_eq!(value(&found)["n"], text!(n), "round {round}");
            read += 1;
        }
    }
    // By then it has been found out, and nothing new is sent there.
    tokio::time::sleep(Duration::from_millis(SLOW_MS_MAX)).await;
    for n in 0..KEYS {
        let written = client.put(put(&format!("key{n}"), json(&text!({ "n": n, "again": true })))).await;
        written.expect("another owner coordinates it, and W of them acknowledge it");
    }
    cluster.peers[2].signal(Signal::CONT);
    assert_eq!(read, 3 * KEYS);
    cluster.linked().await;
    for n in 0..KEYS {
        assert_eq!(value(&found(client.get(get(&format!("key{n}"))).await))["n"], text!(n));
    }
    cluster.check_events();
}
