//! Recomputing what a trie says of itself. For tests, the simulator, and a peer that doubts its memory.

use super::handle::{Handle, KINDS, Kind};
use super::{Summary, Trie, leaf, node};

/// What is wrong with a trie: a bug of ours, or broken memory.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the trie contradicts itself at the key prefix {prefix:02x?}: {what}; load the partition again")]
pub struct Contradiction {
    /// The bytes from the root to the node concerned.
    pub prefix: Vec<u8>,
    /// What does not agree.
    pub what: &'static str,
}

/// A node whose children are being visited.
struct Visit {
    node: Handle,
    key_bytes: usize,
    /// The next child's byte is at least this; 256: all have been visited.
    next: u16,
    /// Of what has been visited.
    found: Summary,
}

impl Trie {
    /// Visits every node and compares: counts and sums with those of what is below, the shape with that which the contents
    /// demand, the slots reached with those in use. Takes time linear in the number of keys.
    ///
    /// # Errors
    /// The first contradiction that it meets.
    pub fn check(&self) -> Result<(), Contradiction> {
        let mut reached = [0; KINDS];
        let mut key = Vec::new();
        let mut stack: Vec<Visit> = Vec::new();
        let mut entering = (!self.root.is_null()).then_some(self.root);
        loop {
            if let Some(handle) = entering.take() {
                self.check_one(handle, &key, &mut reached)?;
                self.slabs.text_append(handle, 0, &mut key);
                let found = self.slabs.summary(if handle.kind().is_leaf() { handle } else { self.slabs.node_own(handle) });
                if handle.kind().is_inner() {
                    stack.push(Visit { node: handle, key_bytes: key.len(), next: 0, found });
                } else if let Some(above) = stack.last_mut() {
                    above.found = above.found.and(found);
                }
            }
            let Some(visit) = stack.last_mut() else { break };
            key.truncate(visit.key_bytes);
            let bytes = self.slabs.get(visit.node);
            let next = u8::try_from(visit.next).ok().and_then(|from| node::child_from(visit.node.kind(), bytes, from));
            if let Some((byte, child)) = next {
                visit.next = u16::from(byte) + 1;
                key.push(byte);
                entering = Some(child);
                continue;
            }
            let found = visit.found;
            if found != self.slabs.node_summary(visit.node) {
                return Err(Contradiction { prefix: key, what: "count or sum is not that of the keys below" });
            }
            stack.pop();
            if let Some(above) = stack.last_mut() {
                above.found = above.found.and(found);
            }
        }
        if reached != self.slabs.live() {
            return Err(Contradiction { prefix: Vec::new(), what: "slots are in use that nothing leads to" });
        }
        Ok(())
    }

    /// The rules for one node or leaf; adds to `reached` the slots that it takes.
    fn check_one(&self, handle: Handle, key: &[u8], reached: &mut [u64; KINDS]) -> Result<(), Contradiction> {
        let wrong = |what| Err(Contradiction { prefix: key.to_vec(), what });
        let kind = handle.kind();
        reached[kind.index()] += 1;
        reached[Kind::PIECE.index()] += self.slabs.text_pieces(handle);
        if kind.is_leaf() {
            let fits = kind == leaf::kind_for(self.slabs.text_length(handle));
            return if fits { Ok(()) } else { wrong("a leaf is not of the kind that its text demands") };
        }
        if !kind.is_inner() {
            return wrong("a handle leads to no node");
        }
        let own = self.slabs.node_own(handle);
        if !own.is_null() {
            reached[own.kind().index()] += 1;
            if own.kind() != Kind::LEAF7 || self.slabs.text_length(own) != 0 {
                return wrong("the leaf of a key that ends at a node has a text");
            }
        }
        let bytes = self.slabs.get(handle);
        let listed: Vec<(u8, Handle)> = node::each_child(kind, bytes).collect();
        let entries = listed.len() + usize::from(!own.is_null());
        if entries < 2 || listed.is_empty() {
            return wrong("a node has fewer than two entries");
        }
        if listed.len() != self.slabs.node_children(handle) || kind != node::kind_for(listed.len()) {
            return wrong("a node is not of the kind that its children demand");
        }
        if !listed.is_sorted_by(|a, b| a.0 < b.0) {
            return wrong("children are not in order");
        }
        if (0..=255).any(|byte| {
            let listed = listed.iter().find(|child| child.0 == byte).map_or(Handle::NULL, |child| child.1);
            node::child(kind, bytes, byte) != listed
        }) {
            return wrong("a child is not found by its byte");
        }
        Ok(())
    }
}
