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
/// Kinds that the field can say, the null kind and the unused ones included.
pub(super) const KINDS: usize = 16;

/// What a handle leads to. Inner nodes differ in how many children fit, leaves in how many bytes of their key. A number and not
/// an `enum`: reading it out of a handle, the first thing at every step of a walk, then tests nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Kind(u8);

impl Kind {
    pub(super) const NODE4: Kind = Kind(1);
    pub(super) const NODE16: Kind = Kind(2);
    pub(super) const MAP32: Kind = Kind(3);
    pub(super) const MAP64: Kind = Kind(4);
    pub(super) const MAP128: Kind = Kind(5);
    pub(super) const NODE256: Kind = Kind(6);
    pub(super) const LEAF7: Kind = Kind(7);
    pub(super) const LEAF15: Kind = Kind(8);
    pub(super) const LEAF23: Kind = Kind(9);
    pub(super) const LEAF39: Kind = Kind(10);
    pub(super) const LEAF71: Kind = Kind(11);
    /// A part of a text that is too long for its node.
    pub(super) const PIECE: Kind = Kind(12);

    /// Its place in a table of all kinds.
    #[inline]
    pub(super) const fn index(self) -> usize {
        self.0 as usize & 15
    }

    /// Bytes of a slot; node.rs, leaf.rs and text.rs draw what is in them.
    #[inline]
    pub(super) const fn bytes(self) -> usize {
        const BYTES: [u16; KINDS] = [0, 48, 108, 192, 320, 576, 1052, 32, 40, 48, 64, 96, 64, 0, 0, 0];
        BYTES[self.index()] as usize
    }

    /// Slots of a full chunk.
    pub(super) const fn slots(self) -> usize {
        let slots = CHUNK_BYTES / self.bytes();
        if slots > 256 { 256 } else { slots }
    }

    /// Has children.
    #[inline]
    pub(super) fn is_inner(self) -> bool {
        Kind::NODE4 <= self && self <= Kind::NODE256
    }

    /// Holds a key's slot.
    #[inline]
    pub(super) fn is_leaf(self) -> bool {
        Kind::LEAF7 <= self && self <= Kind::LEAF71
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
        Handle(u32::from(kind.0) << 28 | (chunk as u32) << 8 | slot as u32)
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
        Kind((self.0 >> 28) as u8)
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
