//! Synced 256-byte records through the log with group commit, beside plain writes and syncs of the same batches.
//!
//! A core thread appends, a disk thread writes and syncs, another one prepares segments, as in a peer. So many waiters each
//! append one record and wait until it is durable before they append the next. Beside it, in turns: one thread that writes as many
//! times 256 bytes into a file of zeros and syncs it. Run with `cargo bench --bench log`; `HENGE_BENCH_DIR` says on which disk.

use henge::message::Position;
use henge::server::file_disk::FileDisk;
use henge::storage::{Disk, DiskDone, DiskJob, Log, Mode, OpenFiles, OpenOptions, Record, execute, open};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Key and value together.
const RECORD_BYTES: usize = 256;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(800);
const RAW_FILE_BYTES: u64 = 128 << 20;

fn main() {
    let root = std::env::var_os("HENGE_BENCH_DIR").map_or_else(|| PathBuf::from("target/bench-log"), PathBuf::from);
    println!("waiters   log records/s   raw records/s   ratio   (median of {ROUNDS} rounds in turns, {RECORD_BYTES}-byte records)");
    for waiters in [1, 16, 64, 256] {
        let _ = std::fs::remove_dir_all(&root);
        let disk = Arc::new(FileDisk::open(&root).expect("the folder can be used"));
        let mut threads = Threads::new(&disk);
        let opened = open(&*disk, &OpenOptions::new(wall_ms(), wall_ms()), &mut |_, _, _| {}).expect("an empty folder opens");
        let mut log = opened.log;
        let mut raw = Raw::new(&disk);
        let mut rounds = Vec::new();
        for round in 0..=ROUNDS {
            let with_log = log_round(&mut log, &mut threads, waiters);
            let without = raw.round(&disk, waiters);
            // The first round is for the caches.
            if round > 0 {
                rounds.push((with_log, without));
            }
        }
        let with_log = median(rounds.iter().map(|(with_log, _)| *with_log));
        let without = median(rounds.iter().map(|(_, without)| *without));
        let ratio = median(rounds.iter().map(|(with_log, without)| with_log / without));
        println!("{waiters:7}   {with_log:13.0}   {without:13.0}   {ratio:5.2}");
        drop(threads);
    }
    let _ = std::fs::remove_dir_all(&root);
}

fn wall_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The log's thread and the one that prepares segments; what they have done comes back in one queue.
struct Threads {
    write: Sender<DiskJob>,
    prepare: Sender<DiskJob>,
    done: Receiver<DiskDone>,
}

impl Threads {
    fn new(disk: &Arc<FileDisk>) -> Threads {
        let (into, done) = channel();
        let start = || {
            let (jobs, queue) = channel::<DiskJob>();
            let (disk, into) = (disk.clone(), into.clone());
            std::thread::spawn(move || {
                let mut files = OpenFiles::default();
                while let Ok(job) = queue.recv() {
                    if into.send(execute(&*disk, &mut files, job)).is_err() {
                        break;
                    }
                }
            });
            jobs
        };
        Threads { write: start(), prepare: start(), done }
    }
}

/// Records per second.
fn log_round(log: &mut Log, threads: &mut Threads, waiters: usize) -> f64 {
    let entry = vec![7; RECORD_BYTES - 16];
    let mut number = 0u128;
    let mut append = |log: &mut Log| {
        number += 1;
        let key = number.to_be_bytes();
        let record = Record::Entry { partition: 300, epoch: 1, key: &key, entry: &entry, gone: &[], retry: None };
        log.append(&record).expect("it is small").position
    };
    let mut waiting: Vec<Position> = (0..waiters).map(|_| append(log)).collect();
    let begin = Instant::now();
    let mut records = 0;
    while begin.elapsed() < ROUND || log.is_writing() {
        if begin.elapsed() < ROUND
            && let Some(write) = log.take_write(true)
        {
            threads.write.send(DiskJob::Write(write)).expect("the thread runs");
        }
        if let Some(prepare) = log.take_prepare(0, 0) {
            threads.prepare.send(DiskJob::Prepare(prepare)).expect("the thread runs");
        }
        match threads.done.recv().expect("the threads run") {
            DiskDone::Written(done) => {
                let durable = log.on_write_done(done).expect("the disk works").durable;
                let released = waiting.iter().filter(|position| **position <= durable).count();
                records += released;
                waiting.retain(|position| *position > durable);
                if begin.elapsed() < ROUND {
                    waiting.extend((0..released).map(|_| append(log)));
                }
            }
            DiskDone::Prepared(done) => log.on_prepared(done).expect("the disk works"),
            _ => unreachable!("nothing else was asked for"),
        }
    }
    records as f64 / begin.elapsed().as_secs_f64()
}

/// A file of zeros that is written through from its beginning again and again.
struct Raw {
    file: <FileDisk as Disk>::File,
    at: u64,
}

impl Raw {
    fn new(disk: &FileDisk) -> Raw {
        let file = disk.open("raw", Mode::Create).expect("it can be made");
        let zeros = vec![0; 1 << 20];
        for at in (0..RAW_FILE_BYTES).step_by(zeros.len()) {
            disk.write_at(&file, at, &zeros).expect("it can be written");
        }
        disk.sync(&file).expect("it can be synced");
        Raw { file, at: 0 }
    }

    /// Records per second.
    fn round(&mut self, disk: &FileDisk, waiters: usize) -> f64 {
        let batch = vec![7; waiters * RECORD_BYTES];
        let begin = Instant::now();
        let mut records = 0;
        while begin.elapsed() < ROUND {
            if self.at + batch.len() as u64 > RAW_FILE_BYTES {
                self.at = 0;
            }
            disk.write_at(&self.file, self.at, &batch).expect("it can be written");
            disk.sync(&self.file).expect("it can be synced");
            self.at += batch.len() as u64;
            records += waiters;
        }
        records as f64 / begin.elapsed().as_secs_f64()
    }
}
