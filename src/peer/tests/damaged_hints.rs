//! What a peer does whose disk has damaged what it keeps for owners that are down.

use super::damage::{alarms, damage_value, held, options};
use super::memory_disk::MemoryDisk;
use super::*;

/// Five peers; the last owner of "key" is down, and somebody stands in for it. Gives the cluster, the owners, and who stands in.
fn with_a_stand_in(value: &str) -> (Cluster, Vec<usize>, usize) {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("key");
    cluster.kill(owners[2]);
    cluster.put(owners[0], "key", value, &NONE);
    let stand_in = owners[3..].iter().copied().find(|at| cluster.peer(*at).store().hints() == 1).expect("somebody stands in");
    (cluster, owners, stand_in)
}

/// Comparing would bring everything; what is handed over is to be seen by itself.
fn stop_comparing(cluster: &mut Cluster) {
    cluster.filter = Box::new(|_, message| !matches!(message, Message::Comparing(_)));
}

fn start_later(cluster: &mut Cluster, at: usize) {
    cluster.now.wall_ms += 2_000;
    cluster.start(at);
    cluster.connect(at);
}

#[test]
fn a_damaged_hint_is_fetched_from_whoever_has_it_and_handed_over() {
    for value in ["\"needle\"", "{\"a\":\"needle\",\"b\":1}"] {
        let (mut cluster, owners, stand_in) = with_a_stand_in(value);
        stop_comparing(&mut cluster);
        damage_value(&mut cluster, stand_in, "needle");
        start_later(&mut cluster, owners[2]);
        cluster.wait(3_000);
        assert_eq!(cluster.peer(stand_in).store().hints(), 0, "{value}: it has been handed over");
        assert_eq!(held(&mut cluster, owners[2], "key"), held(&mut cluster, owners[0], "key"), "{value}");
        assert_eq!(alarms(&mut cluster, stand_in), Vec::<String>::new());
        // The next start passes over the bad bytes.
        let actor = cluster.peer(stand_in).introduction().actor;
        cluster.kill(stand_in);
        start_later(&mut cluster, stand_in);
        assert_eq!((cluster.peer(stand_in).store().actor(), cluster.peer(stand_in).store().hints()), (actor, 0));
    }
}

#[test]
fn what_is_added_to_a_damaged_hint_waits_until_it_is_healed_and_the_next_start_has_both() {
    let (mut cluster, owners, stand_in) = with_a_stand_in("{\"a\":\"needle\"}");
    stop_comparing(&mut cluster);
    damage_value(&mut cluster, stand_in, "needle");
    let receipt = written(cluster.ask(owners[0], set("key", "b", "2", &NONE)));
    assert_eq!(receipt.acks.len(), 2);
    cluster.wait(300);
    let digest = cluster.peer(stand_in).store().digest();
    cluster.kill(stand_in);
    start_later(&mut cluster, stand_in);
    assert_eq!((cluster.peer(stand_in).store().digest(), cluster.peer(stand_in).store().hints()), (digest, 1));
    start_later(&mut cluster, owners[2]);
    cluster.wait(3_000);
    assert_eq!((cluster.peer(stand_in).store().hints(), held(&mut cluster, owners[2], "key")), (0, 2));
}

#[test]
fn of_a_damaged_hint_that_has_been_replaced_meanwhile_what_it_had_seen_is_handed_over() {
    let (mut cluster, owners, stand_in) = with_a_stand_in("\"needle\"");
    let old = Box::new(move |to, message: &Message| to != stand_in || !matches!(message, Message::Apply(_)));
    cluster.filter = old;
    cluster.put(owners[0], "key", "\"new\"", &NONE);
    let dots = |cluster: &mut Cluster, at: usize| {
        let partition = cluster.peer(at).partition_of(b"key");
        let store = cluster.machines[at].peer.as_mut().expect("the peer is up").replica.store_mut();
        store.clock(partition).dots().collect::<Vec<_>>()
    };
    let seen = dots(&mut cluster, owners[0]);
    stop_comparing(&mut cluster);
    damage_value(&mut cluster, stand_in, "needle");
    start_later(&mut cluster, owners[2]);
    cluster.wait(3_000);
    assert_eq!((cluster.peer(stand_in).store().hints(), held(&mut cluster, owners[2], "key")), (0, 0));
    let partition = cluster.peer(owners[2]).partition_of(b"key");
    let store = cluster.machines[owners[2]].peer.as_mut().expect("the peer is up").replica.store_mut();
    let (entry, _) = store.read(partition, b"key").expect("it can be read");
    assert!(seen.len() == 2 && entry.has_seen(seen[0]) && !entry.has_seen(seen[1]), "{entry:?}");
    assert_eq!(alarms(&mut cluster, stand_in), Vec::<String>::new());
}

#[test]
fn a_damaged_hint_that_nobody_else_has_is_given_up_with_an_alarm_and_not_before_all_owners_have_said_so() {
    let mut cluster = Cluster::new(5);
    let owners = cluster.owners("key");
    let stand_in = owners[3];
    owners[..3].iter().for_each(|owner| cluster.kill(*owner));
    cluster.filter = Box::new(move |to, message| to == stand_in || !matches!(message, Message::Apply(_)));
    let Request::Put(one) = put("key", "\"needle\"", &NONE) else { panic!("a put") };
    written(cluster.ask(stand_in, Request::Put(Put { w: Quorum::Exactly(1), ..one })));
    stop_comparing(&mut cluster);
    damage_value(&mut cluster, stand_in, "needle");
    let keeps = |cluster: &Cluster| {
        let peer = cluster.peer(stand_in);
        peer.store().hint_owed(peer.partition_of(b"key"), b"key").len()
    };
    let owed = keeps(&cluster);
    assert!(owed >= 2, "the other one would have stood in for the rest");
    start_later(&mut cluster, owners[0]);
    start_later(&mut cluster, owners[1]);
    cluster.wait(12_000);
    assert_eq!((alarms(&mut cluster, stand_in).len(), keeps(&cluster)), (0, owed), "one owner has not been heard");
    start_later(&mut cluster, owners[2]);
    cluster.wait(12_000);
    let told = alarms(&mut cluster, stand_in);
    assert!(told.len() == 1 && told[0].contains("\"key\""), "{told:?}");
    assert_eq!(keeps(&cluster), 0, "nothing is left that could be handed over");
    cluster.kill(stand_in);
    let disk = MemoryDisk::default();
    disk.restore(&cluster.machines[stand_in].disk.clone_files());
    let refused = Store::open(&disk, &options(&cluster, false)).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|reason| reason.contains("is damaged at byte")), "what is lost is not passed over");
}
