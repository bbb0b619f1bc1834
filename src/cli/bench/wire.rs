//! One connection of the load generator, in either protocol.

use super::resp::{self, Answer};
use crate::client::{Client, Connection, Options};
use crate::message::{Body, FailureKind, Get, Put, Quorum, Reply, Request};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// As it should.
    Done,
    /// A read found nothing.
    Missing,
    /// It failed.
    Failed(Option<FailureKind>),
}

/// One connection. Operations are numbered 0, 1, 2, … as they are queued.
// One of each connection: their sizes do not matter.
#[allow(clippy::large_enum_variant)]
pub(super) enum Wire {
    /// To a peer.
    Henge(HengeWire),
    /// To a cluster, as a program does that uses the client.
    Client(ClientWire),
    /// To a Redis server.
    Redis(RedisWire),
}

/// To a peer.
pub(super) struct HengeWire {
    connection: Connection,
    /// Kept whole and given another key each time, so that a request costs no allocation.
    put: Request,
    get: Request,
}

/// To a cluster: every operation is a request of one client, which chooses the peer.
pub(super) struct ClientWire {
    client: Client,
    put: Request,
    get: Request,
    next: u64,
    sender: mpsc::UnboundedSender<(u64, Outcome)>,
    ended: mpsc::UnboundedReceiver<(u64, Outcome)>,
}

/// To a Redis server.
pub(super) struct RedisWire {
    socket: TcpStream,
    inbox: BytesMut,
    out: BytesMut,
    wait: Option<Wait>,
    /// What is answered next, in the order in which it was sent.
    expected: VecDeque<Expected>,
    next: u64,
    /// SETs whose WAIT has not been answered.
    unconfirmed: Vec<(u64, Outcome)>,
    /// SETs have been queued behind the last WAIT.
    to_confirm: bool,
}

/// `WAIT replicas 0` behind every batch of SETs.
#[derive(Clone, Copy, Debug)]
struct Wait {
    replicas: i64,
}

enum Expected {
    Set(u64),
    Get(u64),
    Wait,
}

/// What the requests of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) value: Bytes,
    pub(super) r: Quorum,
    pub(super) w: Quorum,
    /// Replicas to wait for, if every batch of SETs is followed by a WAIT.
    pub(super) wait: Option<u8>,
}

impl Shape {
    /// A write and a read without a key.
    fn requests(&self) -> (Request, Request) {
        let (context, key) = (Bytes::new(), Bytes::new());
        let put = Put {
            key: key.clone(),
            body: Body::Bytes(self.value.clone()),
            context,
            w: self.w,
            deadline_ms: 0,
            retry: None,
            strict: false,
            ttl_ms: 0,
        };
        let get = Get { key, path: String::new(), r: self.r, session: Bytes::new(), last_writer_wins: false, deadline_ms: 0 };
        (Request::Put(put), Request::Get(get))
    }
}

impl Wire {
    /// Connects to a peer.
    pub(super) async fn henge(address: &str, options: &Options, shape: &Shape) -> Result<Wire, String> {
        let connection = Connection::open(address, options).await.map_err(|error| error.to_string())?;
        let (put, get) = shape.requests();
        Ok(Wire::Henge(HengeWire { connection, put, get }))
    }

    /// Connects to a cluster by a client of its own.
    pub(super) async fn client(addresses: &[String], options: &Options, shape: &Shape) -> Result<Wire, String> {
        let client = Client::connect(addresses, options.clone()).await.map_err(|error| error.to_string())?;
        let (put, get) = shape.requests();
        let (sender, ended) = mpsc::unbounded_channel();
        Ok(Wire::Client(ClientWire { client, put, get, next: 0, sender, ended }))
    }

    /// Connects to a Redis server.
    pub(super) async fn redis(address: &str, shape: &Shape) -> Result<Wire, String> {
        let socket = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
        socket.set_nodelay(true).map_err(|error| format!("{address}: {error}"))?;
        Ok(Wire::Redis(RedisWire {
            socket,
            inbox: BytesMut::new(),
            out: BytesMut::new(),
            wait: shape.wait.map(|replicas| Wait { replicas: i64::from(replicas) }),
            expected: VecDeque::new(),
            next: 0,
            unconfirmed: Vec::new(),
            to_confirm: false,
        }))
    }

    /// Queues a write.
    pub(super) fn put(&mut self, key: Bytes, value: &[u8]) -> Result<u64, String> {
        match self {
            Wire::Henge(wire) => {
                if let Request::Put(put) = &mut wire.put {
                    put.key = key;
                }
                wire.connection.send(&wire.put).map_err(|error| error.to_string())
            }
            Wire::Client(wire) => Ok(wire.put(key)),
            Wire::Redis(wire) => {
                resp::push_command(&mut wire.out, &[b"SET", &key, value]);
                wire.to_confirm = true;
                Ok(wire.expect(Expected::Set))
            }
        }
    }

    /// Queues a read.
    pub(super) fn get(&mut self, key: Bytes) -> Result<u64, String> {
        match self {
            Wire::Henge(wire) => {
                if let Request::Get(get) = &mut wire.get {
                    get.key = key;
                }
                wire.connection.send(&wire.get).map_err(|error| error.to_string())
            }
            Wire::Client(wire) => Ok(wire.get(key)),
            Wire::Redis(wire) => {
                resp::push_command(&mut wire.out, &[b"GET", &key]);
                Ok(wire.expect(Expected::Get))
            }
        }
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), String> {
        match self {
            Wire::Henge(wire) => wire.connection.flush().await.map_err(|error| error.to_string()),
            // Each request is on its way already.
            Wire::Client(_) => Ok(()),
            Wire::Redis(wire) => wire.flush().await,
        }
    }

    /// Waits for at least one byte of an answer, and takes all answers that are there. Safe to cancel, once flushed.
    pub(super) async fn receive(&mut self, done: &mut Vec<(u64, Outcome)>) -> Result<(), String> {
        match self {
            Wire::Henge(wire) => {
                let mut next = Some(wire.connection.recv().await.map_err(|error| error.to_string())?);
                while let Some((id, reply)) = next {
                    done.push((id, outcome(&reply)));
                    next = wire.connection.try_recv().map_err(|error| error.to_string())?;
                }
                Ok(())
            }
            Wire::Client(wire) => {
                // The wire holds a sender itself, so there is always one.
                done.extend(wire.ended.recv().await);
                while let Ok(ended) = wire.ended.try_recv() {
                    done.push(ended);
                }
                Ok(())
            }
            Wire::Redis(wire) => wire.receive(done).await,
        }
    }
}

impl ClientWire {
    fn put(&mut self, key: Bytes) -> u64 {
        let mut request = self.put.clone();
        if let Request::Put(put) = &mut request {
            put.key = key;
        }
        self.start(request)
    }

    fn get(&mut self, key: Bytes) -> u64 {
        let mut request = self.get.clone();
        if let Request::Get(get) = &mut request {
            get.key = key;
        }
        self.start(request)
    }

    fn start(&mut self, request: Request) -> u64 {
        let id = self.next;
        self.next += 1;
        let (client, sender) = (self.client.clone(), self.sender.clone());
        tokio::spawn(async move {
            let reply = client.request(request).await;
            // A connection that has ended early waits for nothing.
            let _ = sender.send((id, outcome(&reply)));
        });
        id
    }
}

impl RedisWire {
    fn expect(&mut self, expected: impl Fn(u64) -> Expected) -> u64 {
        let id = self.next;
        self.next += 1;
        self.expected.push_back(expected(id));
        id
    }

    async fn flush(&mut self) -> Result<(), String> {
        if let Some(wait) = self.wait
            && self.to_confirm
        {
            resp::push_command(&mut self.out, &[b"WAIT", wait.replicas.to_string().as_bytes(), b"0"]);
            self.expected.push_back(Expected::Wait);
        }
        self.to_confirm = false;
        while !self.out.is_empty() {
            match self.socket.write(&self.out).await {
                Ok(written) if written > 0 => self.out.advance(written),
                _ => return Err("the connection to the Redis server was lost".into()),
            }
        }
        Ok(())
    }

    async fn receive(&mut self, done: &mut Vec<(u64, Outcome)>) -> Result<(), String> {
        self.inbox.reserve(64 << 10);
        match self.socket.read_buf(&mut self.inbox).await {
            Ok(0) | Err(_) => return Err("the connection to the Redis server was lost".into()),
            Ok(_) => {}
        }
        while let Some((answer, length)) = resp::parse(&self.inbox)? {
            self.inbox.advance(length);
            let outcome = match answer {
                Answer::Failed => Outcome::Failed(None),
                Answer::Nothing => Outcome::Missing,
                Answer::Done | Answer::Number(_) => Outcome::Done,
            };
            match self.expected.pop_front().ok_or("the Redis server answered what was not asked")? {
                Expected::Get(id) => done.push((id, outcome)),
                Expected::Set(id) if self.wait.is_some() => self.unconfirmed.push((id, outcome)),
                Expected::Set(id) => done.push((id, outcome)),
                Expected::Wait => {
                    let enough = matches!((answer, self.wait), (Answer::Number(n), Some(wait)) if n >= wait.replicas);
                    let confirmed = |outcome| if enough { outcome } else { Outcome::Failed(None) };
                    done.extend(self.unconfirmed.drain(..).map(|(id, outcome)| (id, confirmed(outcome))));
                }
            }
        }
        Ok(())
    }
}

fn outcome(reply: &Reply) -> Outcome {
    match reply {
        Reply::Missing(_) => Outcome::Missing,
        Reply::Failed(failure) => Outcome::Failed(Some(failure.kind)),
        _ => Outcome::Done,
    }
}
