//! How far a long command is: one line, written again and again, on a terminal only.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The line is written anew after this long.
const EVERY: Duration = Duration::from_millis(500);
/// Letters of the line.
const WIDTH: usize = 100;
/// Letters of the bar in it.
const BAR: usize = 24;

/// A line on standard error.
pub struct Progress {
    is_shown: bool,
    begin: Instant,
    shown: Mutex<Instant>,
}

impl Progress {
    /// Shown if that is wanted, and standard error is a terminal.
    pub fn new(is_wanted: bool) -> Progress {
        let now = Instant::now();
        Progress { is_shown: is_wanted && std::io::stderr().is_terminal(), begin: now, shown: Mutex::new(now) }
    }

    /// How long it has been going on.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// So much of it is done, from 0 to 1. `words` are asked for only when the line is written.
    pub fn show(&self, share: f64, words: impl FnOnce() -> String) {
        if !self.is_shown {
            return;
        }
        let mut shown = self.shown.lock().expect("nobody panics while he prints");
        if shown.elapsed() >= EVERY {
            *shown = Instant::now();
            eprint!("\r{:WIDTH$}\r{}", "", line(share, &words()));
            let _ = std::io::stderr().flush();
        }
    }

    /// A line that stays, wherever standard error goes: long before the end somebody may want to know.
    pub fn tell(&self, words: &str) {
        let wiped = if self.is_shown { format!("\r{:WIDTH$}\r", "") } else { String::new() };
        eprintln!("{wiped}{words}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            eprint!("\r{:WIDTH$}\r", "");
        }
    }
}

fn line(share: f64, words: &str) -> String {
    let full = ((share * BAR as f64) as usize).min(BAR);
    let words: String = words.chars().take(WIDTH - BAR - 9).collect();
    format!("[{}{}] {:>3.0} % {words}", "#".repeat(full), ".".repeat(BAR - full), share.min(1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_is_wider_than_what_wipes_it_out() {
        for share in [0.0, 0.5, 1.0, 7.0] {
            assert!(line(share, &"x".repeat(500)).chars().count() <= WIDTH);
        }
    }
}
