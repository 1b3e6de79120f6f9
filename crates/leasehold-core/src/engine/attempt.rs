//! [`Attempt`]: a claim under way, released by the watchdog if its future is dropped.

use std::{future::poll_fn, sync::Arc, time::Duration};

use super::{Core, counter::CountGuard, pending_release::Request};
use crate::{Claim, Error, ErrorKind, Moment, Outcome, Result, Standing};

/// Exists before the first byte is sent. Dropped before [`Attempt::disarm`], it hands the claim to the watchdog,
/// together with the request that is under way.
pub(super) struct Attempt {
    core: Arc<Core>,
    pub(super) claim: Claim,
    request: Option<Request>,
    alive: Option<CountGuard>,
    remote: RemoteState,
}

/// The state of the claim at the store, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RemoteState {
    /// Nothing.
    None,
    /// It has answered that there is a hold or a place in the queue.
    Known,
    /// An answer was lost: that request may still arrive, also after later answers.
    InDoubt,
}

impl Attempt {
    pub(super) fn new(core: &Arc<Core>, claim: Claim) -> Result<Self> {
        let alive = core.registry.count_claim()?;
        Ok(Attempt {
            core: core.clone(),
            claim,
            request: None,
            alive: Some(alive),
            remote: RemoteState::None,
        })
    }

    /// Asks the store once, and answers also when the request was sent. Gives up asking after `retry_timeout`; the
    /// request itself goes on until the attempt is given up.
    pub(super) async fn ask(&mut self, retry_timeout: Duration) -> (Moment, Result<Standing>) {
        let env = self.core.env.clone();
        let sent = env.now();
        let request = self.request.insert(self.core.request(&self.claim));
        let answer = env.until(sent + retry_timeout, poll_fn(|context| request.as_mut().poll(context))).await;
        let Some(answer) = answer else {
            self.remote = RemoteState::InDoubt;
            let message = format!("the store did not answer within {retry_timeout:?}");
            return (sent, Err(Error::new(ErrorKind::TimedOut, message).unknown()));
        };
        self.request = None;
        self.note(&answer);
        (sent, answer)
    }

    fn note(&mut self, answer: &Result<Standing>) {
        self.remote = match (self.remote, answer) {
            (RemoteState::InDoubt, _) => RemoteState::InDoubt,
            (_, Ok(Standing::Granted(_) | Standing::Waiting(_))) => RemoteState::Known,
            (_, Ok(_)) => RemoteState::None,
            (_, Err(error)) if error.outcome() == Outcome::Unknown => RemoteState::InDoubt,
            (before, Err(_)) => before,
        };
    }

    /// Whether a request without an answer is still under way.
    pub(super) fn is_stuck(&self) -> bool {
        self.request.is_some()
    }

    /// Hands the claim to its caller: dropping the attempt no longer releases it.
    pub(super) fn disarm(mut self) -> Option<CountGuard> {
        self.remote = RemoteState::None;
        self.alive.take()
    }

    /// Leaves the queue and gives up what may have been granted; by the watchdog if the store does not answer.
    pub(super) async fn give_up(self, retry_timeout: Duration) {
        if self.remote == RemoteState::None || self.is_stuck() {
            return;
        }
        let (core, claim) = (self.core.clone(), self.claim.clone());
        // `self` lives across the await: dropped in the middle, or after a failure, it hands over to the watchdog.
        if core.ask(retry_timeout, core.store.release(&claim)).await.is_ok() {
            drop(self.disarm());
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let request = self.request.take();
        if self.remote != RemoteState::None || request.is_some() {
            self.core.registry.release_later(self.claim.clone(), request, self.alive.take());
        }
    }
}
