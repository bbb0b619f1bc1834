//! Folders and ports that nobody else uses.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A folder of one test, removed with this value; it stays for a look if the test fails.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A new and empty one. Requires: no other test of the same process has this name.
    pub fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        // Left behind by an earlier process of the same number.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder can be made under target/tmp");
        Folder { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the folder of the failed test is {}", self.path.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Ports are taken from here up: below those that the operating system gives to outgoing connections. A port of theirs could be
/// taken by somebody's connection while the peer that has it is away for a moment.
const PORTS_FROM: u16 = 10_000;
/// Ports are taken up to here.
const PORTS_TO: u16 = 30_000;

/// Where to go on looking. Begins at another place in each process.
static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// So many ports in a row on 127.0.0.1 that are free, and that no other test of this process gets: the first of them.
pub fn free_ports(count: u16) -> u16 {
    let mut next = NEXT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let span = PORTS_TO - PORTS_FROM;
    let mut at = next.unwrap_or_else(|| PORTS_FROM + (std::process::id().wrapping_mul(101) % u32::from(span)) as u16);
    for _ in 0..span {
        if at + count > PORTS_TO {
            at = PORTS_FROM;
        }
        match (at..at + count).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_err()) {
            Some(taken) => at = taken + 1,
            None => {
                *next = Some(at + count);
                return at;
            }
        }
    }
    panic!("{count} free ports in a row between {PORTS_FROM} and {PORTS_TO}");
}

/// A base port for `henge up` with so many peers: those of all their doors are free.
pub fn free_base_port(peers: u16) -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let base = free_ports(peers + 1);
        if [100, 200].iter().all(|door| (base..=base + peers).all(|port| is_free(port + door))) {
            return base;
        }
    }
}
