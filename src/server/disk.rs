//! The threads that do the disk's work: one for the log, in order; a few for everything else.

use crate::storage::{Disk, DiskDone, DiskJob, OpenFiles, execute};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
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
}

impl DiskThreads {
    /// Starts the threads. What they have done comes out of the receiver.
    pub(super) fn start<D: Disk + 'static>(disk: Arc<D>) -> io::Result<(DiskThreads, UnboundedReceiver<DiskDone>)> {
        let (done, results) = unbounded_channel();
        let (log, log_jobs) = channel();
        let (other, other_jobs) = channel();
        start_one("henge-log", &disk, Arc::new(Mutex::new(log_jobs)), &done)?;
        let other_jobs = Arc::new(Mutex::new(other_jobs));
        for _ in 0..READERS {
            start_one("henge-disk", &disk, other_jobs.clone(), &done)?;
        }
        Ok((DiskThreads { log, other }, results))
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
) -> io::Result<()> {
    let (disk, done) = (disk.clone(), done.clone());
    let work = move || {
        let mut files = OpenFiles::default();
        while let Some(job) = next(&jobs) {
            if done.send(execute(&*disk, &mut files, job)).is_err() {
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
