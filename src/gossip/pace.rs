//! How often, how long, how many: the numbers of the gossip, each with its reason.

/// The numbers of the gossip. One set for all peers of a cluster; the simulator varies some of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// One probe in this time (milliseconds): what an idle peer wakes up for.
    pub period_ms: u64,
    /// A probe that has not been answered after this long is tried through others (milliseconds): half of the period, so that the others' answer
    /// comes within it.
    pub timeout_ms: u64,
    /// So many others are asked to probe on one's behalf: SWIM's k. With three, and a fifth of all messages lost, one probe in twenty fails
    /// though its target is there.
    pub helpers: usize,
    /// So many others who suspect a member, too, shorten the time that it has to refute it to the least: Lifeguard's K.
    pub confirmations: usize,
    /// The least time for a refutation, in periods, for up to ten members; with more it grows with the logarithm of their number, as the time does
    /// that news take to come round.
    pub suspicion_periods: u64,
    /// The longest time for a refutation, in least times: Lifeguard's beta. Whoever is alone with its suspicion is probably ill itself.
    pub suspicion_stretch: u64,
    /// Each piece of news is handed on this often, times the logarithm of the number of members: SWIM's lambda.
    pub retransmissions: u32,
    /// While there are news they are told to some others this often, without waiting for a probe (milliseconds).
    pub news_ms: u64,
    /// To so many others at a time.
    pub news_fanout: usize,
    /// A peer knows by its own slowness when to distrust what it sees. False only to show what that is good for.
    pub local_health: bool,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            period_ms: 1_000,
            timeout_ms: 500,
            helpers: 3,
            confirmations: 3,
            suspicion_periods: 2,
            suspicion_stretch: 6,
            retransmissions: 4,
            news_ms: 200,
            news_fanout: 3,
            local_health: true,
        }
    }
}

/// A wake-up that is late by more than this (milliseconds) was no accident of the scheduler: this process did not run, and the time does not count
/// against others.
pub(super) const LATE_MS: u64 = 100;

impl Pace {
    /// The least and the longest time that a suspected member has, of a cluster of so many (milliseconds).
    pub(super) fn suspicion_ms(&self, members: usize) -> (u64, u64) {
        let least = self.suspicion_periods * self.period_ms * magnitude_permille(members).max(1_000) / 1_000;
        (least, least * self.suspicion_stretch)
    }

    /// How often one piece of news is handed on.
    pub(super) fn transmissions_max(&self, members: usize) -> u32 {
        self.retransmissions * magnitude_permille(members).div_ceil(1_000).max(1) as u32
    }

    /// Later than this (milliseconds), and a peer starts anew instead of going on.
    pub(super) fn pause_ms(&self) -> u64 {
        2 * self.period_ms
    }
}

/// About the decimal logarithm, in thousandths, from the number of bits: no floating point, so that it is the same everywhere.
fn magnitude_permille(members: usize) -> u64 {
    u64::from(usize::BITS - members.leading_zeros()) * 301
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_members_have_more_time_and_hand_news_on_more_often() {
        let pace = Pace::default();
        assert_eq!([5, 50, 500].map(|members| pace.suspicion_ms(members).0), [2_000, 3_612, 5_418]);
        assert_eq!([5, 50, 500].map(|members| pace.transmissions_max(members)), [4, 8, 12]);
        assert_eq!(pace.suspicion_ms(0), (2_000, 12_000));
    }
}
