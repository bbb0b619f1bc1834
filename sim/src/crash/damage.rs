//! Damage of what was durable: flipped bits, sectors that are zeroed, old or elsewhere, files that are lost or cut.

use super::cuts::BATCHES;
use super::life::{Halt, History, Life, Refusal, Step, Violation, judge, script};
use super::{Counts, Extent, each};
use crate::disk::{Fate, SECTOR_BYTES, SimDisk};
use henge::message::Position;
use henge::storage::{OpenError, RecoveryError};
use std::ops::Range;

const SECTOR: usize = SECTOR_BYTES as usize;
const HEADER_BYTES: usize = 4_096;

/// A store to be damaged: two lives with a torn tail between them, and at the end a last batch that no mark covers.
struct Store {
    disk: SimDisk,
    /// The durable files.
    files: Vec<(String, Vec<u8>)>,
    /// The same some batches earlier.
    older: Vec<(String, Vec<u8>)>,
    history: History,
    /// All records that count, marks and seals too.
    spans: Vec<Span>,
}

/// A record in a file.
#[derive(Clone, Debug)]
struct Span {
    file: usize,
    bytes: Range<usize>,
    position: Position,
    /// Of a mark or a seal: what it says was durable.
    durable: Option<Position>,
}

/// What a start has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// It refuses: this was durable once.
    Refusal,
    /// It keeps exactly so many records: the damage is in the last batch, which no mark covers.
    Kept(usize),
    /// It keeps all of them: nothing that counts is hurt.
    All,
}

fn store(seed: u64) -> Result<Store, Violation> {
    let failed = |halt: Halt| Violation::new(halt.to_string(), "a store to be damaged");
    let disk = SimDisk::new();
    let mut life = Life::new(&disk, History::default());
    let mut steps = script(seed, BATCHES / 2);
    steps.extend([Step::Append(900), Step::Append(700), Step::Append(100), Step::Commit(false)]);
    life.run(&steps).map_err(failed)?;
    let history = life.history;
    // The last batch is torn: one sector in its middle is missing.
    let disk = disk.after_power_cut(|piece| if piece == 2 { Fate::Lost } else { Fate::Kept });
    let mut life = Life::new(&disk, history);
    life.run(&script(seed + 1_000, BATCHES / 4)).map_err(failed)?;
    let history = life.history;
    let older = files(&disk);
    let mut life = Life::new(&disk, history);
    let tail = [Step::Append(10), Step::Commit(true), Step::Append(700), Step::Commit(true), Step::Append(90), Step::Append(200)];
    life.run(&[&tail[..], &[Step::Append(400), Step::Commit(true)]].concat()).map_err(failed)?;
    let files = files(&disk);
    let spans = spans(&files);
    Ok(Store { history: life.history, disk: disk.after_power_cut(|_| Fate::Lost), files, older, spans })
}

fn files(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    disk.durable_files().into_iter().map(|(path, bytes)| (path, bytes.to_vec())).collect()
}

/// Walks through the records of all segments. It shares no code with recovery, and trusts the lengths, as nothing is damaged yet.
fn spans(files: &[(String, Vec<u8>)]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let segments = files.iter().enumerate().filter(|(_, (path, _))| path.starts_with("log/"));
    for (file, (_, bytes)) in segments {
        let mut at = HEADER_BYTES;
        while let Some(span) = span(file, bytes, at) {
            if at == HEADER_BYTES {
                // Here the segment before ends, whatever else stands there.
                spans.retain(|earlier| earlier.position < span.position);
            } else if span.position.0 != spans.last().map_or(0, |span| span.position.0) + 1 {
                break;
            }
            at = span.bytes.end;
            spans.push(span);
        }
    }
    spans
}

fn span(file: usize, bytes: &[u8], at: usize) -> Option<Span> {
    let number = |at: usize| bytes.get(at..at + 8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    let length = (number(at)? >> 32) as usize;
    let position = Position(number(at + 8)?);
    let durable = if matches!(bytes.get(at + 16)?, 9 | 10) { number(at + 24).map(Position) } else { None };
    (length > 0).then(|| Span { file, bytes: at..at + length.next_multiple_of(8), position, durable })
}

impl Store {
    /// The last position that marks outside of the hurt bytes say was durable.
    fn proven(&self, hurt: &[(usize, Range<usize>)]) -> Position {
        let is_hurt = |span: &Span| hurt.iter().any(|(file, hurt)| *file == span.file && overlap(hurt, &span.bytes));
        self.spans.iter().filter(|span| !is_hurt(span)).filter_map(|span| span.durable).max().unwrap_or_default()
    }

    /// How many records were appended up to this position.
    fn count(&self, position: Position) -> usize {
        self.history.records.partition_point(|record| record.position <= position)
    }

    /// What a start has to do when one byte is hurt.
    fn expected(&self, file: usize, byte: usize) -> Expected {
        let hurt = self.spans.iter().find(|span| span.file == file && span.bytes.contains(&byte));
        match hurt {
            None => Expected::All,
            Some(span) if span.position <= self.proven(&[(file, byte..byte + 1)]) => Expected::Refusal,
            Some(span) => Expected::Kept(self.count(Position(span.position.0 - 1))),
        }
    }

    /// Where the record begins that this byte belongs to.
    fn begins(&self, file: usize, byte: usize) -> Option<u64> {
        let span = self.spans.iter().find(|span| span.file == file && span.bytes.contains(&byte));
        span.map(|span| span.bytes.start as u64)
    }

    fn hurt(&self, damage: impl FnOnce(&SimDisk)) -> SimDisk {
        let disk = self.disk.copy();
        damage(&disk);
        disk
    }

    /// Refused, or a prefix with at least so many records.
    fn refused_or_kept(&self, disk: &SimDisk, acknowledged: usize, place: &str) -> Result<bool, Violation> {
        match judge(disk, &History { acknowledged, ..self.history.clone() }, place) {
            Ok(_) => Ok(false),
            Err(Refusal::Open(_)) => Ok(true),
            Err(Refusal::Violation(violation)) => Err(violation),
        }
    }

    fn must_be_refused(&self, disk: &SimDisk, place: &str) -> Result<(), Violation> {
        match self.refused_or_kept(disk, 0, place)? {
            true => Ok(()),
            false => Err(Violation::new("not refused", place)),
        }
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Each bit of each file is flipped.
pub(super) fn flips(seed: u64, extent: Extent) -> Result<Counts, Violation> {
    let store = store(seed)?;
    let bytes: Vec<_> =
        (0..store.files.len()).flat_map(|file| (0..store.files[file].1.len()).map(move |byte| (file, byte))).collect();
    each(extent, &bytes, |index, (file, byte)| {
        let mut counts = Counts::default();
        let expected = store.expected(*file, *byte);
        let path = &store.files[*file].0;
        for bit in (0..8).filter(|bit| (index * 8 + bit).is_multiple_of(extent.every_bit)) {
            let place = || format!("history {seed}, bit {bit} of byte {byte} of {path} flipped");
            let disk = store.hurt(|disk| disk.damage(path, |bytes| bytes[*byte] ^= 1 << bit));
            // What is refused has to be named: the file, and the record that is bad.
            let mut named = true;
            let got = match judge(&disk, &History { acknowledged: 0, ..store.history.clone() }, "") {
                Ok((_, found)) if found == store.history.records.len() => Expected::All,
                Ok((_, found)) => Expected::Kept(found),
                Err(Refusal::Open(error)) => {
                    named = matches!(&error, OpenError::Recovery(RecoveryError::Rot(rot))
                        if rot.file == *path && store.begins(*file, *byte) == Some(rot.offset));
                    Expected::Refusal
                }
                Err(Refusal::Violation(violation)) => return Err(Violation { place: place(), ..violation }),
            };
            match expected {
                Expected::Refusal => counts.flips_refused += 1,
                Expected::Kept(_) => counts.flips_in_last_batch += 1,
                Expected::All => counts.flips_harmless += 1,
            }
            if got != expected || !named {
                return Err(Violation::new(format!("expected {expected:?}, got {got:?}, named: {named}"), place()));
            }
        }
        Ok(counts)
    })
}

/// Sectors are zeroed, go back to what they were, or change places; files are lost, emptied, cut or grown.
pub(super) fn sectors_and_files(seed: u64, extent: Extent) -> Result<Counts, Violation> {
    let store = store(seed)?;
    let sectors: Vec<_> =
        (0..store.files.len()).flat_map(|file| (0..store.files[file].1.len() / SECTOR).map(move |sector| (file, sector))).collect();
    let mut counts = each(extent, &sectors, |index, (file, sector)| {
        let (path, bytes) = &store.files[*file];
        let range = sector * SECTOR..(sector + 1) * SECTOR;
        let mut counts = Counts::default();
        let mut try_one = |what: &str, hurt: &[(usize, Range<usize>)], damage: &dyn Fn(&SimDisk)| {
            let place = format!("history {seed}, sector {sector} of {path} {what}");
            counts.damages += 1;
            store.refused_or_kept(&store.hurt(damage), store.count(store.proven(hurt)), &place)
        };
        let this = [(*file, range.clone())];
        try_one("zeroed", &this, &|disk| disk.damage(path, |bytes| bytes[range.clone()].fill(0)))?;
        if let Some((_, old)) = store.older.iter().find(|(name, old)| name == path && old.len() >= range.end) {
            let old = &old[range.clone()];
            try_one("stale", &this, &|disk| disk.damage(path, |bytes| bytes[range.clone()].copy_from_slice(old)))?;
        }
        for (other_file, other_sector) in sectors[index + 1..].iter().step_by(extent.every_byte) {
            let (other_path, other_bytes) = &store.files[*other_file];
            let other = other_sector * SECTOR..(other_sector + 1) * SECTOR;
            if bytes[range.clone()] != other_bytes[other.clone()] {
                try_one("swapped", &[this[0].clone(), (*other_file, other.clone())], &|disk| {
                    disk.damage(path, |to| to[range.clone()].copy_from_slice(&other_bytes[other.clone()]));
                    disk.damage(other_path, |to| to[other.clone()].copy_from_slice(&bytes[range.clone()]));
                })?;
            }
        }
        Ok(counts)
    })?;
    for (file, (path, bytes)) in store.files.iter().enumerate() {
        let holds_records = store.spans.iter().any(|span| span.file == file);
        let mut hurt = vec![("lost".to_string(), store.hurt(|disk| disk.lose(path)))];
        for size in (0..bytes.len()).step_by(SECTOR).chain([bytes.len() - 1, bytes.len() + 1]) {
            hurt.push((format!("of {size} bytes"), store.hurt(|disk| disk.damage(path, |bytes| bytes.resize(size, 0)))));
        }
        for (what, disk) in hurt {
            let place = format!("history {seed}, {path} {what}");
            if holds_records {
                store.must_be_refused(&disk, &place)?;
            } else {
                store.refused_or_kept(&disk, store.history.acknowledged, &place)?;
            }
            counts.damages += 1;
        }
    }
    let nameless = store.hurt(|disk| ["NODE.0", "NODE.1"].into_iter().for_each(|slot| disk.lose(slot)));
    store.must_be_refused(&nameless, "both slots of the identity lost")?;
    counts.damages += 1;
    Ok(counts)
}
