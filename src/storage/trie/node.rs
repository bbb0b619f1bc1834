//! Inner nodes: where keys part.
//!
//! ```text
//!           0 sum u64 | 8 count u32 | 12 own u32 | 16 children u8 | 17 prefix (length, 10 bytes) | 28 …
//! Node4     28 bytes [u8; 4]                   | 32 handles [u32; 4]
//! Node16    28 bytes [u8; 16]                  | 44 handles [u32; 16]
//! Map32…128 28 bitmap 256 bits | 60 ranks [u8; 4] | 64 handles [u32; 32, 64 or 128], by rank
//! Node256   28 handles [u32; 256], by byte
//! ```
//! `count` and `sum` are those of all keys below. `own` is the leaf of the key that ends here, so that a key may be a prefix of
//! another. Bytes and handles are in order. `ranks` is the number of bits set before each 64-bit word of the map.
//!
//! The kind is always the smallest in which the children fit, also after a delete: the shape is a function of the contents alone.

use super::Summary;
use super::handle::{Handle, Kind};
use super::slab::{Slabs, bytes_at, put_u32, put_u64, u32_at, u64_at};

/// Where the prefix begins, and its bytes that fit in the node.
pub(super) const TEXT: usize = 17;
pub(super) const TEXT_BYTES: usize = 10;

const SUM: usize = 0;
const COUNT: usize = 8;
const OWN: usize = 12;
const CHILDREN: usize = 16;
const BODY: usize = 28;
const MAP_RANKS: usize = 60;
const MAP_HANDLES: usize = 64;

/// The kind of node for so many children.
pub(super) fn kind_for(children: usize) -> Kind {
    match children {
        0..=4 => Kind::NODE4,
        5..=16 => Kind::NODE16,
        17..=32 => Kind::MAP32,
        33..=64 => Kind::MAP64,
        65..=128 => Kind::MAP128,
        _ => Kind::NODE256,
    }
}

/// The leaf of the key that ends at this node, or null.
#[inline]
pub(super) fn own(node: &[u8]) -> Handle {
    Handle::from_bits(u32_at(node, OWN))
}

/// The child for a byte, or null.
#[inline(always)]
pub(super) fn child(kind: Kind, node: &[u8], byte: u8) -> Handle {
    place(kind, node, byte).map_or(Handle::NULL, |at| Handle::from_bits(u32_at(node, at)))
}

/// The first child for a byte of at least `from`, and its byte.
pub(super) fn child_from(kind: Kind, node: &[u8], from: u8) -> Option<(u8, Handle)> {
    match kind {
        Kind::NODE4 | Kind::NODE16 => {
            let (children, handles) = (children(kind, node), list_handles(kind));
            let index = node[BODY..BODY + children].iter().position(|byte| *byte >= from)?;
            Some((node[BODY + index], Handle::from_bits(u32_at(node, handles + 4 * index))))
        }
        Kind::MAP32 | Kind::MAP64 | Kind::MAP128 => {
            let first = usize::from(from >> 6);
            for word in first..4 {
                let low = if word == first { from & 63 } else { 0 };
                let bits = map_word(node, word) & (u64::MAX << low);
                if bits != 0 {
                    let byte = (word * 64) as u8 + bits.trailing_zeros() as u8;
                    return Some((byte, Handle::from_bits(u32_at(node, MAP_HANDLES + 4 * map_rank(node, byte)))));
                }
            }
            None
        }
        _ => (from..=255).find_map(|byte| {
            let handle = Handle::from_bits(u32_at(node, BODY + 4 * usize::from(byte)));
            (!handle.is_null()).then_some((byte, handle))
        }),
    }
}

/// All children in order.
pub(super) fn each_child(kind: Kind, node: &[u8]) -> impl Iterator<Item = (u8, Handle)> {
    let mut from = Some(0);
    std::iter::from_fn(move || {
        let (byte, handle) = child_from(kind, node, from?)?;
        from = byte.checked_add(1);
        Some((byte, handle))
    })
}

/// Where in the node the handle of a byte's child lies, if there is one.
#[inline(always)]
fn place(kind: Kind, node: &[u8], byte: u8) -> Option<usize> {
    match kind {
        Kind::NODE4 => {
            let node: &[u8; Kind::NODE4.bytes()] = node.first_chunk()?;
            // The zero byte of this word, if there is one, is where the bytes are equal; the lowest one found is never wrong.
            let differing = u32_at(node, BODY) ^ (u32::from(byte) * 0x0101_0101);
            let zeros = differing.wrapping_sub(0x0101_0101) & !differing & 0x8080_8080;
            let index = zeros.trailing_zeros() as usize / 8;
            (index < usize::from(node[CHILDREN])).then_some(BODY + 4 + 4 * index)
        }
        Kind::NODE16 => {
            let node: &[u8; Kind::NODE16.bytes()] = node.first_chunk()?;
            let equal = bytes_at::<16>(node, BODY).map(|each| each == byte);
            let mask = (0..16).fold(0, |mask, index| mask | u32::from(equal[index]) << index);
            let index = mask.trailing_zeros() as usize;
            (index < usize::from(node[CHILDREN])).then_some(BODY + 16 + 4 * index)
        }
        Kind::MAP32 | Kind::MAP64 | Kind::MAP128 => {
            let word = map_word(node, usize::from(byte >> 6));
            (word >> (byte & 63) & 1 == 1).then(|| MAP_HANDLES + 4 * map_rank(node, byte))
        }
        _ => {
            let at = BODY + 4 * usize::from(byte);
            (u32_at(node, at) != 0).then_some(at)
        }
    }
}

/// How many children there are. Requires: they are not none.
fn children(kind: Kind, node: &[u8]) -> usize {
    // 256 does not fit the byte and stands there as 0.
    if kind == Kind::NODE256 && node[CHILDREN] == 0 { 256 } else { usize::from(node[CHILDREN]) }
}

fn list_handles(kind: Kind) -> usize {
    if kind == Kind::NODE4 { BODY + 4 } else { BODY + 16 }
}

#[inline]
fn map_word(node: &[u8], word: usize) -> u64 {
    u64_at(node, BODY + 8 * word)
}

/// How many bits are set before the one of `byte`.
#[inline]
fn map_rank(node: &[u8], byte: u8) -> usize {
    let word = usize::from(byte >> 6);
    let before = map_word(node, word) & ((1 << (byte & 63)) - 1);
    usize::from(node[MAP_RANKS + word]) + before.count_ones() as usize
}

/// Adds a child. Requires: it fits, and the byte has none.
fn add(kind: Kind, node: &mut [u8], byte: u8, child: Handle) {
    let count = usize::from(node[CHILDREN]);
    match kind {
        Kind::NODE4 | Kind::NODE16 => {
            let index = node[BODY..BODY + count].iter().filter(|each| **each < byte).count();
            node.copy_within(BODY + index..BODY + count, BODY + index + 1);
            node[BODY + index] = byte;
            open(node, list_handles(kind), index, count, child);
        }
        Kind::MAP32 | Kind::MAP64 | Kind::MAP128 => {
            let (word, rank) = (usize::from(byte >> 6), map_rank(node, byte));
            put_u64(node, BODY + 8 * word, map_word(node, word) | 1 << (byte & 63));
            node[MAP_RANKS..MAP_RANKS + 4][word + 1..].iter_mut().for_each(|rank| *rank += 1);
            open(node, MAP_HANDLES, rank, count, child);
        }
        _ => put_u32(node, BODY + 4 * usize::from(byte), child.bits()),
    }
    node[CHILDREN] = node[CHILDREN].wrapping_add(1);
}

/// Makes room in a list of handles and puts one there.
fn open(node: &mut [u8], handles: usize, index: usize, count: usize, child: Handle) {
    node.copy_within(handles + 4 * index..handles + 4 * count, handles + 4 * index + 4);
    put_u32(node, handles + 4 * index, child.bits());
}

/// Takes a child out. Requires: the byte has one.
fn take(kind: Kind, node: &mut [u8], byte: u8) {
    let at = place(kind, node, byte).expect("a child that is taken out was there");
    let count = usize::from(node[CHILDREN]);
    match kind {
        Kind::NODE4 | Kind::NODE16 => {
            let handles = list_handles(kind);
            let index = (at - handles) / 4;
            node.copy_within(BODY + index + 1..BODY + count, BODY + index);
            node.copy_within(at + 4..handles + 4 * count, at);
        }
        Kind::MAP32 | Kind::MAP64 | Kind::MAP128 => {
            let word = usize::from(byte >> 6);
            put_u64(node, BODY + 8 * word, map_word(node, word) & !(1 << (byte & 63)));
            node[MAP_RANKS..MAP_RANKS + 4][word + 1..].iter_mut().for_each(|rank| *rank -= 1);
            node.copy_within(at + 4..MAP_HANDLES + 4 * count, at);
        }
        _ => put_u32(node, at, 0),
    }
    node[CHILDREN] = node[CHILDREN].wrapping_sub(1);
}

impl Slabs {
    /// A new node of two entries, with neither yet.
    pub(super) fn node_new(&mut self, prefix: &[u8], summary: Summary) -> Handle {
        let node = self.take(Kind::NODE4);
        self.text_put(node, prefix);
        self.node_summarize(node, summary);
        node
    }

    /// Count and sum of what is below.
    pub(super) fn node_summary(&self, node: Handle) -> Summary {
        let slot = self.get(node);
        Summary { count: u64::from(u32_at(slot, COUNT)), sum: u64_at(slot, SUM) }
    }

    fn node_summarize(&mut self, node: Handle, summary: Summary) {
        let count = u32::try_from(summary.count).expect("a trie's 8 GiB hold fewer than 2^32 keys");
        let slot = self.get_mut(node);
        put_u32(slot, COUNT, count);
        put_u64(slot, SUM, summary.sum);
    }

    /// Changes count and sum, the sum modulo 2^64.
    #[inline]
    pub(super) fn node_adjust(&mut self, node: Handle, count: i32, sum: u64) {
        let slot = self.get_mut(node);
        put_u32(slot, COUNT, u32_at(slot, COUNT).checked_add_signed(count).expect("a count fits 32 bits"));
        put_u64(slot, SUM, u64_at(slot, SUM).wrapping_add(sum));
    }

    /// The leaf of the key that ends at this node, or null.
    pub(super) fn node_own(&self, node: Handle) -> Handle {
        own(self.get(node))
    }

    pub(super) fn node_set_own(&mut self, node: Handle, leaf: Handle) {
        put_u32(self.get_mut(node), OWN, leaf.bits());
    }

    /// How many children there are. Requires: they are not none.
    pub(super) fn node_children(&self, node: Handle) -> usize {
        children(node.kind(), self.get(node))
    }

    /// Lets the child of a byte be another one. Requires: the byte has one.
    pub(super) fn node_replace(&mut self, node: Handle, byte: u8, child: Handle) {
        let slot = self.get_mut(node);
        let at = place(node.kind(), slot, byte).expect("a child that is replaced was there");
        put_u32(slot, at, child.bits());
    }

    /// Adds a child; returns where the node now is. Requires: the byte has none.
    pub(super) fn node_add(&mut self, node: Handle, byte: u8, child: Handle) -> Handle {
        let count = usize::from(self.get(node)[CHILDREN]) + 1;
        let node = self.node_fit(node, kind_for(count));
        add(node.kind(), self.get_mut(node), byte, child);
        node
    }

    /// Takes a child out; returns where the node now is. Requires: the byte has one, and it is not the last.
    pub(super) fn node_take(&mut self, node: Handle, byte: u8) -> Handle {
        take(node.kind(), self.get_mut(node), byte);
        let count = usize::from(self.get(node)[CHILDREN]);
        self.node_fit(node, kind_for(count))
    }

    /// Makes the node one of this kind; returns where it now is.
    fn node_fit(&mut self, node: Handle, kind: Kind) -> Handle {
        if node.kind() == kind {
            return node;
        }
        let mut old = [0; Kind::NODE256.bytes()];
        let old = &mut old[..node.kind().bytes()];
        old.copy_from_slice(self.get(node));
        self.give(node);
        let fitting = self.take(kind);
        let slot = self.get_mut(fitting);
        slot[..BODY].copy_from_slice(&old[..BODY]);
        slot[CHILDREN] = 0;
        each_child(node.kind(), old).for_each(|(byte, child)| add(kind, slot, byte, child));
        fitting
    }

    /// Gives the node's memory back, but nothing that is below.
    pub(super) fn node_free(&mut self, node: Handle) {
        self.text_clear(node);
        self.give(node);
    }
}
