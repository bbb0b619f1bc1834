//! A disk in memory that never fails, but that it may be full. What a crash does to a disk is the simulator's subject.

use crate::storage::{Call, Disk, DiskError, Mode, Reason};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Clone, Default, Debug)]
pub(super) struct MemoryDisk {
    files: Arc<RwLock<BTreeMap<String, Vec<u8>>>>,
    /// There is no room for further files.
    is_full: Arc<AtomicBool>,
}

impl MemoryDisk {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        act(&mut self.files.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MemoryDisk {
    /// From now on there is no room for further files, or there is.
    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Flips a bit.
    pub(super) fn flip(&self, path: &str, at: usize) {
        self.with(|files| files.get_mut(path).expect("a file")[at] ^= 0x10);
    }

    /// The names of all files that begin so, and their bytes.
    pub(super) fn files(&self, begin: &str) -> Vec<(String, Vec<u8>)> {
        self.with(|files| files.iter().filter(|(name, _)| name.starts_with(begin)).map(|(n, b)| (n.clone(), b.clone())).collect())
    }

    /// Puts a file there.
    pub(super) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.with(|files| drop(files.insert(path.into(), bytes)));
    }

    /// All that there is.
    pub(super) fn clone_files(&self) -> BTreeMap<String, Vec<u8>> {
        self.with(|files| files.clone())
    }

    /// Puts that back.
    pub(super) fn restore(&self, sound: &BTreeMap<String, Vec<u8>>) {
        self.with(|files| files.clone_from(sound));
    }

    /// Forgets everything.
    pub(super) fn wipe(&self) {
        self.with(BTreeMap::clear);
    }
}

impl Disk for MemoryDisk {
    type File = String;

    fn make_dir(&self, _path: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn open(&self, path: &str, mode: Mode) -> Result<String, DiskError> {
        self.with(|files| match mode {
            Mode::Create if self.is_full.load(Ordering::Relaxed) => {
                Err(DiskError { call: Call::Open, path: path.into(), reason: Reason::Full, message: "no space".into() })
            }
            Mode::Create => {
                files.insert(path.into(), Vec::new());
                Ok(path.to_string())
            }
            Mode::Read | Mode::Write if files.contains_key(path) => Ok(path.to_string()),
            Mode::Read | Mode::Write => {
                Err(DiskError { call: Call::Open, path: path.into(), reason: Reason::NotFound, message: "no such file".into() })
            }
        })
    }

    fn read_at(&self, file: &String, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        Ok(self.with(|files| {
            let bytes = &files[file];
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            count
        }))
    }

    fn write_at(&self, file: &String, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.with(|files| {
            let held = files.get_mut(file).expect("an open file");
            let end = offset as usize + bytes.len();
            held.resize(held.len().max(end), 0);
            held[offset as usize..end].copy_from_slice(bytes);
        });
        Ok(())
    }

    fn sync(&self, _file: &String) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_dir(&self, _path: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.with(|files| {
            let bytes = files.remove(from).expect("a file");
            files.insert(to.into(), bytes);
        });
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.with(|files| files.remove(path));
        Ok(())
    }

    fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        let folder = format!("{path}/");
        Ok(self.with(|files| files.keys().filter_map(|name| name.strip_prefix(&folder)).map(String::from).collect()))
    }

    fn size(&self, file: &String) -> Result<u64, DiskError> {
        Ok(self.with(|files| files[file].len() as u64))
    }
}
