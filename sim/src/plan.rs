//! What a seed draws before it begins: the cluster, its faults and how hard they are, the clients.
//!
//! Each kind of fault is off in about half of the seeds (swarm testing: Groce et al., ISSTA 2012): where all of them are always on, some
//! of them hide others. The budget keeps to what is claimed: under `interval` a crash may lose what a single peer has acknowledged,
//! so such seeds have faults of the network alone.

use crate::dice::Dice;
use crate::disk_plan::DiskFaultPlan;
use crate::network::CutShape;
use crate::tally;
use crate::tuning::Tuning;
use henge::message::SyncMode;

/// What is planted on purpose, to see that the oracles find it. Everything of it lives in the simulator: the peers are right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Plant {
    /// Nothing.
    #[default]
    None,
    /// The driver lets promises go before the disk has synced.
    EarlyRelease,
    /// The disk says that it has synced, and has not.
    LyingSync,
    /// A restart finds an old copy of the identity, as if its sync had been skipped: start numbers come twice.
    OldIdentity,
    /// The network takes the contexts out of the entries on their way.
    LostContext,
    /// The network answers replicate messages itself, now and then, and delivers nothing.
    FalseAck,
    /// The network takes the expiries out of the answers to fetches.
    NoExpiry,
    /// The network takes the contexts out of what expires: what that had replaced is there again when it is gone.
    ExpiryUncovers,
}

impl Plant {
    /// All of them but none, with the names by which they are called.
    pub const ALL: [(&'static str, Plant); 7] = [
        ("early-release", Plant::EarlyRelease),
        ("lying-sync", Plant::LyingSync),
        ("old-identity", Plant::OldIdentity),
        ("lost-context", Plant::LostContext),
        ("false-ack", Plant::FalseAck),
        ("no-expiry", Plant::NoExpiry),
        ("expiry-uncovers", Plant::ExpiryUncovers),
    ];

    /// True if it shows only where values expire.
    pub fn is_of_expiry(self) -> bool {
        matches!(self, Plant::NoExpiry | Plant::ExpiryUncovers)
    }
}

/// Everything that is drawn beforehand. Times are in microseconds, shares from 0 to 1; an interval is the mean time between two faults.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What is planted.
    pub plant: Plant,
    /// Peers.
    pub peers: usize,
    /// N.
    pub replicas: u8,
    /// Q.
    pub partitions: u16,
    /// Zones.
    pub zones: u64,
    /// The sync mode of every peer.
    pub sync: SyncMode,
    /// How long clients and faults work side by side.
    pub chaos: u64,
    /// After healing a quiet minute is waited for, in which clocks and contexts shrink.
    pub waits_a_minute: bool,
    /// The network.
    pub network: NetworkPlan,
    /// The disks.
    pub disk: DiskPlan,
    /// How they fail.
    pub disk_faults: DiskFaultPlan,
    /// Sizes and times of the peers.
    pub tuning: Tuning,
    /// The processes.
    pub process: ProcessPlan,
    /// Lost and hurt disks.
    pub disasters: DisasterPlan,
    /// The clients.
    pub clients: ClientPlan,
    /// Values that expire, if there are any.
    pub expiry: Option<ExpiryPlan>,
    /// Faults that wait for a rare moment.
    pub ambush: AmbushPlan,
    /// Further clients count, and keep sets.
    pub tallies: bool,
}

/// Faults that wait for a rare moment, and hit just there. Drawn apart from all else, and at run time too.
#[derive(Clone, Copy, Debug, Default)]
pub struct AmbushPlan {
    /// The share of acknowledged writes behind which the coordinator loses power, of those that its own disk does not hold yet.
    pub behind_acknowledgement: f64,
    /// The share of writes of the log for which the disk stands still for a while, so that others acknowledge before it.
    pub stalls: f64,
    /// The share of hints whose way to the owed peer is cut, for seconds, when they are about to be handed over.
    pub before_payment: f64,
    /// When a disk is hurt in the middle of a comparison, that peer and the one that learns from it can reach nobody else for a while.
    pub isolates_learners: bool,
    /// The share of disasters that are no lost disk, but an owner that drops its copy of one partition.
    pub dropped_copies: f64,
}

/// Disks that are lost. One at a time, and the next only when the cluster is whole again: so W disks of a partition are never lost together.
#[derive(Clone, Debug)]
pub struct DisasterPlan {
    /// The mean time between two of them, if there are any.
    pub interval: Option<u64>,
    /// Which.
    pub kinds: Vec<Disaster>,
}

/// What happens to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disaster {
    /// It is gone; an empty one takes its member's place.
    Wiped,
    /// It is that of some time ago.
    Old,
    /// Some bytes of its log are others, found at the next start.
    Hole,
    /// The same, while the peer is up.
    BadRecord,
    /// One bit is another, anywhere on the disk: nothing may notice it.
    Flip,
    /// The copy of one partition is dropped, as by an owner that is none any more, and owned again at once.
    DroppedCopy,
}

impl Disaster {
    /// Those of disks.
    const ALL: [Disaster; 4] = [Disaster::Wiped, Disaster::Old, Disaster::Hole, Disaster::BadRecord];
}

/// The share of seeds in which disks are lost, of those in which they may.
const DISASTERS: f64 = 0.5;

/// The network.
#[derive(Clone, Debug)]
pub struct NetworkPlan {
    /// The shortest delay.
    pub delay_min: u64,
    /// The usual longest delay.
    pub delay_max: u64,
    /// The share of messages that take up to a hundred times as long.
    pub tail: f64,
    /// The share that is lost.
    pub loss: f64,
    /// The share that comes twice.
    pub duplicates: f64,
    /// The share that comes once more, seconds later, restarts or not.
    pub late_duplicates: f64,
    /// Links are cut.
    pub cut_interval: Option<u64>,
    /// What cuts look like.
    pub cut_shapes: Vec<CutShape>,
    /// The share of cuts that come and go.
    pub flapping: f64,
    /// The share of cuts that work in one direction alone.
    pub one_way: f64,
}

/// The disks.
#[derive(Clone, Debug)]
pub struct DiskPlan {
    /// The shortest job.
    pub latency_min: u64,
    /// The usual longest job.
    pub latency_max: u64,
    /// The share of jobs that take up to a hundred times as long.
    pub tail: f64,
}

/// The processes and machines under them.
#[derive(Clone, Debug)]
pub struct ProcessPlan {
    /// One peer stops.
    pub crash_interval: Option<u64>,
    /// All of them lose power.
    pub blackout_interval: Option<u64>,
    /// The share of crashes that are only the end of the process: what was written is kept, synced or not.
    pub kills: f64,
    /// The share of clean stops.
    pub clean_stops: f64,
    /// The share of promises and messages behind which the peer loses power at once.
    pub crash_at_send: f64,
    /// The share of recoveries that are cut short by the next crash.
    pub crash_in_recovery: f64,
    /// A peer stands still for a while.
    pub pause_interval: Option<u64>,
    /// One peer stands still for that long, minutes, while clients hardly ask for anything and nothing else goes wrong.
    pub long_pause: Option<u64>,
    /// Something happens to a peer's clocks.
    pub clock_interval: Option<u64>,
    /// What happens to clocks.
    pub clock_faults: Vec<ClockFault>,
    /// Faults begin while the cluster is being formed.
    pub while_forming: bool,
}

/// The clients.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// How many.
    pub count: u64,
    /// How many keys they share.
    pub keys: u16,
    /// The mean time between two requests of one client.
    pub think: u64,
    /// The share of writes without a context.
    pub blind: f64,
    /// The share of requests that go to a peer that is no owner.
    pub stray: f64,
    /// Requests of each client after healing.
    pub healed_requests: u32,
}

/// Values that expire.
#[derive(Clone, Debug)]
pub struct ExpiryPlan {
    /// The share of puts and patches that set such values.
    pub share: f64,
    /// How long they live at least (milliseconds).
    pub shortest_ms: u64,
    /// How long they live at most (milliseconds).
    pub longest_ms: u64,
    /// In the end it is waited until all have been dropped.
    pub is_waited_for: bool,
    /// In the middle of it one peer has no power for so long, while clients hardly ask for anything (microseconds).
    pub absence: Option<u64>,
}

/// The share of seeds in which values expire.
const EXPIRIES: f64 = 0.3;

/// What happens to a machine's clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockFault {
    /// The wall clock jumps, by a second or by ten years.
    Jump,
    /// Both clocks run too fast or too slow, up to twice.
    Rate,
    /// The wall clock stands still.
    Freeze,
}

impl ClockFault {
    const ALL: [ClockFault; 3] = [ClockFault::Jump, ClockFault::Rate, ClockFault::Freeze];
}

/// The share of seeds with each kind of ambush.
const AMBUSHES: f64 = 0.3;

const SECOND: u64 = 1_000_000;
/// How long a disk stands still at most (microseconds).
pub const STALL: u64 = SECOND;
/// How long the way of a hint is cut at most (microseconds): long enough for others to come up, be linked, and close gaps.
pub const PAYMENT_CUT: u64 = 12 * SECOND;

impl Plan {
    /// A plan in which nothing goes wrong by itself: for scenarios that say what does.
    pub fn calm(seed: u64, peers: usize) -> Plan {
        let plan = Plan::draw(seed, Plant::None);
        Plan {
            peers,
            replicas: 3,
            zones: 1,
            sync: SyncMode::Always,
            waits_a_minute: true,
            network: NetworkPlan { delay_min: 100, delay_max: 500, ..plan.network.calm() },
            disk: DiskPlan { latency_min: 100, latency_max: 400, tail: 0.0 },
            disk_faults: DiskFaultPlan::default(),
            tuning: Tuning::calm(),
            disasters: DisasterPlan { interval: None, kinds: Vec::new() },
            process: ProcessPlan::calm(),
            expiry: None,
            ambush: AmbushPlan::default(),
            tallies: false,
            clients: ClientPlan { count: 4, keys: 8, think: 20_000, blind: 0.3, stray: 0.1, healed_requests: 6 },
            ..plan
        }
    }

    /// The plan of a seed.
    pub fn draw(seed: u64, plant: Plant) -> Plan {
        let dice = &mut Dice::of(seed, 0);
        let peers = dice.between(3, 7) as usize;
        let replicas = *dice.pick(&[3, 3, 3, 3, 3, 3, 2, 5, 1]);
        let sync = match dice.chance(0.85) || plant != Plant::None {
            true => SyncMode::Always,
            false => SyncMode::Interval(*dice.pick(&[5, 50, 1_000])),
        };
        let mut process = ProcessPlan::draw(dice);
        let network = NetworkPlan::draw(dice);
        if sync != SyncMode::Always {
            process = ProcessPlan {
                pause_interval: process.pause_interval,
                clock_interval: process.clock_interval,
                clock_faults: process.clock_faults,
                long_pause: process.long_pause,
                ..ProcessPlan::calm()
            };
        } else if plant != Plant::None {
            // A planted bug shows where peers lose power.
            process.crash_interval = Some(3 * SECOND);
        }
        let mut disasters = DisasterPlan::draw(dice);
        // With W of 1 there is no disk to spare; and a copy of a folder can be told only where start numbers rise with the time.
        if sync != SyncMode::Always || plant != Plant::None || replicas.min(peers as u8) < 2 {
            disasters.interval = None;
        } else if disasters.interval.is_some() && disasters.kinds.contains(&Disaster::Old) {
            process.clock_interval = None;
        }
        let expiry = ExpiryPlan::draw(seed, plant);
        if let Some(expiry) = &expiry
            && let Some(absence) = expiry.absence
            && process.long_pause.is_none()
        {
            // Who stands still, or is away, for so long has slept through all of it.
            process.long_pause = Some(absence);
        }
        let disk_faults = DiskFaultPlan::draw(seed, plant, sync);
        let may_crash = sync == SyncMode::Always && plant == Plant::None;
        let ambush = if may_crash { AmbushPlan::draw(seed) } else { AmbushPlan::default() };
        // With two owners a stand-in is soon the only one that holds a write.
        let replicas = if ambush.before_payment > 0.0 && seed.is_multiple_of(2) { 2 } else { replicas };
        Plan {
            seed,
            plant,
            peers,
            replicas: replicas.min(peers as u8),
            partitions: *dice.pick(&[8, 8, 16, 32]),
            zones: dice.between(1, 3),
            sync,
            chaos: dice.between(6, 12) * SECOND,
            waits_a_minute: seed.is_multiple_of(4),
            network,
            disk: DiskPlan::draw(dice),
            disk_faults,
            tuning: Tuning::draw(seed, disk_faults.full_interval.is_some()),
            disasters,
            process,
            clients: ClientPlan {
                count: dice.between(3, 6),
                keys: dice.between(3, 8) as u16,
                think: dice.spread(30_000, 200_000),
                blind: *dice.pick(&[0.1, 0.3, 0.5, 0.8]),
                stray: *dice.pick(&[0.0, 0.1, 0.3]),
                healed_requests: 6,
            },
            expiry,
            ambush,
            tallies: plant == Plant::None && tally::is_drawn(seed),
        }
    }
}

fn half<T>(dice: &mut Dice, on: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    // Drawn whether it is used or not, so that the other draws stay where they are.
    let value = on(dice);
    dice.chance(0.5).then_some(value)
}

impl NetworkPlan {
    fn draw(dice: &mut Dice) -> NetworkPlan {
        let delay_min = dice.spread(20, 2_000);
        NetworkPlan {
            delay_min,
            delay_max: delay_min * dice.between(2, 20),
            tail: half(dice, |dice| dice.unit() * 0.03).unwrap_or(0.0),
            loss: half(dice, |dice| dice.unit() * 0.06).unwrap_or(0.0),
            duplicates: half(dice, |dice| dice.unit() * 0.1).unwrap_or(0.0),
            late_duplicates: half(dice, |dice| dice.unit() * 0.1).unwrap_or(0.0),
            cut_interval: half(dice, |dice| dice.spread(SECOND / 2, 4 * SECOND)),
            one_way: half(dice, |_| 0.3).unwrap_or(0.0),
            cut_shapes: {
                let mut shapes: Vec<CutShape> = CutShape::ALL.into_iter().filter(|_| dice.chance(0.5)).collect();
                if shapes.is_empty() {
                    shapes.push(CutShape::Peer);
                }
                shapes
            },
            flapping: half(dice, |_| 0.3).unwrap_or(0.0),
        }
    }

    /// A network without faults, only with its delays.
    pub fn calm(&self) -> NetworkPlan {
        NetworkPlan {
            tail: 0.0,
            loss: 0.0,
            duplicates: 0.0,
            late_duplicates: 0.0,
            cut_interval: None,
            one_way: 0.0,
            ..self.clone()
        }
    }

    /// How long one message is under way, if nothing is slow.
    pub fn usual_delay(&self, dice: &mut Dice) -> u64 {
        dice.between(self.delay_min, self.delay_max)
    }
}

impl DisasterPlan {
    fn draw(dice: &mut Dice) -> DisasterPlan {
        let interval = dice.spread(200_000, 4 * SECOND);
        let mut kinds: Vec<Disaster> = Disaster::ALL.into_iter().filter(|_| dice.chance(0.5)).collect();
        if kinds.is_empty() || dice.chance(0.5) {
            // The same again and again meets itself.
            kinds = vec![*dice.pick(&Disaster::ALL)];
        }
        DisasterPlan { interval: dice.chance(DISASTERS).then_some(interval), kinds }
    }
}

impl AmbushPlan {
    fn draw(seed: u64) -> AmbushPlan {
        let dice = &mut Dice::of(seed, 5);
        let (hints, isolates, drops) = (dice.chance(AMBUSHES), dice.chance(AMBUSHES), dice.chance(AMBUSHES));
        AmbushPlan {
            behind_acknowledgement: if hints { 0.2 } else { 0.0 },
            stalls: if hints { 0.05 } else { 0.0 },
            before_payment: if hints { 0.5 } else { 0.0 },
            isolates_learners: isolates,
            dropped_copies: if drops { 0.5 } else { 0.0 },
        }
    }
}

impl ExpiryPlan {
    /// Drawn apart from all else, so that a seed without expiries is what it was before there were any.
    fn draw(seed: u64, plant: Plant) -> Option<ExpiryPlan> {
        let dice = &mut Dice::of(seed, 4);
        let is_drawn = dice.chance(EXPIRIES);
        let (shortest_ms, longest_ms) = *dice.pick(&[(100, 2_000), (1_000, 10_000), (1_000, 10_000), (100, 180_000)]);
        let plan = ExpiryPlan {
            share: *dice.pick(&[0.1, 0.3, 0.6]),
            shortest_ms,
            longest_ms,
            is_waited_for: dice.chance(0.3),
            absence: Some(dice.between(70, 150) * SECOND).filter(|_| dice.chance(0.1)),
        };
        (is_drawn || plant.is_of_expiry()).then_some(plan)
    }
}

impl DiskPlan {
    fn draw(dice: &mut Dice) -> DiskPlan {
        let latency_min = dice.spread(50, 2_000);
        DiskPlan {
            latency_min,
            latency_max: latency_min * dice.between(1, 10),
            tail: half(dice, |dice| dice.unit() * 0.03).unwrap_or(0.0),
        }
    }

    /// How long one job takes, if nothing is slow.
    pub fn usual_latency(&self, dice: &mut Dice) -> u64 {
        dice.between(self.latency_min, self.latency_max)
    }
}

impl ProcessPlan {
    fn draw(dice: &mut Dice) -> ProcessPlan {
        ProcessPlan {
            crash_interval: half(dice, |dice| dice.spread(SECOND / 2, 6 * SECOND)),
            blackout_interval: half(dice, |dice| dice.spread(2 * SECOND, 10 * SECOND)),
            kills: half(dice, |_| 0.3).unwrap_or(0.0),
            clean_stops: half(dice, |_| 0.3).unwrap_or(0.0),
            crash_at_send: half(dice, |dice| dice.unit() * 0.002).unwrap_or(0.0),
            crash_in_recovery: half(dice, |_| 0.4).unwrap_or(0.0),
            pause_interval: half(dice, |dice| dice.spread(SECOND, 6 * SECOND)),
            clock_interval: half(dice, |dice| dice.spread(SECOND, 6 * SECOND)),
            clock_faults: {
                let mut faults: Vec<ClockFault> = ClockFault::ALL.into_iter().filter(|_| dice.chance(0.5)).collect();
                if faults.is_empty() {
                    faults.push(ClockFault::Jump);
                }
                faults
            },
            long_pause: Some(dice.between(30, 600) * SECOND).filter(|_| dice.chance(0.03)),
            while_forming: dice.chance(0.25),
        }
    }

    /// Nothing happens to any process.
    pub fn calm() -> ProcessPlan {
        ProcessPlan {
            crash_interval: None,
            blackout_interval: None,
            kills: 0.0,
            clean_stops: 0.0,
            crash_at_send: 0.0,
            crash_in_recovery: 0.0,
            pause_interval: None,
            clock_interval: None,
            clock_faults: Vec::new(),
            long_pause: None,
            while_forming: false,
        }
    }
}
