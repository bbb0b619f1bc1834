//! What clients did and were told: the one thing that oracles judge.
//!
//! Every written value is unique and carries its own number, so that a value in an answer says by itself which write made it. A write
//! whose answer never came, or says so, is *unknown*: it may or may not take effect.

use henge::message::Typed;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Names a written value. As text it is `v` and the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueId(pub u64);

/// Names a write: its place in [`History::writes`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WriteId(pub usize);

/// Names a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeyId(pub u16);

/// Values, in order.
pub type Values = BTreeSet<ValueId>;

/// What a write replaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The whole key.
    Whole,
    /// Some paths.
    Paths(Vec<Target>),
}

/// A path that a write changes, in the client's syntax.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The path.
    pub path: String,
    /// True if the write only removes what lies there.
    pub is_removal: bool,
}

/// What became of a write, as far as its client knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// No answer yet, or none that says: it may or may not take effect.
    Unknown,
    /// It was acknowledged.
    Acked {
        /// When (microseconds).
        at: u64,
        /// By how many replicas at least.
        w: usize,
    },
    /// It was refused, and nothing was done.
    Refused,
}

/// When what a write sets expires. It has an expiry if `ttl_ms` is not 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Expiry {
    /// How long it was to live (milliseconds).
    pub ttl_ms: u64,
    /// Not before this, by any clock (milliseconds since 1970).
    pub at_ms: u64,
    /// True if a version has said so: then it is just that moment.
    pub is_known: bool,
}

/// A write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The client.
    pub client: u64,
    /// The key.
    pub key: KeyId,
    /// What it replaces.
    pub scope: Scope,
    /// The leaves that it sets: path and value. None: it removes.
    pub values: Vec<(String, ValueId)>,
    /// The values that the context handed in had shown; none for a write without a context.
    pub context: Option<Values>,
    /// When what it sets expires.
    pub expiry: Expiry,
    /// When the client asked (microseconds).
    pub invoked: u64,
    /// The write cannot be begun any more after this (microseconds).
    pub until: u64,
    /// True if it was tried more than once, so that the receipt may not tell all that the first try covered.
    pub is_retried: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// The values that its receipt lists as covered.
    pub covered: Values,
}

/// A read that was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The client.
    pub client: u64,
    /// The key.
    pub key: KeyId,
    /// The path that was asked for.
    pub path: String,
    /// R, or fewer: the owners that have lost nothing among those that answered.
    pub r: usize,
    /// When the client asked (microseconds).
    pub invoked: u64,
    /// When the answer came (microseconds).
    pub ended: u64,
    /// The latest that any wall clock had said by then (milliseconds since 1970); 0 where nothing expires.
    pub wall_ms: u64,
    /// The values that were live.
    pub shown: Values,
    /// The values that the session handed in had shown.
    pub session: Values,
}

/// All writes and answered reads of a run.
#[derive(Clone, Default, Debug)]
pub struct History {
    writes: Vec<Write>,
    reads: Vec<Read>,
    of_value: BTreeMap<ValueId, (WriteId, usize)>,
    of_key: BTreeMap<KeyId, Vec<WriteId>>,
    /// Values whose only copy was on a disk when that was lost, and when (microseconds).
    lost: BTreeMap<ValueId, u64>,
}

impl History {
    /// Notes that a write begins.
    pub fn invoke(&mut self, write: Write) -> WriteId {
        let id = WriteId(self.writes.len());
        for (leaf, (_, value)) in write.values.iter().enumerate() {
            let is_new = self.of_value.insert(*value, (id, leaf)).is_none();
            assert!(is_new, "every value is written once");
        }
        self.of_key.entry(write.key).or_default().push(id);
        self.writes.push(write);
        id
    }

    /// Notes an answered read.
    pub fn note_read(&mut self, read: Read) {
        self.reads.push(read);
    }

    /// Notes that a disk is lost that alone held a value for sure.
    pub fn note_lost(&mut self, value: ValueId, time: u64) {
        self.lost.entry(value).or_insert(time);
    }

    /// True if the only copy of a value may have been lost before this (microseconds), and fewer than `least` owners have acknowledged its write.
    pub fn may_be_lost(&self, value: ValueId, by: u64, least: usize) -> bool {
        let is_kept = |write: &Write| matches!(write.outcome, Outcome::Acked { w, .. } if w >= least);
        self.lost.get(&value).is_some_and(|at| *at <= by) && !self.author(value).is_some_and(|(write, _)| is_kept(write))
    }

    /// The writes in the order in which they were asked for.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The answered reads.
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// A write.
    pub fn write(&self, id: WriteId) -> &Write {
        &self.writes[id.0]
    }

    /// A write, to note what became of it.
    pub fn write_mut(&mut self, id: WriteId) -> &mut Write {
        &mut self.writes[id.0]
    }

    /// The writes of a key.
    pub fn of_key(&self, key: KeyId) -> impl Iterator<Item = &Write> {
        self.of_key.get(&key).into_iter().flatten().map(|id| self.write(*id))
    }

    /// A version with this value has said when it expires (milliseconds since 1970, 0 for never). That is one moment for all that a write
    /// sets, and for all copies of it. Answers with what is wrong with it.
    pub fn note_expiry(&mut self, value: ValueId, expiry_ms: u64) -> Result<(), String> {
        let Some((id, _)) = self.of_value.get(&value) else { return Ok(()) };
        let expiry = &mut self.writes[id.0].expiry;
        let is_right = match expiry.ttl_ms {
            0 => expiry_ms == 0,
            _ if expiry.is_known => expiry_ms == expiry.at_ms,
            _ => expiry_ms > 0 && expiry_ms >= expiry.at_ms,
        };
        if !is_right {
            return Err(format!("a version of {value} expires at {expiry_ms} ms, and was written with {expiry:?}"));
        }
        if expiry.ttl_ms > 0 {
            (expiry.at_ms, expiry.is_known) = (expiry_ms, true);
        }
        Ok(())
    }

    /// Who wrote a value, and at which path; none if nobody did.
    pub fn author(&self, value: ValueId) -> Option<(&Write, &str)> {
        let (id, leaf) = self.of_value.get(&value)?;
        let write = self.write(*id);
        Some((write, &write.values[*leaf].0))
    }
}

impl Scope {
    /// True if the write surely replaces what lies at this path, if it has seen it.
    pub fn replaces(&self, path: &str) -> bool {
        match self {
            Scope::Whole => true,
            Scope::Paths(targets) => {
                targets.iter().any(|target| contains(&target.path, path) || (!target.is_removal && contains(path, &target.path)))
            }
        }
    }

    /// True if the write may replace what lies at this path.
    pub fn may_replace(&self, path: &str) -> bool {
        match self {
            Scope::Whole => true,
            Scope::Paths(targets) => targets.iter().any(|target| contains(&target.path, path) || contains(path, &target.path)),
        }
    }
}

impl Write {
    /// True if it was acknowledged.
    pub fn is_acked(&self) -> bool {
        matches!(self.outcome, Outcome::Acked { .. })
    }

    /// True if what it sets may have expired by a clock that has come to this moment (milliseconds since 1970).
    pub fn may_have_expired(&self, wall_ms: u64) -> bool {
        self.expiry.ttl_ms > 0 && self.expiry.at_ms <= wall_ms
    }

    /// True if it sets nothing.
    pub fn is_removal(&self) -> bool {
        self.values.is_empty()
    }
}

/// True if `inner` is `outer` or lies below it.
pub fn contains(outer: &str, inner: &str) -> bool {
    outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The values that stand in a text: every `v` and number at the beginning or behind a quotation mark.
pub fn values_in(text: &[u8]) -> Values {
    let mut found = Values::new();
    for at in 0..text.len() {
        let begins = at == 0 || text[at - 1] == b'"';
        let digits = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if begins && text[at] == b'v' && digits > 0 {
            let number = std::str::from_utf8(&text[at + 1..at + 1 + digits]).ok().and_then(|digits| digits.parse().ok());
            found.extend(number.map(ValueId));
        }
    }
    found
}

/// The value that stands in typed bytes; none if they are not of the type with which it was written, `text/` and the value.
pub fn typed_values(typed: &Typed) -> Values {
    let mut found = values_in(&typed.bytes());
    found.retain(|value| typed.content_type() == format!("text/{value}"));
    found
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Debug for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_bytes_and_in_json() {
        assert_eq!(values_in(b"v12"), Values::from([ValueId(12)]));
        assert_eq!(values_in(br#"{"a":"v1","c":{"x":"v22"},"v":"x"}"#), Values::from([ValueId(1), ValueId(22)]));
        assert!(values_in(b"").is_empty() && values_in(b"av1").is_empty() && values_in(b"v").is_empty());
    }

    #[test]
    fn all_copies_of_what_a_write_sets_expire_at_one_moment() {
        let history = |ttl_ms, at_ms| {
            let mut history = History::default();
            history.invoke(Write {
                client: 1,
                key: KeyId(0),
                scope: Scope::Whole,
                values: vec![("a".into(), ValueId(1)), ("b".into(), ValueId(2))],
                context: None,
                expiry: Expiry { ttl_ms, at_ms, is_known: false },
                invoked: 0,
                until: 0,
                is_retried: false,
                outcome: Outcome::Unknown,
                covered: Values::new(),
            });
            history
        };
        let mut forever = history(0, 0);
        assert!(forever.note_expiry(ValueId(1), 0).is_ok() && forever.note_expiry(ValueId(2), 7).is_err());
        assert!(!forever.writes()[0].may_have_expired(u64::MAX));
        let mut short = history(5, 100);
        assert!(short.note_expiry(ValueId(1), 0).is_err() && short.note_expiry(ValueId(1), 99).is_err(), "never, and too early");
        assert!(short.note_expiry(ValueId(1), 103).is_ok() && short.note_expiry(ValueId(2), 103).is_ok());
        assert!(short.note_expiry(ValueId(2), 104).is_err(), "another moment");
        assert!(!short.writes()[0].may_have_expired(102) && short.writes()[0].may_have_expired(103));
    }

    #[test]
    fn a_write_replaces_at_and_below_its_paths_and_a_set_also_a_leaf_above() {
        let scope = |path: &str, is_removal| Scope::Paths(vec![Target { path: path.into(), is_removal }]);
        assert!(scope("c", false).replaces("c.x") && scope("c", true).replaces("c") && !scope("c", true).replaces("ca"));
        assert!(scope("c.x", false).replaces("c") && !scope("c.x", true).replaces("c") && scope("c.x", true).may_replace("c"));
        assert!(Scope::Whole.replaces("anything") && scope("a", false).replaces("") && !scope("a", false).replaces("b"));
    }
}
