//! The newest start of every member that this peer has met: an older one, or a second one of the same number, is a copy.

use crate::peer::Introduction;
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use std::collections::BTreeMap;

/// The newest start of every member that this peer has met, and the nonce that the member drew in it.
#[derive(Default)]
pub(super) struct SeenStarts {
    newest: BTreeMap<MemberId, (Start, u64, Actor)>,
}

/// What to say to a peer that introduces itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It may come in.
    Welcome,
    /// It may not: another cluster, not a member, its address is held by somebody else.
    Refused(String),
    /// It runs from an old or a second copy of its member's folder, and has to stop.
    Copy(String),
}

impl SeenStarts {
    /// Whether this start of a member may come in.
    pub(super) fn judge(&self, other: &Introduction, nonce: u64) -> Verdict {
        let Introduction { member, actor, start, previous, .. } = *other;
        match self.newest.get(&member) {
            Some((newest, ..)) if start < *newest => Verdict::Copy(format!(
                "member {member} has start {}, but start {} of it has been met already: this is an old or second copy of this folder; \
                 stop it, and start the peer from its newest folder; if that is lost, run `henge serve --quarantine` once",
                start.0, newest.0
            )),
            Some((newest, known, _)) if start == *newest && nonce != *known => Verdict::Copy(format!(
                "start {} of member {member} has been met already with another nonce: this is an old or second copy of this folder; \
                 only one copy may run, and only the newest",
                start.0
            )),
            // Under a new actor it does not go on from what an old folder holds.
            Some((newest, _, known)) if start > *newest && previous < *newest && actor == *known => Verdict::Copy(format!(
                "member {member} comes from a folder that was last started as {}, and start {} of it has been met: this is an old copy of \
                 this folder; stop it, and start the peer from its newest folder; if that is lost, run `henge serve --quarantine` once",
                previous.0, newest.0
            )),
            _ => Verdict::Welcome,
        }
    }

    /// Notes a start that has come in.
    pub(super) fn note(&mut self, member: MemberId, actor: Actor, start: Start, nonce: u64) {
        self.newest.insert(member, (start, nonce, actor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_start_a_twin_and_an_old_copy_are_told_from_a_newer_start() {
        let from = |previous, start| Introduction {
            member: MemberId(7),
            actor: Actor(1),
            start: Start(start),
            previous: Start(previous),
            cluster: None,
            address: String::new(),
            name: String::new(),
        };
        let mut seen = SeenStarts::default();
        assert_eq!(seen.judge(&from(4, 5), 1), Verdict::Welcome);
        seen.note(MemberId(7), Actor(1), Start(5), 1);
        assert_eq!(seen.judge(&from(4, 5), 1), Verdict::Welcome, "the same start dials again");
        assert!(matches!(seen.judge(&from(4, 5), 2), Verdict::Copy(_)));
        assert!(matches!(seen.judge(&from(3, 4), 1), Verdict::Copy(_)));
        assert_eq!(seen.judge(&from(5, 6), 2), Verdict::Welcome);
        assert_eq!(seen.judge(&from(7, 9), 2), Verdict::Welcome, "a start that nobody met lies between");
        assert!(matches!(seen.judge(&from(4, 9), 2), Verdict::Copy(_)), "the folder knows nothing of start 5");
        let replaced = Introduction { actor: Actor(2), ..from(0, 9) };
        assert_eq!(seen.judge(&replaced, 2), Verdict::Welcome, "an empty folder that has taken the member's place");
    }
}
