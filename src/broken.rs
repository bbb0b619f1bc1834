//! Bugs that can be planted on purpose, each by breaking one rule, to see that the simulator finds them.
//!
//! Only a build with `--cfg henge_broken` can break one, chosen at run time for the whole process; in every other build
//! [`is_broken`] is a constant `false`, and the compiler drops what depends on it. A cfg and no cargo feature: a feature of one
//! member of a workspace leaks into the release build of the others.

/// A rule, by what breaking it does. First those of the model of causality (`vclock`'s tests have it), then further ones, by module.
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
    // storage
    /// What a promise stands on is not waited for: acknowledged before the sync.
    AckEarly = 20,
    /// An answer to a fetch goes before what it tells is durable.
    ReadEarly = 21,
    /// That a key is removed is told before the removal is durable.
    AbsentEarly = 22,
    /// The name of a new segment of the log is not synced.
    DirUnsynced = 23,
    /// A new start is not synced before it is used.
    IdentityUnsynced = 24,
    /// A start passes over the dots that records name as seen and gone.
    GoneUnreplayed = 25,
    /// A start passes over removals: what was there before is there again.
    RemovalUnreplayed = 26,
    /// A start passes over the clocks that were taken over.
    ClockUnreplayed = 27,
    /// A start takes partitions that have lost something for whole.
    StandingUnreplayed = 28,
    /// The quick way for plain values replaces a version that the arriving one has not seen.
    PlainOverwrites = 29,
    /// The quick way for plain values takes a dot in that has been seen before.
    PlainAgain = 30,
    /// A store that has lost something is whole when it has been compared with one other owner.
    WholeAfterOne = 31,
    /// A hint takes the place of the one that is there, and is not merged with it.
    HintOverwritten = 32,
    /// Whose dots hints hold is not forgotten with the hints.
    AuthorsStay = 33,
    // expiry
    /// With the first version of a key that expires all of them are dropped.
    ExpireAll = 34,
    /// When a plain value expires is not noted.
    ExpiryUnindexed = 35,
    /// What has expired is dropped at once, while other clocks may still show it.
    ExpiredEarly = 36,
    // hinted_handoff
    /// A hint that could not be handed over at the first try is not tried again.
    PaysOnce = 37,
    // coordinator
    /// An owner that acknowledges twice counts twice.
    AckTwice = 38,
    /// A stand-in counts beside the owners that it stands in for, though they have acknowledged themselves.
    StandInBeside = 39,
    /// A read waits for one answer less than it should.
    ReadOneLess = 40,
    /// A stand-in counts like an owner for saying that nothing is there.
    StandInAbsence = 41,
    /// Stand-ins count for a removal without a context, though they do not know what there is to remove.
    StandInRemoval = 42,
    /// A read does not look whether it has seen what its session has.
    SessionUnchecked = 43,
    /// Values are not asked for where one replica has sent its own, and others hold more.
    ValuesMissing = 44,
    /// Read repair sends versions without their values.
    RepairBare = 45,
    /// Read repair picks the newest of several siblings, and covers the others.
    RepairPicks = 46,
    /// Who has stored a write without a context counts as if what it covers besides were stored too.
    CoverHalf = 47,
    /// What a write without a context covers besides travels without the write.
    CoverAlone = 48,
    /// A retry is taken for a new write.
    RetryForgotten = 49,
    /// A write covers what its coordinator has seen, not only what its client has.
    CoversUnseen = 50,
    // vclock
    /// Two intervals with one dot between them grow together.
    SeenTouches = 51,
    /// Whether a clock has seen a set is judged by the last dot of each actor.
    SubsetByLast = 52,
    /// Merging keeps arriving versions that this side has seen and does not hold.
    MergeKeeps = 53,
    /// Merging forgets the other context.
    ContextUnmerged = 54,
    /// A patch covers the leaf behind the last one that it replaces too.
    PatchBeside = 55,
    /// A plain version with a context is packed without its expiry.
    ExpiryUnpacked = 56,
    // gossip
    /// Who is said to be dead repeats itself, and does not raise its incarnation.
    Unrefuted = 57,
    /// A member that was dead and lives again is not told of.
    ReturnUnnoticed = 58,
    // anti_entropy
    /// Two partitions with as many keys count as equal.
    CountsAlone = 59,
    /// Keys that the other owner does not have are not looked for.
    WalkOneWay = 60,
    /// The last key of a list is not compared.
    WalkSkips = 61,
    /// What a comparison fetches is taken in without what the other owner has seen.
    EntriesUnfilled = 62,
    /// A gap is closed though one member has not promised yet.
    PromiseMissing = 63,
    // peer
    /// A retry goes to any owner, not to the one that took the first try.
    RetryElsewhere = 64,
    // ring
    /// The last owner of a partition is the first to stand in for the others.
    StandInOwner = 65,
    /// Loads are evened out whatever zone an owner is in.
    ZonesIgnored = 66,
    // wire
    /// An answer to a fetch always says that its store has lost nothing.
    CompleteSent = 67,
    /// The incarnation of a record is lost on the way.
    IncarnationUnsent = 68,
    // storage, hinted_handoff, gossip: found since disks fail and fill up
    /// A start passes over hints.
    HintUnreplayed = 69,
    /// A start does not write and sync again what it has read and no mark covers.
    TailUnsynced = 70,
    /// A record takes the place of a newer one.
    OlderRecord = 72,
    /// A log whose write or sync has failed goes on as if nothing were.
    FailureIgnored = 73,
    /// An owner that has handed a write on does not know it any more when it is tried again.
    HandedOnForgotten = 75,
    /// A store whose log waits for room wants to be woken at once to sync it.
    FullSpins = 76,
    // coordinator: increments
    /// A fold takes up the amounts of others.
    FoldsOthers = 77,
    /// A fold takes up amounts of its own actor's earlier starts.
    FoldsOlder = 78,
    /// Amounts are folded again while the own replica has not taken in the fold that took them up.
    FoldsUnseen = 79,
    /// What takes up a fold that was not acknowledged does not cover what that one covers.
    FoldsAlone = 80,
    /// An increment that is tried again is counted again.
    IncrementAgain = 81,
}

impl Rule {
    /// Every rule: the name by which it is called, the module in which it is broken.
    pub const ALL: &[(&str, &str, Rule)] = &[
        ("vv_only", "coordinator", Rule::VvOnly),
        ("add_context", "storage", Rule::AddContext),
        ("standin_clock", "storage", Rule::StandInClock),
        ("no_start", "storage", Rule::NoStart),
        ("skip_seen", "storage", Rule::SkipSeen),
        ("hole_clock", "storage", Rule::HoleClock),
        ("hole_fill", "storage", Rule::HoleFill),
        ("early_takeover", "anti_entropy", Rule::EarlyTakeover),
        ("late_takeover", "anti_entropy", Rule::LateTakeover),
        ("stale_takeover", "peer", Rule::StaleTakeover),
        ("skip_contexts", "anti_entropy", Rule::SkipContexts),
        ("drop_counter", "storage", Rule::DropCounter),
        ("blind_patch", "coordinator", Rule::BlindPatch),
        ("filled_patch", "coordinator", Rule::FilledPatch),
        ("blind_delete", "coordinator", Rule::BlindDelete),
        ("no_fence", "peer", Rule::NoFence),
        ("close_early", "anti_entropy", Rule::CloseEarly),
        ("hint_dropped", "peer", Rule::HintDropped),
        ("incomplete_counts", "coordinator", Rule::IncompleteCounts),
        ("ack_early", "storage", Rule::AckEarly),
        ("read_early", "storage", Rule::ReadEarly),
        ("absent_early", "storage", Rule::AbsentEarly),
        ("dir_unsynced", "storage", Rule::DirUnsynced),
        ("identity_unsynced", "storage", Rule::IdentityUnsynced),
        ("gone_unreplayed", "storage", Rule::GoneUnreplayed),
        ("removal_unreplayed", "storage", Rule::RemovalUnreplayed),
        ("clock_unreplayed", "storage", Rule::ClockUnreplayed),
        ("standing_unreplayed", "storage", Rule::StandingUnreplayed),
        ("plain_overwrites", "storage", Rule::PlainOverwrites),
        ("plain_again", "storage", Rule::PlainAgain),
        ("whole_after_one", "storage", Rule::WholeAfterOne),
        ("hint_overwritten", "storage", Rule::HintOverwritten),
        ("authors_stay", "storage", Rule::AuthorsStay),
        ("expire_all", "expiry", Rule::ExpireAll),
        ("expiry_unindexed", "expiry", Rule::ExpiryUnindexed),
        ("expired_early", "expiry", Rule::ExpiredEarly),
        ("pays_once", "hinted_handoff", Rule::PaysOnce),
        ("ack_twice", "coordinator", Rule::AckTwice),
        ("stand_in_beside", "coordinator", Rule::StandInBeside),
        ("read_one_less", "coordinator", Rule::ReadOneLess),
        ("stand_in_absence", "coordinator", Rule::StandInAbsence),
        ("stand_in_removal", "coordinator", Rule::StandInRemoval),
        ("session_unchecked", "coordinator", Rule::SessionUnchecked),
        ("values_missing", "coordinator", Rule::ValuesMissing),
        ("repair_bare", "coordinator", Rule::RepairBare),
        ("repair_picks", "coordinator", Rule::RepairPicks),
        ("cover_half", "coordinator", Rule::CoverHalf),
        ("cover_alone", "coordinator", Rule::CoverAlone),
        ("retry_forgotten", "coordinator", Rule::RetryForgotten),
        ("covers_unseen", "coordinator", Rule::CoversUnseen),
        ("seen_touches", "vclock", Rule::SeenTouches),
        ("subset_by_last", "vclock", Rule::SubsetByLast),
        ("merge_keeps", "vclock", Rule::MergeKeeps),
        ("context_unmerged", "vclock", Rule::ContextUnmerged),
        ("patch_beside", "vclock", Rule::PatchBeside),
        ("expiry_unpacked", "vclock", Rule::ExpiryUnpacked),
        ("unrefuted", "gossip", Rule::Unrefuted),
        ("return_unnoticed", "gossip", Rule::ReturnUnnoticed),
        ("counts_alone", "anti_entropy", Rule::CountsAlone),
        ("walk_one_way", "anti_entropy", Rule::WalkOneWay),
        ("walk_skips", "anti_entropy", Rule::WalkSkips),
        ("entries_unfilled", "anti_entropy", Rule::EntriesUnfilled),
        ("promise_missing", "anti_entropy", Rule::PromiseMissing),
        ("retry_elsewhere", "peer", Rule::RetryElsewhere),
        ("stand_in_owner", "ring", Rule::StandInOwner),
        ("zones_ignored", "ring", Rule::ZonesIgnored),
        ("complete_sent", "wire", Rule::CompleteSent),
        ("incarnation_unsent", "wire", Rule::IncarnationUnsent),
        ("hint_unreplayed", "storage", Rule::HintUnreplayed),
        ("tail_unsynced", "storage", Rule::TailUnsynced),
        ("older_record", "gossip", Rule::OlderRecord),
        ("failure_ignored", "storage", Rule::FailureIgnored),
        ("handed_on_forgotten", "coordinator", Rule::HandedOnForgotten),
        ("full_spins", "storage", Rule::FullSpins),
        ("folds_others", "coordinator", Rule::FoldsOthers),
        ("folds_older", "coordinator", Rule::FoldsOlder),
        ("folds_unseen", "coordinator", Rule::FoldsUnseen),
        ("folds_alone", "coordinator", Rule::FoldsAlone),
        ("increment_again", "peer", Rule::IncrementAgain),
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
