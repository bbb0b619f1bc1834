//! What a peer has been asked by messages, and has not answered yet: the oracles know by that what an answer promises.

use bytes::Bytes;
use henge::message::{Message, OperationId, Request};
use henge::ring::MemberId;
use henge::vclock::{Entry, unpack};
use std::collections::{BTreeMap, VecDeque};

/// What has been asked of a peer by a message, and will be answered.
#[derive(Debug)]
pub enum Asked {
    /// To take in an entry.
    Apply(Bytes, Entry),
    /// To keep an entry for members that are down.
    Keep(Bytes, Entry, Vec<MemberId>),
    /// To tell what it holds.
    Fetch(Bytes),
    /// To answer a read of a key, in the place of who was asked.
    Get(Bytes),
}

impl Asked {
    /// A member has what was kept for it until now: what is not owed to it any more is not promised to be kept for it, though the answer that
    /// says so may still wait for the disk.
    pub fn hand_over(&mut self, to: MemberId, is_owed: impl Fn(&Bytes) -> bool) {
        if let Asked::Keep(key, _, owed) = self
            && !is_owed(key)
        {
            owed.retain(|member| *member != to);
        }
    }
}

/// The questions that one peer has not answered yet.
///
/// One operation can ask a member twice for different things: to keep an entry for one owner, and, as soon as another one turns out to be
/// down, for both. A peer answers what concerns one key in the order in which it came, so each answer belongs to the question that has waited
/// longest; it may wait for the disk for long after that.
#[derive(Default, Debug)]
pub struct Questions(BTreeMap<(MemberId, OperationId), VecDeque<Asked>>);

impl Questions {
    /// A message has reached the peer.
    pub fn ask(&mut self, from: MemberId, message: &Message) {
        if let Some((operation, asked)) = asked_by(message)
            // All that nobody waits for has this number: two such questions cannot be told apart by their answers.
            && operation != OperationId(0)
        {
            self.0.entry((from, operation)).or_default().push_back(asked);
        }
    }

    /// The peer answers, if this is an answer: to what.
    pub fn answer(&mut self, to: MemberId, message: &Message) -> Option<Asked> {
        let operation = match message {
            Message::Applied(applied) => applied.operation,
            Message::Fetched(fetched) => fetched.operation,
            Message::Forwarded(forwarded) => forwarded.operation,
            _ => return None,
        };
        let waiting = self.0.get_mut(&(to, operation))?;
        let asked = waiting.pop_front();
        if waiting.is_empty() {
            self.0.remove(&(to, operation));
        }
        asked
    }

    /// It has lost its memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// What a message asks for, if its answer is a promise.
fn asked_by(message: &Message) -> Option<(OperationId, Asked)> {
    match message {
        Message::Apply(apply) => {
            let entry = unpack(&apply.entry).ok()?;
            let asked = match apply.owed.is_empty() {
                true => Asked::Apply(apply.key.clone(), entry),
                false => Asked::Keep(apply.key.clone(), entry, apply.owed.clone()),
            };
            Some((apply.operation, asked))
        }
        Message::Fetch(fetch) => Some((fetch.operation, Asked::Fetch(fetch.key.clone()))),
        Message::Forward(forward) => match &forward.request {
            Request::Get(get) => Some((forward.operation, Asked::Get(get.key.clone()))),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use henge::message::{Applied, Apply, SyncMode};
    use henge::vclock::pack;

    const KEY: Bytes = Bytes::from_static(b"k");

    fn members(ids: &[u128]) -> Vec<MemberId> {
        ids.iter().map(|id| MemberId(*id)).collect()
    }

    fn keep(operation: u64, owed: &[u128]) -> Message {
        let (operation, entry) = (OperationId(operation), pack(&Entry::default()));
        Message::Apply(Apply { operation, key: KEY, entry, naming: None, owed: members(owed), relief: false })
    }

    fn taken(operation: u64) -> Message {
        let operation = OperationId(operation);
        Message::Applied(Applied { operation, sync: SyncMode::Always, uncovered: Vec::new(), refused: None, complete: false })
    }

    fn owed(asked: Option<Asked>) -> Option<Vec<u128>> {
        match asked? {
            Asked::Keep(_, _, owed) => Some(owed.iter().map(|member| member.0).collect()),
            other => panic!("another question: {other:?}"),
        }
    }

    #[test]
    fn an_answer_belongs_to_the_question_that_has_waited_longest() {
        let mut questions = Questions::default();
        let coordinator = MemberId(9);
        for message in [keep(5, &[1]), keep(5, &[1, 2]), keep(6, &[3]), keep(0, &[4])] {
            questions.ask(coordinator, &message);
        }
        assert_eq!(owed(questions.answer(coordinator, &taken(5))), Some(vec![1]), "it has not promised anything to 2 yet");
        assert_eq!(owed(questions.answer(coordinator, &taken(5))), Some(vec![1, 2]));
        assert_eq!(owed(questions.answer(coordinator, &taken(5))), None);
        assert_eq!(owed(questions.answer(MemberId(8), &taken(6))), None, "somebody else asked");
        assert_eq!(owed(questions.answer(coordinator, &taken(0))), None, "nobody waits for that");
        assert_eq!(owed(questions.answer(coordinator, &taken(6))), Some(vec![3]));
    }

    #[test]
    fn what_was_handed_over_before_the_answer_left_is_promised_to_nobody() {
        let mut asked = Asked::Keep(KEY, Entry::default(), members(&[1, 2]));
        asked.hand_over(MemberId(1), |_| true);
        assert!(matches!(&asked, Asked::Keep(_, _, owed) if owed.len() == 2), "it owes that member something all the same");
        asked.hand_over(MemberId(1), |_| false);
        assert_eq!(owed(Some(asked)), Some(vec![2]));
    }
}
