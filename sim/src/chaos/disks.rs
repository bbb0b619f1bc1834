//! File systems of their own for the peers, which can lose power and run full.
//!
//! They are ext4 on loop devices on files in a tmpfs, all of them mounted in a mount namespace that one process keeps open, the keeper. It
//! ends with this value, and when this program is gone, however that happened; with the last process in it the namespace ends too, and takes
//! mounts, loop devices and files along. Nothing of it can be seen from outside, nothing has to be tidied up by hand.

use super::keeper::{Keeper, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The file systems of one cluster's peers.
pub struct Disks {
    keeper: Keeper,
    /// Where they are, as the processes in the namespace see it.
    root: PathBuf,
}

/// The size of each file system: its file takes only what is written (mebibytes).
const DISK_MIB: usize = 256;

/// In the namespace: a place for the files, and then nothing until standard input ends.
const KEEP: &str = r#"mount -t tmpfs -o size=90% henge-chaos "$1" && echo ready && exec cat"#;
/// A new file system. No reserve: the disk is full for everybody.
const MAKE: &str = r#"
truncate -s "$2"M "$1.img"
mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1,nodiscard "$1.img"
mkdir -p "$1"
mount -o loop,noatime "$1.img" "$1""#;
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: whatever is not on the disk now will never be.
const LOSE_POWER: &str = r#"
my $how = pack("L", 2);
for (@ARGV) { open(my $disk, "<", $_) or die "$_: $!"; ioctl($disk, 0x8004587d, $how) or die "$_: $!"; }"#;
/// What was in memory is gone with the mount. A process that has just been killed may hold it for a moment.
const POWER_ON: &str = r#"
for disk in "$@"; do
    tries=0
    until umount "$disk" 2>/dev/null; do
        tries=$((tries + 1)); [ $tries -lt 200 ] || { umount "$disk"; exit 1; }
        sleep 0.05
    done
    mount -o loop,noatime "$disk.img" "$disk"
done"#;
const FILL: &str = r#"
fallocate -l "$(df -B1 --output=avail "$1" | tail -n 1 | tr -d ' ')" "$1/ballast" 2>/dev/null || true
dd if=/dev/zero of="$1/ballast" oflag=append conv=notrunc bs=4096 2>/dev/null || true"#;
/// No power cut fills it again.
const MAKE_ROOM: &str = r#"rm -f -- "$1/ballast"; sync "$1""#;

impl Disks {
    /// A namespace of its own, with an empty place for file systems in this folder, which must exist.
    ///
    /// # Errors
    /// For people: why not.
    pub fn open(folder: &Path) -> Result<Disks, String> {
        let keeper = Keeper::of(&["--mount", "--propagation", "private"], KEEP, folder)
            .map_err(|reason| format!("no mount namespace with a tmpfs can be made: {reason}"))?;
        Ok(Disks { keeper, root: folder.to_path_buf() })
    }

    /// A command that runs in the namespace, and is the process that it starts.
    pub fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(self.entrance()).arg("--").arg(program);
        command
    }

    /// What tells `nsenter` to go into the namespace.
    pub fn entrance(&self) -> String {
        format!("--mount=/proc/{}/ns/mnt", self.keeper.id())
    }

    /// Where the file system of a peer is, for those in the namespace.
    pub fn place(&self, number: usize) -> PathBuf {
        self.root.join(format!("disk-{}", number + 1))
    }

    /// Where what lies there is for this program.
    pub fn seen_from_outside(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.keeper.id(), path.display()))
    }

    /// Makes the file system of a peer.
    ///
    /// # Errors
    /// For people: what the system says.
    pub async fn make(&self, number: usize) -> Result<(), String> {
        self.run("sh", "-ec", MAKE, &[self.place(number).into_os_string(), DISK_MIB.to_string().into()]).await
    }

    /// These lose power, all at once: from now on whatever is done there fails. The processes there are then to be killed.
    ///
    /// # Errors
    /// For people: what the system says.
    pub async fn lose_power(&self, numbers: &[usize]) -> Result<(), String> {
        let places: Vec<_> = numbers.iter().map(|number| self.place(*number).into_os_string()).collect();
        self.run("perl", "-e", LOSE_POWER, &places).await
    }

    /// These have power again: what the disks hold is there, and nothing else. Requires: no process is there.
    ///
    /// # Errors
    /// For people: what the system says.
    pub async fn power_on(&self, numbers: &[usize]) -> Result<(), String> {
        let places: Vec<_> = numbers.iter().map(|number| self.place(*number).into_os_string()).collect();
        self.run("sh", "-ec", POWER_ON, &places).await
    }

    /// Writes everything out that is only in memory, behind the processes' backs.
    ///
    /// # Errors
    /// For people: what the system says.
    pub async fn write_out(&self, numbers: &[usize]) -> Result<(), String> {
        let places: Vec<_> = numbers.iter().map(|number| self.place(*number).into_os_string()).collect();
        self.run("sync", "-f", "--", &places).await
    }

    /// Leaves no room on a peer's file system.
    ///
    /// # Errors
    /// For people: what the system says.
    pub async fn fill(&self, number: usize) -> Result<(), String> {
        self.run("sh", "-ec", FILL, &[self.place(number).into_os_string()]).await
    }

    /// There is room again.
    ///
    /// # Errors
    /// For people: what the system says.
    pub async fn make_room(&self, number: usize) -> Result<(), String> {
        self.run("sh", "-ec", MAKE_ROOM, &[self.place(number).into_os_string()]).await
    }

    /// Runs a script of sh or perl in the namespace, without holding up this thread, in which the proxies run.
    async fn run(&self, program: &str, flag: &str, script: &str, arguments: &[std::ffi::OsString]) -> Result<(), String> {
        let mut command = self.inside(Path::new(program));
        command.args([flag, script]);
        if program == "sh" {
            command.arg("script");
        }
        command.args(arguments).stdin(Stdio::null());
        run(command).await.map(drop)
    }
}
