//! Removing: the leaf goes, and with it what no longer parts keys, so that the shape is as if the key had never been there.

use super::handle::Handle;
use super::{Slot, Trie, node, text};

impl Trie {
    /// Forgets the key; returns what was kept for it.
    pub fn remove(&mut self, key: &[u8]) -> Option<Slot> {
        let mut path = std::mem::take(&mut self.path);
        let mut text = std::mem::take(&mut self.text);
        let removed = self.way_to(key, &mut path).map(|leaf| {
            let slot = self.slabs.leaf_slot(leaf);
            let own = path.last().is_some_and(|(node, _)| self.slabs.node_own(*node) == leaf);
            self.slabs.leaf_free(leaf);
            path.iter().for_each(|(node, _)| self.slabs.node_adjust(*node, -1, slot.hash.wrapping_neg()));
            match path.pop() {
                Some((node, byte)) => self.take_entry(node, (!own).then_some(byte), &path, &mut text),
                None => self.root = Handle::NULL,
            }
            slot
        });
        self.keep(path, text);
        removed
    }

    /// The key's leaf, and the nodes above it.
    fn way_to(&self, key: &[u8], path: &mut Vec<(Handle, u8)>) -> Option<Handle> {
        let mut handle = self.root;
        let mut rest = key;
        loop {
            let kind = handle.kind();
            if handle.is_null() {
                return None;
            }
            let bytes = self.slabs.get(handle);
            rest = self.slabs.text_strip(bytes, text::place(kind), rest)?;
            if kind.is_leaf() {
                return rest.is_empty().then_some(handle);
            }
            let Some((byte, below)) = rest.split_first() else {
                path.push((handle, 0));
                let own = node::own(bytes);
                return (!own.is_null()).then_some(own);
            };
            path.push((handle, *byte));
            handle = node::child(kind, bytes, *byte);
            rest = below;
        }
    }

    /// Takes an entry out of a node, the child of a byte or its own leaf. A single entry that is left takes the node's place.
    fn take_entry(&mut self, node: Handle, byte: Option<u8>, path: &[(Handle, u8)], text: &mut Vec<u8>) {
        let has_own = !self.slabs.node_own(node).is_null();
        let entries = self.slabs.node_children(node) + usize::from(has_own);
        if entries > 2 {
            let Some(byte) = byte else { return self.slabs.node_set_own(node, Handle::NULL) };
            let shrunk = self.slabs.node_take(node, byte);
            if shrunk != node {
                self.lead_to(path, shrunk);
            }
            return;
        }
        text.clear();
        self.slabs.text_append(node, 0, text);
        let left = if byte.is_some() && has_own { self.slabs.node_own(node) } else { self.other_child(node, byte, text) };
        self.slabs.text_append(left, 0, text);
        let left = self.set_text(left, text);
        self.slabs.node_free(node);
        self.lead_to(path, left);
    }

    /// The only child of a node beside that of `byte`; its own byte goes to the end of `text`.
    fn other_child(&self, node: Handle, byte: Option<u8>, text: &mut Vec<u8>) -> Handle {
        let mut children = node::each_child(node.kind(), self.slabs.get(node));
        let (other, child) = children.find(|(each, _)| Some(*each) != byte).expect("a node has at least two entries");
        text.push(other);
        child
    }
}
