//! Answers as JSON: the shapes that `--json` prints and that the HTTP door serves.

mod receipt;
mod ring;
mod status;
mod value;
mod why;

pub use receipt::{Names, receipt_json};
pub use ring::{founder_json, member_lines, ring_json, shares};
pub use status::{state_text, status_json, sync_text};
pub use value::{ConflictShown, KeyShown, ValueShown};
pub use why::{dot_text, kind_text, name_text, why_json};
