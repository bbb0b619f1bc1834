//! Streams of draws that belong to one place each, so that what happens there does not shift with what happens elsewhere.

use super::World;
use crate::dice::Dice;

/// What happens to a peer once in each of its lives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    /// It starts.
    Starts,
    /// It goes down.
    Downs,
    /// An empty disk takes the place of its own.
    Replacements,
}

/// The streams of links lie behind this number, those of peers' lives behind the next ones.
const LINKS: u64 = 1 << 57;
const LIVES: u64 = 1 << 58;

impl World {
    /// The stream of what happens to a peer in its present life, or to the next one if it is down.
    pub(super) fn dice_of(&self, stream: Stream, n: usize) -> Dice {
        Dice::of(self.plan.seed, LIVES + ((stream as u64) << 52) + ((n as u64) << 40) + self.nodes[n].incarnation)
    }
}

/// A stream for each direction between two peers; that of a peer to itself is for its clients.
#[derive(Debug)]
pub(crate) struct LinkDice {
    peers: usize,
    streams: Vec<Dice>,
}

impl LinkDice {
    pub(super) fn new(seed: u64, peers: usize) -> LinkDice {
        LinkDice { peers, streams: (0..(peers * peers) as u64).map(|link| Dice::of(seed, LINKS + link)).collect() }
    }

    /// The stream of what goes from one peer to another one.
    pub(super) fn of(&mut self, from: usize, to: usize) -> &mut Dice {
        &mut self.streams[from * self.peers + to]
    }
}
