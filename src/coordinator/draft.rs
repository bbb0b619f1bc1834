//! Drawing up a write: which leaves it makes, which dots it covers, what the replicas are asked to name.

use super::write::Plan;
use crate::broken::{Rule, is_broken};
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_LEAVES_MAX, KEY_STATE_BYTES_MAX, SIBLINGS_MAX, VALUE_BYTES_MAX};
use crate::message::{Body, Naming, PatchBody, Scope};
use crate::vclock::{
    Change, DocumentError, Dot, Entry, Interval, Kind, Leaf, Path, PathError, Sealed, Seen, Timestamp, Version, draft,
    leaves_from_json, merge_patch, pack, remove, set,
};
use bytes::Bytes;
use std::sync::Arc;

/// What a client wants a key to become.
#[derive(Clone, Debug)]
pub enum Intent {
    /// These leaves and nothing else. No leaves: the key is removed.
    Whole(Vec<Leaf>),
    /// Changes of some paths.
    Changes(Vec<Change>),
}

/// The coordinator's own view of a key.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What it holds; the context is explicit, not filled. Values may be left out.
    pub entry: &'a Entry,
    /// The clock of the partition.
    pub clock: &'a Seen,
}

/// Why a write cannot be drawn up. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The JSON is wrong or over a limit.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The path is wrong.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The value is too large.
    #[error("the value has {0} bytes and may have {VALUE_BYTES_MAX}: store it in pieces under several keys")]
    ValueTooLarge(usize),
    /// The document would get too large.
    #[error(
        "the document would have {leaves} leaves and {bytes} bytes and may have {DOCUMENT_LEAVES_MAX} and {DOCUMENT_BYTES_MAX}: \
         spread it over several keys"
    )]
    DocumentTooLarge {
        /// Leaves after the write.
        leaves: usize,
        /// Bytes after the write.
        bytes: usize,
    },
    /// A leaf has too many siblings.
    #[error(
        "the path `{0}` has {SIBLINGS_MAX} siblings that nobody has reconciled: read the key, and write with the context of that answer"
    )]
    TooManySiblings(String),
    /// The siblings of the key would get too large together.
    #[error(
        "the key would hold {0} bytes of siblings and may hold {KEY_STATE_BYTES_MAX}: read the key, and write with the context of that answer"
    )]
    SiblingsTooLarge(usize),
    /// This replica has not seen what the client saw, so it cannot tell which leaf each of those dots belongs to.
    #[error("this replica is behind what the context has seen")]
    Behind,
}

/// A write, drawn up but without dots yet.
#[derive(Debug)]
pub struct Draft {
    leaves: Vec<Leaf>,
    context: Seen,
    covered: Vec<Dot>,
    naming: Option<Scope>,
    receipt: Seen,
    /// What the client had seen live, and a patch leaves where it is.
    left: Seen,
}

impl Intent {
    /// What a put means.
    pub fn put(body: &Body) -> Result<Intent, DraftError> {
        match body {
            Body::Bytes(bytes) if bytes.len() > VALUE_BYTES_MAX => Err(DraftError::ValueTooLarge(bytes.len())),
            Body::Bytes(bytes) => Ok(Intent::Whole(vec![Leaf { path: Path::ROOT, kind: Kind::Bytes, value: bytes.clone() }])),
            Body::Json(text) => Ok(Intent::Whole(leaves_from_json(text, &Path::ROOT)?)),
        }
    }

    /// What a removal means.
    pub fn remove(path: &str) -> Result<Intent, DraftError> {
        let path = Path::parse(path)?;
        Ok(if path.is_root() { Intent::Whole(Vec::new()) } else { Intent::Changes(remove(path)) })
    }

    /// What an update means.
    pub fn update(patch: &PatchBody) -> Result<Intent, DraftError> {
        Ok(Intent::Changes(match patch {
            PatchBody::Set { path, json } => set(Path::parse(path)?, json)?,
            PatchBody::Merge { json } => merge_patch(json)?,
        }))
    }

    /// True if it removes something, be it beside other changes.
    pub fn removes(&self) -> bool {
        match self {
            Intent::Whole(leaves) => leaves.is_empty(),
            Intent::Changes(changes) => changes.iter().any(|change| matches!(change, Change::Remove { .. })),
        }
    }

    /// Draws the write up against the coordinator's own view.
    ///
    /// With a context it covers what that context has seen, without one what the coordinator sees; the replicas then name the rest.
    /// A whole write travels with the filled context, a patch with the explicit one of what it replaces (rule `filled_patch`).
    pub fn draw_up(&self, view: View<'_>, sealed: Option<&Sealed>) -> Result<Draft, DraftError> {
        let drawn = match self {
            Intent::Whole(leaves) => draw_up_whole(leaves, view, sealed),
            Intent::Changes(changes) => draw_up_patch(changes, view, sealed)?,
        };
        drawn.check(view, matches!(self, Intent::Changes(_)))?;
        Ok(drawn)
    }
}

fn draw_up_whole(leaves: &[Leaf], view: View<'_>, sealed: Option<&Sealed>) -> Draft {
    let mut context = match sealed {
        Some(sealed) => sealed.context.clone(),
        None => view.clock.clone(),
    };
    match sealed {
        Some(sealed) if is_broken(Rule::CoversUnseen) => {
            context.union_with(&sealed.live);
            context.union_with(view.clock);
        }
        Some(sealed) => context.union_with(&sealed.live),
        None => {
            context.union_with(view.entry.context());
            view.entry.dots().for_each(|dot| context.insert(dot));
        }
    }
    Draft {
        leaves: leaves.to_vec(),
        covered: view.entry.dots().filter(|dot| context.contains(*dot)).collect(),
        naming: sealed.is_none().then(|| Scope { set: vec![Path::ROOT], ..Scope::default() }),
        receipt: context.clone(),
        context,
        left: Seen::new(),
    }
}

fn draw_up_patch(changes: &[Change], view: View<'_>, sealed: Option<&Sealed>) -> Result<Draft, DraftError> {
    if let Some(sealed) = sealed
        && !is_broken(Rule::BlindPatch)
    {
        let mut unseen = sealed.live.clone();
        unseen.subtract(view.clock);
        unseen.subtract(view.entry.context());
        if !unseen.is_empty() {
            return Err(DraftError::Behind);
        }
    }
    let drawn = draft(view.entry, changes);
    let allowed = |dot: &Dot| sealed.is_none_or(|sealed| sealed.context.contains(*dot) || sealed.live.contains(*dot));
    let covered: Vec<Dot> = drawn.covers.into_iter().filter(allowed).collect();
    let mut context: Seen = covered.iter().copied().collect();
    if is_broken(Rule::FilledPatch) {
        context.union_with(view.clock);
    }
    let scope = Scope { set: drawn.paths, removed: drawn.removed, objects: drawn.objects };
    let mut receipt = context.clone();
    if let Some(sealed) = sealed {
        receipt.union_with(&sealed.context);
        receipt.union_with(&sealed.live);
    }
    let left = sealed.map(|sealed| left_alone(view.entry, sealed, &context)).unwrap_or_default();
    Ok(Draft { leaves: drawn.leaves, context, covered, naming: sealed.is_none().then_some(scope), receipt, left })
}

/// The live dots that a client has seen and that a patch does not cover. Its receipt lists them again: whoever takes the next patch under that
/// receipt must know which leaf each of them belongs to (rule `blind_patch`).
pub fn left_alone(entry: &Entry, sealed: &Sealed, covered: &Seen) -> Seen {
    entry.dots().filter(|dot| sealed.live.contains(*dot) && !covered.contains(*dot)).collect()
}

impl Draft {
    /// How many dots the write takes: one for each leaf.
    pub fn dots(&self) -> u32 {
        self.leaves.len() as u32
    }

    /// What the replicas are to be asked about, for a write without a context.
    pub fn scope(self) -> Option<Scope> {
        self.naming
    }

    /// What the write replaces, as far as its coordinator sees.
    pub fn covered(&self) -> &[Dot] {
        &self.covered
    }

    /// Refuses what would go over a limit. Only a client's write is refused, never repair.
    fn check(&self, view: View<'_>, is_patch: bool) -> Result<(), DraftError> {
        if view.entry.versions().len() == self.covered.len() && !is_patch {
            return Ok(());
        }
        let kept = || view.entry.versions().iter().filter(|version| !self.context.contains(version.dot));
        let leaves = kept().count() + self.leaves.len();
        let bytes = kept().map(|version| version.path.as_bytes().len() + version.value.len()).sum::<usize>()
            + self.leaves.iter().map(|leaf| leaf.path.as_bytes().len() + leaf.value.len()).sum::<usize>();
        if is_patch && (leaves > DOCUMENT_LEAVES_MAX || bytes > DOCUMENT_BYTES_MAX) {
            return Err(DraftError::DocumentTooLarge { leaves, bytes });
        }
        if bytes > KEY_STATE_BYTES_MAX {
            return Err(DraftError::SiblingsTooLarge(bytes));
        }
        let mut siblings = kept().map(|version| &version.path).peekable();
        for leaf in &self.leaves {
            while siblings.next_if(|path| **path < leaf.path).is_some() {}
            let here = std::iter::from_fn(|| siblings.next_if(|path| **path == leaf.path)).count();
            if here >= SIBLINGS_MAX {
                return Err(DraftError::TooManySiblings(leaf.path.to_string()));
            }
        }
        Ok(())
    }

    /// The plan of the write under these dots: `first` and those that follow it, one per leaf in path order.
    /// `expiry_ms`: when its versions expire, in milliseconds since 1970; 0: never.
    pub fn plan(self, key: Bytes, first: Dot, time: Timestamp, expiry_ms: u64) -> Plan {
        let dot_of = |n: usize| Dot { actor: first.actor, counter: first.counter + n as u64 };
        let dots: Vec<Dot> = (0..self.leaves.len()).map(dot_of).collect();
        let versions = self.leaves.into_iter().zip(&dots).map(|(leaf, dot)| Version {
            dot: *dot,
            path: leaf.path,
            kind: leaf.kind,
            value: leaf.value,
            time,
            expiry_ms,
        });
        let mut context = self.context;
        if is_broken(Rule::VvOnly)
            && let Some(last) = dots.last()
        {
            context.insert_interval(last.actor, Interval { first: 1, last: last.counter });
        }
        let entry = pack(&Entry::new(versions.collect(), context));
        let before = if dots.is_empty() { Timestamp(u64::MAX) } else { time };
        let naming = self.naming.map(|scope| Arc::new(Naming { scope, dots: dots.clone(), before }));
        Plan { key, entry, naming, dots, covered: self.covered, context: self.receipt, left: self.left }
    }
}
