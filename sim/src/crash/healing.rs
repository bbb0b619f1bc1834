//! A record that is damaged while a store runs and is healed, with the power failing at each call of that: the next start comes up with all that there
//! was, or refuses, and once the note of it is durable it does not refuse. What was not healed is refused for ever.

use super::cuts::random_cut;
use super::life::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Violation};
use super::{Counts, Extent, each};
use crate::disk::{Fate, Faults, SimDisk};
use bytes::Bytes;
use henge::message::SyncMode;
use henge::ring::{Change, ClusterId, Founder, MemberId, PartitionId, Placement};
use henge::storage::{DiskEvent, OpenFiles, OpenOptions, Store, StoreOptions, execute};
use henge::vclock::{Actor, Dot, Entry, Kind, Path, Seen, Start, Timestamp, Version, pack};
use std::collections::BTreeMap;

const PARTITION: PartitionId = PartitionId(1);
const OTHER: MemberId = MemberId(77);
/// The key of what is kept for it.
const HINTED: &str = "for another";

fn hinted() -> Entry {
    let dot = Dot { actor: Actor(8), counter: Start(2).base() | 1 };
    let value = Bytes::from("hinted");
    Entry::new(vec![Version { dot, path: Path::ROOT, kind: Kind::Bytes, value, time: Timestamp(3), expiry_ms: 0 }], Seen::new())
}

/// What lies in the bad bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bad {
    /// One record.
    Record,
    /// Several keys, a promise, a clock, and a hint that has been paid.
    Range,
    /// The removal of a key, of which nothing is known any more.
    Removal,
    /// A hint that is still owed.
    Hint,
}

impl Bad {
    fn can_be_healed(self) -> bool {
        self != Bad::Removal
    }
}

/// A store that runs, with bad bytes in its log.
struct Hurt {
    disk: SimDisk,
    files: OpenFiles<SimDisk>,
    store: Store,
    /// What it holds.
    entries: BTreeMap<Bytes, Entry>,
    clock: Seen,
    ms: u64,
}

/// Each kind of damage, and each call of its healing.
pub(super) fn healing(seed: u64, extent: Extent) -> Result<Counts, Violation> {
    let mut counts = Counts::default();
    for bad in [Bad::Record, Bad::Range, Bad::Removal, Bad::Hint] {
        let place = |what: &str| format!("history {seed}, damaged: {bad:?}, {what}");
        let hurt = Hurt::new(seed, bad);
        if hurt.comes_up(&hurt.disk.copy(), &|| place("not healed"))? {
            return Err(Violation::new("damage that nobody has healed is passed over", place("not healed")));
        }
        let mut whole = Hurt::new(seed, bad);
        if !whole.heal(None) {
            return Err(Violation::new("the healing fails without a fault", place("healed")));
        }
        for (what, disk) in [("lost", whole.disk.after_power_cut(|_| Fate::Lost)), ("kept", whole.disk.copy())] {
            if whole.comes_up(&disk, &|| place(what))? != bad.can_be_healed() {
                return Err(Violation::new("refused, or not, at the end of the healing", place(what)));
            }
        }
        let calls: Vec<u64> = (0..whole.disk.calls()).collect();
        counts.add(each(extent, &calls, |_, call| {
            let mut hurt = Hurt::new(seed, bad);
            let is_whole = hurt.heal(Some(*call));
            hurt.disk.set_faults(Faults::default());
            let mut cuts =
                vec![hurt.disk.copy(), hurt.disk.after_power_cut(|_| Fate::Lost), hurt.disk.after_power_cut(|_| Fate::Kept)];
            cuts.extend((0..8).map(|seed| random_cut(&hurt.disk, seed)));
            cuts.extend((0..64).step_by(extent.every_byte).map(|at| hurt.disk.after_power_cut(|_| Fate::Torn(at * 8))));
            let mut counts = Counts::default();
            for (number, disk) in cuts.iter().enumerate() {
                counts.healings += 1;
                let is_up = hurt.comes_up(disk, &|| place(&format!("call {call}, cut {number}")))?;
                if is_up && !bad.can_be_healed() {
                    return Err(Violation::new("passed over", place(&format!("call {call}, cut {number}"))));
                }
                counts.healed += u64::from(is_up);
            }
            if is_whole {
                return Err(Violation::new("a failed call went unnoticed", place(&format!("call {call}"))));
            }
            Ok(counts)
        })?);
    }
    Ok(counts)
}

fn options(seed: u64) -> StoreOptions {
    let log =
        OpenOptions { segment_bytes_min: SEGMENT_BYTES_MIN, segment_bytes_max: SEGMENT_BYTES_MAX, ..OpenOptions::new(1, seed) };
    StoreOptions { sync: SyncMode::Always, cache_bytes: 1 << 16, log }
}

impl Hurt {
    fn new(seed: u64, bad: Bad) -> Hurt {
        let disk = SimDisk::new();
        let (store, _) = Store::open(&disk, &options(seed)).expect("an empty folder");
        let mut hurt = Hurt { disk, files: OpenFiles::default(), store, entries: BTreeMap::new(), clock: Seen::new(), ms: 0 };
        let founder = |member, name: &str| Founder {
            member,
            name: name.into(),
            address: format!("{name}:1"),
            zone: String::new(),
            weight: 1,
        };
        let change = Change::Formed {
            cluster: ClusterId(5),
            secret: *b"sixteen byte key",
            partitions: 4,
            replicas: 3,
            placement_rule: 1,
            founders: vec![founder(hurt.store.member(), "one"), founder(OTHER, "other")],
        };
        let placement = Placement::from_changes(std::slice::from_ref(&change)).expect("it makes sense");
        hurt.store.append_membership(&change, &placement);
        (0..seed * 7).for_each(|number| hurt.put(&format!("early-{number}")));
        hurt.put("removed");
        hurt.settle();
        hurt.put("first");
        match bad {
            Bad::Record => {}
            Bad::Range => {
                hurt.put("between");
                hurt.store.raise_fence(Actor(9), OTHER, Start(4));
                hurt.hint(true);
                let gone: Seen = [Dot { actor: Actor(9), counter: Start(3).base() | 1 }].into_iter().collect();
                hurt.store.take_clock(PARTITION, &gone);
            }
            Bad::Removal => {
                let context = hurt.store.clock(PARTITION).clone();
                let removal = pack(&Entry::new(Vec::new(), context));
                hurt.store.take(PARTITION, &Bytes::from("removed"), &removal, None).expect("it is in memory");
                hurt.entries.remove("removed".as_bytes());
            }
            Bad::Hint => hurt.hint(false),
        }
        hurt.put("last");
        hurt.put("behind");
        hurt.settle();
        hurt.clock = hurt.store.clock(PARTITION).clone();
        let files = hurt.disk.durable_files().into_iter().filter(|(path, _)| path.starts_with("log/"));
        let place = |bytes: &[u8], value: &str| bytes.windows(value.len()).position(|window| window == value.as_bytes());
        let found = files.into_iter().find_map(|(path, bytes)| Some((path, place(&bytes, "value of first")?, bytes.clone())));
        let (path, from, bytes) = found.expect("it is in the log");
        let to = if bad == Bad::Record { from + 3 } else { place(&bytes, "value of last").expect("in the same segment") };
        hurt.disk.damage(&path, |bytes| bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x55));
        hurt
    }

    fn put(&mut self, key: &str) {
        let dot = self.store.mint(PARTITION, 1);
        let (value, time) = (Bytes::from(format!("value of {key}")), Timestamp(self.entries.len() as u64));
        let entry = Entry::new(vec![Version { dot, path: Path::ROOT, kind: Kind::Bytes, value, time, expiry_ms: 0 }], Seen::new());
        self.store.take(PARTITION, &Bytes::from(key.to_string()), &pack(&entry), None).expect("nothing has to be read");
        self.entries.insert(Bytes::from(key.to_string()), entry);
    }

    fn hint(&mut self, is_paid: bool) {
        let key = Bytes::from(HINTED);
        let taken = self.store.take_hint(PARTITION, &key, &pack(&hinted()), &[OTHER], 5).expect("there is room");
        if is_paid {
            assert!(self.store.pay_hint(PARTITION, &key, OTHER, taken.position), "it was owed");
        }
    }

    /// Does all that the store wants done, an idle mark at the end included; false if the disk fails. What is found to lie in bad bytes is healed.
    fn settle(&mut self) -> bool {
        loop {
            self.ms += 1_000;
            let job = self.store.take_log_write(self.ms).or_else(|| self.store.take_background_job(0, 0));
            let Some(job) = job else { return true };
            match self.store.on_disk(execute(&self.disk, &mut self.files, job)) {
                DiskEvent::Failed { .. } => return false,
                DiskEvent::Damage { keys } => {
                    keys.into_iter().for_each(|(_, key)| self.mend(&key));
                    self.store.close_gaps();
                }
                DiskEvent::Progress | DiskEvent::Record { .. } => {}
            }
        }
    }

    fn mend(&mut self, key: &Bytes) {
        if key == HINTED {
            let lost = self.store.lost_hint(PARTITION, key).expect("it is owed");
            self.store.mend_hint(PARTITION, key, &lost, &hinted()).expect("nothing else has taken its place");
            return;
        }
        let lost = self.store.lost(PARTITION, key).expect("it is live");
        let versions = self.entries[key].versions().to_vec();
        assert!(self.store.is_lost_state(key, &lost, &versions));
        self.store.mend(PARTITION, key, &lost, versions).expect("nothing else has taken its place");
    }

    /// A read has met the damage. With `crash` the power fails at that call. False if the disk has failed.
    fn heal(&mut self, crash: Option<u64>) -> bool {
        self.disk.set_faults(Faults { crash, ..Faults::default() });
        self.mend(&Bytes::from("first"));
        let is_healed = self.settle();
        self.put("afterwards");
        is_healed && self.settle() && crash.is_none_or(|call| self.disk.calls() <= call)
    }

    /// Starts a store on this disk, twice: false if it refuses, and says why.
    fn comes_up(&self, disk: &SimDisk, place: &dyn Fn() -> String) -> Result<bool, Violation> {
        let wrong = |what: String| Err(Violation::new(what, place()));
        for round in 0..2 {
            let store = match Store::open(disk, &options(1_000 + round)) {
                Ok((store, _)) => store,
                Err(error) if round == 0 && error.to_string().contains("is damaged at byte") => return Ok(false),
                Err(error) => return wrong(format!("refused: {error}")),
            };
            let differs = |(key, entry): &(&Bytes, &Entry)| {
                let is_new = **key == "afterwards".as_bytes();
                let hash = store.state_hash(PARTITION, key);
                !(is_new && hash == 0) && hash != self.store.state_hash(PARTITION, key) || entry.versions().is_empty()
            };
            if let Some((key, _)) = self.entries.iter().find(differs) {
                return wrong(format!("{key:?} is not what it was"));
            }
            if store.keys() > self.store.keys() || !self.clock.is_subset_of(store.clock(PARTITION)) {
                return wrong("there is more than there was, or it has seen less".into());
            }
            let owed = |store: &Store| store.lost_hint(PARTITION, &Bytes::from(HINTED)).map(|hint| (hint.live, hint.context));
            if store.hints() != self.store.hints() || owed(&store) != owed(&self.store) {
                return wrong("what it owes to another is not what it was".into());
            }
            if store.fence(Actor(9)) != self.store.fence(Actor(9)) || !store.is_complete(PARTITION) {
                return wrong("a promise is forgotten".into());
            }
        }
        Ok(true)
    }
}
