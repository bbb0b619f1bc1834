//! Increments that fold others, as long as they may not have come anywhere.
//!
//! A fold covers the amounts that it takes up. Two things can go wrong on the way, and each counts an amount twice:
//!
//! * The coordinator's own replica has not taken the fold in yet (it waits for its disk), and still shows what was folded. Another fold would
//!   take it up again, for ever. So as long as a fold of a key is not seen here, nothing of that key is folded.
//! * A fold that was not acknowledged is itself folded. The second one covers the first; whoever never got the first still shows what that one had
//!   taken up, beside the second. So until a fold is acknowledged, whatever takes it up covers what it covers too.

use crate::broken::{Rule, is_broken};
use crate::limits::FOLDS_MAX;
use crate::vclock::{Dot, Seen};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What a coordinator remembers of the folds of its present start.
#[derive(Debug, Default)]
pub struct Folding {
    keys: BTreeMap<Bytes, Folds>,
    /// How many folds there are in `keys`.
    count: usize,
}

#[derive(Debug, Default)]
struct Folds {
    /// Folds that the own replica may not have taken in.
    on_their_way: Vec<Dot>,
    /// Folds that have not been acknowledged, and what each of them covers.
    open: BTreeMap<Dot, Seen>,
}

impl Folding {
    /// True if amounts of this key may be folded. `has_seen`: whether the own replica has seen a dot.
    pub fn may_fold(&mut self, key: &[u8], has_seen: impl Fn(Dot) -> bool) -> bool {
        if let Some(folds) = self.keys.get_mut(key) {
            folds.on_their_way.retain(|dot| !has_seen(*dot));
            if !folds.on_their_way.is_empty() {
                return is_broken(Rule::FoldsUnseen);
            }
        }
        if self.count >= FOLDS_MAX {
            self.forget_the_seen();
        }
        self.count < FOLDS_MAX
    }

    /// What these folded dots had covered themselves, as far as it may not be known everywhere.
    pub fn below(&self, key: &[u8], folded: &[Dot]) -> Seen {
        let mut below = Seen::new();
        if let Some(folds) = self.keys.get(key).filter(|_| !is_broken(Rule::FoldsAlone)) {
            folded.iter().filter_map(|dot| folds.open.get(dot)).for_each(|covers| below.union_with(covers));
        }
        below
    }

    /// A fold begins.
    pub fn begin(&mut self, key: &Bytes, fold: Dot, covers: Seen) {
        let folds = self.keys.entry(key.clone()).or_default();
        folds.on_their_way.push(fold);
        folds.open.insert(fold, covers);
        self.count += 1;
    }

    /// A write of this key was acknowledged. If it is a fold, all that it took up is known to be covered.
    pub fn acknowledge(&mut self, key: &[u8], dots: &[Dot]) {
        let Some(folds) = self.keys.get_mut(key) else { return };
        let before = folds.open.len();
        for dot in dots {
            if let Some(covers) = folds.open.remove(dot) {
                folds.open.retain(|other, _| !covers.contains(*other));
            }
        }
        self.count -= before - folds.open.len();
        if folds.open.is_empty() && folds.on_their_way.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Makes room: of folds that the own replica has seen only a read that meets nobody who knows them could show too much, for a while.
    fn forget_the_seen(&mut self) {
        self.keys.retain(|_, folds| !folds.on_their_way.is_empty());
        self.count = self.keys.values().map(|folds| folds.open.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::Actor;

    const KEY: Bytes = Bytes::from_static(b"k");

    fn dot(counter: u64) -> Dot {
        Dot { actor: Actor(1), counter }
    }

    fn seen(counters: &[u64]) -> Seen {
        counters.iter().map(|counter| dot(*counter)).collect()
    }

    #[test]
    fn nothing_of_a_key_is_folded_as_long_as_a_fold_of_it_is_not_seen_here() {
        let mut folding = Folding::default();
        assert!(folding.may_fold(&KEY, |_| false), "there is none");
        folding.begin(&KEY, dot(2), seen(&[1]));
        assert!(!folding.may_fold(&KEY, |_| false));
        folding.acknowledge(&KEY, &[dot(2)]);
        assert!(!folding.may_fold(&KEY, |_| false), "others have it, this replica may not");
        assert!(folding.may_fold(b"other", |_| false));
        assert!(folding.may_fold(&KEY, |seen| seen == dot(2)));
    }

    #[test]
    fn what_takes_up_a_fold_covers_what_that_one_covers_until_one_of_them_is_acknowledged() {
        let mut folding = Folding::default();
        folding.begin(&KEY, dot(2), seen(&[1]));
        assert_eq!(folding.below(&KEY, &[dot(2)]), seen(&[1]));
        folding.begin(&KEY, dot(3), seen(&[1, 2]));
        assert_eq!(folding.below(&KEY, &[dot(3)]), seen(&[1, 2]));
        assert_eq!(folding.below(&KEY, &[dot(9)]), Seen::new());
        folding.acknowledge(&KEY, &[dot(3)]);
        assert_eq!(folding.below(&KEY, &[dot(2), dot(3)]), Seen::new());
        assert_eq!(folding.count, 0);
    }

    #[test]
    fn a_full_memory_forgets_what_is_seen_and_then_folds_nothing() {
        let mut folding = Folding::default();
        for n in 0..FOLDS_MAX as u64 {
            folding.begin(&Bytes::from(n.to_be_bytes().to_vec()), dot(n + 1), Seen::new());
        }
        assert!(!folding.may_fold(&KEY, |_| true), "none of them is known to be seen");
        assert!(folding.may_fold(&0u64.to_be_bytes(), |_| true), "that of this key is");
        assert_eq!(folding.count, FOLDS_MAX - 1);
        assert!(folding.may_fold(&KEY, |_| false));
        folding.begin(&KEY, dot(9), Seen::new());
        assert!(!folding.may_fold(b"other", |_| true));
    }
}
