//! The disk as it is: a folder of the file system.

use crate::storage::{Call, Disk, DiskError, Mode, Reason};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A folder that this process has for itself.
pub struct FileDisk {
    root: PathBuf,
    /// Held as long as the disk is used; the operating system lets it go when the process ends, however that happens.
    _lock: File,
}

/// An open file and its path, which errors name.
pub struct OpenFile {
    file: File,
    path: String,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileDiskError {
    /// Another process uses it.
    #[error("another henge process ({holder}) is using the folder {root:?}; stop it, or give this one a folder of its own")]
    InUse {
        /// The folder.
        root: PathBuf,
        /// Who: `pid N`, as far as it is known.
        holder: String,
    },
    /// It cannot be made, read or written.
    #[error("the folder {root:?} cannot be used: {}; give a folder that this user may write to", why(error))]
    Io {
        /// The folder.
        root: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

/// The system's words for a file in place of a folder (`File exists`) lead astray.
fn why(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "it, or what should be a folder above it, is a file".to_string(),
        _ => error.to_string(),
    }
}

impl FileDisk {
    /// Takes the folder, making it if needed, and holds it until the disk is dropped.
    pub fn open(root: &Path) -> Result<FileDisk, FileDiskError> {
        let failed = |error| FileDiskError::Io { root: root.into(), error };
        fs::create_dir_all(root).map_err(failed)?;
        let path = root.join("LOCK");
        let mut lock = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let known = lock.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let holder = if known { format!("pid {}", pid.trim()) } else { "pid not known".into() };
                return Err(FileDiskError::InUse { root: root.into(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(FileDisk { root: root.into(), _lock: lock })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn error(call: Call, path: &str, error: io::Error) -> DiskError {
    let reason = match error.kind() {
        ErrorKind::NotFound => Reason::NotFound,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Reason::Full,
        _ => Reason::Other,
    };
    DiskError { call, path: path.into(), reason, message: error.to_string() }
}

impl Disk for FileDisk {
    type File = OpenFile;

    fn make_dir(&self, path: &str) -> Result<(), DiskError> {
        fs::create_dir_all(self.root.join(path)).map_err(|e| error(Call::MakeDir, path, e))
    }

    fn open(&self, path: &str, mode: Mode) -> Result<OpenFile, DiskError> {
        let mut options = File::options();
        match mode {
            Mode::Read => options.read(true),
            Mode::Write => options.read(true).write(true),
            Mode::Create => options.read(true).write(true).create(true).truncate(true),
        };
        let file = options.open(self.root.join(path)).map_err(|e| error(Call::Open, path, e))?;
        Ok(OpenFile { file, path: path.into() })
    }

    fn read_at(&self, file: &OpenFile, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let mut done = 0;
        while done < into.len() {
            match file.file.read_at(&mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(error(Call::Read, &file.path, e)),
            }
        }
        Ok(done)
    }

    fn write_at(&self, file: &OpenFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        file.file.write_all_at(bytes, offset).map_err(|e| error(Call::Write, &file.path, e))
    }

    fn sync(&self, file: &OpenFile) -> Result<(), DiskError> {
        file.file.sync_data().map_err(|e| error(Call::Sync, &file.path, e))
    }

    fn sync_dir(&self, path: &str) -> Result<(), DiskError> {
        let folder = File::open(self.root.join(path)).map_err(|e| error(Call::SyncDir, path, e))?;
        folder.sync_all().map_err(|e| error(Call::SyncDir, path, e))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        fs::rename(self.root.join(from), self.root.join(to)).map_err(|e| error(Call::Rename, from, e))
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        fs::remove_file(self.root.join(path)).map_err(|e| error(Call::Remove, path, e))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        let failed = |e| error(Call::List, path, e);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(path)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn size(&self, file: &OpenFile) -> Result<u64, DiskError> {
        Ok(file.file.metadata().map_err(|e| error(Call::Size, &file.path, e))?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{OpenOptions, Record, open};

    /// A folder of its own for a test, removed in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("henge-file-disk-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_folder_is_used_by_one_at_a_time() {
        let folder = Folder::new("lock");
        let disk = FileDisk::open(&folder.0).unwrap();
        let refused = FileDisk::open(&folder.0).err().expect("it is in use").to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(disk);
        FileDisk::open(&folder.0).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_refused_by_name() {
        let folder = Folder::new("file");
        fs::write(&folder.0, b"").unwrap();
        let refused = FileDisk::open(&folder.0).err().expect("it is a file").to_string();
        assert!(refused.contains("henge-file-disk"), "{refused}");
        fs::remove_file(&folder.0).unwrap();
    }

    #[test]
    fn files_are_written_read_moved_listed_and_removed() {
        let folder = Folder::new("files");
        let disk = FileDisk::open(&folder.0).unwrap();
        disk.make_dir("log").unwrap();
        disk.make_dir("log").unwrap();
        assert_eq!(disk.open("log/a", Mode::Write).err().map(|error| error.reason), Some(Reason::NotFound));
        let file = disk.open("log/a", Mode::Create).unwrap();
        disk.write_at(&file, 3, b"abc").unwrap();
        disk.sync(&file).unwrap();
        assert_eq!(disk.size(&file), Ok(6));
        let mut bytes = [9; 8];
        assert_eq!(disk.read_at(&file, 0, &mut bytes), Ok(6));
        assert_eq!(&bytes, b"\0\0\0abc\x09\x09");
        assert_eq!(disk.read_at(&file, 7, &mut bytes), Ok(0));
        disk.rename("log/a", "log/b").unwrap();
        disk.sync_dir("log").unwrap();
        disk.make_dir("log/folder").unwrap();
        assert_eq!(disk.list("log"), Ok(vec!["b".to_string()]));
        disk.remove("log/b").unwrap();
        assert_eq!(disk.remove("log/b").err().map(|error| error.reason), Some(Reason::NotFound));
        assert_eq!(disk.list("log"), Ok(vec![]));
    }

    #[test]
    fn a_store_in_a_folder_comes_back() {
        let folder = Folder::new("store");
        let disk = FileDisk::open(&folder.0).unwrap();
        let options = OpenOptions { segment_bytes_min: 8 << 10, ..OpenOptions::new(0, 1) };
        let mut log = open(&disk, &options, &mut |_, _, _| {}).unwrap().log;
        log.append(&Record::Clock { partition: 1, epoch: 1, clock: b"clock" }).unwrap();
        let mut files = crate::storage::OpenFiles::default();
        let write = log.take_write(true).expect("there is something to write");
        crate::storage::execute(&disk, &mut files, crate::storage::DiskJob::Write(write));
        let mut found = 0;
        open(&disk, &options, &mut |_, _, record| {
            assert_eq!(*record, Record::Clock { partition: 1, epoch: 1, clock: b"clock" });
            found += 1;
        })
        .unwrap();
        assert_eq!(found, 1);
    }
}
