//! A network of their own for the peers: each in a network namespace, all of them behind one more that stands between, the router.
//!
//! ```text
//! peer-1, 10.77.1.2 ── 10.77.1.1, router, 10.77.2.1 ── 10.77.2.2, peer-2
//! ```
//!
//! What is cut is lost: the router drops each packet of the way, and says nothing to anybody. It is done by routing rules, which every kernel
//! with namespaces has, and the only program that is needed is `ip`. A way that is cut takes the acknowledgements of the way back along: TCP
//! stands still in both directions after a window, tries again and again with longer and longer pauses, and nobody is told.
//!
//! No namespace has a name, and none a way out of the machine. Each is kept open by a process, its keeper, which ends with this program,
//! however that ends; with the last process in it the namespace ends too, and takes its links and rules along. Nothing of it can be seen from
//! outside, nothing has to be tidied up by hand. This program's own thread is in the router as long as the network is there, since its clients
//! talk to all peers; between two peers is only the router.

use super::keeper::{Keeper, run};
use super::proxy::Way;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, sleep, timeout};

/// The network of one cluster's peers.
pub struct Namespaces {
    router: Kept,
    peers: Vec<Kept>,
    /// One in each peer's namespace, to find out what passes.
    sentries: Vec<UdpSocket>,
    state: Mutex<State>,
    /// Where this thread was before; none: it is there.
    home: Option<Place>,
}

#[derive(Default)]
struct State {
    cut: BTreeSet<Way>,
    /// Looks at what passes so far: each has a number.
    looks: u32,
}

/// A namespace, and the process that keeps it open.
struct Kept {
    keeper: Keeper,
    place: Place,
}

/// A network namespace. Cheap to clone: all clones are one.
#[derive(Clone, Debug)]
pub struct Place(Arc<File>);

/// Where the peer itself listens, in a namespace that has nobody else in it.
pub const PEER_PORT: u16 = 7_400;
/// Where its proxy stands.
pub const PROXY_PORT: u16 = 7_401;
/// Where its neighbours come in.
pub const DOOR_PORT: u16 = 7_402;
/// Where its sentry stands.
const SENTRY_PORT: u16 = 7_403;
/// A port of a listener that nobody ever accepts from: its callers talk to the system.
const MUTE_PORT: u16 = 7_404;

/// What must not arrive has this long to do so all the same.
const NOTHING_COMES: Duration = Duration::from_millis(30);
/// What must arrive has this long.
const SOMETHING_COMES: Duration = Duration::from_secs(20);
/// Who calls over a way that is cut waits so long. The system would, for two minutes.
const CALLED: Duration = Duration::from_millis(700);

/// In a new namespace: itself, and then nothing until standard input ends.
const KEEP: &str =
    r#"ip link set lo up && if [ "$1" = router ]; then echo 1 > /proc/sys/net/ipv4/ip_forward; fi && echo ready && exec cat"#;
/// `ip` with these lines.
const IP: &str = r#"printf '%s\n' "$@" | ip -batch -"#;

impl Namespaces {
    /// A network for so many peers, with nothing cut. This thread is in its router from now on, until the value goes; it has to go in this
    /// thread. Requires: a runtime of this thread alone.
    ///
    /// # Errors
    /// For people: why there is none.
    pub async fn open(peers: usize) -> Result<Namespaces, String> {
        assert!(peers <= 250, "they are numbered by a byte of their addresses");
        assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread, "it is this thread that is in the router");
        let router = Kept::open("router")?;
        let peers: Result<Vec<Kept>, String> = (0..peers).map(|_| Kept::open("peer")).collect();
        let made = Namespaces { router, peers: peers?, sentries: Vec::new(), state: Mutex::default(), home: None };
        let lines = |number: usize, peer: &Kept| {
            let (here, own) = (format!("link-{}", number + 1), peer.keeper.id());
            [
                format!("link add {here} type veth peer name uplink netns {own}"),
                format!("address add {}/30 dev {here}", address(number, 1)),
                format!("link set {here} up"),
            ]
        };
        let all: Vec<String> = made.peers.iter().enumerate().flat_map(|(number, peer)| lines(number, peer)).collect();
        made.router.ip(&all).await?;
        for (number, peer) in made.peers.iter().enumerate() {
            let own = format!("address add {}/30 dev uplink", address(number, 2));
            let route = format!("route add default via {}", address(number, 1));
            peer.ip(&[own, "link set uplink up".to_string(), route]).await?;
        }
        made.in_use()
    }

    fn in_use(mut self) -> Result<Namespaces, String> {
        let cannot = |what: &str, error: io::Error| format!("{what}: {error}");
        for (number, peer) in self.peers.iter().enumerate() {
            let sentry = peer.place.within(|| UdpSocket::bind((address(number, 2), SENTRY_PORT)));
            let sentry = sentry.and_then(|sentry| sentry.set_nonblocking(true).map(|()| sentry));
            self.sentries.push(sentry.map_err(|error| cannot("no socket in a namespace", error))?);
        }
        let home = Place::here().map_err(|error| cannot("this thread does not know its namespace", error))?;
        self.router.place.enter().map_err(|error| cannot("this thread cannot go into a namespace", error))?;
        self.home = Some(home);
        Ok(self)
    }

    /// The namespace of a peer.
    pub fn place(&self, number: usize) -> &Place {
        &self.peers[number].place
    }

    /// Listens in a peer's namespace, for all that can reach it.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn listen(&self, number: usize, port: u16) -> io::Result<TcpListener> {
        let listener = self.peers[number].place.within(|| std::net::TcpListener::bind((address(number, 2), port)))?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    /// A command that runs in a peer's namespace, and is the process that it starts; in this mount namespace, too, if there is one.
    pub fn inside(&self, number: usize, mounts: Option<&str>, program: &Path) -> Command {
        let mut command = self.peers[number].inside();
        command.args(mounts).arg("--").arg(program);
        command
    }

    /// Ways on which everything is lost at present.
    pub fn cut(&self) -> BTreeSet<Way> {
        self.state().cut.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// From now on everything is lost on these ways, and on no others.
    ///
    /// # Errors
    /// For people: what the system says.
    pub async fn set(&self, cut: BTreeSet<Way>) -> Result<(), String> {
        let old = self.cut();
        // Each way has a rule of its own, behind that for the router's own addresses (0) and before that for its routes (32766).
        let rule = |way: &Way| 1_000 + way.from * 256 + way.to;
        let ends = old.difference(&cut).map(|way| format!("rule del pref {}", rule(way)));
        let begins = cut.difference(&old).map(|way| {
            let (from, to) = (address(way.from, 2), address(way.to, 2));
            format!("rule add pref {} from {from} to {to} blackhole", rule(way))
        });
        let lines: Vec<String> = ends.chain(begins).collect();
        if !lines.is_empty() {
            self.router.ip(&lines).await?;
            self.state().cut = cut;
        }
        Ok(())
    }

    /// The negative control: from now on these ways are taken for cut, and are not.
    #[cfg(test)]
    pub(super) fn pretend(&self, cut: BTreeSet<Way>) {
        self.state().cut = cut;
    }

    /// Finds out whether everything is lost on the ways that are cut, and nothing on the others.
    ///
    /// # Errors
    /// A way is not what it should be: for people.
    pub async fn check(&self) -> Result<(), String> {
        let (cut, look) = {
            let mut state = self.state();
            state.looks += 1;
            (state.cut.clone(), state.looks)
        };
        let count = self.peers.len();
        let all = (0..count).flat_map(|from| (0..count).map(move |to| Way { from, to })).filter(|way| way.from != way.to);
        let open: BTreeSet<Way> = all.filter(|way| !cut.contains(way)).collect();
        // What is cut goes first: when all the others have come, it would have come long ago.
        cut.iter().for_each(|way| self.call(*way, look));
        let (mut come, begin) = (BTreeSet::new(), Instant::now());
        while !open.is_subset(&come) {
            if begin.elapsed() > SOMETHING_COMES {
                return Err(format!("nothing cuts these ways, and nothing passes: {:?}", open.difference(&come)));
            }
            // A single datagram may be lost by itself.
            open.difference(&come).for_each(|way| self.call(*way, look));
            sleep(Duration::from_millis(5)).await;
            self.hear(look, &mut come);
        }
        if !cut.is_empty() {
            sleep(NOTHING_COMES).await;
            self.hear(look, &mut come);
        }
        match come.intersection(&cut).next() {
            None => Ok(()),
            Some(Way { from, to }) => {
                Err(format!("a cut does nothing: what is sent from {} to {} arrives", address(*from, 2), address(*to, 2)))
            }
        }
    }

    fn call(&self, way: Way, look: u32) {
        let mut said = [0; 8];
        said[..4].copy_from_slice(&look.to_be_bytes());
        said[4..].copy_from_slice(&(way.from as u32).to_be_bytes());
        // A socket that cannot send is found out by what does not come.
        let _ = self.sentries[way.from].send_to(&said, (address(way.to, 2), SENTRY_PORT));
    }

    fn hear(&self, look: u32, come: &mut BTreeSet<Way>) {
        for (to, sentry) in self.sentries.iter().enumerate() {
            let mut said = [0; 8];
            while let Ok(bytes) = sentry.recv(&mut said) {
                // What is left of earlier looks says nothing of this one.
                if bytes == said.len() && said[..4] == look.to_be_bytes() {
                    come.insert(Way { from: usize::from(said[7]), to });
                }
            }
        }
    }

    /// Cuts one way of two, and finds out that nothing else is cut, that nobody can be called over it, that whoever calls is told nothing, and
    /// that all is well afterwards. Answers with what was seen. Requires: two peers at least, and nothing is cut.
    ///
    /// # Errors
    /// It is not so: for people.
    pub async fn prove(&self) -> Result<String, String> {
        let listener = self.listen(1, MUTE_PORT).map_err(|error| format!("no listener in a namespace: {error}"))?;
        let failed = |when: &str, how: io::Error| format!("{when} a cut, a call between two namespaces fails: {how}");
        self.check().await?;
        self.connect(0, 1).await.map_err(|error| failed("before", error))?;
        self.set(BTreeSet::from([Way { from: 0, to: 1 }])).await?;
        self.check().await?;
        let begin = Instant::now();
        match timeout(CALLED, self.connect(0, 1)).await {
            Err(_) => {}
            Ok(Ok(_)) => return Err("a cut does nothing: a call goes through".to_string()),
            Ok(Err(error)) => return Err(format!("a cut is not silent: whoever calls is told {error}")),
        }
        let waited = begin.elapsed();
        self.set(BTreeSet::new()).await?;
        self.check().await?;
        self.connect(0, 1).await.map_err(|error| failed("after", error))?;
        drop(listener);
        Ok(format!(
            "the cut is real: with one way of two cut, datagrams pass the other one alone, and a call waits in vain ({} ms)",
            waited.as_millis()
        ))
    }

    async fn connect(&self, from: usize, to: usize) -> io::Result<TcpStream> {
        self.peers[from].place.connect(&format!("{}:{MUTE_PORT}", address(to, 2))).await
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        if let Some(home) = &self.home
            && let Err(error) = home.enter()
        {
            // Nothing that this thread does afterwards is what it was meant to be.
            panic!("this thread cannot leave a namespace that it has made: {error}");
        }
    }
}

/// The address of a peer (2), or of the router as it sees it (1).
pub fn address(number: usize, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, (number + 1) as u8, host)
}

impl Kept {
    fn open(what: &str) -> Result<Kept, String> {
        let no = |reason: String| format!("no network namespace can be made: {reason}");
        let keeper = Keeper::of(&["--net"], KEEP, what).map_err(no)?;
        let place = File::open(format!("/proc/{}/ns/net", keeper.id())).map_err(|error| no(error.to_string()))?;
        Ok(Kept { keeper, place: Place(Arc::new(place)) })
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.keeper.id()));
        command
    }

    async fn ip(&self, lines: &[String]) -> Result<(), String> {
        let mut command = self.inside();
        command.args(["--", "sh", "-c", IP, "ip"]).args(lines).stdin(Stdio::null());
        run(command).await.map(drop).map_err(|error| format!("{error} (of ip)"))
    }
}

impl Place {
    /// Where this thread is.
    fn here() -> io::Result<Place> {
        File::open("/proc/thread-self/ns/net").map(|file| Place(Arc::new(file)))
    }

    fn enter(&self) -> io::Result<()> {
        Ok(move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Makes a socket there: it stays there, and this thread comes back.
    fn within<T>(&self, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let here = Place::here()?;
        self.enter()?;
        let made = make();
        // It would be in a peer's place for good.
        here.enter().expect("a thread may go back to where it was");
        made
    }

    /// Connects from there.
    ///
    /// # Errors
    /// Those of the socket, or it is no IPv4 address.
    pub async fn connect(&self, to: &str) -> io::Result<TcpStream> {
        let to = to.parse().map_err(|_| io::Error::new(ErrorKind::InvalidInput, "no IPv4 address"))?;
        self.within(TcpSocket::new_v4)?.connect(to).await
    }
}
