//! Oracle n: no acknowledged increment is missing, none counts twice; a member of a set is there from its putting in to its taking out.

use super::Violation;
use crate::history::{History, KeyId, Outcome};
use crate::tally::{CLIENTS, Deed, Done, Look, SET, Shown, Tallies};

/// What a run allows to be asked.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// N.
    pub replicas: usize,
    /// Writes that fewer owners have acknowledged may be missing.
    pub least: usize,
    /// True if no disk was lost: what one alone knew may have told what a fold had taken up.
    pub keeps_all: bool,
    /// True if reads are to see every write that was acknowledged before.
    pub reads_are_claimed: bool,
}

/// Judges what is there in the end.
pub fn judge_final(history: &History, tallies: &Tallies, terms: Terms, key: KeyId, shown: &Shown) -> Vec<Violation> {
    let look = Look { key, r: terms.replicas, invoked: u64::MAX, ended: u64::MAX, own: (0, 0), shown: shown.clone() };
    judge(history, tallies, terms, &look, "after healing")
}

/// Judges all answers.
pub fn judge_looks(history: &History, tallies: &Tallies, terms: Terms) -> Vec<Violation> {
    let when = |look: &Look| format!("read at {} ms with R={}", look.invoked / 1_000, look.r);
    tallies.looks.iter().flat_map(|look| judge(history, tallies, terms, look, &when(look))).collect()
}

/// What of a write an answer has to do with.
struct Known {
    /// It has to be seen.
    must: bool,
    /// It may be seen.
    may: bool,
}

fn known(history: &History, terms: Terms, look: &Look, done: &Done) -> Known {
    let write = history.write(done.write);
    let must = match write.outcome {
        Outcome::Acked { at, w } => {
            let is_claimed = terms.reads_are_claimed || look.ended == u64::MAX;
            at < look.invoked && w >= terms.least && w + look.r > terms.replicas && is_claimed
        }
        _ => false,
    };
    Known { must, may: write.outcome != Outcome::Refused && write.invoked <= look.ended }
}

fn judge(history: &History, tallies: &Tallies, terms: Terms, look: &Look, when: &str) -> Vec<Violation> {
    let of_key = || tallies.writes.iter().filter(|done| done.key == look.key);
    let mut wrong = Vec::new();
    match &look.shown {
        Shown::Digits(digits) => {
            // Where an acknowledged fold is not sure to be met, what it took up may stand beside it for a while: beside what takes up that fold, since
            // nobody who has answered has seen it itself. So it is with one that is acknowledged while the answers come.
            let meets = |done: &Done| {
                let write = history.write(done.write);
                match write.outcome {
                    _ if write.invoked > look.ended => true,
                    Outcome::Acked { at, w } => at < look.invoked && w + look.r > terms.replicas,
                    Outcome::Unknown => write.until < look.invoked,
                    Outcome::Refused => true,
                }
            };
            let is_bounded = terms.keeps_all && (look.ended == u64::MAX || of_key().all(meets));
            for (digit, shown) in (0..CLIENTS as usize).zip(digits) {
                let writes: Vec<Known> =
                    of_key().filter(|done| done.digit == digit).map(|done| known(history, terms, look, done)).collect();
                let least = writes.iter().filter(|known| known.must).count() as u64;
                let most = writes.iter().filter(|known| known.may).count() as u64;
                if *shown < least {
                    wrong.push(format!("{shown} increments of client {digit}, of which {least} were acknowledged"));
                }
                if *shown > most && is_bounded {
                    wrong.push(format!("{shown} increments of client {digit}, who has made {most}"));
                }
            }
            let (digit, own) = look.own;
            // A session may have seen what lay on one disk alone, which is lost.
            let is_kept = |done: &&Done| matches!(history.write(done.write).outcome, Outcome::Acked { w, .. } if w >= terms.least);
            let has_begun = |done: &&Done| done.digit == digit && history.write(done.write).invoked <= look.ended;
            let may_be_lost =
                if terms.keeps_all { 0 } else { of_key().filter(has_begun).filter(|done| !is_kept(done)).count() as u64 };
            if digits[digit] + may_be_lost < own {
                wrong.push(format!("{} increments of client {digit}, whose session has seen {own}", digits[digit]));
            }
        }
        Shown::Members(members) => {
            let fate = |member: u64| {
                let of = |deed: Deed| of_key().find(|done| done.deed == deed).map(|done| known(history, terms, look, done));
                (of(Deed::PutIn(member)), of(Deed::TakeOut(member)))
            };
            for done in of_key() {
                let Deed::PutIn(member) = done.deed else { continue };
                let (put, taken) = fate(member);
                let is_put = put.is_some_and(|put| put.must);
                if is_put && !taken.as_ref().is_some_and(|taken| taken.may) && !members.contains(&member) {
                    wrong.push(format!("not the member {member}, which was put in"));
                }
                // Taking out takes what W owners hold: none of an unknown putting in for sure, nor of one that stand-ins keep for some of them.
                let is_met = of_key().find(|other| other.deed == Deed::TakeOut(member)).is_some_and(|taking| {
                    let by_owners = |done: &Done| match history.write(done.write).outcome {
                        Outcome::Acked { w, .. } => w,
                        _ => 0,
                    };
                    by_owners(done) >= terms.least && by_owners(done) + by_owners(taking) > terms.replicas
                });
                if is_met && taken.is_some_and(|taken| taken.must) && members.contains(&member) {
                    wrong.push(format!("the member {member}, which was taken out"));
                }
            }
            let is_phantom = |member: &&u64| !fate(**member).0.is_some_and(|put| put.may);
            wrong.extend(members.iter().find(is_phantom).map(|member| format!("the member {member}, which nobody put in")));
        }
    }
    let kind = if look.key == SET { "set" } else { "counter" };
    let violation = |what| Violation::new("n", format!("the {kind} of key {} shows {what} ({when})", look.key.0));
    wrong.into_iter().map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Expiry, Scope, Values, Write};
    use crate::tally::{PLAIN, may_count_twice, read};
    use henge::message::{Members, Value};
    use henge::vclock::{Actor, Dot, Start};
    use std::collections::BTreeSet;

    const TERMS: Terms = Terms { replicas: 3, least: 1, keeps_all: true, reads_are_claimed: true };

    #[derive(Default)]
    struct Story {
        history: History,
        tallies: Tallies,
    }

    impl Story {
        fn did(&mut self, key: KeyId, deed: Deed, outcome: Outcome) {
            let invoked = 10 * self.history.writes().len() as u64;
            let write = self.history.invoke(Write {
                client: 1,
                key,
                scope: Scope::Paths(Vec::new()),
                values: Vec::new(),
                context: None,
                expiry: Expiry::default(),
                invoked,
                until: invoked,
                is_retried: false,
                outcome,
                covered: Values::new(),
            });
            self.tallies.writes.push(Done { write, digit: 1, key, deed });
        }

        fn wrong(&self, key: KeyId, shown: &Shown) -> usize {
            judge_final(&self.history, &self.tallies, TERMS, key, shown).len()
        }
    }

    fn acked(at: u64) -> Outcome {
        Outcome::Acked { at, w: 2 }
    }

    fn digits(n: u64) -> Shown {
        Shown::Digits([0, n, 0])
    }

    #[test]
    fn a_counter_shows_what_was_acknowledged_and_at_most_the_unknown_besides() {
        let mut story = Story::default();
        for outcome in [acked(5), acked(15), Outcome::Unknown, Outcome::Refused] {
            story.did(PLAIN, Deed::Add, outcome);
        }
        let found = [1, 2, 3, 4].map(|n| story.wrong(PLAIN, &digits(n)));
        assert_eq!(found, [1, 0, 0, 1]);
        assert_eq!(story.wrong(PLAIN, &Shown::Digits([1, 2, 0])), 1, "somebody else's");
    }

    #[test]
    fn a_read_sees_what_was_acknowledged_before_it_and_what_its_session_has_seen() {
        let mut story = Story::default();
        story.did(PLAIN, Deed::Add, acked(5));
        story.did(PLAIN, Deed::Add, acked(15));
        let look =
            |r, invoked, own, shown| Look { key: PLAIN, r, invoked, ended: invoked + 1, own: (1, own), shown: digits(shown) };
        for (asked, wrong) in
            [(look(2, 10, 0, 1), 0), (look(2, 10, 0, 0), 1), (look(1, 10, 0, 0), 0), (look(1, 10, 1, 0), 1), (look(2, 7, 0, 2), 1)]
        {
            story.tallies.looks = vec![asked.clone()];
            assert_eq!(judge_looks(&story.history, &story.tallies, TERMS).len(), wrong, "{asked:?}");
        }
    }

    #[test]
    fn a_read_shows_nothing_twice_unless_a_fold_is_acknowledged_meanwhile_or_may_not_be_met() {
        let look = |invoked, ended, r| Look { key: PLAIN, r, invoked, ended, own: (1, 0), shown: digits(3) };
        for (asked, wrong) in [(look(30, 31, 2), 1), (look(14, 31, 3), 0), (look(30, 31, 1), 0), (look(6, 8, 2), 1)] {
            let mut story = Story::default();
            story.did(PLAIN, Deed::Add, acked(5));
            story.did(PLAIN, Deed::Add, acked(15));
            story.tallies.looks = vec![asked.clone()];
            assert_eq!(judge_looks(&story.history, &story.tallies, TERMS).len(), wrong, "{asked:?}");
        }
    }

    #[test]
    fn a_session_is_not_asked_for_what_a_lost_disk_may_have_held_alone() {
        let mut story = Story::default();
        for outcome in [acked(5), Outcome::Unknown, Outcome::Acked { at: 25, w: 1 }] {
            story.did(PLAIN, Deed::Add, outcome);
        }
        let look = |shown, own| Look { key: PLAIN, r: 1, invoked: 30, ended: 31, own: (1, own), shown: digits(shown) };
        let lossy = Terms { least: 2, keeps_all: false, ..TERMS };
        for (terms, shown, own, wrong) in [(TERMS, 1, 3, 1), (lossy, 1, 3, 0), (lossy, 0, 3, 1), (lossy, 0, 2, 0)] {
            story.tallies.looks = vec![look(shown, own)];
            assert_eq!(judge_looks(&story.history, &story.tallies, terms).len(), wrong, "{shown} of {own}");
        }
    }

    #[test]
    fn what_is_taken_out_is_gone_if_the_owners_of_both_writes_meet() {
        for (put, taken, wrong) in [(2, 2, 1), (1, 2, 0), (1, 3, 1), (2, 1, 0)] {
            let mut story = Story::default();
            story.did(SET, Deed::PutIn(1), Outcome::Acked { at: 5, w: put });
            story.did(SET, Deed::TakeOut(1), Outcome::Acked { at: 15, w: taken });
            assert_eq!(story.wrong(SET, &Shown::Members(BTreeSet::from([1]))), wrong, "{put} {taken}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_not_what_was_taken_out() {
        let mut story = Story::default();
        story.did(SET, Deed::PutIn(1), acked(5));
        story.did(SET, Deed::PutIn(2), acked(15));
        story.did(SET, Deed::TakeOut(2), acked(25));
        story.did(SET, Deed::PutIn(3), Outcome::Unknown);
        let members = |members: &[u64]| Shown::Members(BTreeSet::from_iter(members.iter().copied()));
        for (shown, wrong) in [(&[1][..], 0), (&[1, 3], 0), (&[], 1), (&[1, 2], 1), (&[1, 9], 1)] {
            assert_eq!(story.wrong(SET, &members(shown)), wrong, "{shown:?}");
        }
    }

    #[test]
    fn only_two_amounts_of_one_start_can_hold_the_same_increment() {
        let dot = |(actor, start, n)| Dot { actor: Actor(actor), counter: Start(start).base() + n };
        for (dots, may) in
            [(&[][..], false), (&[(1, 1, 1), (2, 1, 1), (1, 2, 1)], false), (&[(1, 1, 1), (2, 1, 1), (1, 1, 9)], true)]
        {
            assert_eq!(may_count_twice(&dots.iter().copied().map(dot).collect::<Vec<_>>()), may, "{dots:?}");
        }
    }

    #[test]
    fn what_is_no_sum_of_increments_is_none() {
        let counter = |sum: i128| Value::Counter(sum.to_string().into());
        assert_eq!(read(PLAIN, Some(&counter(3 << 20 | 1))), Ok(Shown::Digits([1, 3, 0])));
        assert_eq!(read(PLAIN, None), Ok(digits(0)));
        assert!(read(PLAIN, Some(&counter(-1))).is_err() && read(PLAIN, Some(&counter(1 << 60))).is_err());
        assert!(read(PLAIN, Some(&Value::Set(Members::default()))).is_err());
        assert!(read(SET, Some(&Value::Set(Members::of([b"x"])))).is_err());
    }
}
