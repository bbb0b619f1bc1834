//! The proxy alone: peers are played by sockets that say hello as peers do.

use super::proxy::{Cuts, Proxy, Way};
use bytes::BytesMut;
use henge::ring::MemberId;
use henge::vclock::{Actor, Start};
use henge::wire::{Hello, Identity, Role, Versions, encode_hello};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const THERE: Way = Way { from: 0, to: 1 };

/// What must not arrive has this long to do so all the same. It makes a test that passes slower, and none fail.
const NOTHING_COMES: Duration = Duration::from_millis(300);
/// What must arrive has this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Peer 1 and the proxy before it.
struct Stage {
    proxy: Proxy,
    address: String,
    behind: TcpListener,
    cuts: Cuts,
}

impl Stage {
    async fn new() -> Stage {
        let (front, behind) = (listener().await, listener().await);
        let address = front.local_addr().expect("it is bound").to_string();
        let advertised: Arc<[String]> = vec!["peer-0:1".to_string(), address.clone()].into();
        let cuts = Cuts::default();
        let proxy = Proxy::stand_before(front, (1, None), advertised, cuts.clone());
        proxy.lead_to(&behind.local_addr().expect("it is bound").to_string());
        Stage { proxy, address, behind, cuts }
    }

    /// Dials as peer 0 does. The socket, and what it has said.
    async fn dial(&self) -> (TcpStream, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).await.expect("the proxy accepts");
        let mut hello = BytesMut::new();
        encode_hello(&hello_of("peer-0:1"), &mut hello).expect("it fits");
        // In two pieces: the proxy has to wait for the rest.
        stream.write_all(&hello[..9]).await.expect("sent");
        stream.flush().await.expect("sent");
        stream.write_all(&hello[9..]).await.expect("sent");
        (stream, hello.to_vec())
    }

    async fn accept(&self) -> TcpStream {
        timeout(PATIENCE, self.behind.accept()).await.expect("the proxy dials").expect("accepted").0
    }

    /// A connection from peer 0 to peer 1, after the hello: both ends.
    async fn connected(&self) -> (TcpStream, TcpStream) {
        let (dialer, hello) = self.dial().await;
        let mut behind = self.accept().await;
        assert_eq!(read(&mut behind, hello.len()).await, hello, "the hello arrives as it was sent");
        (dialer, behind)
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port is free")
}

fn hello_of(address: &str) -> Hello {
    let identity = Identity {
        cluster: None,
        member: MemberId(7),
        actor: Actor(7),
        start: Start(1),
        previous: Start(0),
        earlier: Vec::new(),
        address: address.to_string(),
        name: "peer".to_string(),
    };
    Hello { versions: Versions::OURS, has_secret: false, nonce: [0; 16], role: Role::Peer(identity) }
}

async fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    timeout(PATIENCE, stream.read_exact(&mut read)).await.expect("it arrives").expect("the connection lasts");
    read
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(NOTHING_COMES, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn a_cut_holds_one_way_back_without_a_word_and_healing_delivers_it_in_order() {
    let stage = Stage::new().await;
    let (mut dialer, mut behind) = stage.connected().await;
    stage.cuts.cut([THERE]);
    let passed = stage.cuts.passed(THERE);
    dialer.write_all(b"first ").await.expect("nobody says that it is cut");
    behind.write_all(b"back").await.expect("sent");
    assert_eq!(read(&mut dialer, 4).await, b"back", "the other way is open");
    dialer.write_all(b"second").await.expect("sent");
    dialer.shutdown().await.expect("sent");
    assert!(is_silent(&mut behind).await, "neither bytes nor the end pass");
    assert_eq!(stage.cuts.passed(THERE), passed);
    stage.cuts.heal();
    let mut all = Vec::new();
    timeout(PATIENCE, behind.read_to_end(&mut all)).await.expect("the end arrives").expect("no reset");
    assert_eq!(all, b"first second");
    assert_eq!(stage.cuts.passed(THERE), passed + all.len() as u64);
}

#[tokio::test]
async fn whoever_dials_during_a_cut_of_either_way_is_not_answered_until_it_is_healed() {
    for cut in [THERE, THERE.back()] {
        let stage = Stage::new().await;
        stage.cuts.cut([cut]);
        let (mut waiting, hello) = stage.dial().await;
        assert!(is_silent(&mut waiting).await);
        let (given_up, _) = stage.dial().await;
        drop(given_up);
        // Whoever is no peer passes, as the one that is accepted shows: no dialer from before it has got through.
        let mut client = TcpStream::connect(&stage.address).await.expect("the proxy accepts");
        client.write_all(b"this is no frame of a hello, and long enough to say so").await.expect("sent");
        let mut behind = stage.accept().await;
        assert_eq!(read(&mut behind, 4).await, b"this");
        assert!(is_silent(&mut waiting).await);
        stage.cuts.heal();
        let mut behind = stage.accept().await;
        assert_eq!(read(&mut behind, hello.len()).await, hello);
        behind.write_all(b"welcome").await.expect("sent");
        assert_eq!(read(&mut waiting, 7).await, b"welcome");
        assert!(timeout(NOTHING_COMES, stage.behind.accept()).await.is_err(), "who has given up is forgotten");
    }
}

#[tokio::test]
async fn a_delay_is_kept_and_other_pairs_are_not_cut() {
    let stage = Stage::new().await;
    let (mut dialer, mut behind) = stage.connected().await;
    stage.cuts.cut([Way { from: 0, to: 2 }, Way { from: 2, to: 1 }]);
    stage.cuts.delay(THERE, Duration::from_millis(200));
    let sent = Instant::now();
    dialer.write_all(b"late").await.expect("sent");
    assert_eq!(read(&mut behind, 4).await, b"late");
    assert!(sent.elapsed() >= Duration::from_millis(200), "never sooner");
}

#[tokio::test]
async fn the_connections_of_a_proxy_end_with_it() {
    let stage = Stage::new().await;
    let (mut dialer, mut behind) = stage.connected().await;
    let Stage { proxy, .. } = stage;
    drop(proxy);
    for end in [&mut dialer, &mut behind] {
        let ended = timeout(PATIENCE, end.read_u8()).await.expect("it ends");
        assert!(ended.is_err());
    }
}

#[tokio::test]
async fn a_connection_breaks_behind_so_many_bytes_and_no_other_does() {
    let stage = Stage::new().await;
    let (mut dialer, mut behind) = stage.connected().await;
    stage.cuts.break_after(THERE, 3);
    dialer.write_all(b"frame").await.expect("sent");
    let mut all = Vec::new();
    let _ = timeout(PATIENCE, behind.read_to_end(&mut all)).await.expect("it ends");
    assert_eq!(all, b"fra");
    assert!(timeout(PATIENCE, dialer.read_u8()).await.expect("the other way ends with it").is_err());
    stage.connected().await;
}

#[tokio::test]
async fn all_connections_are_broken_at_once_and_made_anew() {
    let stage = Stage::new().await;
    let (mut dialer, mut behind) = stage.connected().await;
    stage.cuts.reset();
    for end in [&mut dialer, &mut behind] {
        assert!(timeout(PATIENCE, end.read_u8()).await.expect("it ends").is_err());
    }
    stage.connected().await;
}

#[tokio::test]
async fn what_a_dialler_says_first_is_kept_and_nothing_is_taken_from_it_while_reading_has_stopped() {
    let stage = Stage::new().await;
    let (mut dialer, mut behind) = stage.connected().await;
    let hello = stage.cuts.said(THERE).expect("it has said hello");
    dialer.write_all(b"more").await.expect("sent");
    assert_eq!(read(&mut behind, 4).await, b"more");
    assert_eq!(stage.cuts.said(THERE).expect("it is kept"), [hello.as_slice(), b"more"].concat());
    stage.cuts.stop_reading(THERE);
    // What was waited for already still comes.
    dialer.write_all(b"last").await.expect("sent");
    assert_eq!(read(&mut behind, 4).await, b"last");
    dialer.write_all(b"held").await.expect("sent");
    assert!(is_silent(&mut behind).await);
    stage.cuts.calm();
    assert_eq!(read(&mut behind, 4).await, b"held");
}
