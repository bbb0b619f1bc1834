//! The end of a round: the cluster comes to rest, everybody is asked, everything is judged.

use super::super::cluster::name;
use super::super::halves::{CALM_DEADLINE_MS, for_each, patiently, unrest_of};
use super::super::until;
use super::super::verdict::{Aftermath, judge_after, judge_listing};
use super::super::witness::Witness;
use super::crowd::Crowd;
use super::stage::Stage;
use crate::dice::Dice;
use crate::history::{KeyId, Values};
use crate::oracle::Violation;
use henge::message::Quorum;
use henge::ring::MemberId;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Keys that nobody writes to any more, and what is live of them for good.
pub type Settled = BTreeMap<KeyId, Values>;

/// So often owners that do not agree are told to compare once more.
const TRIES: usize = 4;
/// What comparisons still find unequal is left to their round of a minute. Links that are made anew make them compare at once: they are, after
/// so long, then after half as long again, and so on.
const NUDGE_FIRST: Duration = Duration::from_millis(1_500);
/// So many settled keys are asked for in each round.
const SETTLED_ASKED: usize = 24;

/// How a round has ended.
#[derive(Clone, Default, Debug)]
pub struct Judged {
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// What is live.
    pub live: Settled,
    /// What kept the cluster from its rest at last, and how long that took.
    pub waited_for: String,
}

/// Heals the cluster, waits for its rest, and judges everything that was told of these keys. Reads are judged from `first_read` on.
///
/// # Errors
/// It does not come to rest, or does not answer: for people.
pub async fn judge_round(
    stage: &Stage<'_>,
    crowd: &Crowd,
    (keys, settled): (&[KeyId], &Settled),
    first_read: usize,
    dice: &mut Dice,
) -> Result<Judged, String> {
    let mut aftermath = Aftermath::default();
    let mut waited_for = Vec::new();
    for _ in 0..TRIES {
        stage.heal().await?;
        waited_for.push(at_rest(stage).await?);
        // Nothing that was under way before can still take effect.
        stage.story.is_quiet();
        aftermath = own_copies(stage, crowd, keys).await?;
        if aftermath.is_agreed() {
            break;
        }
    }
    let one = &crowd.witnesses[dice.below(stage.cluster.len() as u64) as usize];
    for (key, live) in all_copies(one, keys).await? {
        aftermath.note(format!("{} of all copies", name(one.peer)), key, live);
    }
    let mut violations = judge_after(stage.trouble, &stage.story.told().history, first_read, &aftermath, stage.story.replicas());
    violations.extend(stage.story.told().violations.iter().cloned());
    let live: Settled = aftermath.states.iter().filter_map(|(key, states)| Some((*key, states.first()?.1.clone()))).collect();
    violations.extend(settled_stay(one, settled, dice).await?);
    let listing =
        patiently(|| one.list(CALM_DEADLINE_MS)).await.ok_or_else(|| format!("{} does not list its keys", name(one.peer)))?;
    let mut all = Aftermath::default();
    for (key, live) in settled.iter().chain(&live) {
        all.note(String::new(), *key, live.clone());
    }
    violations.extend(judge_listing(&name(one.peer), &listing, &all));
    Ok(Judged { violations, live, waited_for: waited_for.join("; then ") })
}

/// Waits until nothing is kept for others, and all peers have compared with all others since now and found everything equal.
async fn at_rest(stage: &Stage<'_>) -> Result<String, String> {
    let (healed, count) = (Instant::now(), stage.cluster.len());
    let members: Vec<MemberId> = (0..count).filter_map(|peer| stage.story.member(&name(peer))).collect();
    let mut unrest = String::new();
    let (mut nudge, mut pause) = (healed + NUDGE_FIRST, NUDGE_FIRST);
    let rest = until("no hints left, and all peers in step after healing", async || {
        for peer in 0..count {
            let Some(status) = stage.cluster.status(peer).await else {
                unrest = format!("{} does not say how it is", name(peer));
                return None;
            };
            if let Some(what) = unrest_of(&status, &members, healed.elapsed()) {
                unrest = what;
                if Instant::now() >= nudge {
                    stage.cluster.cuts().reset();
                    pause = pause * 3 / 2;
                    nudge = Instant::now() + pause;
                }
                return None;
            }
        }
        Some(())
    });
    match rest.await {
        Ok(()) => Ok(format!("{:.1} s, {unrest}", healed.elapsed().as_secs_f64())),
        Err(error) => Err(format!("{error}; last of all {unrest}")),
    }
}

/// Asks every owner for what it holds itself. Reads of one copy repair nothing.
async fn own_copies(stage: &Stage<'_>, crowd: &Crowd, keys: &[KeyId]) -> Result<Aftermath, String> {
    let mut aftermath = Aftermath::default();
    for witness in &crowd.witnesses[..stage.cluster.len()] {
        let who = name(witness.peer);
        let own: Vec<KeyId> = keys.iter().copied().filter(|key| stage.story.is_owner(*key, &who)).collect();
        for (key, live) in ask(witness, &own, Quorum::Exactly(1)).await? {
            aftermath.note(who.clone(), key, live);
        }
    }
    Ok(aftermath)
}

async fn all_copies(one: &Witness, keys: &[KeyId]) -> Result<Vec<(KeyId, Values)>, String> {
    ask(one, keys, Quorum::All).await
}

async fn ask(witness: &Witness, keys: &[KeyId], r: Quorum) -> Result<Vec<(KeyId, Values)>, String> {
    let seen = for_each(keys, |key| {
        let witness = witness.clone();
        async move { patiently(|| witness.read(key, r, CALM_DEADLINE_MS)).await }
    });
    let answer = |(key, seen): (KeyId, Option<super::super::witness::Seen>)| match seen {
        Some(seen) => Ok((key, seen.live)),
        None => Err(format!("{} does not answer for key {} after healing", name(witness.peer), key.0)),
    };
    seen.await.into_iter().map(answer).collect()
}

/// What was judged in earlier rounds, and nobody has touched since, is as it was: some of it is asked for again, all copies together.
async fn settled_stay(one: &Witness, settled: &Settled, dice: &mut Dice) -> Result<Vec<Violation>, String> {
    let all: Vec<KeyId> = settled.keys().copied().collect();
    let some: Vec<KeyId> = (0..SETTLED_ASKED.min(all.len())).map(|_| *dice.pick(&all)).collect();
    let mut violations = Vec::new();
    for (key, live) in all_copies(one, &some).await? {
        let was = &settled[&key];
        let (gone, new): (Vec<_>, Vec<_>) = (was.difference(&live).collect(), live.difference(was).collect());
        if !gone.is_empty() {
            violations.push(Violation::new(
                "a",
                format!("LOST {gone:?} of key {}, at rest since an earlier round; left {live:?}", key.0),
            ));
        }
        if !new.is_empty() {
            violations
                .push(Violation::new("b: resurrected", format!("{new:?} of key {} is back, gone since an earlier round", key.0)));
        }
    }
    Ok(violations)
}
