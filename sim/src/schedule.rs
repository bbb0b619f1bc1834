//! What goes wrong in a run, each occurrence with a name: its kind, and the how-manieth of its kind it is.
//!
//! Every kind draws *when* from a stream of its own, and every occurrence draws *how* from one that belongs to it alone. So one that is left out
//! shifts nothing but what follows from it, and a run can be told again with only some of them: that is how a failing seed is made small.

use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Kinds of what can be left out of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A client, with all that it asks for. Not a fault, but a run may do without.
    Client,
    /// A peer stops, or is asked to.
    Crash,
    /// All peers lose power.
    Blackout,
    /// A peer loses power just after it has sent something.
    CrashAtSend,
    /// A start is cut short.
    CrashInRecovery,
    /// The making of an empty disk is cut short.
    CrashInReplacement,
    /// A peer stands still.
    Pause,
    /// A peer stands still, or has no power, for minutes.
    LongPause,
    /// Something happens to a machine's clocks.
    Clock,
    /// Links are cut.
    Cut,
    /// A disk is lost, hurt, put back, or a copy is dropped.
    Disaster,
    /// A message is lost.
    Loss,
    /// A message comes twice.
    Duplicate,
    /// A message comes once more, much later.
    LateDuplicate,
    /// A message takes very long.
    SlowMessage,
    /// A disk job takes very long.
    SlowDisk,
    /// A disk stands still when it is to write.
    StalledDisk,
    /// A coordinator loses power behind an acknowledgement.
    CutAcknowledgement,
    /// The way of a hint is cut when it is about to be handed over.
    CutPayment,
    /// One that learns from a peer whose disk is hurt meanwhile is cut off with it.
    IsolatedLearner,
    /// A record cannot be read.
    FailedRead,
    /// A write of a disk goes wrong in its middle.
    FailedWrite,
    /// A sync fails, and what it should have made durable is gone.
    FailedSync,
    /// A call of a start fails.
    FailedStart,
    /// A disk is full for a while.
    FullDisk,
}

impl Kind {
    /// All of them, with the names by which they are called.
    pub const ALL: [(&'static str, Kind); 25] = [
        ("client", Kind::Client),
        ("crash", Kind::Crash),
        ("blackout", Kind::Blackout),
        ("crash-at-send", Kind::CrashAtSend),
        ("crash-in-recovery", Kind::CrashInRecovery),
        ("crash-in-replacement", Kind::CrashInReplacement),
        ("pause", Kind::Pause),
        ("long-pause", Kind::LongPause),
        ("clock", Kind::Clock),
        ("cut", Kind::Cut),
        ("disaster", Kind::Disaster),
        ("loss", Kind::Loss),
        ("duplicate", Kind::Duplicate),
        ("late-duplicate", Kind::LateDuplicate),
        ("slow-message", Kind::SlowMessage),
        ("slow-disk", Kind::SlowDisk),
        ("stalled-disk", Kind::StalledDisk),
        ("cut-acknowledgement", Kind::CutAcknowledgement),
        ("cut-payment", Kind::CutPayment),
        ("isolated-learner", Kind::IsolatedLearner),
        ("failed-read", Kind::FailedRead),
        ("failed-write", Kind::FailedWrite),
        ("failed-sync", Kind::FailedSync),
        ("failed-start", Kind::FailedStart),
        ("full-disk", Kind::FullDisk),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Kind::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Streams of the kinds lie behind this number, and so far apart.
const STREAMS: u64 = 1 << 48;
const STREAMS_OF_A_KIND: u64 = 1 << 40;

/// The name of an occurrence: its kind, and its number, from 1.
pub type Name = (Kind, u64);

/// Which occurrences are let happen.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Selection {
    /// Only these; all if there is no such list. Where no client is named, all of them are there.
    pub only: Option<BTreeMap<Kind, Numbers>>,
    /// Not these.
    pub without: BTreeMap<Kind, Numbers>,
}

/// Some occurrences of a kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Numbers {
    /// Every one.
    All,
    /// Those with these numbers.
    These(BTreeSet<u64>),
}

impl Numbers {
    fn contains(&self, number: u64) -> bool {
        match self {
            Numbers::All => true,
            Numbers::These(numbers) => numbers.contains(&number),
        }
    }
}

impl Selection {
    /// Only these.
    pub fn only(names: impl IntoIterator<Item = Name>) -> Selection {
        let mut only: BTreeMap<Kind, Numbers> = BTreeMap::new();
        for (kind, number) in names {
            match only.entry(kind).or_insert_with(|| Numbers::These(BTreeSet::new())) {
                Numbers::These(numbers) => _ = numbers.insert(number),
                Numbers::All => {}
            }
        }
        Selection { only: Some(only), ..Selection::default() }
    }

    /// No fault, and every client.
    pub fn no_faults() -> Selection {
        Selection::only([])
    }

    /// True if everything happens.
    pub fn is_everything(&self) -> bool {
        *self == Selection::default()
    }

    /// True if this one is let happen.
    pub fn lets(&self, (kind, number): Name) -> bool {
        let is_chosen = self.only.as_ref().is_none_or(|only| match only.get(&kind) {
            Some(numbers) => numbers.contains(number),
            None => kind == Kind::Client,
        });
        is_chosen && !self.without.get(&kind).is_some_and(|numbers| numbers.contains(number))
    }

    /// What is handed to `replay` and `shrink` to choose the same, with a blank before it; nothing if everything happens.
    pub fn options(&self) -> String {
        let only = self.only.as_ref().map(|only| format!(" --only {}", listed(only))).unwrap_or_default();
        let without = if self.without.is_empty() { String::new() } else { format!(" --without {}", listed(&self.without)) };
        only + &without
    }
}

/// `crash:3,cut:1+4-6,loss`; `none` for nothing.
fn listed(list: &BTreeMap<Kind, Numbers>) -> String {
    if list.is_empty() {
        return "none".to_string();
    }
    let item = |(kind, numbers): (&Kind, &Numbers)| match numbers {
        Numbers::All => kind.name().to_string(),
        Numbers::These(numbers) => format!("{}:{}", kind.name(), ranges(numbers)),
    };
    list.iter().map(item).collect::<Vec<_>>().join(",")
}

fn ranges(numbers: &BTreeSet<u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let written = ranges.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    written.collect::<Vec<_>>().join("+")
}

/// A list of occurrences as people write it: `crash:3,cut:1+4-6,loss`, or `none`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed(pub BTreeMap<Kind, Numbers>);

/// So many numbers of one range are believed at most.
const RANGE_MAX: u64 = 1_000_000;

impl FromStr for Listed {
    type Err = String;

    fn from_str(text: &str) -> Result<Listed, String> {
        if text == "none" {
            return Ok(Listed(BTreeMap::new()));
        }
        let item = |item: &str| {
            let (name, numbers) = item.split_once(':').map_or((item, None), |(name, numbers)| (name, Some(numbers)));
            let known = || Kind::ALL.map(|(name, _)| name).join(", ");
            let kind = Kind::ALL.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("there are {}", known()))?.1;
            Ok((kind, numbers.map_or(Ok(Numbers::All), numbers_in)?))
        };
        text.split(',').map(item).collect::<Result<_, String>>().map(Listed)
    }
}

fn numbers_in(text: &str) -> Result<Numbers, String> {
    let mut numbers = BTreeSet::new();
    for part in text.split('+') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?} is no number of an occurrence: {error}"));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last - first > RANGE_MAX {
            return Err(format!("{part:?} is no range"));
        }
        numbers.extend(first..=last);
    }
    Ok(Numbers::These(numbers))
}

/// Something that went wrong in a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Occurrence {
    /// Its name.
    pub name: Name,
    /// When (simulated microseconds).
    pub time: u64,
    /// What it was, in few words.
    pub words: String,
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, number) = self.name;
        write!(f, "{:>12.3} ms  {}:{number}  {}", self.time as f64 / 1_000.0, kind.name(), self.words)
    }
}

/// The schedule of a run: the streams of all kinds, what has happened, and what is not to.
#[derive(Debug)]
pub struct Schedule {
    seed: u64,
    selection: Selection,
    streams: Vec<Dice>,
    counts: [u64; Kind::ALL.len()],
    /// Says in words too what has happened.
    pub tells: bool,
    /// What has happened, in order.
    pub occurrences: Vec<Occurrence>,
}

/// An occurrence that happens. Whatever it draws comes from here.
#[derive(Debug)]
pub struct Strike {
    /// Its name.
    pub name: Name,
    /// Its own stream.
    pub dice: Dice,
}

impl Schedule {
    /// Before anything has happened.
    pub fn new(seed: u64, selection: Selection) -> Schedule {
        let streams = Kind::ALL.iter().map(|(_, kind)| Dice::of(seed, stream((*kind, 0)))).collect();
        Schedule { seed, selection, streams, counts: [0; Kind::ALL.len()], tells: false, occurrences: Vec::new() }
    }

    /// The stream from which a kind draws when it occurs.
    pub fn dice(&mut self, kind: Kind) -> &mut Dice {
        &mut self.streams[kind as usize]
    }

    /// True, with this probability, if one of this kind is to occur now: drawn from its own stream.
    pub fn chance(&mut self, kind: Kind, probability: f64) -> bool {
        self.dice(kind).chance(probability)
    }

    /// The one gate that everything passes that goes wrong: gives it its number; none if it is not to happen. Whoever asks says afterwards
    /// what became of it ([`Schedule::note`]).
    pub fn strikes(&mut self, kind: Kind) -> Option<Strike> {
        let count = &mut self.counts[kind as usize];
        *count += 1;
        let name = (kind, *count);
        self.selection.lets(name).then(|| Strike { name, dice: Dice::of(self.seed, stream(name)) })
    }

    /// It has happened.
    pub fn note(&mut self, name: Name, time: u64, words: String) {
        self.occurrences.push(Occurrence { name, time, words });
    }
}

fn stream((kind, number): Name) -> u64 {
    STREAMS + kind as u64 * STREAMS_OF_A_KIND + number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_read_as_it_is_written() {
        for text in ["none", "loss", "client:1+3,crash:3,cut:1+4-6,loss:17", "late-duplicate:2-3"] {
            let listed: Listed = text.parse().expect("it is a list");
            assert_eq!(Selection { only: Some(listed.0), ..Selection::default() }.options(), format!(" --only {text}"));
        }
        for text in ["", "crash:", "crash:x", "loose", "cut:3-1", "cut:0-99999999"] {
            assert!(text.parse::<Listed>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_selection_lets_what_it_names_and_all_clients_unless_it_names_some() {
        let selection = Selection::only([(Kind::Cut, 2)]);
        assert!(selection.lets((Kind::Cut, 2)) && !selection.lets((Kind::Cut, 1)) && !selection.lets((Kind::Loss, 2)));
        assert!(selection.lets((Kind::Client, 4)) && !Selection::only([(Kind::Client, 1)]).lets((Kind::Client, 4)));
        let without = Selection { without: BTreeMap::from([(Kind::Loss, Numbers::All)]), ..Selection::default() };
        assert!(!without.lets((Kind::Loss, 2)) && without.lets((Kind::Cut, 1)) && !without.is_everything());
    }

    #[test]
    fn what_an_occurrence_draws_does_not_depend_on_those_before_it() {
        let third = |selection| {
            let mut schedule = Schedule::new(5, selection);
            let strikes: Vec<Option<Strike>> = (0..3)
                .map(|_| {
                    let mut strike = schedule.strikes(Kind::Crash)?;
                    // However much each of them draws.
                    strike.dice.number();
                    Some(strike)
                })
                .collect();
            strikes.into_iter().next_back().flatten().map(|mut strike| strike.dice.number())
        };
        let alone = third(Selection::only([(Kind::Crash, 3)]));
        assert!(alone.is_some() && alone == third(Selection::default()));
        assert_eq!(third(Selection::no_faults()), None);
    }

    #[test]
    fn every_kind_stands_at_its_place_and_has_a_name_of_its_own() {
        Kind::ALL.iter().enumerate().for_each(|(at, (_, kind))| assert_eq!(at, *kind as usize));
        assert_eq!(Kind::ALL.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len(), Kind::ALL.len());
    }
}
