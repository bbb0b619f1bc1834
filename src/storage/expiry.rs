//! When versions expire: what a partition keeps in memory of its keys with an expiry, beside their slots.

use crate::vclock::{Entry, Kind, Version};

/// When a key with expiring versions changes. Times are in milliseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// The first of its versions expires.
    pub first_ms: u64,
    /// The last of its versions expires, and the key with it; 0 if one of them never does.
    pub hidden_ms: u64,
}

impl Expiry {
    /// That of the live versions of a key; none if none of them ever expires.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Expiry> {
        let first_ms = entry.versions().iter().map(|version| version.expiry_ms).filter(|expiry_ms| *expiry_ms != 0).min()?;
        // A term alone shows nothing.
        let times = || entry.versions().iter().filter(|version| version.kind != Kind::Term).map(|version| entry.expiry_of(version));
        let hidden_ms = if times().any(|expiry_ms| expiry_ms == 0) { 0 } else { times().max().unwrap_or(1) };
        Some(Expiry { first_ms, hidden_ms })
    }

    /// That of a single version.
    #[must_use]
    pub fn of_plain(expiry_ms: u64) -> Option<Expiry> {
        (expiry_ms != 0).then_some(Expiry { first_ms: expiry_ms, hidden_ms: expiry_ms })
    }
}

/// True if a live version of an entry has expired by a clock. A reader hides it from then on; a replica drops it a while later.
#[must_use]
pub fn has_expired(entry: &Entry, version: &Version, wall_ms: u64) -> bool {
    let expiry_ms = entry.expiry_of(version);
    expiry_ms != 0 && expiry_ms <= wall_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::{Actor, Dot, Kind, Path, Seen, Timestamp};
    use bytes::Bytes;

    fn expiry(times: &[u64]) -> Option<Expiry> {
        let version = |(n, expiry_ms): (usize, &u64)| Version {
            dot: Dot { actor: Actor(1), counter: n as u64 + 1 },
            path: Path::parse(&format!("p{n}")).expect("a path"),
            kind: Kind::Scalar,
            value: Bytes::from_static(b"1"),
            time: Timestamp::default(),
            expiry_ms: *expiry_ms,
        };
        Expiry::of(&Entry::new(times.iter().enumerate().map(version).collect(), Seen::new()))
    }

    #[test]
    fn a_key_changes_with_its_first_version_and_vanishes_with_its_last() {
        assert_eq!(expiry(&[]), None);
        assert_eq!(expiry(&[0, 0]), None);
        assert_eq!(expiry(&[7, 5]), Some(Expiry { first_ms: 5, hidden_ms: 7 }));
        assert_eq!(expiry(&[7, 0, 5]), Some(Expiry { first_ms: 5, hidden_ms: 0 }));
        assert_eq!(Expiry::of_plain(0), None);
        assert_eq!(Expiry::of_plain(9), Some(Expiry { first_ms: 9, hidden_ms: 9 }));
    }
}
