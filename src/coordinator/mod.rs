//! Quorum machines: one for writes, one for reads, one for scans. Whoever a client asks runs them; everybody else is a replica.
//!
//! A machine is told what arrived and answers with messages to send and, in the end, an outcome. It never sees storage: the
//! coordinator's own replica is just a recipient named like itself (Dynamo, SOSP 2007, §4.5 and §5).

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod answer;
mod draft;
mod folding;
mod read;
mod retry;
mod scan;
mod stand_ins;
mod tally;
mod why;
mod write;

pub use answer::{found_or_missing, sealed_receipt};
pub use draft::{Draft, DraftError, Intent, View, left_alone};
pub use folding::Folding;
pub use read::{Merged, Pace, Question, Reach, Read, ReadFailure, Verdict, repair};
pub use retry::{Acknowledged, FirstTry, Remembered, RetryMemory};
pub use scan::{Scan, ScanStep};
pub use stand_ins::Walk;
pub use tally::{Tally, quorum_size};
pub use why::{Finding, Inquiry};
pub use write::{Demand, Plan, Write, Written};

use crate::message::Message;
use crate::ring::MemberId;

/// What a machine wants sent.
#[derive(Debug, Default)]
pub struct Effects {
    /// Recipients and messages, in order. A recipient that cannot be reached is skipped: the machine asks again in time.
    pub sends: Vec<(MemberId, Message)>,
}

impl Effects {
    /// Sends a message.
    pub fn send(&mut self, to: MemberId, message: Message) {
        self.sends.push((to, message));
    }
}

/// How far a machine has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It waits for answers.
    Pending,
    /// It begins another round, and wants to be sent under a new operation id, so that late answers find nobody.
    Again,
    /// It is done.
    Done(T),
}
