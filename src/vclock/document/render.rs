//! Turns the live versions of an entry back into a value, and says which paths are in conflict.

use super::json::write_string;
use super::members::Members;
use crate::vclock::path::segment_name;
use crate::vclock::{Dot, Entry, Kind, Path, Timestamp, Typed, Version, element_member, expiry_among};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A value in an answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Value {
    /// Opaque bytes.
    Bytes(Bytes),
    /// Bytes of a content type.
    Typed(Typed),
    /// JSON text.
    Json(Bytes),
    /// A counter: its sum in decimal digits, exact, however large. Inside a document it is a number.
    Counter(Bytes),
    /// A set. Inside a document it is an array of strings.
    Set(Members),
}

/// Several versions of one path that nobody has reconciled yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// The path in the client's syntax; empty for the whole value.
    pub path: String,
    /// The siblings, equal ones once, in the order of their dots.
    pub values: Vec<Value>,
}

/// What lies at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendered {
    /// The value without the paths in conflict; none if the conflict is at the path itself.
    pub value: Option<Value>,
    /// The paths in conflict, in order.
    pub conflicts: Vec<Conflict>,
    /// Versions that last-writer-wins has hidden.
    pub hidden: u32,
    /// The dots of the live versions at and below the path, shown or hidden by last-writer-wins, in (path, dot) order. Not those of
    /// expired ones. Those of the terms of counters stand among them.
    pub dots: Vec<Dot>,
    /// When what is shown expires (milliseconds since 1970), or the first part of it that does; 0 for never. Of equal siblings the last counts:
    /// until then the value is there.
    pub expiry_ms: u64,
}

/// What lies at and below a path, by the reader's clock: versions whose expiry is not after `now_ms` (milliseconds since 1970) are hidden.
/// None if nothing is there. What lies above is not looked at: below a scalar or an array there is nothing.
///
/// * Objects have their members in the order of the names' bytes.
/// * **Siblings**: several versions of one path that differ in kind or value are a conflict; equal ones are shown once.
/// * A scalar, array or bytes at a path where another writer has an object: a conflict at that path; the object stands in it as JSON
///   without what is in conflict inside it, which is a conflict of its own. An empty object beside members is none.
/// * **Amounts** at one path are one number, their sum, exact, however large; amounts that are not eight bytes count 0. A term beside them hides
///   those that it ends, and is not shown itself.
/// * **Elements** of a set stand one below the set's path; they are shown as an array of strings there, each element once, in hex if it is not
///   UTF-8.
/// * Bytes are `Value::Bytes` or, with a content type, `Value::Typed` at the root. Clients make no others; elsewhere they are a string, in hex if
///   they are not UTF-8. What should have a content type and has none that can be read is bytes, whole.
/// * With `last_writer_wins` each path in conflict shows what has the newest version by (time, dot), an object by its newest leaf; the
///   versions of the others are counted as hidden, and no conflict is listed.
pub fn render(entry: &Entry, at: &Path, now_ms: u64, last_writer_wins: bool) -> Option<Rendered> {
    let versions = entry.versions();
    let expiry_of = |version: &Version| expiry_among(versions, version);
    let is_live = |version: &Version| expiry_of(version) == 0 || expiry_of(version) > now_ms;
    if let [version] = versions
        && matches!(version.kind, Kind::Bytes | Kind::Typed)
        && version.path.is_root()
        && at.is_root()
    {
        // A plain value, of which there are most.
        let value = Some(bytes_value(version));
        let (conflicts, dots, expiry_ms) = (Vec::new(), vec![version.dot], version.expiry_ms);
        return is_live(version).then_some(Rendered { value, conflicts, hidden: 0, dots, expiry_ms });
    }
    let from = versions.partition_point(|version| version.path < *at);
    let below = versions[from..].iter().take_while(|version| at.contains(&version.path));
    let mut shown: Vec<&Version> = below.filter(|version| is_live(version)).collect();
    let dots = shown.iter().map(|version| version.dot).collect();
    shown.retain(|version| version.kind != Kind::Term);
    if shown.is_empty() {
        return None;
    }
    let mut painter = Painter { versions, ..Painter::default() };
    let value = painter.value_at(&shown, at.as_bytes().len(), last_writer_wins);
    Some(Rendered { value, conflicts: painter.conflicts, hidden: painter.hidden, dots, expiry_ms: painter.expiry_ms })
}

/// One of the things that lie at a path: alone it is the value, beside others a sibling.
struct Contender<'a> {
    shape: Shape,
    /// What it is made of, never nothing, in (path, dot) order.
    versions: Vec<&'a Version>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Versions of equal kind and value.
    Leaf,
    /// Amounts.
    Sum,
    /// Elements.
    Set,
    /// Leaves further below, and empty maps.
    Map,
}

impl Contender<'_> {
    fn newest(&self) -> (Timestamp, Dot) {
        self.versions.iter().map(|version| (version.time, version.dot)).max().expect("a contender has a version")
    }

    fn first_dot(&self) -> Dot {
        self.versions.iter().map(|version| version.dot).min().expect("a contender has a version")
    }
}

/// The one version at and below a path, if there is only one and its value is shown as it is: the common case, which needs no gathering.
fn lone_leaf<'a>(versions: &[&'a Version], depth: usize) -> Option<&'a Version> {
    match versions {
        [version] if version.path.as_bytes().len() == depth && matches!(version.kind, Kind::Scalar | Kind::Array) => Some(version),
        _ => None,
    }
}

/// What the versions at and below a path make of it, in the order of their first dots. `depth` is the length of that path's encoded form.
fn contenders<'a>(versions: &[&'a Version], depth: usize) -> Vec<Contender<'a>> {
    let mut contenders: Vec<Contender<'a>> = Vec::new();
    for version in versions {
        let below = &version.path.as_bytes()[depth..];
        let is_child = below.iter().position(|byte| *byte == 0) == below.len().checked_sub(1);
        let shape = match version.kind {
            Kind::Element if !below.is_empty() && is_child => Shape::Set,
            Kind::EmptyMap => Shape::Map,
            _ if !below.is_empty() => Shape::Map,
            Kind::Amount => Shape::Sum,
            Kind::Bytes | Kind::Scalar | Kind::Array | Kind::Element | Kind::Term | Kind::Typed => Shape::Leaf,
        };
        let same = |old: &&mut Contender<'_>| {
            let first = old.versions[0];
            old.shape == shape && (shape != Shape::Leaf || (first.kind, &first.value) == (version.kind, &version.value))
        };
        match contenders.iter_mut().find(same) {
            Some(old) => old.versions.push(version),
            None => contenders.push(Contender { shape, versions: vec![version] }),
        }
    }
    if contenders.len() > 1 {
        contenders.sort_by_key(Contender::first_dot);
    }
    contenders
}

#[derive(Default)]
struct Painter<'v> {
    /// All versions of the entry.
    versions: &'v [Version],
    out: Vec<u8>,
    conflicts: Vec<Conflict>,
    hidden: u32,
    expiry_ms: u64,
}

impl Painter<'_> {
    /// The value at the path that was asked for; none if that is in conflict.
    fn value_at(&mut self, versions: &[&Version], depth: usize, last_writer_wins: bool) -> Option<Value> {
        if let Some(leaf) = lone_leaf(versions, depth) {
            self.expiry_ms = leaf.expiry_ms;
            return Some(Value::Json(leaf.value.clone()));
        }
        let Some(contender) = self.decide(contenders(versions, depth), depth, last_writer_wins) else {
            self.expiry_ms = self.first_expiry(versions);
            return None;
        };
        self.expiry_ms = match contender.shape {
            Shape::Leaf => last_expiry(&contender.versions),
            _ => self.first_expiry(&contender.versions),
        };
        Some(self.value(&contender, depth, last_writer_wins))
    }

    /// When the first of these expires; 0: none of them does.
    fn first_expiry(&self, versions: &[&Version]) -> u64 {
        let expiries = versions.iter().map(|version| expiry_among(self.versions, version));
        expiries.filter(|expiry_ms| *expiry_ms != 0).min().unwrap_or(0)
    }

    /// The one contender that is shown. If there are several: the newest, or none, and a conflict is noted.
    fn decide<'a>(&mut self, mut contenders: Vec<Contender<'a>>, depth: usize, last_writer_wins: bool) -> Option<Contender<'a>> {
        if contenders.len() <= 1 {
            return contenders.pop();
        }
        if last_writer_wins {
            let newest = (0..contenders.len()).max_by_key(|index| contenders[*index].newest())?;
            let chosen = contenders.swap_remove(newest);
            let hidden: usize = contenders.iter().map(|contender| contender.versions.len()).sum();
            self.hidden = self.hidden.saturating_add(u32::try_from(hidden).unwrap_or(u32::MAX));
            return Some(chosen);
        }
        let path = Path::from_checked(Bytes::copy_from_slice(&contenders[0].versions[0].path.as_bytes()[..depth]));
        let at = self.conflicts.len();
        self.conflicts.push(Conflict { path: path.to_text(), values: Vec::new() });
        // What is in conflict inside an object comes behind it, as a conflict of its own: the context of the answer covers it, so it must be seen.
        self.conflicts[at].values = contenders.iter().map(|contender| self.value(contender, depth, false)).collect();
        None
    }

    fn value(&mut self, contender: &Contender<'_>, depth: usize, last_writer_wins: bool) -> Value {
        let first = contender.versions[0];
        match (contender.shape, first.kind) {
            (Shape::Leaf, Kind::Bytes | Kind::Typed) if depth == 0 => bytes_value(first),
            (Shape::Leaf, Kind::Scalar | Kind::Array) => Value::Json(first.value.clone()),
            (Shape::Sum, _) => Value::Counter(sum(&contender.versions).to_string().into()),
            (Shape::Set, _) => Value::Set(Members::of(paths_once(&contender.versions).map(last_member))),
            _ => {
                let before = std::mem::take(&mut self.out);
                self.write(contender, depth, last_writer_wins);
                Value::Json(std::mem::replace(&mut self.out, before).into())
            }
        }
    }

    fn write(&mut self, contender: &Contender<'_>, depth: usize, last_writer_wins: bool) {
        let first = contender.versions[0];
        match (contender.shape, first.kind) {
            (Shape::Leaf, Kind::Bytes) => write_string(&bytes_text(&first.value), &mut self.out),
            (Shape::Leaf, Kind::Typed) => match bytes_value(first) {
                Value::Typed(typed) => write_string(&bytes_text(&typed.bytes()), &mut self.out),
                _ => write_string(&bytes_text(&first.value), &mut self.out),
            },
            (Shape::Leaf, Kind::Element) => write_string(&bytes_text(&last_member(&first.path)), &mut self.out),
            (Shape::Leaf, _) => self.out.extend(&first.value),
            (Shape::Sum, _) => self.out.extend(sum(&contender.versions).to_string().bytes()),
            (Shape::Set, _) => self.write_set(&contender.versions),
            (Shape::Map, _) => self.write_map(&contender.versions, depth, last_writer_wins),
        }
    }

    fn write_set(&mut self, elements: &[&Version]) {
        for (index, path) in paths_once(elements).enumerate() {
            self.out.push(if index == 0 { b'[' } else { b',' });
            write_string(&bytes_text(&last_member(path)), &mut self.out);
        }
        self.out.push(b']');
    }

    /// Members in conflict are left out. Recursion is bounded by the depth of paths.
    fn write_map(&mut self, versions: &[&Version], depth: usize, last_writer_wins: bool) {
        let members = versions.partition_point(|version| version.path.as_bytes().len() == depth);
        self.out.push(b'{');
        for member in versions[members..].chunk_by(|a, b| segment(a, depth) == segment(b, depth)) {
            let segment = segment(member[0], depth);
            let below = depth + segment.len();
            if let Some(leaf) = lone_leaf(member, below) {
                self.write_name(segment);
                self.out.extend(&leaf.value);
            } else if let Some(contender) = self.decide(contenders(member, below), below, last_writer_wins) {
                self.write_name(segment);
                self.write(&contender, below, last_writer_wins);
            }
        }
        self.out.push(b'}');
    }

    /// Appends the name of a member, after a comma unless it is the first.
    fn write_name(&mut self, segment: &[u8]) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        write_string(&segment_name(&segment[..segment.len() - 1]), &mut self.out);
        self.out.push(b':');
    }
}

/// The segment behind so many encoded bytes of the path, with its end. Requires: there is one.
fn segment(version: &Version, depth: usize) -> &[u8] {
    let below = &version.path.as_bytes()[depth..];
    let end = below.iter().position(|byte| *byte == 0).expect("a segment has an end");
    &below[..=end]
}

/// The paths of versions that stand in (path, dot) order, each once.
fn paths_once<'a>(versions: &[&'a Version]) -> impl Iterator<Item = &'a Path> {
    versions.chunk_by(|a, b| a.path == b.path).map(|same| &same[0].path)
}

/// The element that stands at a path.
fn last_member(path: &Path) -> Bytes {
    element_member(&path.segments().last().unwrap_or_default())
}

/// When the last of equal siblings expires; 0: one of them never does.
fn last_expiry(versions: &[&Version]) -> u64 {
    let expiries = || versions.iter().map(|version| version.expiry_ms);
    if expiries().any(|expiry_ms| expiry_ms == 0) { 0 } else { expiries().max().unwrap_or(0) }
}

/// Bytes at the root, with their content type if they have one. Only a broken peer or disk makes one that cannot be read: the bytes are shown then.
fn bytes_value(version: &Version) -> Value {
    match version.kind {
        Kind::Typed => Typed::from_packed(version.value.clone()).map_or_else(|_| Value::Bytes(version.value.clone()), Value::Typed),
        _ => Value::Bytes(version.value.clone()),
    }
}

fn bytes_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn sum(amounts: &[&Version]) -> i128 {
    let amount = |version: &&Version| version.value[..].try_into().map_or(0, i64::from_le_bytes);
    amounts.iter().map(|version| i128::from(amount(version))).sum()
}
