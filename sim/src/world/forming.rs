//! Forming: change 0 is handed to every founder again and again, until each has acknowledged it.
//!
//! A founder that has acknowledged it has it for ever; one that lost power before has promised nothing, and is handed it once more,
//! in the middle of everything else if need be.

use super::{Event, World};
use crate::dice::Dice;
use crate::node::Node;
use crate::oracle::{Violation, placement};
use henge::message::{Form, Reply, Request};
use henge::peer::Origin;
use henge::ring::{Change, Placement};

/// Forming is asked for under these client numbers: this one and those that follow it, one for each peer.
const FORMER: u64 = 1 << 32;
/// How long one waits for an acknowledgement (microseconds).
const PATIENCE: u64 = 200_000;

impl World {
    /// Begins to form the cluster.
    pub(crate) fn begin_forming(&mut self) {
        let change = self.founding();
        self.placement = Placement::from_changes(std::slice::from_ref(&change)).ok();
        let placement = self.placement.as_ref().expect("the plan is a cluster that can be");
        self.violations.extend(placement::judge(placement));
        self.change = Some(change);
        for node in 0..self.nodes.len() {
            self.after(node as u64 * 100, Event::Form { node });
        }
    }

    /// How many peers have acknowledged change 0.
    pub(crate) fn formed(&self) -> usize {
        self.nodes.iter().filter(|node| node.has_formed).count()
    }

    pub(super) fn on_form(&mut self, n: usize) {
        if self.nodes[n].has_formed {
            return;
        }
        if let Some(change) = self.change.clone()
            && self.nodes[n].peer.is_some()
        {
            let origin = Origin { client: FORMER + n as u64, request: self.nodes[n].incarnation };
            self.send_request(100, n, origin, &Request::Form(Form { change }));
        }
        self.after(PATIENCE, Event::Form { node: n });
    }

    /// True if an answer was one to a peer's forming.
    pub(crate) fn is_answer_to_forming(&mut self, origin: Origin, reply: &Reply) -> bool {
        let Some(n) = origin.client.checked_sub(FORMER).filter(|n| *n < self.nodes.len() as u64) else { return false };
        match reply {
            Reply::Formed => self.nodes[n as usize].has_formed = true,
            other => {
                let what = format!("{} is handed change 0 and answers {other:?}", self.nodes[n as usize].name);
                self.violations.push(Violation::new("i", what));
            }
        }
        true
    }

    /// Change 0, from the peers' own descriptions.
    fn founding(&self) -> Change {
        let founder = |node: &Node| henge::ring::Founder {
            member: node.member,
            name: node.name.clone(),
            address: node.address(),
            zone: node.zone().to_string(),
            weight: 1,
        };
        let mut dice = Dice::of(self.plan.seed, 3);
        Change::Formed {
            cluster: henge::ring::ClusterId((u128::from(dice.number()) << 64) | u128::from(dice.number())),
            secret: (u128::from(dice.number()) << 64 | u128::from(dice.number())).to_le_bytes(),
            partitions: self.plan.partitions,
            replicas: self.plan.replicas,
            placement_rule: 1,
            founders: self.nodes.iter().map(founder).collect(),
        }
    }
}
