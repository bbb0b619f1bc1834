//! The network of namespaces alone: nobody is in it but sockets of the test. Where the machine allows none there is nothing to try.

use super::namespaces::{Namespaces, address};
use super::proxy::Way;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PORT: u16 = 7_500;
/// What must not arrive has this long to do so all the same.
const NOTHING_COMES: Duration = Duration::from_millis(300);
/// What must arrive has this long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn network(peers: usize) -> Option<Namespaces> {
    match Namespaces::open(peers).await {
        Ok(network) => Some(network),
        Err(reason) => {
            println!("not to be had on this machine: {reason}");
            None
        }
    }
}

fn ways<const COUNT: usize>(ways: [(usize, usize); COUNT]) -> BTreeSet<Way> {
    ways.map(|(from, to)| Way { from, to }).into()
}

#[tokio::test]
async fn what_is_cut_is_lost_and_nothing_else_and_a_cut_that_does_nothing_is_found_out() {
    let Some(network) = network(4).await else { return };
    let seen = network.prove().await.expect("one way of two can be cut");
    assert!(seen.starts_with("the cut is real"), "{seen}");
    let one_is_not_heard = ways([(2, 0), (2, 1), (2, 3)]);
    let two_halves = ways([(0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (3, 0), (2, 1), (3, 1)]);
    for cut in [one_is_not_heard, two_halves, ways([(3, 0)]), ways([]), ways([(0, 1), (1, 0)])] {
        network.set(cut.clone()).await.expect("the router takes it");
        assert_eq!(network.cut(), cut);
        assert_eq!(network.check().await, Ok(()), "{cut:?}");
    }
    network.set(BTreeSet::new()).await.expect("the router takes it");
    network.pretend(ways([(1, 2)]));
    let found = network.check().await.expect_err("nothing is cut");
    assert!(found.contains("a cut does nothing: what is sent from 10.77.2.2 to 10.77.3.2 arrives"), "{found}");
}

#[tokio::test]
async fn what_is_said_during_a_cut_arrives_after_it_as_tcp_says_it_again() {
    let Some(network) = network(2).await else { return };
    let listener = network.listen(1, PORT).expect("nobody else is there");
    let mut caller = network.place(0).connect(&format!("{}:{PORT}", address(1, 2))).await.expect("nothing is cut");
    let (mut called, from) = listener.accept().await.expect("somebody has called");
    assert_eq!(from.ip(), address(0, 2), "nobody stands between the two");
    // What the called one says arrives at first, but nobody tells it so.
    network.set(ways([(0, 1)])).await.expect("the router takes it");
    caller.write_all(b"there").await.expect("a cut is silent");
    called.write_all(b"back").await.expect("a cut is silent");
    assert_eq!(heard(&mut caller).await, *b"back ", "the other way is open");
    let mut byte = [0];
    assert!(timeout(NOTHING_COMES, called.read(&mut byte)).await.is_err(), "not a byte, not an end, not an error");
    network.set(BTreeSet::new()).await.expect("the router takes it");
    assert_eq!(heard(&mut called).await, *b"there");
}

/// The next five bytes, or four and a blank.
async fn heard(stream: &mut TcpStream) -> [u8; 5] {
    let mut heard = *b"     ";
    let read = timeout(PATIENCE, stream.read(&mut heard)).await.expect("it arrives").expect("the connection is whole");
    assert!(read >= 4, "said in one piece");
    heard
}

#[tokio::test]
async fn nobody_has_a_way_out_and_nothing_is_left() {
    let links = || {
        let output = Command::new("ip").args(["-o", "link"]).output().expect("it is started");
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains("link-") || line.contains("uplink")).count()
    };
    let home = || std::fs::read_link("/proc/thread-self/ns/net").expect("a thread has a network");
    let before = home();
    let Some(network) = network(2).await else { return };
    assert_eq!(links(), 2, "this thread sees those of the router");
    assert_ne!(home(), before, "this thread is in the router");
    for (host, is_there) in [("10.77.2.2", true), ("10.77.1.1", true), ("10.78.0.1", false), ("1.1.1.1", false)] {
        let mut route = network.inside(0, None, Path::new("ip"));
        route.args(["route", "get", host]);
        assert!(route.stdin(Stdio::null()).output().expect("it is started").status.success(), "a peer asks the router");
        let mut route = Command::new("ip");
        route.args(["route", "get", host]).stdin(Stdio::null());
        assert_eq!(route.output().expect("it is started").status.success(), is_there, "the router and {host}");
    }
    drop(network);
    assert_eq!(home(), before, "this thread is back");
    assert_eq!(links(), 0, "nothing of it is seen outside");
}
