//! Texts: the key bytes that a node holds itself, a prefix in an inner node, the rest of the key in a leaf.
//!
//! ```text
//! short: | length | bytes … |        long: | 255 | length u16 | handle u32 of the first piece |
//! piece: | handle u32 of the next piece | 60 bytes |
//! ```
//! Short is what fits the node (10 bytes in inner nodes, as its kind says in leaves); long texts are rare enough that one size of
//! piece will do.

use super::handle::{Handle, Kind};
use super::leaf;
use super::node;
use super::slab::{Slabs, put_u32, u32_at};

/// In place of the length: the text is long.
const LONG: u8 = 255;
/// Bytes of text in a piece.
const PIECE_TEXT_BYTES: usize = 60;

/// Where in a slot the text begins (its length byte) and how many bytes of it fit there.
#[inline]
fn field(kind: Kind) -> (usize, usize) {
    if kind.is_inner() { (node::TEXT, node::TEXT_BYTES) } else { (leaf::TEXT, kind.bytes() - leaf::TEXT - 1) }
}

/// Where in a slot of this kind the text begins.
#[inline(always)]
pub(super) fn place(kind: Kind) -> usize {
    if kind.is_inner() { node::TEXT } else { leaf::TEXT }
}

impl Slabs {
    /// Bytes of the node's text.
    pub(super) fn text_length(&self, handle: Handle) -> usize {
        let at = place(handle.kind());
        let slot = self.get(handle);
        if slot[at] == LONG { usize::from(u16::from_le_bytes([slot[at + 1], slot[at + 2]])) } else { usize::from(slot[at]) }
    }

    /// How many bytes the node's text and `key` have in common at their beginnings.
    pub(super) fn text_common(&self, handle: Handle, key: &[u8]) -> usize {
        let mut common = 0;
        for part in self.text_parts(handle) {
            let equal = part.iter().zip(&key[common..]).take_while(|(a, b)| a == b).count();
            common += equal;
            if equal < part.len() {
                break;
            }
        }
        common
    }

    /// Appends the node's text, without its first `skip` bytes.
    pub(super) fn text_append(&self, handle: Handle, skip: usize, to: &mut Vec<u8>) {
        let mut skip = skip;
        for part in self.text_parts(handle) {
            to.extend_from_slice(&part[skip.min(part.len())..]);
            skip = skip.saturating_sub(part.len());
        }
    }

    /// One byte of the node's text. Requires: `index` below its length.
    pub(super) fn text_byte(&self, handle: Handle, index: usize) -> u8 {
        let mut index = index;
        for part in self.text_parts(handle) {
            match part.get(index) {
                Some(byte) => return *byte,
                None => index -= part.len(),
            }
        }
        panic!("a text has no byte {index} beyond its end")
    }

    /// What is left of `key` after the node's text; none if it does not begin with it. The step of every look-up.
    #[inline(always)]
    pub(super) fn text_strip<'key>(&self, slot: &[u8], at: usize, key: &'key [u8]) -> Option<&'key [u8]> {
        let length = slot[at];
        if length == 0 {
            return Some(key);
        }
        if length != LONG {
            let text = &slot[at + 1..at + 1 + usize::from(length)];
            let (begin, rest) = key.split_at_checked(text.len())?;
            return equal(begin, text).then_some(rest);
        }
        self.text_strip_long(slot, at, key)
    }

    #[cold]
    #[inline(never)]
    fn text_strip_long<'key>(&self, slot: &[u8], at: usize, key: &'key [u8]) -> Option<&'key [u8]> {
        let mut key = key;
        for part in self.long_parts(slot, at) {
            key = key.strip_prefix(part)?;
        }
        Some(key)
    }

    /// Gives the node another text. Requires: in a leaf, its kind is the one that `leaf::kind_for` says.
    pub(super) fn text_replace(&mut self, handle: Handle, text: &[u8]) {
        self.text_clear(handle);
        self.text_put(handle, text);
    }

    /// Gives a new node its text. Requires: it has none; for the rest as for `text_replace`.
    pub(super) fn text_put(&mut self, handle: Handle, text: &[u8]) {
        let (at, fits) = field(handle.kind());
        if text.len() <= fits {
            let slot = self.get_mut(handle);
            slot[at] = text.len() as u8;
            slot[at + 1..at + 1 + text.len()].copy_from_slice(text);
            return;
        }
        let length = u16::try_from(text.len()).expect("keys are shorter than 64 KiB");
        let mut next = Handle::NULL;
        for part in text.chunks(PIECE_TEXT_BYTES).rev() {
            let piece = self.take(Kind::PIECE);
            let slot = self.get_mut(piece);
            put_u32(slot, 0, next.bits());
            slot[4..4 + part.len()].copy_from_slice(part);
            next = piece;
        }
        let slot = self.get_mut(handle);
        slot[at] = LONG;
        slot[at + 1..at + 3].copy_from_slice(&length.to_le_bytes());
        put_u32(slot, at + 3, next.bits());
    }

    /// Gives the node an empty text. To be done before its slot is given back.
    pub(super) fn text_clear(&mut self, handle: Handle) {
        let at = place(handle.kind());
        let slot = self.get_mut(handle);
        let mut piece = if slot[at] == LONG { Handle::from_bits(u32_at(slot, at + 3)) } else { Handle::NULL };
        slot[at] = 0;
        while !piece.is_null() {
            let next = Handle::from_bits(u32_at(self.get(piece), 0));
            self.give(piece);
            piece = next;
        }
    }

    /// How many pieces the node's text takes.
    pub(super) fn text_pieces(&self, handle: Handle) -> u64 {
        let long = self.get(handle)[place(handle.kind())] == LONG;
        if long { self.text_length(handle).div_ceil(PIECE_TEXT_BYTES) as u64 } else { 0 }
    }

    /// The text as it lies in memory.
    fn text_parts(&self, handle: Handle) -> Parts<'_> {
        let at = place(handle.kind());
        let slot = self.get(handle);
        match slot[at] {
            LONG => self.long_parts(slot, at),
            length => Parts { slabs: self, short: Some(&slot[at + 1..at + 1 + usize::from(length)]), left: 0, piece: Handle::NULL },
        }
    }

    fn long_parts(&self, slot: &[u8], at: usize) -> Parts<'_> {
        let left = usize::from(u16::from_le_bytes([slot[at + 1], slot[at + 2]]));
        Parts { slabs: self, short: None, left, piece: Handle::from_bits(u32_at(slot, at + 3)) }
    }
}

/// Whether two texts of one length are equal. Those of 8 to 16 bytes, most, are compared as two overlapping numbers: no call.
#[inline(always)]
fn equal(a: &[u8], b: &[u8]) -> bool {
    match (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(a_first), Some(b_first), Some(a_last), Some(b_last)) if a.len() <= 16 => {
            let first = u64::from_le_bytes(*a_first) ^ u64::from_le_bytes(*b_first);
            let last = u64::from_le_bytes(*a_last) ^ u64::from_le_bytes(*b_last);
            first | last == 0
        }
        _ => a == b,
    }
}

/// The parts of a text, in order.
struct Parts<'trie> {
    slabs: &'trie Slabs,
    short: Option<&'trie [u8]>,
    /// Bytes still to come from pieces.
    left: usize,
    piece: Handle,
}

impl<'trie> Iterator for Parts<'trie> {
    type Item = &'trie [u8];

    fn next(&mut self) -> Option<&'trie [u8]> {
        if let Some(short) = self.short.take() {
            return Some(short);
        }
        if self.left == 0 {
            return None;
        }
        let slot = self.slabs.get(self.piece);
        let bytes = self.left.min(PIECE_TEXT_BYTES);
        self.left -= bytes;
        self.piece = Handle::from_bits(u32_at(slot, 0));
        Some(&slot[4..4 + bytes])
    }
}
