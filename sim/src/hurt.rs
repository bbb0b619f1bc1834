//! What may happen to a peer's disk, and with what it comes up after that.

use crate::dice::Dice;
use crate::disk::{Fate, Faults, SimDisk};
use crate::node::{Hurt, Node};
use crate::oracle::durability::Shadow;
use henge::ring::{Change, PartitionId};
use henge::storage::{Location, OpenFiles, OpenOptions, open, replace, segment_path, store_refusal};
use henge::vclock::Start;
use std::ops::Range;

/// The first bytes of a segment are its header.
const HEADER_BYTES: usize = 4_096;

impl Node {
    /// Its disk is lost. Requires: it is down.
    pub fn wipe(&mut self) {
        self.disk = SimDisk::new();
        self.files = OpenFiles::default();
        (self.hurt, self.quarantine, self.capacity) = (None, false, None);
        self.forget();
    }

    /// An empty disk takes its place. With `crash_at` the power fails at that call to the disk. Requires: it is down.
    pub fn replace(
        &mut self,
        time: u64,
        (change, last): (&Change, Start),
        crash_at: Option<u64>,
        dice: &mut Dice,
    ) -> Result<(), String> {
        let options = self.open_options(time, dice);
        self.disk.set_faults(Faults { crash: crash_at, ..Default::default() });
        let replaced = replace(&self.disk, &options, (self.member, last), std::slice::from_ref(change));
        self.disk.set_faults(Faults::default());
        if crash_at.is_some() {
            self.lose_power(dice);
        }
        replaced.map_err(|error| error.to_string())
    }

    /// Keeps a copy of the disk as it is.
    pub fn keep_old_disk(&mut self) {
        self.old_disk = Some(self.disk.copy());
        self.old_start = self.start;
    }

    /// Puts the copy back, as if the power had failed when it was made. Requires: it is down.
    pub fn put_old_disk_back(&mut self) {
        if let Some(old) = self.old_disk.take() {
            self.disk = old.after_power_cut(|_| Fate::Lost);
            self.files = OpenFiles::default();
            self.forget();
            self.hurt = Some(Hurt::Old);
        }
    }

    /// Others have refused it as an old copy: its folder says so from now on, and the next start moves aside what it holds.
    pub fn note_refusal(&mut self, reason: &str) -> Result<(), String> {
        self.forget();
        self.hurt = Some(Hurt::Refused);
        self.quarantine = true;
        store_refusal(&self.disk, reason).map_err(|error| error.to_string())
    }

    /// Some bytes of the log that were durable turn into others. False if there is nothing yet that could.
    ///
    /// Only what a later mark proves to have been durable: without that nobody can tell it from a torn write, and it is cut.
    pub fn damage_log(&mut self, dice: &mut Dice) -> bool {
        let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let files = self.disk.durable_files().into_iter().filter(|(path, _)| path.starts_with("log/"));
        let used: Vec<(String, usize)> =
            files.map(|(path, bytes)| (path, end(&bytes))).filter(|file| file.1 > HEADER_BYTES).collect();
        if used.is_empty() {
            return false;
        }
        let (path, end) = dice.pick(&used).clone();
        let first = HEADER_BYTES + dice.below((end - HEADER_BYTES) as u64) as usize;
        let last = end.min(first + dice.spread(1, 2_000) as usize);
        self.damage_bytes(&path, first..last, dice)
    }

    /// A few bytes of the record of a live key turn into others: a read meets that. False if there is none, or nobody could tell it from a torn write.
    pub fn damage_record(&mut self, dice: &mut Dice) -> bool {
        let Some(store) = self.peer.as_ref().map(|peer| peer.store()) else { return false };
        let partitions = (0..=u16::MAX).map(PartitionId).take_while(|partition| store.has_partition(*partition));
        let live = partitions.flat_map(|partition| {
            let (keys, _) = store.list(&[partition.0], &[], &[], 1_000);
            keys.into_iter().filter_map(move |listed| Some(store.lost(partition, &listed.key)?.location))
        });
        let live: Vec<Location> = live.collect();
        if live.is_empty() {
            return false;
        }
        let location = *dice.pick(&live);
        let first = location.byte() as usize + dice.below(40) as usize;
        self.damage_bytes(&segment_path(location.segment), first..first + dice.spread(1, 60) as usize, dice)
    }

    /// One bit that was durable turns into its opposite, anywhere: in a record, a header, the identity, in bytes that nothing uses. None if that is a
    /// place where nobody could tell it from a torn write; else whether a start notices it.
    pub fn flip_bit(&mut self, dice: &mut Dice) -> Option<bool> {
        let files = self.disk.durable_files();
        let is_of_identity = dice.chance(0.2);
        let files: Vec<_> = files.iter().filter(|(path, _)| path.starts_with("NODE") == is_of_identity).collect();
        let places = dice.number();
        let (reach, bit) = (dice.unit(), 1 << dice.below(8));
        if files.is_empty() {
            return None;
        }
        let (path, bytes) = files[(places % files.len() as u64) as usize];
        let used = bytes.iter().rposition(|byte| *byte != 0)?;
        // Now and then behind all that has been written.
        let at = ((used + 64) as f64 * reach) as usize;
        let flip = |bytes: &mut Vec<u8>| bytes[at] ^= bit;
        let found = |disk: &SimDisk| {
            let mut records = 0;
            let opened = open(disk, &OpenOptions::new(0, 1), &mut |_, _, _| records += 1).ok()?;
            Some((opened.recovered.last, opened.identity.actor, opened.identity.start, records))
        };
        let (before, after) = (self.disk.after_power_cut(|_| Fate::Lost), self.disk.after_power_cut(|_| Fate::Lost));
        let is_done = at < bytes.len() && after.damage_if_synced(path, flip);
        let (was, is) = (found(&before), found(&after));
        if !is_done || was.is_none() || (is.is_some() && is != was) || !self.disk.damage_if_synced(path, flip) {
            return None;
        }
        let is_noticed = is.is_none();
        if is_noticed || is_of_identity {
            self.hurt = Some(Hurt::Damaged);
        }
        Some(is_noticed)
    }

    fn damage_bytes(&mut self, path: &str, place: Range<usize>, dice: &mut Dice) -> bool {
        let with = dice.number() as u8 | 1;
        let damage = |bytes: &mut Vec<u8>| bytes[place.clone()].iter_mut().for_each(|byte| *byte ^= with);
        let trial = self.disk.after_power_cut(|_| Fate::Lost);
        let has_room = self.disk.durable_files().iter().any(|(name, bytes)| name == path && place.end <= bytes.len());
        let is_noticed =
            has_room && trial.damage_if_synced(path, damage) && open(&trial, &OpenOptions::new(0, 1), &mut |_, _, _| {}).is_err();
        let is_done = is_noticed && self.disk.damage_if_synced(path, damage);
        if is_done {
            self.hurt = Some(Hurt::Damaged);
        }
        is_done
    }

    /// What it has promised under its old actor is not asked of it any more.
    pub(crate) fn forget(&mut self) {
        self.shadow = Shadow::default();
        self.start = Start(0);
    }
}
