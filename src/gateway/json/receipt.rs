//! What became of a write.

use super::{KeyShown, sync_text};
use crate::message::{Ack, Receipt, RingTable, StoodIn};
use crate::ring::MemberId;
use crate::vclock::Sealed;
use serde_json::json;
use std::collections::BTreeMap;

/// What people call the members.
#[derive(Clone, Default, Debug)]
pub struct Names(BTreeMap<MemberId, String>);

impl Names {
    /// Those of a ring.
    pub fn of(table: &RingTable) -> Names {
        Names(table.members.iter().map(|founder| (founder.member, founder.name.clone())).collect())
    }

    /// A member's name; the beginning of its id if it has none here.
    pub fn get(&self, member: MemberId) -> String {
        self.0.get(&member).cloned().unwrap_or_else(|| format!("{member:?}"))
    }
}

/// The receipt of a write of this key.
pub fn receipt_json(key: &[u8], receipt: &Receipt, names: &Names) -> serde_json::Value {
    let ack = |ack: &Ack| json!({ "name": names.get(ack.member), "member": ack.member.to_string(), "sync": sync_text(ack.sync) });
    let stood_in = |stood_in: &StoodIn| {
        let owed: Vec<String> = stood_in.owed.iter().map(|owner| names.get(*owner)).collect();
        json!({ "name": names.get(stood_in.member), "for": owed })
    };
    json!({
        "key": KeyShown::new(key),
        "acks": receipt.acks.iter().map(ack).collect::<Vec<_>>(),
        "stood_in": receipt.stood_in.iter().map(stood_in).collect::<Vec<_>>(),
        "coordinator": names.get(receipt.coordinator.member),
        "written": receipt.dots.len(),
        "replaced": receipt.covered.len(),
        "context": Sealed::to_text(&receipt.context),
    })
}
