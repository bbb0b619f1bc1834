//! What a client makes of an answer: it notes it for the oracles that judge later, and asks those that judge at once.

use super::{TOKENS_MAX, Token};
use crate::history::{KeyId, Outcome, Read, Scope, ValueId, Values, typed_values, values_in};
use crate::oracle::receipts::{self, Takers};
use crate::oracle::{Violation, dots};
use crate::tally::{self, Look};
use crate::world::{World, key_of};
use bytes::Bytes;
use henge::message::{FailureKind, Found, Quorum, Receipt, Reply, Request, Value};
use henge::peer::Origin;
use henge::vclock::Dot;
use std::collections::BTreeSet;

impl World {
    pub(crate) fn on_answer(&mut self, origin: Origin, reply: Reply) {
        if self.is_answer_to_forming(origin, &reply) {
            return;
        }
        let Some(c) = self.waiting(origin) else { return };
        match reply {
            Reply::Written(receipt) => self.on_written(c, &receipt),
            Reply::Found(found) if !self.is_counting(c) => self.on_found(c, found),
            Reply::Missing(missing) if self.is_counting(c) => {
                self.on_tally(c, (None, &[]), missing.context, missing.answered.into())
            }
            Reply::Found(found) if self.is_counting(c) => self.on_tally_found(c, found),
            Reply::Missing(missing) => self.on_read(c, Values::new(), missing.context, (missing.answered, 0)),
            Reply::Listed(listed) => {
                let keys: Vec<Option<KeyId>> = listed.keys.iter().map(|key| key_of(key)).collect();
                if keys.iter().any(|key| key.is_none_or(|key| key.0 >= self.plan.clients.keys)) {
                    self.violations
                        .push(Violation::new("b: phantom", format!("a key that nobody wrote is listed: {:?}", listed.keys)));
                }
                self.clients[c].listed.extend(keys.into_iter().flatten());
                if listed.more
                    && let Some(pending) = &mut self.clients[c].pending
                    && let Request::List(list) = &mut pending.wish.request
                {
                    list.after = listed.resume_after;
                    pending.tries = 0;
                    return self.try_request(c);
                }
                self.finish(c, true);
            }
            Reply::Failed(failure) => {
                let Some(pending) = self.clients[c].pending.as_mut() else { return };
                match failure.kind {
                    // What this session has seen was on one disk alone, and that is lost: the honest answer is this one, for ever.
                    FailureKind::Unavailable if self.disks_lost > 0 && self.is_settled && pending.is_last_try() => {
                        let key = pending.wish.key;
                        self.clients[c].tokens.remove(&key);
                        self.finish(c, true);
                    }
                    FailureKind::Unavailable | FailureKind::Overloaded | FailureKind::NotFormed | FailureKind::Storage => {
                        self.give_up_or_retry(c, true);
                    }
                    FailureKind::TooManySiblings => self.give_up_or_retry(c, false),
                    FailureKind::Unknown => {
                        if pending.write.is_none() {
                            let what = format!("a read is unknown: {}", failure.message);
                            self.violations.push(Violation::new("i", what));
                        }
                        self.on_no_answer(origin);
                    }
                    FailureKind::BadRequest | FailureKind::TooLarge | FailureKind::BadContext => {
                        let what = format!("{:?} is refused as {:?}: {}", pending.wish.request, failure.kind, failure.message);
                        self.violations.push(Violation::new("i", what));
                    }
                }
            }
            other => self.violations.push(Violation::new("i", format!("client {} is answered {other:?}", origin.client))),
        }
    }

    fn on_written(&mut self, c: usize, receipt: &Receipt) {
        let Some(pending) = self.clients[c].pending.as_ref() else { return };
        let (Some(id), key) = (pending.write, pending.wish.key) else {
            return self.violations.push(Violation::new("i", "a read is answered as a write"));
        };
        let own = pending.own;
        let (w, is_retried) = (size(pending.wish.quorum, self.replicas()), pending.uncertain);
        let members: BTreeSet<_> = receipt.acks.iter().map(|ack| ack.member).collect();
        let owners: BTreeSet<_> = self.owners(key).into_iter().map(|owner| self.nodes[owner].member).collect();
        let takers = Takers { owners: &owners, acked: &members, stood_in: &receipt.stood_in };
        self.violations.extend(receipts::judge_acks(self.history.write(id), w, &takers));
        // What is claimed of quorums that meet is claimed of owners alone.
        let w = w.min(members.intersection(&owners).count());
        let partition = self.partition(key).0;
        self.violations.extend(self.dots.note_receipt(self.history.write(id), partition, &receipt.dots));
        let covered = self.dots.values(partition, &receipt.covered);
        let all_known = receipt.covered.iter().all(|dot| self.dots.is_known(partition, *dot));
        self.stats.acked += 1;
        self.stats.expiring += u64::from(self.history.write(id).expiry.ttl_ms > 0);
        self.stats.retried += u64::from(is_retried);
        self.stats.stood_in += u64::from(!receipt.stood_in.is_empty());
        let time = self.time;
        let write = self.history.write_mut(id);
        write.outcome = Outcome::Acked { at: time, w };
        // What is not known to the oracle cannot be followed: then the receipt excuses whatever was there.
        write.is_retried |= is_retried || !all_known;
        write.covered = covered;
        let write = write.clone();
        self.violations.extend(receipts::judge_scope(&self.history, &write));
        let live: Values = write.values.iter().map(|(_, value)| *value).collect();
        let mut covers: Values = live.union(&write.covered).copied().collect();
        covers.extend(write.context.iter().flatten());
        self.keep_token(
            c,
            key,
            Token { context: receipt.context.clone(), covers, live, of_path: !matches!(write.scope, Scope::Whole), own: own + 1 },
        );
        self.finish(c, true);
    }

    fn on_found(&mut self, c: usize, found: Found) {
        let Some(key) = self.clients[c].pending.as_ref().map(|pending| pending.wish.key) else { return };
        let partition = self.partition(key).0;
        let mut shown = values_of(found.value.as_ref());
        found.conflicts.iter().flat_map(|conflict| &conflict.values).for_each(|value| shown.extend(values_of(Some(value))));
        let named = self.dots.values(partition, &found.dots);
        let all_known = found.dots.iter().all(|dot| self.dots.is_known(partition, *dot));
        self.stats.conflicts += u64::from(!found.conflicts.is_empty());
        self.stats.versions_max = self.stats.versions_max.max(found.dots.len() as u64);
        let hides = found.hidden > 0;
        self.violations.extend(all_known.then(|| dots::judge_answer(key, &shown, &named, hides)).flatten());
        shown.extend(named);
        // Who stands in knows only what it keeps for others: regular reads count owners.
        self.on_read(c, shown, found.context, (found.answered, found.stood_in));
    }

    /// `answered`: how many have answered; `stood_in`: those of them that are no owners that have lost nothing.
    fn on_read(&mut self, c: usize, shown: Values, context: Bytes, (answered, stood_in): (u8, u8)) {
        let (replicas, wall_ms) = (self.replicas(), self.latest_wall());
        let client = &mut self.clients[c];
        let Some(pending) = client.pending.as_ref() else { return };
        let key = pending.wish.key;
        let Request::Get(get) = &pending.wish.request else {
            return self.violations.push(Violation::new("i", "a write is answered as a read"));
        };
        let (of_path, wanted) = (!get.path.is_empty(), size(pending.wish.quorum, replicas));
        if usize::from(answered) < wanted {
            let what = format!("a read of key {} with R={wanted} is answered by {answered}", key.0);
            self.violations.push(Violation::new("e", what));
        }
        self.history.note_read(Read {
            client: client.id,
            key,
            path: get.path.clone(),
            r: wanted.min(usize::from(answered.saturating_sub(stood_in))),
            invoked: pending.invoked,
            ended: self.time,
            wall_ms,
            shown: shown.clone(),
            session: pending.session.clone(),
        });
        client.found.insert(key, shown.clone());
        self.keep_token(c, key, Token { context, covers: shown.clone(), live: shown, of_path, own: 0 });
        self.finish(c, true);
    }

    /// True if this client asks for a counter or a set.
    fn is_counting(&self, c: usize) -> bool {
        self.clients[c].pending.as_ref().is_some_and(|pending| tally::is_tally(pending.wish.key))
    }

    fn on_tally_found(&mut self, c: usize, found: Found) {
        if !found.conflicts.is_empty() {
            let what = format!("a counter or a set is in conflict with itself: {:?}", found.conflicts);
            self.violations.push(Violation::new("n", what));
        }
        let owners = usize::from(found.answered.saturating_sub(found.stood_in));
        self.on_tally(c, (found.value.as_ref(), &found.dots), found.context, owners);
    }

    /// `owners`: how many of those that answered have lost nothing.
    fn on_tally(&mut self, c: usize, (value, dots): (Option<&Value>, &[Dot]), context: Bytes, owners: usize) {
        let replicas = self.replicas();
        let client = &self.clients[c];
        let Some(pending) = client.pending.as_ref() else { return };
        let (key, digit) = (pending.wish.key, (client.id - tally::FIRST_CLIENT) as usize);
        let shown = match tally::read(key, value) {
            Ok(shown) => shown,
            Err(what) => return self.violations.push(Violation::new("n", format!("key {}: {what}", key.0))),
        };
        // What is shown twice is seen once: then the answer does not tell how many its session has seen.
        let own = if tally::may_count_twice(dots) { pending.own } else { pending.own.max(shown.digit(digit)) };
        self.tallies.looks.push(Look {
            key,
            r: size(pending.wish.quorum, replicas).min(owners),
            invoked: pending.invoked,
            ended: self.time,
            own: (digit, pending.own),
            shown,
        });
        self.keep_token(c, key, Token { context, covers: Values::new(), live: Values::new(), of_path: true, own });
        self.finish(c, true);
    }

    fn keep_token(&mut self, c: usize, key: KeyId, token: Token) {
        let tokens = self.clients[c].tokens.entry(key).or_default();
        tokens.push_back(token);
        if tokens.len() > TOKENS_MAX {
            tokens.pop_front();
        }
    }
}

fn size(quorum: Quorum, replicas: usize) -> usize {
    match quorum {
        Quorum::Default => replicas / 2 + 1,
        Quorum::Exactly(n) => usize::from(n),
        Quorum::All => replicas,
    }
}

fn values_of(value: Option<&Value>) -> BTreeSet<ValueId> {
    match value {
        Some(Value::Bytes(bytes) | Value::Json(bytes)) => values_in(bytes),
        Some(Value::Typed(typed)) => typed_values(typed),
        Some(Value::Counter(_) | Value::Set(_)) | None => Values::new(),
    }
}
