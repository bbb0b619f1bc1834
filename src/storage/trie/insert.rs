//! Inserting: down one path, one change at its end, then the counts and sums of the path.

use super::handle::Handle;
use super::{Slot, Summary, Trie, node, text};
use crate::limits::KEY_BYTES_MAX;

impl Trie {
    /// Keeps `slot` for the key; returns what was kept for it before.
    ///
    /// Requires: the key has at most `limits::KEY_BYTES_MAX` bytes; whoever takes keys from outside refuses longer ones.
    pub fn insert(&mut self, key: &[u8], slot: Slot) -> Option<Slot> {
        assert!(key.len() <= KEY_BYTES_MAX, "a key of {} bytes reached the trie; at most {KEY_BYTES_MAX} are allowed", key.len());
        let mut path = std::mem::take(&mut self.path);
        let mut text = std::mem::take(&mut self.text);
        let replaced = self.insert_below(key, slot, &mut path, &mut text);
        let (count, sum) = match replaced {
            Some(old) => (0, slot.hash.wrapping_sub(old.hash)),
            None => (1, slot.hash),
        };
        path.iter().for_each(|(node, _)| self.slabs.node_adjust(*node, count, sum));
        self.keep(path, text);
        replaced
    }

    /// Inserts, and leaves in `path` the nodes whose count and sum do not know of it yet.
    fn insert_below(&mut self, key: &[u8], slot: Slot, path: &mut Vec<(Handle, u8)>, text: &mut Vec<u8>) -> Option<Slot> {
        let mut handle = self.root;
        let mut rest = key;
        if handle.is_null() {
            self.root = self.slabs.leaf_new(rest, slot);
            return None;
        }
        loop {
            let kind = handle.kind();
            let bytes = self.slabs.get(handle);
            let below = self.slabs.text_strip(bytes, text::place(kind), rest);
            if kind.is_leaf() {
                if below.is_some_and(<[u8]>::is_empty) {
                    return Some(self.slabs.leaf_replace(handle, slot));
                }
                self.part(handle, rest, slot, path, text);
                return None;
            }
            let Some(below) = below else {
                self.part(handle, rest, slot, path, text);
                return None;
            };
            let Some((byte, below)) = below.split_first() else {
                path.push((handle, 0));
                let own = node::own(bytes);
                if !own.is_null() {
                    return Some(self.slabs.leaf_replace(own, slot));
                }
                let own = self.slabs.leaf_new(&[], slot);
                self.slabs.node_set_own(handle, own);
                return None;
            };
            let child = node::child(kind, bytes, *byte);
            if child.is_null() {
                let leaf = self.slabs.leaf_new(below, slot);
                let grown = self.slabs.node_add(handle, *byte, leaf);
                if grown != handle {
                    self.lead_to(path, grown);
                }
                path.push((grown, *byte));
                return None;
            }
            path.push((handle, *byte));
            handle = child;
            rest = below;
        }
    }

    /// Puts a new node where the key leaves the text of `handle`: above it, with it and a new leaf as the only two entries.
    fn part(&mut self, handle: Handle, rest: &[u8], slot: Slot, path: &[(Handle, u8)], text: &mut Vec<u8>) {
        text.clear();
        self.slabs.text_append(handle, 0, text);
        let common = self.slabs.text_common(handle, rest);
        let summary = self.slabs.summary(handle).and(Summary { count: 1, sum: slot.hash });
        let mut node = self.slabs.node_new(&text[..common], summary);
        match text[common..].split_first() {
            Some((byte, below)) => {
                let moved = self.set_text(handle, below);
                node = self.slabs.node_add(node, *byte, moved);
            }
            None => {
                let moved = self.set_text(handle, &[]);
                self.slabs.node_set_own(node, moved);
            }
        }
        match rest[common..].split_first() {
            Some((byte, below)) => {
                let leaf = self.slabs.leaf_new(below, slot);
                node = self.slabs.node_add(node, *byte, leaf);
            }
            None => {
                let leaf = self.slabs.leaf_new(&[], slot);
                self.slabs.node_set_own(node, leaf);
            }
        }
        self.lead_to(path, node);
    }

    /// Gives a node or leaf another text; returns where it now is.
    pub(super) fn set_text(&mut self, handle: Handle, text: &[u8]) -> Handle {
        if handle.kind().is_leaf() {
            return self.slabs.leaf_move(handle, text);
        }
        self.slabs.text_replace(handle, text);
        handle
    }
}
