//! How a client behaves.

use crate::limits;
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// How a client behaves.
#[derive(Clone)]
pub struct Options {
    /// The shared secret of the cluster, if its peers ask for one. It is proved in the hello and never sent.
    pub secret: Option<Bytes>,
    /// How long a request may take whose own deadline is 0.
    pub deadline: Duration,
    /// How long a connection may take, hello included.
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            secret: None,
            deadline: Duration::from_millis(limits::REQUEST_DEADLINE_MS),
            connect_timeout: Duration::from_millis(limits::CONNECT_TIMEOUT_MS),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.as_ref().map(|_| "***");
        f.debug_struct("Options")
            .field("secret", &secret)
            .field("deadline", &self.deadline)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}
