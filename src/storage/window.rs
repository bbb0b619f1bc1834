//! A file, looked at through a window that moves.

use super::disk::{Disk, DiskError};

/// The window is refilled with at least this many bytes at a time.
const REFILL_BYTES: u64 = 1 << 20;

/// Reads a file mostly forwards, with few calls and little memory.
pub(super) struct Window<'a, D: Disk> {
    disk: &'a D,
    file: &'a D::File,
    size: u64,
    begin: u64,
    bytes: Vec<u8>,
}

impl<'a, D: Disk> Window<'a, D> {
    /// Looks at the first `size` bytes of a file.
    pub(super) fn new(disk: &'a D, file: &'a D::File, size: u64) -> Window<'a, D> {
        Window { disk, file, size, begin: 0, bytes: Vec::new() }
    }

    /// The bytes from `at` on: `count` of them, fewer only at the end.
    pub(super) fn get(&mut self, at: u64, count: usize) -> Result<&[u8], DiskError> {
        let end = at.saturating_add(count as u64).min(self.size);
        if at >= end {
            return Ok(&[]);
        }
        if at < self.begin || end > self.begin + self.bytes.len() as u64 {
            let wanted = (end - at).max(REFILL_BYTES).min(self.size - at);
            self.bytes.resize(wanted as usize, 0);
            self.begin = at;
            let found = self.disk.read_at(self.file, at, &mut self.bytes)?;
            self.bytes.truncate(found);
        }
        let from = (at - self.begin) as usize;
        let to = ((end - self.begin) as usize).min(self.bytes.len());
        Ok(&self.bytes[from..to])
    }
}
