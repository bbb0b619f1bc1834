//! Reads entries that are not plain: whole, or what belongs to one path.

use super::{BLOCK_LEAVES, EXPIRY, KIND, LEAVES, LOGICAL, PackError, ROW_FOLLOWS, ROW_SHIFT, kind_of};
use crate::limits::DOCUMENT_PATH_BYTES_MAX;
use crate::vclock::path::check_encoded;
use crate::vclock::varint::{take, take_array, take_bytes, take_count};
use crate::vclock::{Actor, Dot, Entry, Kind, Path, Seen, Start, Timestamp, Version, decode_seen};
use bytes::Bytes;
use std::cmp::Ordering;
use std::ops::Range;

/// The fewest bytes that a leaf takes: path, flags, n, time, length of the value.
const LEAF_BYTES_MIN: usize = 5;
/// The fewest bytes that an actor takes in the table: id, count, one start and its least n.
const ACTOR_BYTES_MIN: usize = 11;
/// The fewest bytes that a start takes in the table.
const START_BYTES_MIN: usize = 2;
/// Most bytes that the paths of an entry may take in memory: as many as those of four of the largest documents, none of which has
/// seen another. What is made up to burst the memory is refused.
const PATHS_BYTES_MAX: usize = 4 * DOCUMENT_PATH_BYTES_MAX;

/// A (actor, start) that has written leaves of the entry.
struct Row {
    actor: Actor,
    start: Start,
    least: u32,
}

/// What stands before the leaves.
struct Head<'a> {
    count: usize,
    context: Seen,
    rows: Vec<Row>,
    lowest_ms: u64,
    /// Where the blocks but the first begin.
    table: &'a [[u8; 4]],
    /// The blocks: all that follows.
    area: &'a [u8],
}

/// A leaf as it was read; its path is the walk's.
struct Leaf {
    dot: Dot,
    row: usize,
    n: u32,
    kind: Kind,
    time: Timestamp,
    expiry_ms: u64,
    /// In the blocks.
    value: Range<usize>,
}

fn head(packed: &[u8]) -> Result<Head<'_>, PackError> {
    let mut rest = packed;
    let [tag] = take_array(&mut rest)?;
    if tag != LEAVES {
        return Err(PackError::Form(tag));
    }
    let count = take_count(&mut rest, LEAF_BYTES_MIN)?;
    let context = decode_seen(&mut rest)?;
    let rows = take_rows(&mut rest)?;
    if count == 0 {
        return Ok(Head { count, context, rows, lowest_ms: 0, table: &[], area: rest });
    }
    let lowest_ms = take(&mut rest)?;
    let table = take_bytes(&mut rest, 4 * (count.div_ceil(BLOCK_LEAVES) - 1))?;
    Ok(Head { count, context, rows, lowest_ms, table: table.as_chunks().0, area: rest })
}

fn take_rows(rest: &mut &[u8]) -> Result<Vec<Row>, PackError> {
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..take_count(rest, ACTOR_BYTES_MIN)? {
        let actor = Actor(u64::from_be_bytes(take_array(rest)?));
        let starts = take_count(rest, START_BYTES_MIN)?;
        if starts == 0 || rows.last().is_some_and(|before| before.actor >= actor) {
            return Err(PackError::Order);
        }
        let mut before: Option<u64> = None;
        for _ in 0..starts {
            let base = before.map_or(0, |before| before + 1);
            let start = u32::try_from(take(rest)?.checked_add(base).ok_or(PackError::Number)?).map_err(|_| PackError::Number)?;
            let least = u32::try_from(take(rest)?).map_err(|_| PackError::Number)?;
            rows.push(Row { actor, start: Start(start), least });
            before = Some(u64::from(start));
        }
    }
    Ok(rows)
}

impl<'a> Head<'a> {
    fn blocks(&self) -> usize {
        self.count.div_ceil(BLOCK_LEAVES)
    }

    /// Where a block begins, in `area`.
    fn begin(&self, block: usize) -> Result<usize, PackError> {
        let begin = block.checked_sub(1).map_or(0, |row| u32::from_le_bytes(self.table[row]) as usize);
        if begin <= self.area.len() { Ok(begin) } else { Err(PackError::Truncated) }
    }

    /// The whole path with which a block begins.
    fn first_path(&self, block: usize) -> Result<&'a [u8], PackError> {
        let mut rest = &self.area[self.begin(block)?..];
        let length = take_count(&mut rest, 1)?;
        take_bytes(&mut rest, length)
    }

    /// A walk that begins with a block.
    fn walk(&self, block: usize) -> Result<Walk<'_, 'a>, PackError> {
        Ok(Walk { head: self, rest: &self.area[self.begin(block)?..], index: block * BLOCK_LEAVES, path: Vec::new() })
    }

    /// A walk that misses no leaf at or behind a path, and begins as close before it as the blocks allow.
    fn walk_to(&self, path: &[u8]) -> Result<Walk<'_, 'a>, PackError> {
        // The first block that begins with the path or behind it; siblings of the path may still stand in the one before.
        let (mut low, mut high) = (0, self.blocks());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.first_path(middle)? < path { low = middle + 1 } else { high = middle }
        }
        self.walk(low.saturating_sub(1))
    }
}

/// Goes from leaf to leaf.
struct Walk<'h, 'a> {
    head: &'h Head<'a>,
    rest: &'a [u8],
    /// Of the next leaf.
    index: usize,
    /// Of the leaf read last.
    path: Vec<u8>,
}

impl Walk<'_, '_> {
    fn at(&self) -> usize {
        self.head.area.len() - self.rest.len()
    }

    /// The next leaf, and how its path compares with that of the leaf before (of the first one: with the root). None at the end.
    fn next(&mut self) -> Result<Option<(Leaf, Ordering)>, PackError> {
        if self.index >= self.head.count {
            return Ok(None);
        }
        let order = if self.index.is_multiple_of(BLOCK_LEAVES) { self.next_whole_path()? } else { self.next_path()? };
        self.index += 1;
        Ok(Some((self.next_leaf()?, order)))
    }

    fn next_whole_path(&mut self) -> Result<Ordering, PackError> {
        let length = take_count(&mut self.rest, 1)?;
        let path = take_bytes(&mut self.rest, length)?;
        let order = path.cmp(self.path.as_slice());
        if order != Ordering::Equal {
            check_encoded(path)?;
            self.path.clear();
            self.path.extend(path);
        }
        Ok(order)
    }

    fn next_path(&mut self) -> Result<Ordering, PackError> {
        let shared = usize::try_from(take(&mut self.rest)?).map_err(|_| PackError::Number)?;
        let length = take_count(&mut self.rest, 1)?;
        let suffix = take_bytes(&mut self.rest, length)?;
        let order = match (suffix.first(), self.path.get(shared)) {
            _ if shared > self.path.len() => return Err(PackError::Number),
            (None, None) => return Ok(Ordering::Equal),
            // Shares more than it says.
            (Some(byte), Some(old)) if byte == old => return Err(PackError::Spelling),
            (first, old) => first.cmp(&old),
        };
        self.path.truncate(shared);
        self.path.extend(suffix);
        check_encoded(&self.path)?;
        Ok(order)
    }

    fn next_leaf(&mut self) -> Result<Leaf, PackError> {
        let rest = &mut self.rest;
        let [flags] = take_array(rest)?;
        let kind = kind_of(flags & KIND)?;
        let mut row = usize::from(flags >> ROW_SHIFT);
        if row == ROW_FOLLOWS {
            row = usize::try_from(take(rest)?).ok().and_then(|more| more.checked_add(row)).ok_or(PackError::Number)?;
        }
        let author = self.head.rows.get(row).ok_or(PackError::Number)?;
        let offset = u32::try_from(take(rest)?).map_err(|_| PackError::Number)?;
        let n = author.least.checked_add(offset).ok_or(PackError::Number)?;
        let wall_ms = take(rest)?.checked_add(self.head.lowest_ms).filter(|ms| ms >> 48 == 0).ok_or(PackError::Number)?;
        let logical = if flags & LOGICAL == 0 { 0 } else { stated(rest)? };
        if logical > 0xffff {
            return Err(PackError::Number);
        }
        let expiry_ms = if flags & EXPIRY == 0 { 0 } else { stated(rest)? };
        let length = take_count(rest, 1)?;
        let begin = self.head.area.len() - rest.len();
        take_bytes(rest, length)?;
        let dot = Dot { actor: author.actor, counter: author.start.base() | u64::from(n) };
        let time = Timestamp(wall_ms << 16 | logical);
        Ok(Leaf { dot, row, n, kind, time, expiry_ms, value: begin..begin + length })
    }
}

/// A number that a flag has announced, so it is not 0.
fn stated(rest: &mut &[u8]) -> Result<u64, PackError> {
    let number = take(rest)?;
    if number == 0 { Err(PackError::Spelling) } else { Ok(number) }
}

/// Gathers leaves into versions. All their paths go into one allocation, and so become paths only in the end.
struct Gathered<'a> {
    packed: &'a Bytes,
    /// Where in `packed` the blocks begin.
    area: usize,
    paths: Vec<u8>,
    /// Where each version's path lies in `paths`.
    places: Vec<Range<usize>>,
    versions: Vec<Version>,
}

impl<'a> Gathered<'a> {
    fn new(packed: &'a Bytes, head: &Head<'_>) -> Gathered<'a> {
        Gathered { packed, area: packed.len() - head.area.len(), paths: Vec::new(), places: Vec::new(), versions: Vec::new() }
    }

    fn push(&mut self, path: &[u8], same_as_before: bool, leaf: Leaf) -> Result<(), PackError> {
        let place = match self.places.last() {
            Some(place) if same_as_before => place.clone(),
            _ => {
                self.paths.extend(path);
                self.paths.len() - path.len()..self.paths.len()
            }
        };
        if self.paths.len() > PATHS_BYTES_MAX {
            return Err(PackError::TooLarge);
        }
        self.places.push(place);
        let Leaf { dot, kind, time, expiry_ms, value, .. } = leaf;
        let value = self.packed.slice(self.area + value.start..self.area + value.end);
        self.versions.push(Version { dot, path: Path::ROOT, kind, value, time, expiry_ms });
        Ok(())
    }

    fn into_versions(mut self) -> Vec<Version> {
        let paths = Bytes::from(self.paths);
        for (version, place) in self.versions.iter_mut().zip(self.places) {
            version.path = Path::from_checked(paths.slice(place));
        }
        self.versions
    }
}

/// Takes everything apart, and accepts only what `pack` writes.
pub(super) fn unpack_general(packed: &Bytes) -> Result<Entry, PackError> {
    let head = head(packed)?;
    let mut gathered = Gathered::new(packed, &head);
    let mut walk = head.walk(0)?;
    let mut lowest_ms = u64::MAX;
    let mut least: Vec<Option<u32>> = vec![None; head.rows.len()];
    let mut dots = Vec::with_capacity(head.count);
    while walk.index < head.count {
        if walk.index.is_multiple_of(BLOCK_LEAVES) && walk.at() != head.begin(walk.index / BLOCK_LEAVES)? {
            return Err(PackError::Spelling);
        }
        let Some((leaf, order)) = walk.next()? else { break };
        // The first leaf compares with the root, which it may be.
        let in_order = match (order, gathered.versions.last()) {
            (Ordering::Greater, _) | (Ordering::Equal, None) => true,
            (Ordering::Equal, Some(before)) => before.dot < leaf.dot,
            (Ordering::Less, _) => false,
        };
        if !in_order {
            return Err(PackError::Order);
        }
        lowest_ms = lowest_ms.min(leaf.time.wall_ms());
        least[leaf.row] = Some(least[leaf.row].map_or(leaf.n, |n| n.min(leaf.n)));
        dots.push(leaf.dot);
        gathered.push(&walk.path, order == Ordering::Equal, leaf)?;
    }
    if !walk.rest.is_empty() {
        return Err(PackError::Trailing);
    }
    dots.sort_unstable();
    if dots.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(PackError::Duplicate);
    }
    let is_plain = gathered.versions.len() == 1 && gathered.paths.is_empty();
    let rows_are_least = head.rows.iter().zip(&least).all(|(row, least)| *least == Some(row.least));
    if is_plain || !rows_are_least || (head.count > 0 && lowest_ms != head.lowest_ms) {
        return Err(PackError::Spelling);
    }
    Ok(Entry::new(gathered.into_versions(), head.context))
}

/// Reads the blocks that hold the ancestors of a path, and those that hold what lies at and below it.
pub(super) fn select_general(packed: &Bytes, path: &Path) -> Result<Entry, PackError> {
    let head = head(packed)?;
    let mut gathered = Gathered::new(packed, &head);
    for ancestor in path.ancestors() {
        let target = ancestor.as_bytes();
        gather(&head, target, |path| path == target, &mut gathered)?;
    }
    let target = path.as_bytes();
    gather(&head, target, |path| path.starts_with(target), &mut gathered)?;
    Ok(Entry::new(gathered.into_versions(), head.context))
}

/// Gathers the leaves that are wanted: they stand one behind the other, the first not before `from`.
fn gather(head: &Head<'_>, from: &[u8], wanted: impl Fn(&[u8]) -> bool, gathered: &mut Gathered<'_>) -> Result<(), PackError> {
    let mut walk = head.walk_to(from)?;
    let mut first = true;
    while let Some((leaf, order)) = walk.next()? {
        match (wanted(&walk.path), walk.path.as_slice() < from) {
            (true, _) => {
                gathered.push(&walk.path, order == Ordering::Equal && !first, leaf)?;
                first = false;
            }
            (false, true) => {}
            (false, false) => break,
        }
    }
    Ok(())
}
