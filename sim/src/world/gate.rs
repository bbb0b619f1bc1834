//! A gate before the network, for stories: it loses messages, keeps them back until the story goes on, or keeps a copy.

use super::{Event, World};
use bytes::Bytes;
use henge::message::Message;
use henge::vclock::Start;

/// What becomes of a message at the gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Passage {
    /// It goes its way.
    Goes,
    /// It is lost.
    Lost,
    /// It is kept back.
    Kept,
    /// It goes its way, and a copy is kept back.
    Copied,
}

/// Decides about a message from one peer to another one.
pub(crate) type Gate = Box<dyn Fn(usize, usize, &Message) -> Passage>;

/// A message that was kept back.
#[derive(Debug)]
pub(crate) struct KeptBack {
    pub from: usize,
    pub to: usize,
    pub start: Start,
    pub frame: Bytes,
}

impl World {
    /// From now on every message is decided about here.
    pub(crate) fn set_gate(&mut self, gate: impl Fn(usize, usize, &Message) -> Passage + 'static) {
        self.gate = Some(Box::new(gate));
    }

    /// Everything goes its way again. What was kept back stays so.
    pub(crate) fn open_gate(&mut self) {
        self.gate = None;
    }

    /// False if a message does not go its way.
    pub(super) fn passes_gate(&mut self, from: usize, to: usize, message: &Message, frame: &Bytes) -> bool {
        let passage = self.gate.as_ref().map_or(Passage::Goes, |gate| gate(from, to, message));
        if matches!(passage, Passage::Kept | Passage::Copied) {
            let start = self.nodes[from].start;
            self.kept_back.push(KeptBack { from, to, start, frame: frame.clone() });
        }
        matches!(passage, Passage::Goes | Passage::Copied)
    }

    /// What was kept back, taken out; to be told which of it goes.
    pub(crate) fn take_kept_back(&mut self) -> Vec<KeptBack> {
        std::mem::take(&mut self.kept_back)
    }

    /// Lets messages arrive that were kept back, in this order, whatever has become of the links on which they were sent.
    pub(crate) fn let_arrive(&mut self, messages: Vec<KeptBack>) {
        for KeptBack { from, to, start, frame } in messages {
            self.after(0, Event::Deliver { from, start, to, session: None, frame });
        }
    }
}
