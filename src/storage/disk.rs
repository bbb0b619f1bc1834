//! The seam to the disk: what the log, recovery and the disk threads ask of a file system.

use std::fmt;

/// A folder on a disk: blocking calls. Paths are relative to the folder, with `/` between their parts.
///
/// What is written is durable only after [`sync`](Disk::sync) of its file has returned without an error; a name that was
/// made, moved or removed only after [`sync_dir`](Disk::sync_dir) of its folder. After a failed `sync` nothing may be believed
/// of what was written since the last good one, whatever a later `sync` says: the pages may be marked clean and be gone
/// (Rebello et al., ATC 2020).
pub trait Disk: Send + Sync {
    /// An open file.
    type File: Send + Sync;

    /// Makes a folder; one that is there already is no error.
    fn make_dir(&self, path: &str) -> Result<(), DiskError>;
    /// Opens a file. `Reason::NotFound` if it must be there and is not.
    fn open(&self, path: &str, mode: Mode) -> Result<Self::File, DiskError>;
    /// Reads from `offset` on until `into` is full or the file ends; says how many bytes it read.
    fn read_at(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> Result<usize, DiskError>;
    /// Writes all of `bytes` at `offset`, growing the file if needed.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Makes the file's bytes and its size durable.
    fn sync(&self, file: &Self::File) -> Result<(), DiskError>;
    /// Makes the names in a folder durable. The empty path is the folder of the store itself.
    fn sync_dir(&self, path: &str) -> Result<(), DiskError>;
    /// Gives a file another name, taking the place of whatever had it.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a file.
    fn remove(&self, path: &str) -> Result<(), DiskError>;
    /// The names of the files in a folder, sorted.
    fn list(&self, path: &str) -> Result<Vec<String>, DiskError>;
    /// The size of a file in bytes.
    fn size(&self, file: &Self::File) -> Result<u64, DiskError>;
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// To read; it must exist.
    Read,
    /// To read and write; it must exist.
    Write,
    /// To read and write; it is made, or emptied if it exists.
    Create,
}

/// A call to the disk that failed, and to which file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the disk failed to {call} {path:?}: {message}")]
pub struct DiskError {
    /// What was tried.
    pub call: Call,
    /// The path, relative to the store's folder.
    pub path: String,
    /// What kind of failure.
    pub reason: Reason,
    /// What the operating system says.
    pub message: String,
}

/// The kinds of failure that are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// There is no such file.
    NotFound,
    /// The disk, or our share of it, is full.
    Full,
    /// Anything else.
    Other,
}

/// The calls of a [`Disk`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Call {
    /// `make_dir`
    MakeDir,
    /// `open`
    Open,
    /// `read_at`
    Read,
    /// `write_at`
    Write,
    /// `sync`
    Sync,
    /// `sync_dir`
    SyncDir,
    /// `rename`
    Rename,
    /// `remove`
    Remove,
    /// `list`
    List,
    /// `size`
    Size,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::MakeDir => "make the folder",
            Call::Open => "open",
            Call::Read => "read",
            Call::Write => "write",
            Call::Sync => "sync",
            Call::SyncDir => "sync the folder",
            Call::Rename => "rename",
            Call::Remove => "remove",
            Call::List => "list",
            Call::Size => "tell the size of",
        })
    }
}
