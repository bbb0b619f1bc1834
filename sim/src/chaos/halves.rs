//! The scenario of a cluster that falls apart: two parts that do not hear each other go on working, and are then joined again.
//!
//! Two of five peers are cut off from the three others. Both parts replace, patch, remove and make keys, each with the contexts that its clients
//! read before the cut; the same keys too. What each client was told is written down. After healing, when hints are drained and comparisons
//! find nothing any more, everything is judged: `verdict`.

use super::cluster::{Cluster, Shape, name};
use super::counter::{self, Count};
use super::fates::{Cut, Fate, PEERS, Side, Step};
use super::program::Program;
use super::proxy::Way;
use super::until;
use super::verdict::{Aftermath, judge};
use super::witness::{Story, Token, Witness};
use crate::history::{KeyId, Outcome, ValueId, Values};
use henge::message::{ComparisonStatus, Quorum, Status, ViewState};
use henge::ring::MemberId;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How it went, for people, and what is wrong with it.
#[derive(Clone, Default, Debug)]
pub struct Report {
    /// Writes that each part asked for during the cut, the left one first.
    pub asked: [u64; 2],
    /// Those that were acknowledged.
    pub acked: [u64; 2],
    /// Those of which it is not known what became of them.
    pub unknown: [u64; 2],
    /// And of these, those that the cut did not surprise.
    pub unknown_later: [u64; 2],
    /// Writes that stand-ins have acknowledged too.
    pub stood_in: u64,
    /// Reads that were answered, before, during and after the cut.
    pub reads: usize,
    /// What the clients of all peers were told of their increments of one counter, during the cut.
    pub counted: Count,
    /// Keys with siblings after healing.
    pub conflicts: usize,
    /// Keys that were removed, and are gone.
    pub gone: usize,
    /// Keys that are there.
    pub there: usize,
    /// From healing until nothing was left to hand over or to compare.
    pub healing: Duration,
    /// What was waited for last of all.
    pub waited_for: String,
    /// Promises that were broken, and what makes the run count for nothing; empty if all is well.
    pub objections: Vec<String>,
}

/// Whose comparisons must have begun after healing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    /// Those of peers that did not hear each other.
    Cut,
    /// All: that takes a whole round.
    All,
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
/// While nothing is cut, anything that is asked for has to be answered, however busy the machine is (milliseconds).
pub(super) const CALM_DEADLINE_MS: u32 = 60_000;
/// So many times it is asked for.
const CALM_TRIES: usize = 20;
/// Of this many keys one is worked on when the cut has just begun and nobody has noticed.
const SURPRISED_EVERY: u16 = 8;
/// So often each client adds to the counter.
const INCREMENTS: u64 = 200;
/// This share of each part's writes must be acknowledged, or the run counts for nothing.
const ACKED_SHARE_LEAST: f64 = 0.6;

/// Runs the scenario once, with so many keys, and judges it.
///
/// # Errors
/// It could not be carried out: for people, with the folder to look at.
pub async fn run(program: &Program, cut: Cut, keys: u16) -> Result<Report, String> {
    run_over(program, Shape::default(), cut, keys).await
}

/// The same over peers that are made in this way: in network namespaces, for one.
///
/// # Errors
/// It could not be carried out: for people, with the folder to look at.
pub async fn run_over(program: &Program, shape: Shape, cut: Cut, keys: u16) -> Result<Report, String> {
    let mut cluster = Cluster::form(program, Shape { peers: PEERS, ..shape }).await?;
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

pub(super) async fn ring_at(address: &str) -> Result<std::sync::Arc<henge::message::RingTable>, String> {
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

        self.cluster.cut(&ways).await?;
        let passed: Vec<u64> = ways.iter().map(|way| self.cluster.cuts().passed(*way)).collect();
        let (surprised, others): (Vec<KeyId>, Vec<KeyId>) = self.keys.iter().copied().partition(is_surprised);
        let (clients, surprised_adds) = (&self.witnesses, INCREMENTS / SURPRISED_EVERY as u64);
        let (_, at_once) = tokio::join!(
            self.work(&surprised, &tokens, SURPRISED_DEADLINE_MS),
            counter::add(clients, surprised_adds, SURPRISED_DEADLINE_MS)
        );
        self.noticed().await?;
        let (_, later) = tokio::join!(self.work(&others, &tokens, 0), counter::add(clients, INCREMENTS - surprised_adds, 0));
        let counts: Vec<Count> = at_once.into_iter().zip(later).map(|(one, other)| one.and(other)).collect();
        self.read_during().await;
        let passed_after: Vec<u64> = ways.iter().map(|way| self.cluster.cuts().passed(*way)).collect();
        let still_cut = match self.cluster.network() {
            Some(network) => network.check().await,
            // What a proxy had taken before a router's cut may pass it, what it takes during its own may not.
            None if passed != passed_after => Err(format!("bytes have passed the cut: {passed:?}, then {passed_after:?}")),
            None => Ok(()),
        };
        self.cluster.calm().await?;

        let healed = Instant::now();
        let waited_for = self.at_rest(healed, Pairs::Cut).await?;
        let mut report = Report { healing: healed.elapsed(), waited_for, ..Report::default() };
        let mut aftermath = self.own_copies(&mut report).await;
        if !aftermath.is_agreed() {
            // Two of one part that differ in what reached but one of them are left to the round of comparisons.
            report.waited_for = self.at_rest(healed, Pairs::All).await?;
            report.healing = healed.elapsed();
            aftermath = self.own_copies(&mut report).await;
        }
        self.all_copies(&mut aftermath, &mut report).await;
        report.objections.extend(still_cut.err());
        self.count(before, &mut report);
        report.counted = counts.iter().fold(Count::default(), |all, count| all.and(*count));
        report.objections.extend(counter::judge(&self.witnesses, &counts).await);
        self.weigh(&aftermath, &mut report);
        report.objections.extend(self.cluster.complaints());
        if report.objections.is_empty() {
            self.tamper(&mut report).await;
        }
        Ok(report)
    }

    /// The control: a key is removed, a removed value put back, a value invented, all behind the story's back. Whoever judges must notice
    /// each of the three, in what the peers answer.
    async fn tamper(&self, report: &mut Report) {
        let value_of = |key: KeyId| {
            let told = self.story.told();
            told.history.of_key(key).flat_map(|write| write.values.first()).map(|(_, value)| *value).next()
        };
        let is_settled = |key: &KeyId| self.story.told().history.of_key(*key).all(|write| write.is_acked());
        let of = |fate: Fate| self.keys.iter().copied().filter(move |key| Fate::of(*key) == fate).filter(is_settled);
        let (mut untouched, mut removed) = (of(Fate::Untouched), of(Fate::Removed));
        let (Some(lost), Some(invented), Some(back)) = (untouched.next(), untouched.next(), removed.next()) else {
            return report.objections.push("too little was tried: no keys for the control".to_string());
        };
        for (key, value, oracle) in
            [(lost, None, "a"), (invented, Some(ValueId(u64::MAX)), "b: phantom"), (back, value_of(back), "b: resurrected")]
        {
            let (writer, reader) = (&self.witnesses[Side::Left.peer(key)], &self.witnesses[Side::Right.peer(key)]);
            let mut aftermath = Aftermath::default();
            if patiently(|| async { writer.tamper(key, value, CALM_DEADLINE_MS).await.then_some(()) }).await.is_none() {
                report.objections.push(format!("key {} could not be tampered with", key.0));
                continue;
            }
            if let Some(seen) = patiently(|| reader.read(key, Quorum::All, CALM_DEADLINE_MS)).await {
                aftermath.note("the control".to_string(), key, seen.live);
            }
            let verdict = judge(&self.story.told().history, &aftermath, self.story.replicas());
            if !verdict.iter().any(|violation| violation.oracle == oracle) {
                report.objections.push(format!("the control failed: nobody noticed what should break oracle {oracle}"));
            }
        }
    }

    /// Makes the keys, each at the peer of its turn.
    async fn load(&self) -> Result<(), String> {
        let keys: Vec<KeyId> = self.keys.iter().copied().filter(|key| Fate::of(*key).making().is_some()).collect();
        let made = for_each(&keys, |key| {
            let witness = self.witnesses[usize::from(key.0) % PEERS].clone();
            async move {
                let Some(deed) = Fate::of(key).making() else { return true };
                patiently(|| witness.write(key, deed, None, CALM_DEADLINE_MS)).await.is_some()
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
            async move {
                [left.read(key, Quorum::Default, 0).await, right.read(key, Quorum::Default, 0).await].map(|seen| Some(seen?.token))
            }
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

    /// Waits until all peers are linked and alive to each other, nothing is kept for others, all comparisons have found everything equal,
    /// and those of the pairs that were cut, or of all, began after healing. Answers with what it waited for last.
    async fn at_rest(&self, healed: Instant, pairs: Pairs) -> Result<String, String> {
        let is_compared_anew = |peer: usize, other: usize| {
            let way = Way { from: peer, to: other };
            pairs == Pairs::All || self.cut.severs(way) || self.cut.severs(way.back())
        };
        let mut unrest = String::new();
        let rest = until("no hints left, and all peers in step after healing", async || {
            for peer in 0..PEERS {
                let anew: Vec<MemberId> = (0..PEERS)
                    .filter(|other| is_compared_anew(peer, *other))
                    .filter_map(|other| self.story.member(&name(other)))
                    .collect();
                let status = self.cluster.status(peer).await?;
                if let Some(what) = unrest_of(&status, &anew, healed.elapsed()) {
                    unrest = what;
                    return None;
                }
            }
            Some(())
        });
        match rest.await {
            Ok(()) => Ok(unrest),
            Err(error) => Err(format!("{error}; last of all {unrest}")),
        }
    }

    /// Asks every owner for what it holds itself. Reads of one copy repair nothing.
    async fn own_copies(&self, report: &mut Report) -> Aftermath {
        let mut aftermath = Aftermath::default();
        for witness in &self.witnesses {
            let is_owner = |key: &KeyId| self.story.is_owner(*key, &name(witness.peer));
            let keys: Vec<KeyId> = self.keys.iter().copied().filter(is_owner).collect();
            self.ask(witness, &keys, Quorum::Exactly(1), &mut aftermath, report).await;
        }
        aftermath
    }

    /// Asks every peer for what all owners hold, and then for all keys.
    async fn all_copies(&self, aftermath: &mut Aftermath, report: &mut Report) {
        for witness in &self.witnesses {
            self.ask(witness, &self.keys, Quorum::All, aftermath, report).await;
        }
        for witness in &self.witnesses {
            match patiently(|| witness.list(CALM_DEADLINE_MS)).await {
                Some(mut keys) => {
                    match keys.iter().position(|key| *key == counter::KEY) {
                        Some(place) => drop(keys.remove(place)),
                        None => report.objections.push(format!("{} does not list the counter", name(witness.peer))),
                    }
                    aftermath.listings.push((name(witness.peer), keys));
                }
                None => report.objections.push(format!("{} does not list its keys after healing", name(witness.peer))),
            }
        }
    }

    async fn ask(&self, witness: &Witness, keys: &[KeyId], r: Quorum, aftermath: &mut Aftermath, report: &mut Report) {
        let seen = for_each(keys, |key| {
            let witness = witness.clone();
            async move { patiently(|| witness.read(key, r, CALM_DEADLINE_MS)).await }
        });
        let who = name(witness.peer);
        for (key, seen) in seen.await {
            let Some(seen) = seen else {
                report.objections.push(format!("{who} does not answer for key {} after healing", key.0));
                continue;
            };
            let is_complete = r != Quorum::All || (seen.is_agreed && seen.owners == self.story.replicas());
            if !is_complete {
                report.objections.push(format!("{who} finds that the owners of key {} do not agree", key.0));
            }
            aftermath.note(format!("{who} with R={r:?}"), key, seen.live);
        }
    }

    /// Counts the writes of the cut: those from number `before` on.
    fn count(&self, before: usize, report: &mut Report) {
        let told = self.story.told();
        for write in &told.history.writes()[before..] {
            let side = usize::from(Side::of(write.client as usize) == Side::Right);
            report.asked[side] += 1;
            report.acked[side] += u64::from(write.is_acked());
            let is_unknown = write.outcome == Outcome::Unknown;
            report.unknown[side] += u64::from(is_unknown);
            report.unknown_later[side] += u64::from(is_unknown && !is_surprised(&write.key));
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
            let live =
                aftermath.states.get(key).and_then(|states| states.first()).map(|(_, live)| live.clone()).unwrap_or_default();
            let last_of = |side: Side| -> Values {
                let own = told.history.of_key(*key).filter(|write| write.is_acked() && Side::of(write.client as usize) == side);
                own.last().map(|write| write.values.iter().map(|(_, value)| *value).collect()).unwrap_or_default()
            };
            let are_both_there =
                [Side::Left, Side::Right].map(last_of).iter().all(|last| !last.is_empty() && last.is_subset(&live));
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
        let share = report.counted.acked as f64 / (INCREMENTS as f64 * PEERS as f64);
        demand(share >= ACKED_SHARE_LEAST, &format!("of {INCREMENTS} increments of each client {:?}", report.counted));
        demand(report.conflicts > 0, "no key has siblings");
        demand(report.gone > 0, "no key was removed");
        demand(self.cut == Cut::Partial || report.stood_in > 0, "nobody stood in");
    }
}

/// True if a key is worked on when the cut has just begun.
fn is_surprised(key: &KeyId) -> bool {
    key.0 % SURPRISED_EVERY == SURPRISED_EVERY - 1
}

/// What a peer has still to do after healing, so long ago; none if it is at rest. `anew` are those with whom it has to compare anew.
pub(super) fn unrest_of(status: &Status, anew: &[MemberId], healed: Duration) -> Option<String> {
    let Status { member, links, comparisons, gossip } = status;
    let incomplete = member.incomplete_partitions;
    if incomplete > 0 {
        return Some(format!("{} has lost something of {incomplete} partitions", member.name));
    }
    let name = |of| links.iter().find(|link| link.member == of).map_or("a member", |link| &link.name);
    let no_link = links.iter().find(|link| !link.up).map(|link| format!("has no link to {}", link.name));
    let dead = gossip.others.iter().find(|view| view.state != ViewState::Alive);
    let debt = member.debts.iter().find(|debt| debt.hints > 0);
    let is_fresh = |with: &ComparisonStatus| {
        !anew.contains(&with.member) || with.all_within_ms.is_some_and(|ms| u128::from(ms) < healed.as_millis())
    };
    let differs = comparisons.iter().find(|with| with.in_step != with.partitions || !is_fresh(with));
    let what = no_link
        .or_else(|| dead.map(|view| format!("takes {} for {:?}", name(view.member), view.state)))
        .or_else(|| debt.map(|debt| format!("keeps {} keys for {}", debt.hints, debt.name)))
        .or_else(|| {
            differs.map(|with| {
                let (name, within) = (name(with.member), with.all_within_ms.map_or(u64::MAX, |ms| ms / 1_000));
                format!("is in step with {name} in {} of {} partitions, compared within {within} s", with.in_step, with.partitions)
            })
        });
    what.map(|what| format!("{} {what}", member.name))
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

/// Asks until there is an answer, while all is well: a machine that is busy may be slow, and take a peer for dead for a moment.
pub(super) async fn patiently<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> Option<T> {
    for _ in 0..CALM_TRIES {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    None
}

/// Works on these keys, some at a time.
pub(super) async fn for_each<T, F>(keys: &[KeyId], work: impl Fn(KeyId) -> F) -> BTreeMap<KeyId, T>
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
            let (asked, acked, unknown, later) = (self.asked[side], self.acked[side], self.unknown[side], self.unknown_later[side]);
            let refused = asked - acked - unknown;
            writeln!(
                f,
                "  {name:<12} {acked} of {asked} writes acknowledged, {unknown} unknown ({} surprised by the cut), {refused} refused",
                unknown - later
            )?;
        }
        writeln!(
            f,
            "  {} writes with the help of stand-ins; at rest {:.1} s after healing (before that: {})",
            self.stood_in,
            self.healing.as_secs_f64(),
            if self.waited_for.is_empty() { "nothing" } else { &self.waited_for }
        )?;
        let Count { acked, unknown, refused } = self.counted;
        writeln!(f, "  one counter: {acked} increments acknowledged by five peers, {unknown} unknown, {refused} refused")?;
        write!(
            f,
            "  {} keys are there, {} of them with siblings; {} were removed and are gone; {} reads",
            self.there, self.conflicts, self.gone, self.reads
        )
    }
}
