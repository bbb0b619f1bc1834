//! Changes of parts of a document: a value set at a path, a path removed, an RFC 7396 merge patch; and what each of them
//! writes and replaces, given what the document holds.

use super::json::{self, Json};
use super::{DocumentError, Growing, Leaf, leaves_from_json};
use crate::broken::{Rule, is_broken};
use crate::limits::DOCUMENT_LEAVES_MAX;
use crate::vclock::{Dot, Entry, Kind, Path, PathError, Version, element_name};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// One step of a change. Steps count in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// These leaves, at and below `path`, replace what lies at and below `path`, and leaves above it.
    Set {
        /// Where.
        path: Path,
        /// The leaves in the order of their paths, each path once; never none.
        leaves: Vec<Leaf>,
    },
    /// Nothing shall lie at and below `path`.
    Remove {
        /// Where.
        path: Path,
    },
    /// This element of a set stands at `path`, in the place of what stood there.
    Add {
        /// Where: one below the set.
        path: Path,
    },
    /// No element stands at `path`, nor anything else. Other than what is removed from an object, it leaves no empty object behind.
    Discard {
        /// Where.
        path: Path,
    },
    /// An object shall lie at `path`: what is none is replaced by an empty one, an object is left as it is.
    Object {
        /// Where.
        path: Path,
    },
}

/// What a change comes to, given a view of the document.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Draft {
    /// The leaves to write, in the order of their paths, each path once. Each takes a dot.
    pub leaves: Vec<Leaf>,
    /// The dots of the versions in the view that are replaced or removed, in (path, dot) order.
    pub covers: Vec<Dot>,
    /// The paths that are set, in order: the change replaces what lies at and below them, and leaves above them.
    pub paths: Vec<Path>,
    /// The paths that are removed, and those of elements, in order: the change replaces what lies at and below them, and nothing above.
    pub removed: Vec<Path>,
    /// The paths that shall be objects, in order: the change replaces leaves other than empty maps at and above them, and nothing below.
    pub objects: Vec<Path>,
}

/// Puts a JSON value at a path, over whatever lies there.
pub fn set(path: Path, json: &[u8]) -> Result<Vec<Change>, DocumentError> {
    let leaves = leaves_from_json(json, &path)?;
    Ok(vec![Change::Set { path, leaves }])
}

/// Removes what lies at and below a path; at the root: everything.
pub fn remove(path: Path) -> Vec<Change> {
    vec![Change::Remove { path }]
}

/// Takes members out of the set at a path, and puts others into it.
pub fn elements(set: &Path, add: &[Bytes], remove: &[Bytes]) -> Result<Vec<Change>, PathError> {
    let gone = remove.iter().map(|member| Ok(Change::Discard { path: set.push(&element_name(member))? }));
    let new = add.iter().map(|member| Ok(Change::Add { path: set.push(&element_name(member))? }));
    gone.chain(new).collect()
}

/// The steps of an RFC 7396 merge patch for a whole document: `null` removes, an object goes into its members, anything else is set. An object
/// over what is none replaces it; a patch that is no object replaces the document.
pub fn merge_patch(text: &[u8]) -> Result<Vec<Change>, DocumentError> {
    let parsed = json::parse(text, 0)?;
    let Json::Object(_) = &parsed.root else {
        return set(Path::ROOT, text);
    };
    let mut steps = Steps { growing: Growing::new(&Path::ROOT), places: Vec::new() };
    steps.add(&parsed.root, &parsed.texts)?;
    let paths = Bytes::from(steps.growing.paths);
    let change = |(place, step)| {
        let path = Path::from_checked(paths.slice(place));
        match step {
            Step::Object => Change::Object { path },
            Step::Remove => Change::Remove { path },
            Step::Set(kind, value) => {
                let leaves = vec![Leaf { path: path.clone(), kind, value: parsed.texts.slice(value) }];
                Change::Set { path, leaves }
            }
        }
    };
    Ok(steps.places.into_iter().map(change).collect())
}

enum Step {
    Object,
    Remove,
    Set(Kind, std::ops::Range<usize>),
}

struct Steps {
    growing: Growing,
    places: Vec<(std::ops::Range<usize>, Step)>,
}

impl Steps {
    fn add(&mut self, json: &Json, texts: &[u8]) -> Result<(), DocumentError> {
        let step = match json {
            Json::Object(_) => Step::Object,
            Json::Scalar(value) if &texts[value.clone()] == b"null" => Step::Remove,
            Json::Scalar(value) => Step::Set(Kind::Scalar, value.clone()),
            Json::Array(value) => Step::Set(Kind::Array, value.clone()),
        };
        if self.places.len() == DOCUMENT_LEAVES_MAX {
            return Err(DocumentError::TooManyLeaves);
        }
        self.places.push((self.growing.place()?, step));
        let Json::Object(members) = json else { return Ok(()) };
        for (name, member) in members {
            let above = self.growing.enter(name)?;
            self.add(member, texts)?;
            self.growing.leave(above);
        }
        Ok(())
    }
}

/// What changes come to, given a view of the document: the key's live versions as the coordinator knows them.
///
/// * Setting a path covers all versions at and below it, and the versions at its proper ancestors (a scalar, an array or an empty map
///   there would stand beside the new object).
/// * Removing a path covers all versions at and below it, and no value above. If that removed something, and leaves the object that held it without
///   members, and the change itself puts none there, an empty map is written in its place: `{"a":{"x":1}}` without `a.x` is `{"a":{}}`.
/// * Expired versions that are still in the view are versions like any other.
pub fn draft(view: &Entry, changes: &[Change]) -> Draft {
    let mut sketch = Sketch::new(view);
    for change in changes {
        match change {
            Change::Set { path, leaves } => sketch.set(path, leaves),
            Change::Remove { path } => sketch.remove(path),
            Change::Add { path } => sketch.add(path),
            Change::Discard { path } => {
                sketch.clear(path);
            }
            Change::Object { path } => sketch.object(path),
        }
    }
    sketch.write_empty_maps();
    let paths_of = |wanted: fn(&Change) -> Option<&Path>| {
        let paths: BTreeSet<&Path> = changes.iter().filter_map(wanted).collect();
        paths.into_iter().cloned().collect()
    };
    Draft {
        covers: sketch
            .versions
            .iter()
            .zip(&sketch.covered)
            .filter(|(_, covered)| **covered)
            .map(|(version, _)| version.dot)
            .collect(),
        leaves: sketch.writes.into_values().collect(),
        paths: paths_of(|change| if let Change::Set { path, .. } = change { Some(path) } else { None }),
        removed: paths_of(|change| match change {
            Change::Remove { path } | Change::Add { path } | Change::Discard { path } => Some(path),
            _ => None,
        }),
        objects: paths_of(|change| if let Change::Object { path } = change { Some(path) } else { None }),
    }
}

/// A document while changes are applied to it: what is left of the view, and what is written.
struct Sketch<'a> {
    versions: &'a [Version],
    /// For each version, whether it has been covered.
    covered: Vec<bool>,
    writes: BTreeMap<Path, Leaf>,
    /// Where an object has to be in the end, if need be an empty one.
    objects: BTreeSet<Path>,
}

impl<'a> Sketch<'a> {
    fn new(view: &'a Entry) -> Sketch<'a> {
        let versions = view.versions();
        Sketch { versions, covered: vec![false; versions.len()], writes: BTreeMap::new(), objects: BTreeSet::new() }
    }

    fn set(&mut self, path: &Path, leaves: &[Leaf]) {
        self.clear(path);
        path.ancestors().for_each(|ancestor| self.clear_leaf(&ancestor, |_| true));
        self.writes.extend(leaves.iter().map(|leaf| (leaf.path.clone(), leaf.clone())));
    }

    fn remove(&mut self, path: &Path) {
        if self.clear(path) {
            self.objects.extend(path.parent());
        }
    }

    fn add(&mut self, path: &Path) {
        self.clear(path);
        let leaf = Leaf { path: path.clone(), kind: Kind::Element, value: Bytes::new() };
        self.writes.insert(path.clone(), leaf);
    }

    fn object(&mut self, path: &Path) {
        let is_no_map = |kind| kind != Kind::EmptyMap;
        self.clear_leaf(path, is_no_map);
        path.ancestors().for_each(|ancestor| self.clear_leaf(&ancestor, is_no_map));
        self.objects.insert(path.clone());
    }

    /// Covers what lies at and below a path. True if there was something.
    fn clear(&mut self, path: &Path) -> bool {
        let mut found = false;
        for index in self.from(path)..self.versions.len() {
            if !path.contains(&self.versions[index].path) {
                self.covered[index] |= is_broken(Rule::PatchBeside);
                break;
            }
            found |= !std::mem::replace(&mut self.covered[index], true);
        }
        let writes: Vec<Path> =
            self.writes.range(path..).map(|write| write.0).take_while(|at| path.contains(at)).cloned().collect();
        let objects: Vec<Path> = self.objects.range(path..).take_while(|at| path.contains(at)).cloned().collect();
        for at in &writes {
            self.writes.remove(at);
        }
        for at in &objects {
            self.objects.remove(at);
        }
        found | !writes.is_empty() | !objects.is_empty()
    }

    /// Covers the versions of certain kinds at one path, and not those below it.
    fn clear_leaf(&mut self, path: &Path, unwanted: impl Fn(Kind) -> bool) {
        for index in self.from(path)..self.versions.len() {
            let version = &self.versions[index];
            if version.path != *path {
                break;
            }
            self.covered[index] |= unwanted(version.kind);
        }
        if self.writes.get(path).is_some_and(|leaf| unwanted(leaf.kind)) {
            self.writes.remove(path);
        }
    }

    /// Writes an empty map where an object has to be and nothing says so, in the place of empty maps above, which now have a member.
    /// The deepest first: each is a member of what lies above.
    fn write_empty_maps(&mut self) {
        for path in std::mem::take(&mut self.objects).into_iter().rev() {
            if !self.is_object(&path) {
                path.ancestors().for_each(|ancestor| self.clear_leaf(&ancestor, |kind| kind == Kind::EmptyMap));
                let leaf = Leaf { path: path.clone(), kind: Kind::EmptyMap, value: Bytes::new() };
                self.writes.insert(path, leaf);
            }
        }
    }

    /// True if what is left or written makes an object of a path.
    fn is_object(&self, path: &Path) -> bool {
        let left = self.from(path)..self.versions.len();
        let mut left =
            left.map(|index| (&self.versions[index], self.covered[index])).take_while(|(version, _)| path.contains(&version.path));
        let says_so = |at: &Path, kind: Kind| at != path || kind == Kind::EmptyMap;
        let mut written = self.writes.range(path..).take_while(|(at, _)| path.contains(at));
        left.any(|(version, covered)| !covered && says_so(&version.path, version.kind))
            || written.any(|(at, leaf)| says_so(at, leaf.kind))
    }

    /// The index of the first version at or behind a path.
    fn from(&self, path: &Path) -> usize {
        self.versions.partition_point(|version| version.path < *path)
    }
}
