//! Rules that can be broken on purpose, to see that the simulator finds it.
//!
//! Only a build with `--cfg henge_broken` can break one, chosen at run time for the whole process; in every other build
//! [`is_broken`] is a constant `false`, and the compiler drops what depends on it. A cfg and no cargo feature: a feature of one
//! member of a workspace leaks into the release build of the others.

/// A rule of the store, by what breaking it does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Rule {
    /// A new dot claims its actor's earlier dots: a context as a plain version vector.
    VvOnly = 1,
    /// Receiving an entry adds the dots of its context to the clock, not only those of its live versions.
    AddContext = 2,
    /// A stand-in speaks with a clock, though it forgets what it has paid back.
    StandInClock = 3,
    /// After a power cut the counters go on from where the disk says, under the same start number.
    NoStart = 4,
    /// After a power cut the counters that the last start may have used are marked as seen.
    SkipSeen = 5,
    /// A store with a hole keeps its clock and goes on saying "seen and gone".
    HoleClock = 6,
    /// The survivors of a hole are given contexts filled from the old clock.
    HoleFill = 7,
    /// A clock is taken over before every key has been compared.
    EarlyTakeover = 8,
    /// What arrived during the comparison is not looked at again before the clock is taken over.
    LateTakeover = 9,
    /// A comparison begun with a store that was dropped or restarted since still counts.
    StaleTakeover = 10,
    /// Where the live dots are equal the explicit contexts are not exchanged.
    SkipContexts = 11,
    /// Counters are forgotten with a dropped partition.
    DropCounter = 12,
    /// A patch is applied by a coordinator that has not seen the live dots that its client saw.
    BlindPatch = 13,
    /// A patch travels with a context filled from its coordinator's clock.
    FilledPatch = 14,
    /// A write without a context covers only what its coordinator sees, not what the replicas name.
    BlindDelete = 15,
    /// Messages of a start whose gaps are being closed are still taken in.
    NoFence = 16,
    /// The gaps of an actor are closed while a stand-in still holds its dots.
    CloseEarly = 17,
    /// A hint is let go when it is sent, not when the owed peer has it durably.
    HintDropped = 18,
    /// An owner that has lost data counts for reads and for removals without a context.
    IncompleteCounts = 19,
}

impl Rule {
    /// Every rule with the name by which it is called.
    pub const ALL: &[(&str, Rule)] = &[
        ("vv_only", Rule::VvOnly),
        ("add_context", Rule::AddContext),
        ("standin_clock", Rule::StandInClock),
        ("no_start", Rule::NoStart),
        ("skip_seen", Rule::SkipSeen),
        ("hole_clock", Rule::HoleClock),
        ("hole_fill", Rule::HoleFill),
        ("early_takeover", Rule::EarlyTakeover),
        ("late_takeover", Rule::LateTakeover),
        ("stale_takeover", Rule::StaleTakeover),
        ("skip_contexts", Rule::SkipContexts),
        ("drop_counter", Rule::DropCounter),
        ("blind_patch", Rule::BlindPatch),
        ("filled_patch", Rule::FilledPatch),
        ("blind_delete", Rule::BlindDelete),
        ("no_fence", Rule::NoFence),
        ("close_early", Rule::CloseEarly),
        ("hint_dropped", Rule::HintDropped),
        ("incomplete_counts", Rule::IncompleteCounts),
    ];
}

/// True if this process breaks the rule.
#[cfg(not(henge_broken))]
#[inline(always)]
pub const fn is_broken(_rule: Rule) -> bool {
    false
}

#[cfg(henge_broken)]
pub use chosen::{break_rule, is_broken};

#[cfg(henge_broken)]
mod chosen {
    use super::Rule;
    use std::sync::atomic::{AtomicU8, Ordering};

    static BROKEN: AtomicU8 = AtomicU8::new(0);

    /// From now on this process breaks this rule and no other; none: it keeps them all.
    pub fn break_rule(rule: Option<Rule>) {
        BROKEN.store(rule.map_or(0, |rule| rule as u8), Ordering::Relaxed);
    }

    /// True if this process breaks the rule.
    #[inline]
    pub fn is_broken(rule: Rule) -> bool {
        BROKEN.load(Ordering::Relaxed) == rule as u8
    }
}
