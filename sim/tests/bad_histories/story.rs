//! How a history is told: one thing after the other, ten milliseconds apart, and each takes five.

use bytes::Bytes;
use sim::chaos::verdict::{self, Aftermath};
use sim::history::{Expiry, History, KeyId, Outcome, Read, Scope, Target, ValueId, Values, Write, WriteId};
use sim::oracle::dots::Dots;
use sim::oracle::durability::Shadow;
use sim::oracle::siblings::{self, Healed};
use sim::oracle::{Violation, reads};
use std::cell::Cell;

/// N.
pub const REPLICAS: usize = 3;
const STEP: u64 = 10_000;
const LASTS: u64 = 5_000;

/// A history, as far as it is told.
pub struct Story {
    is_wrong: bool,
    choices: Cell<usize>,
    time: u64,
    pub history: History,
    pub dots: Dots,
    pub shadow: Shadow,
    pub aftermath: Aftermath,
    /// What was found at once, and not at the end.
    pub noted: Vec<Violation>,
    disks_lost: bool,
    clocks_jumped: bool,
    wall_ms: u64,
    has_listings: bool,
}

/// A write, as it is told: acknowledged by two replicas if nothing else is said, without a context, of key 0.
pub struct Deed(Write, Pace);

/// A read, as it is told: of the whole of key 0, from two replicas, without a session.
pub struct Look(Read, Pace);

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    After,
    Meanwhile,
}

impl Story {
    pub fn new(is_wrong: bool) -> Story {
        Story {
            is_wrong,
            choices: Cell::new(0),
            time: 0,
            history: History::default(),
            dots: Dots::default(),
            shadow: Shadow::default(),
            aftermath: Aftermath::default(),
            noted: Vec::new(),
            disks_lost: false,
            clocks_jumped: false,
            wall_ms: 0,
            has_listings: false,
        }
    }

    /// The one fact in which the good history and the bad one differ.
    pub fn either<T>(&self, right: T, wrong: T) -> T {
        self.choices.set(self.choices.get() + 1);
        if self.is_wrong { wrong } else { right }
    }

    /// How often something was chosen.
    pub fn choices(&self) -> usize {
        self.choices.get()
    }

    /// A client writes.
    pub fn does(&mut self, Deed(mut write, pace): Deed) -> WriteId {
        write.invoked = self.begin(pace);
        write.until = write.until.max(write.invoked + LASTS);
        if let Outcome::Acked { at, .. } = &mut write.outcome {
            *at = write.invoked + LASTS;
        }
        self.history.invoke(write)
    }

    /// A client reads.
    pub fn reads(&mut self, Look(mut read, pace): Look) {
        read.invoked = self.begin(pace);
        read.ended = read.invoked + LASTS;
        self.history.note_read(read);
    }

    /// What begins meanwhile begins a millisecond later.
    fn begin(&mut self, pace: Pace) -> u64 {
        self.time += if pace == Pace::After { STEP } else { 1_000 };
        self.time
    }

    /// After healing, whoever is asked says that these values of key 0 are live.
    pub fn ends_with(&mut self, live: &[u64]) {
        self.key_ends_with(0, live);
    }

    /// After healing, whoever is asked says that these values of a key are live.
    pub fn key_ends_with(&mut self, key: u16, live: &[u64]) {
        ["A", "B"].into_iter().for_each(|who| self.says(who, key, live));
    }

    /// After healing, somebody says that these values of a key are live.
    pub fn says(&mut self, who: &str, key: u16, live: &[u64]) {
        self.aftermath.note(who.to_string(), KeyId(key), ids(live));
    }

    /// After healing, somebody lists these keys. Where nobody does, everybody lists what is there.
    pub fn lists(&mut self, who: &str, names: &[&'static str]) {
        self.has_listings = true;
        self.aftermath.listings.push((who.to_string(), names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()));
    }

    /// A disk was lost.
    pub fn a_disk_is_lost(&mut self, is_lost: bool) {
        self.disks_lost = is_lost;
    }

    /// A clock jumped.
    pub fn a_clock_jumps(&mut self, jumps: bool) {
        self.clocks_jumped = jumps;
    }

    /// What clocks say in the end (milliseconds).
    pub fn it_is(&mut self, wall_ms: u64) {
        self.wall_ms = wall_ms;
    }

    /// Everything that all oracles say, once.
    pub fn judge(mut self) -> Vec<Violation> {
        if !self.has_listings {
            let there = self.aftermath.states.iter().filter(|(_, said)| said.iter().any(|(_, live)| !live.is_empty()));
            let names = there.map(|(key, _)| format!("key:{}", key.0).into()).collect();
            self.aftermath.listings.push(("A".into(), names));
        }
        let (history, mut said) = (&self.history, self.noted);
        let (disks_lost, clocks_agree, wall_ms) = (self.disks_lost, !self.clocks_jumped, self.wall_ms);
        // As the simulator does it.
        let least = if disks_lost { REPLICAS / 2 + 1 } else { 1 };
        said.extend(reads::judge(history, REPLICAS, least));
        for (key, states) in &self.aftermath.states {
            let healed =
                |live: &Values| Healed { key: *key, live: live.clone(), replicas: REPLICAS, disks_lost, clocks_agree, wall_ms };
            said.extend(states.iter().flat_map(|(_, live)| siblings::judge(history, &healed(live))));
        }
        // As the harness for real processes does it, where nothing is excused.
        if !disks_lost && clocks_agree && wall_ms == 0 {
            said.extend(verdict::judge(history, &self.aftermath, REPLICAS));
        }
        let mut once: Vec<Violation> = Vec::new();
        said.into_iter().for_each(|violation| {
            if !once.contains(&violation) {
                once.push(violation)
            }
        });
        once
    }
}

/// A value is written to the whole key.
pub fn put(value: u64) -> Deed {
    json(&[("", value)])
}

/// A document is written.
pub fn json(leaves: &[(&str, u64)]) -> Deed {
    deed(Scope::Whole, leaves)
}

/// A leaf is set.
pub fn set(path: &str, value: u64) -> Deed {
    deed(target(path, false), &[(path, value)])
}

/// A path is removed.
pub fn remove(path: &str) -> Deed {
    deed(target(path, true), &[])
}

/// The key is removed.
pub fn delete() -> Deed {
    deed(Scope::Whole, &[])
}

/// An answer shows these values.
pub fn read(shown: &[u64]) -> Look {
    let read = Read {
        client: 2,
        key: KeyId(0),
        path: String::new(),
        r: 2,
        invoked: 0,
        ended: 0,
        wall_ms: 0,
        shown: ids(shown),
        session: Values::new(),
    };
    Look(read, Pace::After)
}

/// Names of values.
pub fn ids(values: &[u64]) -> Values {
    values.iter().map(|value| ValueId(*value)).collect()
}

fn target(path: &str, is_removal: bool) -> Scope {
    Scope::Paths(vec![Target { path: path.into(), is_removal }])
}

fn deed(scope: Scope, leaves: &[(&str, u64)]) -> Deed {
    let write = Write {
        client: 1,
        key: KeyId(0),
        scope,
        values: leaves.iter().map(|(path, value)| (path.to_string(), ValueId(*value))).collect(),
        context: None,
        expiry: Expiry::default(),
        invoked: 0,
        until: 0,
        is_retried: false,
        outcome: Outcome::Acked { at: 0, w: 2 },
        covered: Values::new(),
    };
    Deed(write, Pace::After)
}

impl Deed {
    /// With a context that had shown these.
    pub fn seen(mut self, values: &[u64]) -> Deed {
        self.0.context = Some(ids(values));
        self
    }

    /// Its receipt says that it covered these.
    pub fn covering(mut self, values: &[u64]) -> Deed {
        self.0.covered = ids(values);
        self
    }

    /// Acknowledged by so many replicas.
    pub fn by(mut self, w: usize) -> Deed {
        self.0.outcome = Outcome::Acked { at: 0, w };
        self
    }

    /// No answer came.
    pub fn unanswered(mut self) -> Deed {
        self.0.outcome = Outcome::Unknown;
        self
    }

    /// No answer came, and whatever is under way may arrive at any time.
    pub fn pending_for_ever(mut self) -> Deed {
        self.0.until = u64::MAX;
        self.unanswered()
    }

    /// Its client was told that nothing was done.
    pub fn refused(mut self) -> Deed {
        self.0.outcome = Outcome::Refused;
        self
    }

    /// Of another key.
    pub fn of_key(mut self, key: u16) -> Deed {
        self.0.key = KeyId(key);
        self
    }

    /// It expires at this moment (milliseconds).
    pub fn until_ms(mut self, at_ms: u64) -> Deed {
        self.0.expiry = Expiry { ttl_ms: 10, at_ms, is_known: true };
        self
    }

    /// It is to expire not before this moment (milliseconds); no version has said when.
    pub fn not_before_ms(mut self, at_ms: u64) -> Deed {
        self.0.expiry = Expiry { ttl_ms: 10, at_ms, is_known: false };
        self
    }

    /// It begins while what was told last is under way.
    pub fn meanwhile(mut self) -> Deed {
        self.1 = Pace::Meanwhile;
        self
    }

    /// It begins when what was told last is over; that is so if nothing else is said.
    pub fn afterwards(self) -> Deed {
        self
    }
}

impl Look {
    /// So many replicas answered.
    pub fn from(mut self, r: usize) -> Look {
        self.0.r = r;
        self
    }

    /// The session had seen these.
    pub fn in_session(mut self, values: &[u64]) -> Look {
        self.0.session = ids(values);
        self
    }

    /// Of a path alone.
    pub fn at(mut self, path: &str) -> Look {
        self.0.path = path.into();
        self
    }

    /// Of another key.
    pub fn of_key(mut self, key: u16) -> Look {
        self.0.key = KeyId(key);
        self
    }

    /// No clock was further than this when the answer came (milliseconds).
    pub fn when_it_is(mut self, wall_ms: u64) -> Look {
        self.0.wall_ms = wall_ms;
        self
    }

    /// It begins while what was told last is under way.
    pub fn meanwhile(mut self) -> Look {
        self.1 = Pace::Meanwhile;
        self
    }

    /// It begins when what was told last is over; that is so if nothing else is said.
    pub fn afterwards(self) -> Look {
        self
    }
}
