//! How many connections the system's bound on file handles leaves room for.

use crate::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections of all kinds at henge's own door, those without a hello included: so many that clients at their bound leave room for every peer.
const OWN: u64 = (limits::CLIENT_CONNECTIONS_MAX + limits::MEMBERS_MAX) as u64;

/// Connections that are taken however few handles there are: else nobody could even ask.
const LEAST: u64 = 64;

/// How many connections may be open at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Connections {
    /// At henge's own door.
    pub own: usize,
    /// At each of the others.
    pub each_gateway: usize,
}

/// Raises the soft bound as far as needed and allowed, and shares what it leaves. The log must always find a handle for its next
/// segment: a crowd of connections must not stop the peer.
pub(super) fn connections(gateways: usize) -> Connections {
    let wanted = wanted(gateways as u64) + limits::HANDLES_RESERVED;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let mut handles = current.unwrap_or(wanted);
    if handles < raised && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
        handles = raised;
    }
    let shared = share(handles, gateways as u64);
    if handles < wanted {
        let (own, each_gateway) = (shared.own, shared.each_gateway);
        tracing::warn!(handles, wanted, own, each_gateway, "few file handles are allowed (ulimit -n); fewer connections are taken");
    }
    shared
}

fn wanted(gateways: u64) -> u64 {
    OWN + gateways * limits::GATEWAY_CONNECTIONS_MAX as u64
}

/// What is left of so many handles, in the proportion in which it is wanted.
fn share(handles: u64, gateways: u64) -> Connections {
    let wanted = wanted(gateways);
    let left = handles.saturating_sub(limits::HANDLES_RESERVED).min(wanted);
    let part = |most: u64| (most * left / wanted).max(LEAST) as usize;
    Connections { own: part(OWN), each_gateway: part(limits::GATEWAY_CONNECTIONS_MAX as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_handles_leave_every_door_its_bound_and_few_leave_it_a_part() {
        let plenty = share(1 << 20, 2);
        assert_eq!(plenty, Connections { own: OWN as usize, each_gateway: limits::GATEWAY_CONNECTIONS_MAX });
        let half = share(limits::HANDLES_RESERVED + wanted(2) / 2, 2);
        assert_eq!(half.own, (OWN / 2) as usize);
        assert_eq!(half.each_gateway, limits::GATEWAY_CONNECTIONS_MAX / 2);
        assert!((half.own + 2 * half.each_gateway) as u64 <= wanted(2) / 2);
        assert_eq!(share(0, 2), Connections { own: LEAST as usize, each_gateway: LEAST as usize });
    }
}
