//! Oracle a″: a dot names one value for ever, and a value has one dot.
//!
//! One map over all peers and all time. It is told of every version that any message or receipt mentions, so a dot that is issued twice
//! is found where it happens, and not when two replicas happen to differ.

use super::Violation;
use crate::history::{History, KeyId, ValueId, Values, Write, typed_values, values_in};
use henge::vclock::{Dot, Kind, Path, Typed, Version};
use std::collections::{BTreeMap, BTreeSet};

/// What every dot names.
#[derive(Default, Debug)]
pub struct Dots {
    named: BTreeMap<(u16, Dot), Named>,
    dot_of: BTreeMap<ValueId, (u16, Dot)>,
    /// Dots of empty objects: what is left where the last leaf inside was removed. They hold no value.
    empty: BTreeSet<(u16, Dot)>,
}

/// What a dot names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The key.
    pub key: KeyId,
    /// The path in the client's syntax.
    pub path: String,
    /// The value.
    pub value: ValueId,
}

impl Dots {
    /// Takes note of a version with its value, and answers with that; none of an empty object. The value must have been written to this key and
    /// path.
    pub fn note_version(
        &mut self,
        history: &History,
        partition: u16,
        key: KeyId,
        version: &Version,
    ) -> Result<Option<ValueId>, Violation> {
        if version.kind == Kind::EmptyMap {
            self.empty.insert((partition, version.dot));
            return Ok(None);
        }
        let path = version.path.to_text();
        let mut values = match version.kind {
            Kind::Typed => Typed::from_packed(version.value.clone()).as_ref().map(typed_values).unwrap_or_default(),
            _ => values_in(&version.value),
        };
        let (Some(value), true) = (values.pop_first(), values.is_empty()) else {
            let text = String::from_utf8_lossy(&version.value).into_owned();
            return Err(Violation::new("b: phantom", format!("the version {} of key {} holds {text:?}", version.dot, key.0)));
        };
        match history.author(value) {
            Some((write, at)) if write.key == key && at == path => {}
            _ => return Err(Violation::new("b: phantom", format!("{value} was never written to key {} path `{path}`", key.0))),
        }
        self.note(partition, version.dot, Named { key, path, value })?;
        Ok(Some(value))
    }

    /// Takes note of what a dot names.
    pub fn note(&mut self, partition: u16, dot: Dot, named: Named) -> Result<(), Violation> {
        if let Some(known) = self.named.get(&(partition, dot)) {
            let what = format!("dot {dot} of partition {partition} names {known:?} and {named:?}");
            return if *known == named { Ok(()) } else { Err(Violation::new("a″", what)) };
        }
        if let Some(other) = self.dot_of.insert(named.value, (partition, dot)) {
            let what = format!("{} was applied twice: as dot {} and as dot {dot} of key {}", named.value, other.1, named.key.0);
            return Err(Violation::new("a″", what));
        }
        self.named.insert((partition, dot), named);
        Ok(())
    }

    /// Takes note of the dots that a receipt tells; they stand in the order of the paths.
    pub fn note_receipt(&mut self, write: &Write, partition: u16, dots: &[Dot]) -> Vec<Violation> {
        let mut values = write.values.clone();
        values.sort_by_key(|(path, _)| Path::parse(path).ok());
        if values.len() < dots.len() {
            // An empty object is left where the last leaf inside was removed, and has a dot of its own.
            return Vec::new();
        }
        if values.len() > dots.len() {
            let what = format!("a write of {} leaves of key {} made {} dots", values.len(), write.key.0, dots.len());
            return vec![Violation::new("a″", what)];
        }
        let named = values.into_iter().map(|(path, value)| Named { key: write.key, path, value });
        named.zip(dots).filter_map(|(named, dot)| self.note(partition, *dot, named).err()).collect()
    }

    /// The values that these dots name, as far as they are known.
    pub fn values<'a>(&self, partition: u16, dots: impl IntoIterator<Item = &'a Dot>) -> Values {
        dots.into_iter().filter_map(|dot| self.named.get(&(partition, *dot))).map(|named| named.value).collect()
    }

    /// All that is known, by partition and dot.
    pub fn all(&self) -> impl Iterator<Item = (u16, Dot, &Named)> {
        self.named.iter().map(|((partition, dot), named)| (*partition, *dot, named))
    }

    /// True if it is known what a dot names, if only an empty object.
    pub fn is_known(&self, partition: u16, dot: Dot) -> bool {
        self.named.contains_key(&(partition, dot)) || self.empty.contains(&(partition, dot))
    }
}

/// An answer shows just the values that its dots name; some of them if it says that it hides others. Requires: all its dots are known.
pub fn judge_answer(key: KeyId, shown: &Values, named: &Values, hides: bool) -> Option<Violation> {
    let is_right = if hides { shown.is_subset(named) } else { shown == named };
    let what = || format!("an answer for key {} shows {shown:?}, and its dots name {named:?}", key.0);
    (!is_right).then(|| Violation::new("b: phantom", what()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use henge::vclock::Actor;

    #[test]
    fn a_reused_dot_and_a_value_applied_twice_are_refused() {
        let mut dots = Dots::default();
        let dot = |counter| Dot { actor: Actor(1), counter };
        let named = |value| Named { key: KeyId(0), path: String::new(), value: ValueId(value) };
        assert!(dots.note(0, dot(1), named(1)).is_ok() && dots.note(0, dot(1), named(1)).is_ok());
        assert!(dots.note(1, dot(1), named(2)).is_ok(), "dots are counted for each partition apart");
        assert_eq!(dots.note(0, dot(1), named(3)).map_err(|violation| violation.oracle), Err("a″"));
        assert_eq!(dots.note(0, dot(2), named(1)).map_err(|violation| violation.oracle), Err("a″"));
        assert_eq!(dots.values(0, &[dot(1), dot(9)]), Values::from([ValueId(1)]));
    }
}
