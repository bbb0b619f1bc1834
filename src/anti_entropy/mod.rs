//! Comparing tries with other owners, exchanging what differs, and closing the gaps of starts that are over.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]

mod closing;

pub use closing::{Closing, Gap};
