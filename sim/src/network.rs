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

    /// Which directions a cut takes: one link or all of one peer; both directions or one.
    pub fn draw_cut(&self, one_way: f64, dice: &mut Dice) -> Vec<(usize, usize)> {
        let victim = dice.below(self.peers as u64) as usize;
        let others: Vec<usize> = (0..self.peers).filter(|other| *other != victim).collect();
        let others = if dice.chance(0.5) { others } else { vec![*dice.pick(&others)] };
        let one_way = dice.chance(one_way);
        let outgoing = dice.chance(0.5);
        let directions = others.into_iter().flat_map(|other| [(victim, other), (other, victim)]);
        directions.filter(|(from, _)| !one_way || (*from == victim) == outgoing).collect()
    }
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
}
