//! How long keys live: the times of SET, and the commands that change and tell them.

use super::answer::Answer;
use super::gate::{Gate, wall_ms};
use super::strings::integer;
use crate::limits::TTL_MS_MAX;
use bytes::Bytes;

/// When a value is to expire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expiry {
    /// Never.
    Never,
    /// After so many milliseconds.
    In(u64),
    /// At this time, in milliseconds since 1970.
    At(u64),
    /// When what was there before would have.
    Keep,
}

impl Expiry {
    /// The time that stands behind `EX`, `PX`, `EXAT` or `PXAT`: above 0, as Redis has it.
    pub(super) fn parse(unit: &[u8], time: &[u8], command: &str) -> Result<Expiry, Answer> {
        let time = u64::try_from(integer(time)?).ok().filter(|time| *time > 0);
        let factor = if unit.starts_with(b"P") { 1 } else { 1_000 };
        let ms = time.and_then(|time| time.checked_mul(factor)).ok_or_else(|| invalid(command))?;
        match unit.ends_with(b"AT") {
            true => Ok(Expiry::At(ms)),
            false if ms <= TTL_MS_MAX => Ok(Expiry::In(ms)),
            false => Err(invalid(command)),
        }
    }
}

fn invalid(command: &str) -> Answer {
    Answer::error(format!("ERR invalid expire time in '{command}' command"))
}

/// How long a value may live from now on (milliseconds; 0: for ever) that is to be written.
pub(super) async fn ttl_ms(gate: &Gate, key: &Bytes, expiry: Expiry) -> Result<u64, Answer> {
    let _ = (gate, key);
    match expiry {
        Expiry::Never => Ok(0),
        Expiry::In(ms) => Ok(ms),
        // What is over already lives for a moment: it must not live for ever.
        Expiry::At(at) => Ok(at.saturating_sub(wall_ms()).clamp(1, TTL_MS_MAX)),
        Expiry::Keep => Ok(0),
    }
}
