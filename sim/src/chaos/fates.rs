//! What is cut, who is on which side of it, and what happens to each key meanwhile.

use super::proxy::Way;
use super::witness::Deed;
use crate::history::KeyId;

/// Which ways are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Two peers and the three others do not hear each other at all.
    Halves,
    /// The three do not hear the two, though these hear them.
    OneWay,
    /// Two pairs of peers, one of each part, do not hear each other; all others do.
    Partial,
}

impl Cut {
    /// All of them, with their names.
    pub const ALL: [(&str, Cut); 3] = [("halves", Cut::Halves), ("one-way", Cut::OneWay), ("partial", Cut::Partial)];

    /// True if nothing passes this way.
    pub fn severs(self, way: Way) -> bool {
        let (from, to) = (Side::of(way.from), Side::of(way.to));
        match self {
            Cut::Halves => from != to,
            Cut::OneWay => from == Side::Left && to == Side::Right,
            Cut::Partial => matches!((way.from.min(way.to), way.from.max(way.to)), (0, 2) | (1, 3)),
        }
    }
}

/// The two parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The first two peers.
    Left,
    /// The three others.
    Right,
}

/// Peers in all.
pub const PEERS: usize = 5;
/// Those of the left part.
const LEFT_PEERS: usize = 2;

impl Side {
    /// The part of a peer.
    pub fn of(peer: usize) -> Side {
        if peer < LEFT_PEERS { Side::Left } else { Side::Right }
    }

    /// The peer whose neighbour works on this key.
    pub fn peer(self, key: KeyId) -> usize {
        match self {
            Side::Left => usize::from(key.0) % LEFT_PEERS,
            Side::Right => LEFT_PEERS + usize::from(key.0) % (PEERS - LEFT_PEERS),
        }
    }
}

/// What happens to a key while the cluster is cut. Half of the keys have the two parts exchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nothing.
    Untouched,
    /// One part replaces it.
    Replaced,
    /// Both do.
    BothReplace,
    /// One does so twice.
    TwiceAndOnce,
    /// One removes it.
    Removed,
    /// Both do.
    BothRemove,
    /// One removes it, and the other replaces it.
    RemovedAndReplaced,
    /// One removes it and makes it anew, and the other replaces it.
    AnewAndReplaced,
    /// Both change one path of a document alone, and one path together.
    BothPatch,
    /// Both replace it without a context.
    BothBlind,
    /// Both make it.
    BothMake,
    /// One removes it without a context: its owners must be there for that.
    RemovedBlind,
}

const FATES: [Fate; 12] = [
    Fate::Untouched,
    Fate::Replaced,
    Fate::BothReplace,
    Fate::TwiceAndOnce,
    Fate::Removed,
    Fate::BothRemove,
    Fate::RemovedAndReplaced,
    Fate::AnewAndReplaced,
    Fate::BothPatch,
    Fate::BothBlind,
    Fate::BothMake,
    Fate::RemovedBlind,
];

/// A deed, and whether it is done with a context: that of the part's last answer.
pub type Step = (Deed, bool);

impl Fate {
    /// What happens to this key.
    pub fn of(key: KeyId) -> Fate {
        FATES[usize::from(key.0) % FATES.len()]
    }

    /// How the key is made before the cut, if it is.
    pub fn making(self) -> Option<Deed> {
        match self {
            Fate::BothMake => None,
            Fate::BothPatch => Some(Deed::PutAt(&["one", "other", "shared"])),
            _ => Some(Deed::Put),
        }
    }

    /// What one part does, and the other.
    fn steps(self) -> [&'static [Step]; 2] {
        const PUT: Step = (Deed::Put, true);
        const REMOVE: Step = (Deed::Remove, true);
        const SHARED: Step = (Deed::Set("shared"), true);
        match self {
            Fate::Untouched => [&[], &[]],
            Fate::Replaced => [&[PUT], &[]],
            Fate::BothReplace => [&[PUT], &[PUT]],
            Fate::TwiceAndOnce => [&[PUT, PUT], &[PUT]],
            Fate::Removed => [&[REMOVE], &[]],
            Fate::BothRemove => [&[REMOVE], &[REMOVE]],
            Fate::RemovedAndReplaced => [&[REMOVE], &[PUT]],
            Fate::AnewAndReplaced => [&[REMOVE, PUT], &[PUT]],
            Fate::BothPatch => [&[(Deed::Set("one"), true), SHARED], &[(Deed::Set("other"), true), SHARED]],
            Fate::BothBlind | Fate::BothMake => [&[(Deed::Put, false)], &[(Deed::Put, false)]],
            Fate::RemovedBlind => [&[(Deed::Remove, false)], &[]],
        }
    }

    /// What a part does with a key.
    pub fn steps_of(key: KeyId, side: Side) -> &'static [Step] {
        let [one, other] = Fate::of(key).steps();
        let is_exchanged = (usize::from(key.0) / FATES.len()) % 2 == 1;
        if (side == Side::Left) != is_exchanged { one } else { other }
    }

    /// True if the two parts are in conflict, whatever passes: neither's contexts cover the other's.
    pub fn is_conflict(self) -> bool {
        matches!(self, Fate::BothReplace | Fate::TwiceAndOnce | Fate::AnewAndReplaced | Fate::BothPatch)
    }

    /// True if nothing is left of the key.
    pub fn is_end(self) -> bool {
        matches!(self, Fate::Removed | Fate::BothRemove)
    }
}
