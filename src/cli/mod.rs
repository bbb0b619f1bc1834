//! The command line: one file per command.

pub mod r#gen;
pub mod load_lines;
