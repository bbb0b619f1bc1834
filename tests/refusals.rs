//! What cannot be done is refused in words that say what happened, to what, and what to do next; nothing else is disturbed.

mod harness;

use bytes::{Bytes, BytesMut};
use harness::values::{found, key, read_all, value, write};
use harness::{
    Cluster, Folder, Peer, Process, bytes, connect, failed, free_base_port, free_ports, get, henge, json, put, read, says, until,
};
use henge::client::{Client, Read};
use henge::limits;
use henge::message::{Body, Failure, FailureKind, Get, List, PatchBody, Put, Quorum, Request, Update};
use henge::ring::{ClusterId, MemberId};
use henge::vclock::{Actor, Start};
use henge::wire::{
    Frame, Hello, Identity, RefusalCode, Refused, Role, Versions, decode_hello, decode_refused, decode_reply, encode_hello,
    encode_request, take_frame,
};
use rustix::process::Signal;
use serde_json::json;
use std::net::TcpListener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

// ---- starting a peer ----

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let folder = Folder::new("refused-address");
    for wrong in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:"] {
        let mut peer = Peer::new(folder.path(), "peer");
        peer.address = wrong.into();
        let (code, said) = peer.refuse().await;
        assert_eq!(code, Some(2), "{said}");
        says(&said, &[&format!("cannot listen on {wrong}"), "give it as HOST:PORT"]);
        assert!(!peer.dir.exists(), "a folder was made for it");
    }
    let mut open = Peer::new(folder.path(), "open");
    open.address = format!("0.0.0.0:{}", free_ports(1));
    let (code, said) = open.refuse().await;
    assert_eq!(code, Some(2), "{said}");
    says(&said, &["can be reached from other machines", "--secret-file"]);
}

#[tokio::test]
async fn a_port_in_use_is_refused_before_the_folder_is_touched() {
    let folder = Folder::new("refused-port");
    let mut peer = Peer::new(folder.path(), "peer");
    let _other = TcpListener::bind(&peer.address).expect("a free port");
    let (code, said) = peer.refuse().await;
    assert_eq!(code, Some(3), "{said}");
    says(&said, &[&peer.address, "in use", "choose another --listen"]);
    assert!(!peer.dir.exists(), "a folder was made for it");

    let base_port = free_base_port(3);
    let taken = format!("127.0.0.1:{}", base_port + 2);
    let _other = TcpListener::bind(&taken).expect("a free port");
    let dir = folder.path().join("up").display().to_string();
    let up = henge(&["up", "--peers", "3", "--base-port", &base_port.to_string(), "--dir", &dir]).await;
    assert_eq!(up.code, Some(3), "{up:?}");
    says(&up.complained, &["peer-2", &taken, "--base-port", "nothing was started"]);
    assert!(!folder.path().join("up").exists(), "a folder was made for it");
}

#[tokio::test]
async fn a_folder_that_is_no_folder_or_not_a_peers_is_refused_and_left_alone() {
    let folder = Folder::new("refused-folder");
    // A file: even an administrator, whom no permission stops, cannot write into that.
    let file = folder.path().join("file");
    std::fs::write(&file, "a letter").expect("written");
    for dir in [file.clone(), file.join("below")] {
        let mut peer = Peer::new(folder.path(), "peer");
        peer.dir = dir.clone();
        let (code, said) = peer.refuse().await;
        assert_eq!(code, Some(4), "{said}");
        says(&said, &[&dir.display().to_string(), "cannot be used", "is a file", "give a folder"]);
    }
    assert_eq!(std::fs::read(&file).expect("it is there"), b"a letter");

    let mut peer = Peer::new(folder.path(), "foreign");
    std::fs::create_dir(&peer.dir).expect("made");
    std::fs::write(peer.dir.join("letter.txt"), "a letter").expect("written");
    let (code, said) = peer.refuse().await;
    assert_eq!(code, Some(4), "{said}");
    says(&said, &[&peer.dir.display().to_string(), "letter.txt", "give --dir an empty folder"]);
    let names: Vec<_> =
        std::fs::read_dir(&peer.dir).expect("it is there").map(|entry| entry.expect("listed").file_name()).collect();
    assert_eq!(names, ["letter.txt"]);
}

#[tokio::test]
async fn a_folder_in_use_is_refused_to_a_second_peer_and_the_first_goes_on() {
    let folder = Folder::new("refused-twice");
    let mut first = Peer::new(folder.path(), "first");
    first.arguments = vec!["--found".into()];
    first.start().await;
    let mut second = Peer::new(folder.path(), "second");
    second.dir = first.dir.clone();
    let (code, said) = second.refuse().await;
    assert_eq!(code, Some(4), "{said}");
    says(&said, &["another henge process (pid ", &first.dir.display().to_string(), "give this one a folder of its own"]);
    let client = connect(std::slice::from_ref(&first.address)).await;
    let one = Put { w: Quorum::Exactly(1), ..put("key", bytes(b"value")) };
    client.put(one).await.expect("the first goes on");
}

// ---- forming ----

#[tokio::test]
async fn a_cluster_is_formed_of_peers_that_answer_and_belong_to_no_other() {
    let mut one = Cluster::formed("refused-form-one", 1).await;
    let other = Cluster::formed("refused-form-other", 1).await;
    let mut fresh = Peer::new(one.folder.path(), "fresh");
    fresh.start().await;
    let (a, b, c) = (one.peers[0].address.clone(), other.peers[0].address.clone(), fresh.address.clone());
    let id = async |peer: &Peer| peer.status().await.expect("it answers").member.cluster.expect("it is formed").to_string();
    let (of_a, of_b) = (id(&one.peers[0]).await, id(&other.peers[0]).await);

    let both = henge(&["form", &a, &b]).await;
    assert_eq!(both.code, Some(4), "{both:?}");
    says(&both.complained, &[&a, &of_a, &b, &of_b, "name the peers of one of them only"]);
    let again = henge(&["form", &a]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    says(&again.said, &[&of_a, "nothing to do"]);
    let later = henge(&["form", &a, &c]).await;
    assert_eq!(later.code, Some(4), "{later:?}");
    says(&later.complained, &[&c, "is no founder of cluster", &of_a]);
    let twice = henge(&["form", &c, &c]).await;
    assert_eq!(twice.code, Some(2), "{twice:?}");
    says(&twice.complained, &["are the same peer", "name each peer once"]);
    let away = format!("127.0.0.1:{}", free_ports(1));
    let missing = henge(&["form", &c, &away]).await;
    assert_eq!(missing.code, Some(3), "{missing:?}");
    says(&missing.complained, &[&away, "nothing has been formed"]);
    let nobody = henge(&["form", &away]).await;
    assert_eq!(nobody.code, Some(3), "{nobody:?}");
    says(&nobody.complained, &["no peer can be reached", &away, "check the address"]);

    // After all that the fresh one still stands by, and says what it waits for.
    let unformed = failed(connect(&[c]).await.put(put("key", bytes(b"value"))).await);
    assert_eq!(unformed.kind, FailureKind::NotFormed);
    says(&unformed.message, &["belongs to no cluster yet", "henge form"]);
    one.linked().await;
}

#[tokio::test]
async fn a_cluster_is_started_again_only_as_it_was_formed_and_by_one_at_a_time() {
    let folder = Folder::new("refused-up");
    let (base_port, other_port) = (free_base_port(3).to_string(), free_base_port(3).to_string());
    let dir = folder.path().join("data").display().to_string();
    let arguments = ["up", "--peers", "3", "--base-port", &base_port, "--dir", &dir];
    let mut up = Process::start(folder.path(), "up", &arguments.map(String::from));
    until("the cluster", async || up.said().contains("The cluster is formed: 3 peers").then_some(())).await;

    let again = henge(&arguments).await;
    assert_eq!(again.code, Some(3), "{again:?}");
    says(&again.complained, &["peer-1 cannot listen on", "another `henge up`?", "nothing was started"]);
    let beside = henge(&["up", "--peers", "3", "--base-port", &other_port, "--dir", &dir]).await;
    assert_eq!(beside.code, Some(3), "{beside:?}");
    says(&beside.complained, &["did not start", "another henge process (pid ", "is using the folder"]);
    up.signal(Signal::TERM);
    assert_eq!(up.end().await.code(), Some(0), "{}", up.complained());

    let elsewhere = henge(&["up", "--peers", "3", "--base-port", &other_port, "--dir", &dir]).await;
    let fewer = henge(&["up", "--peers", "2", "--base-port", &base_port, "--dir", &dir]).await;
    for refused in [elsewhere, fewer] {
        assert_eq!(refused.code, Some(4), "{refused:?}");
        says(&refused.complained, &["was formed with 3 peers from 127.0.0.1:", "--peers and the --base-port"]);
    }
    let more = henge(&["up", "--peers", "4", "--base-port", &base_port, "--dir", &dir]).await;
    assert_eq!(more.code, Some(4), "{more:?}");
    says(&more.complained, &["is no founder of cluster", "name its founders only"]);

    let mut up = Process::start(folder.path(), "up", &arguments.map(String::from));
    until("the cluster again", async || {
        assert!(up.ended().is_none(), "it has ended: {}", up.complained());
        up.said().contains("The cluster is back: 3 peers").then_some(())
    })
    .await;
}

// ---- strangers on the socket ----

struct Raw {
    stream: TcpStream,
    inbox: BytesMut,
}

impl Raw {
    async fn open(address: &str) -> Raw {
        Raw { stream: TcpStream::connect(address).await.expect("it listens"), inbox: BytesMut::new() }
    }

    async fn greeted(address: &str) -> Raw {
        let mut raw = Raw::open(address).await;
        raw.send(&hello(Role::Client)).await;
        let answer = raw.frame().await.expect("an answer to the hello");
        decode_hello(&answer).expect("a hello");
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the socket takes it");
    }

    /// The next frame; none at the end of the connection.
    async fn frame(&mut self) -> Option<Frame> {
        let reading = async {
            loop {
                if let Some(frame) = take_frame(&mut self.inbox, limits::FRAME_BYTES_MAX).expect("a frame") {
                    return Some(frame);
                }
                // A reset is an end, too.
                if self.stream.read_buf(&mut self.inbox).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        };
        timeout(harness::PATIENCE, reading).await.expect("a frame or the end")
    }

    async fn refused(&mut self) -> Refused {
        let refused = decode_refused(&self.frame().await.expect("a word before the end")).expect("a refusal");
        assert_eq!(self.frame().await, None, "the connection is closed behind it");
        refused
    }
}

fn hello(role: Role) -> BytesMut {
    let mut out = BytesMut::new();
    let hello = Hello { versions: Versions::OURS, has_secret: false, nonce: [7; 16], role };
    encode_hello(&hello, &mut out).expect("it fits");
    out
}

fn status_request(id: u64) -> BytesMut {
    let mut out = BytesMut::new();
    encode_request(id, &Request::Status, &mut out).expect("it fits");
    out
}

/// A client that has been there all the time, on the same peer, and must not notice anything.
async fn is_undisturbed(client: &Client, address: &str, round: usize) {
    let key = format!("undisturbed:{round}");
    let one = Put { w: Quorum::All, ..put(&key, bytes(b"value")) };
    let written = client.request_at(address, Request::Put(one)).await;
    assert!(matches!(written, henge::message::Reply::Written(_)), "{written:?}");
    assert_eq!(read(client, &key).await.value, Some(henge::message::Value::Bytes("value".into())));
}

#[tokio::test]
async fn strangers_are_turned_away_with_a_word_and_disturb_nobody() {
    let cluster = Cluster::formed("refused-strangers", 3).await;
    let address = &cluster.peers[0].address;
    let client = cluster.client().await;

    // Some that say nothing, or half of something, and stay.
    let mut silent = Raw::open(address).await;
    let mut loris = Raw::open(address).await;
    loris.send(&hello(Role::Client)[..7]).await;
    let mut half = Raw::greeted(address).await;
    let request = status_request(9);
    half.send(&request[..11]).await;
    let mut half_then_gone = Raw::greeted(address).await;
    half_then_gone.send(&request[..request.len() - 1]).await;
    drop(half_then_gone);
    is_undisturbed(&client, address, 1).await;

    // Some that say what is no hello.
    let oversized = [0x7f, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let contradiction = [0, 0, 0, 13, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    for (garbage, word) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "over the limit"),
        (&oversized, "over the limit"),
        (&contradiction, "not henge's protocol"),
        (&request, "hello, which comes first"),
        (&[0; 17], "not henge's protocol"),
    ] {
        let mut stranger = Raw::open(address).await;
        stranger.send(garbage).await;
        let refused = stranger.refused().await;
        assert_eq!(refused.code, RefusalCode::NoHello, "{refused:?}");
        says(&refused.message, &[word]);
    }
    is_undisturbed(&client, address, 2).await;

    // One that said hello, and an oversized frame then.
    let mut oversized_later = Raw::greeted(address).await;
    oversized_later.send(&oversized).await;
    says(&oversized_later.refused().await.message, &["over the limit", "send less at once"]);
    // One whose frames are whole and make no sense is told so, and may go on.
    let mut senseless = Raw::greeted(address).await;
    let mut frame = status_request(5);
    frame[4] = 99;
    senseless.send(&frame).await;
    let mut malformed = BytesMut::new();
    encode_request(6, &Request::Get(get("key")), &mut malformed).expect("it fits");
    malformed[17] = 0xc1;
    senseless.send(&malformed).await;
    senseless.send(&status_request(7)).await;
    for (id, word) in [(5, Some("99")), (6, Some("malformed")), (7, None)] {
        let answer = senseless.frame().await.expect("an answer");
        assert_eq!(answer.id(), id);
        match (decode_reply(&answer).expect("a reply"), word) {
            (henge::message::Reply::Failed(Failure { kind: FailureKind::BadRequest, message, .. }), Some(word)) => {
                says(&message, &[word]);
            }
            (henge::message::Reply::Status(_), None) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
    is_undisturbed(&client, address, 3).await;

    // Those that never said hello are let go; the one with half a frame is heard when the rest comes.
    assert_eq!(silent.frame().await, None);
    assert_eq!(loris.frame().await, None);
    half.send(&request[11..]).await;
    assert_eq!(half.frame().await.expect("an answer").id(), 9);
    is_undisturbed(&client, address, 4).await;
    cluster.check_events();
}

#[tokio::test]
async fn a_peer_of_another_cluster_and_a_second_copy_of_a_member_are_turned_away() {
    let cluster = Cluster::formed("refused-dialling", 3).await;
    let peer = &cluster.peers[0];
    let member = peer.status().await.expect("it answers").member;
    let ours = member.cluster.expect("it is formed");
    let stranger = Identity {
        cluster: Some(ClusterId(0xabcd_0123 << 96)),
        member: MemberId(0x1234_5678 << 96),
        actor: Actor(1),
        start: Start(1),
        previous: Start(0),
        earlier: Vec::new(),
        address: "127.0.0.1:1".into(),
        name: "stranger".into(),
    };
    let mut raw = Raw::open(&peer.address).await;
    raw.send(&hello(Role::Peer(stranger.clone()))).await;
    let refused = raw.refused().await;
    assert_eq!(refused.code, RefusalCode::WrongCluster, "{refused:?}");
    says(&refused.message, &[&ours.to_string()[..8], "abcd0123", "check the addresses"]);

    // Of this cluster, as it says, and no member.
    let mut raw = Raw::open(&peer.address).await;
    raw.send(&hello(Role::Peer(Identity { cluster: Some(ours), ..stranger.clone() }))).await;
    let refused = raw.refused().await;
    assert_eq!(refused.code, RefusalCode::WrongMember, "{refused:?}");
    says(&refused.message, &["12345678", "is no member"]);

    // An older start of a member that is there, and a second one of the same number.
    let other = cluster.peers[1].status().await.expect("it answers").member;
    let mut raw = Raw::open(&cluster.peers[1].address).await;
    raw.send(&hello(Role::Client)).await;
    let answer = decode_hello(&raw.frame().await.expect("an answer to the hello")).expect("a hello");
    let Role::Peer(known) = answer.role else { panic!("a peer answers") };
    assert_eq!(known.member, other.member);
    let mut raw = Raw::open(&peer.address).await;
    raw.send(&hello(Role::Peer(known.clone()))).await;
    let refused = raw.refused().await;
    assert_eq!(refused.code, RefusalCode::OldStart, "{refused:?}");
    says(&refused.message, &[&known.name, &known.address, &peer.address, "with another nonce"]);
    let old = Identity { start: Start(1), ..known };
    let mut raw = Raw::open(&peer.address).await;
    raw.send(&hello(Role::Peer(old))).await;
    let refused = raw.refused().await;
    assert_eq!(refused.code, RefusalCode::OldStart, "{refused:?}");
    says(&refused.message, &[&other.member.to_string()[..8], "old or second copy of this folder"]);
    let mut cluster = cluster;
    cluster.linked().await;
    cluster.check_events();
}

// ---- requests ----

#[tokio::test]
async fn what_is_over_a_limit_or_wrong_is_refused_and_nothing_of_it_is_done() {
    let cluster = Cluster::formed("refused-requests", 3).await;
    let client = cluster.client().await;
    let refused = async |put: Put| failed(client.put(put).await);

    // Keys.
    let empty = refused(put("", bytes(b"x"))).await;
    assert_eq!(empty.kind, FailureKind::BadRequest);
    says(&empty.message, &["a key has 1 to 4096 bytes, this one 0"]);
    let longest = "k".repeat(limits::KEY_BYTES_MAX);
    client.put(put(&longest, bytes(b"x"))).await.expect("the longest key");
    let longer = refused(put(&(longest + "k"), bytes(b"x"))).await;
    assert_eq!(longer.kind, FailureKind::TooLarge);
    says(&longer.message, &["a key has 1 to 4096 bytes, this one 4097"]);

    // Values: the largest, one byte more, more than a frame of a request takes, more than any frame takes.
    client.put(put("value", bytes(&vec![1; limits::VALUE_BYTES_MAX]))).await.expect("the largest value");
    for size in [limits::VALUE_BYTES_MAX + 1, 3 << 20, 20 << 20] {
        let larger = refused(put("value", bytes(&vec![2; size]))).await;
        assert_eq!(larger.kind, FailureKind::TooLarge, "{size} bytes: {larger:?}");
        says(&larger.message, &["bytes"]);
    }
    let Some(henge::message::Value::Bytes(kept)) = read(&client, "value").await.value else { panic!("bytes had to be there") };
    assert!(kept == vec![1; limits::VALUE_BYTES_MAX], "the value is not the one that was acknowledged");

    // JSON.
    for (text, place) in [("{\"a\": 1,\n \"b\": }", "line 2, column 7"), ("[1, 2", "line 1, column 6"), ("", "line 1, column 1")] {
        let broken = refused(put("broken", Body::Json(text.into()))).await;
        assert_eq!(broken.kind, FailureKind::BadRequest);
        says(&broken.message, &["not JSON", place]);
    }
    let deep = "[".repeat(100) + &"]".repeat(100);
    let deep_map = "{\"a\":".repeat(100) + "1" + &"}".repeat(100);
    for text in [deep, deep_map] {
        let deep = refused(put("broken", Body::Json(text.into()))).await;
        assert_eq!(deep.kind, FailureKind::BadRequest);
        says(&deep.message, &["nested more than 64 deep"]);
    }
    let patch = PatchBody::Set { path: "a..b".into(), json: "1".into() };
    let update = Update {
        key: "broken".into(),
        patch,
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    };
    let path = failed(client.update(update).await);
    assert_eq!(path.kind, FailureKind::BadRequest);
    says(&path.message, &["a name is missing", "path"]);
    assert!(matches!(client.get(get("broken")).await, Ok(Read::Missing(_))), "nothing of it was done");

    // Quorums.
    let r = failed(client.get(Get { r: Quorum::Exactly(4), ..get("value") }).await);
    let w = refused(Put { w: Quorum::Exactly(4), ..put("value", bytes(b"x")) }).await;
    for (failure, name) in [(r, "R=4"), (w, "W=4")] {
        assert_eq!(failure.kind, FailureKind::BadRequest, "{failure:?}");
        says(&failure.message, &[name, "3"]);
    }
    cluster.check_events();
}

#[tokio::test]
async fn a_context_that_was_not_sealed_for_this_key_is_refused_and_never_taken_for_none() {
    let cluster = Cluster::formed("refused-context", 3).await;
    let client = cluster.client().await;
    for name in ["one", "other"] {
        client.put(put(name, json(&json!({ "name": name })))).await.expect("written");
    }
    let of_one = read(&client, "one").await.context;
    let of_other = read(&client, "other").await.context;
    let mut forged = vec![Bytes::from_static(b"forged"), of_other, of_one.slice(..of_one.len() - 1), Bytes::from(vec![0; 64])];
    for at in 0..of_one.len() {
        let mut flipped = of_one.to_vec();
        flipped[at] ^= 1;
        forged.push(flipped.into());
    }
    for context in forged {
        let refused = failed(client.put(Put { context: context.clone(), ..put("one", bytes(b"x")) }).await);
        assert_eq!(refused.kind, FailureKind::BadContext, "{context:02x?}: {refused:?}");
        says(&refused.message, &["context", "read the key again"]);
        let session = failed(client.get(Get { session: context, ..get("one") }).await);
        assert_eq!(session.kind, FailureKind::BadContext, "{session:?}");
    }
    let kept = read(&client, "one").await;
    assert_eq!((value(&kept), kept.conflicts.len()), (json!({ "name": "one" }), 0));
    client.put(Put { context: of_one, ..put("one", bytes(b"x")) }).await.expect("the true one is taken");
    cluster.check_events();
}

#[tokio::test]
async fn with_too_few_owners_alive_it_is_said_who_is_down_and_never_that_nothing_is_there() {
    let mut cluster = Cluster::formed("refused-unavailable", 3).await;
    write(&cluster.client().await, 0..20, |_| {}).await;
    cluster.peers[1].kill().await;
    cluster.peers[2].kill().await;
    cluster.linked().await;
    let client = cluster.client().await;

    let list = List { prefix: Bytes::new(), after: Bytes::new(), limit: 100, r: Quorum::Default, deadline_ms: 0 };
    for failure in [
        failed(client.get(get(&key(1))).await),
        failed(client.get(get("never written")).await),
        failed(client.put(put("new", bytes(b"x"))).await),
        failed(client.list(list).await),
    ] {
        assert_eq!(failure.kind, FailureKind::Unavailable, "{failure:?}");
        says(&failure.message, &["1 of", "peer-2", "peer-3", "try again later"]);
        assert!(!failure.message.contains("not found"), "{failure:?}");
    }
    // Who asks for one answer gets it.
    for number in 0..20 {
        let one = found(client.get(Get { r: Quorum::Exactly(1), ..get(&key(number)) }).await);
        assert_eq!(value(&one), harness::values::document(number));
    }
    client.put(Put { w: Quorum::Exactly(1), ..put("one", bytes(b"x")) }).await.expect("one is enough");

    cluster.peers[1].start().await;
    cluster.peers[2].start().await;
    cluster.linked().await;
    let client = cluster.client().await;
    read_all(&client, 0..20).await;
    assert!(matches!(client.get(get("new")).await, Ok(Read::Missing(_))), "what was refused was not done");
    until("the write that one peer took, at all of them", async || match client.get(Get { r: Quorum::All, ..get("one") }).await {
        Ok(Read::Found(found)) if found.agreed == 3 => Some(()),
        _ => None,
    })
    .await;
    cluster.check_events();
}
