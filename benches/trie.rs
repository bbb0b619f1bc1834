//! The trie beside `BTreeMap` and `hashbrown`: bytes per key, inserts and gets a second.
//!
//! `cargo bench --bench trie [-- KEYS [ROUNDS]]`, 1,000,000 keys and 3 rounds unless told. The same keys in random order, the same
//! 256 partitions, 24-byte values; the maps hold boxed keys. Every structure is measured in a child process of its own, so that
//! none finds memory that another has used; a rate is keys per second of the process's own user and system CPU time, which other
//! programs on the machine disturb least. Shown is the median of the rounds; ratios are taken within a round.

use henge::storage::trie::{Slot, Trie};
use std::collections::BTreeMap;
use std::process::Command;

const PARTITIONS: usize = 256;
const STRUCTURES: [&str; 3] = ["trie", "BTreeMap", "hashbrown"];
const SHAPES: [&str; 2] = ["random", "user"];

/// What is compared.
trait Directory: Default {
    fn insert(&mut self, key: &[u8], slot: Slot);
    fn get(&self, key: &[u8]) -> Option<Slot>;
    /// Bytes by its own account, if it keeps one.
    fn bytes(&self) -> usize {
        0
    }
}

impl Directory for Trie {
    fn insert(&mut self, key: &[u8], slot: Slot) {
        Trie::insert(self, key, slot);
    }
    fn get(&self, key: &[u8]) -> Option<Slot> {
        Trie::get(self, key)
    }
    fn bytes(&self) -> usize {
        Trie::bytes(self)
    }
}

impl Directory for BTreeMap<Box<[u8]>, Slot> {
    fn insert(&mut self, key: &[u8], slot: Slot) {
        BTreeMap::insert(self, key.into(), slot);
    }
    fn get(&self, key: &[u8]) -> Option<Slot> {
        BTreeMap::get(self, key).copied()
    }
}

impl Directory for hashbrown::HashMap<Box<[u8]>, Slot> {
    fn insert(&mut self, key: &[u8], slot: Slot) {
        hashbrown::HashMap::insert(self, key.into(), slot);
    }
    fn get(&self, key: &[u8]) -> Option<Slot> {
        hashbrown::HashMap::get(self, key).copied()
    }
}

/// What one child process found.
#[derive(Clone, Copy, Default)]
struct Figures {
    /// Resident bytes a key, beyond the key's own bytes.
    resident: f64,
    /// The same by the structure's own account.
    own: f64,
    inserts: f64,
    gets: f64,
}

fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `index`-th key in an order without pattern, made on the spot: keeping ten million keys would disturb what is measured.
fn key<'buffer>(shape: &str, index: u64, count: u64, salt: u64, buffer: &'buffer mut [u8; 24]) -> &'buffer [u8] {
    let number = shuffled(index, count, salt);
    if shape == "random" {
        buffer[..8].copy_from_slice(&mix(number).to_be_bytes());
        buffer[8..16].copy_from_slice(&mix(!number).to_be_bytes());
        return &buffer[..16];
    }
    *buffer = *b"user:00000000:profile\0\0\0";
    let mut left = number;
    for digit in buffer[5..13].iter_mut().rev() {
        *digit += (left % 10) as u8;
        left /= 10;
    }
    &buffer[..21]
}

/// A permutation of 0..count: a Feistel network over the next even power of two, repeated until the number is below `count`.
fn shuffled(index: u64, count: u64, salt: u64) -> u64 {
    let half = (64 - (count - 1).leading_zeros()).div_ceil(2);
    let mask = (1u64 << half) - 1;
    let mut number = index;
    loop {
        let (mut left, mut right) = (number >> half, number & mask);
        for round in 0..3 {
            (left, right) = (right, left ^ (mix(right ^ (salt + round) << 40) & mask));
        }
        number = left << half | right;
        if number < count {
            return number;
        }
    }
}

/// The partition of a key: some hash of it.
fn partition(key: &[u8]) -> usize {
    let folded = key.chunks(8).fold(7, |hash, part| {
        let mut eight = [0; 8];
        eight[..part.len()].copy_from_slice(part);
        mix(hash ^ u64::from_le_bytes(eight))
    });
    folded as usize % PARTITIONS
}

fn slot(number: u64) -> Slot {
    let hash = mix(number);
    Slot { hash, segment: number as u32, offset: hash as u32, count: number as u32, author: 1, class: 2, flags: 0 }
}

/// Seconds of CPU time of this process (the kernel's clock ticks are 100 a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc/self/stat can be read");
    let fields: Vec<&str> = stat[stat.rfind(')').expect("the name is in brackets") + 2..].split(' ').collect();
    (fields[11].parse::<f64>().expect("user ticks") + fields[12].parse::<f64>().expect("system ticks")) / 100.0
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm can be read");
    statm.split(' ').nth(1).expect("resident pages").parse::<f64>().expect("a number") * 4_096.0
}

/// In the child: builds one structure, asks it for every key in another order, prints the figures.
fn measure<D: Directory>(shape: &str, count: u64) {
    let mut buffer = [0; 24];
    // What making the keys costs is taken off again.
    let start = cpu_seconds();
    let mut sink = 0;
    for index in 0..count {
        sink ^= partition(key(shape, index, count, 1, &mut buffer));
    }
    let making = cpu_seconds() - start;
    let mut directories: Vec<D> = (0..PARTITIONS).map(|_| D::default()).collect();
    let resident = resident_bytes();
    let start = cpu_seconds();
    for index in 0..count {
        let key = key(shape, index, count, 1, &mut buffer);
        directories[partition(key)].insert(key, slot(index));
    }
    let inserting = cpu_seconds() - start - making;
    let resident = resident_bytes() - resident;
    let start = cpu_seconds();
    let mut found = 0;
    for index in 0..count {
        let key = key(shape, index, count, 1 << 20, &mut buffer);
        found += u64::from(directories[partition(key)].get(key).is_some_and(|slot| slot.author == 1));
    }
    let getting = cpu_seconds() - start - making;
    assert_eq!(found, count, "every key is found (sink {sink})");
    let key_bytes = key(shape, 0, count, 1, &mut buffer).len() as f64;
    let own = directories.iter().map(Directory::bytes).sum::<usize>() as f64;
    let per_key = |bytes: f64| bytes / count as f64 - key_bytes;
    println!("{} {} {} {}", per_key(resident), per_key(own), count as f64 / inserting, count as f64 / getting);
}

/// Runs this program again for one structure.
fn in_a_child(structure: &str, shape: &str, count: u64) -> Figures {
    let program = std::env::current_exe().expect("a program knows its path");
    let output = Command::new(program).args(["child", structure, shape, &count.to_string()]).output().expect("a child starts");
    assert!(output.status.success(), "{structure} {shape}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("figures are text");
    let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().expect("a figure")).collect();
    Figures { resident: figures[0], own: figures[1], inserts: figures[2], gets: figures[3] }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    if arguments.first().is_some_and(|first| first == "child") {
        let (shape, count) = (arguments[2].as_str(), number(3, 0));
        return match arguments[1].as_str() {
            "trie" => measure::<Trie>(shape, count),
            "BTreeMap" => measure::<BTreeMap<Box<[u8]>, Slot>>(shape, count),
            _ => measure::<hashbrown::HashMap<Box<[u8]>, Slot>>(shape, count),
        };
    }
    let (count, rounds) = (number(0, 1_000_000).max(2), number(1, 3).max(1));
    println!(
        "{count} keys in {PARTITIONS} partitions, 24-byte values, median of {rounds}; bytes are a key's, beyond the key itself"
    );
    println!("(random: 16 bytes; user: user:00000123:profile, 21 bytes; ×: beside BTreeMap, within a round)\n");
    println!("| keys   | structure | resident B | own count B | M inserts/s |     × |  M gets/s |     × |");
    println!("|--------|-----------|-----------:|------------:|------------:|------:|----------:|------:|");
    for shape in SHAPES {
        let measured: Vec<[Figures; 3]> =
            (0..rounds).map(|_| STRUCTURES.map(|structure| in_a_child(structure, shape, count))).collect();
        for (at, structure) in STRUCTURES.iter().enumerate() {
            let of = |figure: fn(&Figures) -> f64| median(measured.iter().map(|round| figure(&round[at])));
            let ratio = |figure: fn(&Figures) -> f64| median(measured.iter().map(|round| figure(&round[at]) / figure(&round[1])));
            let own = if *structure == "trie" { format!("{:.1}", of(|f| f.own)) } else { "-".to_owned() };
            println!(
                "| {shape:6} | {structure:9} | {:10.1} | {own:>11} | {:11.2} | {:5.2} | {:9.2} | {:5.2} |",
                of(|f| f.resident),
                of(|f| f.inserts) / 1e6,
                ratio(|f| f.inserts),
                of(|f| f.gets) / 1e6,
                ratio(|f| f.gets),
            );
        }
    }
}
