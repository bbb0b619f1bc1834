//! The scenario of a cluster that falls apart: two parts that do not hear each other go on working, and are then joined again.
//!
//! Two of five peers are cut off from the three others. Both parts replace, patch, remove and make keys, each with the contexts that its clients
//! read before the cut; the same keys too. What each client was told is written down. After healing, when hints are drained and comparisons
//! find nothing any more, everything is judged: `verdict`.

use super::cluster::{Cluster, Program, Shape};
use super::proxy::Way;
use super::until;
use super::verdict::{Aftermath, judge};
use super::witness::{Deed, Story, Token, Witness};
use crate::history::{KeyId, Outcome, Values};
use henge::message::{Quorum, Status, ViewState};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

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
    fn severs(self, way: Way) -> bool {
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
enum Side {
    /// The first two peers.
    Left,
    /// The three others.
    Right,
}

const PEERS: usize = 5;
const LEFT_PEERS: usize = 2;

impl Side {
    fn of(peer: usize) -> Side {
        if peer < LEFT_PEERS { Side::Left } else { Side::Right }
    }

    /// The peer whose neighbour works on this key.
    fn peer(self, key: KeyId) -> usize {
        match self {
            Side::Left => usize::from(key.0) % LEFT_PEERS,
            Side::Right => LEFT_PEERS + usize::from(key.0) % (PEERS - LEFT_PEERS),
        }
    }
}

/// What happens to a key while the cluster is cut. Half of the keys have the two parts exchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
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
type Step = (Deed, bool);

impl Fate {
    fn of(key: KeyId) -> Fate {
        FATES[usize::from(key.0) % FATES.len()]
    }

    /// How the key is made before the cut, if it is.
    fn making(self) -> Option<Deed> {
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

    fn steps_of(key: KeyId, side: Side) -> &'static [Step] {
        let [one, other] = Fate::of(key).steps();
        let is_exchanged = (usize::from(key.0) / FATES.len()) % 2 == 1;
        if (side == Side::Left) != is_exchanged { one } else { other }
    }

    /// True if the two parts are in conflict, whatever passes: neither's contexts cover the other's.
    fn is_conflict(self) -> bool {
        matches!(self, Fate::BothReplace | Fate::TwiceAndOnce | Fate::AnewAndReplaced | Fate::BothPatch)
    }

    /// True if nothing is left of the key.
    fn is_end(self) -> bool {
        matches!(self, Fate::Removed | Fate::BothRemove)
    }
}

/// How it went, for people, and what is wrong with it.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// Writes that each part asked for during the cut, the left one first.
    pub asked: [u64; 2],
    /// Those that were acknowledged.
    pub acked: [u64; 2],
    /// Those of which it is not known what became of them.
    pub unknown: [u64; 2],
    /// Writes that stand-ins have acknowledged too.
    pub stood_in: u64,
    /// Reads that were answered, before, during and after the cut.
    pub reads: usize,
    /// Keys with siblings after healing.
    pub conflicts: usize,
    /// Keys that were removed, and are gone.
    pub gone: usize,
    /// Keys that are there.
    pub there: usize,
    /// From healing until nothing was left to hand over or to compare.
    pub healing: Duration,
    /// Promises that were broken, and what makes the run count for nothing; empty if all is well.
    pub objections: Vec<String>,
}

/// A run of the scenario.
struct Run {
    cluster: Cluster,
    story: Story,
    witnesses: Vec<Witness>,
    keys: Vec<KeyId>,
    cut: Cut,
}

/// How many keys are worked on at a time.
const IN_FLIGHT: usize = 24;
/// Clients that are surprised by the cut do not wait for long (milliseconds).
const SURPRISED_DEADLINE_MS: u32 = 1_000;
/// Of this many keys one is worked on when the cut has just begun and nobody has noticed.
const SURPRISED_EVERY: u16 = 8;
/// This share of each part's writes must be acknowledged, or the run counts for nothing.
const ACKED_SHARE_LEAST: f64 = 0.6;

/// Runs the scenario once, with so many keys, and judges it.
///
/// # Errors
/// It could not be carried out: for people, with the folder to look at.
pub async fn run(program: &Program, cut: Cut, keys: u16) -> Result<Report, String> {
    let mut cluster = Cluster::form(program, Shape { peers: PEERS, replicas: 3, partitions: 32 }).await?;
    let folder = cluster.folder().to_path_buf();
    let ring = ring_at(cluster.listen(0)).await?;
    let story = Story::new(ring);
    let mut witnesses = Vec::new();
    for peer in 0..PEERS {
        witnesses.push(Witness::beside(peer, cluster.listen(peer), &story).await?);
    }
    // Whatever fails from here on, somebody wants to look.
    cluster.keep_folder();
    let mut run = Run { cluster, story, witnesses, keys: (0..keys).map(KeyId).collect(), cut };
    let told = run.tell().await;
    let looked_at = |reason: String| format!("{reason}; the peers' folders and logs are in {}", folder.display());
    let mut report = told.map_err(looked_at)?;
    match report.objections.is_empty() {
        true => run.cluster.drop_folder(),
        false => report.objections.push(looked_at("the run was not accepted".to_string())),
    }
    Ok(report)
}

async fn ring_at(address: &str) -> Result<std::sync::Arc<henge::message::RingTable>, String> {
    let client = henge::client::Client::connect(&[address.to_string()], henge::client::Options::default()).await;
    let client = client.map_err(|error| error.to_string())?;
    client.ring_table().await.map_err(|failure| format!("the ring cannot be learnt: {}", failure.message))
}

impl Run {
    async fn tell(&mut self) -> Result<Report, String> {
        self.load().await?;
        let tokens = self.read_before().await;
        let ways: Vec<Way> = self.cluster.ways().filter(|way| self.cut.severs(*way)).collect();
        let before = self.story.told().history.writes().len();

        self.cluster.cuts().cut(ways.iter().copied());
        let passed: Vec<u64> = ways.iter().map(|way| self.cluster.cuts().passed(*way)).collect();
        let is_surprised = |key: &KeyId| key.0 % SURPRISED_EVERY == SURPRISED_EVERY - 1;
        let (surprised, others): (Vec<KeyId>, Vec<KeyId>) = self.keys.iter().partition(|key| is_surprised(key));
        self.work(&surprised, &tokens, SURPRISED_DEADLINE_MS).await;
        self.noticed().await?;
        self.work(&others, &tokens, 0).await;
        self.read_during().await;
        let passed_after: Vec<u64> = ways.iter().map(|way| self.cluster.cuts().passed(*way)).collect();
        self.cluster.cuts().heal();

        let healed = Instant::now();
        self.at_rest(healed).await?;
        let mut report = Report { healing: healed.elapsed(), ..Report::default() };
        let aftermath = self.look(&mut report).await;
        if passed != passed_after {
            report.objections.push(format!("bytes have passed the cut: {passed:?}, then {passed_after:?}"));
        }
        self.count(before, &mut report);
        self.weigh(&aftermath, &mut report);
        report.objections.extend(self.cluster.complaints());
        Ok(report)
    }

    /// Makes the keys, each at the peer of its turn.
    async fn load(&self) -> Result<(), String> {
        let keys: Vec<KeyId> = self.keys.iter().copied().filter(|key| Fate::of(*key).making().is_some()).collect();
        let made = for_each(&keys, |key| {
            let witness = self.witnesses[usize::from(key.0) % PEERS].clone();
            async move {
                let Some(deed) = Fate::of(key).making() else { return true };
                witness.write(key, deed, None, 0).await.is_some()
            }
        });
        match made.await.values().filter(|is_made| !**is_made).count() {
            0 => Ok(()),
            failed => Err(format!("{failed} of {} keys could not be made while all was well", keys.len())),
        }
    }

    /// What the clients of both parts have read before the cut: the contexts that they work with.
    async fn read_before(&self) -> BTreeMap<KeyId, [Option<Token>; 2]> {
        for_each(&self.keys, |key| {
            let [left, right] = [Side::Left, Side::Right].map(|side| self.witnesses[side.peer(key)].clone());
            async move { [left.read(key, Quorum::Default).await, right.read(key, Quorum::Default).await].map(|seen| Some(seen?.token)) }
        })
        .await
    }

    /// Both parts do with these keys what their fates say.
    async fn work(&self, keys: &[KeyId], tokens: &BTreeMap<KeyId, [Option<Token>; 2]>, deadline_ms: u32) {
        for_each(keys, |key| {
            let [left, right] = [Side::Left, Side::Right].map(|side| self.witnesses[side.peer(key)].clone());
            let [left_token, right_token] = tokens.get(&key).cloned().unwrap_or_default();
            async move {
                tokio::join!(
                    go_steps(left, key, Fate::steps_of(key, Side::Left), left_token, deadline_ms),
                    go_steps(right, key, Fate::steps_of(key, Side::Right), right_token, deadline_ms)
                )
            }
        })
        .await;
    }

    /// Waits until all peers take those for dead whom they do not hear and who do not hear them. Where only some pairs are cut, nobody is dead.
    async fn noticed(&self) -> Result<(), String> {
        if self.cut == Cut::Partial {
            return Ok(());
        }
        until("all peers take those beyond the cut for dead", async || {
            for peer in 0..PEERS {
                let beyond = (0..PEERS).filter(|other| Side::of(*other) != Side::of(peer)).count();
                let status = self.cluster.status(peer).await?;
                let dead = status.gossip.others.iter().filter(|view| view.state == ViewState::Dead).count();
                (dead == beyond).then_some(())?;
            }
            Some(())
        })
        .await
    }

    /// Both parts read all keys. Some answers may fail: there is no promise about those.
    async fn read_during(&self) {
        self.read_before().await;
    }

    /// Waits until all peers are linked and alive to each other, nothing is kept for others, and comparisons that began after healing have found
    /// everything equal.
    async fn at_rest(&self, healed: Instant) -> Result<(), String> {
        let is_at_rest = |status: &Status| {
            let compared = |within: Option<u64>| within.is_some_and(|ms| u128::from(ms) < healed.elapsed().as_millis());
            status.links.iter().all(|link| link.up)
                && status.gossip.others.iter().all(|view| view.state == ViewState::Alive)
                && status.member.debts.iter().all(|debt| debt.hints == 0)
                && status.comparisons.iter().all(|with| with.in_step == with.partitions && compared(with.all_within_ms))
        };
        until("no hints left, and all peers in step after healing", async || {
            for peer in 0..PEERS {
                is_at_rest(&self.cluster.status(peer).await?).then_some(())?;
            }
            Some(())
        })
        .await
    }

    /// Asks every owner for what it holds itself, then every peer for what all owners hold, then for all keys.
    async fn look(&self, report: &mut Report) -> Aftermath {
        let mut aftermath = Aftermath::default();
        for (r, whose) in [(Quorum::Exactly(1), "own copy"), (Quorum::All, "view of all copies")] {
            for witness in &self.witnesses {
                let name = format!("peer-{}", witness.peer + 1);
                let owner = self.story.member_named(&name);
                let is_asked = |key: &KeyId| r == Quorum::All || owner.is_some_and(|owner| self.story.owners(*key).contains(&owner));
                let keys: Vec<KeyId> = self.keys.iter().copied().filter(is_asked).collect();
                let seen = for_each(&keys, |key| {
                    let witness = witness.clone();
                    async move { witness.read(key, r).await }
                });
                for (key, seen) in seen.await {
                    let Some(seen) = seen else {
                        report.objections.push(format!("{name} does not answer for key {} after healing", key.0));
                        continue;
                    };
                    if r == Quorum::All && !(seen.is_agreed && seen.owners == self.story.replicas()) {
                        report.objections.push(format!("{name} finds that the owners of key {} do not agree", key.0));
                    }
                    aftermath.note(format!("{name}'s {whose}"), key, seen.live);
                }
            }
        }
        for witness in &self.witnesses {
            let name = format!("peer-{}", witness.peer + 1);
            match witness.list().await {
                Some(keys) => aftermath.listings.push((name, keys)),
                None => report.objections.push(format!("{name} does not list its keys after healing")),
            }
        }
        aftermath
    }

    /// Counts the writes of the cut: those from number `before` on.
    fn count(&self, before: usize, report: &mut Report) {
        let told = self.story.told();
        for write in &told.history.writes()[before..] {
            let side = usize::from(Side::of(write.client as usize) == Side::Right);
            report.asked[side] += 1;
            report.acked[side] += u64::from(write.is_acked());
            report.unknown[side] += u64::from(write.outcome == Outcome::Unknown);
        }
        report.stood_in = told.stood_in;
        report.reads = told.history.reads().len();
    }

    /// Judges, and sees to it that there was something to judge.
    fn weigh(&self, aftermath: &Aftermath, report: &mut Report) {
        let told = self.story.told();
        let objections = &mut report.objections;
        objections.extend(told.violations.iter().map(|violation| format!("VIOLATED {violation}")));
        let verdict = judge(&told.history, aftermath, self.story.replicas());
        objections.extend(verdict.iter().map(|violation| format!("VIOLATED {violation}")));

        let mut missing = 0;
        for key in &self.keys {
            let live = aftermath.states.get(key).and_then(|states| states.first()).map(|(_, live)| live.clone()).unwrap_or_default();
            let last_of = |side: Side| -> Values {
                let own = told.history.of_key(*key).filter(|write| write.is_acked() && Side::of(write.client as usize) == side);
                own.last().map(|write| write.values.iter().map(|(_, value)| *value).collect()).unwrap_or_default()
            };
            let are_both_there = [Side::Left, Side::Right].map(last_of).iter().all(|last| !last.is_empty() && last.is_subset(&live));
            let fate = Fate::of(*key);
            let all_acked = told.history.of_key(*key).all(|write| write.is_acked());
            // What both wrote last: siblings of the whole, or of one path.
            report.conflicts += usize::from(are_both_there);
            report.there += usize::from(!live.is_empty());
            report.gone += usize::from(fate.is_end() && live.is_empty());
            missing += usize::from(fate.is_conflict() && all_acked && !are_both_there);
        }
        if missing > 0 {
            objections.push(format!("{missing} keys were written in both parts, and have no siblings"));
        }
        let mut demand = |is_met: bool, what: &str| {
            if !is_met {
                objections.push(format!("too little was tried: {what}"));
            }
        };
        for (side, name) in ["left", "right"].into_iter().enumerate() {
            let share = report.acked[side] as f64 / report.asked[side].max(1) as f64;
            let what = format!("the {name} part had {} of {} writes acknowledged", report.acked[side], report.asked[side]);
            demand(share >= ACKED_SHARE_LEAST, &what);
        }
        demand(report.conflicts > 0, "no key has siblings");
        demand(report.gone > 0, "no key was removed");
        demand(self.cut == Cut::Partial || report.stood_in > 0, "nobody stood in");
    }
}

/// One part's steps with one key, each with the context of the last answer.
async fn go_steps(witness: Witness, key: KeyId, steps: &[Step], mut token: Option<Token>, deadline_ms: u32) {
    for (deed, has_context) in steps {
        let with = token.as_ref().filter(|_| *has_context);
        if *has_context && with.is_none() {
            return;
        }
        match witness.write(key, *deed, with, deadline_ms).await {
            Some(next) => token = Some(next),
            // Whoever was not told goes no further.
            None => return,
        }
    }
}

/// Works on these keys, some at a time.
async fn for_each<T, F>(keys: &[KeyId], work: impl Fn(KeyId) -> F) -> BTreeMap<KeyId, T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (mut running, mut done) = (JoinSet::new(), BTreeMap::new());
    for key in keys {
        if running.len() >= IN_FLIGHT
            && let Some(finished) = running.join_next().await
        {
            done.extend(finished);
        }
        let (key, work) = (*key, work(*key));
        running.spawn(async move { (key, work.await) });
    }
    done.extend(running.join_all().await);
    done
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (side, name) in ["two peers:", "three peers:"].into_iter().enumerate() {
            let (asked, acked, unknown) = (self.asked[side], self.acked[side], self.unknown[side]);
            writeln!(f, "  {name:<12} {acked} of {asked} writes acknowledged, {unknown} unknown, {} refused", asked - acked - unknown)?;
        }
        writeln!(f, "  {} writes with the help of stand-ins; at rest {:.1} s after healing", self.stood_in, self.healing.as_secs_f64())?;
        write!(
            f,
            "  {} keys are there, {} of them with siblings; {} were removed and are gone; {} reads",
            self.there, self.conflicts, self.gone, self.reads
        )
    }
}
