//! What must hold when all is healed: the naive way, by the sets of all writes before each write.

use super::*;

/// True if one leaf has more than one version.
pub(super) fn has_siblings(entry: &Entry) -> bool {
    let leaves: BTreeSet<u8> = entry.versions().iter().map(|version| leaf_and_number(version).0).collect();
    leaves.len() < entry.versions().len()
}

impl World {
    pub(super) fn judge(&mut self) -> Option<String> {
        let owners = self.owners();
        let first = &self.peers[owners[0]].store;
        for (owner, key) in owners[1..].iter().flat_map(|owner| (0..KEYS).map(move |key| (*owner, key))) {
            if self.peers[owner].store.explicit(key).versions() != first.explicit(key).versions() {
                return Some(format!("owners {} and {owner} differ in key {key} after healing", owners[0]));
            }
        }
        let mut siblings = false;
        for key in 0..KEYS {
            let entry = first.explicit(key);
            siblings |= has_siblings(&entry);
            for leaf in [0, 1] {
                let left =
                    entry.versions().iter().map(leaf_and_number).filter(|version| version.0 == leaf).map(|version| version.1);
                if let Some(bad) = self.judge_leaf(key, leaf, &left.collect()) {
                    return Some(bad);
                }
            }
        }
        self.had_siblings |= siblings;
        None
    }

    /// Judges what is left of one leaf of one key.
    fn judge_leaf(&self, key: u8, leaf: u8, left: &BTreeSet<u32>) -> Option<String> {
        let all = || (0..).zip(&self.writes).filter(|(_, write)| (write.key, write.leaf) == (key, leaf));
        let past = |number: u32| &self.writes[number as usize].past;
        let mut covered = Past::default();
        left.iter().for_each(|number| covered.add(*number));
        left.iter().for_each(|number| covered.add_all(past(*number)));
        all().filter(|(_, write)| write.delete).for_each(|(_, write)| covered.add_all(&write.past));
        for (number, write) in all().filter(|(_, write)| write.acks >= self.quorum) {
            if !write.delete && !covered.contains(number) {
                return Some(format!("LOST acked write {number} of {key}.{leaf}, left {left:?}"));
            }
            if write.delete && left.iter().any(|other| write.past.contains(*other)) {
                return Some(format!("RESURRECTED something of {key}.{leaf}, deleted by {number}, left {left:?}"));
            }
        }
        if let Some(older) = left.iter().find(|older| left.iter().any(|newer| past(*newer).contains(**older)))
            && self.disasters == 0
        {
            return Some(format!("false siblings in {key}.{leaf}: {older} among {left:?}"));
        }
        None
    }

    /// Says where an owner still keeps a context when all is healed and all gaps are closed: a deleted key must cost nothing.
    pub(in super::super) fn leftover(&mut self) -> Option<String> {
        self.close_everything();
        for owner in self.owners() {
            for (key, entry) in &self.peers[owner].store.entries {
                if !entry.context().is_empty() || entry.versions().is_empty() {
                    return Some(format!("owner {owner} keeps {:?} beside key {key}", entry.context()));
                }
            }
        }
        None
    }

    /// How many keys are deleted, or were never written, in the end: they have no entry at all.
    pub(in super::super) fn absent(&self) -> usize {
        let store = &self.peers[self.owners()[0]].store;
        let written: BTreeSet<u8> = self.writes.iter().map(|write| write.key).collect();
        written.into_iter().filter(|key| !store.entries.contains_key(key)).count()
    }
}
