//! Membership changes as bodies: a number for the kind of change, not its name.

use super::positional::Sixteen;
use crate::ring::{Change, ClusterId, Founder};
use serde::{Deserialize, Serialize};

/// A change: its number, then what it says.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "NumberedChange", into = "NumberedChange")]
pub(super) struct ChangeBody(pub(super) Change);

impl Clone for ChangeBody {
    fn clone(&self) -> ChangeBody {
        ChangeBody(self.0.clone())
    }
}

#[derive(Serialize, Deserialize)]
struct NumberedChange {
    number: u8,
    formed: FormedBody,
}

#[derive(Serialize, Deserialize)]
struct FormedBody {
    cluster: ClusterId,
    secret: Sixteen,
    partitions: u16,
    replicas: u8,
    placement_rule: u16,
    founders: Vec<Founder>,
}

/// The number of `Change::Formed`.
const FORMED: u8 = 1;

impl From<ChangeBody> for NumberedChange {
    fn from(body: ChangeBody) -> NumberedChange {
        let Change::Formed { cluster, secret, partitions, replicas, placement_rule, founders } = body.0;
        let formed = FormedBody { cluster, secret: Sixteen(secret), partitions, replicas, placement_rule, founders };
        NumberedChange { number: FORMED, formed }
    }
}

impl TryFrom<NumberedChange> for ChangeBody {
    type Error = String;

    fn try_from(body: NumberedChange) -> Result<ChangeBody, String> {
        if body.number != FORMED {
            return Err(format!("no membership change has the number {}", body.number));
        }
        let FormedBody { cluster, secret: Sixteen(secret), partitions, replicas, placement_rule, founders } = body.formed;
        Ok(ChangeBody(Change::Formed { cluster, secret, partitions, replicas, placement_rule, founders }))
    }
}
