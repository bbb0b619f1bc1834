//! What anti-entropy asks of a trie: the sums of the 16 sub-trees below a prefix, the keys of a small one, and how far all keys
//! below a prefix agree.
//!
//! The steps are half bytes, not nodes: two tries with different keys have different nodes, but the same prefixes. Sixteen-way
//! steps cost least: 256-way ones take 4.5 times the bytes for a few differences.

use super::handle::Handle;
use super::{Nibbles, Summary, Trie, node};

/// One step of the walk: all keys that begin with a prefix, divided by their next half byte.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Children {
    /// The hash of the key that is the prefix itself, if that is kept.
    pub own: Option<u64>,
    /// Count and sum of the keys that go on with 0, 1, … 15.
    pub branches: [Summary; 16],
}

impl Children {
    /// That of all keys together.
    #[must_use]
    pub fn total(&self) -> Summary {
        let own = self.own.map(|hash| Summary { count: 1, sum: hash }).unwrap_or_default();
        self.branches.iter().fold(own, |total, branch| total.and(*branch))
    }
}

impl Trie {
    /// Count and sum of the 16 sub-trees one half byte below `prefix`. Looks at one node and its children.
    #[must_use]
    pub fn children(&self, prefix: &Nibbles) -> Children {
        let mut children = Children::default();
        for branch in self.branches(prefix) {
            let summary = self.slabs.summary(branch.top);
            match (branch.byte, prefix.parts().1) {
                (None, _) => children.own = Some(summary.sum),
                (Some(byte), half) => {
                    let branch = if half.is_some() { byte & 15 } else { byte >> 4 };
                    let branch = &mut children.branches[usize::from(branch)];
                    *branch = branch.and(summary);
                }
            }
        }
        children
    }

    /// The keys that begin with `prefix`, in order, with their hashes; none if there are more than `count_max`, for then it is
    /// better to go on down.
    #[must_use]
    pub fn list(&self, prefix: &Nibbles, count_max: usize) -> Option<Vec<(Vec<u8>, u64)>> {
        let count = self.children(prefix).total().count;
        if count > count_max as u64 {
            return None;
        }
        let mut keys = Vec::with_capacity(count as usize);
        let (bytes, half) = prefix.parts();
        let tops: Vec<Vec<u8>> = match half {
            None => vec![bytes.to_vec()],
            Some(high) => (0..16).map(|low| [bytes, &[high << 4 | low]].concat()).collect(),
        };
        for top in tops {
            keys.extend(self.scan(&top, None).map(|(key, slot)| (key, slot.hash)));
        }
        Some(keys)
    }

    /// The longest prefix that all keys share that begin with `prefix`: the walk may go on there at once instead of through every
    /// half byte of `user:0000`. None if no key begins with it. One way down to the least of the keys, one to the greatest.
    #[must_use]
    pub fn common(&self, prefix: &Nibbles) -> Option<Nibbles> {
        let branches = self.branches(prefix);
        let (least, greatest) = (branches.first()?, branches.last()?);
        Some(Nibbles::common(&self.end(prefix, least, false), &self.end(prefix, greatest, true)))
    }

    /// The least key below a branch, or the greatest.
    fn end(&self, prefix: &Nibbles, branch: &Branch, greatest: bool) -> Vec<u8> {
        let mut key = prefix.parts().0.to_vec();
        key.extend(branch.byte);
        let mut handle = branch.top;
        self.slabs.text_append(handle, branch.spelled, &mut key);
        while handle.kind().is_inner() {
            let bytes = self.slabs.get(handle);
            if !greatest && !node::own(bytes).is_null() {
                break;
            }
            let mut children = node::each_child(handle.kind(), bytes);
            let (byte, child) = if greatest { children.last() } else { children.next() }.expect("a node has children");
            key.push(byte);
            self.slabs.text_append(child, 0, &mut key);
            handle = child;
        }
        key
    }

    /// What follows the whole bytes of `prefix`, in order, as far as it fits its half byte.
    fn branches(&self, prefix: &Nibbles) -> Vec<Branch> {
        let (bytes, half) = prefix.parts();
        let Some((top, spelled)) = self.locate(bytes) else { return Vec::new() };
        let mut branches = Vec::new();
        if spelled < self.slabs.text_length(top) {
            branches.push(Branch { byte: Some(self.slabs.text_byte(top, spelled)), top, spelled: spelled + 1 });
        } else if top.kind().is_leaf() {
            branches.push(Branch { byte: None, top, spelled });
        } else {
            let node = self.slabs.get(top);
            let own = node::own(node);
            if !own.is_null() {
                branches.push(Branch { byte: None, top: own, spelled: 0 });
            }
            branches.extend(node::each_child(top.kind(), node).map(|(byte, top)| Branch { byte: Some(byte), top, spelled: 0 }));
        }
        branches.retain(|branch| half.is_none_or(|half| branch.byte.is_some_and(|byte| byte >> 4 == half)));
        branches
    }
}

/// All keys that go on, after some prefix, with one byte; or the one key that ends there.
struct Branch {
    byte: Option<u8>,
    /// The topmost node or leaf of them.
    top: Handle,
    /// How many bytes of its text the prefix and the byte spell.
    spelled: usize,
}
