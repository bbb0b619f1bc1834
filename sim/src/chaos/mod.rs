//! The chaos harness: real `henge` processes and the real client, judged by the simulator's oracles.
//!
//! | room | what is in it |
//! |---|---|
//! | `proxy` | a TCP proxy before each peer: cuts and delays, way by way, at run time |
//! | `namespaces` | a network of their own for the peers, whose router loses what is cut |
//! | `program`, `process`, `folder` | what is started, and how; what runs; where it keeps what it has |
//! | `cluster` | the processes together: started, killed, paused, on ports of their own |
//! | `witness` | a client that writes down what it asked and was told, as the history that the oracles know |
//! | `verdict` | what must hold after healing, of all that was written down |
//! | `keeper` | a process that keeps a namespace open |
//! | `disks`, `machine` | file systems that lose power and run full; what this machine allows |
//! | `storm` | the scenario of many faults: clients at work, faults, healing, judgement, round after round |
//! | `halves` | the scenario: a cluster cut in two, both parts at work, healed |
//! | `fates` | its kinds of cuts, and what happens to each key |

pub mod cluster;
pub mod counter;
pub mod disks;
pub mod fates;
mod folder;
pub mod halves;
mod keeper;
pub mod machine;
pub mod namespaces;
#[cfg(test)]
mod namespaces_tests;
mod process;
pub mod program;
pub mod proxy;
#[cfg(test)]
mod proxy_tests;
pub mod storm;
pub mod verdict;
pub mod witness;

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long anything may take that has to come. It is there for what never comes: what does, comes far sooner on any machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until there is something, and returns it.
///
/// # Errors
/// There is nothing when the time is over: `what` says what was missing.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(format!("after {} s still missing: {what}", PATIENCE.as_secs()));
        }
        sleep(LOOK_EVERY).await;
    }
}
