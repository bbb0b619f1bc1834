//! Leaves: one key's slot, and the bytes of the key below the last branch.
//!
//! ```text
//!  0 hash u64 | 8 segment u32 | 12 offset u32 | 16 count u32 | 20 author u16 | 22 class u8 | 23 flags u8 | 24 text
//! ```
//! The kind is the smallest one in which the text fits; a text beyond 71 bytes goes to pieces, and the leaf is a small one.

use super::handle::{Handle, Kind};
use super::slab::{Slabs, put_u32, put_u64, u32_at, u64_at};
use super::{Slot, Summary};

/// Where the text begins.
pub(super) const TEXT: usize = 24;

/// The kind of leaf for a text of so many bytes.
pub(super) fn kind_for(text_bytes: usize) -> Kind {
    match text_bytes {
        0..=7 => Kind::LEAF7,
        8..=15 => Kind::LEAF15,
        16..=23 => Kind::LEAF23,
        24..=39 => Kind::LEAF39,
        40..=71 => Kind::LEAF71,
        _ => Kind::LEAF7,
    }
}

/// What a leaf's slot says.
#[inline]
pub(super) fn read(slot: &[u8]) -> Slot {
    let slot = &slot[..TEXT];
    Slot {
        hash: u64_at(slot, 0),
        segment: u32_at(slot, 8),
        offset: u32_at(slot, 12),
        count: u32_at(slot, 16),
        author: u16::from_le_bytes([slot[20], slot[21]]),
        class: slot[22],
        flags: slot[23],
    }
}

fn write(to: &mut [u8], slot: Slot) {
    let to = &mut to[..TEXT];
    put_u64(to, 0, slot.hash);
    put_u32(to, 8, slot.segment);
    put_u32(to, 12, slot.offset);
    put_u32(to, 16, slot.count);
    to[20..22].copy_from_slice(&slot.author.to_le_bytes());
    to[22] = slot.class;
    to[23] = slot.flags;
}

impl Slabs {
    /// A new leaf.
    pub(super) fn leaf_new(&mut self, text: &[u8], slot: Slot) -> Handle {
        let leaf = self.take(kind_for(text.len()));
        write(self.get_mut(leaf), slot);
        self.text_put(leaf, text);
        leaf
    }

    /// What the leaf keeps.
    #[inline]
    pub(super) fn leaf_slot(&self, leaf: Handle) -> Slot {
        read(self.get(leaf))
    }

    /// Replaces what the leaf keeps; returns what it kept.
    pub(super) fn leaf_replace(&mut self, leaf: Handle, slot: Slot) -> Slot {
        let bytes = self.get_mut(leaf);
        let old = read(bytes);
        write(bytes, slot);
        old
    }

    /// Gives the leaf another text. Returns where it now is: another text may need another kind.
    pub(super) fn leaf_move(&mut self, leaf: Handle, text: &[u8]) -> Handle {
        if kind_for(text.len()) == leaf.kind() {
            self.text_replace(leaf, text);
            return leaf;
        }
        let slot = self.leaf_slot(leaf);
        self.leaf_free(leaf);
        self.leaf_new(text, slot)
    }

    /// Gives the leaf's memory back.
    pub(super) fn leaf_free(&mut self, leaf: Handle) {
        self.text_clear(leaf);
        self.give(leaf);
    }

    /// Count and sum of what is below, whatever the handle leads to.
    pub(super) fn summary(&self, handle: Handle) -> Summary {
        match handle.kind() {
            kind if kind.is_inner() => self.node_summary(handle),
            kind if kind.is_leaf() => Summary { count: 1, sum: u64_at(self.get(handle), 0) },
            _ => Summary::default(),
        }
    }
}
