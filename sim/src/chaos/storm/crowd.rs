//! The clients of a storm: they work all the time on the same few keys, with contexts new and old, and without.

use super::super::cluster::Cluster;
use super::super::witness::{Deed, Story, Token, Witness};
use crate::dice::Dice;
use crate::history::KeyId;
use henge::message::Quorum;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// All clients of a cluster.
pub struct Crowd {
    /// One beside each peer, then those that ask whomever they like.
    pub witnesses: Vec<Witness>,
}

/// Clients that ask whomever they like.
const TRAVELLERS: usize = 3;
/// Nobody waits longer for an answer (milliseconds).
const DEADLINE_MS: u32 = 2_000;
/// One value in this many is a long one (bytes).
const LONG: (u64, usize) = (12, 24 << 10);

/// A round of work under way.
pub struct Work {
    tasks: JoinSet<()>,
    is_over: Arc<AtomicBool>,
}

impl Crowd {
    /// Clients of this cluster, which tell this story.
    ///
    /// # Errors
    /// A peer does not answer.
    pub async fn gather(cluster: &Cluster, story: &Story) -> Result<Crowd, String> {
        let mut witnesses = Vec::new();
        for peer in 0..cluster.len() {
            witnesses.push(Witness::beside(peer, cluster.listen(peer), story).await?);
        }
        let addresses: Vec<String> = (0..cluster.len()).map(|peer| cluster.advertised(peer).to_string()).collect();
        for number in 0..TRAVELLERS {
            witnesses.push(Witness::traveller(cluster.len() + number, &addresses, story).await?);
        }
        Ok(Crowd { witnesses })
    }

    /// The same clients go on in another story.
    pub fn go_on(&mut self, story: &Story) {
        self.witnesses.iter_mut().for_each(|witness| *witness = witness.in_story(story));
    }

    /// All go to work on these keys.
    pub fn work(&self, keys: &[KeyId], seed: u64) -> Work {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (number, witness) in self.witnesses.iter().enumerate() {
            tasks.spawn(work(witness.clone(), keys.to_vec(), Dice::of(seed, 1 + number as u64), is_over.clone()));
        }
        Work { tasks, is_over }
    }
}

impl Work {
    /// All come to the end of what they are at.
    pub async fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

/// True of keys that hold documents.
fn is_document(key: KeyId) -> bool {
    key.0 % 3 == 2
}

async fn work(witness: Witness, keys: Vec<KeyId>, mut dice: Dice, is_over: Arc<AtomicBool>) {
    let mut tokens: BTreeMap<KeyId, Token> = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        let key = *dice.pick(&keys);
        let is_done = match dice.weighted(&[30, 40, 12, 8, 2]) {
            0 => {
                let r = [Quorum::Default, Quorum::Exactly(1), Quorum::All][dice.weighted(&[7, 2, 1])];
                let seen = witness.read(key, r, DEADLINE_MS).await;
                seen.map(|seen| tokens.insert(key, seen.token)).is_some()
            }
            // With the context of the last answer, which may be an old one, or of one that is asked for now.
            choice @ (1 | 3) => {
                let known = tokens.remove(&key).filter(|_| dice.chance(0.6));
                let token = match known {
                    Some(token) => Some(token),
                    None => witness.read(key, Quorum::Default, DEADLINE_MS).await.map(|seen| seen.token),
                };
                match token {
                    None => false,
                    Some(token) => {
                        let deed = if choice == 3 { Deed::Remove } else { change(key, &mut dice) };
                        let next = witness.write(key, deed, Some(&token), DEADLINE_MS).await;
                        next.map(|next| tokens.insert(key, next)).is_some()
                    }
                }
            }
            choice => {
                let deed = if choice == 2 { change(key, &mut dice) } else { Deed::Remove };
                let next = witness.write(key, deed, None, DEADLINE_MS).await;
                next.map(|next| tokens.insert(key, next)).is_some()
            }
        };
        // Whoever is not answered does not ask again at once.
        let rest = if is_done { dice.between(5, 45) } else { dice.between(80, 250) };
        sleep(Duration::from_millis(rest)).await;
    }
}

/// What a write does with a key that stays.
fn change(key: KeyId, dice: &mut Dice) -> Deed {
    if is_document(key) {
        return *dice.pick(&[Deed::PutAt(&["one", "other", "shared"]), Deed::Set("one"), Deed::Set("other"), Deed::Set("shared")]);
    }
    if dice.below(LONG.0) == 0 { Deed::PutLong(LONG.1) } else { Deed::Put }
}
