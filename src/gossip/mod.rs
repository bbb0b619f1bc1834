//! Who is alive: SWIM probing (Das, Gupta, Motivala, DSN 2002) with Lifeguard's local-health awareness (Dadgar, Phillips, Currey, 2017),
//! members' records, and how both spread.
//!
//! [`Swim`] is the machine: it is told the time, links that come and go, and messages, and answers with messages and [`Event`]s. Each
//! period it probes one member, in a random order in which everybody has a turn; if that gives no answer, others are asked to probe it; if that
//! gives none either, the member is suspected, and everybody hears of it. A suspected member says that it is alive by a higher incarnation; one that
//! does not say so in time is dead, which takes nothing from it: it stays a member, and is alive again as soon as it speaks.
//!
//! What spreads is made to be merged in any order ([`View`]): a member's record is written by that member alone and only moves forward, and of
//! two things that are said of one member the newer wins, of equally new ones the worse. News ride on probes and their answers, and for a
//! moment on messages of their own; whoever missed them is told by a digest of the view on each probe, and asks.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod health;
mod news;
mod offsets;
mod pace;
mod probing;
mod round;
mod suspicion;
mod swim;
#[cfg(test)]
mod tests;
mod view;

pub use pace::Pace;
pub use swim::{Event, Moment, Outcome, Swim};
pub use view::{Change, MemberState, View};
