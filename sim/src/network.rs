//! Links between peers: one for each pair, up or down, with what is lost on them.
//!
//! A link is bound to one start of either side. It is told to both sides when it comes up, and to each when that side notices that
//! it is gone; in between, messages go nowhere. Messages of an earlier link are never delivered on a later one, but for duplicates
//! that the network invents: those may come at any time.

use crate::dice::Dice;

/// The link of a pair of peers.
#[derive(Clone, Default, Debug)]
pub struct Link {
    /// Counts the times that it came up.
    pub session: u64,
    /// Which side believes that it is up: the one with the lower index first.
    pub believes: [bool; 2],
    /// True if both sides are on it; false from the moment it breaks.
    pub is_up: bool,
    /// Which direction delivers nothing: from the lower index, from the higher one.
    pub cut: [bool; 2],
    /// True while somebody is about to dial.
    pub is_dialing: bool,
}

/// All links.
#[derive(Debug)]
pub struct Network {
    peers: usize,
    links: Vec<Link>,
}

impl Network {
    /// No link is up.
    pub fn new(peers: usize) -> Network {
        Network { peers, links: vec![Link::default(); peers * peers] }
    }

    /// The link of two peers, in any order.
    pub fn link(&self, a: usize, b: usize) -> &Link {
        &self.links[a.min(b) * self.peers + a.max(b)]
    }

    /// The link of two peers, in any order.
    pub fn link_mut(&mut self, a: usize, b: usize) -> &mut Link {
        &mut self.links[a.min(b) * self.peers + a.max(b)]
    }

    /// True if `side` believes that its link to `other` is up.
    pub fn believes(&self, side: usize, other: usize) -> bool {
        self.link(side, other).believes[usize::from(side > other)]
    }

    /// Sets what `side` believes.
    pub fn set_belief(&mut self, side: usize, other: usize, up: bool) {
        self.link_mut(side, other).believes[usize::from(side > other)] = up;
    }

    /// True if nothing comes from `from` to `to` at present.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.link(from, to).cut[usize::from(from > to)]
    }

    /// Cuts or mends one direction.
    pub fn set_cut(&mut self, from: usize, to: usize, cut: bool) {
        self.link_mut(from, to).cut[usize::from(from > to)] = cut;
    }

    /// Mends everything.
    pub fn mend(&mut self) {
        self.links.iter_mut().for_each(|link| link.cut = [false; 2]);
    }

    /// All pairs, the lower index first.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        (0..self.peers).flat_map(|a| (a + 1..self.peers).map(move |b| (a, b))).collect()
    }

    /// Which directions a cut takes.
    pub fn draw_cut(&self, shape: CutShape, one_way: f64, dice: &mut Dice) -> Vec<(usize, usize)> {
        let victim = dice.below(self.peers as u64) as usize;
        // Two halves of a random order; with an odd number of peers one of them has one more.
        let mut order: Vec<usize> = (0..self.peers).collect();
        dice.shuffle(&mut order);
        let half = self.peers / 2;
        let place = |peer: usize| order.iter().position(|other| *other == peer).unwrap_or_default();
        let is_cut = |a: usize, b: usize, dice: &mut Dice| match shape {
            CutShape::Link => (a, b) == (victim, (victim + 1) % self.peers) || (b, a) == (victim, (victim + 1) % self.peers),
            CutShape::Peer => a == victim || b == victim,
            CutShape::Halves => (place(a) < half) != (place(b) < half),
            // The first of the second half is the bridge: it reaches both.
            CutShape::Bridge => (place(a) < half) != (place(b) < half) && place(a) != half && place(b) != half,
            CutShape::Partial => dice.chance(0.4),
        };
        let one_way = dice.chance(one_way);
        let outgoing = dice.chance(0.5);
        let mut directions = Vec::new();
        for (a, b) in self.pairs() {
            if is_cut(a, b, dice) {
                let is_from_first =
                    if a == victim || b == victim { (a == victim) == outgoing } else { (place(a) < half) == outgoing };
                if !one_way || is_from_first {
                    directions.push((a, b));
                }
                if !one_way || !is_from_first {
                    directions.push((b, a));
                }
            }
        }
        directions
    }
}

/// What a cut looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CutShape {
    /// One link.
    Link,
    /// All links of one peer.
    Peer,
    /// All links between two halves.
    Halves,
    /// All links between two halves but those of one peer, which reaches both.
    Bridge,
    /// Any links.
    Partial,
}

impl CutShape {
    /// All of them.
    pub const ALL: [CutShape; 5] = [CutShape::Link, CutShape::Peer, CutShape::Halves, CutShape::Bridge, CutShape::Partial];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_in_one_direction_leaves_the_other() {
        let mut network = Network::new(3);
        network.set_cut(2, 0, true);
        assert!(network.is_cut(2, 0) && !network.is_cut(0, 2) && !network.is_cut(1, 2));
        network.set_belief(0, 2, true);
        assert!(network.believes(0, 2) && !network.believes(2, 0));
        network.mend();
        assert!(!network.is_cut(2, 0));
        assert_eq!(network.pairs(), [(0, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn a_bridge_reaches_both_halves_and_halves_do_not_reach_each_other() {
        let network = Network::new(5);
        for seed in 0..50 {
            let mut dice = Dice::of(seed, 0);
            assert_eq!(network.draw_cut(CutShape::Halves, 0.0, &mut dice).len(), 2 * 2 * 3);
            let cut = network.draw_cut(CutShape::Bridge, 0.0, &mut dice);
            assert_eq!(cut.len(), 2 * 2 * 2);
            assert_eq!((0..5).filter(|peer| cut.iter().all(|(a, b)| a != peer && b != peer)).count(), 1);
            assert_eq!(network.draw_cut(CutShape::Link, 1.0, &mut dice).len(), 1);
            assert_eq!(network.draw_cut(CutShape::Peer, 1.0, &mut dice).len(), 4);
        }
    }
}
