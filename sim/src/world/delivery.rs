//! Messages, requests and replies on their way: as frames, written and read by the real codec.

use super::{Event, World, frames};
use crate::conversation::About;
use crate::oracle::Violation;
use crate::plan::{NetworkPlan, Plant};
use crate::schedule::{Kind, Strike};
use crate::trace;
use bytes::Bytes;
use henge::message::{Applied, FetchMode, Message, Reply, Request};
use henge::peer::{Input, Origin};
use henge::ring::MemberId;
use henge::vclock::{Entry, Seen, Start, pack, unpack};

impl World {
    pub(super) fn send(&mut self, from: usize, to: MemberId, message: Message) {
        let Some(to) = self.index_of(to) else {
            self.violations.push(Violation::new("i", format!("{} sends to {to:?}, which is nobody", self.nodes[from].name)));
            return;
        };
        let frame = match frames::of_message(&message) {
            Ok(frame) => frame,
            Err(error) => return self.accuse_codec(&error, &format!("{message:?}")),
        };
        if !self.passes_gate(from, to, &message, &frame) {
            return;
        }
        let start = self.nodes[from].start;
        let network: &NetworkPlan = &self.plan.network;
        let usual = network.usual_delay(self.network_dice.of(from, to));
        let usual_again = network.usual_delay(self.network_dice.of(from, to));
        // A forwarded request is as good as the request itself: twice would be two writes.
        let may_repeat = !matches!(message, Message::Forward(_));
        let is_open = self.network.believes(from, to) && self.network.link(from, to).is_up && !self.network.is_cut(from, to);
        let (loss, duplicates, late_duplicates) = (network.loss, network.duplicates, network.late_duplicates);
        let told = |world: &World, what: &str| {
            format!("{what}: {} → {}: {}", world.nodes[from].name, world.nodes[to].name, trace::message(&message))
        };
        let lost = self.message_fault(Kind::Loss, loss).filter(|_| is_open);
        if let Some(strike) = &lost {
            self.note(strike.name, |world| told(world, "lost"));
        }
        let goes = is_open && lost.is_none();
        let duplicate = self.message_fault(Kind::Duplicate, duplicates).filter(|_| may_repeat && goes);
        if let Some(strike) = &duplicate {
            self.note(strike.name, |world| told(world, "twice"));
        }
        let late = self.message_fault(Kind::LateDuplicate, late_duplicates).filter(|_| may_repeat).map(|mut strike| {
            let late = strike.dice.spread(100_000, 20_000_000);
            self.note(strike.name, |world| told(world, &format!("once more after {} ms", late / 1_000)));
            late
        });
        let delay = self.delay(usual, |world| told(world, "slow"));
        let fate = if goes { "" } else { " (lost)" };
        self.trace.frame(&About::Message(&message), self.time, format_args!("send {from} {to} {goes}"), &frame, || {
            format!("{} → {}: {}{fate}", self.nodes[from].name, self.nodes[to].name, trace::message(&message))
        });
        if let Some(late) = late {
            self.stats.count_fault("late duplicate");
            self.after(late, Event::Deliver { from, start, to, session: None, frame: frame.clone() });
        }
        if !goes {
            self.stats.count_fault("lost message");
            return;
        }
        let session = Some(self.network.link(from, to).session);
        if self.plan.plant == Plant::FalseAck
            && let Message::Apply(apply) = &message
            && self.plant_dice.chance(0.05)
        {
            let sync = self.plan.sync;
            let ack = Message::Applied(Applied {
                operation: apply.operation,
                sync,
                uncovered: Vec::new(),
                refused: None,
                complete: true,
            });
            let frame = frames::of_message(&ack).expect("an acknowledgement is small");
            let event = Event::Deliver { from: to, start: self.nodes[to].start, to: from, session, frame };
            return self.after(2 * delay, event);
        }
        if duplicate.is_some() {
            self.stats.count_fault("duplicate");
            self.after(usual_again, Event::Deliver { from, start, to, session, frame: frame.clone() });
        }
        self.after(delay, Event::Deliver { from, start, to, session, frame });
    }

    /// How long something is under way that usually takes so long (microseconds): now and then much longer.
    pub(crate) fn delay(&mut self, usual: u64, words: impl FnOnce(&World) -> String) -> u64 {
        let Some(mut strike) = self.message_fault(Kind::SlowMessage, self.plan.network.tail) else { return usual };
        self.note(strike.name, words);
        usual * strike.dice.spread(1, 100)
    }

    /// With this probability something of this kind happens to a message.
    fn message_fault(&mut self, kind: Kind, share: f64) -> Option<Strike> {
        if self.schedule.chance(kind, share) { self.schedule.strikes(kind) } else { None }
    }

    fn accuse_codec(&mut self, error: &str, what: &str) {
        self.violations.push(Violation::new("codec", format!("{error}: {what}")));
    }

    pub(super) fn on_deliver(&mut self, (from, start): (usize, Start), to: usize, session: Option<u64>, frame: Bytes) {
        let is_current = session.is_none_or(|session| {
            let link = self.network.link(from, to);
            link.session == session && link.is_up && self.network.believes(to, from)
        });
        if !is_current || self.nodes[to].peer.is_none() || self.nodes[to].stopping {
            return;
        }
        let mut message = match frames::message(frame.clone()) {
            Ok(message) => message,
            Err(error) => return self.accuse_codec(&error, &format!("the message {frame:?}")),
        };
        if self.plan.plant == Plant::LostContext
            && let Message::Apply(apply) = &mut message
            && let Ok(entry) = unpack(&apply.entry)
        {
            apply.entry = pack(&Entry::new(entry.into_parts().0, Seen::new()));
        }
        self.tamper_with_expiry(&mut message);
        let names = (&self.nodes[from].name, &self.nodes[to].name);
        self.trace.event_about(&About::Message(&message), self.time, format_args!("deliver {from} {to} {session:?}"), || {
            let late = if session.is_none() { " (long ago)" } else { "" };
            format!("{} ⇢ {}{late}: {}", names.0, names.1, trace::message(&message))
        });
        let member = self.nodes[from].member;
        self.nodes[to].asked.ask(member, &message);
        let is_answer = matches!(message, Message::Applied(_));
        self.step(to, Input::Message { from: member, start, message });
        if is_answer {
            self.note_handed_over(to, member);
        }
    }

    /// Bugs that are planted where values expire.
    fn tamper_with_expiry(&self, message: &mut Message) {
        match (self.plan.plant, message) {
            (Plant::NoExpiry, Message::Fetched(fetched)) if fetched.mode == FetchMode::Full => {
                if let Ok(entry) = unpack(&fetched.entry) {
                    let (mut versions, context) = entry.into_parts();
                    versions.iter_mut().for_each(|version| version.expiry_ms = 0);
                    fetched.entry = pack(&Entry::new(versions, context));
                }
            }
            (Plant::ExpiryUncovers, Message::Apply(apply)) => {
                if let Ok(entry) = unpack(&apply.entry)
                    && entry.versions().iter().any(|version| version.expiry_ms != 0)
                {
                    apply.entry = pack(&Entry::new(entry.into_parts().0, Seen::new()));
                }
            }
            _ => {}
        }
    }

    /// A client's request is on its way to a peer, to this start of it.
    pub(crate) fn send_request(&mut self, delay: u64, node: usize, origin: Origin, request: &Request) {
        match frames::of_request(origin.request, request) {
            Ok(frame) => {
                let incarnation = self.nodes[node].incarnation;
                self.after(delay, Event::Ask { node, incarnation, origin, frame });
            }
            Err(error) => self.accuse_codec(&error, &format!("{request:?}")),
        }
    }

    pub(super) fn on_ask(&mut self, n: usize, incarnation: u64, origin: Origin, frame: Bytes) {
        let node = &self.nodes[n];
        if node.incarnation != incarnation || node.peer.is_none() || node.stopping {
            let delay = self.plan.network.usual_delay(self.network_dice.of(n, n));
            return self.after(delay, Event::Broken { origin });
        }
        let request = match frames::request(frame.clone()) {
            Ok(request) => request,
            Err(error) => return self.accuse_codec(&error, &format!("the request {frame:?}")),
        };
        self.trace.frame(&About::Request(origin, &request), self.time, format_args!("ask {n} {origin:?}"), &frame, || {
            format!("client {}.{} ⇒ {}: {}", origin.client, origin.request, node.name, trace::request(&request))
        });
        self.step(n, Input::Request { from: origin, request });
    }

    /// A reply is on its way to a client.
    pub(crate) fn send_reply(&mut self, delay: u64, origin: Origin, reply: &Reply) {
        match frames::of_reply(origin.request, reply) {
            Ok(frame) => self.after(delay, Event::Answer { origin, frame }),
            Err(error) => self.accuse_codec(&error, &format!("{reply:?}")),
        }
    }

    pub(super) fn on_reply_frame(&mut self, origin: Origin, frame: Bytes) {
        match frames::reply(frame.clone()) {
            Ok(reply) => self.on_answer(origin, reply),
            Err(error) => self.accuse_codec(&error, &format!("the reply {frame:?}")),
        }
    }
}
