//! The faults of a storm, and which of them a round gets.

use super::super::machine::Machine;
use super::super::proxy::Way;
use crate::dice::Dice;
use henge::message::SyncMode;
use std::collections::BTreeMap;
use std::time::Duration;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A peer is killed (SIGKILL), and started again at once.
    Kill,
    /// A peer stands still for a while (SIGSTOP, SIGCONT), and may be killed in it.
    Pause,
    /// A peer is killed again and again while it starts.
    Restarts,
    /// Nothing passes some ways between peers.
    Cuts,
    /// All that a peer is sent and sends is lost, again and again for some moments.
    Loss,
    /// Some ways are slow, or are not read from.
    Slow,
    /// Connections break, in the middle of a frame too.
    Reset,
    /// What a connection has said is said again in another one.
    Replay,
    /// Peers lose power: one, two, or all of them.
    Power,
    /// A sync of a peer's disk fails, once.
    Fsync,
    /// The syncs of a peer's disk take long, or those of all peers; and then all lose power.
    SlowDisk,
    /// A peer's disk is full for a while.
    Full,
    /// A peer's folder is lost.
    Wipe,
    /// An old copy of a peer's folder comes back.
    Old,
    /// A peer's wall clock is years off.
    Clock,
}

/// All of them, with their names.
pub const KINDS: [(&str, Kind); 15] = [
    ("kill", Kind::Kill),
    ("pause", Kind::Pause),
    ("restarts", Kind::Restarts),
    ("cuts", Kind::Cuts),
    ("loss", Kind::Loss),
    ("slow", Kind::Slow),
    ("reset", Kind::Reset),
    ("replay", Kind::Replay),
    ("power", Kind::Power),
    ("fsync", Kind::Fsync),
    ("slow-disk", Kind::SlowDisk),
    ("full", Kind::Full),
    ("wipe", Kind::Wipe),
    ("old", Kind::Old),
    ("clock", Kind::Clock),
];

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// The kind of this name.
    ///
    /// # Errors
    /// There is none: for people, with those that there are.
    pub fn named(name: &str) -> Result<Kind, String> {
        let found = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        found.ok_or_else(|| format!("there are {}", KINDS.map(|(name, _)| name).join(", ")))
    }

    /// Those that take a disk, or the trust in it, and those that need a peer of their own. A round has one of them at the most: loss is
    /// only excluded while fewer than W disks are lost between two repairs.
    fn is_heavy(self) -> bool {
        matches!(self, Kind::Fsync | Kind::SlowDisk | Kind::Full | Kind::Wipe | Kind::Old | Kind::Clock)
    }

    fn is_of_network(self) -> bool {
        matches!(self, Kind::Cuts | Kind::Slow)
    }

    /// How likely it is among those that are neither heavy nor of the network.
    fn weight(self) -> u32 {
        match self {
            Kind::Kill => 12,
            Kind::Power => 3,
            Kind::Restarts => 2,
            _ => 1,
        }
    }

    /// Why it is not to be had here; none if it is.
    fn is_missing(self, machine: &Machine, sync: SyncMode, replicas: u8) -> Option<String> {
        let crashes = !matches!(self, Kind::Pause | Kind::Cuts | Kind::Loss | Kind::Slow | Kind::Reset | Kind::Replay);
        if sync != SyncMode::Always && crashes {
            return Some("a crash may lose what was acknowledged before its sync: only --sync always promises more".to_string());
        }
        if replicas < 3 && matches!(self, Kind::Wipe | Kind::Old) {
            return Some("a disk may be lost only where there are three replicas or more".to_string());
        }
        match self {
            Kind::Power | Kind::Full => machine.disks.clone().err(),
            Kind::Fsync | Kind::SlowDisk => machine.tracing.clone().err(),
            Kind::Clock => machine.faketime.clone().err(),
            Kind::Loss => machine.namespaces.clone().err(),
            _ => None,
        }
    }
}

/// Those that are to be had of the wanted ones, and why the others are not.
pub fn available(wanted: &[Kind], machine: &Machine, sync: SyncMode, replicas: u8) -> (Vec<Kind>, BTreeMap<&'static str, String>) {
    let missing = |kind: &Kind| kind.is_missing(machine, sync, replicas);
    let skipped = wanted.iter().filter_map(|kind| Some((kind.name(), missing(kind)?))).collect();
    (wanted.iter().copied().filter(|kind| missing(kind).is_none()).collect(), skipped)
}

/// One thing that is done to the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A fault that hits a peer.
    Hit(Kind, usize),
    /// These lose power at once.
    PowerOff(Vec<usize>),
    /// Nothing passes these ways from now on.
    Cut(Vec<Way>),
    /// These ways are slow from now on, so much.
    Slow(Vec<Way>, Duration),
    /// These are not read from.
    Stop(Vec<Way>),
    /// The network is as it should be.
    Calm,
    /// Nothing, for so long.
    Rest(Duration),
}

/// Draws the rounds.
pub struct Plan {
    light: Vec<Kind>,
    network: Vec<Kind>,
    heavy: Vec<Kind>,
    /// What is to come before anything comes again.
    deck: Vec<Kind>,
    peers: usize,
    /// All peers lose power at once, and nothing else happens.
    pub only_blackouts: bool,
}

/// Most hits of a round.
const HITS_MAX: u64 = 14;
/// And fewest.
const HITS_MIN: u64 = 8;
/// One cut in this many is a long one.
const LONG_CUTS: u64 = 6;

impl Plan {
    /// Rounds with these kinds of faults for so many peers.
    pub fn new(kinds: &[Kind], peers: usize) -> Plan {
        let those = |is_one: fn(&Kind) -> bool| kinds.iter().copied().filter(is_one).collect::<Vec<_>>();
        let light = those(|kind| !kind.is_heavy() && !kind.is_of_network());
        let (network, heavy) = (those(|kind| kind.is_of_network()), those(|kind| kind.is_heavy()));
        Plan { light, network, heavy, deck: Vec::new(), peers, only_blackouts: false }
    }

    /// What happens in the next round.
    pub fn draw(&mut self, dice: &mut Dice) -> Vec<Step> {
        if self.only_blackouts {
            return vec![Step::Rest(Duration::from_millis(1_500)), Step::PowerOff((0..self.peers).collect())];
        }
        let mut steps = Vec::new();
        let weights: Vec<u32> = self.light.iter().map(|kind| kind.weight()).collect();
        for number in 0..dice.between(HITS_MIN, HITS_MAX) {
            if self.light.is_empty() {
                steps.push(Step::Rest(Duration::from_millis(300)));
                continue;
            }
            // Each kind has its turn sooner or later, also in a short run.
            let kind = match self.turn(number, &self.light.clone(), dice) {
                Some(kind) => kind,
                None => self.light[dice.weighted(&weights)],
            };
            steps.push(self.hit(kind, dice));
        }
        let heavies = self.heavy.clone();
        if let Some(kind) = self.turn(0, &heavies, dice) {
            steps.insert(dice.below(steps.len() as u64 + 1) as usize, self.hit(kind, dice));
        }
        if let Some(kind) = self.turn(0, &self.network.clone(), dice) {
            let from = dice.below(steps.len() as u64) as usize;
            let to = dice.between(from as u64 + 1, (from as u64 + 4).min(steps.len() as u64)) as usize;
            steps.insert(to, Step::Calm);
            // Now and then so long that everybody notices, and others stand in.
            let is_long = kind == Kind::Cuts && dice.below(LONG_CUTS) == 0;
            let so_long = if is_long { dice.between(5_000, 15_000) } else { dice.spread(50, 2_500) };
            steps.insert(from, Step::Rest(Duration::from_millis(so_long)));
            steps.insert(from, self.weather(kind, dice));
        }
        steps
    }

    /// The next of these whose turn it is; none if chance is to decide.
    fn turn(&mut self, number: u64, of: &[Kind], dice: &mut Dice) -> Option<Kind> {
        if of.is_empty() || number >= 2 {
            return None;
        }
        if !self.deck.iter().any(|kind| of.contains(kind)) {
            let mut anew = of.to_vec();
            while !anew.is_empty() {
                self.deck.push(anew.swap_remove(dice.below(anew.len() as u64) as usize));
            }
        }
        let at = self.deck.iter().position(|kind| of.contains(kind))?;
        Some(self.deck.remove(at))
    }

    fn hit(&self, kind: Kind, dice: &mut Dice) -> Step {
        let peer = dice.below(self.peers as u64) as usize;
        if kind != Kind::Power {
            return Step::Hit(kind, peer);
        }
        let mut all: Vec<usize> = (0..self.peers).collect();
        all.rotate_left(peer);
        all.truncate([1, 2, self.peers][dice.weighted(&[4, 1, 1])]);
        Step::PowerOff(all)
    }

    fn weather(&self, kind: Kind, dice: &mut Dice) -> Step {
        let one = dice.below(self.peers as u64) as usize;
        let another = (one + 1 + dice.below(self.peers as u64 - 1) as usize) % self.peers;
        let split = dice.between(1, self.peers as u64 / 2) as usize;
        let all = (0..self.peers).flat_map(|from| (0..self.peers).map(move |to| Way { from, to }));
        let all: Vec<Way> = all.filter(|way| way.from != way.to).collect();
        let shape = dice.below(5);
        let is_meant = |way: &&Way| match shape {
            // Some on one side, the others on the other; one peer is not heard; one hears nobody; two do not hear each
            // other; one of two does not hear the other.
            0 => (way.from < split) != (way.to < split),
            1 => way.from == one,
            2 => way.to == one,
            3 => (way.from, way.to) == (one, another) || (way.to, way.from) == (one, another),
            _ => (way.from, way.to) == (one, another),
        };
        let ways: Vec<Way> = all.iter().filter(is_meant).copied().collect();
        match kind {
            Kind::Cuts => Step::Cut(ways),
            _ if dice.chance(0.3) => Step::Stop(ways),
            _ => Step::Slow(ways, Duration::from_millis(dice.spread(10, 1_500))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let no = || Err("not here".to_string());
        Machine { disks: no(), tracing: no(), faketime: Err("not here".to_string()), namespaces: no() }
    }

    #[test]
    fn without_root_the_others_remain_and_without_syncs_those_without_a_crash() {
        let all = KINDS.map(|(_, kind)| kind);
        let (kinds, skipped) = available(&all, &machine(), SyncMode::Always, 3);
        assert_eq!(skipped.keys().copied().collect::<Vec<_>>(), ["clock", "fsync", "full", "loss", "power", "slow-disk"]);
        assert_eq!(kinds.len(), KINDS.len() - 6);
        let (kinds, _) = available(&all, &machine(), SyncMode::Never, 3);
        assert_eq!(kinds, [Kind::Pause, Kind::Cuts, Kind::Slow, Kind::Reset, Kind::Replay]);
    }

    #[test]
    fn each_kind_has_its_turn_and_no_round_takes_two_disks() {
        let all = KINDS.map(|(_, kind)| kind);
        let (mut plan, mut dice) = (Plan::new(&all, 5), Dice::of(1, 0));
        let rounds: Vec<Vec<Step>> = (0..6).map(|_| plan.draw(&mut dice)).collect();
        for (name, kind) in KINDS.iter().filter(|(_, kind)| !kind.is_of_network() && *kind != Kind::Power) {
            assert!(rounds.iter().flatten().any(|step| matches!(step, Step::Hit(hit, _) if hit == kind)), "{name}");
        }
        for steps in &rounds {
            assert_eq!(steps.iter().filter(|step| matches!(step, Step::Hit(kind, _) if kind.is_heavy())).count(), 1);
            let weather = |step: &Step| matches!(step, Step::Cut(_) | Step::Slow(..) | Step::Stop(_));
            let begins = steps.iter().position(weather).expect("the network is in trouble, too");
            assert!(steps[begins..].contains(&Step::Calm));
        }
        assert!(rounds.iter().flatten().any(|step| matches!(step, Step::PowerOff(_))));
        let (mut again, mut dice) = (Plan::new(&all, 5), Dice::of(1, 0));
        assert_eq!(rounds[0], again.draw(&mut dice), "one seed is one plan");
    }
}
