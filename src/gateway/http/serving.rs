//! What all who answer requests share.

use super::problem::{Kind, Problem};
use crate::gateway::Token;
use crate::limits::{HTTP_BODIES_BYTES_MAX, HTTP_BODY_BYTES_STEP};
use crate::message::{Reply, Request};
use crate::server::Door;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The way to the coordinator, and what is bounded for all connections together.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    door: Door,
    token: Option<Token>,
    /// Room for bodies, in steps.
    room: Arc<Semaphore>,
}

impl Serving {
    pub(super) fn new(door: Door, token: Option<Token>) -> Serving {
        Serving { door, token, room: Arc::new(Semaphore::new(HTTP_BODIES_BYTES_MAX / HTTP_BODY_BYTES_STEP)) }
    }

    /// Asks the peer. A failure is a problem.
    pub(super) async fn ask(&self, request: Request) -> Result<Reply, Problem> {
        match self.door.ask(request).await {
            Reply::Failed(failure) => Err(Problem::from(failure)),
            reply => Ok(reply),
        }
    }

    /// All figures of the peer, as text.
    pub(super) async fn figures(&self) -> Option<String> {
        self.door.figures().await
    }

    /// Room for one step more of a body, as long as the permit is kept; a problem if there is none.
    pub(super) fn room_for_step(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.room.clone().try_acquire_owned().map_err(|_| {
            Problem::new(Kind::Overloaded, "too many large bodies are under way at this peer; nothing was done").retry_after(1)
        })
    }

    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// True once the peer has been asked to stop.
    pub(super) async fn is_stopping(&self) -> bool {
        tokio::select! {
            biased;
            () = self.door.stopping() => true,
            () = std::future::ready(()) => false,
        }
    }
}

/// The answer to something that was not asked: a bug of ours.
pub(super) fn unexpected() -> Problem {
    Problem::new(Kind::Internal, "the coordinator gave an answer of another kind")
}
