//! The place of one peer in a client: its address, and the connection to it while there is one.

use super::channel::Channel;
use super::{ClientError, Options};
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
        let opened = Channel::open(&self.address, options).await.and_then(|channel| self.check(channel));
        let mut state = self.lock();
        match opened {
            Ok(channel) => {
                let channel = Arc::new(channel);
                *state = State { channel: Some(channel.clone()), failed: None };
                Ok(channel)
            }
            Err(error) => {
                let longest = Duration::from_millis(limits::REDIAL_MS_MAX);
                let pause = state.failed.as_ref().map_or(Duration::from_millis(limits::REDIAL_MS_MIN), |failed| failed.pause * 2);
                let failed = Failed { when: Instant::now(), error: error.clone(), pause: pause.min(longest) };
                *state = State { channel: None, failed: Some(failed) };
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
