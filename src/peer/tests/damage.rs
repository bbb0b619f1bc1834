//! What a peer does that has lost a part of its log, or all of it.

use super::*;
use crate::message::{Attempt, FailureKind};
use crate::storage::{OpenOptions, Standing, StoreOptions, replace, store_refusal};

/// Three peers that each own all partitions, with some keys; the first of them is down.
fn with_one_down() -> (Cluster, Vec<String>) {
    let mut cluster = Cluster::new(3);
    let keys: Vec<String> = (0..40).map(|number| format!("key-{number}")).collect();
    keys.iter().for_each(|key| drop(cluster.put(0, key, "1", &NONE)));
    cluster.put(0, "gone", "1", &NONE);
    cluster.ask(0, remove("gone", "", &NONE));
    // An idle mark says that all of it was durable.
    cluster.wait(300);
    cluster.kill(0);
    (cluster, keys)
}

pub(super) fn options(cluster: &Cluster, quarantine: bool) -> StoreOptions {
    let log = OpenOptions { wall_ms: cluster.now.wall_ms, seed: 77, quarantine, ..cluster.options.log };
    StoreOptions { log, ..cluster.options }
}

/// The first segment of a peer's log, and a place in the middle of its records, in that of a key.
fn middle(cluster: &Cluster, at: usize) -> (String, usize) {
    let (path, bytes) = cluster.machines[at].disk.files("log/").swap_remove(0);
    let place = bytes.windows(6).position(|some| some == b"key-20").expect("it has been written to");
    (path, place)
}

/// Starts a peer as `serve --quarantine` does.
fn start_with_quarantine(cluster: &mut Cluster, at: usize) {
    cluster.options.log.quarantine = true;
    cluster.start(at);
    cluster.options.log.quarantine = false;
}

pub(super) fn held(cluster: &mut Cluster, at: usize, key: &str) -> usize {
    let partition = cluster.peer(at).partition_of(key.as_bytes());
    let store = cluster.machines[at].peer.as_mut().expect("the peer is up").replica.store_mut();
    store.read(partition, key.as_bytes()).map_or(0, |(entry, _)| entry.versions().len())
}

#[test]
fn a_hole_in_the_log_is_refused_and_with_quarantine_what_can_be_read_survives_under_a_new_actor() {
    let (mut cluster, keys) = with_one_down();
    let (path, at) = middle(&cluster, 0);
    let sound = cluster.machines[0].disk.files("log/");
    cluster.machines[0].disk.flip(&path, at);
    let refused =
        Store::open(&cluster.machines[0].disk, &options(&cluster, false)).map(drop).expect_err("it is damaged").to_string();
    assert!(refused.contains("henge serve --quarantine") && refused.contains("is damaged at byte"), "{refused}");

    start_with_quarantine(&mut cluster, 0);
    let store = cluster.peer(0).store();
    let survivors = store.keys();
    assert!(survivors >= 30 && survivors < keys.len() as u64, "{survivors}");
    let partitions = (0..8).map(PartitionId);
    partitions.clone().for_each(|partition| assert_eq!(*store.standing(partition), Standing::lost()));
    let ended: Vec<_> = store.fences().filter(|(_, fence)| fence.member == store.member()).collect();
    assert!(matches!(ended[..], [(actor, fence)] if actor != store.actor() && fence.below == Start(u32::MAX)), "{ended:?}");
    // Nothing is said to have been seen but what survived: the deleted key's dots are not.
    let seen: u64 = partitions.map(|of| store.clock(of).dots().count() as u64).sum();
    assert_eq!(seen, survivors);
    let moved = cluster.machines[0].disk.files("quarantine/");
    assert_eq!(moved.len(), sound.len(), "nothing is deleted");

    // It says of itself that it counts for nothing, and reads are right meanwhile. No comparison makes it whole here.
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Comparing(_)));
    cluster.connect(0);
    let Reply::Status(status) = cluster.ask(0, Request::Status) else { panic!("a status") };
    assert_eq!((status.member.incomplete_partitions, status.member.comparisons_needed), (8, 16));
    for key in &keys {
        assert_eq!(cluster.found(0, key).value, json("1"), "{key}");
    }
    assert!(matches!(cluster.get(0, "gone"), Reply::Missing(missing) if missing.answered == 2));
    let list = List { prefix: bytes("key-"), after: NONE, limit: 100, r: Quorum::Default, deadline_ms: 0 };
    assert!(matches!(cluster.ask(0, Request::List(list)), Reply::Listed(listed) if listed.keys.len() == keys.len()));
    cluster.kill(1);
    assert!(matches!(cluster.get(0, "gone"), Reply::Failed(_)), "one complete owner is not enough");

    // A second start has the same to say.
    cluster.kill(0);
    cluster.start(0);
    assert!((0..8).all(|of| !cluster.peer(0).store().is_complete(PartitionId(of))));
}

#[test]
fn a_quarantine_with_nothing_to_quarantine_changes_nothing() {
    let (mut cluster, keys) = with_one_down();
    let before = cluster.machines[0].disk.files("log/").len();
    start_with_quarantine(&mut cluster, 0);
    assert_eq!(cluster.peer(0).store().keys(), keys.len() as u64);
    assert!((0..8).all(|of| cluster.peer(0).store().is_complete(PartitionId(of))));
    assert!(cluster.machines[0].disk.files("quarantine/").is_empty());
    assert!(cluster.machines[0].disk.files("log/").len() >= before);
}

#[test]
fn every_place_of_a_hole_can_be_salvaged_and_nothing_that_was_deleted_or_replaced_is_made_up() {
    let (cluster, keys) = with_one_down();
    let (path, _) = middle(&cluster, 0);
    let sound = cluster.machines[0].disk.clone_files();
    let end = sound[&path].iter().rposition(|byte| *byte != 0).expect("it has been written to");
    for at in (4_096..end).step_by(331) {
        cluster.machines[0].disk.restore(&sound);
        cluster.machines[0].disk.flip(&path, at);
        match Store::open(&cluster.machines[0].disk, &options(&cluster, true)) {
            Ok((store, _)) => assert!(store.keys() <= keys.len() as u64 + 1 && store.keys() + 3 >= keys.len() as u64, "byte {at}"),
            // The record of the members was hit.
            Err(error) => assert!(error.to_string().contains("--replace"), "byte {at}: {error}"),
        }
    }
    cluster.machines[0].disk.restore(&sound);
}

#[test]
fn a_renewal_that_broke_off_is_not_taken_for_the_log_and_is_done_again() {
    let (mut cluster, keys) = with_one_down();
    let (path, at) = middle(&cluster, 0);
    let first_mark = 4_096;
    for at in [at, first_mark] {
        let disk = cluster.machines[0].disk.clone();
        let sound = disk.clone_files();
        disk.flip(&path, at);
        let damaged = disk.clone_files();
        let (renewed, _) = Store::open(&disk, &options(&cluster, true)).expect("it is salvaged");
        let (survivors, actor) = (renewed.keys(), renewed.actor());
        // The new log is on the disk, and NODE does not name it yet.
        let begun = disk.files("log/");
        disk.restore(&damaged);
        begun.into_iter().for_each(|(name, bytes)| disk.put(&name, bytes));
        let refused = Store::open(&disk, &options(&cluster, false)).map(drop).expect_err("neither log counts");
        assert!(refused.to_string().contains("henge serve --quarantine"), "byte {at}: {refused}");
        cluster.now.wall_ms += 5_000;
        let (again, _) = Store::open(&disk, &options(&cluster, true)).expect("it is salvaged once more");
        assert_eq!(again.keys(), survivors, "byte {at}");
        assert!(survivors + 10 >= keys.len() as u64 && again.actor() == actor, "the seed is the same, so is the actor");
        assert!((0..8).all(|of| !again.is_complete(PartitionId(of))));
        disk.restore(&sound);
    }
}

#[test]
fn a_folder_that_was_refused_as_an_old_copy_is_emptied_by_quarantine() {
    let (mut cluster, _) = with_one_down();
    let (member, before) = (cluster.id(1), cluster.machines[0].disk.files("log/").len());
    store_refusal(&cluster.machines[0].disk, "an old copy").expect("it is noted");
    start_with_quarantine(&mut cluster, 0);
    let store = cluster.peer(0).store();
    assert_eq!((store.keys(), store.is_complete(PartitionId(3))), (0, false));
    assert_ne!(store.member(), member);
    let given_up: Vec<_> = store.fences().filter(|(_, fence)| fence.member == store.member()).map(|(actor, _)| actor).collect();
    let ended: Vec<_> = cluster.peer(0).gossip.own_record().ended.iter().map(|ended| ended.actor).collect();
    assert_eq!((given_up.len(), &ended), (1, &given_up), "nobody has to tell it which actor it has given up");
    let moved = cluster.machines[0].disk.files("quarantine/");
    assert_eq!(moved.len(), before + 1, "the log, and the note of the refusal");
    assert!(cluster.machines[0].disk.files("REFUSED").is_empty());
    // Run with the flag again and again, it does no more harm.
    cluster.kill(0);
    start_with_quarantine(&mut cluster, 0);
    assert_eq!(cluster.machines[0].disk.files("quarantine/").len(), moved.len());
}

#[test]
fn a_fresh_folder_takes_the_place_of_a_member_once_and_is_incomplete() {
    let (mut cluster, keys) = with_one_down();
    let changes = cluster.peer(1).store().membership().to_vec();
    let Change::Formed { founders, .. } = &changes[0];
    let member = founders[0].member;
    let last = cluster.peer(1).newest_start(member).expect("they have met");
    let disk = &cluster.machines[0].disk;
    let old = Store::open(disk, &options(&cluster, false)).expect("it opens").0.actor();
    let occupied = replace(disk, &options(&cluster, false).log, (founders[1].member, Start(0)), &changes);
    assert!(occupied.is_err_and(|error| error.to_string().contains("is that of member")));
    disk.wipe();
    let stranger = replace(disk, &options(&cluster, false).log, (MemberId(5), Start(0)), &changes);
    assert!(stranger.is_err_and(|error| error.to_string().contains("is not in the list of members")));
    for _ in 0..2 {
        replace(disk, &options(&cluster, false).log, (member, last), &changes).expect("it is fresh, or replaced already");
    }
    // The clock has gone back: the new start is a later one all the same.
    cluster.now.wall_ms -= 5_000;
    cluster.start(0);
    let store = cluster.peer(0).store();
    assert_eq!(store.start(), Start(last.0 + 1));
    assert_eq!((store.member(), store.keys()), (member, 0));
    assert!(store.actor() != old && (0..8).all(|of| !store.is_complete(PartitionId(of))));
    cluster.connect(0);
    assert_eq!(cluster.peer(1).old_copy(&cluster.peer(0).introduction()), None);
    for key in &keys {
        assert_eq!(cluster.found(0, key).value, json("1"), "{key}");
    }
    // It takes writes in like any other, but a removal without a context does not count it.
    let receipt = cluster.put(0, "key-1", "2", &NONE);
    assert_eq!(receipt.acks.len(), 2);
    assert_eq!(held(&mut cluster, 0, "key-1"), 1);
}

#[test]
fn an_owner_is_whole_again_after_comparing_with_two_complete_others_and_that_is_remembered() {
    let (mut cluster, _) = with_one_down();
    let (path, at) = middle(&cluster, 0);
    cluster.machines[0].disk.flip(&path, at);
    start_with_quarantine(&mut cluster, 0);
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Comparing(_)));
    cluster.connect(0);
    let (one, two, now) = (cluster.id(1), cluster.id(2), cluster.now);
    let peer = cluster.machines[0].peer.as_mut().expect("it is up");
    for (partition, partners) in [(0, vec![(one, true)]), (1, vec![(one, true), (two, true)]), (2, vec![(one, true), (two, false)])]
    {
        partners.into_iter().for_each(|(partner, complete)| peer.on_pull_finished(now, PartitionId(partition), partner, complete));
    }
    let complete = |cluster: &Cluster| (0..3).map(|of| cluster.peer(0).store().is_complete(PartitionId(of))).collect::<Vec<_>>();
    assert_eq!(complete(&cluster), [false, true, true]);
    let Reply::Status(status) = cluster.ask(0, Request::Status) else { panic!("a status") };
    assert_eq!(status.member.alarms.len(), 1, "one of two partners had lost something itself");
    assert!(status.member.alarms[0].contains("may be missing in 1 of"), "{:?}", status.member.alarms);
    assert_eq!((status.member.incomplete_partitions, status.member.comparisons_done), (6, 1));
    cluster.wait(100);
    cluster.kill(0);
    cluster.start(0);
    assert_eq!(complete(&cluster), [false, true, true]);
}

#[test]
fn a_promise_survives_a_restart_and_refuses_what_an_ended_start_said() {
    let mut cluster = Cluster::new(3);
    let (actor, start, member) = {
        let told = cluster.peer(0).introduction();
        (told.actor, told.start, told.member)
    };
    let ask =
        |below| Message::FenceAsk(crate::message::FenceAsk { operation: crate::message::OperationId(1), actor, member, below });
    let from = (cluster.id(1), cluster.peer(1).introduction().start);
    cluster.step(0, Input::Message { from: from.0, start: from.1, message: ask(Start(start.0 + 1)) });
    cluster.run();
    assert_eq!(cluster.peer(0).store().fence(actor), None, "nobody promises to refuse what it is saying");
    cluster.step(2, Input::Message { from: from.0, start: from.1, message: ask(Start(start.0 + 1)) });
    cluster.run();
    assert_eq!(cluster.peer(2).store().fence(actor), Some(Start(start.0 + 1)));
    cluster.kill(2);
    cluster.start(2);
    assert!(cluster.peer(2).is_fenced(member, start) && !cluster.peer(2).is_fenced(member, Start(start.0 + 1)));
    assert!(!cluster.peer(2).is_fenced(from.0, from.1));
}

/// Starts a peer anew, so that it has nothing in memory, and flips a bit of a value in its log.
pub(super) fn damage_value(cluster: &mut Cluster, at: usize, value: &str) {
    cluster.wait(300);
    cluster.kill(at);
    cluster.start(at);
    cluster.connect(at);
    let found = cluster.machines[at].disk.files("log/").into_iter().find_map(|(path, bytes)| {
        let place = bytes.windows(value.len()).position(|window| window == value.as_bytes())?;
        Some((path, place))
    });
    let (path, place) = found.expect("it is in the log");
    cluster.machines[at].disk.flip(&path, place + 2);
}

fn read_at_one(cluster: &mut Cluster, at: usize, key: &str) -> Reply {
    let Request::Get(one) = get(key, "") else { panic!("a get") };
    cluster.ask(at, Request::Get(crate::message::Get { r: Quorum::Exactly(1), ..one }))
}

pub(super) fn alarms(cluster: &mut Cluster, at: usize) -> Vec<String> {
    let Reply::Status(status) = cluster.ask(at, Request::Status) else { panic!("a status") };
    status.member.alarms.clone()
}

#[test]
fn a_damaged_record_is_fetched_from_another_owner_while_whoever_wants_it_waits() {
    for (key, value) in [("plain", "\"needle\""), ("document", "{\"a\":\"needle\",\"b\":1}")] {
        let mut cluster = Cluster::new(3);
        cluster.put(0, key, value, &NONE);
        damage_value(&mut cluster, 0, "needle");
        let before = cluster.peer(0).store().summary(cluster.peer(0).partition_of(key.as_bytes()));
        assert_eq!(held(&mut cluster, 0, key), 0, "it is cold");
        let answer = read_at_one(&mut cluster, 0, key);
        assert!(matches!(&answer, Reply::Found(found) if found.value.is_some()), "{key}: {answer:?}");
        assert_eq!(
            cluster.peer(0).store().summary(cluster.peer(0).partition_of(key.as_bytes())),
            before,
            "the same dots and bytes"
        );
        assert!(held(&mut cluster, 0, key) > 0, "it has been written anew");
        assert_eq!(alarms(&mut cluster, 0), Vec::<String>::new());

        // The next start passes over the bad bytes: nothing is missing, and it is the same store as before.
        let digest = cluster.peer(0).store().digest();
        let actor = cluster.peer(0).introduction().actor;
        for _ in 0..2 {
            cluster.wait(300);
            cluster.kill(0);
            cluster.start(0);
            cluster.connect(0);
            let store = cluster.peer(0).store();
            assert_eq!((store.actor(), store.digest()), (actor, digest));
            assert!((0..8).all(|partition| store.is_complete(PartitionId(partition))));
            let answer = read_at_one(&mut cluster, 0, key);
            assert!(matches!(&answer, Reply::Found(found) if found.value.is_some()), "{key}: {answer:?}");
        }
    }
}

/// Heals the record of "key", with "before" in front of it and "behind" behind it; gives the disk.
fn healed() -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.put(0, "before", "\"needle-before\"", &NONE);
    cluster.put(0, "key", "\"needle-key\"", &NONE);
    cluster.put(0, "behind", "\"needle-behind\"", &NONE);
    damage_value(&mut cluster, 0, "needle-key");
    assert!(matches!(read_at_one(&mut cluster, 0, "key"), Reply::Found(_)));
    cluster.wait(300);
    cluster
}

fn refused(cluster: &Cluster) -> Option<String> {
    let disk = crate::peer::tests::memory_disk::MemoryDisk::default();
    disk.restore(&cluster.machines[0].disk.clone_files());
    Store::open(&disk, &options(cluster, false)).err().map(|error| error.to_string())
}

/// Flips a bit where these bytes stand for the last time.
fn flip_last(cluster: &Cluster, bytes: &[u8]) {
    let files = cluster.machines[0].disk.files("log/");
    let mut places =
        files.iter().rev().filter_map(|(path, file)| Some((path, file.windows(bytes.len()).rposition(|window| window == bytes)?)));
    let (path, at) = places.next().expect("it is in the log");
    cluster.machines[0].disk.flip(path, at);
}

#[test]
fn only_what_has_been_healed_is_passed_over_and_only_while_the_note_of_it_can_be_read() {
    assert_eq!(refused(&healed()), None);

    // What was written anew is bad, and so is what it should have made good.
    let mut cluster = healed();
    flip_last(&cluster, b"needle-key");
    assert!(refused(&cluster).is_some_and(|reason| reason.contains("is damaged at byte")));
    cluster.kill(0);
    start_with_quarantine(&mut cluster, 0);
    assert!(cluster.peer(0).store().keys() == 2 && !cluster.peer(0).store().is_complete(PartitionId(0)));

    // Another record beside it is bad, which nobody has healed: the bad place has grown, or there are two of them.
    for other in ["needle-before", "needle-behind"] {
        let cluster = healed();
        flip_last(&cluster, other.as_bytes());
        assert!(refused(&cluster).is_some_and(|reason| reason.contains("is damaged at byte")), "{other}");
    }

    // The note is bad.
    let cluster = healed();
    let note = note_of(&cluster);
    cluster.machines[0].disk.flip(&note.0, note.1 + 20);
    assert!(refused(&cluster).is_some_and(|reason| reason.contains("is damaged at byte")));
}

/// Where the note lies that a place has been healed.
fn note_of(cluster: &Cluster) -> (String, usize) {
    let files = cluster.machines[0].disk.files("log/");
    let is_note = |record: &[u8]| record[4..8] == 77u32.to_le_bytes() && record[16] == 14;
    let found = files.iter().find_map(|(path, bytes)| {
        let at = (4_096..bytes.len() - 88).step_by(8).find(|at| is_note(&bytes[*at..]))?;
        Some((path.clone(), at))
    });
    found.expect("a note")
}

#[test]
fn keys_beside_a_damaged_record_are_healed_with_it_and_a_removal_in_the_bad_bytes_is_not_passed_over() {
    for is_removed in [false, true] {
        let mut cluster = Cluster::new(3);
        cluster.put(0, "one", "\"needle-one\"", &NONE);
        if is_removed {
            cluster.put(0, "gone", "\"needle-gone\"", &NONE);
            cluster.wait(300);
        }
        cluster.put(0, "two", "\"needle-two\"", &NONE);
        if is_removed {
            cluster.ask(0, remove("gone", "", &NONE));
        }
        cluster.put(0, "three", "\"needle-three\"", &NONE);
        damage_value(&mut cluster, 0, "needle-two");
        // All from there to the third one.
        let (path, bytes) = cluster.machines[0].disk.files("log/").swap_remove(0);
        let place = |value: &str| bytes.windows(value.len()).position(|window| window == value.as_bytes()).expect("a value");
        (place("dle-two")..place("needle-three") + 3).for_each(|at| cluster.machines[0].disk.flip(&path, at));
        assert!(matches!(read_at_one(&mut cluster, 0, "two"), Reply::Found(_)));
        cluster.wait(2_000);
        assert!(held(&mut cluster, 0, "three") > 0, "it has been written anew though nobody has asked for it");
        let refused = refused(&cluster);
        assert_eq!(refused.is_some(), is_removed, "{refused:?}");
        if let Some(reason) = refused {
            assert!(reason.contains("is damaged at byte"), "{reason}");
            cluster.kill(0);
            start_with_quarantine(&mut cluster, 0);
            assert!(!cluster.peer(0).store().is_complete(PartitionId(0)));
        }
    }
}

#[test]
fn a_damaged_record_that_has_been_replaced_elsewhere_gives_way_without_an_alarm() {
    let mut cluster = Cluster::new(3);
    cluster.put(1, "key", "\"needle-old\"", &NONE);
    cluster.filter = Box::new(|to, _| to != 0);
    cluster.put(1, "key", "\"new\"", &NONE);
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Comparing(_)));
    damage_value(&mut cluster, 0, "needle-old");
    let Reply::Found(found) = read_at_one(&mut cluster, 0, "key") else { panic!("it is there") };
    assert_eq!((found.value, found.conflicts), (json("\"new\""), vec![]));
    assert_eq!(alarms(&mut cluster, 0), Vec::<String>::new());
}

#[test]
fn a_damaged_record_that_nobody_else_has_is_given_up_with_an_alarm_and_not_before_all_have_said_so() {
    let mut cluster = Cluster::new(3);
    cluster.filter = Box::new(|to, _| to == 0);
    let Request::Put(one) = put("key", "\"needle-alone\"", &NONE) else { panic!("a put") };
    cluster.ask(0, Request::Put(Put { w: Quorum::Exactly(1), ..one }));
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Comparing(_)));
    damage_value(&mut cluster, 0, "needle-alone");
    cluster.kill(2);
    read_at_one(&mut cluster, 0, "key");
    cluster.wait(7_000);
    assert_eq!((alarms(&mut cluster, 0).len(), cluster.peer(0).store().keys()), (0, 1), "one owner has not been heard");
    cluster.start(2);
    cluster.connect(2);
    cluster.wait(2_000);
    let told = alarms(&mut cluster, 0);
    assert!(told.len() == 1 && told[0].contains("\"key\""), "{told:?}");
    assert!(matches!(cluster.get(0, "key"), Reply::Missing(_)));
    cluster.wait(2_000);
    assert!(refused(&cluster).is_some_and(|reason| reason.contains("is damaged at byte")), "what is lost is not passed over");
}

/// Three owners of the document "key"; while the first is away the second removes it, expires it, or adds a leaf. Then the record of the
/// first turns out to be damaged, and the third is away. With `alone`, the first has a leaf that nobody else has seen.
fn with_a_damaged_document(what: &str, alone: bool) -> Cluster {
    let mut cluster = Cluster::new(3);
    let Request::Put(one) = put("key", "{\"a\":\"needle\",\"b\":1}", &NONE) else { panic!("a put") };
    let ttl_ms = if what == "expire" { 2_000 } else { 0 };
    let receipt = written(cluster.ask(1, Request::Put(Put { ttl_ms, w: Quorum::All, ..one })));
    if alone {
        cluster.filter = Box::new(|to, _| to == 0);
        let Request::Update(one) = set("key", "c", "\"alone\"", &NONE) else { panic!("an update") };
        written(cluster.ask(0, Request::Update(Update { w: Quorum::Exactly(1), ..one })));
        cluster.filter = Box::new(|_, _| true);
    }
    cluster.wait(300);
    cluster.kill(0);
    match what {
        "expire" => cluster.wait(crate::limits::EXPIRED_KEPT_MS + 5_000),
        "remove" => drop(cluster.ask(1, remove("key", "", &receipt.context))),
        _ => drop(written(cluster.ask(1, set("key", "d", "2", &receipt.context)))),
    }
    cluster.kill(2);
    cluster.filter =
        Box::new(|to, message| !matches!(message, Message::Comparing(_)) && (to != 0 || !matches!(message, Message::Apply(_))));
    cluster.start(0);
    // Where it lies last is what is read.
    flip_last(&cluster, b"needle");
    cluster.connect(0);
    cluster
}

#[test]
fn a_damaged_document_that_another_owner_has_seen_and_holds_no_more_is_gone_though_a_third_is_away() {
    for (what, keys) in [("remove", 0), ("expire", 0), ("add", 1)] {
        let mut cluster = with_a_damaged_document(what, false);
        assert_eq!(cluster.peer(0).store().keys(), 1, "{what}");
        let answer = read_at_one(&mut cluster, 0, "key");
        assert_eq!(matches!(answer, Reply::Missing(_)), keys == 0, "{what}: {answer:?}");
        assert!(!matches!(answer, Reply::Failed(_)), "{what}: {answer:?}");
        assert_eq!((cluster.peer(0).store().keys(), alarms(&mut cluster, 0).len()), (keys, 0), "{what}");
        // It may be passed over from now on.
        cluster.wait(2_000);
        assert_eq!(refused(&cluster), None, "{what}");
    }
}

#[test]
fn a_damaged_document_with_a_leaf_that_nobody_else_has_seen_is_not_given_up_by_one_word_and_not_without_an_alarm() {
    for what in ["remove", "expire", "add"] {
        let mut cluster = with_a_damaged_document(what, true);
        read_at_one(&mut cluster, 0, "key");
        cluster.wait(7_000);
        assert_eq!((cluster.peer(0).store().keys(), alarms(&mut cluster, 0).len()), (1, 0), "{what}: one owner has not been heard");
        cluster.start(2);
        cluster.connect(2);
        cluster.wait(2_000);
        let told = alarms(&mut cluster, 0);
        assert!(told.len() == 1 && told[0].contains("\"key\""), "{what}: {told:?}");
    }
}

/// A put at the first peer alone, of which its client hears nothing good; and the same again.
fn first_try_alone(cluster: &mut Cluster, key: &str, json: &str, number: u64) -> Request {
    let Request::Put(one) = put(key, json, &NONE) else { panic!("a put") };
    let retry = Retry { session: 5, number, first: None };
    let introduced = cluster.peer(0).introduction();
    let first = Attempt { member: introduced.member, start: introduced.start };
    cluster.filter = Box::new(|to, _| to == 0);
    let one = Put { deadline_ms: 500, ..one };
    let reply = cluster.ask(0, Request::Put(Put { retry: Some(retry), ..one.clone() }));
    assert_eq!(failed(reply).kind, FailureKind::Unknown);
    Request::Put(Put { retry: Some(Retry { first: Some(first), ..retry }), ..one })
}

#[test]
fn a_retry_of_what_lay_in_a_record_that_was_given_up_is_not_acknowledged() {
    let mut cluster = Cluster::new(3);
    let lost = first_try_alone(&mut cluster, "key", "\"needle-alone\"", 1);
    let kept = first_try_alone(&mut cluster, "other", "\"sound\"", 2);
    cluster.filter = Box::new(|to, message| to == 0 && !matches!(message, Message::Comparing(_)));
    damage_value(&mut cluster, 0, "needle-alone");
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Comparing(_)));
    read_at_one(&mut cluster, 0, "key");
    cluster.wait(7_000);
    assert_eq!(alarms(&mut cluster, 0).len(), 1, "it has been given up");
    // Its dot has been seen here, and is not held: as if it had been replaced.
    let failure = failed(cluster.ask(0, lost));
    assert!(failure.kind == FailureKind::Unknown && failure.message.contains("has lost what it held"), "{failure:?}");
    written(cluster.ask(0, kept));
    assert_eq!(cluster.found(1, "other").value, json("\"sound\""));
}

#[test]
fn a_retry_of_what_lay_in_a_copy_that_was_dropped_is_not_acknowledged() {
    for (is_restarted, is_alone) in [(false, true), (true, true), (false, false)] {
        let mut cluster = Cluster::new(3);
        let again = first_try_alone(&mut cluster, "key", "1", 1);
        // Its start is over, so that its gaps may be closed.
        cluster.kill(0);
        cluster.start(0);
        if is_alone {
            let partition = cluster.peer(0).partition_of(b"key");
            cluster.machines[0].peer.as_mut().expect("it is up").begin_anew(partition);
            cluster.step(0, Input::Wake);
        }
        cluster.filter = Box::new(|_, _| true);
        cluster.connect(0);
        // What it writes in this start leaves a gap before it, and that is closed.
        cluster.put(0, "{key}beside", "1", &NONE);
        cluster.wait(60_000);
        if is_restarted {
            cluster.kill(0);
            cluster.start(0);
            cluster.connect(0);
        }
        let reply = cluster.ask(0, again);
        assert_eq!(matches!(cluster.get(1, "key"), Reply::Found(_)), !is_alone, "{is_restarted}");
        match is_alone {
            true => {
                let failure = failed(reply);
                assert_eq!(failure.kind, FailureKind::Unknown, "{is_restarted}");
                // After a start the retry is not known any more.
                assert_eq!(failure.message.contains("has lost what it held"), !is_restarted, "{}", failure.message);
            }
            false => assert_eq!(written(reply).acks.len(), 2),
        }
    }
}
