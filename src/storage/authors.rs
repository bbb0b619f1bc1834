//! Short names for (actor, start), so that a trie's slot can hold a whole dot in six bytes.

use crate::vclock::{Actor, Dot, Start};
use std::collections::BTreeMap;

/// The table of authors: 16-bit aliases, given out in order and never taken back while the process runs.
#[derive(Debug, Default)]
pub(super) struct Authors {
    aliases: BTreeMap<(Actor, Start), u16>,
    authors: Vec<(Actor, Start)>,
    /// The one asked for last: writes come in runs of one author.
    last: Option<((Actor, Start), u16)>,
}

impl Authors {
    /// The alias of a dot's author. None if all are given out: then the dot has to be read from its record.
    pub fn alias(&mut self, dot: Dot) -> Option<u16> {
        let author = (dot.actor, dot.start());
        if let Some((last, alias)) = self.last
            && last == author
        {
            return Some(alias);
        }
        let alias = match self.aliases.get(&author) {
            Some(alias) => *alias,
            None => {
                let alias = u16::try_from(self.authors.len()).ok()?;
                self.aliases.insert(author, alias);
                self.authors.push(author);
                alias
            }
        };
        self.last = Some((author, alias));
        Some(alias)
    }

    /// The dot of an alias and a count. Requires: the alias was given out.
    pub fn dot(&self, alias: u16, count: u32) -> Dot {
        let (actor, start) = self.authors[usize::from(alias)];
        Dot { actor, counter: start.base() | u64::from(count) }
    }
}
