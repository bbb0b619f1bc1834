//! The inputs that are worth changing: seeds, and those whose outcome was new.

use super::Outcome;
use super::probe::outcome_class;
use crate::dice::Dice;
use std::collections::BTreeSet;

/// So many inputs are kept of those that were read as something, and of those that were refused; then a new one takes the place of another
/// that is no seed.
const KEPT_MAX: usize = 512;
/// So many outcomes are told apart: a target whose outcomes depend on the bytes themselves must not take all memory.
const OUTCOMES_MAX: usize = 1 << 16;
/// The share of inputs that are made from what was accepted: what comes of refused ones is mostly refused for the same reason.
const FROM_ACCEPTED: f64 = 0.75;

pub(super) struct Corpus {
    /// The seeds, and behind them what was read as something.
    accepted: Vec<Vec<u8>>,
    refused: Vec<Vec<u8>>,
    seeds: usize,
    /// What was new when it was met: an outcome, and the size and the memory of its input.
    novelties: BTreeSet<(u64, u32, u32)>,
    pub(super) outcomes: BTreeSet<u64>,
}

impl Corpus {
    /// Requires: there is a seed.
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Corpus {
        assert!(!seeds.is_empty(), "there is something to begin with");
        let (novelties, outcomes) = (BTreeSet::new(), BTreeSet::new());
        Corpus { seeds: seeds.len(), accepted: seeds, refused: Vec::new(), novelties, outcomes }
    }

    pub(super) fn pick(&self, dice: &mut Dice) -> &[u8] {
        let from = if self.refused.is_empty() || dice.chance(FROM_ACCEPTED) { &self.accepted } else { &self.refused };
        dice.pick::<Vec<u8>>(from)
    }

    pub(super) fn len(&self) -> usize {
        self.accepted.len() + self.refused.len()
    }

    /// Keeps an input if its outcome is new.
    pub(super) fn consider(&mut self, input: Vec<u8>, outcome: Outcome, memory: u64, dice: &mut Dice) {
        let (class, kept, first) = match outcome {
            Outcome::Accepted(class) => (class, &mut self.accepted, self.seeds),
            Outcome::Refused(class) => (outcome_class("refused", &[]) ^ class, &mut self.refused, 0),
        };
        if self.outcomes.len() < OUTCOMES_MAX {
            self.outcomes.insert(class);
        }
        let novelty = (class, input.len().checked_ilog2().unwrap_or(0) / 2, memory.checked_ilog2().unwrap_or(0));
        if self.novelties.len() >= OUTCOMES_MAX || !self.novelties.insert(novelty) {
            return;
        }
        if kept.len() < first + KEPT_MAX {
            kept.push(input);
        } else {
            let at = first + dice.below(KEPT_MAX as u64) as usize;
            kept[at] = input;
        }
    }
}

/// Bytes as people pass them on.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The way back; what is no digit is passed over.
pub fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}
