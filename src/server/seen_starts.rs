//! The newest start of every member that this peer has met: an older one, or a second one of the same number, is a copy.

use crate::ring::MemberId;
use crate::vclock::Start;
use std::collections::BTreeMap;

/// The newest start of every member that this peer has met, and the nonce that the member drew in it.
#[derive(Default)]
pub(super) struct SeenStarts {
    newest: BTreeMap<MemberId, (Start, u64)>,
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
    pub(super) fn judge(&self, member: MemberId, start: Start, nonce: u64) -> Verdict {
        match self.newest.get(&member) {
            Some((newest, _)) if start < *newest => Verdict::Copy(format!(
                "member {member} has start {}, but start {} of it has been met already: this is an old or second copy of this folder; \
                 stop it, and start the peer from its newest folder",
                start.0, newest.0
            )),
            Some((newest, known)) if start == *newest && nonce != *known => Verdict::Copy(format!(
                "start {} of member {member} has been met already with another nonce: this is an old or second copy of this folder; \
                 only one copy may run, and only the newest",
                start.0
            )),
            _ => Verdict::Welcome,
        }
    }

    /// Notes a start that has come in.
    pub(super) fn note(&mut self, member: MemberId, start: Start, nonce: u64) {
        self.newest.insert(member, (start, nonce));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_start_and_a_twin_are_copies_and_a_newer_start_is_welcome() {
        let member = MemberId(7);
        let mut seen = SeenStarts::default();
        assert_eq!(seen.judge(member, Start(5), 1), Verdict::Welcome);
        seen.note(member, Start(5), 1);
        assert_eq!(seen.judge(member, Start(5), 1), Verdict::Welcome, "the same start dials again");
        assert!(matches!(seen.judge(member, Start(5), 2), Verdict::Copy(_)));
        assert!(matches!(seen.judge(member, Start(4), 1), Verdict::Copy(_)));
        assert_eq!(seen.judge(member, Start(6), 9), Verdict::Welcome);
        assert_eq!(seen.judge(MemberId(8), Start(1), 2), Verdict::Welcome, "of others nothing is known");
    }
}
