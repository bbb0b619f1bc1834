//! A TCP proxy in front of every peer, so that the network between peers can be cut while they run.
//!
//! Every peer advertises its proxy's address, so whatever peers say to each other passes here. The first frame of a connection is a hello,
//! which says who dials; the proxy reads it, and hands it on byte by byte as it came. What a cut holds up is kept and delivered after the
//! cut, in order, like the segments that TCP goes on sending: no reset, no end of the stream, not a word. A connection that is dialled
//! during a cut is not made, whichever of its two ways is cut, as none comes about whose SYN or its answer is dropped.

use super::namespaces::Place;
use bytes::{Bytes, BytesMut};
use henge::limits::FRAME_BYTES_BEFORE_HELLO_MAX;
use henge::wire::{Role, decode_hello, take_frame};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// From one peer to another, each by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Way {
    /// Who says something.
    pub from: usize,
    /// To whom.
    pub to: usize,
}

impl Way {
    /// The way back.
    pub fn back(self) -> Way {
        Way { from: self.to, to: self.from }
    }
}

/// What the network does at present, for all proxies together. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Cuts {
    table: Arc<watch::Sender<Table>>,
    passed: Arc<Mutex<BTreeMap<Way, u64>>>,
    said: Arc<Mutex<BTreeMap<Way, Vec<u8>>>>,
}

#[derive(Default)]
struct Table {
    cut: BTreeSet<Way>,
    delays: BTreeMap<Way, Duration>,
    /// Nothing is taken from the sender.
    stopped: BTreeSet<Way>,
    /// After so many bytes more the connection breaks.
    breaks: BTreeMap<Way, u64>,
    /// How often all connections have been broken.
    resets: u64,
}

impl Default for Cuts {
    fn default() -> Cuts {
        Cuts { table: Arc::new(watch::Sender::new(Table::default())), passed: Arc::default(), said: Arc::default() }
    }
}

impl Cuts {
    /// From now on nothing passes these ways, established connections included.
    pub fn cut(&self, ways: impl IntoIterator<Item = Way>) {
        self.table.send_modify(|table| table.cut.extend(ways));
    }

    /// From now on everything passes, and what was held up first of all.
    pub fn heal(&self) {
        self.table.send_modify(|table| table.cut.clear());
    }

    /// From now on what goes this way arrives so much later.
    pub fn delay(&self, way: Way, delay: Duration) {
        self.table.send_modify(|table| {
            table.delays.insert(way, delay);
        });
    }

    /// From now on nothing is taken from whoever sends this way: a reader that has stopped. What is under way arrives.
    pub fn stop_reading(&self, way: Way) {
        self.table.send_modify(|table| {
            table.stopped.insert(way);
        });
    }

    /// When so many bytes more have gone this way, the connection they are on breaks, wherever in a frame that is.
    pub fn break_after(&self, way: Way, bytes: u64) {
        self.table.send_modify(|table| {
            table.breaks.insert(way, bytes);
        });
    }

    /// Breaks every connection between peers that is there now.
    pub fn reset(&self) {
        self.table.send_modify(|table| table.resets += 1);
    }

    /// From now on nothing is cut, slow, stopped, or about to break.
    pub fn calm(&self) {
        self.table.send_modify(|table| *table = Table { resets: table.resets, ..Table::default() });
    }

    /// What the dialler of the last connection of this way said first, [`SAID_BYTES_MAX`] at the most.
    pub fn said(&self, way: Way) -> Option<Vec<u8>> {
        self.said.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&way).cloned()
    }

    fn note_said(&self, way: Way, is_first: bool, piece: &[u8]) {
        let mut said = self.said.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let said = said.entry(way).or_default();
        if is_first {
            said.clear();
        }
        let room = SAID_BYTES_MAX - said.len().min(SAID_BYTES_MAX);
        said.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// How many of these bytes may still go this way; 0 if the connection is to break now.
    fn allowed(&self, ways: &[Way], bytes: usize) -> usize {
        let table = self.table.borrow();
        ways.iter()
            .filter_map(|way| table.breaks.get(way))
            .fold(bytes, |bytes, left| bytes.min(usize::try_from(*left).unwrap_or(bytes)))
    }

    /// So many bytes have gone this way, or at 0: the connection has broken.
    fn spend(&self, ways: &[Way], bytes: usize) {
        if self.table.borrow().breaks.is_empty() {
            return;
        }
        self.table.send_modify(|table| {
            for way in ways {
                match table.breaks.get_mut(way) {
                    Some(_) if bytes == 0 => drop(table.breaks.remove(way)),
                    Some(left) => *left = left.saturating_sub(bytes as u64),
                    None => {}
                }
            }
        });
    }

    /// Returns when all connections are broken the next time.
    async fn is_reset(&self) {
        let mut table = self.table.subscribe();
        let now = table.borrow_and_update().resets;
        let _ = table.wait_for(|table| table.resets != now).await;
    }

    /// Returns when this way is read from.
    async fn is_read(&self, ways: &[Way]) {
        if !self.table.borrow().stopped.is_empty() {
            let _ = self.table.subscribe().wait_for(|table| ways.iter().all(|way| !table.stopped.contains(way))).await;
        }
    }

    /// How many bytes have passed this way so far.
    pub fn passed(&self, way: Way) -> u64 {
        self.counts().get(&way).copied().unwrap_or(0)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Way, u64>> {
        // Nothing in here panics while it holds the lock.
        self.passed.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn count(&self, way: Option<Way>, bytes: usize) {
        if let Some(way) = way {
            *self.counts().entry(way).or_default() += bytes as u64;
        }
    }

    fn delay_of(&self, way: Option<Way>) -> Duration {
        way.and_then(|way| self.table.borrow().delays.get(&way).copied()).unwrap_or_default()
    }

    /// Returns when all of these ways are open.
    async fn open(&self, ways: &[Way]) {
        let is_open = |table: &Table| ways.iter().all(|way| !table.cut.contains(way));
        // It fails when the sender is gone, and that is ours.
        let _ = self.table.subscribe().wait_for(is_open).await;
    }
}

/// Of what a connection says first so much is kept, to be said again (bytes).
pub const SAID_BYTES_MAX: usize = 64 << 10;

/// The proxy in front of one peer. Its connections end with it.
pub struct Proxy {
    accepting: JoinHandle<()>,
    target: Target,
}

/// Where the peer behind a proxy listens: it may change from start to start.
type Target = Arc<Mutex<String>>;

/// What each connection of a proxy needs to know.
#[derive(Clone)]
struct Post {
    /// The number of the peer behind.
    to: usize,
    target: Target,
    /// From where the peer behind is reached; none: from everywhere.
    place: Option<Place>,
    /// Under which address others know each peer, by its number.
    advertised: Arc<[String]>,
    cuts: Cuts,
}

impl Proxy {
    /// Stands with this listener in front of peer `to`, which is reached from this place. `advertised` are the addresses of all proxies, by the
    /// peers' numbers; whoever is not among them passes freely.
    pub fn stand_before(
        listener: TcpListener,
        (to, place): (usize, Option<Place>),
        advertised: Arc<[String]>,
        cuts: Cuts,
    ) -> Proxy {
        let target = Target::default();
        let post = Post { to, target: target.clone(), place, advertised, cuts };
        Proxy { accepting: tokio::spawn(accept_all(listener, post)), target }
    }

    /// The peer behind listens here from now on.
    pub fn lead_to(&self, address: &str) {
        *self.target.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = address.to_string();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept_all(listener: TcpListener, post: Post) {
    // It is dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, post.clone()));
                }
                // No file handles, mostly: some connection will end.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// One connection, from its first byte to its end. Errors are those of its sockets: there is nobody to tell but the two ends, which see
/// them as its end.
async fn serve(mut stream: TcpStream, post: Post) -> io::Result<()> {
    let mut first = BytesMut::new();
    let way = match dialer(&mut stream, &mut first, &post.advertised).await? {
        Some(from) => {
            let way = Way { from, to: post.to };
            let both = [way, way.back()];
            tokio::select! {
                biased;
                gone = until_closed(&mut stream, &mut first) => return gone,
                () = post.cuts.open(&both) => {}
            }
            Some(way)
        }
        // Clients and strangers are not between peers.
        None => None,
    };
    let target = post.target.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    let behind = match &post.place {
        Some(place) => place.connect(&target).await?,
        None => TcpStream::connect(target).await?,
    };
    stream.set_nodelay(true)?;
    behind.set_nodelay(true)?;
    let (from_dialer, to_dialer) = stream.into_split();
    let (from_behind, to_behind) = behind.into_split();
    let both = async {
        tokio::try_join!(
            pump((first.freeze(), from_dialer), to_behind, (way, true), &post.cuts),
            pump((Bytes::new(), from_behind), to_dialer, (way.map(Way::back), false), &post.cuts)
        )
    };
    tokio::select! {
        ended = both => ended.map(drop),
        () = post.cuts.is_reset(), if way.is_some() => Err(ErrorKind::ConnectionReset.into()),
    }
}

/// The number of the peer that dials, none if it is no peer. Keeps what has arrived.
async fn dialer(stream: &mut TcpStream, first: &mut BytesMut, advertised: &[String]) -> io::Result<Option<usize>> {
    loop {
        // Of a copy: the bytes are handed on as they came.
        match take_frame(&mut first.clone(), FRAME_BYTES_BEFORE_HELLO_MAX) {
            Ok(Some(frame)) => {
                let Ok(hello) = decode_hello(&frame) else { return Ok(None) };
                let Role::Peer(identity) = hello.role else { return Ok(None) };
                return Ok(advertised.iter().position(|address| *address == identity.address));
            }
            Ok(None) => {}
            Err(_) => return Ok(None),
        }
        if stream.read_buf(first).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Returns when the dialer has given up. What it says meanwhile is kept, and it says next to nothing before it is answered.
async fn until_closed(stream: &mut TcpStream, first: &mut BytesMut) -> io::Result<()> {
    while stream.read_buf(first).await? > 0 {
        if first.len() > FRAME_BYTES_BEFORE_HELLO_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

/// Most pieces that are under way in one direction of a connection; beyond it the sender has to wait, as it would for a full window.
const PIECES_MAX: usize = 64;
/// The size of a piece (bytes).
const PIECE_BYTES: usize = 16 << 10;

/// Carries one direction of a connection, from its first byte to its end; that of the dialler or the other. An error is that of writing: it
/// is the end of the other direction, too.
async fn pump(
    (first, mut reader): (Bytes, OwnedReadHalf),
    mut writer: OwnedWriteHalf,
    (way, is_dialler): (Option<Way>, bool),
    cuts: &Cuts,
) -> io::Result<()> {
    let (queue, mut due) = mpsc::channel::<(Instant, Bytes)>(PIECES_MAX);
    let ways = Vec::from_iter(way);
    let taken_from = ways.clone();
    let take = async move {
        let (mut piece, mut is_first) = (first, true);
        loop {
            if let (Some(way), true) = (way, is_dialler && !piece.is_empty()) {
                cuts.note_said(way, is_first, &piece);
                is_first = false;
            }
            if !piece.is_empty() && queue.send((Instant::now() + cuts.delay_of(way), piece)).await.is_err() {
                return Ok(());
            }
            let mut buffer = BytesMut::with_capacity(PIECE_BYTES);
            cuts.is_read(&taken_from).await;
            match reader.read_buf(&mut buffer).await {
                Ok(read) if read > 0 => piece = buffer.freeze(),
                _ => return Ok(()),
            }
        }
    };
    let hand_over = async move {
        while let Some((at, mut piece)) = due.recv().await {
            sleep_until(at).await;
            while !piece.is_empty() {
                writer.writable().await?;
                cuts.open(&ways).await;
                let allowed = cuts.allowed(&ways, piece.len());
                if allowed == 0 {
                    cuts.spend(&ways, 0);
                    return Err(ErrorKind::ConnectionReset.into());
                }
                // Nothing is waited for between the look at the cuts and the bytes: not one passes a cut.
                match writer.try_write(&piece[..allowed]) {
                    Ok(written) => {
                        cuts.count(way, written);
                        cuts.spend(&ways, written);
                        let _ = piece.split_to(written);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
        cuts.open(&ways).await;
        writer.shutdown().await
    };
    tokio::try_join!(take, hand_over).map(drop)
}
