use super::*;
use crate::message::{Apply, Comparing, Fetch, FetchMode, OperationId};
use crate::ring::PartitionId;
use crate::vclock::{Actor, Dot, Entry, Seen, pack, unpack};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::sync::{Arc, PoisonError, RwLock};

/// Messages that a filter has seen.
#[derive(Clone, Default)]
struct Tapped(Arc<RwLock<Vec<(usize, Message)>>>);

impl Tapped {
    fn note(&self, to: usize, message: &Message) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push((to, message.clone()));
    }

    fn take(&self) -> Vec<(usize, Message)> {
        std::mem::take(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn partitions() -> impl Iterator<Item = PartitionId> {
    (0..8).map(PartitionId)
}

impl Cluster {
    /// All owners of every partition hold the same, know the same, and have no contexts left.
    fn differences(&self) -> Vec<String> {
        let up: Vec<usize> = (0..self.machines.len()).filter(|at| self.machines[*at].peer.is_some()).collect();
        let mut differences = Vec::new();
        for partition in partitions() {
            let owners = self.peer(up[0]).owners_of(partition).to_vec();
            let owners: Vec<usize> = up.iter().copied().filter(|at| owners.contains(&self.id(*at))).collect();
            let state = |at: usize| (self.peer(at).store().summary(partition), self.peer(at).store().clock(partition).clone());
            if owners.iter().any(|at| state(*at) != state(owners[0])) {
                differences.push(format!("{partition}: {:?}", owners.iter().map(|at| state(*at)).collect::<Vec<_>>()));
            }
        }
        differences.extend(up.iter().filter(|at| self.peer(**at).store().contexts() > 0).map(|at| format!("contexts at {at}")));
        differences
    }

    /// What a peer holds of a key, values left out, its context filled.
    fn entry_at(&mut self, at: usize, key: &str) -> Entry {
        let other = self.id((at + 1) % self.machines.len());
        let start = self.peer((at + 1) % self.machines.len()).introduction().start;
        let operation = OperationId(u64::MAX);
        let fetch = Fetch { operation, key: bytes(key), mode: FetchMode::Dots };
        self.step(at, Input::Message { from: other, start, message: Message::Fetch(fetch) });
        let of = |mail: &(usize, (MemberId, Start), Message)| match &mail.2 {
            Message::Fetched(fetched) if fetched.operation == operation => Some(fetched.entry.clone()),
            _ => None,
        };
        let place = self.mail.iter().position(|mail| of(mail).is_some()).expect("an owner answers");
        let mail = self.mail.remove(place).expect("it is there");
        unpack(&of(&mail).expect("an entry")).expect("a packed entry")
    }
}

#[test]
fn what_a_clock_taken_over_makes_an_owner_say_waits_for_that_clock() {
    let mut cluster = Cluster::new(3);
    let key = bytes("held");
    cluster.put(0, "held", "1", &NONE);
    cluster.wait(1_000);
    let partition = cluster.peer(0).partition_of(&key);
    let peer = cluster.machines[0].peer.as_mut().expect("it is up");
    let store = peer.replica.store_mut();
    assert!(store.read_dots(partition, &key).expect("it is held").1 <= store.durable());
    let seen: Seen = (1..=3).map(|counter| Dot { actor: Actor(77), counter }).collect();
    let taken_over = store.take_clock(partition, &seen);
    assert!(taken_over > store.durable());
    let removal = pack(&Entry::new(Vec::new(), seen));
    for key in [key, bytes("absent")] {
        assert_eq!(store.read_dots(partition, &key).expect("it is read").1, taken_over);
        // A removal that brings nothing new: what it replaces is known to be gone, but only in memory.
        assert_eq!(store.take(partition, &key, &removal, None).expect("it is taken").position, taken_over);
    }
}

#[test]
fn a_peer_that_was_away_is_made_whole_by_pulls_alone_and_deletes_stay_deleted() {
    let mut cluster = Cluster::new(3);
    for n in 0..60 {
        cluster.put(n % 3, &format!("user:{n}"), &n.to_string(), &NONE);
    }
    cluster.kill(2);
    for n in 0..20 {
        written(cluster.ask(n % 2, remove(&format!("user:{n}"), "", &NONE)));
    }
    for n in 20..40 {
        cluster.put(n % 2, &format!("user:{n}"), &format!(r#"{{"n":{n}}}"#), &NONE);
    }
    (60..90).for_each(|n| drop(cluster.put(n % 2, &format!("user:{n}"), "1", &NONE)));
    cluster.start(2);
    assert!(!cluster.differences().is_empty(), "else this test shows nothing");
    cluster.connect(2);
    // Before anybody begins to close gaps.
    cluster.wait(1_900);
    assert_eq!(cluster.differences(), [""; 0]);
    for at in 0..3 {
        assert_eq!(cluster.peer(at).store().keys(), 70, "the deleted ones are gone, and did not come back");
        assert_eq!(cluster.peer(at).repairs, 0, "no read has repaired anything");
        let (partitions, in_step) = cluster.peer(at).rounds.in_step();
        assert_eq!((partitions, in_step), (8, 8), "and all know that they agree");
    }
}

#[test]
fn what_every_link_has_missed_is_found_by_the_round() {
    let mut cluster = Cluster::new(3);
    let behind = cluster.owners("k")[2];
    cluster.filter = Box::new(move |to, message| !(to == behind && matches!(message, Message::Apply(_))));
    let owner = cluster.owners("k")[0];
    cluster.put(owner, "k", "1", &NONE);
    cluster.put(owner, "l", "1", &NONE);
    let context = cluster.found(owner, "l").context;
    written(cluster.ask(owner, remove("l", "", &context)));
    cluster.filter = Box::new(|_, _| true);
    assert!(!cluster.differences().is_empty());
    cluster.wait(61_000);
    assert_eq!(cluster.differences(), [""; 0]);
}

#[test]
fn nothing_counts_before_it_is_durable_and_wants_are_answered_by_pulls_that_began_later() {
    let mut cluster = Cluster::new(3);
    cluster.wait(1_000);
    let (partition, partner) = (PartitionId(3), cluster.id(1));
    let peer = cluster.machines[0].peer.as_mut().expect("it is up");
    let first = peer.rounds.want(partition, partner);
    assert!(peer.rounds.finished(partition, partner) < first);
    cluster.wait(2_000);
    let peer = cluster.machines[0].peer.as_mut().expect("it is up");
    assert!(peer.rounds.finished(partition, partner) >= first);
    let second = peer.rounds.want(partition, partner);
    assert!(second > first && peer.rounds.finished(partition, partner) < second);
    cluster.kill(1);
    cluster.wait(3_000);
    let peer = cluster.machines[0].peer.as_mut().expect("it is up");
    assert!(peer.rounds.finished(partition, partner) < second, "the partner is away");
    cluster.start(1);
    cluster.connect(1);
    cluster.wait(2_000);
    assert!(cluster.peer(0).rounds.finished(partition, partner) >= second);
}

/// The write of a key reaches b alone and is deleted there; a pulls from b, and takes a late copy of the write in while it does.
#[test]
fn a_late_copy_of_what_the_other_side_has_deleted_is_asked_for_again() {
    let mut cluster = Cluster::new(3);
    let (a, b) = (0, 1);
    let tapped = Tapped::default();
    let tap = tapped.clone();
    cluster.filter = Box::new(move |to, message| {
        let is_apply = matches!(message, Message::Apply(_));
        if is_apply {
            tap.note(to, message);
        }
        !(is_apply && to == a)
    });
    cluster.put(b, "{g}k", "1", &NONE);
    let late = tapped.take().into_iter().find(|(to, _)| *to == a).expect("the write was sent to a").1;
    let context = cluster.found(b, "{g}k").context;
    written(cluster.ask(b, remove("{g}k", "", &context)));
    cluster.put(b, "{g}different", "1", &NONE);
    let partition = cluster.peer(a).partition_of(b"{g}k");
    let (from, start) = (cluster.id(b), cluster.peer(b).introduction().start);
    // b's answer to the walk is held back.
    cluster.filter =
        Box::new(move |to, message| !(to == a && matches!(message, Message::Comparing(c) if matches!(**c, Comparing::Walked(_)))));
    let peer = cluster.machines[a].peer.as_mut().expect("it is up");
    let wanted = peer.rounds.want(partition, from);
    cluster.wait(1_200);
    cluster.step(a, Input::Message { from, start, message: late });
    assert!(cluster.entry_at(a, "{g}k").versions().len() == 1, "it has come");
    cluster.filter = Box::new(|_, _| true);
    cluster.wait(4_000);
    assert!(cluster.peer(a).rounds.finished(partition, from) >= wanted);
    assert_eq!(cluster.entry_at(a, "{g}k").versions(), [], "and is gone again");
}

/// What a pull has found equal so far is not here any more when its partition is dropped: that pull must not make it whole.
#[test]
fn a_copy_that_is_dropped_in_the_middle_of_its_own_pull_does_not_count_before_all_is_there() {
    let mut cluster = Cluster::new(3);
    let (a, b) = (0, 1);
    for n in 0..20 {
        cluster.put(b, &format!("{{g}}{n}"), "1", &NONE);
    }
    cluster.wait(62_000);
    let partition = cluster.peer(a).partition_of(b"{g}");
    let all = cluster.peer(b).store().keys();
    assert_eq!((cluster.peer(a).rounds.in_step(), cluster.peer(a).store().keys()), ((8, 8), all), "else this test shows nothing");
    cluster.filter = Box::new(move |to, message| !(to == a && matches!(message, Message::Apply(_))));
    cluster.put(b, "{g}different", "1", &NONE);
    // It has found out where it differs from both of the others; what they hold there has not come.
    cluster.filter =
        Box::new(move |to, message| !(to == a && matches!(message, Message::Comparing(c) if matches!(**c, Comparing::Entries(_)))));
    for partner in [b, 2] {
        let partner = cluster.id(partner);
        cluster.machines[a].peer.as_mut().expect("it is up").rounds.want(partition, partner);
    }
    cluster.wait(1_200);
    cluster.machines[a].peer.as_mut().expect("it is up").begin_anew(partition);
    assert!(cluster.peer(a).store().keys() < all && !cluster.peer(a).store().is_complete(partition));
    cluster.filter = Box::new(|_, _| true);
    while !cluster.peer(a).store().is_complete(partition) {
        cluster.wait(50);
    }
    assert_eq!(cluster.peer(a).store().keys(), all + 1);
    cluster.wait(5_000);
    assert_eq!((cluster.differences(), cluster.peer(a).rounds.in_step()), (vec![], (8, 8)));
}

#[test]
fn contexts_that_do_not_fit_one_answer_come_by_pages() {
    let mut cluster = Cluster::new(3);
    let (a, b) = (0, 1);
    let partition = cluster.peer(b).partition_of(b"{g}");
    let (from, start) = (cluster.id(2), cluster.peer(2).introduction().start);
    let stranger = |n: u64| Dot { actor: Actor(77), counter: Start(5).base() + 2 * n + 1 };
    for n in 0..9_000 {
        let entry = Entry::new(Vec::new(), [stranger(n)].into_iter().collect());
        let key = bytes(&format!("{{g}}{n}"));
        let apply = Apply { operation: OperationId(0), key, entry: pack(&entry), naming: None, owed: Vec::new(), relief: false };
        cluster.step(b, Input::Message { from, start, message: Message::Apply(apply) });
    }
    assert_eq!(cluster.peer(b).store().contexts(), 9_000);
    let tapped = Tapped::default();
    let tap = tapped.clone();
    cluster.filter = Box::new(move |to, message| {
        if to == a && matches!(message, Message::Comparing(_)) {
            tap.note(to, message);
        }
        true
    });
    let from = cluster.id(b);
    let wanted = cluster.machines[a].peer.as_mut().expect("it is up").rounds.want(partition, from);
    cluster.wait(2_000);
    assert!(cluster.peer(a).rounds.finished(partition, from) >= wanted);
    assert_eq!(cluster.peer(a).store().contexts(), 9_000);
    let pages = tapped.take().into_iter().filter(|(_, message)| {
        matches!(message, Message::Comparing(c) if matches!(&**c, Comparing::Compared(compared) if !compared.contexts.is_empty()))
    });
    let pages = pages.count();
    assert!(pages >= 2, "{pages} pages");
    // The context holds: what it has seen does not come alive any more.
    let key = "{g}4711";
    assert!(cluster.entry_at(a, key).context().contains(stranger(4_711)));
}

/// Writes and removals at random while messages are lost, doubled and overtaken and peers are killed; then pulls alone make all equal, and
/// what they hold is the merge of everything that was ever sent.
#[test]
fn whatever_has_happened_pulls_bring_all_owners_to_the_merge_of_all_that_was_written() {
    for seed in 0..12 {
        storm(seed);
    }
}

fn storm(seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut cluster = Cluster::new(3);
    let tapped = Tapped::default();
    let tap = tapped.clone();
    cluster.filter = Box::new(move |to, message| {
        if matches!(message, Message::Apply(_)) {
            tap.note(to, message);
        }
        true
    });
    let keys: Vec<String> = (0..12).map(|n| format!("{{g{}}}k{n}", n % 2)).collect();
    for _ in 0..rng.random_range(100..400) {
        match rng.random_range(0..100) {
            0..30 => {
                let key = &keys[rng.random_range(0..keys.len())];
                let request = match rng.random_range(0..10) {
                    0..4 => put(key, &rng.random_range(0..99u32).to_string(), &NONE),
                    4..7 => set(key, &format!("p{}", rng.random_range(0..3u32)), "1", &NONE),
                    _ => remove(key, "", &NONE),
                };
                cluster.requests += 1;
                let id = cluster.requests;
                cluster.step(rng.random_range(0..3), Input::Request { from: Origin { client: 1, request: id }, request });
            }
            30..80 if !cluster.mail.is_empty() => {
                let at = rng.random_range(0..cluster.mail.len());
                let (to, (from, start), message) = match rng.random_range(0..10) {
                    0 => cluster.mail[at].clone(),
                    _ => cluster.mail.remove(at).expect("it is there"),
                };
                if rng.random_range(0..10) > 0 {
                    cluster.step(to, Input::Message { from, start, message });
                }
            }
            80..82 => {
                let at = rng.random_range(0..3);
                let member = cluster.id(at);
                let other = (at + 1 + rng.random_range(0..2)) % 3;
                cluster.step(other, Input::LinkDown { member });
                let (other, there) = (cluster.id(other), other);
                cluster.step(at, Input::LinkDown { member: other });
                let (a, b) = (cluster.peer(at).introduction(), cluster.peer(there).introduction());
                cluster.step(at, Input::LinkUp { member: b.member, actor: b.actor, start: b.start });
                cluster.step(there, Input::LinkUp { member: a.member, actor: a.actor, start: a.start });
            }
            82..84 => {
                // Killed and started again. What it has said may still be under way, and is refused or not, as it may be.
                let (at, kept) = (rng.random_range(0..3), cluster.mail.clone());
                cluster.now.wall_ms += 1_000;
                cluster.machines[at].peer = None;
                cluster.machines[at].held.clear();
                cluster.start(at);
                let a = cluster.peer(at).introduction();
                for other in (0..3).filter(|other| *other != at) {
                    let b = cluster.peer(other).introduction();
                    cluster.step(other, Input::LinkDown { member: a.member });
                    cluster.step(at, Input::LinkUp { member: b.member, actor: b.actor, start: b.start });
                    cluster.step(other, Input::LinkUp { member: a.member, actor: a.actor, start: a.start });
                }
                cluster.mail.extend(kept);
            }
            84..86 => {
                let (at, partner) = (rng.random_range(0..3), rng.random_range(0..3));
                let (key, partner) = (&keys[rng.random_range(0..2)], cluster.id(partner));
                let partition = cluster.peer(at).partition_of(key.as_bytes());
                cluster.machines[at].peer.as_mut().expect("it is up").rounds.want(partition, partner);
            }
            _ => {
                cluster.now.monotonic_ms += rng.random_range(1..400);
                cluster.now.wall_ms += 1;
                cluster.step(rng.random_range(0..3), Input::Wake);
            }
        }
    }
    // From here on nothing is lost; requests that are under way come to their ends, then nothing but pulls is left.
    cluster.run();
    cluster.wait(130_000);
    assert_eq!(cluster.differences(), [""; 0], "seed {seed}");
    let mut merged: BTreeMap<Bytes, Entry> = BTreeMap::new();
    for (_, message) in tapped.take() {
        let Message::Apply(apply) = message else { continue };
        merged.entry(apply.key).or_default().merge(unpack(&apply.entry).expect("a packed entry"));
    }
    let dots = |entry: &Entry| entry.dots().collect::<Seen>();
    for (key, entry) in &merged {
        let key = std::str::from_utf8(key).expect("a text");
        for at in 0..3 {
            assert_eq!(dots(&cluster.entry_at(at, key)), dots(entry), "seed {seed}, {key} at {at}");
        }
    }
    assert!(!merged.is_empty());
}
