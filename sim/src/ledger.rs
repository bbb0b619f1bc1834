//! The ledger: one line for each long run, so that what was tried, and when, can be looked up.

use crate::batch::Summary;
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::process::Command;

/// Where it stands, from the folder of the project.
pub const LEDGER: &str = "docs/ledger.md";

/// The line of a run: a row of the ledger's table.
pub fn line(seeds: &Range<u64>, summary: &Summary) -> String {
    let faults: Vec<String> = summary.stats.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    let stats = &summary.stats;
    format!(
        "| {} | {}..{} | {} | {} | {} | {} | {} | {} |",
        commit().unwrap_or_else(|| "unknown".to_string()),
        seeds.start,
        seeds.end,
        summary.discarded,
        stats.asked + stats.asked_healed,
        stats.acked,
        summary.reads,
        faults.join(", "),
        summary.failures.len(),
    )
}

/// The commit that is checked out, with its day; with a mark if files have been changed since.
fn commit() -> Option<String> {
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let commit = ask(&["log", "-1", "--format=%h of %cs"])?;
    let changed = ask(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{commit}, changed") } else { commit })
}

/// Appends a line to the ledger.
///
/// # Errors
/// The file is not there, or cannot be written: the command is not run in the project's folder.
pub fn append(line: &str) -> std::io::Result<()> {
    writeln!(OpenOptions::new().append(true).open(LEDGER)?, "{line}")
}
