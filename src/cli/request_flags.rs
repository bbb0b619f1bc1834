//! The flags that requests share: how many replicas, which context, how long.

use super::Exit;
use crate::limits::{REPLICAS_MAX, REQUEST_DEADLINE_MS_MAX, TTL_MS_MAX};
use crate::message::Quorum;
use crate::vclock::Sealed;
use bytes::Bytes;

/// The flags of a read.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct ReadFlags {
    /// How many replicas must answer: one, quorum, all, or a number
    #[arg(short, long, value_name = "R", default_value = "quorum", value_parser = parse_quorum)]
    pub(super) r: Quorum,
    /// The answer must have seen what this context has seen (from --print-context or --json)
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Print the context of the answer, for a later write
    #[arg(long)]
    pub(super) print_context: bool,
    /// Where versions are in conflict, show the newest
    #[arg(long)]
    pub(super) lww: bool,
    /// Give up after this long
    #[arg(long, value_name = "MS", value_parser = parse_deadline)]
    deadline: Option<u32>,
}

/// The flags of a write.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct WriteFlags {
    /// How many replicas must have stored it: one, quorum, all, or a number
    #[arg(short, long, value_name = "W", default_value = "quorum", value_parser = parse_quorum)]
    pub(super) w: Quorum,
    /// The write replaces what the answer with this context showed, and nothing else (from --print-context or --json)
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Print the context of the key after the write
    #[arg(long)]
    pub(super) print_context: bool,
    /// Only owners of the key count: nobody stands in for one that is down
    #[arg(long)]
    pub(super) strict: bool,
    /// Say who has stored it, and how
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Give up after this long
    #[arg(long, value_name = "MS", value_parser = parse_deadline)]
    deadline: Option<u32>,
}

impl ReadFlags {
    /// The context, empty for none. Exit code 2 if the text is none.
    pub(super) fn context(&self) -> Result<Bytes, Exit> {
        read_context(self.context.as_deref())
    }

    /// Milliseconds; 0 for the default.
    pub(super) fn deadline_ms(&self) -> u32 {
        self.deadline.unwrap_or(0)
    }
}

impl WriteFlags {
    /// The context, empty for none. Exit code 2 if the text is none.
    pub(super) fn context(&self) -> Result<Bytes, Exit> {
        read_context(self.context.as_deref())
    }

    /// Milliseconds; 0 for the default.
    pub(super) fn deadline_ms(&self) -> u32 {
        self.deadline.unwrap_or(0)
    }
}

fn read_context(text: Option<&str>) -> Result<Bytes, Exit> {
    let Some(text) = text else { return Ok(Bytes::new()) };
    Sealed::from_text(text).map_err(|error| Exit::new(Exit::USAGE, format!("--context: {error}")))
}

/// Reads R or W.
pub(super) fn parse_quorum(text: &str) -> Result<Quorum, String> {
    match text {
        "one" => Ok(Quorum::Exactly(1)),
        "quorum" => Ok(Quorum::Default),
        "all" => Ok(Quorum::All),
        number => match number.parse() {
            Ok(count @ 1..=REPLICAS_MAX) => Ok(Quorum::Exactly(count)),
            _ => Err(format!("write one, quorum (a majority of the replicas), all, or a number from 1 to {REPLICAS_MAX}")),
        },
    }
}

/// Reads how long a value lives, as milliseconds.
pub(super) fn parse_ttl(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
    let ms = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    match ms {
        Some(ms @ 1..=TTL_MS_MAX) => Ok(ms),
        _ => Err("write a number and its unit, ms, s, m, h or d, up to 36500d: 30s".to_string()),
    }
}

fn parse_deadline(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(ms @ 1..=REQUEST_DEADLINE_MS_MAX) => Ok(ms as u32),
        _ => Err(format!("a deadline is a number of milliseconds from 1 to {REQUEST_DEADLINE_MS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_have_names_and_numbers() {
        assert_eq!(parse_quorum("one"), Ok(Quorum::Exactly(1)));
        assert_eq!(parse_quorum("quorum"), Ok(Quorum::Default));
        assert_eq!(parse_quorum("all"), Ok(Quorum::All));
        assert_eq!(parse_quorum("2"), Ok(Quorum::Exactly(2)));
        for wrong in ["0", "8", "255", "-1", "", "two"] {
            assert!(parse_quorum(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn how_long_a_value_lives_has_a_unit() {
        assert_eq!(parse_ttl("500ms"), Ok(500));
        assert_eq!(parse_ttl("30s"), Ok(30_000));
        assert_eq!(parse_ttl("15m"), Ok(900_000));
        assert_eq!(parse_ttl("12h"), Ok(43_200_000));
        assert_eq!(parse_ttl("36500d"), Ok(TTL_MS_MAX));
        for wrong in ["", "30", "0s", "s", "-1s", "1.5s", "36501d", "99999999999999999999d", "5 m", "5w"] {
            assert!(parse_ttl(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_text_that_is_no_context_is_a_mistake_of_the_command_line() {
        assert_eq!(read_context(None).unwrap(), Bytes::new());
        assert_eq!(read_context(Some("AAEC")).unwrap(), Bytes::from_static(&[0, 1, 2]));
        assert_eq!(read_context(Some("not a context")).unwrap_err().code, Exit::USAGE);
    }
}
