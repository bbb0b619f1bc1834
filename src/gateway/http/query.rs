//! What stands behind the question mark.

use super::place::percent_decoded;
use super::problem::{Kind, Problem};
use crate::limits::{REPLICAS_MAX, REQUEST_DEADLINE_MS_MAX, TTL_MS_MAX};
use crate::message::Quorum;

/// The query of a request: of each name that is known there, at most one value.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, Option<Vec<u8>>)>,
}

impl Query {
    /// Reads a query in which these names may stand.
    pub(super) fn read(text: Option<&str>, known: &[&str]) -> Result<Query, Problem> {
        let mut pairs: Vec<(String, Option<Vec<u8>>)> = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
            let name = decoded(name).map(|name| String::from_utf8_lossy(&name).into_owned())?;
            if !known.contains(&name.as_str()) {
                let next = match known {
                    [] => "leave the query out".to_string(),
                    known => format!("known here: {}", known.join(", ")),
                };
                return Err(wrong(format!("{name:?} means nothing in the query of this request")).next(next));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(wrong(format!("{name} stands there twice")).next("give it once"));
            }
            pairs.push((name, value.map(decoded).transpose()?));
        }
        Ok(Query { pairs })
    }

    /// A value byte for byte; empty if it is not given.
    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.find(name).and_then(|value| value.clone()).unwrap_or_default()
    }

    /// R or W.
    pub(super) fn quorum(&self, name: &str) -> Result<Quorum, Problem> {
        let Some(text) = self.text(name) else { return Ok(Quorum::Default) };
        match (text.as_str(), digits(&text)) {
            ("one", _) => Ok(Quorum::Exactly(1)),
            ("quorum", _) => Ok(Quorum::Default),
            ("all", _) => Ok(Quorum::All),
            (_, Some(count @ 1..)) if count <= u64::from(REPLICAS_MAX) => Ok(Quorum::Exactly(count as u8)),
            _ => Err(self.refused(name, &text, &format!("one, quorum, all, or a number from 1 to {REPLICAS_MAX}"))),
        }
    }

    /// True if it is given, alone or as `true`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.find(name) {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(value)) => match value.as_slice() {
                b"" | b"1" | b"true" => Ok(true),
                b"0" | b"false" => Ok(false),
                other => Err(self.refused(name, &String::from_utf8_lossy(other), "true or false, or give it without a value")),
            },
        }
    }

    /// How long a value lives, given in seconds, in milliseconds; 0 for ever.
    pub(super) fn ttl_ms(&self) -> Result<u64, Problem> {
        Ok(self.number("ttl", 1, TTL_MS_MAX / 1_000, "a number of seconds")?.map_or(0, |seconds| seconds * 1_000))
    }

    /// Milliseconds until the caller gives up; 0 for the default.
    pub(super) fn deadline_ms(&self) -> Result<u32, Problem> {
        Ok(self.number("deadline", 1, REQUEST_DEADLINE_MS_MAX, "a number of milliseconds")?.unwrap_or(0) as u32)
    }

    /// A number between these two.
    pub(super) fn number(&self, name: &str, least: u64, most: u64, what: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match digits(&text) {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(self.refused(name, &text, &format!("{what} from {least} to {most}"))),
        }
    }

    fn find(&self, name: &str) -> Option<&Option<Vec<u8>>> {
        self.pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.find(name).map(|value| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned())
    }

    fn refused(&self, name: &str, text: &str, wanted: &str) -> Problem {
        wrong(format!("{name} cannot be {text:?}")).next(format!("{name} is {wanted}"))
    }
}

/// Digits and nothing else: no sign, no spaces.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// In a query a plus sign is a space, as forms write it.
fn decoded(text: &str) -> Result<Vec<u8>, Problem> {
    percent_decoded(&text.replace('+', " ")).map_err(wrong)
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::BadQuery, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, Problem> {
        Query::read(Some(text), &["r", "lww", "ttl", "deadline", "prefix"])
    }

    #[test]
    fn what_is_given_is_read() {
        let read = query("r=all&lww&ttl=60&deadline=500&prefix=a%2Fb+%FF").unwrap();
        assert_eq!(read.quorum("r").unwrap(), Quorum::All);
        assert!(read.flag("lww").unwrap());
        assert_eq!((read.ttl_ms().unwrap(), read.deadline_ms().unwrap()), (60_000, 500));
        assert_eq!(read.bytes("prefix"), b"a/b \xff");
        let none = Query::read(None, &[]).unwrap();
        assert_eq!(none.quorum("r").unwrap(), Quorum::Default);
        assert!(!none.flag("lww").unwrap() && none.ttl_ms().unwrap() == 0 && none.bytes("prefix").is_empty());
        for (r, wanted) in [("one", Quorum::Exactly(1)), ("quorum", Quorum::Default), ("3", Quorum::Exactly(3))] {
            assert_eq!(query(&format!("r={r}")).unwrap().quorum("r").unwrap(), wanted);
        }
    }

    #[test]
    fn what_nobody_knows_or_what_stands_twice_or_is_no_code_is_refused() {
        for wrong in ["x=1", "w=2", "r=1&r=2", "prefix=%", "%zz=1", "R=1"] {
            assert!(query(wrong).is_err(), "{wrong}");
        }
        assert!(query("&&r=1&").is_ok());
    }

    #[test]
    fn a_bad_value_is_refused() {
        for r in ["0", "8", "256", "-1", "+1", "two", "", "1.0", " 1"] {
            assert!(query(&format!("r={}", r.replace('+', "%2B"))).unwrap().quorum("r").is_err(), "{r:?}");
        }
        assert!(query("lww=yes").unwrap().flag("lww").is_err());
        assert!(!query("lww=false").unwrap().flag("lww").unwrap());
        for ttl in ["0", "", "-1", "1s", "99999999999999999999", "3153600001"] {
            assert!(query(&format!("ttl={ttl}")).unwrap().ttl_ms().is_err(), "{ttl}");
        }
        assert!(query("ttl=3153600000").unwrap().ttl_ms().is_ok());
        assert!(query("deadline=60001").unwrap().deadline_ms().is_err());
    }
}
