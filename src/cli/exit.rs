//! How a command ends.

use super::r#gen::GenError;
use crate::client::ClientError;
use crate::message::{Failure, FailureKind};

/// How a command ends that is not simply done: a code for scripts, and a message for people.
///
/// Codes: 0 done, 1 not found, 2 usage, 3 unavailable, 4 refused, 5 siblings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    /// The exit code.
    pub code: u8,
    /// What happened, to what, what to do next; printed on stderr.
    pub message: Option<String>,
}

impl Exit {
    /// The key, or the path, is not there.
    pub const NOT_FOUND: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// The peers cannot be reached, or cannot do it now, or it is not known whether they did.
    pub const UNAVAILABLE: u8 = 3;
    /// It was understood, and refused.
    pub const REFUSED: u8 = 4;
    /// There are siblings, and they have been printed.
    pub const SIBLINGS: u8 = 5;

    /// Ends with a message.
    pub fn new(code: u8, message: impl Into<String>) -> Exit {
        Exit { code, message: Some(message.into()) }
    }

    /// Ends without a word more.
    pub fn silent(code: u8) -> Exit {
        Exit { code, message: None }
    }
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Exit {
        use FailureKind::*;
        let code = match failure.kind {
            Unavailable | Unknown | Overloaded | NotFormed | Storage => Exit::UNAVAILABLE,
            BadRequest | TooLarge | BadContext | TooManySiblings => Exit::REFUSED,
        };
        Exit::new(code, failure.message)
    }
}

impl From<ClientError> for Exit {
    fn from(error: ClientError) -> Exit {
        let code = match &error {
            ClientError::NoAddress => Exit::USAGE,
            ClientError::Unreachable { .. } | ClientError::Lost { .. } => Exit::UNAVAILABLE,
            ClientError::Refused { .. } | ClientError::Protocol { .. } => Exit::REFUSED,
        };
        Exit::new(code, error.to_string())
    }
}

impl From<GenError> for Exit {
    fn from(error: GenError) -> Exit {
        let code = match &error {
            GenError::KeyFile { .. } | GenError::Keys { .. } => Exit::USAGE,
            GenError::Output { .. } | GenError::Seed(_) => Exit::REFUSED,
        };
        Exit::new(code, error.to_string())
    }
}
