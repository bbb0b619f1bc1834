//! The lines of a file, read and parsed on a thread of their own, handed to many workers one by one.
//!
//! Memory is bounded whatever the file is: a few batches are ahead, one record per worker is under way, and a line that is too long is
//! skipped without being kept. Records of one key are never under way at the same time, and go in the order of their lines: so the
//! last line of a key wins.

use super::super::load_lines::{Line, parse_line};
use crate::limits::DOCUMENT_BYTES_MAX;
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc};

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// The line where it stands, from 1.
    pub(super) number: u64,
    pub(super) line: Line,
}

/// A line that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BadLine {
    pub(super) number: u64,
    pub(super) column: usize,
    pub(super) reason: String,
}

/// How far the reading thread has come.
#[derive(Default)]
pub(super) struct Progress {
    /// Bytes of the file.
    pub(super) bytes: AtomicU64,
    /// Lines, those without a record too.
    pub(super) lines: AtomicU64,
}

/// Where the workers draw their records from.
pub(super) struct Source {
    /// Only one worker looks for the next record at a time.
    batches: tokio::sync::Mutex<Incoming>,
    busy: Mutex<Busy>,
    finished: Notify,
    pub(super) progress: Arc<Progress>,
}

struct Incoming {
    receiver: mpsc::Receiver<Batch>,
    ready: VecDeque<Record>,
}

struct Batch {
    records: Vec<Record>,
    bad: Vec<BadLine>,
    /// Why the file ended early.
    failed: Option<std::io::Error>,
}

#[derive(Default)]
struct Busy {
    /// Keys under way, and the records that wait for them.
    keys: BTreeMap<String, VecDeque<Record>>,
    waiting: usize,
    bad: Vec<BadLine>,
    bad_count: u64,
    failed: Option<String>,
}

/// The longest line (bytes): a document, each of whose characters is an escape, and its key.
const LINE_BYTES_MAX: usize = DOCUMENT_BYTES_MAX * 4;
/// Batches have about this many bytes, or one record.
const BATCH_BYTES: usize = 64 << 10;
/// Batches that may be ahead.
const BATCHES_AHEAD: usize = 8;
/// Records that may wait because an earlier one of their key is under way.
const WAITING_MAX: usize = 1_024;
/// Lines that could not be read are listed up to this number, and then only counted.
pub(super) const BAD_LINES_LISTED: usize = 20;

impl Source {
    /// Starts to read.
    pub(super) fn start(input: impl Read + Send + 'static) -> Arc<Source> {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let progress = Arc::new(Progress::default());
        let reading = progress.clone();
        std::thread::spawn(move || read_all(BufReader::with_capacity(1 << 20, input), &reading, &sender));
        Arc::new(Source {
            batches: tokio::sync::Mutex::new(Incoming { receiver, ready: VecDeque::new() }),
            busy: Mutex::default(),
            finished: Notify::new(),
            progress,
        })
    }

    /// The next record whose key is not under way; none at the end. Whoever gets it has to call `finish` with its key.
    pub(super) async fn next(&self) -> Option<Record> {
        let mut incoming = self.batches.lock().await;
        loop {
            let Some(record) = incoming.ready.pop_front() else {
                let batch = incoming.receiver.recv().await?;
                self.take_bad(batch.bad, batch.failed);
                incoming.ready = batch.records.into();
                continue;
            };
            if let Some(record) = self.begin(record).await {
                return Some(record);
            }
        }
    }

    /// The record, if its key is not under way. Else it waits, and if too many do, so do we.
    async fn begin(&self, record: Record) -> Option<Record> {
        loop {
            let finished = self.finished.notified();
            {
                let mut busy = self.busy();
                let waiting = busy.waiting;
                match busy.keys.get_mut(&record.line.key) {
                    None => {
                        busy.keys.insert(record.line.key.clone(), VecDeque::new());
                        return Some(record);
                    }
                    Some(queue) if waiting < WAITING_MAX => {
                        queue.push_back(record);
                        busy.waiting += 1;
                        return None;
                    }
                    Some(_) => {}
                }
            }
            finished.await;
        }
    }

    /// A record of this key is done with. The next one that waited for it, if there is one, is under way from now on.
    pub(super) fn finish(&self, key: &str) -> Option<Record> {
        let mut busy = self.busy();
        let next = busy.keys.get_mut(key).and_then(VecDeque::pop_front);
        match &next {
            Some(_) => busy.waiting -= 1,
            None => drop(busy.keys.remove(key)),
        }
        drop(busy);
        self.finished.notify_waiters();
        next
    }

    /// The first lines that could not be read, and how many there are.
    pub(super) fn bad_lines(&self) -> (Vec<BadLine>, u64) {
        let busy = self.busy();
        (busy.bad.clone(), busy.bad_count)
    }

    /// Why the file could not be read to its end.
    pub(super) fn failed(&self) -> Option<String> {
        self.busy().failed.clone()
    }

    fn take_bad(&self, bad: Vec<BadLine>, failed: Option<std::io::Error>) {
        let mut busy = self.busy();
        busy.bad_count += bad.len() as u64;
        let room = BAD_LINES_LISTED.saturating_sub(busy.bad.len());
        busy.bad.extend(bad.into_iter().take(room));
        if let Some(error) = failed {
            busy.failed = Some(error.to_string());
        }
    }

    fn busy(&self) -> MutexGuard<'_, Busy> {
        self.busy.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn read_all(mut input: impl BufRead, progress: &Progress, sender: &mpsc::Sender<Batch>) {
    let (mut batch, mut batch_bytes, mut text, mut number) = (empty(), 0, Vec::new(), 0_u64);
    loop {
        let read = read_line(&mut input, &mut text);
        let ended = match &read {
            Ok(0) | Err(_) => true,
            Ok(bytes) => {
                number += 1;
                batch_bytes += text.len();
                progress.bytes.fetch_add(*bytes, Ordering::Relaxed);
                progress.lines.store(number, Ordering::Relaxed);
                take_line(number, &text, &mut batch);
                false
            }
        };
        batch.failed = read.err();
        if ended || batch_bytes >= BATCH_BYTES {
            if sender.blocking_send(std::mem::replace(&mut batch, empty())).is_err() || ended {
                return;
            }
            batch_bytes = 0;
        }
    }
}

fn empty() -> Batch {
    Batch { records: Vec::new(), bad: Vec::new(), failed: None }
}

fn take_line(number: u64, text: &[u8], batch: &mut Batch) {
    if text.len() > LINE_BYTES_MAX {
        let reason = format!("the line is longer than {LINE_BYTES_MAX} bytes; no document is");
        return batch.bad.push(BadLine { number, column: 1, reason });
    }
    match parse_line(text) {
        Ok(Some(line)) => batch.records.push(Record { number, line }),
        Ok(None) => {}
        Err(error) => batch.bad.push(BadLine { number, column: error.column, reason: error.reason }),
    }
}

/// Reads up to and with the next line end; keeps at most one byte more than a line may have, and skips the rest. How many bytes were read; 0 at the end.
fn read_line(input: &mut impl BufRead, text: &mut Vec<u8>) -> std::io::Result<u64> {
    text.clear();
    let mut read = input.take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', text)? as u64;
    while text.len() > LINE_BYTES_MAX && !text.ends_with(b"\n") {
        let skipped = input.fill_buf()?;
        let (length, end) = match skipped.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (skipped.len(), skipped.is_empty()),
        };
        input.consume(length);
        read += length as u64;
        if end {
            break;
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: String) -> Arc<Source> {
        Source::start(std::io::Cursor::new(text.into_bytes()))
    }

    #[tokio::test]
    async fn lines_that_cannot_be_read_are_listed_and_the_rest_goes_on() {
        let text = format!("'a' : 1\n\n'b' 2\n# remark\n'{}\n'c' : 3", "x".repeat(LINE_BYTES_MAX));
        let source = source(text);
        assert_eq!(source.next().await.map(|record| (record.number, record.line.key)), Some((1, "a".to_string())));
        assert_eq!(source.next().await.map(|record| (record.number, record.line.json)), Some((6, "3".to_string())));
        assert_eq!(source.next().await, None);
        let (bad, count) = source.bad_lines();
        assert_eq!((bad.iter().map(|bad| bad.number).collect::<Vec<_>>(), count), (vec![3, 5], 2));
        assert_eq!(source.progress.lines.load(Ordering::Relaxed), 6);
    }

    #[tokio::test]
    async fn only_the_first_bad_lines_are_kept() {
        let source = source("bad\n".repeat(1_000));
        assert_eq!(source.next().await, None);
        let (bad, count) = source.bad_lines();
        assert_eq!((bad.len(), count), (BAD_LINES_LISTED, 1_000));
    }

    #[tokio::test]
    async fn records_of_one_key_wait_for_each_other_in_the_order_of_their_lines() {
        let source = source("'a' : 1\n'a' : 2\n'a' : 3\n'b' : 4\n".to_string());
        assert_eq!(source.next().await.unwrap().line.json, "1");
        assert_eq!(source.next().await.unwrap().line.json, "4");
        assert_eq!(source.finish("a").unwrap().line.json, "2");
        assert_eq!(source.finish("a").unwrap().line.json, "3");
        assert_eq!((source.finish("a"), source.finish("b"), source.next().await), (None, None, None));
    }
}
