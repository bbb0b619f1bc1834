//! Scans: walking a trie in the order of its keys.

use super::handle::Handle;
use super::{Slot, Trie, node};
use std::cmp::Ordering;

/// The keys of a prefix in order. As an `Iterator` it hands out copies of the keys; `next_key` and `next_into` allocate nothing.
#[derive(Clone)]
pub struct Scan<'trie> {
    trie: &'trie Trie,
    /// The bytes from the root to where the scan stands.
    key: Vec<u8>,
    /// The nodes from the scan's top to where it stands.
    stack: Vec<Frame>,
    /// A leaf that comes next; `key` is its key.
    leaf: Handle,
}

/// A node that has been entered.
#[derive(Clone, Copy)]
struct Frame {
    node: Handle,
    /// Bytes of the key down to the end of this node's text.
    key_bytes: u16,
    /// What comes next: 0 the node's own leaf, 1 + b the first child for a byte of at least b, 257 nothing.
    next: u16,
}

impl Trie {
    /// Walks the keys that begin with `prefix`, in order; with `after`, only those greater than it. Finding the place costs one
    /// way down. `after` need not be in the trie, nor begin with the prefix.
    #[must_use]
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>) -> Scan<'_> {
        let mut scan = Scan { trie: self, key: Vec::new(), stack: Vec::new(), leaf: Handle::NULL };
        let Some((top, spelled)) = self.locate(prefix) else { return scan };
        scan.key.extend_from_slice(&prefix[..prefix.len() - spelled]);
        match after {
            Some(after) if after.starts_with(prefix) => scan.seek(top, after),
            Some(after) if after > prefix => {}
            _ => scan.enter(top),
        }
        scan
    }
}

impl Scan<'_> {
    /// The next key and what is kept for it. The key is lent until the next call.
    pub fn next_key(&mut self) -> Option<(&[u8], Slot)> {
        while self.leaf.is_null() {
            let frame = self.stack.last_mut()?;
            let (kind, bytes) = (frame.node.kind(), self.trie.slabs.get(frame.node));
            self.key.truncate(usize::from(frame.key_bytes));
            if frame.next == 0 {
                frame.next = 1;
                self.leaf = node::own(bytes);
                continue;
            }
            match u8::try_from(frame.next - 1).ok().and_then(|from| node::child_from(kind, bytes, from)) {
                Some((byte, child)) => {
                    frame.next = u16::from(byte) + 2;
                    self.key.push(byte);
                    self.enter(child);
                }
                None => {
                    self.stack.pop();
                }
            }
        }
        let leaf = std::mem::replace(&mut self.leaf, Handle::NULL);
        Some((&self.key, self.trie.slabs.leaf_slot(leaf)))
    }

    /// Like `next_key`, the key put into `key` in place of what was there.
    pub fn next_into(&mut self, key: &mut Vec<u8>) -> Option<Slot> {
        let (next, slot) = self.next_key()?;
        key.clear();
        key.extend_from_slice(next);
        Some(slot)
    }

    /// Goes down to a node or leaf, all of whose keys are still to come. `key` ends just before its text.
    fn enter(&mut self, handle: Handle) {
        self.trie.slabs.text_append(handle, 0, &mut self.key);
        if handle.kind().is_leaf() {
            self.leaf = handle;
        } else {
            self.push(handle, 0);
        }
    }

    /// Goes down from `top` to just behind `after`. `key` ends just before the text of `top`, and `after` begins with `key`.
    fn seek(&mut self, top: Handle, after: &[u8]) {
        let slabs = &self.trie.slabs;
        let mut handle = top;
        while !handle.is_null() {
            let rest = &after[self.key.len()..];
            let common = slabs.text_common(handle, rest);
            if common < slabs.text_length(handle) {
                let text = slabs.text_byte(handle, common);
                // All below is greater than `after`, or nothing is.
                if rest.get(common).is_none_or(|byte| text.cmp(byte) == Ordering::Greater) {
                    self.enter(handle);
                }
                return;
            }
            if handle.kind().is_leaf() {
                return;
            }
            slabs.text_append(handle, 0, &mut self.key);
            let Some(byte) = rest.get(common) else { return self.push(handle, 1) };
            self.push(handle, u16::from(*byte) + 2);
            self.key.push(*byte);
            handle = node::child(handle.kind(), slabs.get(handle), *byte);
        }
    }

    fn push(&mut self, node: Handle, next: u16) {
        let key_bytes = u16::try_from(self.key.len()).expect("keys are shorter than 64 KiB");
        self.stack.push(Frame { node, key_bytes, next });
    }
}

impl Iterator for Scan<'_> {
    type Item = (Vec<u8>, Slot);

    fn next(&mut self) -> Option<(Vec<u8>, Slot)> {
        self.next_key().map(|(key, slot)| (key.to_vec(), slot))
    }
}
