//! Comparing tries with other owners, exchanging what differs, and closing the gaps of starts that are over.
//!
//! A comparison is a *pull*: one owner, a, learns from another, b, about one partition. Both directions are two pulls that know
//! nothing of each other.
//!
//! | file | what is in it |
//! |---|---|
//! | `pull` | a's side of one pull: what is asked next, and what an answer means |
//! | `walk` | where two tries differ: b tells sums or keys, a holds them against its own |
//! | `serve` | b's side: snapshots of contexts, and answers that wait for the disk |
//! | `rounds` | when to pull what from whom, and what came of it |
//! | `closing` | the gaps of starts that are over: who has promised, what is pulled |
//! | `strangers` | actors of whom nobody tells: who has said that they are none of its own |

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod closing;

pub use closing::{Closing, Gap};
mod pull;
mod rounds;
mod serve;
mod strangers;
mod walk;

pub use pull::{Figures, Next, Pull, Taking};
pub use rounds::{Ended, Pairing, Rounds};
pub use serve::Serving;
pub use strangers::Strangers;
