//! One connection under load.

use super::keys::{Choice, Dice, Keys};
use super::pace::Pace;
use super::tally::Tally;
use super::wire::{Outcome, Wire};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What one connection does.
pub(super) struct Lane {
    /// Its number among all connections.
    pub(super) number: usize,
    pub(super) keys: Arc<Keys>,
    pub(super) choice: Choice,
    pub(super) value: Bytes,
    /// Operations under way at once.
    pub(super) pipeline: usize,
    /// Of 100 operations so many are puts.
    pub(super) put_percent: u32,
    /// Nothing that was sent before is counted.
    pub(super) count_from: Instant,
    pub(super) end: Instant,
    /// None for a closed loop: an operation is sent when another was answered.
    pub(super) pace: Option<Arc<Pace>>,
    pub(super) tally: Arc<Mutex<Tally>>,
}

/// An operation under way.
struct Sent {
    is_put: bool,
    /// When it was meant to be sent.
    at: Instant,
    answered: bool,
}

/// Operations under way, by their numbers.
#[derive(Default)]
struct Window {
    first: u64,
    sent: VecDeque<Sent>,
    open: usize,
}

/// After the end, answers are waited for this long.
const DRAIN: Duration = Duration::from_secs(10);

impl Lane {
    /// Keeps the connection under load until the end. Whatever ends it early is told in the tally.
    pub(super) async fn run(self, mut wire: Wire) {
        if let Err(why) = self.drive(&mut wire).await {
            self.tally().lost.push(why);
        }
    }

    async fn drive(&self, wire: &mut Wire) -> Result<(), String> {
        let mut dice = Dice(0x5eed ^ (self.number as u64) << 32);
        let (mut window, mut done, mut started) = (Window::default(), Vec::new(), 0_u64);
        loop {
            // One look at the clock for all that is sent together.
            let now = Instant::now();
            let before = started;
            while window.open < self.pipeline
                && let Some(at) = self.next_at(now, started)
            {
                let is_put = dice.below(100) < self.put_percent;
                let key = self.keys.key(self.choice.draw(&mut dice));
                let id = if is_put { wire.put(key, &self.value)? } else { wire.get(key)? };
                window.add(id, Sent { is_put, at, answered: false });
                started += 1;
            }
            if started > before {
                wire.flush().await?;
            }
            let more_is_due = async {
                match &self.pace {
                    Some(pace) if window.open < self.pipeline => pace.more(self.number).await,
                    _ => std::future::pending().await,
                }
            };
            match window.open {
                0 if self.is_over(started) => return Ok(()),
                0 => more_is_due.await,
                _ => {
                    let patience = self.end.saturating_duration_since(now) + DRAIN;
                    tokio::select! {
                        biased;
                        received = wire.receive(&mut done) => received?,
                        () = more_is_due => {}
                        () = tokio::time::sleep(patience) => return Err("answers are missing after the end".into()),
                    }
                    self.count(&mut window, &mut done)?;
                }
            }
        }
    }

    /// When the next operation was meant to be sent; none if it is not due.
    fn next_at(&self, now: Instant, started: u64) -> Option<Instant> {
        match &self.pace {
            None => (now < self.end).then_some(now),
            Some(pace) => (started < pace.due(self.number)).then(|| pace.intended(self.number, started)),
        }
    }

    fn is_over(&self, started: u64) -> bool {
        match &self.pace {
            None => Instant::now() >= self.end,
            Some(pace) => pace.is_over() && started >= pace.due(self.number),
        }
    }

    fn count(&self, window: &mut Window, done: &mut Vec<(u64, Outcome)>) -> Result<(), String> {
        if done.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let mut tally = self.tally();
        for (id, outcome) in done.drain(..) {
            let (is_put, at) = window.take(id).ok_or("an answer came that nobody waits for")?;
            // What was answered after the end is left out too: throughput is what was done between the two.
            if at >= self.count_from && (now <= self.end || self.pace.is_some()) {
                tally.add(is_put, outcome, now.saturating_duration_since(at));
            }
        }
        Ok(())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Window {
    fn add(&mut self, id: u64, sent: Sent) {
        if self.sent.is_empty() {
            // The numbers of a connection that was used before do not begin at 0.
            self.first = id;
        }
        assert_eq!(id, self.first + self.sent.len() as u64, "operations are numbered in order");
        self.sent.push_back(sent);
        self.open += 1;
    }

    /// Whether the operation was a put, and when it was sent; none if it is not under way.
    fn take(&mut self, id: u64) -> Option<(bool, Instant)> {
        let place = usize::try_from(id.checked_sub(self.first)?).ok()?;
        let sent = self.sent.get_mut(place).filter(|sent| !sent.answered)?;
        sent.answered = true;
        let taken = (sent.is_put, sent.at);
        self.open -= 1;
        while self.sent.front().is_some_and(|sent| sent.answered) {
            self.sent.pop_front();
            self.first += 1;
        }
        Some(taken)
    }
}

/// Writes every key of a share once, so that reads find something.
pub(super) async fn fill(
    wire: &mut Wire,
    keys: &Keys,
    choice: &Choice,
    value: &Bytes,
    share: (usize, usize),
) -> Result<(), String> {
    const BATCH: usize = 64;
    let (nth, of) = share;
    let mine: Vec<u32> = (0..choice.len()).skip(nth).step_by(of).map(|place| choice.at(place)).collect();
    let mut done = Vec::new();
    for batch in mine.chunks(BATCH) {
        let mut left: Vec<u32> = batch.to_vec();
        while !left.is_empty() {
            let mut ids = Vec::with_capacity(left.len());
            for number in &left {
                ids.push((wire.put(keys.key(*number), value)?, *number));
            }
            wire.flush().await?;
            let (mut again, mut answered) = (Vec::new(), 0);
            while answered < ids.len() {
                wire.receive(&mut done).await?;
                for (id, outcome) in done.drain(..) {
                    answered += 1;
                    if let Outcome::Failed(_) = outcome {
                        again.extend(ids.iter().find(|(known, _)| *known == id).map(|(_, number)| *number));
                    }
                }
            }
            if again.len() == left.len() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            left = again;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_may_come_in_any_order_and_only_once() {
        let (mut window, at) = (Window::default(), Instant::now());
        (7..10).for_each(|id| window.add(id, Sent { is_put: id == 8, at, answered: false }));
        assert_eq!(window.take(8), Some((true, at)));
        assert_eq!((window.take(8), window.take(10), window.take(0), window.open), (None, None, None, 2));
        assert_eq!((window.take(7), window.first), (Some((false, at)), 9));
        assert_eq!((window.take(7), window.take(9), window.open), (None, Some((false, at)), 0));
    }
}
