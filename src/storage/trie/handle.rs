//! Handles: how nodes of a trie name one another.
//!
//! 32 bits instead of a pointer: half the size, and a trie written to a file means the same when it is read back.
//!
//! ```text
//!  31  28 27                                  8 7              0
//! +------+------------------------------------+----------------+
//! | kind |               chunk                |      slot      |
//! +------+------------------------------------+----------------+
//! ```
//!
//! All kinds share one table of chunks (2^20 chunks of 8 KiB are 8 GiB a partition); a chunk holds slots of one kind, 256 at
//! most because the smallest slot has 32 bytes. Chunk and slot have fields of their own, so following a handle divides nothing.

/// Most bytes of a chunk. Sized in bytes, not in slots: 256 small tries with 1,024 slots a chunk would waste 600 bytes a key.
pub(super) const CHUNK_BYTES: usize = 8_192;
/// Most chunks of a trie: what the handle's field can say.
pub(super) const CHUNKS_MAX: usize = 1 << 20;
/// Kinds, the null kind included.
pub(super) const KINDS: usize = 13;

/// What a handle leads to. Inner nodes differ in how many children fit, leaves in how many bytes of their key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Null,
    Node4,
    Node16,
    Map32,
    Map64,
    Map128,
    Node256,
    Leaf7,
    Leaf15,
    Leaf23,
    Leaf39,
    Leaf71,
    /// A part of a text that is too long for its node.
    Piece,
}

impl Kind {
    /// Bytes of a slot; node.rs, leaf.rs and text.rs draw what is in them.
    #[inline]
    pub(super) const fn bytes(self) -> usize {
        const BYTES: [u16; 16] = [0, 44, 104, 188, 316, 572, 1048, 32, 40, 48, 64, 96, 64, 0, 0, 0];
        BYTES[self as usize & 15] as usize
    }

    /// Slots of a full chunk.
    pub(super) const fn slots(self) -> usize {
        let slots = CHUNK_BYTES / self.bytes();
        if slots > 256 { 256 } else { slots }
    }

    /// Has children.
    #[inline]
    pub(super) fn is_inner(self) -> bool {
        Kind::Node4 <= self && self <= Kind::Node256
    }

    /// Holds a key's slot.
    #[inline]
    pub(super) fn is_leaf(self) -> bool {
        Kind::Leaf7 <= self && self <= Kind::Leaf71
    }
}

/// Names one slot of a chunk. See the module for the layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Handle(u32);

impl Handle {
    /// Leads nowhere.
    pub(super) const NULL: Handle = Handle(0);

    /// Requires: `chunk` below `CHUNKS_MAX`, `slot` below 256.
    pub(super) fn new(kind: Kind, chunk: usize, slot: usize) -> Handle {
        assert!(chunk < CHUNKS_MAX && slot < 256, "chunk {chunk} slot {slot} does not fit a handle");
        Handle((kind as u32) << 28 | (chunk as u32) << 8 | slot as u32)
    }

    /// As it stands in a node.
    #[inline]
    pub(super) fn from_bits(bits: u32) -> Handle {
        Handle(bits)
    }

    #[inline]
    pub(super) fn bits(self) -> u32 {
        self.0
    }

    #[inline]
    pub(super) fn is_null(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn kind(self) -> Kind {
        match self.0 >> 28 {
            1 => Kind::Node4,
            2 => Kind::Node16,
            3 => Kind::Map32,
            4 => Kind::Map64,
            5 => Kind::Map128,
            6 => Kind::Node256,
            7 => Kind::Leaf7,
            8 => Kind::Leaf15,
            9 => Kind::Leaf23,
            10 => Kind::Leaf39,
            11 => Kind::Leaf71,
            12 => Kind::Piece,
            _ => Kind::Null,
        }
    }

    #[inline]
    pub(super) fn chunk(self) -> usize {
        (self.0 >> 8) as usize & (CHUNKS_MAX - 1)
    }

    #[inline]
    pub(super) fn slot(self) -> usize {
        self.0 as usize & 255
    }
}
