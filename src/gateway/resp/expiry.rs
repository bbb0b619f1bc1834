//! How long keys live: the times of SET, and the commands that change and tell them.

use super::answer::Answer;
use super::ask::{error, get, work};
use super::framing::Words;
use super::gate::{Gate, wall_ms};
use super::queue::Work;
use super::refused::EXPIRE_CONDITION;
use super::session::syntax;
use super::strings::integer;
use crate::limits::TTL_MS_MAX;
use crate::message::{Expire, Quorum, Reply, Request};
use bytes::Bytes;
use std::rc::Rc;

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

/// How long a value that is to be written may live from now on (milliseconds; 0: for ever).
pub(super) async fn ttl_ms(gate: &Gate, key: &Bytes, expiry: Expiry) -> Result<u64, Answer> {
    match expiry {
        Expiry::Never => Ok(0),
        Expiry::In(ms) => Ok(ms),
        Expiry::At(at) => Ok(rest_ms(at)),
        Expiry::Keep => Ok(get(gate, key).await?.map_or(0, |found| rest_ms(found.expiry_ms))),
    }
}

/// How long it is until then (0: never; milliseconds). What is over already lives for a moment: it must not live for ever.
pub(super) fn rest_ms(expiry_ms: u64) -> u64 {
    if expiry_ms == 0 { 0 } else { expiry_ms.saturating_sub(wall_ms()).clamp(1, TTL_MS_MAX) }
}

/// `EXPIRE key seconds`.
pub(super) fn expire(gate: Rc<Gate>, words: Words) -> Work {
    set(gate, words, 1_000, true, "expire")
}

/// `PEXPIRE key milliseconds`.
pub(super) fn pexpire(gate: Rc<Gate>, words: Words) -> Work {
    set(gate, words, 1, true, "pexpire")
}

/// `EXPIREAT key seconds`.
pub(super) fn expireat(gate: Rc<Gate>, words: Words) -> Work {
    set(gate, words, 1_000, false, "expireat")
}

/// `PEXPIREAT key milliseconds`.
pub(super) fn pexpireat(gate: Rc<Gate>, words: Words) -> Work {
    set(gate, words, 1, false, "pexpireat")
}

fn set(gate: Rc<Gate>, words: Words, factor: i64, from_now: bool, command: &'static str) -> Work {
    work(async move {
        if let Some(option) = words.get(3) {
            let known = [&b"NX"[..], b"XX", b"GT", b"LT"].contains(&&option.to_ascii_uppercase()[..]);
            return Err(if known { Answer::error(EXPIRE_CONDITION) } else { syntax() });
        }
        let begin = if from_now { i64::try_from(wall_ms()).unwrap_or(i64::MAX) } else { 0 };
        let at =
            integer(&words[2])?.checked_mul(factor).and_then(|time| time.checked_add(begin)).ok_or_else(|| invalid(command))?;
        // What is over is over, however long: 0 would be never.
        let at = u64::try_from(at).unwrap_or(0).max(1);
        expire_at(&gate, &words[1], at).await.map(|was_there| Answer::Integer(was_there.into()))
    })
}

/// Sets when a key expires (milliseconds since 1970; 0: never). True if it holds something.
async fn expire_at(gate: &Gate, key: &Bytes, expiry_ms: u64) -> Result<bool, Answer> {
    let expire = Expire {
        key: key.clone(),
        expiry_ms,
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
    };
    match gate.ask(Request::Expire(expire)).await {
        Reply::Written(_) => Ok(true),
        Reply::Missing(_) => Ok(false),
        other => Err(error(other)),
    }
}

/// `PERSIST key`: 1 if it would have expired.
pub(super) fn persist(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let expires = get(&gate, &words[1]).await?.is_some_and(|found| found.expiry_ms != 0);
        Ok(Answer::Integer((expires && expire_at(&gate, &words[1], 0).await?).into()))
    })
}

/// `TTL key`.
pub(super) fn ttl(gate: Rc<Gate>, words: Words) -> Work {
    tell(gate, words, |expiry_ms| to_seconds(expiry_ms.saturating_sub(wall_ms())))
}

/// `PTTL key`.
pub(super) fn pttl(gate: Rc<Gate>, words: Words) -> Work {
    tell(gate, words, |expiry_ms| expiry_ms.saturating_sub(wall_ms()))
}

/// `EXPIRETIME key`.
pub(super) fn expiretime(gate: Rc<Gate>, words: Words) -> Work {
    tell(gate, words, to_seconds)
}

/// `PEXPIRETIME key`.
pub(super) fn pexpiretime(gate: Rc<Gate>, words: Words) -> Work {
    tell(gate, words, |expiry_ms| expiry_ms)
}

/// The nearest whole number of seconds.
fn to_seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1_000
}

/// -2: there is no such key; -1: it never expires.
fn tell(gate: Rc<Gate>, words: Words, shown: fn(u64) -> u64) -> Work {
    work(async move {
        Ok(Answer::Integer(match get(&gate, &words[1]).await?.map(|found| found.expiry_ms) {
            None => -2,
            Some(0) => -1,
            Some(expiry_ms) => i64::try_from(shown(expiry_ms)).unwrap_or(i64::MAX),
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_above_0_and_not_beyond_all_measure() {
        assert_eq!(Expiry::parse(b"EX", b"2", "set"), Ok(Expiry::In(2_000)));
        assert_eq!(Expiry::parse(b"PXAT", b"2", "set"), Ok(Expiry::At(2)));
        for (unit, time) in [(&b"EX"[..], "0"), (b"PX", "-1"), (b"EX", "9223372036854775807"), (b"EX", "3153600001"), (b"PX", "x")]
        {
            assert!(Expiry::parse(unit, time.as_bytes(), "set").is_err(), "{time}");
        }
    }

    #[test]
    fn what_is_over_lives_for_a_moment_and_what_never_ends_for_ever() {
        assert_eq!((rest_ms(0), rest_ms(1), rest_ms(u64::MAX)), (0, 1, TTL_MS_MAX));
        let rest = rest_ms(wall_ms() + 10_000);
        assert!(rest <= 10_000 && rest > 1, "{rest}");
    }
}
