//! Writes entries that are not plain.

use super::{BLOCK_LEAVES, EXPIRY, LEAVES, LOGICAL, ROW_FOLLOWS, ROW_SHIFT};
use crate::vclock::varint::put;
use crate::vclock::{Actor, Dot, Entry, Version, encode_seen};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A dot's author, (actor, start), and its n in that start.
fn split(dot: Dot) -> ((Actor, u32), u32) {
    ((dot.actor, dot.start().0), dot.counter as u32)
}

pub(super) fn pack_general(entry: &Entry, bare: bool) -> Bytes {
    let versions = entry.versions();
    let values: usize = if bare { 0 } else { versions.iter().map(|version| version.value.len()).sum() };
    let mut out = Vec::with_capacity(64 + values + 32 * versions.len());
    out.push(LEAVES);
    put(&mut out, versions.len() as u64);
    encode_seen(entry.context(), &mut out);

    let rows = rows(versions);
    put_rows(&rows, &mut out);
    let Some(lowest_ms) = versions.iter().map(|version| version.time.wall_ms()).min() else {
        return out.into();
    };
    put(&mut out, lowest_ms);

    // The table of blocks is filled in as they are written.
    let table = out.len();
    out.resize(table + 4 * (versions.len().div_ceil(BLOCK_LEAVES) - 1), 0);
    let area = out.len();
    let mut before: &[u8] = &[];
    for (index, version) in versions.iter().enumerate() {
        let path = version.path.as_bytes();
        if index % BLOCK_LEAVES == 0 {
            if index > 0 {
                let begin = u32::try_from(out.len() - area).expect("an entry is far below 4 GiB");
                out[table + 4 * (index / BLOCK_LEAVES - 1)..][..4].copy_from_slice(&begin.to_le_bytes());
            }
            put(&mut out, path.len() as u64);
            out.extend(path);
        } else {
            let shared = before.iter().zip(path).take_while(|(a, b)| a == b).count();
            put(&mut out, shared as u64);
            put(&mut out, (path.len() - shared) as u64);
            out.extend(&path[shared..]);
        }
        before = path;
        put_version(version, &rows, lowest_ms, bare, &mut out);
    }
    out.into()
}

/// The authors of the versions in order, each with its least n.
fn rows(versions: &[Version]) -> Vec<((Actor, u32), u32)> {
    let mut rows: BTreeMap<(Actor, u32), u32> = BTreeMap::new();
    for (author, n) in versions.iter().map(|version| split(version.dot)) {
        rows.entry(author).and_modify(|least| *least = n.min(*least)).or_insert(n);
    }
    rows.into_iter().collect()
}

fn put_rows(rows: &[((Actor, u32), u32)], out: &mut Vec<u8>) {
    let by_actor = || rows.chunk_by(|a, b| a.0.0 == b.0.0);
    put(out, by_actor().count() as u64);
    for starts in by_actor() {
        out.extend(starts[0].0.0.0.to_be_bytes());
        put(out, starts.len() as u64);
        let mut before = None;
        for ((_, start), least) in starts {
            put(out, u64::from(before.map_or(*start, |before| start - before - 1)));
            put(out, u64::from(*least));
            before = Some(*start);
        }
    }
}

fn put_version(version: &Version, rows: &[((Actor, u32), u32)], lowest_ms: u64, bare: bool, out: &mut Vec<u8>) {
    let (author, n) = split(version.dot);
    let row = rows.binary_search_by_key(&author, |row| row.0).expect("the table has every author");
    let logical = version.time.0 & 0xffff;
    let expiry_flag = if version.expiry_ms == 0 { 0 } else { EXPIRY };
    let logical_flag = if logical == 0 { 0 } else { LOGICAL };
    out.push(version.kind as u8 | expiry_flag | logical_flag | (row.min(ROW_FOLLOWS) as u8) << ROW_SHIFT);
    if row >= ROW_FOLLOWS {
        put(out, (row - ROW_FOLLOWS) as u64);
    }
    put(out, u64::from(n - rows[row].1));
    put(out, version.time.wall_ms() - lowest_ms);
    if logical != 0 {
        put(out, logical);
    }
    if version.expiry_ms != 0 {
        put(out, version.expiry_ms);
    }
    let value: &[u8] = if bare { &[] } else { &version.value };
    put(out, value.len() as u64);
    out.extend(value);
}
