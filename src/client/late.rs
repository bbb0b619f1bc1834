//! Peers that are late: left alone while they are stuck, and a read is asked of a second one.

use super::channel::{CallError, Channel};
use super::handle::{ANSWER_GRACE, Client, Tried, View, no_answer};
use super::slot::Slot;
use crate::hedging::Budget;
use crate::message::Request;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A read that may not ask a second peer for want of budget looks again after this long.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A dial gets this part of the time that it may take, before another owner is asked.
const DIAL_SHARE: u32 = 8;

impl Client {
    /// The next owner that is not avoided.
    pub(super) fn better(&self, view: Option<&View>, request: &Request, from: usize, turn: usize) -> Option<Arc<Slot>> {
        let candidates = (from..).map_while(|at| self.candidate(view, request, at, turn));
        candidates.take_while(|(_, owner)| *owner).map(|(slot, _)| slot).find(|slot| !slot.is_avoided())
    }

    /// The connection to a peer; the error is for people. With another one to ask, a peer that stands still is not waited for: it takes
    /// connections, and says no hello. Dialling goes on meanwhile.
    pub(super) async fn dial(&self, slot: &Arc<Slot>, has_another: bool) -> Result<Arc<Channel>, String> {
        if !has_another || slot.is_open() {
            return slot.channel(&self.inner.options).await.map_err(|error| error.to_string());
        }
        let (dialled, options) = (slot.clone(), self.inner.options.clone());
        let dialling = tokio::spawn(async move { dialled.channel(&options).await });
        match tokio::time::timeout(self.inner.options.connect_timeout / DIAL_SHARE, dialling).await {
            Ok(Ok(dialled)) => dialled.map_err(|error| error.to_string()),
            _ => Err(no_answer(slot.address(), &CallError::TimedOut)),
        }
    }

    /// Whoever is avoided is asked for nothing, so nobody would learn that it is quick again: once in a while it is asked what nobody
    /// waits for.
    pub(super) fn try_apart(&self, slot: &Arc<Slot>) {
        if !slot.is_to_be_tried() {
            return;
        }
        let (slot, options) = (slot.clone(), self.inner.options.clone());
        // As long as a write: a question that is given up unanswered ends the connection, and with it whatever else waits there.
        let patience = options.deadline + ANSWER_GRACE;
        tokio::spawn(async move {
            if let Ok(channel) = slot.channel(&options).await {
                // That an answer comes is all there is to know, and the channel tells.
                let _ = channel.call(&Request::Describe, patience).await;
            }
        });
    }

    /// A read, asked of a second owner as well if the first one is late and the budget allows it. The first good answer counts.
    pub(super) async fn try_at_two(
        &self,
        first: (&Slot, Arc<Channel>),
        second: &Slot,
        request: &Request,
        give_up: Instant,
    ) -> Tried {
        let (slot, channel) = first;
        self.budget().earn();
        let mut copy = request.clone();
        let asked = self.try_at(slot, channel, &mut copy, true, give_up);
        tokio::pin!(asked);
        if let Ok(tried) = tokio::time::timeout(slot.hedge_after(), &mut asked).await {
            return tried;
        }
        // Of a peer that is stuck as a whole there are too many reads for a budget, and others give it up, too.
        while !slot.is_avoided() && !self.budget().take() {
            if let Ok(tried) = tokio::time::timeout(LOOK_AGAIN, &mut asked).await {
                return tried;
            }
        }
        let also = async {
            let channel = second.channel(&self.inner.options).await.ok()?;
            Some(self.try_at(second, channel, &mut request.clone(), true, give_up).await)
        };
        tokio::pin!(also);
        let (mut first_done, mut second_done) = (None, false);
        loop {
            tokio::select! {
                tried = &mut asked, if first_done.is_none() => {
                    if second_done || tried.is_good() {
                        return tried;
                    }
                    first_done = Some(tried);
                }
                tried = &mut also, if !second_done => {
                    second_done = true;
                    match (tried, first_done.take()) {
                        (Some(tried), _) if tried.is_good() => return tried,
                        (_, Some(tried)) => return tried,
                        (_, None) => {}
                    }
                }
            }
        }
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.inner.budget.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
