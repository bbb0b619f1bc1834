//! The protocol as docs/protocol.md tells it: a client in another language, written from that page alone.

mod harness;

use harness::Cluster;
use harness::process::run;
use std::process::Command;

fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protocol_client.py")).args(arguments);
    command
}

#[tokio::test]
async fn a_client_written_from_the_page_alone_agrees_with_real_peers() {
    let cluster = Cluster::formed("protocol", 3).await;
    let addresses = cluster.addresses();
    let session = run(&mut python(&addresses.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert_eq!((session.code, session.said.trim()), (Some(0), "ok"), "{session:?}");
    cluster.check_events();
}

#[tokio::test]
async fn the_client_written_from_the_page_alone_agrees_with_the_golden_files() {
    let selftest = run(&mut python(&["--selftest"])).await;
    assert_eq!((selftest.code, selftest.said.trim()), (Some(0), "ok"), "{selftest:?}");
}

#[tokio::test]
async fn the_client_written_from_the_page_alone_fails_where_nobody_listens() {
    let address = format!("127.0.0.1:{}", harness::free_ports(1));
    let session = run(&mut python(&[&address])).await;
    assert_eq!(session.code, Some(1), "{session:?}");
}
