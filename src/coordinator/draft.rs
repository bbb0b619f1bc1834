//! Drawing up a write: which leaves it makes, which dots it covers, what the replicas are asked to name.

use super::write::Plan;
use crate::broken::{Rule, is_broken};
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_LEAVES_MAX, KEY_STATE_BYTES_MAX, SIBLINGS_MAX, VALUE_BYTES_MAX};
use crate::message::{Body, Naming, PatchBody, Scope};
use crate::vclock::{
    Change, DocumentError, Dot, Entry, Interval, Kind, Leaf, Path, PathError, Sealed, Seen, Timestamp, Version, draft, elements,
    leaves_from_json, merge_patch, pack, remove, set, term_of,
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
    /// An amount is added at a path.
    Increment {
        /// Where.
        path: Path,
        /// How much.
        amount: i64,
        /// True: the counter gets a term as well.
        ends: bool,
    },
    /// What the key holds expires. True: never.
    Expire {
        /// True if it shall never expire.
        never: bool,
    },
}

/// The coordinator's own view of a key.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What it holds; the context is explicit, not filled. Values may be left out.
    pub entry: &'a Entry,
    /// The clock of the partition.
    pub clock: &'a Seen,
    /// An increment may fold the amounts that this dot's actor has made behind it; none if it may fold nothing.
    pub folds: Option<Dot>,
    /// The coordinator's time (milliseconds since 1970).
    pub wall_ms: u64,
    /// The time that the write will bear.
    pub time: Timestamp,
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
    /// A change of a set changes nothing.
    #[error("no member is named: name at least one to put in or to take out")]
    NoMember,
    /// There are more members in a change than a document may have leaves.
    #[error("{0} members are named, and at most {DOCUMENT_LEAVES_MAX} can be changed at once: name fewer")]
    TooManyMembers(usize),
}

/// A write, drawn up but without dots yet.
#[derive(Debug)]
pub struct Draft {
    leaves: Vec<Leaf>,
    /// For each leaf the time that it keeps; of those that are not listed and of the others it is that of the write.
    times: Vec<Option<Timestamp>>,
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
            Body::Typed(typed) => match typed.as_packed() {
                value if value.len() > VALUE_BYTES_MAX => Err(DraftError::ValueTooLarge(value.len())),
                value => Ok(Intent::Whole(vec![Leaf { path: Path::ROOT, kind: Kind::Typed, value: value.clone() }])),
            },
        }
    }

    /// What a removal means.
    pub fn remove(path: &str) -> Result<Intent, DraftError> {
        let path = Path::parse(path)?;
        Ok(if path.is_root() { Intent::Whole(Vec::new()) } else { Intent::Changes(remove(path)) })
    }

    /// What an update means. `expires`: what it sets does.
    pub fn update(patch: &PatchBody, expires: bool) -> Result<Intent, DraftError> {
        Ok(Intent::Changes(match patch {
            PatchBody::Set { path, json } => set(Path::parse(path)?, json)?,
            PatchBody::Merge { json } => merge_patch(json)?,
            PatchBody::Increment { path, amount } => {
                return Ok(Intent::Increment { path: Path::parse(path)?, amount: *amount, ends: expires });
            }
            PatchBody::Elements { path, add, remove } => match add.len() + remove.len() {
                0 => return Err(DraftError::NoMember),
                1..=DOCUMENT_LEAVES_MAX => elements(&Path::parse(path)?, add, remove)?,
                members => return Err(DraftError::TooManyMembers(members)),
            },
        }))
    }

    /// True if it is drawn up from what the coordinator's replica holds, so that an owner has to.
    pub fn needs_view(&self) -> bool {
        matches!(self, Intent::Changes(_) | Intent::Expire { .. })
    }

    /// True if drawing it up takes paths and values, and not dots alone.
    pub fn needs_values(&self) -> bool {
        !matches!(self, Intent::Whole(_))
    }

    /// True if it removes something, be it beside other changes.
    pub fn removes(&self) -> bool {
        match self {
            Intent::Whole(leaves) => leaves.is_empty(),
            Intent::Changes(changes) => {
                changes.iter().any(|change| matches!(change, Change::Remove { .. } | Change::Discard { .. }))
            }
            Intent::Increment { .. } | Intent::Expire { .. } => false,
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
            Intent::Increment { path, amount, ends } => draw_up_increment((path, *amount), *ends, view, sealed),
            // It makes nothing larger.
            Intent::Expire { never } => return draw_up_expiry(*never, view, sealed),
        };
        drawn.check(view, !matches!(self, Intent::Whole(_)))?;
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
        times: Vec::new(),
        covered: view.entry.dots().filter(|dot| context.contains(*dot)).collect(),
        naming: sealed.is_none().then(|| Scope { set: vec![Path::ROOT], ..Scope::default() }),
        receipt: context.clone(),
        context,
        left: Seen::new(),
    }
}

fn draw_up_patch(changes: &[Change], view: View<'_>, sealed: Option<&Sealed>) -> Result<Draft, DraftError> {
    if !is_broken(Rule::BlindPatch) {
        check_seen(view, sealed)?;
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
    let (leaves, naming) = (drawn.leaves, sealed.is_none().then_some(scope));
    Ok(Draft { leaves, times: Vec::new(), context, covered, naming, receipt, left })
}

/// This replica must have seen every dot that the client saw live.
fn check_seen(view: View<'_>, sealed: Option<&Sealed>) -> Result<(), DraftError> {
    let Some(sealed) = sealed else { return Ok(()) };
    let mut unseen = sealed.live.clone();
    unseen.subtract(view.clock);
    unseen.subtract(view.entry.context());
    if unseen.is_empty() { Ok(()) } else { Err(DraftError::Behind) }
}

/// An amount of its own, into which go those that this very copy of the partition has made, and holds: nobody else gives them new dots,
/// nor has it done so before (rules `folds_others`, `folds_older`). Nothing else is covered, and nothing is named.
fn draw_up_increment((path, amount): (&Path, i64), ends: bool, view: View<'_>, sealed: Option<&Sealed>) -> Draft {
    let here = || versions_at(view.entry, path);
    let (mut sum, mut covered) = (amount, Vec::new());
    let (over, running): (Vec<Version>, Vec<Version>) = terms(here()).cloned().partition(|term| term.expiry_ms <= view.wall_ms);
    if ends {
        covered.extend(running.iter().map(|term| term.dot));
    }
    // What one term ends and another one does not must stay apart.
    let left: Vec<Version> = if ends { over } else { terms(here()).cloned().collect() };
    let ends_with_it = |version: &Version| term_of(&left, path, version.time) == term_of(&left, path, view.time);
    let is_own = |dot: Dot| {
        let is_behind = |began: Dot| match dot.actor == began.actor {
            true => dot.counter > began.counter || is_broken(Rule::FoldsOlder),
            false => is_broken(Rule::FoldsOthers),
        };
        view.folds.is_some_and(is_behind)
    };
    for version in here().filter(|version| version.kind == Kind::Amount && is_own(version.dot) && ends_with_it(version)) {
        // What would not fit stays beside it.
        let amount = version.value[..].try_into().map(i64::from_le_bytes).ok();
        if let Some(total) = amount.and_then(|amount| sum.checked_add(amount)) {
            sum = total;
            covered.push(version.dot);
        }
    }
    let amount = Leaf { path: path.clone(), kind: Kind::Amount, value: Bytes::copy_from_slice(&sum.to_le_bytes()) };
    let term = ends.then(|| term_leaf(path));
    let context: Seen = covered.iter().copied().collect();
    let mut receipt = context.clone();
    let mut left = Seen::new();
    if let Some(sealed) = sealed {
        // Nothing is asked of what the client has seen: it goes on to whoever gets the receipt's context.
        receipt.union_with(&sealed.context);
        receipt.union_with(&sealed.live);
        left = sealed.live.clone();
        left.subtract(&context);
    }
    Draft {
        leaves: std::iter::once(amount).chain(term).collect(),
        times: Vec::new(),
        context,
        covered,
        naming: None,
        receipt,
        left,
    }
}

/// All that is live gets new dots, and keeps its time; amounts get a term instead, since those of others must not get new dots.
fn draw_up_expiry(never: bool, view: View<'_>, sealed: Option<&Sealed>) -> Result<Draft, DraftError> {
    check_seen(view, sealed)?;
    let is_live = |version: &&Version| {
        let expiry_ms = view.entry.expiry_of(version);
        expiry_ms == 0 || expiry_ms > view.wall_ms
    };
    let (mut leaves, mut times, mut covered) = (Vec::new(), Vec::new(), Vec::new());
    for version in view.entry.versions().iter().filter(is_live) {
        match version.kind {
            Kind::Amount => {
                let is_ended = leaves.last().is_some_and(|last: &Leaf| last.path == version.path && last.kind == Kind::Term);
                if !never && !is_ended {
                    leaves.push(term_leaf(&version.path));
                    times.push(None);
                }
            }
            Kind::Term => covered.push(version.dot),
            kind => {
                leaves.push(Leaf { path: version.path.clone(), kind, value: version.value.clone() });
                times.push(Some(version.time));
                covered.push(version.dot);
            }
        }
    }
    let context: Seen = covered.iter().copied().collect();
    let mut receipt = context.clone();
    if let Some(sealed) = sealed {
        receipt.union_with(&sealed.context);
        receipt.union_with(&sealed.live);
    }
    let left = sealed.map(|sealed| left_alone(view.entry, sealed, &context)).unwrap_or_default();
    Ok(Draft { leaves, times, context, covered, naming: None, receipt, left })
}

fn versions_at<'a>(entry: &'a Entry, path: &'a Path) -> impl Iterator<Item = &'a Version> {
    let from = entry.versions().partition_point(|version| version.path < *path);
    entry.versions()[from..].iter().take_while(move |version| version.path == *path)
}

fn terms<'a>(versions: impl Iterator<Item = &'a Version>) -> impl Iterator<Item = &'a Version> {
    versions.filter(|version| version.kind == Kind::Term)
}

fn term_leaf(path: &Path) -> Leaf {
    Leaf { path: path.clone(), kind: Kind::Term, value: Bytes::new() }
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

    /// The explicit context with which it travels.
    pub fn covers(&self) -> &Seen {
        &self.context
    }

    /// It covers these too: what was folded into what it folds, by writes that may not have come anywhere.
    pub fn cover_too(&mut self, folded: &Seen) {
        self.context.union_with(folded);
        self.receipt.union_with(folded);
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
        // Amounts at one path are no siblings, however many there are, and nor are terms.
        let counts = |version: &&Version| !matches!(version.kind, Kind::Amount | Kind::Term);
        let mut siblings = kept().filter(counts).map(|version| &version.path).peekable();
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
        let mut times = self.times.into_iter();
        let versions = self.leaves.into_iter().zip(&dots).map(|(leaf, dot)| {
            let expiry_ms = if leaf.kind == Kind::Amount { 0 } else { expiry_ms };
            leaf.into_version(*dot, times.next().flatten().unwrap_or(time), expiry_ms)
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
