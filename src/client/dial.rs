//! Opening a connection: hello, and proof where there is a secret.

use super::{ClientError, Options};
use crate::limits;
use crate::message::Attempt;
use crate::wire::{
    Frame, Hello, Hellos, Kind, Role, Secret, Side, Versions, check, decode_hello, decode_proof, decode_refused, encode_hello,
    encode_proof, prove, take_frame,
};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection after its hello.
pub(super) struct Dialed {
    pub(super) stream: TcpStream,
    /// What has arrived behind the hello.
    pub(super) inbox: BytesMut,
    /// Who answered.
    pub(super) attempt: Attempt,
}

/// Connects to a peer and says hello, within the options' time.
pub(super) async fn dial(address: &str, options: &Options) -> Result<Dialed, ClientError> {
    let unreachable = |why: String| ClientError::Unreachable { tried: format!("{address}: {why}") };
    let opened = tokio::time::timeout(options.connect_timeout, async {
        let stream = TcpStream::connect(address).await.map_err(|error| unreachable(error.to_string()))?;
        // Only latency suffers if this fails.
        let _ = stream.set_nodelay(true);
        let mut dialing = Dialing { address, stream, inbox: BytesMut::new() };
        let attempt = dialing.greet(options.secret.as_ref()).await?;
        Ok(Dialed { stream: dialing.stream, inbox: dialing.inbox, attempt })
    });
    opened.await.unwrap_or_else(|_| Err(unreachable(format!("no answer within {} ms", options.connect_timeout.as_millis()))))
}

struct Dialing<'a> {
    address: &'a str,
    stream: TcpStream,
    inbox: BytesMut,
}

impl Dialing<'_> {
    async fn greet(&mut self, secret: Option<&Secret>) -> Result<Attempt, ClientError> {
        let ours = Hello { versions: Versions::OURS, has_secret: secret.is_some(), nonce: rand::random(), role: Role::Client };
        let mut out = BytesMut::new();
        encode_hello(&ours, &mut out).map_err(|error| self.protocol(error))?;
        self.write(&out).await?;
        let answer = self.answer().await?;
        let theirs = decode_hello(&answer).map_err(|error| self.protocol(error))?;
        let Role::Peer(identity) = theirs.role else { return Err(self.protocol("it says that it is a client")) };
        match secret {
            None if theirs.has_secret => return Err(self.refused("it asks for the cluster's secret; give --secret-file")),
            Some(_) if !theirs.has_secret => {
                return Err(self.refused("it has no secret, but --secret-file is given; leave that away, or check the address"));
            }
            None => {}
            Some(secret) => self.prove(secret, Hellos { dialer: &ours.body(), acceptor: answer.body() }).await?,
        }
        Ok(Attempt { member: identity.member, start: identity.start })
    }

    async fn prove(&mut self, secret: &Secret, hellos: Hellos<'_>) -> Result<(), ClientError> {
        let mut out = BytesMut::new();
        encode_proof(&prove(secret, Side::Dialer, hellos), &mut out).map_err(|error| self.protocol(error))?;
        self.write(&out).await?;
        let proof = decode_proof(&self.answer().await?).map_err(|error| self.protocol(error))?;
        match check(secret, Side::Acceptor, hellos, &proof) {
            true => Ok(()),
            false => Err(self.refused("it does not know our secret; check the address and --secret-file")),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        // If the other side turns us away at once, what it said may still be read.
        let _ = self.stream.write_all(bytes).await;
        Ok(())
    }

    /// The next frame, unless it is a refusal.
    async fn answer(&mut self) -> Result<Frame, ClientError> {
        loop {
            let taken = take_frame(&mut self.inbox, limits::FRAME_BYTES_BEFORE_HELLO_MAX).map_err(|error| self.protocol(error))?;
            if let Some(frame) = taken {
                return match refusal(&frame) {
                    Some(message) => Err(self.refused(&message)),
                    None => Ok(frame),
                };
            }
            let lost = |why: String| ClientError::Unreachable { tried: format!("{}: {why}", self.address) };
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) => return Err(lost("it closed the connection without a word".to_string())),
                Ok(_) => {}
                Err(error) => return Err(lost(error.to_string())),
            }
        }
    }

    fn protocol(&self, reason: impl ToString) -> ClientError {
        ClientError::Protocol { address: self.address.to_string(), reason: reason.to_string() }
    }

    fn refused(&self, message: &str) -> ClientError {
        ClientError::Refused { address: self.address.to_string(), message: message.to_string() }
    }
}

/// The message of a refusal, if the frame is one.
pub(super) fn refusal(frame: &Frame) -> Option<String> {
    if frame.kind() != Kind::Refused as u8 {
        return None;
    }
    Some(decode_refused(frame).map_or_else(|error| error.to_string(), |refused| refused.message))
}
