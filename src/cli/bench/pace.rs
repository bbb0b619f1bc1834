//! Open loop: operations are due at fixed times, whether or not earlier ones have been answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Tells each connection how many operations are due. Operation k of all falls to connection k mod their number.
pub(super) struct Pace {
    start: Instant,
    /// Operations a second, of all connections together.
    rate: f64,
    lanes: Vec<Lane>,
    over: AtomicBool,
}

#[derive(Default)]
struct Lane {
    due: AtomicU64,
    news: Notify,
}

/// How often the pace looks at the clock at most: finer than what is measured, coarse enough to cost little.
const TICK: Duration = Duration::from_micros(100);

impl Pace {
    /// Starts to count at `start`. A thread of its own keeps the time: tokio's timers know milliseconds only.
    pub(super) fn start(start: Instant, end: Instant, rate: f64, connections: usize) -> Arc<Pace> {
        let lanes = (0..connections).map(|_| Lane::default()).collect();
        let pace = Arc::new(Pace { start, rate, lanes, over: AtomicBool::new(false) });
        let beating = pace.clone();
        std::thread::spawn(move || beating.beat(end));
        pace
    }

    fn beat(&self, end: Instant) {
        let mut told = 0_u64;
        while Instant::now() < end {
            let due = (self.start.elapsed().as_secs_f64() * self.rate) as u64;
            for operation in told..due {
                let lane = &self.lanes[(operation % self.lanes.len() as u64) as usize];
                lane.due.fetch_add(1, Ordering::Release);
                lane.news.notify_one();
            }
            told = due;
            std::thread::sleep(TICK.max(Duration::from_secs_f64(0.5 / self.rate).min(Duration::from_millis(10))));
        }
        self.over.store(true, Ordering::Release);
        self.lanes.iter().for_each(|lane| lane.news.notify_one());
    }

    /// How many operations have become due on this connection since the start.
    pub(super) fn due(&self, connection: usize) -> u64 {
        self.lanes[connection].due.load(Ordering::Acquire)
    }

    /// True when nothing more becomes due.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Completes when more is due on this connection, or nothing will be.
    pub(super) async fn more(&self, connection: usize) {
        self.lanes[connection].news.notified().await;
    }

    /// When operation `nth` (from 0) of this connection was meant to be sent.
    pub(super) fn intended(&self, connection: usize, nth: u64) -> Instant {
        let operation = nth * self.lanes.len() as u64 + connection as u64;
        self.start + Duration::from_secs_f64((operation + 1) as f64 / self.rate)
    }
}
