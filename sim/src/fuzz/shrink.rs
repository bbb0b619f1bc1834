//! Making a failing input shorter and plainer, as long as it breaks the same law.

use super::Target;
use super::probe::{Law, judge};

/// So many inputs are tried at most.
const TRIES_MAX: usize = 20_000;

/// The shortest and plainest input found that breaks the same law as this one.
pub fn shrink(target: &Target, input: &[u8], law: Law) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut tries = 0;
    let mut is_better = |candidate: &mut Vec<u8>, best: &Vec<u8>| {
        let unmended = candidate.clone();
        let fails = |bytes: &[u8]| judge(target, bytes).0.is_err_and(|failure| failure.law == law);
        tries += 1;
        if tries > TRIES_MAX {
            return false;
        }
        if fails(&unmended) {
            return true;
        }
        (target.mend)(candidate);
        (candidate.len(), &*candidate) < (best.len(), best) && fails(candidate)
    };
    loop {
        let before = best.clone();
        let mut length = best.len();
        while length > 0 {
            let mut at = 0;
            while at < best.len() {
                let mut candidate = best.clone();
                candidate.drain(at..best.len().min(at + length));
                if is_better(&mut candidate, &best) { best = candidate } else { at += length }
            }
            length /= 2;
        }
        let mut at = 0;
        while at < best.len() {
            let mut candidate = best.clone();
            candidate[at] = 0;
            if best[at] != 0 && is_better(&mut candidate, &best) {
                best = candidate;
            }
            at += 1;
        }
        if best == before {
            return best;
        }
    }
}
