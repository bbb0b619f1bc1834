//! Writes that did not know of each other are kept side by side, path by path, until a write has seen them.

mod harness;

use bytes::Bytes;
use harness::values::{found, value};
use harness::{Cluster, bytes, conflict, get, json, put, read};
use henge::client::Client;
use henge::message::{Get, PatchBody, Put, Quorum, Receipt, Remove, Update};
use serde_json::json;

/// Two clients that know different peers first.
async fn two_clients(cluster: &Cluster) -> (Client, Client) {
    let addresses = cluster.addresses();
    (harness::connect(&addresses[..1]).await, harness::connect(&addresses[2..]).await)
}

async fn set(client: &Client, key: &str, path: &str, value: &str, context: &Bytes) -> Receipt {
    let patch = PatchBody::Set { path: path.into(), json: value.to_string().into() };
    let update = Update {
        key: key.to_string().into(),
        patch,
        context: context.clone(),
        w: Quorum::All,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    };
    client.update(update).await.expect("all three peers are there")
}

#[tokio::test]
async fn two_writes_of_one_path_with_one_context_are_siblings_of_that_path_alone() {
    let cluster = Cluster::formed("siblings-path", 3).await;
    let (one, other) = two_clients(&cluster).await;
    let whole = json!({ "name": "Ada", "address": { "city": "London", "street": "Square" } });
    one.put(put("ada", json(&whole))).await.expect("written");
    let context = read(&other, "ada").await.context;

    set(&one, "ada", "address.city", "\"Rome\"", &context).await;
    set(&other, "ada", "address.city", "\"Paris\"", &context).await;
    for client in [&one, &other] {
        let both = read(client, "ada").await;
        assert_eq!(conflict(&both, "address.city"), [r#""Paris""#, r#""Rome""#]);
        assert_eq!(both.conflicts.len(), 1, "{both:?}");
        assert_eq!(value(&both), json!({ "name": "Ada", "address": { "street": "Square" } }));
        // The same seen from the path.
        let at = found(client.get(Get { path: "address.city".into(), ..get("ada") }).await);
        assert_eq!(at.value, None);
        assert_eq!(at.conflicts.len(), 1, "{at:?}");
        let street = found(client.get(Get { path: "address.street".into(), ..get("ada") }).await);
        assert_eq!((value(&street), street.conflicts.len()), (json!("Square"), 0));
    }
    // Whoever wants one gets the later one, and is told that there is another.
    let picked = found(one.get(Get { last_writer_wins: true, ..get("ada") }).await);
    assert_eq!(value(&picked), json!({ "name": "Ada", "address": { "street": "Square", "city": "Paris" } }));
    assert_eq!((picked.hidden, picked.conflicts.len()), (1, 0));

    let seen = read(&one, "ada").await.context;
    set(&one, "ada", "address.city", "\"Vienna\"", &seen).await;
    let resolved = read(&other, "ada").await;
    assert_eq!(value(&resolved), json!({ "name": "Ada", "address": { "street": "Square", "city": "Vienna" } }));
    assert_eq!(resolved.conflicts, []);
    cluster.check_events();
}

#[tokio::test]
async fn two_patches_of_different_paths_both_stay() {
    let cluster = Cluster::formed("siblings-paths", 3).await;
    let (one, other) = two_clients(&cluster).await;
    one.put(put("ada", json(&json!({ "name": "Ada", "born": 1815 })))).await.expect("written");
    let context = read(&one, "ada").await.context;
    set(&one, "ada", "born", "1816", &context).await;
    set(&other, "ada", "address.city", "\"Rome\"", &context).await;
    // A delete of a third path, without any context.
    let name = Remove {
        key: "ada".into(),
        path: "name".into(),
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
    };
    one.remove(name).await.expect("removed");
    for client in [one, other] {
        let both = read(&client, "ada").await;
        assert_eq!(value(&both), json!({ "born": 1816, "address": { "city": "Rome" } }));
        assert_eq!(both.conflicts, []);
    }
    cluster.check_events();
}

#[tokio::test]
async fn two_plain_values_with_one_context_are_siblings_until_a_write_has_seen_both() {
    let cluster = Cluster::formed("siblings-plain", 3).await;
    let (one, other) = two_clients(&cluster).await;
    one.put(put("plain", bytes(b"first"))).await.expect("written");
    let context = read(&one, "plain").await.context;
    let write = |value: &[u8], context: &Bytes| Put { context: context.clone(), w: Quorum::All, ..put("plain", bytes(value)) };
    one.put(write(b"left", &context)).await.expect("written");
    other.put(write(b"right", &context)).await.expect("written");
    let both = read(&one, "plain").await;
    assert_eq!((both.value.as_ref(), conflict(&both, "")), (None, vec!["left".to_string(), "right".to_string()]));

    // A third of the same context joins them, one that has seen them replaces all three.
    other.put(write(b"third", &context)).await.expect("written");
    let three = read(&other, "plain").await;
    assert_eq!(conflict(&three, ""), ["left", "right", "third"]);
    one.put(write(b"resolved", &three.context)).await.expect("written");
    let resolved = read(&other, "plain").await;
    assert_eq!(resolved.value, Some(henge::message::Value::Bytes("resolved".into())));
    assert_eq!(resolved.conflicts, []);

    // A write without a context replaces what the replicas hold.
    one.put(write(b"x", &context)).await.expect("written");
    other.put(put("plain", bytes(b"blind"))).await.expect("written");
    let blind = read(&one, "plain").await;
    assert_eq!((blind.value, blind.conflicts.len()), (Some(henge::message::Value::Bytes("blind".into())), 0));
    cluster.check_events();
}
