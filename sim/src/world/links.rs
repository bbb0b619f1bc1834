//! Links between peers: dialled, refused, up, gone.

use super::{Event, World};
use crate::node::Node;
use crate::oracle::Violation;
use henge::peer::{Input, Verdict};

impl World {
    pub(super) fn dial_all(&mut self, n: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != n) {
            let delay = 200 + self.network_dice.of(n, other).below(5_000);
            self.dial_after(delay, n, other);
        }
    }

    pub(super) fn dial_after(&mut self, delay: u64, a: usize, b: usize) {
        let link = self.network.link_mut(a, b);
        if !link.is_up && !link.is_dialing {
            link.is_dialing = true;
            self.after(delay, Event::Dial { a: a.min(b), b: a.max(b) });
        }
    }

    pub(super) fn on_dial(&mut self, a: usize, b: usize) {
        self.network.link_mut(a, b).is_dialing = false;
        let (Some(left), Some(right)) = (&self.nodes[a].peer, &self.nodes[b].peer) else { return };
        let is_stopping = self.nodes[a].stopping || self.nodes[b].stopping;
        let is_paused = self.nodes[a].paused_until > self.time || self.nodes[b].paused_until > self.time;
        let is_cut = self.network.is_cut(a, b) || self.network.is_cut(b, a);
        let are_members = !left.founders().is_empty() && !right.founders().is_empty();
        if is_stopping || is_paused || is_cut || !are_members {
            let delay = 50_000 + self.network_dice.of(a, b).below(100_000);
            return self.dial_after(delay, a, b);
        }
        let (mine, theirs) = (left.introduction(), right.introduction());
        for (judged, verdict) in [(b, left.judge(&theirs)), (a, right.judge(&mine))] {
            match verdict {
                Verdict::Welcome => {}
                Verdict::Copy(reason) => return self.on_refused_as_old(judged, &reason),
                Verdict::Refused(reason) | Verdict::Myself(reason) => {
                    return self.violations.push(Violation::new("i", format!("a link is refused: {reason}")));
                }
            }
        }
        for (side, other) in [(a, &theirs), (b, &mine)] {
            if let Some(peer) = self.nodes[side].peer.as_mut() {
                peer.welcome(other);
            }
        }
        self.trace
            .event(self.time, format_args!("link {a} {b}"), || format!("{} ↔ {} linked", self.nodes[a].name, self.nodes[b].name));
        for (side, other) in [(a, b), (b, a)] {
            if self.network.believes(side, other) {
                self.network.set_belief(side, other, false);
                let member = self.nodes[other].member;
                self.step(side, Input::LinkDown { member });
            }
        }
        let link = self.network.link_mut(a, b);
        link.session += 1;
        link.is_up = true;
        link.believes = [true, true];
        for (side, other) in [(a, b), (b, a)] {
            let Node { member, actor, start, .. } = self.nodes[other];
            self.step(side, Input::LinkUp { member, actor, start });
        }
    }

    /// A peer that has stood still for very long closes all its connections, with what lies in them.
    pub(super) fn hang_up(&mut self, n: usize) {
        self.trace.event(self.time, format_args!("hang up {n}"), || format!("{} closes all its connections", self.nodes[n].name));
        self.break_connections(n);
        let unread = self
            .heap
            .extract_if((self.time, 0)..(self.time + 1, 0), |_, event| matches!(event, Event::Ask { node, .. } if *node == n));
        let unread: Vec<Event> = unread.map(|(_, event)| event).collect();
        for event in unread {
            if let Event::Ask { origin, .. } = event {
                self.after(0, Event::Broken { origin });
            }
        }
        for other in (0..self.nodes.len()).filter(|other| *other != n) {
            if self.network.believes(n, other) {
                let session = self.network.link(n, other).session;
                self.after(0, Event::Hangup { node: n, other, session });
                self.break_link(n, other, 2_000_000);
            }
        }
    }

    /// A link is gone; each side that believes in it notices within `limit` (microseconds).
    pub(crate) fn break_link(&mut self, a: usize, b: usize, limit: u64) {
        let link = self.network.link_mut(a, b);
        link.is_up = false;
        let session = link.session;
        for (node, other) in [(a, b), (b, a)] {
            if self.network.believes(node, other) {
                let delay = self.network_dice.of(node, other).spread(100, limit);
                self.after(delay, Event::Hangup { node, other, session });
            }
        }
        let delay = self.network_dice.of(a, b).spread(5_000, 500_000);
        self.dial_after(delay, a, b);
    }

    pub(super) fn on_hangup(&mut self, n: usize, other: usize, session: u64) {
        if self.network.link(n, other).session != session || !self.network.believes(n, other) {
            return;
        }
        self.network.set_belief(n, other, false);
        let names = (&self.nodes[n].name, &self.nodes[other].name);
        self.trace.event(self.time, format_args!("hangup {n} {other}"), || {
            format!("{} notices that its link to {} is gone", names.0, names.1)
        });
        let member = self.nodes[other].member;
        self.step(n, Input::LinkDown { member });
    }
}
