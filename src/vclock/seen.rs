//! Sets of dots as intervals: the shape of partition clocks and of contexts.

use super::dot::{Actor, Dot};
use crate::broken::{Rule, is_broken};
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

/// A set of dots: for each actor, sorted and disjoint intervals of counters; neighbours have grown together.
///
/// A *partition clock* answers "seen?" for any dot of its partition. A *context* answers it for one key. Both have this
/// shape because an actor that has forgotten earlier dots must not claim them: a plain version vector would
/// (rule `vv_only`).
///
/// There is one way to write a set down, so that equal sets are equal values; what is read in another form is refused.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Seen {
    /// In the order of the actors; none without an interval.
    runs: SmallVec<[Run; 3]>,
}

/// The intervals of one actor. In a quiet cluster it is one, and the actors are the few owners of a partition: then a set takes no memory of
/// its own, and copying one, as every read and write does, is copying some bytes.
type Run = (Actor, SmallVec<[Interval; 1]>);

/// A set as it arrived, before its form was checked.
#[derive(Deserialize)]
struct Unchecked {
    runs: SmallVec<[Run; 3]>,
}

/// Counters `first..=last`, both included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Interval {
    /// The lowest counter.
    pub first: u64,
    /// The highest counter; never below `first`.
    pub last: u64,
}

impl Seen {
    /// The empty set.
    pub const fn new() -> Seen {
        Seen { runs: SmallVec::new_const() }
    }

    /// True if there is no dot in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many intervals it takes to write the set down.
    pub fn interval_count(&self) -> usize {
        self.runs.iter().map(|(_, intervals)| intervals.len()).sum()
    }

    /// The actors in order, each with its intervals in order.
    pub fn runs(&self) -> impl Iterator<Item = (Actor, &[Interval])> {
        self.runs.iter().map(|(actor, intervals)| (*actor, intervals.as_slice()))
    }

    /// The intervals of one actor, in order.
    pub fn intervals(&self, actor: Actor) -> &[Interval] {
        match self.runs.binary_search_by_key(&actor, |run| run.0) {
            Ok(at) => &self.runs[at].1,
            Err(_) => &[],
        }
    }

    /// The dots one by one. For sets of live dots: a partition clock stands for billions.
    pub fn dots(&self) -> impl Iterator<Item = Dot> {
        let of_interval =
            |actor: Actor, interval: Interval| (interval.first..=interval.last).map(move |counter| Dot { actor, counter });
        self.runs().flat_map(move |(actor, intervals)| intervals.iter().flat_map(move |interval| of_interval(actor, *interval)))
    }

    /// True if the dot is in the set.
    pub fn contains(&self, dot: Dot) -> bool {
        let intervals = self.intervals(dot.actor);
        let above = intervals.partition_point(|interval| interval.first <= dot.counter);
        above > 0 && dot.counter <= intervals[above - 1].last
    }

    /// Adds one dot: as a dot, growing together only with its neighbours.
    pub fn insert(&mut self, dot: Dot) {
        self.insert_interval(dot.actor, Interval { first: dot.counter, last: dot.counter });
    }

    /// Adds all counters of an interval. Requires: `first <= last`.
    pub fn insert_interval(&mut self, actor: Actor, new: Interval) {
        assert!(new.first <= new.last, "an interval runs upwards");
        let at = match self.runs.binary_search_by_key(&actor, |run| run.0) {
            Ok(at) => at,
            Err(at) => {
                self.runs.insert(at, (actor, smallvec![new]));
                return;
            }
        };
        let intervals = &mut self.runs[at].1;
        let gap = if is_broken(Rule::SeenTouches) { 2 } else { 1 };
        // Everything in `from..to` overlaps or touches the new interval and melts into it.
        let from = intervals.partition_point(|old| old.last < new.first && new.first - old.last > gap);
        let to = intervals.partition_point(|old| old.first <= new.last || old.first - new.last <= gap);
        if from == to {
            intervals.insert(from, new);
        } else {
            intervals[from].first = intervals[from].first.min(new.first);
            intervals[from].last = intervals[to - 1].last.max(new.last);
            intervals.drain(from + 1..to);
        }
    }

    /// Adds every dot of another set.
    pub fn union_with(&mut self, other: &Seen) {
        if self.is_empty() {
            self.runs.clone_from(&other.runs);
        } else if other.runs.len() <= 4 && other.interval_count() <= 4 {
            // A few dots into a long clock: in place.
            for (actor, intervals) in &other.runs {
                intervals.iter().for_each(|interval| self.insert_interval(*actor, *interval));
            }
        } else {
            self.runs = union(std::mem::take(&mut self.runs), &other.runs);
        }
    }

    /// Removes every dot of another set.
    pub fn subtract(&mut self, other: &Seen) {
        for (actor, intervals) in &mut self.runs {
            let minus = other.intervals(*actor);
            if !minus.is_empty() {
                *intervals = difference(intervals, minus);
            }
        }
        self.runs.retain(|(_, intervals)| !intervals.is_empty());
    }

    /// True if every dot of this set is in the other.
    pub fn is_subset_of(&self, other: &Seen) -> bool {
        self.runs.iter().all(|(actor, intervals)| {
            let theirs = other.intervals(*actor);
            intervals.iter().all(|mine| {
                let above = theirs.partition_point(|interval| interval.first <= mine.first);
                let last = if is_broken(Rule::SubsetByLast) { theirs.len() } else { above };
                above > 0 && mine.last <= theirs[last - 1].last
            })
        })
    }
}

impl FromIterator<Dot> for Seen {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Seen {
        // In order, each dot lands at the end: nothing has to move aside for it.
        let mut dots: Vec<Dot> = dots.into_iter().collect();
        dots.sort_unstable();
        let mut seen = Seen::new();
        dots.into_iter().for_each(|dot| seen.insert(dot));
        seen
    }
}

impl TryFrom<Unchecked> for Seen {
    type Error = &'static str;

    fn try_from(unchecked: Unchecked) -> Result<Seen, &'static str> {
        let runs = unchecked.runs;
        let upwards = |all: &[Interval]| all.iter().all(|interval| interval.first <= interval.last);
        let apart = |all: &[Interval]| all.windows(2).all(|pair| pair[0].last < pair[1].first && pair[1].first - pair[0].last > 1);
        let ordered = runs.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let whole = runs.iter().all(|(_, all)| !all.is_empty() && upwards(all) && apart(all));
        match ordered && whole {
            true => Ok(Seen { runs }),
            false => Err("a set of dots must have its actors and intervals in order, apart from each other, none empty"),
        }
    }
}

/// All runs of both, in the order of the actors: one pass over each, however many there are.
fn union(mine: SmallVec<[Run; 3]>, theirs: &[Run]) -> SmallVec<[Run; 3]> {
    let mut united: SmallVec<[Run; 3]> = SmallVec::with_capacity(mine.len().max(theirs.len()));
    let mut theirs = theirs.iter().peekable();
    for (actor, mut intervals) in mine {
        while let Some(run) = theirs.next_if(|run| run.0 < actor) {
            united.push(run.clone());
        }
        if let Some(run) = theirs.next_if(|run| run.0 == actor) {
            intervals.extend_from_slice(&run.1);
            melt(&mut intervals);
        }
        united.push((actor, intervals));
    }
    united.extend(theirs.cloned());
    united
}

/// Sorts intervals and lets those that overlap or touch grow together.
fn melt(intervals: &mut SmallVec<[Interval; 1]>) {
    // Stable: two rows in order, one behind the other, are merged in one pass.
    intervals.sort();
    intervals.dedup_by(|next, last| {
        let melts = next.first <= last.last || next.first - last.last == 1;
        if melts {
            last.last = last.last.max(next.last);
        }
        melts
    });
}

/// The counters of `from` that are not in `minus`; both sorted and disjoint.
fn difference(from: &[Interval], minus: &[Interval]) -> SmallVec<[Interval; 1]> {
    let mut left = SmallVec::with_capacity(from.len());
    for interval in from {
        let mut first = interval.first;
        let mut used_up = false;
        let start = minus.partition_point(|hole| hole.last < first);
        for hole in minus[start..].iter().take_while(|hole| hole.first <= interval.last) {
            if hole.first > first {
                left.push(Interval { first, last: hole.first - 1 });
            }
            if hole.last >= interval.last {
                used_up = true;
                break;
            }
            first = hole.last + 1;
        }
        if !used_up {
            left.push(Interval { first, last: interval.last });
        }
    }
    left
}
