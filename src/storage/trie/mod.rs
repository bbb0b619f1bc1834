//! The trie of one partition: the directory of its keys in order, and at the same time its tree of sums.
//!
//! A radix trie: an inner node stands only where keys part (path compression), a leaf keeps only the bytes of its key that no
//! node above spells. A prefix is a sub-tree, and every inner node carries the count of the keys below it and the sum of their
//! hashes, so that two replicas find what differs by walking down where the sums differ. Its shape depends on its contents
//! alone: the same keys give the same nodes, in whatever order they came and whatever was deleted in between.
//!
//! | file | what is in it |
//! |---|---|
//! | `handle`, `slab` | memory: 8 KiB chunks of equal slots, and the 32-bit handles that name a slot; no pointers, so a chunk is its own image |
//! | `text`, `leaf`, `node` | what lies in a slot, byte by byte |
//! | `insert`, `remove` | changes, each along one path |
//! | `scan` | walking in order, from any key on |
//! | `nibbles`, `compare` | walking down 16-way, for anti-entropy |
//! | `check` | recomputes everything |
//!
//! No walk recurses: a key of 4,096 bytes may pass 4,096 nodes.

mod check;
mod compare;
mod handle;
mod insert;
mod leaf;
mod nibbles;
mod node;
mod remove;
mod scan;
mod slab;
mod text;

#[cfg(test)]
mod tests;

use handle::Handle;
use slab::Slabs;

pub use check::Contradiction;
pub use compare::Children;
pub use nibbles::Nibbles;
pub use scan::Scan;

/// Longest path kept between two changes, in nodes: longer ones are rare and would stay in memory for nothing.
const PATH_KEPT_MAX: usize = 64;
/// Longest text kept between two changes (bytes).
const TEXT_KEPT_MAX: usize = 256;

/// What the trie keeps for a key: its newest dot, its hash, and where its record lies. 24 bytes in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Keyed, full-avalanche hash of the key, its live dots and the CRC of its value: what is summed. A weaker hash would let two
    /// differences cancel out.
    pub hash: u64,
    /// Segment of the log that holds the record.
    pub segment: u32,
    /// Where in the segment, in units of 8 bytes.
    pub offset: u32,
    /// The dot's number.
    pub count: u32,
    /// The dot's actor and start, as the partition's alias for them.
    pub author: u16,
    /// Size class of the read that fetches the record.
    pub class: u8,
    /// Free for the owner of the trie; the trie does not look at them.
    pub flags: u8,
}

/// How many keys there are, and the sum of their hashes modulo 2^64: equal for equal contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Number of keys. It is compared too: hashes may sum to anything.
    pub count: u64,
    /// Sum of the keys' hashes modulo 2^64.
    pub sum: u64,
}

impl Summary {
    /// That of both together. They must not share a key.
    #[must_use]
    pub fn and(self, other: Summary) -> Summary {
        Summary { count: self.count + other.count, sum: self.sum.wrapping_add(other.sum) }
    }
}

/// The trie of one partition. Keys are up to `limits::KEY_BYTES_MAX` bytes of any value and may be prefixes of one another.
#[derive(Clone)]
pub struct Trie {
    root: Handle,
    slabs: Slabs,
    /// The way down of a change: nodes, and the byte by which each was left. Kept so that a change allocates nothing.
    path: Vec<(Handle, u8)>,
    /// A text being rewritten; kept for the same reason.
    text: Vec<u8>,
}

impl Trie {
    /// An empty trie.
    #[must_use]
    pub fn new() -> Trie {
        Trie { root: Handle::NULL, slabs: Slabs::new(), path: Vec::new(), text: Vec::new() }
    }

    /// What is kept for the key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Slot> {
        let mut handle = self.root;
        let mut rest = key;
        while handle.kind().is_inner() {
            let node = self.slabs.get(handle);
            rest = self.slabs.text_strip(node, node::TEXT, rest)?;
            let Some((byte, below)) = rest.split_first() else {
                handle = node::own(node);
                break;
            };
            handle = node::child(handle.kind(), node, *byte);
            rest = below;
        }
        if handle.is_null() {
            return None;
        }
        let leaf = self.slabs.get(handle);
        self.slabs.text_strip(leaf, leaf::TEXT, rest)?.is_empty().then(|| leaf::read(leaf))
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.slabs.summary(self.root).count
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_null()
    }

    /// The sum of all keys' hashes, modulo 2^64.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.slabs.summary(self.root).sum
    }

    /// Count and sum of all keys that begin with `prefix`.
    #[must_use]
    pub fn summary(&self, prefix: &[u8]) -> Summary {
        self.locate(prefix).map(|(handle, _)| self.slabs.summary(handle)).unwrap_or_default()
    }

    /// All memory taken, in bytes: the slabs with their unused slots, the tables, this struct. What the allocator adds to each
    /// chunk of 8 KiB is not in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let kept = self.path.capacity() * size_of::<(Handle, u8)>() + self.text.capacity();
        size_of::<Trie>() + self.slabs.bytes() + kept
    }

    /// The sub-tree of all keys that begin with `prefix`: the topmost node or leaf of it, and how many bytes of that one's text
    /// the prefix spells.
    fn locate(&self, prefix: &[u8]) -> Option<(Handle, usize)> {
        let mut handle = self.root;
        let mut rest = prefix;
        while !handle.is_null() {
            let common = self.slabs.text_common(handle, rest);
            if common == rest.len() {
                return Some((handle, common));
            }
            if common < self.slabs.text_length(handle) || handle.kind().is_leaf() {
                return None;
            }
            handle = node::child(handle.kind(), self.slabs.get(handle), rest[common]);
            rest = &rest[common + 1..];
        }
        None
    }

    /// Lets what leads to the end of `path` lead to `handle`.
    fn lead_to(&mut self, path: &[(Handle, u8)], handle: Handle) {
        match path.last() {
            Some((node, byte)) => self.slabs.node_replace(*node, *byte, handle),
            None => self.root = handle,
        }
    }

    /// Keeps the path and the text for the next change, unless they have grown large.
    fn keep(&mut self, mut path: Vec<(Handle, u8)>, mut text: Vec<u8>) {
        path.clear();
        text.clear();
        self.path = if path.capacity() <= PATH_KEPT_MAX { path } else { Vec::new() };
        self.text = if text.capacity() <= TEXT_KEPT_MAX { text } else { Vec::new() };
    }
}

impl Default for Trie {
    fn default() -> Trie {
        Trie::new()
    }
}

impl std::fmt::Debug for Trie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trie({} keys, sum {:016x})", self.len(), self.sum())
    }
}
