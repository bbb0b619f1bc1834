//! Seeds that once found something: `sim/regressions.txt`, always run.

use crate::batch::replay_line;
use crate::plan::Plant;
use crate::run::Case;
use crate::schedule::{Listed, Selection};

/// The file.
const LINES: &str = include_str!("../regressions.txt");

/// One line of it.
#[derive(Clone, Debug)]
pub struct Regression {
    /// What is run.
    pub case: Case,
    /// What it once found.
    pub words: String,
}

/// All of them.
///
/// # Panics
/// If a line is none: the file is part of the program.
pub fn all() -> Vec<Regression> {
    let lines = LINES.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| read(line).unwrap_or_else(|error| panic!("regressions.txt: {error}: {line}"))).collect()
}

/// `SEED [--only LIST] [--without LIST] # words`, as [`line()`] writes it.
fn read(line: &str) -> Result<Regression, String> {
    let (case, words) = line.split_once('#').ok_or("words behind a # are missing")?;
    let mut parts = case.split_whitespace();
    let seed = parts.next().and_then(|seed| seed.parse().ok()).ok_or("it begins with no seed")?;
    let mut selection = Selection::default();
    while let Some(option) = parts.next() {
        let list = parts.next().ok_or("an option without its list")?.parse::<Listed>()?.0;
        match option {
            "--only" => selection.only = Some(list),
            "--without" => selection.without = list,
            _ => return Err(format!("{option} is no option here")),
        }
    }
    Ok(Regression { case: Case { selection, ..Case::of(seed, Plant::None) }, words: words.trim().to_string() })
}

/// The line that keeps a case for ever.
pub fn line(case: &Case, words: &str) -> String {
    format!("{}{} # {}", case.seed, case.selection.options(), words.replace('\n', " "))
}

impl Regression {
    /// What it says when it fails again.
    pub fn objection(&self, violation: &str) -> String {
        format!("{violation}; replay it with: {} (it once found: {})", replay_line(&self.case), self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let text = "12 --only crash:3,loss:1-2 --without client:1 # a write was lost";
        let regression = read(text).expect("it is a line");
        assert_eq!(line(&regression.case, &regression.words), text);
        for wrong in ["12", "x # y", "12 --only # y", "12 --loud none # y"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_line_of_the_file_is_one() {
        assert!(!all().is_empty());
    }
}
