//! Hellos and proofs, from both sides. Nothing else is taken from a connection before they are done.

use super::connection::{Connection, Total};
use super::core::SharedCore;
use super::reader::FrameReader;
use crate::limits;
use crate::peer::{Introduction, Verdict};
use crate::wire::{
    Frame, Hello, Hellos, Identity, Kind, RefusalCode, Refused, Role, Secret, Side, Versions, WireError, check, decode_hello,
    decode_proof, decode_refused, encode_hello, encode_proof, encode_refused, prove, take_frame,
};
use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Who this server is to others, beside its introduction.
#[derive(Clone)]
pub(super) struct Credentials {
    /// What both sides have to prove, if there is a secret.
    pub(super) secret: Option<Secret>,
}

/// Who has said hello.
pub(super) enum Caller {
    Client,
    Peer(Introduction),
}

/// A connection after its handshake.
pub(super) struct Greeted {
    pub(super) reader: FrameReader,
    pub(super) connection: Rc<Connection>,
}

/// Why dialling a peer has not led to a link.
pub(super) enum DialError {
    /// For the events' log; it is tried again.
    Failed(String),
    /// The other side knows a newer start of us, or another one of this number: we have to stop.
    WeAreACopy(String),
}

/// How a handshake ends that does not succeed.
enum End {
    /// We turn the other side away.
    Refuse(Refused),
    /// It turns us away.
    Refused(Refused),
    /// The connection ended, or what came makes no sense.
    Broken(String),
}

/// Greets a connection that was accepted. None if it has been turned away, or was none of ours.
pub(super) async fn accept(core: &SharedCore, stream: TcpStream, address: String, own: &Credentials) -> Option<(Caller, Greeted)> {
    set_options(&stream);
    let mut greeting = Greeting { stream, inbox: BytesMut::new() };
    let deadline = Duration::from_millis(limits::HELLO_DEADLINE_MS);
    match tokio::time::timeout(deadline, greeting.accept(core, own)).await {
        Ok(Ok(Caller::Client)) => {
            let (unsent, unfinished) = (core.borrow().unsent.clone(), core.borrow().unfinished.clone());
            let mut greeted = greeting.done(address, unsent);
            greeted.reader.restrict(limits::REQUEST_FRAME_BYTES_MAX, unfinished);
            return Some((Caller::Client, greeted));
        }
        Ok(Ok(peer)) => return Some((peer, greeting.done(address, Total::default()))),
        Ok(Err(End::Refuse(refused))) => {
            // Scanners and strays speak no hello; whoever does has a person behind it who wants to know.
            match refused.code {
                // The same peer tries again every second; it is told once what there is to be told.
                _ if !core.borrow_mut().is_news(&refused.message) => {
                    tracing::debug!(%address, reason = %refused.message, "turned a connection away again")
                }
                RefusalCode::NoHello => tracing::debug!(%address, reason = %refused.message, "turned a connection away"),
                _ => tracing::warn!(%address, reason = %refused.message, "turned a connection away"),
            }
            greeting.refuse(&refused);
        }
        Ok(Err(End::Refused(refused))) => tracing::warn!(%address, reason = %refused.message, "a caller has turned away"),
        Ok(Err(End::Broken(reason))) => tracing::debug!(%address, %reason, "a connection ended before its hello"),
        Err(_) => tracing::debug!(%address, "closed a connection that did not say hello in time"),
    }
    None
}

/// Dials a peer, for a link.
pub(super) async fn dial(core: &SharedCore, address: &str, own: &Credentials) -> Result<(Introduction, Greeted), DialError> {
    let dialled = tokio::time::timeout(Duration::from_millis(limits::CONNECT_TIMEOUT_MS), async {
        let stream = TcpStream::connect(address).await.map_err(|error| DialError::Failed(error.to_string()))?;
        set_options(&stream);
        let mut greeting = Greeting { stream, inbox: BytesMut::new() };
        match greeting.dial(core, own).await {
            Ok(other) => Ok((other, greeting.done(address.to_string(), Total::default()))),
            Err(End::Refuse(refused)) => {
                greeting.refuse(&refused);
                Err(DialError::Failed(refused.message))
            }
            Err(End::Refused(refused)) if refused.code == RefusalCode::OldStart => {
                Err(DialError::WeAreACopy(said_by(address, &refused)))
            }
            Err(End::Refused(refused)) => Err(DialError::Failed(refused.message)),
            Err(End::Broken(reason)) => Err(DialError::Failed(reason)),
        }
    });
    dialled.await.unwrap_or_else(|_| Err(DialError::Failed("no answer in time".to_string())))
}

/// A refusal that makes this process stop, with who said it.
pub(super) fn said_by(address: &str, refused: &Refused) -> String {
    format!("the peer at {address} says: {}", refused.message)
}

/// Sends a refusal as far as the socket takes it at once, and closes the connection.
pub(super) fn turn_away(connection: &Rc<Connection>, refused: &Refused) {
    connection.queue(|out| write_refused(refused, out));
    connection.flush();
    connection.close();
}

/// Sets what every connection has: nothing waits to be sent, and a machine that is gone without a word is noticed.
fn set_options(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY).with_retries(KEEPALIVE_RETRIES);
    // If these fail, latency or the time to notice a dead machine is worse; nothing is wrong.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

/// An idle connection is probed after this long, this often, so many times, by the operating system: a machine that has
/// vanished is noticed within twenty seconds, and a process that idles is not woken for it.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;

/// A connection on which the hellos are under way.
struct Greeting {
    stream: TcpStream,
    inbox: BytesMut,
}

impl Greeting {
    /// The side that was dialled. A stranger learns who we are; it learns whether it may come in when it has proved the secret.
    async fn accept(&mut self, core: &SharedCore, own: &Credentials) -> Result<Caller, End> {
        let first = self.frame().await?;
        let theirs = decode_hello(&first).map_err(|error| End::Refuse(Refused::hello(&error)))?;
        check_secrets(own, &theirs)?;
        let caller = caller(&theirs);
        if own.secret.is_none() {
            judge(core, &caller)?;
        }
        let ours = hello(core, own);
        self.send(|out| encode_hello(&ours, out)).await?;
        if let Some(secret) = &own.secret {
            let body = ours.body();
            let hellos = Hellos { dialer: first.body(), acceptor: &body };
            self.check_proof(secret, Side::Dialer, hellos).await?;
            judge(core, &caller)?;
            self.send(|out| encode_proof(&prove(secret, Side::Acceptor, hellos), out)).await?;
        }
        Ok(caller)
    }

    /// The side that dials.
    async fn dial(&mut self, core: &SharedCore, own: &Credentials) -> Result<Introduction, End> {
        let ours = hello(core, own);
        self.send(|out| encode_hello(&ours, out)).await?;
        let answer = self.frame().await?;
        let theirs = decode_hello(&answer).map_err(|error| End::Refuse(Refused::hello(&error)))?;
        check_secrets(own, &theirs)?;
        if let Some(secret) = &own.secret {
            let body = ours.body();
            let hellos = Hellos { dialer: &body, acceptor: answer.body() };
            self.send(|out| encode_proof(&prove(secret, Side::Dialer, hellos), out)).await?;
            self.check_proof(secret, Side::Acceptor, hellos).await?;
        }
        let caller = caller(&theirs);
        judge(core, &caller)?;
        match caller {
            Caller::Peer(other) => Ok(other),
            Caller::Client => Err(End::Broken("it says that it is a client".to_string())),
        }
    }

    async fn check_proof(&mut self, secret: &Secret, side: Side, hellos: Hellos<'_>) -> Result<(), End> {
        let proof = decode_proof(&self.frame().await?).map_err(|error| End::Broken(error.to_string()))?;
        if check(secret, side, hellos, &proof) { Ok(()) } else { Err(End::Refuse(Refused::secret_wrong())) }
    }

    /// The next frame, unless it is a refusal.
    async fn frame(&mut self) -> Result<Frame, End> {
        loop {
            let taken = take_frame(&mut self.inbox, limits::FRAME_BYTES_BEFORE_HELLO_MAX);
            if let Some(frame) = taken.map_err(|error| End::Refuse(Refused::hello(&error)))? {
                return match refusal(&frame) {
                    Some(refused) => Err(End::Refused(refused)),
                    None => Ok(frame),
                };
            }
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) => return Err(End::Broken("it closed the connection without a word".to_string())),
                Ok(_) => {}
                Err(error) => return Err(End::Broken(error.to_string())),
            }
        }
    }

    async fn send(&mut self, encode: impl FnOnce(&mut BytesMut) -> Result<(), WireError>) -> Result<(), End> {
        let mut out = BytesMut::new();
        encode(&mut out).map_err(|error| End::Broken(error.to_string()))?;
        self.stream.write_all(&out).await.map_err(|error| End::Broken(error.to_string()))
    }

    /// Says why, as far as the socket takes it at once; a stranger is not waited for.
    fn refuse(&self, refused: &Refused) {
        let mut out = BytesMut::new();
        write_refused(refused, &mut out);
        let _ = self.stream.try_write(&out);
    }

    fn done(self, address: String, total: Total) -> Greeted {
        let (socket, writer) = self.stream.into_split();
        Greeted { reader: FrameReader::new(socket, self.inbox), connection: Connection::new(address, writer, total) }
    }
}

/// The refusal in a frame, if it is one.
pub(super) fn refusal(frame: &Frame) -> Option<Refused> {
    if frame.kind() != Kind::Refused as u8 {
        return None;
    }
    let unreadable = |error: WireError| Refused { code: RefusalCode::Other(0), message: error.to_string() };
    Some(decode_refused(frame).unwrap_or_else(unreadable))
}

fn write_refused(refused: &Refused, out: &mut BytesMut) {
    if let Err(error) = encode_refused(refused, out) {
        tracing::error!(%error, "a refusal does not fit a frame");
    }
}

/// Our hello. Of its 16 random bytes the first eight are drawn at each start and tell twins apart, and the last eight at each hello,
/// so that no proof can be used twice.
fn hello(core: &SharedCore, own: &Credentials) -> Hello {
    let Introduction { member, actor, start, previous, earlier, nonce: start_nonce, cluster, address, name } =
        core.borrow().peer.introduction();
    let mut nonce: [u8; 16] = rand::random();
    nonce[..8].copy_from_slice(&start_nonce.to_be_bytes());
    let role = Role::Peer(Identity { cluster, member, actor, start, previous, earlier, address, name });
    Hello { versions: Versions::OURS, has_secret: own.secret.is_some(), nonce, role }
}

fn caller(hello: &Hello) -> Caller {
    match &hello.role {
        Role::Client => Caller::Client,
        Role::Peer(identity) => {
            let Identity { cluster, member, actor, start, previous, earlier, address, name } = identity.clone();
            let [start_nonce @ .., _, _, _, _, _, _, _, _] = hello.nonce;
            let nonce = u64::from_be_bytes(start_nonce);
            Caller::Peer(Introduction { member, actor, start, previous, earlier, nonce, cluster, address, name })
        }
    }
}

fn check_secrets(own: &Credentials, theirs: &Hello) -> Result<(), End> {
    let ours = own.secret.is_some();
    if theirs.has_secret == ours { Ok(()) } else { Err(End::Refuse(Refused::secret_missing(ours))) }
}

/// Whether a peer may come in; clients may.
fn judge(core: &SharedCore, caller: &Caller) -> Result<(), End> {
    let Caller::Peer(other) = caller else { return Ok(()) };
    let core = core.borrow();
    let (code, message) = match core.peer.judge(other) {
        Verdict::Welcome => return Ok(()),
        Verdict::Copy(message) => (RefusalCode::OldStart, message),
        Verdict::Refused(message) if core.peer.introduction().cluster != other.cluster => (RefusalCode::WrongCluster, message),
        Verdict::Refused(message) | Verdict::Myself(message) => (RefusalCode::WrongMember, message),
    };
    Err(End::Refuse(Refused { code, message }))
}
