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
    /// What a clock that was taken over says is told before that clock is durable.
    ClockEarly = 23,
    /// A comparison counts before what it took over is durable.
    PullUndurable = 24,
    /// The name of a new segment of the log is not synced.
    DirUnsynced = 25,
    /// What a start reads behind the last mark is not synced again, and may be in the page cache alone.
    TailUnsynced = 26,
    /// A new start is not synced before it is used.
    IdentityUnsynced = 27,
    /// A dot that arrives as seen and gone is not written down where the entry stays the same.
    GoneUnwritten = 28,
    /// A start passes over the dots that records name as seen and gone.
    GoneUnreplayed = 29,
    /// A start passes over removals: what was there before is there again.
    RemovalUnreplayed = 30,
    /// A start passes over the clocks that were taken over.
    ClockUnreplayed = 31,
    /// A start passes over what is kept for others.
    HintUnreplayed = 32,
    /// A start forgets which writes may be tried again.
    RetryUnreplayed = 33,
    /// A start forgets what the store has promised to refuse.
    FenceUnreplayed = 34,
    /// A start takes partitions that have lost something for whole.
    StandingUnreplayed = 35,
    /// The quick way for plain values replaces a version that the arriving one has not seen.
    PlainOverwrites = 36,
    /// The quick way for plain values takes a dot in that has been seen before.
    PlainAgain = 37,
    /// A store that has lost something is whole when it has been compared with one other owner.
    WholeAfterOne = 38,
    /// A hint takes the place of the one that is there, and is not merged with it.
    HintOverwritten = 39,
    /// A hint that grows is owed to those alone to whom the newest write is owed.
    OwedReplaced = 40,
    /// A hint that has grown since it was sent goes when what was sent is acknowledged.
    PaidGrown = 41,
    /// Whose dots hints hold is not forgotten with the hints.
    AuthorsStay = 42,
    // expiry
    /// With the first version of a key that expires all of them are dropped.
    ExpireAll = 43,
    /// When a plain value expires is not noted.
    ExpiryUnindexed = 44,
    /// What has expired is dropped at once, while other clocks may still show it.
    ExpiredEarly = 45,
    /// A peer drops what has expired by a clock that is far off those of the others.
    ClockBelieved = 46,
    /// A hint of which a version has expired does not say that this version is gone.
    ExpiredForgotten = 47,
    // hinted_handoff
    /// A hint that could not be handed over at the first try is not tried again.
    PaysOnce = 48,
    /// A refusal to take a hint counts as payment.
    RefusalPays = 49,
    // coordinator
    /// An owner that acknowledges twice counts twice.
    AckTwice = 50,
    /// A stand-in that acknowledges twice counts twice.
    StandInTwice = 51,
    /// A read waits for one answer less than it should.
    ReadOneLess = 52,
    /// A stand-in counts like an owner for saying that nothing is there.
    StandInAbsence = 53,
    /// Stand-ins count for a removal without a context, though they do not know what there is to remove.
    StandInRemoval = 54,
    /// A read does not look whether it has seen what its session has.
    SessionUnchecked = 55,
    /// Values are not asked for where one replica has sent its own, and others hold more.
    ValuesMissing = 56,
    /// Read repair sends versions without their values.
    RepairBare = 57,
    /// Read repair picks the newest of several siblings, and covers the others.
    RepairPicks = 58,
    /// Who has stored a write without a context counts as if what it covers besides were stored too.
    CoverHalf = 59,
    /// What a write without a context covers besides travels without the write.
    CoverAlone = 60,
    /// A retry is taken for a new write.
    RetryForgotten = 61,
    /// A write covers what its coordinator has seen, not only what its client has.
    CoversUnseen = 62,
    /// A write covers what its client had seen replaced, and not what it saw live.
    LiveUncovered = 63,
    // vclock
    /// Two intervals with one dot between them grow together.
    SeenTouches = 64,
    /// Whether a clock has seen a set is judged by the last dot of each actor.
    SubsetByLast = 65,
    /// Merging keeps arriving versions that this side has seen and does not hold.
    MergeKeeps = 66,
    /// Merging forgets the other context.
    ContextUnmerged = 67,
    /// A patch covers the leaf behind the last one that it replaces too.
    PatchBeside = 68,
    /// A clock does not follow the timestamps of others.
    TimeUnfollowed = 69,
    /// A plain version with a context is packed without its expiry.
    ExpiryUnpacked = 70,
    // gossip
    /// Who is said to be dead repeats itself, and does not raise its incarnation.
    Unrefuted = 71,
    /// An older record of a member takes the place of a newer one.
    OlderRecord = 72,
    /// A member that was dead and lives again is not told of.
    ReturnUnnoticed = 73,
    /// A store that has lost its disk does not learn under which actor it wrote before.
    EndedUnlearnt = 74,
    // anti_entropy
    /// Two partitions with as many keys count as equal.
    CountsAlone = 75,
    /// Keys that the other owner does not have are not looked for.
    WalkOneWay = 76,
    /// The last key of a list is not compared.
    WalkSkips = 77,
    /// What a comparison fetches is taken in without what the other owner has seen.
    EntriesUnfilled = 78,
    /// The clock that is taken over is the one that came with the last answer.
    NewerClock = 79,
    /// A gap is closed though one member has not promised yet.
    PromiseMissing = 80,
    /// A gap is closed before the other owners have been asked what they hold of it.
    CloseUnpulled = 81,
    // peer
    /// A retry goes to any owner, not to the one that took the first try.
    RetryElsewhere = 82,
    /// A process that stood still goes on as if nothing had been.
    PauseUnnoticed = 83,
    // ring
    /// The last owner of a partition is the first to stand in for the others.
    StandInOwner = 84,
    /// Loads are evened out whatever zone an owner is in.
    ZonesIgnored = 85,
    // wire
    /// What a write without a context asks replicas to name is lost on the way.
    NamingUnsent = 86,
    /// That a hint is paid by an entry is lost on the way.
    ReliefUnsent = 87,
    /// An answer to a fetch always says that its store has lost nothing.
    CompleteSent = 88,
    /// An answer to a comparison always says that its store has lost nothing.
    WholeSent = 89,
    /// The incarnation of a record is lost on the way.
    IncarnationUnsent = 90,
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
        ("clock_early", "storage", Rule::ClockEarly),
        ("pull_undurable", "storage", Rule::PullUndurable),
        ("dir_unsynced", "storage", Rule::DirUnsynced),
        ("tail_unsynced", "storage", Rule::TailUnsynced),
        ("identity_unsynced", "storage", Rule::IdentityUnsynced),
        ("gone_unwritten", "storage", Rule::GoneUnwritten),
        ("gone_unreplayed", "storage", Rule::GoneUnreplayed),
        ("removal_unreplayed", "storage", Rule::RemovalUnreplayed),
        ("clock_unreplayed", "storage", Rule::ClockUnreplayed),
        ("hint_unreplayed", "storage", Rule::HintUnreplayed),
        ("retry_unreplayed", "storage", Rule::RetryUnreplayed),
        ("fence_unreplayed", "storage", Rule::FenceUnreplayed),
        ("standing_unreplayed", "storage", Rule::StandingUnreplayed),
        ("plain_overwrites", "storage", Rule::PlainOverwrites),
        ("plain_again", "storage", Rule::PlainAgain),
        ("whole_after_one", "storage", Rule::WholeAfterOne),
        ("hint_overwritten", "storage", Rule::HintOverwritten),
        ("owed_replaced", "storage", Rule::OwedReplaced),
        ("paid_grown", "storage", Rule::PaidGrown),
        ("authors_stay", "storage", Rule::AuthorsStay),
        ("expire_all", "expiry", Rule::ExpireAll),
        ("expiry_unindexed", "expiry", Rule::ExpiryUnindexed),
        ("expired_early", "expiry", Rule::ExpiredEarly),
        ("clock_believed", "expiry", Rule::ClockBelieved),
        ("expired_forgotten", "expiry", Rule::ExpiredForgotten),
        ("pays_once", "hinted_handoff", Rule::PaysOnce),
        ("refusal_pays", "hinted_handoff", Rule::RefusalPays),
        ("ack_twice", "coordinator", Rule::AckTwice),
        ("stand_in_twice", "coordinator", Rule::StandInTwice),
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
        ("live_uncovered", "coordinator", Rule::LiveUncovered),
        ("seen_touches", "vclock", Rule::SeenTouches),
        ("subset_by_last", "vclock", Rule::SubsetByLast),
        ("merge_keeps", "vclock", Rule::MergeKeeps),
        ("context_unmerged", "vclock", Rule::ContextUnmerged),
        ("patch_beside", "vclock", Rule::PatchBeside),
        ("time_unfollowed", "vclock", Rule::TimeUnfollowed),
        ("expiry_unpacked", "vclock", Rule::ExpiryUnpacked),
        ("unrefuted", "gossip", Rule::Unrefuted),
        ("older_record", "gossip", Rule::OlderRecord),
        ("return_unnoticed", "gossip", Rule::ReturnUnnoticed),
        ("ended_unlearnt", "gossip", Rule::EndedUnlearnt),
        ("counts_alone", "anti_entropy", Rule::CountsAlone),
        ("walk_one_way", "anti_entropy", Rule::WalkOneWay),
        ("walk_skips", "anti_entropy", Rule::WalkSkips),
        ("entries_unfilled", "anti_entropy", Rule::EntriesUnfilled),
        ("newer_clock", "anti_entropy", Rule::NewerClock),
        ("promise_missing", "anti_entropy", Rule::PromiseMissing),
        ("close_unpulled", "anti_entropy", Rule::CloseUnpulled),
        ("retry_elsewhere", "peer", Rule::RetryElsewhere),
        ("pause_unnoticed", "peer", Rule::PauseUnnoticed),
        ("stand_in_owner", "ring", Rule::StandInOwner),
        ("zones_ignored", "ring", Rule::ZonesIgnored),
        ("naming_unsent", "wire", Rule::NamingUnsent),
        ("relief_unsent", "wire", Rule::ReliefUnsent),
        ("complete_sent", "wire", Rule::CompleteSent),
        ("whole_sent", "wire", Rule::WholeSent),
        ("incarnation_unsent", "wire", Rule::IncarnationUnsent),
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
