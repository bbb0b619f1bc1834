//! ETags, conditions and ranges (RFC 9110, sections 8.8, 13 and 14).

use super::problem::{Kind, Problem};
use crate::vclock::Dot;
use axum::http::header::{CONTENT_RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use axum::http::{HeaderMap, HeaderValue};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use std::ops::Range;

/// The strong ETag of what these dots make: each of them is one write, for ever, so equal dots are equal bytes. Not so for what
/// last-writer-wins has picked out of them, which has an ETag of its own.
pub(super) fn etag(dots: &[Dot], last_writer_wins: bool) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write_u8(last_writer_wins.into());
    for dot in dots {
        hasher.write_u64(dot.actor.0);
        hasher.write_u64(dot.counter);
    }
    format!("\"{:032x}\"", hasher.finish128().as_u128())
}

/// What the conditions of a GET or HEAD make of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The whole answer.
    Whole,
    /// It is what the client has.
    NotModified,
    /// It is not what the client wants.
    Failed,
}

/// Holds the conditions of a read against the ETag of what was found. Dates mean nothing here: values have none.
pub(super) fn judge(headers: &HeaderMap, etag: &str) -> Verdict {
    if lists(headers, IF_MATCH).is_some_and(|wanted| !names(&wanted, etag, true)) {
        return Verdict::Failed;
    }
    match lists(headers, IF_NONE_MATCH).is_some_and(|known| names(&known, etag, false)) {
        true => Verdict::NotModified,
        false => Verdict::Whole,
    }
}

/// Nobody can promise that a write is done only if nobody else has written: says so.
pub(super) fn refuse_conditions(headers: &HeaderMap) -> Result<(), Problem> {
    let asked = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, IF_MODIFIED_SINCE];
    let Some(name) = asked.iter().find(|name| headers.contains_key(*name)) else { return Ok(()) };
    Err(Problem::new(
        Kind::NoPreconditions,
        format!(
            "{name} was not looked at, and nothing was written: without a leader nobody can tell that no other write is under way"
        ),
    ))
}

/// What a Range asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<usize>),
    /// Bytes that are not there.
    Nothing,
}

/// What of a value with so many bytes is asked for. A range that cannot be read, or several, stand for the whole.
pub(super) fn wanted_part(headers: &HeaderMap, etag: &str, length: usize) -> Wanted {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    if headers.get(IF_RANGE).is_some_and(|had| had.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    range.to_str().ok().and_then(|text| part(text, length)).unwrap_or(Wanted::Whole)
}

fn part(text: &str, length: usize) -> Option<Wanted> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let wanted = match (first.is_empty(), last.is_empty()) {
        (true, true) => return None,
        (true, false) => length.saturating_sub(number(last)?)..length,
        (false, true) => number(first)?..length,
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some(if wanted.start < wanted.end { Wanted::Part(wanted) } else { Wanted::Nothing })
}

/// Digits; more than fit are as good as the most.
fn number(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}

/// For the answer to a range that is not there.
pub(super) fn unsatisfied(length: usize) -> Problem {
    let said = HeaderValue::try_from(format!("bytes */{length}")).unwrap_or(HeaderValue::from_static("bytes */0"));
    Problem::new(Kind::RangeNotSatisfiable, format!("the value has {length} bytes")).with(CONTENT_RANGE, said)
}

/// The lines of a header as one list; none if it is not there.
fn lists(headers: &HeaderMap, name: axum::http::HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// True if a list of ETags names this one. A strong comparison passes over weak ones.
fn names(list: &str, etag: &str, strong: bool) -> bool {
    // Our own ETags hold no comma.
    list.split(',').map(str::trim).any(|one| match one.strip_prefix("W/") {
        Some(weak) => !strong && weak == etag,
        None => one == etag || one == "*",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::Actor;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn an_etag_tells_dots_apart_and_what_is_picked_from_them() {
        let dot = |counter| Dot { actor: Actor(7), counter };
        let tags = [etag(&[dot(1)], false), etag(&[dot(2)], false), etag(&[dot(1), dot(2)], false), etag(&[dot(1)], true)];
        assert_eq!(tags[0].len(), 34);
        for (at, tag) in tags.iter().enumerate() {
            assert_eq!(tags.iter().position(|other| other == tag), Some(at));
        }
    }

    #[test]
    fn conditions_of_reads_are_judged() {
        let verdict = |name, value| judge(&headers(&[(name, value)]), "\"a\"");
        for known in ["\"a\"", "*", "W/\"a\"", "\"b\", \"a\"", "\"b\",W/\"a\""] {
            assert_eq!(verdict("if-none-match", known), Verdict::NotModified, "{known}");
        }
        for other in ["\"b\"", "a", "", "W/\"b\""] {
            assert_eq!(verdict("if-none-match", other), Verdict::Whole, "{other}");
        }
        assert_eq!(verdict("if-match", "\"a\""), Verdict::Whole);
        assert_eq!(verdict("if-match", "W/\"a\""), Verdict::Failed);
        assert_eq!(verdict("if-match", "\"b\""), Verdict::Failed);
        assert_eq!(judge(&HeaderMap::new(), "\"a\""), Verdict::Whole);
    }

    #[test]
    fn a_single_range_is_a_part_and_anything_odd_the_whole() {
        let wanted = |range: &str| wanted_part(&headers(&[("range", range)]), "\"a\"", 10);
        for (range, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=2-", 2..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("Bytes=0-99", 0..10),
            ("bytes=0-99999999999999999999999", 0..10),
        ] {
            assert_eq!(wanted(range), Wanted::Part(part), "{range}");
        }
        for range in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(wanted(range), Wanted::Nothing, "{range}");
        }
        for range in
            ["bytes=0-1,3-4", "bytes=5-2", "bytes=", "bytes=-", "bytes", "lines=0-1", "bytes=a-b", "bytes=+1-2", "bytes=--1"]
        {
            assert_eq!(wanted(range), Wanted::Whole, "{range}");
        }
        assert_eq!(wanted_part(&headers(&[("range", "bytes=0-0")]), "\"a\"", 0), Wanted::Nothing);
        assert_eq!(wanted_part(&headers(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]), "\"a\"", 10), Wanted::Whole);
    }

    #[test]
    fn a_range_of_something_older_is_the_whole() {
        let wanted = |had| wanted_part(&headers(&[("range", "bytes=0-1"), ("if-range", had)]), "\"a\"", 10);
        assert_eq!(wanted("\"a\""), Wanted::Part(0..2));
        for other in ["\"b\"", "W/\"a\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(wanted(other), Wanted::Whole, "{other}");
        }
    }

    #[test]
    fn writes_take_no_conditions() {
        assert!(refuse_conditions(&headers(&[("range", "bytes=0-1")])).is_ok());
        for name in ["if-match", "if-none-match", "if-unmodified-since", "if-modified-since"] {
            assert!(refuse_conditions(&headers(&[(name, "*")])).is_err());
        }
    }
}
