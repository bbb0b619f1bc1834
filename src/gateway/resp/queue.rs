//! The commands of one connection that are under way: answered in their order, begun as early as that order allows.
//!
//! Commands on different keys run at the same time. A command waits for those before it that touch one of its keys, if either of them writes;
//! one that looks at many keys waits for all, and all behind it wait for it. So whoever pipelines sees his own writes, key by key.

use super::answer::{Answer, Protocol};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A command at work. It does nothing before it is polled.
pub(super) type Work = Pin<Box<dyn Future<Output = Answer>>>;

/// What a command touches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Touches {
    /// Nothing that others could change.
    Nothing,
    /// These keys, by their hashes.
    Keys {
        /// Their hashes.
        hashes: SmallVec<[u64; 2]>,
        /// True if it may change them.
        writes: bool,
    },
    /// All keys, or so many that it is all the same.
    All,
}

/// Commands with more keys than this count as touching all.
const KEYS_MAX: usize = 32;

impl Touches {
    /// Of a command on these keys.
    pub(super) fn keys<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]>, writes: bool, hasher: &RandomState) -> Touches {
        if keys.len() > KEYS_MAX {
            return Touches::All;
        }
        Touches::Keys { hashes: keys.map(|key| hasher.hash_one(key)).collect(), writes }
    }

    fn weight(&self) -> usize {
        match self {
            Touches::Nothing => 1,
            Touches::Keys { hashes, .. } => hashes.len().max(1),
            Touches::All => KEYS_MAX,
        }
    }

    /// True if the order of the two matters.
    fn meets(&self, other: &Touches) -> bool {
        match (self, other) {
            (Touches::Nothing, _) | (_, Touches::Nothing) => false,
            (Touches::All, _) | (_, Touches::All) => true,
            (Touches::Keys { hashes, writes }, Touches::Keys { hashes: others, writes: other_writes }) => {
                (*writes || *other_writes) && hashes.iter().any(|hash| others.contains(hash))
            }
        }
    }
}

struct Slot {
    touches: Touches,
    state: State,
    protocol: Protocol,
    bytes: usize,
}

enum State {
    /// It has not begun: something before it has to end first.
    Waiting(Work),
    Running(Work),
    Done(Answer),
}

impl Slot {
    fn holds_up(&self, touches: &Touches) -> bool {
        !matches!(self.state, State::Done(_)) && self.touches.meets(touches)
    }
}

/// The commands under way, the oldest first.
#[derive(Default)]
pub(super) struct Queue {
    slots: VecDeque<Slot>,
    weight: usize,
    waiting: usize,
    /// Bytes of commands and of answers.
    bytes: usize,
    /// How large answers have been lately.
    typical: usize,
}

impl Queue {
    /// How many keys its commands have, answered ones too; a command without any counts as one.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes that they hold.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that they will hold if answers stay as large as they have been.
    pub(super) fn foreseen_bytes(&self) -> usize {
        self.bytes + self.slots.len() * self.typical
    }

    /// Appends a command that is answered already.
    pub(super) fn answer(&mut self, answer: Answer, protocol: Protocol) {
        let bytes = answer.bytes();
        self.bytes += bytes;
        self.weight += Touches::Nothing.weight();
        self.slots.push_back(Slot { touches: Touches::Nothing, state: State::Done(answer), protocol, bytes });
    }

    /// Appends a command of so many bytes. It begins with the next poll after which nothing holds it up.
    pub(super) fn push(&mut self, work: Work, touches: Touches, protocol: Protocol, bytes: usize) {
        let waits = self.slots.iter().any(|slot| slot.holds_up(&touches));
        let state = if waits { State::Waiting(work) } else { State::Running(work) };
        self.waiting += usize::from(waits);
        self.bytes += bytes;
        self.weight += touches.weight();
        self.slots.push_back(Slot { touches, state, protocol, bytes });
    }

    /// Takes the answer of the oldest command, if it is there.
    pub(super) fn take(&mut self) -> Option<(Answer, Protocol)> {
        if !self.slots.front().is_some_and(|slot| matches!(slot.state, State::Done(_))) {
            return None;
        }
        let slot = self.slots.pop_front()?;
        self.bytes -= slot.bytes;
        self.weight -= slot.touches.weight();
        match slot.state {
            State::Done(answer) => Some((answer, slot.protocol)),
            _ => None,
        }
    }

    /// Goes on with what runs. Ready when the oldest command is answered.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.poll_each(context) && self.begin_waiting() {}
        match self.slots.front() {
            Some(Slot { state: State::Done(_), .. }) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// True if one of them has come to its end.
    fn poll_each(&mut self, context: &mut Context<'_>) -> bool {
        let mut ended = false;
        for slot in &mut self.slots {
            if let State::Running(work) = &mut slot.state
                && let Poll::Ready(answer) = work.as_mut().poll(context)
            {
                let bytes = answer.bytes();
                self.typical = bytes.max(self.typical - self.typical / 8);
                self.bytes = self.bytes - slot.bytes + bytes;
                slot.bytes = bytes;
                slot.state = State::Done(answer);
                ended = true;
            }
        }
        ended
    }

    /// Lets those begin that nothing holds up any more. True if there was one.
    fn begin_waiting(&mut self) -> bool {
        if self.waiting == 0 {
            return false;
        }
        let before = self.waiting;
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if !matches!(slot.state, State::Waiting(_)) || self.slots.range(..index).any(|earlier| earlier.holds_up(&slot.touches))
            {
                continue;
            }
            let slot = &mut self.slots[index];
            // For a moment it is done, with an answer that nobody sees.
            if let State::Waiting(work) = std::mem::replace(&mut slot.state, State::Done(Answer::Null)) {
                slot.state = State::Running(work);
                self.waiting -= 1;
            }
        }
        self.waiting < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::task::Waker;
    use tokio::sync::oneshot;

    /// Commands that begin when they are polled and end when they are told to.
    #[derive(Default)]
    struct Desk {
        queue: Queue,
        begun: Rc<RefCell<Vec<i64>>>,
        ends: Vec<Option<oneshot::Sender<()>>>,
        hasher: RandomState,
    }

    impl Desk {
        fn push(&mut self, touches: Touches) {
            let (end, ended) = oneshot::channel();
            let (begun, number) = (self.begun.clone(), self.ends.len() as i64);
            self.ends.push(Some(end));
            let work = async move {
                begun.borrow_mut().push(number);
                let _ = ended.await;
                Answer::Integer(number)
            };
            self.queue.push(Box::pin(work), touches, Protocol::Two, 10);
        }

        fn keys(&mut self, keys: &[&str], writes: bool) {
            let touches = Touches::keys(keys.iter().map(|key| key.as_bytes()), writes, &self.hasher);
            self.push(touches);
        }

        /// Ends this one; returns who has begun, in order.
        fn end(&mut self, number: usize) -> Vec<i64> {
            let _ = self.ends[number].take().map(|end| end.send(()));
            self.begun()
        }

        fn begun(&mut self) -> Vec<i64> {
            let _ = self.queue.poll(&mut Context::from_waker(Waker::noop()));
            std::mem::take(&mut *self.begun.borrow_mut())
        }

        fn answers(&mut self) -> Vec<Answer> {
            std::iter::from_fn(|| self.queue.take()).map(|(answer, _)| answer).collect()
        }
    }

    #[test]
    fn commands_on_one_key_follow_each_other_and_reads_need_not() {
        let mut desk = Desk::default();
        desk.keys(&["a"], true);
        desk.keys(&["a"], false);
        desk.keys(&["a"], false);
        desk.keys(&["a"], true);
        desk.keys(&["b"], true);
        assert_eq!(desk.begun(), [0, 4]);
        assert_eq!(desk.end(0), [1, 2]);
        assert!(desk.end(1).is_empty());
        assert_eq!(desk.end(2), [3]);
    }

    #[test]
    fn answers_come_in_the_order_of_the_commands() {
        let mut desk = Desk::default();
        ["a", "b", "c"].iter().for_each(|key| desk.keys(&[key], true));
        desk.queue.answer(Answer::OK, Protocol::Three);
        desk.begun();
        desk.end(2);
        assert_eq!(desk.answers(), []);
        desk.end(0);
        assert_eq!(desk.answers(), [Answer::Integer(0)]);
        desk.end(1);
        assert_eq!(desk.answers(), [Answer::Integer(1), Answer::Integer(2), Answer::OK]);
        assert_eq!((desk.queue.weight(), desk.queue.bytes(), desk.queue.waiting), (0, 0, 0));
        assert!(desk.queue.is_empty());
    }

    #[test]
    fn what_looks_at_all_keys_waits_for_all_and_all_wait_for_it() {
        let mut desk = Desk::default();
        desk.keys(&["a", "b"], true);
        desk.push(Touches::All);
        desk.push(Touches::Nothing);
        desk.keys(&["c"], false);
        assert_eq!(desk.begun(), [0, 2]);
        assert_eq!(desk.end(0), [1]);
        assert_eq!(desk.end(1), [3]);
        let many: Vec<String> = (0..=KEYS_MAX).map(|number| number.to_string()).collect();
        assert_eq!(Touches::keys(many.iter().map(|key| key.as_bytes()), false, &desk.hasher), Touches::All);
    }

    #[test]
    fn one_that_waits_holds_up_those_behind_it() {
        let mut desk = Desk::default();
        desk.keys(&["a"], true);
        desk.keys(&["a", "b"], true);
        desk.keys(&["b"], false);
        assert_eq!(desk.begun(), [0]);
        assert_eq!(desk.end(0), [1]);
        assert_eq!(desk.end(1), [2]);
    }

    #[test]
    fn large_answers_are_foreseen_once_there_has_been_one() {
        let mut desk = Desk::default();
        desk.push(Touches::Nothing);
        assert_eq!(desk.queue.foreseen_bytes(), 10);
        desk.queue.slots[0].state = State::Running(Box::pin(async { Answer::Bulk(vec![0; 1_000].into()) }));
        desk.begun();
        assert!(desk.queue.bytes() > 1_000 && desk.queue.foreseen_bytes() > 2_000);
    }
}
