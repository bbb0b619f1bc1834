//! A disk in memory that knows what is durable and what is not, and that fails when it is told to.
//!
//! Three views of a file are kept apart: what is *durable*, what is *unsynced* (written, in any order on its way), and what the
//! running system *sees*. A power cut keeps all that is durable, and of what is unsynced whatever one chooses: each write falls
//! into sectors of 512 bytes, which reach the disk one by one in any order. Names (made, moved, removed) are unsynced until their
//! folder is synced; the two halves of a move into another folder count as two. A sector is written whole, so that unsynced
//! bytes in a sector reach the disk with all older ones of that sector; tearing inside of a sector can be asked for too.
//!
//! A sync that fails drops what was unsynced from the way to the disk, while the system goes on seeing it, and the next sync
//! says that all is well: so does Linux (Rebello et al., ATC 2020).

use henge::storage::{Call, Disk, DiskError, Mode, Reason};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes that reach the disk together.
pub const SECTOR_BYTES: u64 = 512;

/// What a full disk says.
pub const NO_ROOM: &str = "no space left on device";

/// The disk of one peer.
#[derive(Default)]
pub struct SimDisk {
    state: Mutex<State>,
}

/// An open file.
pub struct SimFile {
    inode: usize,
    path: String,
}

/// What is to go wrong. Calls are counted from 0, from when the faults were set.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    /// This call fails. A write has half of its bytes written, a sync drops what it should have made durable.
    pub fail: Option<u64>,
    /// The power fails in the middle of this call: half of a write is done, nothing of anything else. All later calls fail.
    pub crash: Option<u64>,
    /// The next call of this kind fails, in the same way.
    pub fail_next: Option<Call>,
    /// All files together have room for so many bytes; a write that needs more fails with `Reason::Full`.
    pub capacity: Option<u64>,
    /// Every sync says that it went well, and does nothing: a disk that lies. A harness must notice.
    pub sync_lies: bool,
}

/// What becomes of an unsynced piece in a power cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It never reached the disk.
    Lost,
    /// It did.
    Kept,
    /// Of a piece of a file: only so many of its bytes did, and all older ones of that sector.
    Torn(usize),
}

#[derive(Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    durable_names: Arc<BTreeMap<String, usize>>,
    names: Arc<BTreeMap<String, usize>>,
    unsynced_names: Vec<NameChange>,
    faults: Faults,
    calls: u64,
    syncs: u64,
    dead: bool,
    /// After each call, for those who want to cut the power everywhere.
    record: Option<Vec<(Call, State)>>,
}

#[derive(Clone, Default)]
struct Inode {
    durable: Arc<Vec<u8>>,
    seen: Arc<Vec<u8>>,
    unsynced: Vec<Piece>,
}

/// What one write does to one sector.
#[derive(Clone)]
struct Piece {
    offset: u64,
    bytes: Arc<[u8]>,
    from: usize,
    to: usize,
}

#[derive(Clone)]
struct NameChange {
    path: String,
    inode: Option<usize>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    fn of(state: State) -> SimDisk {
        SimDisk { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    /// From now on these faults; calls are counted from 0 again, and a crashed disk works again.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state();
        state.faults = faults;
        state.calls = 0;
        state.dead = false;
    }

    /// The next call of this kind fails; none: no call does any more. True if one was to fail, and there has been none since.
    pub fn fail_next(&self, call: Option<Call>) -> bool {
        std::mem::replace(&mut self.state().faults.fail_next, call).is_some()
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// How many calls there were since the faults were set.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many syncs of files there were in all.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// The same disk, apart from this one: what happens to one of them does not happen to the other.
    pub fn copy(&self) -> SimDisk {
        SimDisk::of(State { record: None, ..self.state().clone() })
    }

    /// From now on, keeps a copy of the disk as it is after each call that changes something.
    pub fn start_recording(&self) {
        self.state().record = Some(Vec::new());
    }

    /// How many copies have been kept.
    pub fn recorded(&self) -> usize {
        self.state().record.as_ref().map_or(0, Vec::len)
    }

    /// The copies that were kept, each with the call before it.
    pub fn take_recording(&self) -> Vec<(Call, SimDisk)> {
        let taken = self.state().record.take().unwrap_or_default();
        taken.into_iter().map(|(call, state)| (call, SimDisk::of(state))).collect()
    }

    /// How many pieces are unsynced: sectors of files, then changes of names.
    pub fn unsynced(&self) -> usize {
        let state = self.state();
        state.inodes.iter().map(|inode| inode.unsynced.len()).sum::<usize>() + state.unsynced_names.len()
    }

    /// The bytes of each unsynced piece of a file, in the order that [`after_power_cut`](SimDisk::after_power_cut) asks for them.
    pub fn unsynced_sizes(&self) -> Vec<usize> {
        self.state().inodes.iter().flat_map(|inode| inode.unsynced.iter().map(|piece| piece.to - piece.from)).collect()
    }

    /// The disk as it comes up after a power cut. `fate` is asked for each unsynced piece, by its number.
    pub fn after_power_cut(&self, mut fate: impl FnMut(usize) -> Fate) -> SimDisk {
        let state = self.state();
        let mut number = 0;
        let mut next = || {
            number += 1;
            fate(number - 1)
        };
        let mut after = State::default();
        for inode in &state.inodes {
            let mut durable = inode.durable.clone();
            if !inode.unsynced.is_empty() {
                let fates: Vec<_> = inode.unsynced.iter().map(|_| next()).collect();
                cut(Arc::make_mut(&mut durable), &inode.unsynced, &fates);
            }
            after.inodes.push(Inode { seen: durable.clone(), durable, unsynced: Vec::new() });
        }
        let mut names = state.durable_names.clone();
        for change in &state.unsynced_names {
            if next() != Fate::Lost {
                change.apply(Arc::make_mut(&mut names));
            }
        }
        after.durable_names = names.clone();
        after.names = names;
        SimDisk::of(after)
    }

    /// The durable bytes of all files, by path.
    pub fn durable_files(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        let state = self.state();
        state.durable_names.iter().map(|(path, inode)| (path.clone(), state.inodes[*inode].durable.clone())).collect()
    }

    /// Changes the durable bytes of a file, as damage does: nobody is told. Requires: the file is there, and nothing is unsynced.
    pub fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.names[path];
        let inode = &mut state.inodes[inode];
        change(Arc::make_mut(&mut inode.durable));
        inode.seen = inode.durable.clone();
    }

    /// The same, if nothing of the file is unsynced; else nothing is changed, and the answer is false.
    pub fn damage_if_synced(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let is_synced = {
            let state = self.state();
            state.names.get(path).is_some_and(|inode| state.inodes[*inode].unsynced.is_empty())
        };
        if is_synced {
            self.damage(path, change);
        }
        is_synced
    }

    /// Makes a name disappear, as damage does.
    pub fn lose(&self, path: &str) {
        let mut state = self.state();
        Arc::make_mut(&mut state.names).remove(path);
        Arc::make_mut(&mut state.durable_names).remove(path);
    }

    /// Counts a call, and says whether it goes wrong.
    fn enter(&self, call: Call, path: &str) -> Result<MutexGuard<'_, State>, (DiskError, MutexGuard<'_, State>)> {
        let mut state = self.state();
        let number = state.calls;
        state.calls += 1;
        let error = |message: &str| DiskError { call, path: path.into(), reason: Reason::Other, message: message.into() };
        if state.dead {
            // A dead disk takes nothing any more, not even half a write.
            return Err((error("the power has failed"), state));
        }
        if state.faults.crash == Some(number) {
            return Err((error("the power fails"), state));
        }
        if state.faults.fail == Some(number) || state.faults.fail_next == Some(call) {
            state.faults.fail_next = None;
            return Err((error("input/output error"), state));
        }
        Ok(state)
    }

    /// A call without a half-way result.
    fn begin(&self, call: Call, path: &str) -> Result<MutexGuard<'_, State>, DiskError> {
        self.enter(call, path).map_err(|(error, mut state)| {
            state.settle_crash();
            error
        })
    }
}

/// Applies what was kept: of each sector, everything up to the last piece that was kept.
fn cut(durable: &mut Vec<u8>, pieces: &[Piece], fates: &[Fate]) {
    for (index, piece) in pieces.iter().enumerate() {
        let newest = pieces.iter().zip(fates).rposition(|(other, fate)| other.sector() == piece.sector() && *fate != Fate::Lost);
        match newest {
            Some(newest) if index < newest => piece.apply(durable, usize::MAX),
            Some(newest) if index == newest => match fates[index] {
                Fate::Torn(bytes) => piece.apply(durable, bytes),
                _ => piece.apply(durable, usize::MAX),
            },
            _ => {}
        }
    }
}

impl Piece {
    fn sector(&self) -> u64 {
        self.offset / SECTOR_BYTES
    }

    fn apply(&self, to: &mut Vec<u8>, bytes_max: usize) {
        let bytes = &self.bytes[self.from..self.to];
        put(to, self.offset, &bytes[..bytes.len().min(bytes_max)]);
    }
}

fn put(to: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let begin = offset as usize;
    if to.len() < begin + bytes.len() {
        to.resize(begin + bytes.len(), 0);
    }
    to[begin..begin + bytes.len()].copy_from_slice(bytes);
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self.inode {
            Some(inode) => names.insert(self.path.clone(), inode),
            None => names.remove(&self.path),
        };
    }
}

impl State {
    fn write(&mut self, inode: usize, offset: u64, bytes: &[u8]) {
        let inode = &mut self.inodes[inode];
        put(Arc::make_mut(&mut inode.seen), offset, bytes);
        let bytes: Arc<[u8]> = bytes.into();
        let mut from = 0;
        while from < bytes.len() {
            let at = offset + from as u64;
            let to = bytes.len().min(from + (SECTOR_BYTES - at % SECTOR_BYTES) as usize);
            inode.unsynced.push(Piece { offset: at, bytes: bytes.clone(), from, to });
            from = to;
        }
    }

    fn has_room(&self, inode: usize, end: u64) -> bool {
        let Some(capacity) = self.faults.capacity else { return true };
        let grows = end.saturating_sub(self.inodes[inode].seen.len() as u64);
        grows == 0 || self.used() + grows <= capacity
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].seen.len() as u64).sum()
    }

    fn rename(&mut self, change: NameChange) {
        change.apply(Arc::make_mut(&mut self.names));
        self.unsynced_names.push(change);
    }

    fn settle_crash(&mut self) {
        if self.faults.crash.is_some_and(|call| self.calls > call) {
            self.dead = true;
        }
    }

    fn done(&mut self, call: Call) {
        if self.record.is_some() {
            let copy = State { record: None, ..self.clone_without_record() };
            self.record.as_mut().expect("it was just there").push((call, copy));
        }
    }

    fn clone_without_record(&mut self) -> State {
        let record = self.record.take();
        let copy = self.clone();
        self.record = record;
        copy
    }
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk for SimDisk {
    type File = SimFile;

    fn make_dir(&self, path: &str) -> Result<(), DiskError> {
        // Folders are not modelled: a file's path says it all.
        self.begin(Call::MakeDir, path).map(|_| ())
    }

    fn open(&self, path: &str, mode: Mode) -> Result<SimFile, DiskError> {
        let mut state = self.begin(Call::Open, path)?;
        let known = state.names.get(path).copied();
        let inode = match (known, mode) {
            (Some(inode), Mode::Read | Mode::Write) => inode,
            (None, Mode::Read | Mode::Write) => {
                let message = "no such file".into();
                return Err(DiskError { call: Call::Open, path: path.into(), reason: Reason::NotFound, message });
            }
            (_, Mode::Create) => {
                // An emptied file counts as a new one: that is the harder case, its old bytes being gone under the old name only.
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.rename(NameChange { path: path.into(), inode: Some(inode) });
                state.done(Call::Open);
                inode
            }
        };
        Ok(SimFile { inode, path: path.into() })
    }

    fn read_at(&self, file: &SimFile, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let state = self.begin(Call::Read, &file.path)?;
        let bytes = state.inodes[file.inode].seen.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, file: &SimFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        match self.enter(Call::Write, &file.path) {
            Ok(mut state) if !state.has_room(file.inode, offset + bytes.len() as u64) => {
                // A full disk takes what it can.
                state.write(file.inode, offset, &bytes[..bytes.len() / 2]);
                let message = NO_ROOM.into();
                Err(DiskError { call: Call::Write, path: file.path.clone(), reason: Reason::Full, message })
            }
            Ok(mut state) => {
                state.write(file.inode, offset, bytes);
                state.done(Call::Write);
                Ok(())
            }
            Err((error, mut state)) => {
                if !state.dead {
                    state.write(file.inode, offset, &bytes[..bytes.len() / 2]);
                }
                state.settle_crash();
                Err(error)
            }
        }
    }

    fn sync(&self, file: &SimFile) -> Result<(), DiskError> {
        match self.enter(Call::Sync, &file.path) {
            Ok(mut state) => {
                state.syncs += 1;
                if !state.faults.sync_lies {
                    let inode = &mut state.inodes[file.inode];
                    let durable = Arc::make_mut(&mut inode.durable);
                    for piece in inode.unsynced.drain(..) {
                        piece.apply(durable, usize::MAX);
                    }
                }
                state.done(Call::Sync);
                Ok(())
            }
            Err((error, mut state)) => {
                state.settle_crash();
                if !state.dead {
                    state.inodes[file.inode].unsynced.clear();
                }
                Err(error)
            }
        }
    }

    fn sync_dir(&self, path: &str) -> Result<(), DiskError> {
        let mut state = self.begin(Call::SyncDir, path)?;
        if !state.faults.sync_lies {
            let state = &mut *state;
            let names = Arc::make_mut(&mut state.durable_names);
            state.unsynced_names.retain(|change| {
                let inside = folder(&change.path) == path;
                if inside {
                    change.apply(names);
                }
                !inside
            });
        }
        state.done(Call::SyncDir);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.begin(Call::Rename, from)?;
        let Some(inode) = state.names.get(from).copied() else {
            return Err(DiskError {
                call: Call::Rename,
                path: from.into(),
                reason: Reason::NotFound,
                message: "no such file".into(),
            });
        };
        state.rename(NameChange { path: from.into(), inode: None });
        state.rename(NameChange { path: to.into(), inode: Some(inode) });
        state.done(Call::Rename);
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        let mut state = self.begin(Call::Remove, path)?;
        state.rename(NameChange { path: path.into(), inode: None });
        state.done(Call::Remove);
        Ok(())
    }

    fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        let state = self.begin(Call::List, path)?;
        let inside = |file: &&String| folder(file) == path;
        Ok(state.names.keys().filter(inside).map(|file| file.rsplit('/').next().unwrap_or(file).to_string()).collect())
    }

    fn size(&self, file: &SimFile) -> Result<u64, DiskError> {
        Ok(self.begin(Call::Size, &file.path)?.inodes[file.inode].seen.len() as u64)
    }
}
