//! Looking at all keys: SCAN, KEYS, DBSIZE. They list keys in order, from as many owners of each partition as a read asks.

use super::answer::Answer;
use super::ask::{each, error, work};
use super::framing::Words;
use super::gate::Gate;
use super::glob;
use super::keys::kind_of;
use super::queue::Work;
use super::session::syntax;
use super::strings::{integer, too_long};
use crate::limits::{RESP_ANSWER_BYTES_MAX, RESP_COUNTED_KEYS_MAX, SCAN_PAGE_KEYS_MAX};
use crate::message::{List, Listed, Quorum, Reply, Request};
use bytes::Bytes;
use std::rc::Rc;

/// Keys of a page of SCAN that does not say how many: a page asks all partitions, so small ones cost the most.
const COUNT_DEFAULT: usize = 100;

/// What SCAN was asked for.
struct Scan {
    pattern: Option<Bytes>,
    count: usize,
    kind: Option<Vec<u8>>,
}

impl Scan {
    fn parse(mut options: &[Bytes]) -> Result<Scan, Answer> {
        let mut scan = Scan { pattern: None, count: COUNT_DEFAULT, kind: None };
        while let [option, value, rest @ ..] = options {
            options = rest;
            match &option.to_ascii_uppercase()[..] {
                b"MATCH" => scan.pattern = Some(value.clone()),
                b"TYPE" => scan.kind = Some(value.to_ascii_lowercase()),
                b"COUNT" => {
                    let count = usize::try_from(integer(value)?).ok().filter(|count| *count > 0).ok_or_else(syntax)?;
                    scan.count = count.min(SCAN_PAGE_KEYS_MAX);
                }
                _ => return Err(syntax()),
            }
        }
        if options.is_empty() { Ok(scan) } else { Err(syntax()) }
    }

    fn prefix(&self) -> Bytes {
        self.pattern.as_ref().map(|pattern| pattern.slice_ref(glob::literal_prefix(pattern))).unwrap_or_default()
    }

    fn takes(&self, key: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, key))
    }
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`.
pub(super) fn scan(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let cursor: u64 = std::str::from_utf8(&words[1])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Answer::error("ERR invalid cursor"))?;
        let scan = Scan::parse(&words[2..])?;
        let after = match cursor {
            0 => Bytes::new(),
            _ => gate.cursors.borrow_mut().place(cursor).ok_or_else(|| {
                Answer::error(
                    "ERR invalid cursor: it is of another peer, of before this one's last start, or has rested for so long that it was \
                     forgotten; scan one peer, and begin anew with 0",
                )
            })?,
        };
        let page = page(&gate, scan.prefix(), after, scan.count).await?;
        let next = if page.more { gate.cursors.borrow_mut().advance(cursor, page.resume_after) } else { 0 };
        let mut keys: Vec<Bytes> = page.keys.into_iter().filter(|key| scan.takes(key)).collect();
        if let Some(kind) = &scan.kind {
            keys = of_kind(&gate, keys, kind).await?;
        }
        let keys = keys.into_iter().map(Answer::Bulk).collect();
        Ok(Answer::Array(vec![Answer::Bulk(next.to_string().into()), Answer::Array(keys)]))
    })
}

/// Those of the keys that hold a value of this type.
async fn of_kind(gate: &Gate, keys: Vec<Bytes>, kind: &[u8]) -> Result<Vec<Bytes>, Answer> {
    let (mut takes, mut wrong) = (vec![false; keys.len()], None);
    each(keys.iter().map(|key| kind_of(gate, key)), |number, found| {
        match found {
            Ok(found) => takes[number] = found.as_bytes() == kind,
            Err(error) => wrong = Some(error),
        }
        wrong.is_none()
    })
    .await;
    let mut takes = takes.into_iter();
    match wrong {
        Some(error) => Err(error),
        None => Ok(keys.into_iter().filter(|_| takes.next() == Some(true)).collect()),
    }
}

/// `KEYS pattern`.
pub(super) fn keys(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let scan = Scan { pattern: Some(words[1].clone()), count: SCAN_PAGE_KEYS_MAX, kind: None };
        let (mut keys, mut bytes, mut after) = (Vec::new(), 0, Bytes::new());
        loop {
            let page = page(&gate, scan.prefix(), after, scan.count).await?;
            for key in page.keys.into_iter().filter(|key| scan.takes(key)) {
                // In memory a key costs more than its bytes.
                bytes += key.len() + size_of::<Answer>();
                keys.push(Answer::Bulk(key));
            }
            if bytes > RESP_ANSWER_BYTES_MAX {
                return Err(too_long("use SCAN"));
            }
            if !page.more {
                return Ok(Answer::Array(keys));
            }
            after = page.resume_after;
        }
    })
}

/// `DBSIZE`: counted, as long as there are few; else estimated from what this peer holds.
pub(super) fn dbsize(gate: Rc<Gate>, _: Words) -> Work {
    work(async move {
        let (mut count, mut after) = (0, Bytes::new());
        while count <= RESP_COUNTED_KEYS_MAX {
            let page = page(&gate, Bytes::new(), after, SCAN_PAGE_KEYS_MAX).await?;
            count += page.keys.len();
            if !page.more {
                return Ok(Answer::count(count));
            }
            after = page.resume_after;
        }
        let status = match gate.ask(Request::Status).await {
            Reply::Status(status) => status.member,
            other => return Err(error(other)),
        };
        let partitions = match gate.ask(Request::Ring).await {
            Reply::Ring(ring) => ring.owners.len(),
            other => return Err(error(other)),
        };
        Ok(Answer::count(count.max(estimate(status.keys, status.partitions, partitions))))
    })
}

/// How many keys there are, if those of these partitions are so many: keys are spread evenly.
fn estimate(keys: u64, own_partitions: u32, partitions: usize) -> usize {
    let all = u128::from(keys) * partitions as u128 / u128::from(own_partitions.max(1));
    usize::try_from(all).unwrap_or(usize::MAX)
}

async fn page(gate: &Gate, prefix: Bytes, after: Bytes, keys: usize) -> Result<Listed, Answer> {
    let limit = u32::try_from(keys).expect("a page is bounded");
    match gate.ask(Request::List(List { prefix, after, limit, r: Quorum::Default, deadline_ms: 0 })).await {
        Reply::Listed(listed) => Ok(listed),
        other => Err(error(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_of(text: &str) -> Result<Scan, Answer> {
        Scan::parse(&text.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect::<Vec<_>>())
    }

    #[test]
    fn options_of_scan_are_understood_and_bounded() {
        let scan = scan_of("match user:* COUNT 20 type STRING").unwrap();
        assert_eq!((scan.prefix(), scan.count, scan.kind), ("user:".into(), 20, Some(b"string".to_vec())));
        assert_eq!(scan_of("").unwrap().count, COUNT_DEFAULT);
        assert_eq!(scan_of("COUNT 1000000").unwrap().count, SCAN_PAGE_KEYS_MAX);
        for wrong in ["COUNT 0", "COUNT -1", "COUNT x", "COUNT", "MATCH", "what 1"] {
            assert!(scan_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_estimate_is_what_a_peer_holds_times_what_it_does_not_own() {
        assert_eq!(estimate(20_000, 256, 256), 20_000);
        assert_eq!(estimate(12_000, 154, 256), 19_948);
        assert_eq!(estimate(u64::MAX, 0, 4_096), usize::MAX);
    }
}
