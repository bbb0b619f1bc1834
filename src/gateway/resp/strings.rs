//! Strings: GET, SET and their kin.

use super::answer::Answer;
use super::ask::{each, error, get_text, work};
use super::expiry::{self, Expiry};
use super::framing::Words;
use super::gate::Gate;
use super::queue::Work;
use super::refused;
use super::session::{Outcome, syntax};
use crate::limits;
use crate::message::{Body, Put, Quorum, Reply, Request};
use bytes::Bytes;
use std::rc::Rc;

/// `GET key`.
pub(super) fn get(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { Ok(get_text(&gate, &words[1]).await?.map_or(Answer::Null, Answer::Bulk)) })
}

/// `GETEX key`, with nothing behind it.
pub(super) fn getex(gate: Rc<Gate>, words: Words) -> Work {
    match words.len() {
        2 => get(gate, words),
        _ => work(std::future::ready(Err(Answer::error(refused::GETEX)))),
    }
}

/// `MGET key …`. What is no string is nothing, as Redis has it.
pub(super) fn mget(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let keys = &words[1..];
        let mut values = vec![Answer::Null; keys.len()];
        let (mut bytes, mut wrong) = (0, None);
        each(keys.iter().map(|key| super::ask::get(&gate, key)), |number, found| {
            match found {
                Ok(found) => {
                    if let Some(Ok(text)) = found.map(super::ask::text) {
                        bytes += text.len();
                        values[number] = Answer::Bulk(text);
                    }
                }
                Err(error) => wrong = Some(error),
            }
            wrong.is_none() && bytes <= limits::RESP_ANSWER_BYTES_MAX
        })
        .await;
        match wrong {
            Some(error) => Err(error),
            None if bytes > limits::RESP_ANSWER_BYTES_MAX => Err(too_long("ask for fewer keys at a time")),
            None => Ok(Answer::Array(values)),
        }
    })
}

/// The error for an answer that is too long to be kept in memory.
pub(super) fn too_long(instead: &str) -> Answer {
    Answer::error(format!("ERR the answer has more than {} bytes: {instead}", limits::RESP_ANSWER_BYTES_MAX))
}

/// `SET key value [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`.
pub(super) fn set(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let expiry = if words.len() == 3 { Expiry::Never } else { set_options(&words[3..])? };
        let ttl_ms = expiry::ttl_ms(&gate, &words[1], expiry).await?;
        put(&gate, &words[1], &words[2], ttl_ms).await.map(|()| Answer::OK)
    })
}

fn set_options(mut options: &[Bytes]) -> Result<Expiry, Answer> {
    let mut expiry = Expiry::Never;
    while let [option, rest @ ..] = options {
        options = rest;
        let option = option.to_ascii_uppercase();
        if let Some(reason) = refused::set_option(&option) {
            return Err(Answer::error(reason));
        }
        let given = match (&option[..], options) {
            (b"KEEPTTL", _) => Expiry::Keep,
            (unit @ (b"EX" | b"PX" | b"EXAT" | b"PXAT"), [time, rest @ ..]) => {
                options = rest;
                Expiry::parse(unit, time, "set")?
            }
            _ => return Err(syntax()),
        };
        if !matches!(expiry, Expiry::Never) {
            return Err(syntax());
        }
        expiry = given;
    }
    Ok(expiry)
}

/// `SETEX key seconds value`.
pub(super) fn setex(gate: Rc<Gate>, words: Words) -> Work {
    set_for(gate, words, b"EX", "setex")
}

/// `PSETEX key milliseconds value`.
pub(super) fn psetex(gate: Rc<Gate>, words: Words) -> Work {
    set_for(gate, words, b"PX", "psetex")
}

fn set_for(gate: Rc<Gate>, words: Words, unit: &'static [u8], command: &'static str) -> Work {
    work(async move {
        let expiry = Expiry::parse(unit, &words[2], command)?;
        let ttl_ms = expiry::ttl_ms(&gate, &words[1], expiry).await?;
        put(&gate, &words[1], &words[3], ttl_ms).await.map(|()| Answer::OK)
    })
}

/// `MSET key value …`. Each key for itself; of a key that is named twice, the last value.
pub(super) fn mset(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let pairs = &words[1..];
        if !pairs.len().is_multiple_of(2) {
            return Err(Answer::error("ERR wrong number of arguments for 'mset' command"));
        }
        let last: std::collections::HashMap<&Bytes, &Bytes> = pairs.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect();
        let (keys, mut failed) = (last.len(), Failed::default());
        each(last.into_iter().map(|(key, value)| put(&gate, key, value, 0)), |_, done| failed.note(done)).await;
        failed.outcome(keys, Answer::OK)
    })
}

/// What has gone wrong with some of several keys.
#[derive(Default)]
pub(super) struct Failed {
    count: usize,
    first: Option<Answer>,
}

impl Failed {
    /// Notes one result. True, always: the others go on.
    pub(super) fn note(&mut self, done: Result<(), Answer>) -> bool {
        if let Err(error) = done {
            self.count += 1;
            self.first.get_or_insert(error);
        }
        true
    }

    /// The answer if nothing has gone wrong; else what has, and with how many.
    pub(super) fn outcome(self, keys: usize, answer: Answer) -> Outcome {
        match self.first {
            None => Ok(answer),
            Some(Answer::Error(first)) if keys > 1 => {
                Err(Answer::error(format!("{first} (this befell {} of the {keys} keys, and the others were done)", self.count)))
            }
            Some(error) => Err(error),
        }
    }
}

/// Writes a value, over whatever the key holds.
async fn put(gate: &Gate, key: &Bytes, value: &Bytes, ttl_ms: u64) -> Result<(), Answer> {
    let put = Put {
        key: key.clone(),
        body: Body::Bytes(value.clone()),
        context: Bytes::new(),
        w: Quorum::Default,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms,
    };
    match gate.ask(Request::Put(put)).await {
        Reply::Written(_) => Ok(()),
        other => Err(error(other)),
    }
}

/// `STRLEN key`.
pub(super) fn strlen(gate: Rc<Gate>, words: Words) -> Work {
    work(async move { Ok(Answer::count(get_text(&gate, &words[1]).await?.map_or(0, |text| text.len()))) })
}

/// `GETRANGE key start end`, and `SUBSTR`, its old name.
pub(super) fn getrange(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let (start, end) = (integer(&words[2])?, integer(&words[3])?);
        let text = get_text(&gate, &words[1]).await?.unwrap_or_default();
        Ok(Answer::Bulk(range(&text, start, end)))
    })
}

/// From `start` to and with `end`; negative ones count from the end, -1 being the last byte.
fn range(text: &Bytes, start: i64, end: i64) -> Bytes {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let from_begin = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (start, end) = (from_begin(start), from_begin(end).min(length - 1));
    if start > end {
        return Bytes::new();
    }
    // Both lie within the text.
    text.slice(start as usize..=end as usize)
}

/// A whole number in digits.
pub(super) fn integer(word: &[u8]) -> Result<i64, Answer> {
    let number = std::str::from_utf8(word).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Answer::error("ERR value is not an integer or out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_as_redis_cuts_them() {
        let text = Bytes::from_static(b"This is a string");
        for (start, end, cut) in [
            (0, 3, "This"),
            (-3, -1, "ing"),
            (0, -1, "This is a string"),
            (10, 100, "string"),
            (5, 3, ""),
            (16, 20, ""),
            (-100, 0, "T"),
            (i64::MIN, i64::MAX, "This is a string"),
        ] {
            assert_eq!(range(&text, start, end), cut, "{start} {end}");
        }
        assert_eq!(range(&Bytes::new(), 0, -1), "");
    }

    #[test]
    fn options_of_set_are_taken_in_any_case_and_refused_with_the_reason() {
        let options =
            |text: &str| set_options(&text.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect::<Vec<_>>());
        assert_eq!(options("ex 10"), Ok(Expiry::In(10_000)));
        assert_eq!(options("PX 10"), Ok(Expiry::In(10)));
        assert_eq!(options("KeepTTL"), Ok(Expiry::Keep));
        assert_eq!(options("EX 1 PX 1"), Err(syntax()));
        assert_eq!(options("EX"), Err(syntax()));
        assert_eq!(options("what"), Err(syntax()));
        for (word, says) in [("nx", "NX"), ("XX", "XX"), ("get", "GET"), ("EX 1 NX", "NX")] {
            assert!(matches!(options(word), Err(Answer::Error(text)) if text.contains(says)), "{word}");
        }
        for wrong in ["EX 0", "EX -1", "PX x", "EX 9223372036854775807"] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn integers_are_whole_and_have_no_plus() {
        assert_eq!((integer(b"-5"), integer(b"9223372036854775807")), (Ok(-5), Ok(i64::MAX)));
        for wrong in [&b""[..], b"+5", b"1.0", b"9223372036854775808", b" 1", b"x"] {
            assert!(integer(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
