//! What this store remembers of the members: what each has said of itself last, as far as it matters after a restart.
//!
//! Of each member the newest record counts, and it only moves forward. One that makes no sense is passed over: its member is looked for where
//! it was when the cluster was formed, and says anew who it is.

use super::record::{ENDED_BYTES, MemberNote, Record};
use super::store::Store;
use crate::limits::{ENDED_ACTORS_MAX, MEMBER_ADDRESS_BYTES_MAX, MEMBER_NAME_BYTES_MAX};
use crate::message::{EndedActor, MemberRecord};
use crate::ring::MemberId;
use crate::vclock::{Actor, Start};
use std::collections::BTreeMap;

/// The newest record of each member.
#[derive(Clone, Default, Debug)]
pub(super) struct Members {
    records: BTreeMap<MemberId, MemberRecord>,
}

impl Members {
    /// Takes in what stands in the log. The error says for people what is wrong with it.
    pub(super) fn replay(&mut self, note: &MemberNote<'_>) -> Result<(), String> {
        let record = decoded(note)?;
        if self.records.get(&record.member).is_none_or(|known| record.supersedes(known)) {
            self.records.insert(record.member, record);
        }
        Ok(())
    }

    /// The same, and people are told of what makes no sense.
    pub(super) fn replay_or_tell(&mut self, note: &MemberNote<'_>) {
        if let Err(reason) = self.replay(note) {
            tracing::warn!(
                member = %note.member,
                "what the log says of a member makes no sense and is passed over ({reason}): it is looked for where it was when the cluster was \
                 formed"
            );
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &MemberRecord> {
        self.records.values()
    }
}

impl Store {
    /// What is remembered of the members, this store's own among them.
    pub fn members(&self) -> impl Iterator<Item = &MemberRecord> {
        self.members.iter()
    }

    /// Remembers what a member says of itself, if it is news that matters after a restart: where it is, which start it is in, under which actor
    /// it writes and wrote. The store's own start stands in its identity. Nothing stands on the record, so nobody waits for it.
    pub fn remember_member(&mut self, record: &MemberRecord) {
        let own = record.member == self.identity.member;
        let matters = |record: &MemberRecord| {
            let start = if own { None } else { Some((record.actor, record.start)) };
            (start, record.address.clone(), record.ended.clone())
        };
        if let Some(known) = self.members.records.get(&record.member)
            && (!record.supersedes(known) || matters(record) == matters(known))
        {
            return;
        }
        with_note(record, |note| {
            self.append(&Record::Member(note));
        });
        self.members.records.insert(record.member, record.clone());
    }
}

/// Hands over a record in the form of the log.
pub(super) fn with_note(record: &MemberRecord, take: impl FnOnce(MemberNote<'_>)) {
    let ended = |ended: &EndedActor| ended.actor.0.to_le_bytes().into_iter().chain(ended.last.0.to_le_bytes()).collect::<Vec<u8>>();
    let ended: Vec<u8> = record.ended.iter().flat_map(ended).collect();
    let MemberRecord { member, actor, start, nonce, incarnation, .. } = *record;
    let (name, address) = (record.name.as_bytes(), record.address.as_bytes());
    take(MemberNote { member, actor, start, nonce, incarnation, name, address, ended: &ended });
}

/// Reads what [`with_note`] made. The error says for people what is wrong.
pub(super) fn decoded(note: &MemberNote<'_>) -> Result<MemberRecord, String> {
    let text = |what: &str, bytes: &[u8], max: usize| match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= max => Ok(text.to_string()),
        Ok(text) => Err(format!("its {what} has {} bytes, and at most {max} are possible", text.len())),
        Err(_) => Err(format!("its {what} is no text")),
    };
    let one = |bytes: &[u8]| {
        let (actor, last) = bytes.split_at(size_of::<u64>());
        let actor = Actor(u64::from_le_bytes(actor.try_into().expect("eight bytes")));
        EndedActor { actor, last: Start(u32::from_le_bytes(last.try_into().expect("four bytes"))) }
    };
    let ended: Vec<EndedActor> = note.ended.chunks_exact(ENDED_BYTES).map(one).collect();
    if ended.len() > ENDED_ACTORS_MAX {
        return Err(format!("it has {} ended actors, and at most {ENDED_ACTORS_MAX} are possible", ended.len()));
    }
    let MemberNote { member, actor, start, nonce, incarnation, .. } = *note;
    let name = text("name", note.name, MEMBER_NAME_BYTES_MAX)?;
    let address = text("address", note.address, MEMBER_ADDRESS_BYTES_MAX)?;
    Ok(MemberRecord { member, actor, ended, start, nonce, incarnation, name, address, incomplete: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(start: u32, incarnation: u32, address: &str) -> MemberRecord {
        MemberRecord {
            member: MemberId(u128::MAX - 4),
            actor: Actor(5),
            ended: vec![
                EndedActor { actor: Actor(3), last: Start(8) },
                EndedActor { actor: Actor(u64::MAX), last: Start(u32::MAX) },
            ],
            start: Start(start),
            nonce: 77,
            incarnation,
            name: "stone-4".into(),
            address: address.into(),
            incomplete: 0,
        }
    }

    fn replay(members: &mut Members, record: &MemberRecord) {
        with_note(record, |note| members.replay(&note).expect("it makes sense"));
    }

    #[test]
    fn a_record_comes_back_as_it_was_and_only_moves_forward() {
        let records = [record(9, 0, "10.0.0.4:7400"), record(9, 1, "10.0.0.5:7400"), record(10, 0, "10.0.0.6:7400")];
        let newest = records[2].clone();
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut members = Members::default();
            order.into_iter().for_each(|at| replay(&mut members, &records[at]));
            assert_eq!(members.iter().collect::<Vec<_>>(), [&newest], "{order:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_passed_over_and_what_was_known_stays() {
        let known = record(9, 0, "10.0.0.4:7400");
        let mut members = Members::default();
        replay(&mut members, &known);
        with_note(&record(10, 0, "x"), |note| {
            let long = [b'a'; MEMBER_ADDRESS_BYTES_MAX + 1];
            let many = vec![0; ENDED_BYTES * (ENDED_ACTORS_MAX + 1)];
            let wrong = [
                (MemberNote { name: b"\xff\xfe", ..note }, "its name is no text"),
                (MemberNote { address: &long, ..note }, "its address has 262 bytes"),
                (MemberNote { ended: &many, ..note }, "it has 65 ended actors"),
            ];
            for (note, said) in wrong {
                let reason = members.replay(&note).expect_err("it makes no sense");
                assert!(reason.contains(said), "{reason}");
                members.replay_or_tell(&note);
            }
        });
        assert_eq!(members.iter().collect::<Vec<_>>(), [&known]);
    }
}
