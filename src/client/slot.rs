//! The place of one peer in a client: its address, and the connection to it while there is one.

use super::channel::Channel;
use super::{ClientError, Options};
use crate::hedging::Latency;
use crate::limits;
use crate::ring::MemberId;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One address, and the connection to it while there is one.
pub(super) struct Slot {
    address: String,
    /// Who is expected there, if the ring says it.
    member: Option<MemberId>,
    state: Mutex<State>,
    /// Held while dialling: many requests wait for one dial.
    dialing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    channel: Option<Arc<Channel>>,
    failed: Option<Failed>,
    latency: Latency,
    /// When the first request since the last answer went out, or dialling began, and how many answers had come by then.
    owes: Option<(Instant, u64)>,
    /// When it was last tried although it was avoided.
    tried: Option<Instant>,
}

impl State {
    fn received(&self) -> u64 {
        self.channel.as_ref().map_or(0, |channel| channel.received())
    }

    /// Since when nothing has come. A connection that was given up because nothing came does not end that.
    fn silent_since(&self) -> Option<Instant> {
        let is_silent = |before: u64| self.channel.as_ref().is_none_or(|channel| channel.received() == before);
        self.owes.filter(|(_, before)| is_silent(*before)).map(|(since, _)| since)
    }

    fn is_avoided(&self) -> bool {
        let is_late = |since: Instant| since.elapsed() >= Duration::from_millis(self.latency.slow_ms());
        self.silent_since().is_some_and(is_late) || (self.channel.is_none() && self.failed.is_some())
    }
}

/// The last dials in a row that have failed.
#[derive(Clone)]
struct Failed {
    when: Instant,
    error: ClientError,
    /// How long it is left alone after that: doubles with each one.
    pause: Duration,
}

impl Slot {
    pub(super) fn new(address: &str, member: Option<MemberId>) -> Slot {
        Slot { address: address.to_string(), member, state: Mutex::default(), dialing: tokio::sync::Mutex::new(()) }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The connection, dialled if need be. One that failed a moment ago is not dialled again at once, and while somebody tries
    /// one that has failed, nobody else waits for it: they have others to ask.
    pub(super) async fn channel(&self, options: &Options) -> Result<Arc<Channel>, ClientError> {
        if let Some(known) = self.known() {
            return known;
        }
        let _dialing = match (self.dialing.try_lock(), self.last_failure()) {
            (Ok(dialing), _) => dialing,
            (Err(_), Some(failed)) => return Err(failed.error),
            (Err(_), None) => self.dialing.lock().await,
        };
        if let Some(known) = self.known() {
            return known;
        }
        self.lock().owes.get_or_insert((Instant::now(), 0));
        let opened = Channel::open(&self.address, options).await.and_then(|channel| self.check(channel));
        let mut state = self.lock();
        match opened {
            Ok(channel) => {
                let channel = Arc::new(channel);
                *state = State { channel: Some(channel.clone()), ..State::default() };
                Ok(channel)
            }
            Err(error) => {
                let longest = Duration::from_millis(limits::REDIAL_MS_MAX);
                let pause = state.failed.as_ref().map_or(Duration::from_millis(limits::REDIAL_MS_MIN), |failed| failed.pause * 2);
                let failed = Failed { when: Instant::now(), error: error.clone(), pause: pause.min(longest) };
                *state = State { failed: Some(failed), tried: state.tried, ..State::default() };
                Err(error)
            }
        }
    }

    fn known(&self) -> Option<Result<Arc<Channel>, ClientError>> {
        let mut state = self.lock();
        if state.channel.as_ref().is_some_and(|channel| !channel.is_open()) {
            state.channel = None;
        }
        if let Some(channel) = &state.channel {
            return Some(Ok(channel.clone()));
        }
        let failed = state.failed.as_ref().filter(|failed| failed.when.elapsed() < failed.pause)?;
        Some(Err(failed.error.clone()))
    }

    /// A request goes there now.
    pub(super) fn on_asked(&self) {
        let mut state = self.lock();
        if state.silent_since().is_none() {
            state.owes = Some((Instant::now(), state.received()));
        }
    }

    /// An answer has come from there, to a request that was sent so long ago.
    pub(super) fn on_answered(&self, took: Duration) {
        let mut state = self.lock();
        state.owes = None;
        state.latency.note(took.as_millis() as u64);
    }

    /// After this long without an answer somebody else may be asked as well.
    pub(super) fn hedge_after(&self) -> Duration {
        Duration::from_millis(self.lock().latency.hedge_ms())
    }

    /// True while it owes answers for longer than it should, or could not be dialled: better ask somebody else.
    pub(super) fn is_avoided(&self) -> bool {
        self.lock().is_avoided()
    }

    /// True once in a while of one that is avoided: it is to be tried by a question that nobody waits for.
    pub(super) fn is_to_be_tried(&self) -> bool {
        let mut state = self.lock();
        let slow = Duration::from_millis(limits::SLOW_TRY_MS);
        let pause = state.failed.as_ref().map_or(slow, |failed| failed.pause);
        let is_due = state.is_avoided() && state.tried.is_none_or(|tried| tried.elapsed() >= pause);
        if is_due {
            state.tried = Some(Instant::now());
        }
        is_due
    }

    /// True if there is a connection.
    pub(super) fn is_open(&self) -> bool {
        self.lock().channel.as_ref().is_some_and(|channel| channel.is_open())
    }

    fn last_failure(&self) -> Option<Failed> {
        self.lock().failed.clone()
    }

    fn check(&self, channel: Channel) -> Result<Channel, ClientError> {
        match self.member {
            Some(member) if channel.attempt().member != member => {
                let found = channel.attempt().member;
                let message = format!("it is member {found}, but the ring says that member {member} is there");
                Err(ClientError::Refused { address: self.address.clone(), message })
            }
            _ => Ok(channel),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
