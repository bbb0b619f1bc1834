//! The client against peers that are played: what goes where, what is tried again, and what is not.

use super::*;
use crate::limits;
use crate::message::*;
use crate::ring::{ClusterId, Founder, MemberId, partition_of};
use crate::vclock::{Actor, Start};
use crate::wire::{
    FrameCodec, Hello, Identity, Refused, Role, Versions, decode_hello, decode_request, encode_hello, encode_refused, encode_reply,
};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Decoder;

/// What a played peer does with a request.
enum Act {
    Reply(Reply),
    /// Closes the connection without an answer.
    Hang,
    /// Does not answer this one.
    Ignore,
    /// Closes the connection without an answer, and never answers anybody again.
    Die,
}

/// A played peer: plays its acts in order, one for each request but those for the ring, and answers as it should when they are over.
#[derive(Clone)]
struct Played {
    founder: Founder,
    start: Start,
    acts: Arc<Mutex<VecDeque<Act>>>,
    heard: Arc<Mutex<Vec<Request>>>,
    table: Arc<Mutex<Option<RingTable>>>,
    refuses: bool,
}

impl Played {
    fn hears(&self) -> Vec<Request> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    fn plays(&self, acts: impl IntoIterator<Item = Act>) {
        *self.acts.lock().unwrap() = acts.into_iter().collect();
    }

    fn attempt(&self) -> Attempt {
        Attempt { member: self.founder.member, start: self.start }
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            if self.talk(stream).await.is_none() {
                return;
            }
        }
    }

    /// One connection after the other is enough here. None: the peer dies.
    async fn talk(&self, mut stream: TcpStream) -> Option<()> {
        let (mut codec, mut inbox, mut greeted) = (FrameCodec::new(), BytesMut::new(), false);
        codec.accept_hello();
        loop {
            while let Some(frame) = codec.decode(&mut inbox).unwrap() {
                let mut out = BytesMut::new();
                if !greeted {
                    decode_hello(&frame).unwrap();
                    greeted = true;
                    self.greet(&mut out);
                } else {
                    let request = decode_request(&frame).unwrap();
                    match self.act(request) {
                        Act::Reply(reply) => encode_reply(frame.id(), &reply, &mut out).unwrap(),
                        Act::Hang => return Some(()),
                        Act::Ignore => {}
                        Act::Die => return None,
                    }
                }
                stream.write_all(&out).await.unwrap();
                if self.refuses {
                    return Some(());
                }
            }
            if stream.read_buf(&mut inbox).await.unwrap_or(0) == 0 {
                return Some(());
            }
        }
    }

    fn greet(&self, out: &mut BytesMut) {
        if self.refuses {
            return encode_refused(&Refused::secret_missing(true), out).unwrap();
        }
        let Founder { member, name, address, .. } = self.founder.clone();
        let identity = Identity {
            cluster: Some(ClusterId(1)),
            member,
            actor: Actor(1),
            start: self.start,
            previous: Start(0),
            earlier: Vec::new(),
            address,
            name,
        };
        let hello = Hello { versions: Versions::OURS, has_secret: false, nonce: [0; 16], role: Role::Peer(identity) };
        encode_hello(&hello, out).unwrap();
    }

    fn act(&self, request: Request) -> Act {
        if request == Request::Ring {
            let table = self.table.lock().unwrap().clone();
            return Act::Reply(table.map_or_else(|| failed(FailureKind::NotFormed, 0), Reply::Ring));
        }
        self.heard.lock().unwrap().push(request.clone());
        let planned = self.acts.lock().unwrap().pop_front();
        planned.unwrap_or_else(|| Act::Reply(self.answer(&request)))
    }

    fn answer(&self, request: &Request) -> Reply {
        match request {
            Request::Get(_) => Reply::Missing(Missing { context: Bytes::new(), answered: 2 }),
            _ => Reply::Written(Receipt {
                coordinator: self.attempt(),
                acks: vec![],
                dots: vec![],
                covered: vec![],
                context: Bytes::new(),
                stood_in: vec![],
            }),
        }
    }
}

fn failed(kind: FailureKind, retry_after_ms: u32) -> Reply {
    Reply::Failed(Failure { kind, message: "as it was planned".into(), retry_after_ms })
}

/// Three played peers of a cluster with N = 2: peers p and p + 1 (modulo 3) own partition p of four.
async fn three_peers() -> Vec<Played> {
    let mut peers = Vec::new();
    for number in 1..=3_u64 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let founder = Founder { member: MemberId(number.into()), name: format!("p{number}"), address, zone: "z".into(), weight: 1 };
        let peer =
            Played { founder, start: Start(9), acts: Arc::default(), heard: Arc::default(), table: Arc::default(), refuses: false };
        tokio::spawn(peer.clone().serve(listener));
        peers.push(peer);
    }
    let members = peers.iter().map(|peer| peer.founder.clone()).collect();
    let owners = (0..4_u16).map(|partition| vec![partition % 3, (partition + 1) % 3]).collect();
    let table = RingTable { cluster: ClusterId(1), replicas: 2, members, owners };
    peers.iter().for_each(|peer| *peer.table.lock().unwrap() = Some(table.clone()));
    peers
}

/// A key whose owners are the first and the second peer, in this order.
fn key() -> Bytes {
    let mut keys = (0..).map(|number| Bytes::from(format!("key-{number}")));
    keys.find(|key| partition_of(key, 4).0 == 0).unwrap()
}

fn put(deadline_ms: u32) -> Put {
    Put {
        key: key(),
        body: Body::Bytes(Bytes::from_static(b"v")),
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms,
        retry: None,
        strict: false,
        ttl_ms: 0,
    }
}

fn get() -> Get {
    Get { key: key(), path: String::new(), r: Quorum::Default, session: Bytes::new(), last_writer_wins: false, deadline_ms: 0 }
}

fn retry_of(request: &Request) -> Retry {
    let Request::Put(put) = request else { panic!("{request:?} is no put") };
    put.retry.expect("the client numbers its writes")
}

/// The third peer owns nothing here: whoever begins there has to find the owners.
async fn client_of(peers: &[Played]) -> Client {
    // How soon somebody is late depends on the machine: only tests of that ask twice.
    Client::connect(&[peers[2].founder.address.clone()], Options { hedges: false, ..Options::default() }).await.unwrap()
}

/// However long dialling takes on this machine.
async fn hedging_client_of(peers: &[Played]) -> Client {
    let options = Options { connect_timeout: Duration::from_secs(300), ..Options::default() };
    Client::connect(&[peers[2].founder.address.clone()], options).await.unwrap()
}

#[tokio::test]
async fn a_request_goes_straight_to_the_first_owner_and_writes_are_numbered() {
    let peers = three_peers().await;
    let client = client_of(&peers).await;
    assert_eq!(client.put(put(0)).await.unwrap().coordinator, peers[0].attempt());
    client.put(put(0)).await.unwrap();
    assert!(matches!(client.get(get()).await, Ok(Read::Missing(_))));
    let heard = peers[0].hears();
    let [first, second] = [retry_of(&heard[0]), retry_of(&heard[1])];
    assert_eq!((first.session, first.number + 1, first.first), (second.session, second.number, None));
    let Request::Get(get) = &heard[2] else { panic!("{heard:?}") };
    assert_eq!(u64::from(get.deadline_ms), limits::REQUEST_DEADLINE_MS, "the peer gives up no later than the client");
    assert!(peers[1].hears().is_empty() && peers[2].hears().is_empty());
}

#[tokio::test]
async fn a_read_whose_connection_breaks_is_asked_of_the_next_owner() {
    let peers = three_peers().await;
    let client = client_of(&peers).await;
    peers[0].plays([Act::Hang]);
    assert!(matches!(client.get(get()).await, Ok(Read::Missing(_))));
    assert_eq!((peers[0].hears().len(), peers[1].hears().len(), peers[2].hears().len()), (1, 1, 0));
}

#[tokio::test]
async fn a_read_whose_coordinator_is_late_is_asked_of_the_next_owner_too_and_a_write_is_not() {
    let peers = three_peers().await;
    let client = hedging_client_of(&peers).await;
    peers[0].plays([Act::Ignore]);
    assert!(matches!(client.get(get()).await, Ok(Read::Missing(_))));
    assert_eq!((peers[0].hears().len(), peers[1].hears().len(), peers[2].hears().len()), (1, 1, 0));

    let peers = three_peers().await;
    let client = hedging_client_of(&peers).await;
    peers[0].plays([Act::Ignore]);
    assert_eq!(client.put(put(300)).await.unwrap_err().kind, FailureKind::Unknown);
    assert!(peers[1].hears().is_empty(), "a second coordinator would make a second write of it");
}

#[tokio::test]
async fn who_is_stuck_is_left_alone_and_tried_by_what_nobody_waits_for_until_it_answers() {
    let peers = three_peers().await;
    let client = hedging_client_of(&peers).await;
    peers[0].plays([Act::Ignore, Act::Ignore]);
    assert!(matches!(client.get(get()).await, Ok(Read::Missing(_))));
    tokio::time::sleep(Duration::from_millis(limits::SLOW_MS_MAX)).await;
    for _ in 0..5 {
        assert_eq!(client.put(put(0)).await.unwrap().coordinator, peers[1].attempt(), "no write waits for it");
    }
    // Once in a while it is tried, and now it answers.
    while client.put(put(0)).await.unwrap().coordinator != peers[0].attempt() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard = peers[0].hears();
    let [Request::Get(_), tried @ .., Request::Put(_)] = &heard[..] else { panic!("{heard:?}") };
    assert!(tried.len() >= 2 && tried.iter().all(|request| *request == Request::Describe), "{heard:?}");
}

#[tokio::test]
async fn a_read_that_both_owners_refuse_is_refused_and_one_good_answer_is_enough() {
    let peers = three_peers().await;
    let client = hedging_client_of(&peers).await;
    let refused = || [Act::Reply(failed(FailureKind::Storage, 0))];
    peers[0].plays(refused());
    assert!(matches!(client.get(get()).await, Ok(Read::Missing(_))), "its disk fails, the other one's does not");
    peers[0].plays(refused());
    peers[1].plays(refused());
    assert_eq!(client.get(get()).await.unwrap_err().kind, FailureKind::Storage);
}

#[tokio::test]
async fn a_write_whose_connection_breaks_stays_with_its_coordinator_and_names_the_first_try() {
    let peers = three_peers().await;
    let client = client_of(&peers).await;
    peers[0].plays([Act::Hang, Act::Hang]);
    assert_eq!(client.put(put(0)).await.unwrap().coordinator, peers[0].attempt());
    let tries: Vec<Retry> = peers[0].hears().iter().map(retry_of).collect();
    assert_eq!(
        tries.iter().map(|retry| retry.first).collect::<Vec<_>>(),
        [None, Some(peers[0].attempt()), Some(peers[0].attempt())]
    );
    assert!(tries.iter().all(|retry| (retry.session, retry.number) == (tries[0].session, tries[0].number)), "it is one write");
    assert!(peers[1].hears().is_empty(), "another coordinator would take it for a new write");
}

#[tokio::test]
async fn a_write_whose_coordinator_is_gone_is_unknown_and_not_issued_elsewhere() {
    let peers = three_peers().await;
    let client = client_of(&peers).await;
    peers[0].plays([Act::Die]);
    assert_eq!(client.put(put(300)).await.unwrap_err().kind, FailureKind::Unknown);
    assert!(peers[1].hears().is_empty() && peers[2].hears().is_empty());
    // Issued again it is a new write, and goes where somebody is.
    assert_eq!(client.put(put(0)).await.unwrap().coordinator, peers[1].attempt());
}

#[tokio::test]
async fn a_retry_that_is_refused_does_not_say_that_the_first_try_did_nothing() {
    let peers = three_peers().await;
    let client = client_of(&peers).await;
    for kind in [FailureKind::Unavailable, FailureKind::Storage, FailureKind::TooManySiblings] {
        peers[0].plays([Act::Hang, Act::Reply(failed(kind, 0)), Act::Reply(failed(kind, 0))]);
        client.put(put(5_000)).await.expect("the third retry is answered");
        assert_eq!(peers[0].hears().len(), 4);
        peers[0].plays(std::iter::once(Act::Hang).chain((0..1_000).map(|_| Act::Reply(failed(kind, 0)))));
        assert_eq!(client.put(put(300)).await.map_err(|failure| failure.kind).unwrap_err(), FailureKind::Unknown);
        peers[0].hears();
        peers[0].plays([]);
    }
    assert!(peers[1].hears().is_empty() && peers[2].hears().is_empty(), "nobody else is asked: a write could be done twice");
}

#[tokio::test]
async fn an_overloaded_peer_is_asked_again_within_the_deadline() {
    let peers = three_peers().await;
    let client = client_of(&peers).await;
    peers[0].plays([Act::Reply(failed(FailureKind::Overloaded, 1)), Act::Reply(failed(FailureKind::Overloaded, 1))]);
    assert_eq!(client.put(put(0)).await.unwrap().coordinator, peers[0].attempt());
    let tries = peers[0].hears();
    assert_eq!(tries.len(), 3);
    assert!(tries.iter().all(|request| retry_of(request).first.is_none()), "nothing was done, so none of them is a retry");
    peers[0].plays([Act::Reply(failed(FailureKind::Overloaded, 60_000))]);
    assert_eq!(client.put(put(200)).await.unwrap_err().kind, FailureKind::Overloaded, "the hint is beyond the deadline");
}

#[tokio::test]
async fn what_one_peer_cannot_do_is_asked_of_one_other_and_then_told() {
    let peers = three_peers().await;
    let client = client_of(&peers).await;
    peers[0].plays([Act::Reply(failed(FailureKind::Unavailable, 0))]);
    assert_eq!(client.put(put(0)).await.unwrap().coordinator, peers[1].attempt());
    let unavailable = || [Act::Reply(failed(FailureKind::Unavailable, 0))];
    peers[0].plays(unavailable());
    peers[1].plays(unavailable());
    assert_eq!(client.put(put(0)).await.unwrap_err().message, "as it was planned");
    assert!(peers[2].hears().is_empty(), "the others would say the same");
}

#[tokio::test]
async fn another_member_at_an_owners_address_is_not_asked() {
    let peers = three_peers().await;
    let mut table = peers[2].table.lock().unwrap().clone().unwrap();
    table.members[0].member = MemberId(77);
    *peers[2].table.lock().unwrap() = Some(table);
    let client = client_of(&peers).await;
    assert_eq!(client.put(put(0)).await.unwrap().coordinator, peers[1].attempt());
    assert!(peers[0].hears().is_empty());
}

#[tokio::test]
async fn many_requests_share_one_connection_and_each_gets_its_own_answer() {
    let peers = three_peers().await;
    let client = client_of(&peers).await;
    // Every second is turned down: an answer for the wrong request would show.
    peers[0].plays((0..200).map(|number| match number % 2 {
        0 => Act::Reply(failed(FailureKind::TooLarge, number)),
        _ => Act::Reply(Reply::Missing(Missing { context: Bytes::new(), answered: number as u8 })),
    }));
    let asked: Vec<_> = (0..200_u32)
        .map(|_| {
            tokio::spawn({
                let client = client.clone();
                async move { client.get(get()).await }
            })
        })
        .collect();
    for (number, answer) in (0_u32..).zip(asked) {
        match answer.await.unwrap() {
            Err(failure) => assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::TooLarge, number)),
            Ok(Read::Missing(missing)) => assert_eq!(u32::from(missing.answered), number),
            Ok(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason_and_an_address_without_anybody_with_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut peer = three_peers().await.remove(0);
    peer.refuses = true;
    tokio::spawn(peer.serve(listener));
    let refused = Client::connect(&[address], Options::default()).await.err().unwrap();
    assert!(matches!(&refused, ClientError::Refused { message, .. } if message.contains("--secret-file")), "{refused}");

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let nobody = Client::connect(std::slice::from_ref(&free), Options::default()).await.err().unwrap();
    assert!(matches!(&nobody, ClientError::Unreachable { tried } if tried.contains(&free)), "{nobody}");
    assert_eq!(Client::connect(&[], Options::default()).await.err(), Some(ClientError::NoAddress));
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = Options { connect_timeout: Duration::from_millis(20), ..Options::default() };
    let silent = Client::connect(&[address], options).await.err().unwrap();
    assert!(matches!(&silent, ClientError::Unreachable { tried } if tried.contains("no answer within 20 ms")), "{silent}");
}

#[tokio::test]
async fn a_single_connection_numbers_its_requests_and_gives_the_answers_as_they_come() {
    let peers = three_peers().await;
    let mut connection = Connection::open(&peers[1].founder.address, &Options::default()).await.unwrap();
    assert_eq!(connection.attempt(), peers[1].attempt());
    for number in 0..3 {
        assert_eq!(connection.send(&Request::Get(get())).unwrap(), number);
    }
    for number in 0..3 {
        assert_eq!(connection.recv().await.unwrap().0, number);
    }
    let large = Put { body: Body::Bytes(Bytes::from(vec![0; limits::FRAME_BYTES_MAX])), ..put(0) };
    assert!(connection.send(&Request::Put(large)).is_err(), "it fits no frame");
    peers[1].plays([Act::Hang]);
    assert_eq!(connection.send(&Request::Get(get())).unwrap(), 3, "what does not fit takes no number");
    assert!(matches!(connection.recv().await, Err(ClientError::Lost { .. })));
}
