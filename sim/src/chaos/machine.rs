//! What this machine allows: found out by doing it once.

use super::disks::Disks;
use super::keeper::run;
use super::namespaces::Namespaces;
use super::proxy::Way;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What can be done here, or for people: why not.
#[derive(Clone, Debug)]
pub struct Machine {
    /// File systems that lose power and run full.
    pub disks: Result<(), String>,
    /// System calls that fail.
    pub tracing: Result<(), String>,
    /// A library that makes a process's wall clock another one.
    pub faketime: Result<PathBuf, String>,
    /// Network namespaces with a router between them that can be told to lose what it should hand on.
    pub namespaces: Result<(), String>,
}

impl Machine {
    /// Tries everything once. `folder` exists, and is used for a moment.
    pub async fn probe(folder: &Path) -> Machine {
        let (disks, tracing, faketime) = (disks(folder).await, tracing().await, faketime().await);
        Machine { disks, tracing, faketime, namespaces: namespaces().await }
    }
}

/// Power is cut for real if what was synced is there afterwards, and what was not is gone.
async fn disks(folder: &Path) -> Result<(), String> {
    let at_first = |error: String| format!("{error} (root is needed, and mkfs.ext4, perl, loop devices)");
    let disks = Disks::open(folder).map_err(at_first)?;
    disks.make(0).await.map_err(at_first)?;
    let place = disks.seen_from_outside(&disks.place(0));
    let write = |name: &str, is_synced: bool| -> std::io::Result<()> {
        let mut file = std::fs::File::create(place.join(name))?;
        file.write_all(b"probe")?;
        if is_synced { file.sync_all().and_then(|()| std::fs::File::open(&place)?.sync_all()) } else { Ok(()) }
    };
    write("synced", true).and_then(|()| write("unsynced", false)).map_err(|error| format!("a new ext4 cannot be used: {error}"))?;
    disks.lose_power(&[0]).await?;
    disks.power_on(&[0]).await?;
    let kept = ["synced", "unsynced"].map(|name| std::fs::read(place.join(name)).is_ok_and(|bytes| bytes == b"probe"));
    match kept {
        [true, false] => Ok(()),
        [synced, unsynced] => Err(format!("after a power cut, synced bytes: {synced}, others: {unsynced}")),
    }
}

/// Whether a cut between network namespaces can be made. Whether it is one is found out where it is used: one that does nothing is no machine
/// that lacks something.
///
/// # Errors
/// For people: why not.
pub async fn namespaces() -> Result<(), String> {
    let cut = async |network: Namespaces| {
        network.set(BTreeSet::from([Way { from: 0, to: 1 }])).await?;
        network.set(BTreeSet::new()).await
    };
    let made = async { cut(Namespaces::open(2).await?).await };
    made.await.map_err(|error| {
        format!("{error} (root is needed, or a user namespace, which cargo sim chaos makes; and ip, unshare, nsenter)")
    })
}

/// An ordinary user is root in a user namespace, where the machine allows that, and may make networks there. This program begins anew in one,
/// and does not return; it does if it is root, or if there is none. Nothing else is gained: to others it is the same user. It is in a network
/// of its own at once, since from those that it makes it could not come back to one that belongs to root.
pub fn begin_anew_in_user_namespace() {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", r#"ip link set lo up && exec "$@""#, "unshare"]);
        command
    };
    let is_allowed = || {
        let tried = unshare().arg("true").stdin(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    if !rustix::process::geteuid().is_root()
        && is_allowed()
        && let Ok(own) = std::env::current_exe()
    {
        // It comes back only if it has failed, and then this program goes on as it is.
        let _ = unshare().arg(own).args(std::env::args_os().skip(1)).exec();
    }
}

async fn tracing() -> Result<(), String> {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "--seccomp-bpf", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1"]);
    run_quietly(command, &["-o", "/dev/null", "true"]).await.map_err(|error| format!("{error} (strace is needed, and ptrace)"))
}

async fn run_quietly(mut command: Command, arguments: &[&str]) -> Result<(), String> {
    command.args(arguments).stdin(Stdio::null());
    run(command).await.map(drop)
}

/// Where libfaketime lies. It counts if a process believes it.
async fn faketime() -> Result<PathBuf, String> {
    let named = std::env::var_os("HENGE_CHAOS_FAKETIME").map(PathBuf::from);
    let installed = || {
        let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
        folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|path| path.exists())
    };
    let path = named.or_else(installed).ok_or("libfaketime is not installed")?;
    let mut command = Command::new("date");
    command.arg("+%Y").stdin(Stdio::null()).env("LD_PRELOAD", &path).env("FAKETIME", "+36525d");
    let year = run(command).await?;
    match year.trim().parse::<u32>() {
        Ok(year) if year > 2100 => Ok(path),
        _ => Err(format!("libfaketime does not work: the year is {}", year.trim())),
    }
}
