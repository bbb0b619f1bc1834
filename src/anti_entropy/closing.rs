//! Closing gaps: dots of starts that are over, of which nobody can know any more whether they were ever issued.
//!
//! An unclean stop leaves a gap in every clock: the store itself must not mark what it may have forgotten as seen, since others may
//! hold it (rule `skip_seen`). An owner closes it for all. It asks every member to refuse from now on what that start said, durably
//! (`no_fence`); each also says whether a hint of its own still holds a dot of it (`close_early`). Then it pulls from every other owner,
//! and what is missing after that exists nowhere: it is marked as seen. Comparisons carry that on.

use crate::broken::{Rule, is_broken};
use crate::coordinator::Effects;
use crate::message::{FenceAsk, FencePromise, Message, OperationId};
use crate::ring::{MemberId, PartitionId};
use crate::vclock::{Actor, Interval, Seen, Start};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that an actor has issued in starts below this one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Gap {
    /// The actor.
    pub actor: Actor,
    /// The member whose actor it is; 0 if it is nobody's any more.
    pub member: MemberId,
    /// The first start that is not over. `Start(u32::MAX)` for an actor that has ended.
    pub below: Start,
}

impl Gap {
    /// The last counter in it.
    pub fn end(self) -> u64 {
        self.below.base()
    }

    /// The dots in it.
    pub fn range(self) -> Interval {
        Interval { first: 1, last: self.end() }
    }

    /// True if a clock has seen some of it and not all; or if one of the explicit contexts beside it speaks of it.
    pub fn is_open<'c>(self, clock: &Seen, contexts: impl IntoIterator<Item = &'c Seen>) -> bool {
        if self.end() == 0 {
            return false;
        }
        let intervals = clock.intervals(self.actor);
        let begins = |intervals: &[Interval]| intervals.first().is_some_and(|first| first.first <= self.end());
        let is_closed = intervals.first().is_some_and(|first| first.first <= 1 && first.last >= self.end());
        !is_closed && (begins(intervals) || contexts.into_iter().any(|context| begins(context.intervals(self.actor))))
    }
}

/// The gaps that this peer is closing at present, all at once.
#[derive(Debug)]
pub struct Closing {
    round: Option<Round>,
    /// When to look for open gaps next (monotonic milliseconds).
    look_ms: u64,
    /// Since when nobody has come or gone (monotonic milliseconds).
    quiet_ms: u64,
    closed: u64,
}

#[derive(Debug)]
struct Round {
    operation: OperationId,
    gaps: BTreeMap<Actor, Asking>,
    /// What has to be pulled, once all have promised: of each partition, from whom, and the number of the wish.
    pulls: Option<BTreeMap<PartitionId, Vec<(MemberId, u64)>>>,
    /// When it is asked again, or given up (monotonic milliseconds).
    ask_ms: u64,
    end_ms: u64,
}

#[derive(Debug)]
struct Asking {
    gap: Gap,
    partitions: BTreeSet<PartitionId>,
    missing: BTreeSet<MemberId>,
}

/// The slow steady look (milliseconds): nothing waits for it but memory.
const LOOK_MS: u64 = 30_000;
/// After somebody has come: long enough for all of a cluster that starts to find each other (milliseconds).
const SETTLE_MS: u64 = 2_000;
/// A lost question is asked again after this long (milliseconds).
const ASK_AGAIN_MS: u64 = 2_000;
/// A round without progress is given up, and the next look begins another (milliseconds).
const STALLED_MS: u64 = 60_000;
/// The second owner of a partition leaves it to the first for so long, the third for twice as long (milliseconds). The first may be
/// incomplete, which it alone knows.
const PRECEDENCE_MS: u64 = 10_000;

impl Closing {
    /// A peer that begins now (monotonic milliseconds) looks soon: its own start has left a gap.
    pub fn new(now_ms: u64) -> Closing {
        Closing { round: None, look_ms: now_ms + SETTLE_MS, quiet_ms: now_ms, closed: 0 }
    }

    /// A member has come, or a partition has become whole: look soon.
    pub fn look_soon(&mut self, now_ms: u64) {
        self.quiet_ms = now_ms;
        self.look_again(now_ms);
    }

    /// More is known of what is open: look soon. Nobody has come or gone.
    pub fn look_again(&mut self, now_ms: u64) {
        self.look_ms = self.look_ms.min(now_ms + SETTLE_MS);
    }

    /// A member has gone: what it was asked for will not come.
    pub fn on_member_down(&mut self, now_ms: u64, member: MemberId) {
        let waits = |round: &Round| round.pulls.is_none() && round.gaps.values().any(|asking| asking.missing.contains(&member));
        if self.round.as_ref().is_some_and(waits) {
            self.round = None;
        }
        self.look_soon(now_ms);
    }

    /// When it wants to be woken (monotonic milliseconds).
    pub fn next_wake(&self) -> u64 {
        match &self.round {
            None => self.look_ms,
            Some(round) if round.pulls.is_none() => round.ask_ms.min(round.end_ms),
            Some(round) => round.end_ms,
        }
    }

    /// True if it is time to look for open gaps. The next look is a while off.
    pub fn is_due(&mut self, now_ms: u64) -> bool {
        if self.round.as_ref().is_some_and(|round| now_ms >= round.end_ms) {
            self.round = None;
        }
        let due = self.round.is_none() && now_ms >= self.look_ms;
        if due {
            self.look_ms = now_ms + LOOK_MS;
        }
        due
    }

    /// Whether the owner that is the `rank`-th of those that can be reached takes care of a partition by now.
    pub fn may_care(&self, now_ms: u64, rank: usize) -> bool {
        now_ms >= self.quiet_ms + PRECEDENCE_MS * rank as u64
    }

    /// When the owners of all ranks up to this one take care.
    pub fn look_for_rank(&mut self, rank: usize) {
        self.look_ms = self.look_ms.min(self.quiet_ms + PRECEDENCE_MS * rank as u64);
    }

    /// Begins to close these gaps, each in these partitions, asking these members. Requires: none is being closed.
    pub fn begin(
        &mut self,
        now_ms: u64,
        operation: OperationId,
        gaps: impl IntoIterator<Item = (Gap, BTreeSet<PartitionId>)>,
        members: &BTreeSet<MemberId>,
    ) {
        let asking = |(gap, partitions): (Gap, _)| (gap.actor, Asking { gap, partitions, missing: members.clone() });
        let gaps = gaps.into_iter().map(asking).collect();
        self.round = Some(Round { operation, gaps, pulls: None, ask_ms: now_ms, end_ms: now_ms + STALLED_MS });
    }

    /// Asks whoever has not promised yet, now and then.
    pub fn ask(&mut self, now_ms: u64, effects: &mut Effects) {
        let Some(round) = self.round.as_mut().filter(|round| round.pulls.is_none() && now_ms >= round.ask_ms) else { return };
        round.ask_ms = now_ms + ASK_AGAIN_MS;
        for Asking { gap: Gap { actor, member, below }, missing, .. } in round.gaps.values() {
            let ask = FenceAsk { operation: round.operation, actor: *actor, member: *member, below: *below };
            missing.iter().for_each(|to| effects.send(*to, Message::FenceAsk(ask)));
        }
    }

    /// A member has promised. When all have, for all gaps: the partitions to pull, from every other owner.
    pub fn on_promise(&mut self, now_ms: u64, from: MemberId, promise: &FencePromise) -> Vec<PartitionId> {
        let Some(round) = self.round.as_mut().filter(|round| round.operation == promise.operation && round.pulls.is_none()) else {
            return Vec::new();
        };
        if let Some(asking) = round.gaps.get_mut(&promise.actor).filter(|asking| asking.gap.below <= promise.below)
            && asking.missing.remove(&from)
        {
            round.end_ms = now_ms + STALLED_MS;
            if !is_broken(Rule::CloseEarly) {
                promise.hinted.iter().for_each(|partition| _ = asking.partitions.remove(&PartitionId(*partition)));
            }
        }
        if !round.gaps.values().all(|asking| asking.missing.len() <= usize::from(is_broken(Rule::PromiseMissing))) {
            return Vec::new();
        }
        let partitions: BTreeSet<PartitionId> = round.gaps.values().flat_map(|asking| asking.partitions.iter().copied()).collect();
        round.pulls = Some(BTreeMap::new());
        if partitions.is_empty() {
            self.round = None;
        }
        partitions.into_iter().collect()
    }

    /// From whom a partition is pulled, and which number the wish has. Of a partition with no other owner: nobody.
    pub fn wait_for(&mut self, partition: PartitionId, wishes: Vec<(MemberId, u64)>) {
        if let Some(pulls) = self.round.as_mut().and_then(|round| round.pulls.as_mut()) {
            pulls.insert(partition, wishes);
        }
    }

    /// What is to be marked as seen now, because all that was wished for of these partitions has been pulled. `finished`: the greatest
    /// number of a wish that has been fulfilled, by partition and partner.
    pub fn take_closed(&mut self, now_ms: u64, finished: &dyn Fn(PartitionId, MemberId) -> u64) -> Vec<(PartitionId, Seen)> {
        let Some(round) = &mut self.round else { return Vec::new() };
        let Some(pulls) = &mut round.pulls else { return Vec::new() };
        let is_done =
            |partition, wishes: &[(MemberId, u64)]| wishes.iter().all(|(from, number)| finished(partition, *from) >= *number);
        let done: Vec<PartitionId> =
            pulls.iter().filter(|(partition, wishes)| is_done(**partition, wishes)).map(|(partition, _)| *partition).collect();
        let mut closed = Vec::new();
        for partition in done {
            pulls.remove(&partition);
            let mut seen = Seen::new();
            for asking in round.gaps.values().filter(|asking| asking.partitions.contains(&partition)) {
                seen.insert_interval(asking.gap.actor, asking.gap.range());
            }
            closed.push((partition, seen));
            round.end_ms = now_ms + STALLED_MS;
        }
        self.closed += closed.len() as u64;
        if pulls.is_empty() {
            // What was open meanwhile, or held back by a hint, is looked for again before long.
            self.round = None;
            self.look_ms = self.look_ms.min(now_ms + PRECEDENCE_MS);
        }
        closed
    }

    /// Gives up what is under way in a partition: it is not this peer's to close any more.
    pub fn give_up(&mut self, partition: PartitionId) {
        if let Some(round) = &mut self.round {
            round.gaps.values_mut().for_each(|asking| _ = asking.partitions.remove(&partition));
            round.pulls.as_mut().map(|pulls| pulls.remove(&partition));
        }
    }

    /// Partitions in which gaps have been closed since the start.
    pub fn closed(&self) -> u64 {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::Dot;

    const ANN: Actor = Actor(7);
    const ME: MemberId = MemberId(1);
    const OTHER: MemberId = MemberId(2);
    const THIRD: MemberId = MemberId(3);
    const OPERATION: OperationId = OperationId(5);

    fn seen(ranges: &[(u64, u64)]) -> Seen {
        let mut seen = Seen::new();
        ranges.iter().for_each(|(first, last)| seen.insert_interval(ANN, Interval { first: *first, last: *last }));
        seen
    }

    fn gap(below: u32) -> Gap {
        Gap { actor: ANN, member: OTHER, below: Start(below) }
    }

    fn promise(hinted: &[u16]) -> FencePromise {
        FencePromise { operation: OPERATION, actor: ANN, below: Start(4), hinted: hinted.to_vec() }
    }

    fn begun(partitions: &[u16]) -> Closing {
        let mut closing = Closing::new(0);
        let partitions = partitions.iter().copied().map(PartitionId).collect();
        closing.begin(0, OPERATION, [(gap(4), partitions)], &BTreeSet::from([ME, OTHER, THIRD]));
        closing
    }

    #[test]
    fn a_gap_is_open_while_something_below_its_end_is_missing_and_something_speaks_of_it() {
        let (third, fourth) = (Start(3).base(), Start(4).base());
        let is_open = |ranges: &[(u64, u64)]| gap(4).is_open(&seen(ranges), []);
        assert!(!is_open(&[]), "an actor of which nothing is known has no gap");
        assert!(!is_open(&[(fourth + 1, fourth + 9)]), "what it does now needs no closing");
        assert!(is_open(&[(third + 1, third + 9)]));
        assert!(is_open(&[(1, third + 9), (fourth + 1, fourth + 2)]));
        assert!(!is_open(&[(1, fourth)]) && !is_open(&[(1, fourth + 7)]));
        let context: Seen = [Dot { actor: ANN, counter: third + 3 }].into_iter().collect();
        assert!(gap(4).is_open(&Seen::new(), [&context]), "a context still has to tell what no clock does");
        assert!(!gap(3).is_open(&Seen::new(), [&context]));
    }

    #[test]
    fn nothing_is_closed_before_every_member_has_promised_and_every_pull_has_finished() {
        let mut closing = begun(&[4, 9]);
        let mut effects = Effects::default();
        closing.ask(0, &mut effects);
        assert_eq!(effects.sends.len(), 3, "this peer is a member, too");
        assert!(closing.on_promise(1, ME, &promise(&[])).is_empty());
        assert!(closing.on_promise(1, ME, &promise(&[])).is_empty(), "a promise counts once");
        assert!(closing.on_promise(1, OTHER, &promise(&[])).is_empty());
        assert!(closing.take_closed(2, &|_, _| u64::MAX).is_empty());
        assert_eq!(closing.on_promise(3, THIRD, &promise(&[])), [PartitionId(4), PartitionId(9)]);
        closing.wait_for(PartitionId(4), vec![(OTHER, 2), (THIRD, 1)]);
        closing.wait_for(PartitionId(9), vec![(OTHER, 8)]);
        let finished = |partition: PartitionId, from: MemberId| u64::from(partition.0 == 4) * (2 - u64::from(from == THIRD));
        assert!(closing.take_closed(4, &|_, _| 0).is_empty());
        assert_eq!(closing.take_closed(4, &finished), [(PartitionId(4), seen(&[(1, Start(4).base())]))]);
        assert!(closing.take_closed(4, &finished).is_empty(), "once");
        assert_eq!(closing.take_closed(5, &|_, _| 8).len(), 1);
        assert_eq!(closing.closed(), 2);
        assert!(closing.next_wake() <= 5 + PRECEDENCE_MS);
    }

    #[test]
    fn a_partition_for_which_somebody_holds_a_hint_stays_open() {
        let mut closing = begun(&[4, 9]);
        closing.on_promise(1, ME, &promise(&[]));
        closing.on_promise(1, OTHER, &promise(&[9]));
        assert_eq!(closing.on_promise(1, THIRD, &promise(&[])), [PartitionId(4)]);
        let mut closing = begun(&[9]);
        [ME, OTHER, THIRD].into_iter().for_each(|member| _ = closing.on_promise(1, member, &promise(&[9])));
        assert!(closing.round.is_none(), "nothing is left to do");
    }

    #[test]
    fn whoever_goes_while_asked_ends_the_round_and_a_lost_question_is_asked_again() {
        let mut closing = begun(&[4]);
        let mut effects = Effects::default();
        closing.ask(0, &mut effects);
        closing.on_promise(1, ME, &promise(&[]));
        closing.on_promise(1, THIRD, &promise(&[]));
        effects.sends.clear();
        closing.ask(1, &mut effects);
        assert!(effects.sends.is_empty());
        closing.ask(ASK_AGAIN_MS, &mut effects);
        assert_eq!(effects.sends.len(), 1, "only who has not answered");
        closing.on_member_down(5, THIRD);
        assert!(closing.round.is_some(), "it has promised");
        closing.on_member_down(5, OTHER);
        assert!(closing.round.is_none());
        assert!(closing.is_due(5 + SETTLE_MS) && !closing.is_due(6 + SETTLE_MS));
    }

    #[test]
    fn a_promise_of_an_earlier_round_or_of_less_does_not_count() {
        let mut closing = begun(&[4]);
        let late = FencePromise { operation: OperationId(4), ..promise(&[]) };
        let less = FencePromise { below: Start(3), ..promise(&[]) };
        for member in [ME, OTHER, THIRD] {
            assert!(closing.on_promise(1, member, &late).is_empty());
            assert!(closing.on_promise(1, member, &less).is_empty());
        }
        assert!(closing.round.is_some());
    }
}
