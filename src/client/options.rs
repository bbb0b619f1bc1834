//! How a client behaves.

use crate::limits;
use crate::wire::Secret;
use std::time::Duration;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The shared secret of the cluster, if its peers ask for one. It is proved in the hello and never sent.
    pub secret: Option<Secret>,
    /// How long a request may take whose own deadline is 0.
    pub deadline: Duration,
    /// How long a connection may take, hello included.
    pub connect_timeout: Duration,
    /// True: a read whose coordinator is late is asked of a second owner as well, and owners that are stuck are left alone for a moment.
    pub hedges: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            secret: None,
            deadline: Duration::from_millis(limits::REQUEST_DEADLINE_MS),
            connect_timeout: Duration::from_millis(limits::CONNECT_TIMEOUT_MS),
            hedges: true,
        }
    }
}
