//! Versions, as they are met in messages, and what the story notes of them.

use super::story::Story;
use bytes::Bytes;
use henge::vclock::{Actor, Dot, Entry, Kind, Path, Timestamp, Version};
use sim::history::{KeyId, ValueId};
use sim::oracle::dots;

/// A dot.
pub fn dot(counter: u64) -> Dot {
    Dot { actor: Actor(1), counter }
}

/// A version that holds this text.
pub fn version(counter: u64, path: &str, text: &str) -> Version {
    Version {
        dot: dot(counter),
        path: Path::parse(path).expect("a path"),
        kind: Kind::Scalar,
        value: Bytes::copy_from_slice(text.as_bytes()),
        time: Timestamp(0),
        expiry_ms: 0,
    }
}

/// An entry with these dots live, each of which names the value with its own number, and these gone.
pub fn entry(live: &[u64], gone: &[u64]) -> Entry {
    let live = live.iter().map(|counter| version(*counter, "", &format!("v{counter}")));
    Entry::new(live.collect(), gone.iter().map(|counter| dot(*counter)).collect())
}

impl Story {
    /// A message tells this version of key 0, in partition 0.
    pub fn tells(&mut self, version: &Version) {
        self.tells_in(0, version);
    }

    /// A message of this partition tells this version of key 0.
    pub fn tells_in(&mut self, partition: u16, version: &Version) {
        self.noted.extend(self.dots.note_version(&self.history, partition, KeyId(0), version).err());
    }

    /// An answer for key 0 shows these values, and lists these dots.
    pub fn answers(&mut self, shown: &[u64], listed: &[u64], hides: bool) {
        let dots: Vec<Dot> = listed.iter().map(|counter| dot(*counter)).collect();
        let named = self.dots.values(0, &dots);
        self.noted.extend(dots::judge_answer(KeyId(0), &super::story::ids(shown), &named, hides));
    }

    /// A version of this value says that it expires then (milliseconds).
    pub fn expires(&mut self, value: u64, at_ms: u64) {
        let said = self.history.note_expiry(ValueId(value), at_ms).err();
        self.noted.extend(said.map(|what| sim::oracle::Violation::new("x", what)));
    }
}
