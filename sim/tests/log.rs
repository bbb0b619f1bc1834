//! The log on a simulated disk: what it does when nothing crashes, and what it says when something is wrong.

use henge::limits::RECORD_BYTES_MAX;
use henge::message::Position;
use henge::storage::{
    DiskDone, DiskJob, Log, OpenError, OpenFiles, OpenOptions, Opened, ReadError, Record, RecoveryError, execute, open,
    segment_path,
};
use henge::vclock::Start;
use sim::disk::{Fate, Faults, SimDisk};

fn options(wall_ms: u64) -> OpenOptions {
    OpenOptions { segment_bytes_min: 8 << 10, segment_bytes_max: 32 << 10, ..OpenOptions::new(wall_ms, wall_ms + 1) }
}

/// Opens the store; also says what it found: keys and positions.
fn open_at(disk: &SimDisk, wall_ms: u64) -> (Opened, Vec<(Vec<u8>, Position)>) {
    let mut found = Vec::new();
    let opened = open(disk, &options(wall_ms), &mut |_, position, record| match record {
        Record::Entry { key, .. } => found.push((key.to_vec(), position)),
        other => panic!("{other:?} was not appended"),
    });
    (opened.unwrap_or_else(|error| panic!("{error}")), found)
}

fn refusal(disk: &SimDisk) -> OpenError {
    open(disk, &options(0), &mut |_, _, _| {}).err().expect("it is refused")
}

fn entry<'a>(key: &'a [u8], entry: &'a [u8]) -> Record<'a> {
    Record::Entry { partition: 1, epoch: 1, key, entry, gone: &[], retry: None }
}

/// Does all that there is to do; gives back how many batches were written and how many of them synced.
fn run(disk: &SimDisk, log: &mut Log, sync: bool) -> (usize, usize) {
    let mut files = OpenFiles::default();
    let (mut batches, mut synced) = (0, 0);
    loop {
        if let Some(prepare) = log.take_prepare(0, 0) {
            let DiskDone::Prepared(done) = execute(disk, &mut files, DiskJob::Prepare(prepare)) else { unreachable!() };
            log.on_prepared(done).expect("the disk works");
        } else if let Some(write) = log.take_write(sync) {
            batches += 1;
            synced += usize::from(write.sync);
            let DiskDone::Written(done) = execute(disk, &mut files, DiskJob::Write(write)) else { unreachable!() };
            log.on_write_done(done).expect("the disk works");
        } else {
            return (batches, synced);
        }
    }
}

#[test]
fn a_store_comes_back_with_all_its_records_over_many_segments_and_starts() {
    let disk = SimDisk::new();
    let mut expected = Vec::new();
    for life in 0..5u32 {
        let (opened, found) = open_at(&disk, 0);
        assert_eq!(found, expected);
        assert_eq!(opened.stopped_cleanly, life > 0);
        assert_eq!((opened.identity.start, opened.previous), (Start(life + 1), (life > 0).then_some(Start(life))));
        let mut log = opened.log;
        for number in 0..100u32 {
            let key = [life.to_be_bytes(), number.to_be_bytes()].concat();
            let appended = log.append(&entry(&key, &vec![7; number as usize * 5])).expect("it is small");
            expected.push((key, appended.position));
            if number % 7 == 0 {
                run(&disk, &mut log, true);
            }
        }
        log.stop();
        run(&disk, &mut log, true);
        assert!(log.is_stopped());
    }
    let (opened, _) = open_at(&disk, 0);
    assert!(opened.recovered.segments.len() > 10 && opened.recovered.cut_bytes == 0);
}

#[test]
fn a_clean_stop_counts_only_for_the_start_that_it_names() {
    let disk = SimDisk::new();
    let (mut opened, _) = open_at(&disk, 0);
    opened.log.stop();
    run(&disk, &mut opened.log, true);
    // The next start is never heard of again: it may have issued dots.
    let (opened, _) = open_at(&disk, 0);
    assert!(opened.stopped_cleanly);
    let (opened, _) = open_at(&disk, 0);
    assert_eq!((opened.stopped_cleanly, opened.recovered.clean), (false, Some(Start(1))));
}

#[test]
fn start_numbers_follow_the_wall_clock_forwards_only() {
    let disk = SimDisk::new();
    assert_eq!(open_at(&disk, 50_000).0.identity.start, Start(50));
    let (first, second) = (open_at(&disk, 50_000).0.identity, open_at(&disk, 9_000).0.identity);
    assert_eq!((first.start, second.start), (Start(51), Start(52)));
    assert_eq!((first.member, first.actor), (second.member, second.actor));
}

#[test]
fn one_batch_is_on_its_way_and_the_next_is_what_came_meanwhile() {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    let mut files = OpenFiles::default();
    let first = log.append(&entry(b"a", b"1")).expect("it is small");
    let write = log.take_write(true).expect("there is something to write");
    let second = log.append(&entry(b"b", b"2")).expect("it is small");
    let third = log.append(&entry(b"c", b"3")).expect("it is small");
    assert_eq!(log.take_write(true), None);
    assert_eq!(log.progress().durable, Position(0));
    for (appended, key) in [(first, b"a"), (second, b"b"), (third, b"c")] {
        let (position, record) = Record::read(log.peek(appended.location).expect("it is pending")).expect("it is whole");
        assert!(position == appended.position && matches!(record, Record::Entry { key: got, .. } if got == key));
    }
    let DiskDone::Written(done) = execute(&disk, &mut files, DiskJob::Write(write)) else { unreachable!() };
    assert_eq!(log.on_write_done(done).map(|progress| progress.durable), Ok(first.position));
    assert_eq!(log.peek(first.location), None);
    assert_eq!(run(&disk, &mut log, true), (1, 1));
    assert_eq!(log.progress().durable, third.position);
    for appended in [first, second, third] {
        let DiskDone::Read(read) = execute(&disk, &mut files, DiskJob::Read(log.read_job(5, appended.location))) else {
            unreachable!()
        };
        let bytes = read.result.expect("it is on the disk");
        assert_eq!(Record::read(&bytes).map(|(position, _)| position), Ok(appended.position));
    }
}

#[test]
fn without_a_sync_records_are_written_and_not_durable_until_one_comes() {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    let appended = log.append(&entry(b"a", b"1")).expect("it is small");
    assert_eq!(run(&disk, &mut log, false), (1, 0));
    assert_eq!((log.progress().written, log.progress().durable), (appended.position, Position(0)));
    assert_eq!(log.take_write(false), None);
    assert!(!log.needs_idle_mark());
    assert_eq!(run(&disk, &mut log, true), (1, 1));
    assert!(log.progress().durable > appended.position);
    assert_eq!(log.take_write(true), None);
    let cut = disk.after_power_cut(|_| Fate::Lost);
    assert_eq!(open_at(&cut, 0).1, [(b"a".to_vec(), appended.position)]);
}

#[test]
fn an_idle_log_syncs_one_mark_and_then_nothing() {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    assert_eq!(log.take_idle_mark(), None);
    let appended = log.append(&entry(b"a", b"1")).expect("it is small");
    assert_eq!(log.take_idle_mark(), None);
    run(&disk, &mut log, true);
    let write = log.take_idle_mark().expect("the last batch has no mark behind it");
    assert!(write.sync);
    let DiskDone::Written(done) = execute(&disk, &mut OpenFiles::default(), DiskJob::Write(write)) else { unreachable!() };
    log.on_write_done(done).expect("the disk works");
    assert_eq!(log.take_idle_mark(), None);
    // Now damage of that batch is told from a torn write.
    disk.damage(&segment_path(1), |bytes| bytes[appended.location.byte() as usize + 20] ^= 1);
    let OpenError::Recovery(RecoveryError::Rot(rot)) = refusal(&disk) else { panic!("it is rot") };
    assert_eq!((rot.file, rot.offset, rot.position), (segment_path(1), appended.location.byte(), appended.position));
}

#[test]
fn a_failed_sync_ends_the_log() {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    log.append(&entry(b"a", b"1")).expect("it is small");
    let write = log.take_write(true).expect("there is something to write");
    // The segment is opened, written and synced.
    disk.set_faults(Faults { fail: Some(2), ..Faults::default() });
    let DiskDone::Written(done) = execute(&disk, &mut OpenFiles::default(), DiskJob::Write(write)) else { unreachable!() };
    assert!(log.on_write_done(done).is_err());
    log.append(&entry(b"b", b"2")).expect("it is small");
    assert_eq!((log.take_write(true), log.take_idle_mark(), log.take_prepare(0, 0)), (None, None, None));
    assert_eq!(log.progress().durable, Position(0));
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    disk.set_faults(Faults { capacity: Some(20 << 10), ..Faults::default() });
    let appended: Vec<_> = (0..40u8).map(|number| log.append(&entry(&[number], &[7; 500])).expect("it is small")).collect();
    run(&disk, &mut log, true);
    assert!(log.is_full() && log.progress().durable < appended[0].position);
    assert_eq!(log.take_prepare(500, 0), None);
    disk.set_faults(Faults::default());
    let prepare = log.take_prepare(1_000, 0).expect("a second later it is tried again");
    let DiskDone::Prepared(done) = execute(&disk, &mut OpenFiles::default(), DiskJob::Prepare(prepare)) else { unreachable!() };
    log.on_prepared(done).expect("there is room now");
    assert!(!log.is_full());
    run(&disk, &mut log, true);
    assert_eq!(open_at(&disk.after_power_cut(|_| Fate::Lost), 0).1.len(), 40);
}

#[test]
fn a_record_larger_than_a_segment_gets_one_that_holds_it() {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    let large = vec![3; 2 << 20];
    let appended = log.append(&entry(b"large", &large)).expect("it is below the limit");
    log.append(&entry(b"small", b"1")).expect("it is small");
    run(&disk, &mut log, true);
    let DiskDone::Read(read) = execute(&disk, &mut OpenFiles::default(), DiskJob::Read(log.read_job(0, appended.location))) else {
        unreachable!()
    };
    let bytes = read.result.expect("it is on the disk");
    assert!(matches!(Record::read(&bytes), Ok((_, Record::Entry { entry, .. })) if entry == large));
    let too_large = vec![3; RECORD_BYTES_MAX];
    assert!(log.append(&entry(b"too large", &too_large)).is_err());
    log.append(&entry(b"small again", b"2")).expect("it is small");
    run(&disk, &mut log, true);
    assert_eq!(open_at(&disk, 0).1.len(), 3);
}

/// A life that appends two records in one batch of some sectors; the disk before and after its sync.
fn two_records_in_one_batch() -> (SimDisk, SimDisk) {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    log.append(&entry(b"first", &[1; 500])).expect("it is small");
    log.append(&entry(b"second", &[2; 700])).expect("it is small");
    let write = log.take_write(false).expect("there is something to write");
    execute(&disk, &mut OpenFiles::default(), DiskJob::Write(write));
    (disk.copy(), disk.after_power_cut(|_| Fate::Kept))
}

#[test]
fn what_a_torn_batch_has_left_behind_its_lost_sector_never_joins_a_later_batch() {
    let (unsynced, _) = two_records_in_one_batch();
    // The sector with the mark and most of the first record is lost; the second record is whole.
    let disk = unsynced.after_power_cut(|piece| if piece == 0 { Fate::Lost } else { Fate::Kept });
    let (mut opened, found) = open_at(&disk, 0);
    assert!(found.is_empty() && opened.recovered.cut_bytes > 700);
    // The same first record again: it ends where the lost batch's second one begins, and that would have the next position.
    opened.log.append(&entry(b"first", &[1; 500])).expect("it is small");
    run(&disk, &mut opened.log, true);
    let keys: Vec<_> = open_at(&disk, 0).1.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"first".to_vec()]);
}

#[test]
fn a_lost_sector_that_comes_back_after_the_log_has_gone_on_brings_nothing_back() {
    let (unsynced, whole) = two_records_in_one_batch();
    let disk = unsynced.after_power_cut(|piece| if piece == 2 { Fate::Lost } else { Fate::Kept });
    let (mut opened, found) = open_at(&disk, 0);
    assert_eq!(found.len(), 1);
    opened.log.append(&entry(b"third", &[3; 50])).expect("it is small");
    run(&disk, &mut opened.log, true);
    let path = segment_path(1);
    let bytes = whole.durable_files().into_iter().find(|(name, _)| *name == path).expect("it is there").1;
    disk.damage(&path, |to| to.copy_from_slice(&bytes));
    let keys: Vec<_> = open_at(&disk, 0).1.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"first".to_vec(), b"third".to_vec()]);
}

#[test]
fn a_damaged_record_is_not_read() {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    let appended = log.append(&entry(b"a", &[7; 100])).expect("it is small");
    run(&disk, &mut log, true);
    let path = segment_path(appended.location.segment);
    for byte in appended.location.byte()..appended.location.byte() + 100 {
        let copy = disk.copy();
        copy.damage(&path, |bytes| bytes[byte as usize] ^= 0x10);
        let job = DiskJob::Read(log.read_job(0, appended.location));
        let DiskDone::Read(read) = execute(&copy, &mut OpenFiles::default(), job) else { unreachable!() };
        assert!(matches!(read.result, Err(ReadError::Damaged { .. })), "byte {byte}");
    }
    disk.lose(&path);
    let job = DiskJob::Read(log.read_job(0, appended.location));
    let DiskDone::Read(read) = execute(&disk, &mut OpenFiles::default(), job) else { unreachable!() };
    assert!(matches!(read.result, Err(ReadError::Damaged { .. })));
}

#[test]
fn files_that_are_no_segments_are_left_alone_and_those_under_way_are_wiped() {
    let disk = SimDisk::new();
    let mut log = open_at(&disk, 0).0.log;
    log.append(&entry(b"a", b"1")).expect("it is small");
    run(&disk, &mut log, true);
    use henge::storage::{Disk, Mode};
    disk.open("log/notes.txt", Mode::Create).expect("it can be made");
    disk.open("tmp/half", Mode::Create).expect("it can be made");
    let (opened, found) = open_at(&disk, 0);
    assert_eq!((opened.recovered.strangers, found.len()), (vec!["notes.txt".to_string()], 1));
    assert_eq!(disk.list("tmp"), Ok(vec![]));
    assert_eq!(disk.list("log").expect("it can be listed").len(), 3);
}

#[test]
fn one_slot_of_the_identity_may_be_hurt_but_not_both() {
    let disk = SimDisk::new();
    let identity = open_at(&disk, 0).0.identity;
    for slot in ["NODE.0", "NODE.1"] {
        let copy = disk.copy();
        copy.damage(slot, |bytes| bytes.truncate(7));
        let again = open_at(&copy, 0).0.identity;
        assert_eq!((again.member, again.start), (identity.member, Start(2)));
    }
    let both = disk.copy();
    ["NODE.0", "NODE.1"].into_iter().for_each(|slot| both.damage(slot, |bytes| bytes[30] ^= 1));
    assert!(matches!(refusal(&both), OpenError::Identity(_)));
    let none = disk.copy();
    ["NODE.0", "NODE.1"].into_iter().for_each(|slot| none.lose(slot));
    assert!(matches!(refusal(&none), OpenError::Nameless(_)));
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let write = || {
        let disk = SimDisk::new();
        let mut log = open_at(&disk, 5_000).0.log;
        (0..50u8).for_each(|number| {
            log.append(&entry(&[number], &[number; 300])).expect("it is small");
            run(&disk, &mut log, number % 3 == 0);
        });
        disk.durable_files()
    };
    assert_eq!(write(), write());
}
