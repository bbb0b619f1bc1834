//! `why`: everybody who can be reached is asked what he holds of a key.

use super::operation::{Machine, Operation, ReplyTo};
use super::requests::{Refusal, deadline};
use super::{Now, Output, Peer};
use crate::coordinator::{Inquiry, Outcome, Question};
use crate::limits::KEY_BYTES_MAX;
use crate::message::{Explained, FailureKind, OperationId, Position, Replica, Reply, Why};
use crate::ring::{Founder, MemberId, group, group_hash};
use crate::vclock::{Actor, Path};
use bytes::Bytes;

impl Peer {
    pub(super) fn start_why(&mut self, now: Now, to: ReplyTo, why: &Why, outbox: &mut Vec<Output>) -> Result<(), Refusal> {
        let Some(placement) = &self.placement else { return Err(self.not_formed()) };
        let bad = |message: String| Refusal(FailureKind::BadRequest, message, 0);
        if why.key.is_empty() || why.key.len() > KEY_BYTES_MAX {
            return Err(bad(format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {}", why.key.len())));
        }
        let path = Path::parse(&why.path).map_err(|error| bad(error.to_string()))?;
        let partition = placement.partition(&why.key);
        let member = |index: &crate::ring::MemberIndex| placement.member(*index).member;
        let owners: Vec<MemberId> = placement.owners(partition).iter().map(member).collect();
        let others = placement.stand_ins(partition).iter().map(member).filter(|member| self.is_live(*member));
        let count = owners.len();
        let members: Vec<MemberId> = owners.iter().copied().chain(others).collect();
        let question = Question { path, wall_ms: now.wall_ms };
        let inquiry = Inquiry::new((why.key.clone(), question), (members, count), |member| self.is_live(member));
        let id = self.next_operation_id();
        inquiry.send(id, &mut self.effects);
        let nobody = inquiry.is_done();
        let machine = Machine::Why { inquiry, path: why.path.clone() };
        self.begin(now, id, Operation { to, deadline_ms: deadline(now, why.deadline_ms), machine, retry: None });
        self.flush_effects(outbox);
        if nobody {
            self.finish_why(id, outbox);
        }
        Ok(())
    }

    /// A member that was asked cannot be reached any more.
    pub(super) fn explain_without(&mut self, id: OperationId, member: MemberId, outbox: &mut Vec<Output>) {
        let Some(Machine::Why { inquiry, .. }) = self.operations.get_mut(&id).map(|operation| &mut operation.machine) else {
            return;
        };
        if inquiry.give_up(member) == Outcome::Done(()) {
            self.finish_why(id, outbox);
        }
    }

    /// Answers with what is known: all that can be reached have answered, or the time is over.
    pub(super) fn finish_why(&mut self, id: OperationId, outbox: &mut Vec<Output>) {
        let Some(operation) = self.operations.remove(&id) else { return };
        let Machine::Why { inquiry, path } = operation.machine else { return };
        let finding = inquiry.finding(|actor| self.member_behind(actor));
        let (owners, others) = inquiry.members();
        let members = owners.iter().map(|owner| (owner, true)).chain(others.iter().map(|other| (other, false)));
        let replica = |((member, is_owner), held): ((&MemberId, bool), _)| {
            let founder = self.founders().iter().find(|founder| founder.member == *member);
            let text = |of: fn(&Founder) -> &String| founder.map(of).cloned().unwrap_or_default();
            Replica {
                member: *member,
                name: text(|founder| &founder.name),
                address: text(|founder| &founder.address),
                zone: text(|founder| &founder.zone),
                is_owner,
                is_live: self.is_live(*member),
                held,
            }
        };
        let key = inquiry.key();
        let explained = Explained {
            key: key.clone(),
            path,
            group: Bytes::copy_from_slice(group(key)),
            hash: group_hash(key),
            partition: self.partition_of(key).0,
            partitions: self.owners.len() as u16,
            replicas: members.zip(finding.held).map(replica).collect(),
            versions: finding.versions,
            more: finding.more,
            quorums: finding.quorums,
        };
        self.reply(operation.to, Reply::Explained(Box::new(explained)), Position(0), outbox);
    }

    /// The member whose store writes under an actor, if it is known.
    fn member_behind(&self, actor: Actor) -> Option<MemberId> {
        if actor == self.replica.store().actor() {
            return Some(self.me);
        }
        self.links.iter().find(|(_, linked)| linked.actor == actor).map(|(member, _)| *member)
    }
}
