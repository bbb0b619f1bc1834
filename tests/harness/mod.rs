//! Real peers for the tests of this folder: the program itself, on loopback ports, in folders under `target/tmp`.
//!
//! Nothing here hopes: whatever is waited for is looked at again and again until it is so, or until [`PATIENCE`] is over, which is
//! far more than it takes on a loaded machine. Processes end with the value that stands for them, also when a test panics; and
//! peers stop by themselves when the test's process is gone.
#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

pub mod folder;
pub mod peer;
pub mod process;
pub mod values;

pub use folder::{Folder, free_base_port, free_ports};
pub use peer::{Cluster, Peer};
pub use process::{Process, henge};
pub use values::{bytes, conflict, get, json, put, read, read_all, value, write};

use henge::client::Client;
use henge::message::Failure;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long anything may take. Nothing does; a loaded machine gets this much.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is something, and returns it.
///
/// # Panics
/// If there is nothing when the time is over: `what` says what was missing.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "after {} s still missing: {what}", PATIENCE.as_secs());
        sleep(LOOK_EVERY).await;
    }
}

/// A client of these peers, which have to be there.
pub async fn connect(addresses: &[String]) -> Client {
    Client::connect(addresses, henge::client::Options::default()).await.expect("a peer answers")
}

/// The failure that had to come.
#[track_caller]
pub fn failed<T: std::fmt::Debug>(result: Result<T, Failure>) -> Failure {
    result.expect_err("this had to fail")
}

/// Asserts that a text for people says all of this.
#[track_caller]
pub fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not said in {text:?}");
    }
}
