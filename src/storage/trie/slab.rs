//! Slabs: the memory of one trie, as chunks of equal slots that handles address.
//!
//! Nodes are plain bytes, little-endian, at any alignment: the chunks are their own image, for a checkpoint to write as they
//! stand. No allocation per node; a chunk whose last slot is freed goes back to the allocator at once.

use super::handle::{CHUNKS_MAX, Handle, KINDS, Kind};

/// No chunk: ends a list.
const NONE: u32 = u32::MAX;
/// The first chunk of a kind begins with about this many bytes and doubles: thousands of small tries must stay small.
const FIRST_CHUNK_BYTES: usize = 512;

/// Chunks of all kinds in one table: a walk down looks up one table only.
#[derive(Clone)]
pub(super) struct Slabs {
    chunks: Vec<Box<[u8]>>,
    /// Beside each chunk.
    notes: Vec<Note>,
    pools: [Pool; KINDS],
    /// First of the table's unused places, linked by `Note::next`.
    vacant: u32,
    /// Places in use.
    occupied: u32,
}

/// What is known about one chunk.
#[derive(Clone, Copy)]
struct Note {
    /// Neighbours in its pool's list of chunks with room.
    previous: u32,
    next: u32,
    /// Slots in use.
    live: u16,
    /// Slots from here on were never in use.
    fresh: u16,
    /// First freed slot, + 1; the next one is in its first two bytes. 0: none.
    freed: u16,
    kind: Kind,
}

/// The chunks of one kind.
#[derive(Clone, Copy)]
struct Pool {
    /// First chunk with room.
    roomy: u32,
    /// The chunk that may still be doubled: only ever the pool's first.
    young: u32,
    chunks: u32,
}

impl Slabs {
    pub(super) fn new() -> Slabs {
        let pool = Pool { roomy: NONE, young: NONE, chunks: 0 };
        Slabs { chunks: Vec::new(), notes: Vec::new(), pools: [pool; KINDS], vacant: NONE, occupied: 0 }
    }

    /// The bytes of a slot. Requires: the handle is of this trie and in use.
    #[inline]
    pub(super) fn get(&self, handle: Handle) -> &[u8] {
        let bytes = handle.kind().bytes();
        let at = handle.slot() * bytes;
        &self.chunks[handle.chunk()][at..at + bytes]
    }

    /// The bytes of a slot, to be changed. Requires: as for `get`.
    #[inline]
    pub(super) fn get_mut(&mut self, handle: Handle) -> &mut [u8] {
        let bytes = handle.kind().bytes();
        let at = handle.slot() * bytes;
        &mut self.chunks[handle.chunk()][at..at + bytes]
    }

    /// Takes a slot, all zeros.
    pub(super) fn take(&mut self, kind: Kind) -> Handle {
        if self.pools[kind.index()].roomy == NONE {
            self.make_room(kind);
        }
        let chunk = self.pools[kind.index()].roomy as usize;
        let slots = self.chunks[chunk].len() / kind.bytes();
        let note = &mut self.notes[chunk];
        let slot = if note.freed != 0 { note.freed - 1 } else { note.fresh };
        let handle = Handle::new(kind, chunk, slot as usize);
        if note.freed != 0 {
            let at = handle.slot() * kind.bytes();
            let bytes = &mut self.chunks[chunk][at..at + kind.bytes()];
            note.freed = u16::from_le_bytes([bytes[0], bytes[1]]);
            bytes.fill(0);
        } else {
            note.fresh += 1;
        }
        note.live += 1;
        if note.live as usize == slots {
            self.unlink(kind, chunk);
        }
        handle
    }

    /// Gives a slot back. Requires: nothing leads to it any more.
    pub(super) fn give(&mut self, handle: Handle) {
        let (kind, chunk) = (handle.kind(), handle.chunk());
        let was_full = self.notes[chunk].live as usize == self.chunks[chunk].len() / kind.bytes();
        let freed = self.notes[chunk].freed;
        self.get_mut(handle)[..2].copy_from_slice(&freed.to_le_bytes());
        let note = &mut self.notes[chunk];
        note.freed = handle.slot() as u16 + 1;
        note.live -= 1;
        let empty = note.live == 0;
        if was_full {
            self.link(kind, chunk);
        }
        if empty {
            self.release(kind, chunk);
        }
    }

    /// All memory taken beyond the struct itself, unused slots included; the allocator's own overhead is not known here.
    pub(super) fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.len()).sum();
        chunks + self.chunks.capacity() * size_of::<Box<[u8]>>() + self.notes.capacity() * size_of::<Note>()
    }

    /// Slots in use of each kind.
    pub(super) fn live(&self) -> [u64; KINDS] {
        let mut live = [0; KINDS];
        for (chunk, note) in self.chunks.iter().zip(&self.notes) {
            if !chunk.is_empty() {
                live[note.kind.index()] += u64::from(note.live);
            }
        }
        live
    }

    /// Makes some chunk of the kind have room: doubles its young one, or adds one.
    fn make_room(&mut self, kind: Kind) {
        let pool = self.pools[kind.index()];
        let full = kind.slots() * kind.bytes();
        if pool.young != NONE {
            let chunk = pool.young as usize;
            let bytes = (self.chunks[chunk].len() * 2).min(full);
            let mut grown = std::mem::take(&mut self.chunks[chunk]).into_vec();
            grown.reserve_exact(bytes - grown.len());
            grown.resize(bytes, 0);
            self.chunks[chunk] = grown.into_boxed_slice();
            if bytes == full {
                self.pools[kind.index()].young = NONE;
            }
            self.link(kind, chunk);
            return;
        }
        let first = pool.chunks == 0;
        let slots = if first { (FIRST_CHUNK_BYTES / kind.bytes()).max(1) } else { kind.slots() };
        let chunk = self.place(vec![0; slots * kind.bytes()].into_boxed_slice(), kind);
        let pool = &mut self.pools[kind.index()];
        pool.chunks += 1;
        if slots < kind.slots() {
            pool.young = chunk as u32;
        }
        self.link(kind, chunk);
    }

    /// Puts a new chunk into the table.
    fn place(&mut self, bytes: Box<[u8]>, kind: Kind) -> usize {
        let note = Note { previous: NONE, next: NONE, live: 0, fresh: 0, freed: 0, kind };
        self.occupied += 1;
        if self.vacant != NONE {
            let chunk = self.vacant as usize;
            self.vacant = self.notes[chunk].next;
            self.notes[chunk] = note;
            self.chunks[chunk] = bytes;
            return chunk;
        }
        assert!(self.chunks.len() < CHUNKS_MAX, "a partition's trie has reached 8 GiB; the cluster needs more partitions");
        self.chunks.push(bytes);
        self.notes.push(note);
        self.chunks.len() - 1
    }

    /// Gives an empty chunk back to the allocator, and the whole table with the last one.
    fn release(&mut self, kind: Kind, chunk: usize) {
        self.unlink(kind, chunk);
        let pool = &mut self.pools[kind.index()];
        pool.chunks -= 1;
        if pool.young == chunk as u32 {
            pool.young = NONE;
        }
        self.chunks[chunk] = Box::default();
        self.notes[chunk].next = self.vacant;
        self.vacant = chunk as u32;
        self.occupied -= 1;
        if self.occupied == 0 {
            *self = Slabs::new();
        }
    }

    /// Puts a chunk at the head of its pool's list of chunks with room.
    fn link(&mut self, kind: Kind, chunk: usize) {
        let head = std::mem::replace(&mut self.pools[kind.index()].roomy, chunk as u32);
        self.notes[chunk].previous = NONE;
        self.notes[chunk].next = head;
        if head != NONE {
            self.notes[head as usize].previous = chunk as u32;
        }
    }

    /// Takes a chunk out of that list.
    fn unlink(&mut self, kind: Kind, chunk: usize) {
        let Note { previous, next, .. } = self.notes[chunk];
        if next != NONE {
            self.notes[next as usize].previous = previous;
        }
        if previous != NONE {
            self.notes[previous as usize].next = next;
        } else {
            self.pools[kind.index()].roomy = next;
        }
    }
}

/// The bytes at a place of a slot: one check of bounds for all of them.
#[inline(always)]
pub(super) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("a field lies within its slot")
}

/// Reads a number at a place of a slot.
#[inline(always)]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

/// Writes a number at a place of a slot.
#[inline(always)]
pub(super) fn put_u32(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// Reads a number at a place of a slot.
#[inline(always)]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

/// Writes a number at a place of a slot.
#[inline(always)]
pub(super) fn put_u64(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}
