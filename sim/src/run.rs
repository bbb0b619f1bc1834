//! One seed from beginning to end: form, chaos, heal, read everything with R=all, judge.

use crate::client::Stats;
use crate::conversation::{Telling, writes_of};
use crate::history::{KeyId, Values};
use crate::machine_clock::EPOCH_MS;
use crate::oracle::owners::{self, Held};
use crate::oracle::siblings::{self, Healed};
use crate::oracle::tallies::{self, Terms};
use crate::oracle::{Violation, reads};
use crate::plan::{Plan, Plant};
use crate::schedule::{Occurrence, Selection};
use crate::tally;
use crate::trace::Trace;
use crate::workload::Wish;
use crate::world::{FEW_PEERS, World, key_name};
use henge::message::{FetchMode, Get, Quorum, Request};
use henge::vclock::{Entry, Path, render};
use std::collections::VecDeque;

/// The one who reads everything in the end.
const AUDITOR: u64 = 1 << 33;
/// Whatever is mended must be whole again, and whatever is asked after that must be answered, within this (microseconds).
const PATIENCE: u64 = 120_000_000;
/// Within this after healing all owners hold the same (microseconds).
const CONVERGENCE: u64 = 120_000_000;
/// Within this everybody has probed everybody (microseconds).
const MEASURED_AGAIN: u64 = 15_000_000;
/// Within this all owners have dropped what one of them has (microseconds).
const DROPPED_WITHIN: u64 = 10_000_000;
/// A quiet minute.
const QUIET: u64 = 60_000_000;
/// Rounds of reading everything: the first repairs, the later ones meet what arrived meanwhile.
const ROUNDS: u32 = 3;

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The fingerprint of all that happened.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// Simulated time (microseconds).
    pub time: u64,
    /// Figures.
    pub stats: Stats,
    /// Dots that peers have promised.
    pub promises: u64,
    /// Reads that were judged.
    pub reads: u64,
    /// Keys with several versions at one path in the end.
    pub siblings: u64,
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// What went wrong, in order.
    pub schedule: Vec<Occurrence>,
    /// The writes of the key that the first violation names: what the oracles knew of them. Only where a conversation is told.
    pub writes: Vec<String>,
}

/// A seed, and what is different from its ordinary run.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// Something planted on purpose.
    pub plant: Plant,
    /// What is let happen.
    pub selection: Selection,
}

impl Case {
    /// A seed as it is.
    pub fn of(seed: u64, plant: Plant) -> Case {
        Case { seed, plant, selection: Selection::default() }
    }

    /// Runs it, and tells of it what is wanted, on the standard output.
    pub fn run(&self, telling: Telling) -> Report {
        let plan = Plan::draw(self.seed, self.plant);
        let mut world = World::of(plan, self.selection.clone(), Trace::telling(telling));
        world.schedule.tells = true;
        world.report()
    }
}

impl Report {
    /// The share of the requests during chaos that were answered as they should be.
    pub fn share_answered(&self) -> f64 {
        self.stats.answered as f64 / self.stats.asked.max(1) as f64
    }
}

/// Runs a seed. `prints`: as a conversation on the standard output.
pub fn run(seed: u64, plant: Plant, prints: bool) -> Report {
    run_plan(Plan::draw(seed, plant), prints)
}

/// Runs a plan. `prints`: as a conversation on the standard output.
pub fn run_plan(plan: Plan, prints: bool) -> Report {
    World::new(plan, prints).report()
}

impl World {
    /// The run from beginning to end, and what became of it.
    fn report(mut self) -> Report {
        let siblings = self.live();
        let promises = self.nodes.iter().map(|node| node.shadow.len() as u64).sum();
        let key = self.violations.first().and_then(Violation::key).filter(|_| self.trace.tells());
        Report {
            seed: self.plan.seed,
            hash: self.trace.hash(),
            events: self.trace.events(),
            time: self.time,
            promises,
            reads: self.history.reads().len() as u64,
            siblings,
            stats: self.stats,
            violations: self.violations,
            schedule: self.schedule.occurrences,
            writes: key.map_or(Vec::new(), |key| writes_of(&self.history, key)),
        }
    }

    /// Everything from the first start to the judgement. Answers how many keys had siblings in the end.
    fn live(&mut self) -> u64 {
        self.set_up();
        if !self.is_chaotic {
            self.start_faults();
        }
        self.start_clients();
        self.run_to(self.time + self.plan.chaos);
        if self.idle_until > self.time {
            self.run_to(self.idle_until + self.plan.chaos / 2);
        }
        self.end()
    }

    /// Starts all peers and forms them.
    pub(crate) fn set_up(&mut self) {
        (0..self.nodes.len()).for_each(|n| self.start_node(n));
        if self.plan.process.while_forming {
            self.start_faults();
        }
        self.form();
    }

    /// Heals everything, waits until the cluster is whole again by itself, and judges. Answers how many keys have siblings.
    pub(crate) fn end(&mut self) -> u64 {
        self.stop_faults();
        self.expect("the peers are up and linked again", |world| world.is_whole());
        self.expect("every owner is complete again", |world| world.has_lost_nothing());
        self.expect("what the disks began while they were slow is done", World::has_done_slow_jobs);
        self.expect("every peer notices that its disk has room", World::has_room);
        if self.plan.expiry.is_some() {
            if self.clocks_jumped {
                // What was measured of the others' clocks before they were set right is not true any more.
                self.idle_until = self.time + MEASURED_AGAIN;
                self.run_to(self.idle_until);
            }
            self.expect("no peer takes its clock for wrong when all are right again", World::clocks_are_believed);
        }
        self.is_settled = true;
        self.limit_clients(self.plan.clients.healed_requests);
        self.expect("every request is answered after healing", |world| world.clients_are_done());
        self.expect("all hints are paid after healing", |world| world.owes_nothing());
        self.converge();
        self.expect_slowly(CONVERGENCE, "m", "all believe the same of every member", |world| world.wrong_belief().is_none());
        if self.violations.last().is_some_and(|last| last.oracle == "m") {
            self.violations.extend(self.wrong_belief());
        }
        self.let_many_rest();
        let finals = self.read_everything();
        self.heal_all_records();
        self.come_to_rest();
        if self.violations.is_empty() { self.judge(&finals) } else { 0 }
    }

    /// Among many peers there is always a pair that compares what it holds, so that never all are at rest. They have compared enough.
    fn let_many_rest(&mut self) {
        if self.nodes.len() > FEW_PEERS {
            let peers = self.nodes.iter_mut().filter_map(|node| node.peer.as_mut());
            peers.for_each(|peer| peer.set_comparing(None));
        }
    }

    /// Oracle c: nobody reads anything, and within a bound all owners of every partition hold the same. A quiet minute later they have
    /// forgotten how that came about.
    fn converge(&mut self) {
        self.expect_slowly(CONVERGENCE, "c", "all owners hold the same", World::roots_are_equal);
        let minute = if self.plan.waits_a_minute { self.time + QUIET } else { self.time };
        self.run_to(minute.max(self.when_all_is_dropped()));
        self.expect_roots();
        if self.plan.waits_a_minute {
            self.expect_slowly(CONVERGENCE, "c", "contexts and clocks are as small as they can be", World::has_forgotten);
            let leftovers: Vec<String> = self.leftovers().take(3).collect();
            if let Some(violation) = self.violations.last_mut().filter(|violation| violation.oracle == "c" && !leftovers.is_empty())
            {
                violation.what = format!("{}: {}", violation.what, leftovers.join("; "));
            }
        }
    }

    /// Where something expires in these seconds, one owner may drop it before another.
    fn expect_roots(&mut self) {
        if self.plan.expiry.is_some() {
            self.expect_slowly(DROPPED_WITHIN, "c", "all owners have dropped the same", World::roots_are_equal);
        }
    }

    /// A bad record that nobody has read yet is fetched from others when an oracle reads it. What is still in memory says nothing of the
    /// disk: but when every key has been read, either all of them are in memory and stay there, or the next round reads each of them from the disk.
    fn heal_all_records(&mut self) {
        let end = self.time + PATIENCE;
        let mut sound_rounds = 0;
        while self.disks_lost > 0 && self.violations.is_empty() && self.time < end {
            let places: Vec<(usize, KeyId)> =
                self.keys().flat_map(|key| self.owners(key).into_iter().map(move |owner| (owner, key))).collect();
            let unread = places.into_iter().filter(|(owner, key)| self.ask(*owner, &key_name(*key), FetchMode::Full).is_none());
            sound_rounds = if unread.count() == 0 { sound_rounds + 1 } else { 0 };
            if sound_rounds == 2 {
                return;
            }
            self.run_to(self.time + 100_000);
        }
    }

    /// Waits until nothing is under way anywhere, no operation is open, and no owner has dropped what another has not.
    fn come_to_rest(&mut self) {
        self.expect("every operation and every pull comes to its end", World::is_idle);
        let has_expiries = self.plan.expiry.is_some();
        self.expect("everything is at rest, and all owners hold the same", |world| {
            world.is_idle() && world.is_quiet() && (!has_expiries || world.roots_are_equal())
        });
    }

    /// Looks ten times a second, where looking is dear.
    fn expect_slowly(&mut self, limit: u64, oracle: &'static str, what: &str, holds: impl Fn(&World) -> bool) {
        let end = self.time + limit;
        while self.violations.is_empty() && !holds(self) {
            if self.time >= end {
                let what = format!("not within {} s of simulated time: {what}", limit / 1_000_000);
                return self.violations.push(Violation::new(oracle, what));
            }
            self.run_to(self.time + 100_000);
        }
    }

    pub(crate) fn expect(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        if self.violations.is_empty() && !self.run_until(PATIENCE, holds) && self.violations.is_empty() {
            let what = format!("not within {} s of simulated time: {what}", PATIENCE / 1_000_000);
            self.violations.push(Violation::new("i", what));
        }
    }

    /// Waits until all peers have acknowledged change 0. Where faults happen meanwhile, no longer than a while after the first: the others
    /// learn of it among all else.
    fn form(&mut self) {
        self.begin_forming();
        self.expect("somebody acknowledges change 0", |world| world.formed() > 0);
        let limit = if self.is_chaotic { 1_000_000 } else { PATIENCE };
        self.run_until(limit, |world| world.formed() == world.nodes.len());
    }

    /// Reads every key with R=all, several times, at any peer; in the end lists them. Between the rounds everything that is still under
    /// way arrives, duplicates from long ago included.
    fn read_everything(&mut self) -> Vec<(KeyId, Values)> {
        let mut finals = Vec::new();
        for round in 0..ROUNDS {
            if round > 0 {
                self.expect("all that is under way arrives", |world| world.is_quiet());
                self.expect("what it has made stand-ins owe is paid", |world| world.owes_nothing());
            }
            let script: VecDeque<Wish> = self.keys().map(|key| self.read_all(key)).collect();
            let auditor = self.add_client(AUDITOR + u64::from(round), Some(script));
            self.expect("every key can be read with R=all", |world| world.clients_are_done());
            let found = &self.clients[auditor].found;
            finals = found.iter().map(|(key, values)| (*key, values.clone())).collect();
        }
        self.expect("all that is under way arrives", |world| world.is_quiet());
        finals
    }

    fn read_all(&self, key: KeyId) -> Wish {
        let request = Request::Get(Get {
            key: key_name(key),
            path: String::new(),
            r: Quorum::All,
            session: Default::default(),
            last_writer_wins: false,
            deadline_ms: 0,
        });
        Wish { key, request, scope: None, values: Vec::new(), quorum: Quorum::All }
    }

    fn judge(&mut self, finals: &[(KeyId, Values)]) -> u64 {
        let replicas = self.replicas();
        let (clocks_agree, wall_ms) = (!self.clocks_jumped, self.latest_wall());
        let mut siblings = 0;
        if finals.len() != usize::from(self.plan.clients.keys) {
            let what = format!("{} of {} keys could be read with R=all after healing", finals.len(), self.plan.clients.keys);
            self.violations.push(Violation::new("i", what));
        }
        if self.stats.answered_healed < self.stats.asked_healed {
            let what =
                format!("{} of {} requests were answered after healing", self.stats.answered_healed, self.stats.asked_healed);
            self.violations.push(Violation::new("i", what));
        }
        for (key, live) in finals {
            let healed = Healed { key: *key, live: live.clone(), replicas, disks_lost: self.disks_lost > 0, clocks_agree, wall_ms };
            self.violations.extend(siblings::judge(&self.history, &healed));
            let paths =
                live.iter().filter_map(|value| Some(self.history.author(*value)?.1)).collect::<std::collections::BTreeSet<_>>();
            siblings += u64::from(paths.len() < live.len());
            self.converged(*key, live);
        }
        self.same_roots();
        self.judge_tallies();
        self.nothing_expired_is_kept();
        let least = if self.disks_lost > 0 { replicas / 2 + 1 } else { 1 };
        let misses = reads::judge(&self.history, replicas, least);
        // Who runs from an old copy does not know it before it meets others.
        let is_claimed = |violation: &Violation| !self.old_disk_back || violation.oracle != "e";
        self.violations.extend(misses.into_iter().filter(is_claimed).collect::<Vec<_>>());
        siblings
    }

    /// Oracle n, of what every owner holds in the end, and of all that was answered.
    fn judge_tallies(&mut self) {
        if !self.plan.tallies && self.tallies.writes.is_empty() {
            return;
        }
        let (replicas, keeps_all) = (self.replicas(), self.disks_lost == 0);
        let least = if keeps_all { 1 } else { replicas / 2 + 1 };
        let terms = Terms { replicas, least, keeps_all, reads_are_claimed: !self.old_disk_back };
        for key in tally::KEYS {
            for owner in self.owners(key) {
                let Some(entry) = self.ask(owner, &key_name(key), FetchMode::Full) else { continue };
                let path = Path::parse(tally::path_of(key)).expect("a path");
                let value = render(&entry, &path, 0, false).and_then(|rendered| rendered.value);
                match tally::read(key, value.as_ref()) {
                    Ok(shown) => self.violations.extend(tallies::judge_final(&self.history, &self.tallies, terms, key, &shown)),
                    Err(what) => self.violations.push(Violation::new("n", format!("key {}: {what}", key.0))),
                }
            }
        }
        self.violations.extend(tallies::judge_looks(&self.history, &self.tallies, terms));
        self.stats.counted += self.tallies.writes.iter().filter(|done| self.history.write(done.write).is_acked()).count() as u64;
    }

    /// Oracle c: all owners hold the same live dots, and what was read is what they hold.
    fn converged(&mut self, key: KeyId, live: &Values) {
        let partition = self.partition(key);
        let mut owners = Vec::new();
        for owner in self.owners(key) {
            let entry = self.ask(owner, &key_name(key), FetchMode::Full);
            if let Some(entry) = &entry {
                self.note_versions(key, entry);
            }
            let dots: Vec<_> = entry.iter().flat_map(Entry::dots).collect();
            let values = self.dots.values(partition.0, &dots);
            owners.push(Held { owner: self.nodes[owner].name.clone(), entry, values });
        }
        let wall_ms = EPOCH_MS + self.time / 1_000;
        self.violations.extend(owners::judge(&self.history, (key, live), &owners, wall_ms));
    }
}
