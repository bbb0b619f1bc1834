//! How whole this peer is, partition by partition, and what people have to know of what it has lost.

use super::{Now, Peer};
use crate::message::Position;
use crate::ring::{MemberId, PartitionId};
use crate::storage::Completeness;

/// Alarms that are kept; beyond so many the log of events has to tell.
const ALARMS_MAX: usize = 32;

/// How far the incomplete partitions are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Incomplete {
    /// How many partitions are incomplete.
    pub partitions: u32,
    /// The comparisons with complete owners that they have behind them.
    pub compared: u32,
    /// And how many they need.
    pub needed: u32,
}

impl Peer {
    /// Everything that an owner held of a partition when the pull began has been taken over here, durably.
    pub(super) fn on_pull_finished(&mut self, now: Now, partition: PartitionId, partner: MemberId, partner_is_complete: bool) {
        self.note_compared(now, partition, Some((partner, partner_is_complete)));
        self.close_what_is_pulled(now);
    }

    /// Partitions that nobody else owns have nobody to compare with.
    pub(super) fn settle_alone(&mut self, now: Now) {
        for partition in self.owned() {
            if self.owners_of(partition).len() == 1 {
                self.note_compared(now, partition, None);
            }
        }
    }

    fn note_compared(&mut self, now: Now, partition: PartitionId, partner: Option<(MemberId, bool)>) {
        if !self.owners_of(partition).contains(&self.me) {
            return;
        }
        let others: Vec<MemberId> = self.owners_of(partition).iter().copied().filter(|owner| *owner != self.me).collect();
        let (_, progress) = self.replica.store_mut().note_compared(partition, partner, &others);
        match progress {
            Completeness::Restored => self.closing.look_soon(now.monotonic_ms),
            Completeness::Doubtful => {
                self.closing.look_soon(now.monotonic_ms);
                self.doubtful.insert(partition);
                let count = self.doubtful.len();
                self.alarm_in_place(
                    "acknowledged writes may be missing",
                    format!(
                        "acknowledged writes may be missing in {count} of this peer's partitions: it lost data, and too few owners that had \
                         lost none were left to bring it back; see docs/operations.md"
                    ),
                );
            }
            Completeness::Whole | Completeness::Pending => {}
        }
    }

    /// The partitions that this peer owns.
    pub(super) fn owned(&self) -> Vec<PartitionId> {
        (0..self.owners.len()).map(|at| PartitionId(at as u16)).filter(|at| self.owners_of(*at).contains(&self.me)).collect()
    }

    /// Drops what this peer holds of a partition, as an owner does that is none any more, and lets it be an owner again at once. Answers
    /// with what has to be durable before that counts. Requires: nobody compares the partition with this peer at this moment.
    pub fn begin_anew(&mut self, partition: PartitionId) -> Position {
        self.closing.give_up(partition);
        self.stop_comparing(partition);
        let store = self.replica.store();
        self.losses.note_copy(partition, store.clock(partition), store.actor());
        self.replica.store_mut().begin_anew(partition)
    }

    /// How far the incomplete partitions are.
    pub(super) fn incomplete(&self) -> Incomplete {
        let store = self.replica.store();
        let missing = self.owned().into_iter().filter(|partition| !store.is_complete(*partition));
        missing.fold(Incomplete::default(), |sum, partition| {
            let (compared, needed) = store.standing(partition).compared_of(self.owners_of(partition).len());
            Incomplete {
                partitions: sum.partitions + 1,
                compared: sum.compared + compared.min(needed) as u32,
                needed: sum.needed + needed as u32,
            }
        })
    }

    /// Tells people, once in the log of events and as long as this process runs in the status.
    pub(super) fn alarm(&mut self, text: String) {
        if self.alarms.len() < ALARMS_MAX && !self.alarms.contains(&text) {
            tracing::error!("{text}");
            self.alarms.push(text);
        }
    }

    /// The same for one that takes the place of an earlier one that begins alike; only the first is told in the log of events.
    fn alarm_in_place(&mut self, begins: &str, text: String) {
        match self.alarms.iter_mut().find(|alarm| alarm.starts_with(begins)) {
            Some(alarm) => *alarm = text,
            None => self.alarm(text),
        }
    }
}
