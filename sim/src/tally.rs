//! Counters and sets: what a few further clients ask for in some of the seeds, beside all else, under keys of their own.
//!
//! Each client adds to a digit of its own, and puts members of its own into a set: so what a counter shows tells how many of the increments of
//! each client it holds. How many may be missing is what its client was told: the acknowledged count, the unknown may.

use crate::dice::Dice;
use crate::history::{KeyId, Scope, WriteId};
use crate::workload::Wish;
use crate::world::key_name;
use bytes::Bytes;
use henge::message::{Get, PatchBody, Quorum, Request, Update, Value};
use henge::vclock::Dot;
use std::collections::BTreeSet;

/// The clients that count.
pub const CLIENTS: u64 = 3;
/// Their ids begin here.
pub const FIRST_CLIENT: u64 = 700;
/// A counter that is all of its key.
pub const PLAIN: KeyId = KeyId(60_000);
/// A counter in a document.
pub const INNER: KeyId = KeyId(60_001);
/// A set.
pub const SET: KeyId = KeyId(60_002);
/// All of them.
pub const KEYS: [KeyId; 3] = [PLAIN, INNER, SET];

/// The share of seeds in which they are at work.
const SHARE: f64 = 0.25;
/// The stream of that draw.
const CONCERN: u64 = 23;
/// Bits of a digit: more increments than a client makes in a run.
const DIGIT: u32 = 20;

/// True if clients count in this seed.
pub fn is_drawn(seed: u64) -> bool {
    Dice::of(seed, CONCERN).chance(SHARE)
}

/// True for the keys of this module.
pub fn is_tally(key: KeyId) -> bool {
    KEYS.contains(&key)
}

/// Where the counter stands in its key.
pub fn path_of(key: KeyId) -> &'static str {
    if key == INNER { "a.n" } else { "" }
}

/// What a write does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Deed {
    /// Adds one to its client's digit.
    Add,
    /// Puts this member in.
    PutIn(u64),
    /// Takes this member out.
    TakeOut(u64),
}

/// A write.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Its outcome stands in the history.
    pub write: WriteId,
    /// The place of its client.
    pub digit: usize,
    /// The key.
    pub key: KeyId,
    /// What it does.
    pub deed: Deed,
}

/// What an answer shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// How many increments of each client.
    Digits([u64; CLIENTS as usize]),
    /// These members.
    Members(BTreeSet<u64>),
}

/// An answer to a read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// The key.
    pub key: KeyId,
    /// How many owners that have lost nothing answered.
    pub r: usize,
    /// When the client asked (microseconds).
    pub invoked: u64,
    /// When the answer came (microseconds).
    pub ended: u64,
    /// The place of the client, and how many of its own increments its session has surely seen.
    pub own: (usize, u64),
    /// What it shows.
    pub shown: Shown,
}

/// All that clients counted in a run.
#[derive(Clone, Default, Debug)]
pub struct Tallies {
    /// Writes, in the order in which they were asked for.
    pub writes: Vec<Done>,
    /// Answers.
    pub looks: Vec<Look>,
}

impl Shown {
    /// How many increments of a client an answer shows; 0 of a set.
    pub fn digit(&self, digit: usize) -> u64 {
        match self {
            Shown::Digits(digits) => digits[digit],
            Shown::Members(_) => 0,
        }
    }
}

/// What a value of a key shows; what is wrong with it otherwise. No value: nothing is there.
pub fn read(key: KeyId, value: Option<&Value>) -> Result<Shown, String> {
    match (key, value) {
        (SET, None) => Ok(Shown::Members(BTreeSet::new())),
        (SET, Some(Value::Set(members))) => {
            let number = |member: Bytes| std::str::from_utf8(&member).ok()?.parse().ok();
            let all: Option<BTreeSet<u64>> = members.iter().map(number).collect();
            all.map(Shown::Members).ok_or_else(|| format!("a member that nobody put in: {members:?}"))
        }
        (PLAIN | INNER, None) => Ok(Shown::Digits([0; CLIENTS as usize])),
        (PLAIN | INNER, Some(Value::Counter(text))) => {
            let sum: i128 = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or("no number")?;
            let digit = |n: usize| (sum >> (DIGIT * n as u32)) as u64 & ((1 << DIGIT) - 1);
            let is_whole = sum >= 0 && sum >> (DIGIT * CLIENTS as u32) == 0;
            is_whole.then(|| Shown::Digits(std::array::from_fn(digit))).ok_or_else(|| format!("{sum} is no sum of increments"))
        }
        (_, other) => Err(format!("neither a counter nor a set: {other:?}")),
    }
}

/// True if an answer may show an increment twice: of an amount and of the fold that took it up, where those who answered have both. Only what
/// the same start of a peer has made can be folded into each other.
pub fn may_count_twice(dots: &[Dot]) -> bool {
    let starts: BTreeSet<_> = dots.iter().map(|dot| (dot.actor, dot.start())).collect();
    starts.len() < dots.len()
}

/// What a request of a client does, if it counts.
pub fn deed_of(request: &Request) -> Option<Deed> {
    let Request::Update(update) = request else { return None };
    let member = |members: &[Bytes]| std::str::from_utf8(members.first()?).ok()?.parse().ok();
    match &update.patch {
        PatchBody::Increment { .. } => Some(Deed::Add),
        PatchBody::Elements { add, remove, .. } => member(add).map(Deed::PutIn).or(member(remove).map(Deed::TakeOut)),
        _ => None,
    }
}

/// Draws what one client asks for.
#[derive(Debug)]
pub struct Counting {
    digit: usize,
    /// Members that it has asked to be put in and not to be taken out.
    members: Vec<u64>,
    number: u64,
}

impl Counting {
    /// That of the client at this place.
    pub fn of(digit: usize) -> Counting {
        Counting { digit, members: Vec::new(), number: 0 }
    }

    /// The next wish.
    pub fn wish(&mut self, dice: &mut Dice) -> Wish {
        let key = *dice.pick(&[PLAIN, PLAIN, INNER, SET]);
        // No write is content with one owner: of what one alone has seen nothing is claimed.
        let quorum = *dice.pick(&[Quorum::Default, Quorum::Default, Quorum::Default, Quorum::All]);
        if dice.chance(0.35) {
            let r = *dice.pick(&[Quorum::Default, Quorum::Default, Quorum::Exactly(1), Quorum::All]);
            return look_at(key, r);
        }
        let update = match key {
            SET if dice.chance(0.4) && !self.members.is_empty() => {
                let member = self.members.swap_remove(dice.below(self.members.len() as u64) as usize);
                Update::elements(key_name(key), "", Vec::new(), vec![member.to_string().into()])
            }
            SET => {
                self.number += 1;
                let member = self.number * CLIENTS + self.digit as u64;
                self.members.push(member);
                Update::elements(key_name(key), "", vec![member.to_string().into()], Vec::new())
            }
            _ => return add_to(key, self.digit, quorum),
        };
        change(key, update, quorum)
    }
}

/// Adds one to a digit of a counter.
pub fn add_to(key: KeyId, digit: usize, quorum: Quorum) -> Wish {
    change(key, Update::increment(key_name(key), path_of(key), 1 << (DIGIT * digit as u32)), quorum)
}

fn change(key: KeyId, update: Update, quorum: Quorum) -> Wish {
    let request = Request::Update(Update { w: quorum, ..update });
    Wish { key, request, scope: Some(Scope::Paths(Vec::new())), values: Vec::new(), quorum }
}

/// Reads a counter or a set.
pub fn look_at(key: KeyId, quorum: Quorum) -> Wish {
    let request = Request::Get(Get {
        key: key_name(key),
        path: path_of(key).to_string(),
        r: quorum,
        session: Bytes::new(),
        last_writer_wins: false,
        deadline_ms: 0,
    });
    Wish { key, request, scope: None, values: Vec::new(), quorum }
}
