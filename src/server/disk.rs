//! The threads that do the disk's work: one for the log, in order; a few for everything else.

use super::timing::histogram;
use crate::storage::{Disk, DiskDone, DiskJob, OpenFiles, execute};
use prometheus_client::metrics::histogram::Histogram;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Threads that read: a few, so that one slow read does not hold up all others; each read is short.
const READERS: usize = 2;

/// The way to the disk's threads. They end when this is dropped.
///
/// The channels have no bound of their own: the peer has at most one log write under way, and bounds its reads by the
/// requests that it takes.
pub(super) struct DiskThreads {
    log: Sender<DiskJob>,
    other: Sender<DiskJob>,
    figures: DiskFigures,
}

/// How long the disk's jobs took.
#[derive(Clone)]
pub(super) struct DiskFigures {
    /// Batches of the log, written and, as the mode says, synced.
    pub log: Histogram,
    /// Everything else: mostly cold reads.
    pub other: Histogram,
}

impl DiskThreads {
    /// Starts the threads. What they have done comes out of the receiver.
    pub(super) fn start<D: Disk + 'static>(disk: Arc<D>) -> io::Result<(DiskThreads, UnboundedReceiver<DiskDone>)> {
        let (done, results) = unbounded_channel();
        let (log, log_jobs) = channel();
        let (other, other_jobs) = channel();
        let figures = DiskFigures { log: histogram(), other: histogram() };
        start_one("henge-log", &disk, Arc::new(Mutex::new(log_jobs)), &done, figures.log.clone())?;
        let other_jobs = Arc::new(Mutex::new(other_jobs));
        for _ in 0..READERS {
            start_one("henge-disk", &disk, other_jobs.clone(), &done, figures.other.clone())?;
        }
        Ok((DiskThreads { log, other, figures }, results))
    }

    pub(super) fn figures(&self) -> &DiskFigures {
        &self.figures
    }

    /// Hands over a log write. False if the thread is gone.
    pub(super) fn write_log(&self, job: DiskJob) -> bool {
        self.log.send(job).is_ok()
    }

    /// Hands over any other job. False if the threads are gone.
    pub(super) fn run(&self, job: DiskJob) -> bool {
        self.other.send(job).is_ok()
    }
}

fn start_one<D: Disk + 'static>(
    name: &str,
    disk: &Arc<D>,
    jobs: Arc<Mutex<Receiver<DiskJob>>>,
    done: &UnboundedSender<DiskDone>,
    took: Histogram,
) -> io::Result<()> {
    let (disk, done) = (disk.clone(), done.clone());
    let work = move || {
        let mut files = OpenFiles::default();
        while let Some(job) = next(&jobs) {
            let begun = Instant::now();
            let result = execute(&*disk, &mut files, job);
            took.observe(begun.elapsed().as_secs_f64());
            if done.send(result).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name(name.to_string()).spawn(work).map(drop)
}

/// The next job; none when nobody can hand any over. Idle threads queue for the lock, the first of them for a job.
fn next(jobs: &Mutex<Receiver<DiskJob>>) -> Option<DiskJob> {
    jobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv().ok()
}
