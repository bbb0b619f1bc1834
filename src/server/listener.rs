//! Where the server listens, and what becomes of those who call.

use super::clients::serve_client;
use super::config::{Config, ServeError};
use super::core::SharedCore;
use super::door::Gateway;
use super::handshake::{self, Caller, Credentials};
use super::links::serve_link;
use crate::wire::{Refused, encode_refused};
use bytes::BytesMut;
use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

/// A port that is ours, at which nobody is let in yet: who dials meanwhile is told so at once, and need not wait.
pub(super) struct Reserved {
    socket: TcpSocket,
    at: SocketAddr,
    /// Where others reach this peer.
    pub(super) address: String,
}

impl Reserved {
    /// Lets callers in.
    pub(super) fn listen(self) -> Result<TcpListener, ServeError> {
        let at = self.at;
        self.socket.listen(BACKLOG).map_err(|error| refused(at, &error))
    }
}

/// Callers that the operating system lets wait for us.
const BACKLOG: u32 = 1_024;

/// Reserves the port. Nothing of the peer's folder is touched before this has succeeded.
pub(super) async fn reserve(config: &Config) -> Result<Reserved, ServeError> {
    let (socket, at) = bind(address_of(config).await?)?;
    let address = config.advertise.clone().unwrap_or_else(|| at.to_string());
    Ok(Reserved { socket, at, address })
}

/// Where a peer is to listen.
pub(super) async fn address_of(config: &Config) -> Result<SocketAddr, ServeError> {
    let listen = resolve(&config.listen).await?;
    if !listen.ip().is_loopback() && config.secret.is_none() {
        return Err(ServeError::NoSecret { listen });
    }
    if config.advertise.is_none() && listen.ip().is_unspecified() {
        return Err(ServeError::NoAdvertise { listen });
    }
    Ok(listen)
}

/// Reserves the port of a door.
pub(super) async fn reserve_door(gateway: &Gateway) -> Result<Reserved, ServeError> {
    let (socket, at) = bind(address_of_door(gateway).await?)?;
    Ok(Reserved { socket, at, address: at.to_string() })
}

/// Where a door is to listen. Nothing that it carries is sealed, so it opens to other machines only on demand.
pub(super) async fn address_of_door(gateway: &Gateway) -> Result<SocketAddr, ServeError> {
    let listen = resolve(&gateway.listen).await?;
    if !listen.ip().is_loopback() && !gateway.insecure {
        return Err(ServeError::PlainDoor { door: gateway.name, listen });
    }
    Ok(listen)
}

fn bind(listen: SocketAddr) -> Result<(TcpSocket, SocketAddr), ServeError> {
    let bound = (|| {
        let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A port on which connections of an earlier start are still dying is free; one on which somebody listens is not.
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        let at = socket.local_addr()?;
        Ok((socket, at))
    })();
    bound.map_err(|error| refused(listen, &error))
}

fn refused(listen: SocketAddr, error: &std::io::Error) -> ServeError {
    match error.kind() {
        ErrorKind::AddrInUse => ServeError::PortInUse { listen },
        _ => ServeError::Listen { listen, reason: error.to_string() },
    }
}

async fn resolve(listen: &str) -> Result<SocketAddr, ServeError> {
    let wrong = |reason: String| ServeError::Address { listen: listen.to_string(), reason };
    let mut found = lookup_host(listen).await.map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong("the name has no address".to_string()))
}

/// After a failed accept (no more file handles, mostly) it is tried again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections in, for ever.
pub(super) async fn accept_all(core: SharedCore, listener: TcpListener, own: Credentials, connections_max: usize) {
    let open = Rc::new(Cell::new(0_usize));
    loop {
        match listener.accept().await {
            Ok((stream, _)) if open.get() >= connections_max => turn_away(&stream, connections_max),
            Ok((stream, address)) => {
                let counted = Counted::new(&open);
                tokio::task::spawn_local(serve_one(core.clone(), stream, address.to_string(), own.clone(), counted));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(core: SharedCore, stream: TcpStream, address: String, own: Credentials, _counted: Counted) {
    match handshake::accept(&core, stream, address, &own).await {
        Some((Caller::Client, greeted)) => serve_client(core, greeted).await,
        Some((Caller::Peer(other), greeted)) => serve_link(core, other, greeted).await,
        None => {}
    }
}

fn turn_away(stream: &TcpStream, connections_max: usize) {
    let mut out = BytesMut::new();
    if encode_refused(&Refused::too_many_connections(connections_max), &mut out).is_ok() {
        let _ = stream.try_write(&out);
    }
}

/// One open connection, counted while it lives.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(open: &Rc<Cell<usize>>) -> Counted {
        open.set(open.get() + 1);
        Counted(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
