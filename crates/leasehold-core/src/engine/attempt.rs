//! [`Attempt`]: a claim under way or granted, released by the watchdog when it is dropped.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use super::{
    core::Handle,
    registry::{AliveGuard, Request},
};
use crate::{Claim, Outcome, Release, Result, Standing, store_kit::Locked};

/// Exists before the first byte is sent. Dropped while the store may know the claim, it hands it to the watchdog,
/// together with the request that is under way.
pub(super) struct Attempt {
    pub(super) core: Arc<Handle>,
    pub(super) claim: Arc<Claim>,
    /// A mutex that is never locked: a future is not `Sync`, and a guard is.
    request: Locked<Option<Request>>,
    alive: Option<AliveGuard>,
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
    pub(super) fn new(core: &Arc<Handle>, claim: Arc<Claim>) -> Result<Self> {
        let alive = Some(core.registry.count_claim()?);
        Ok(Attempt {
            core: core.clone(),
            claim,
            request: Locked::default(),
            alive,
            remote: RemoteState::None,
        })
    }

    /// Asks the store once. Gives up asking after `limit`; the request itself goes on until the attempt is given up.
    pub(super) async fn ask(&mut self, limit: Duration) -> Result<Standing> {
        let (store, claim) = (self.core.store.clone(), self.claim.clone());
        let request = self.request.get_mut();
        *request = Some(Box::pin(async move { store.claim(&claim).await }));
        let call = poll_fn(|context| {
            let answer = request.as_mut().map_or(Poll::Pending, |request| request.as_mut().poll(context));
            if answer.is_ready() {
                *request = None;
            }
            answer
        });
        let answer = self.core.ask(limit, call).await;
        self.note(&answer);
        answer
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
    pub(super) fn is_stuck(&mut self) -> bool {
        self.request.get_mut().is_some()
    }

    /// Whether there is nothing to release.
    pub(super) fn is_over(&mut self) -> bool {
        self.remote == RemoteState::None && !self.is_stuck()
    }

    /// Takes over a hold that the store has.
    pub(super) fn adopted(&mut self) {
        self.remote = RemoteState::Known;
    }

    /// Leaves the claim to the store: dropping the attempt no longer releases it.
    pub(super) fn disarm(&mut self) {
        self.remote = RemoteState::None;
    }

    /// Releases the claim; by the watchdog if that fails, or is dropped.
    pub(super) async fn release(&mut self, limit: Duration) -> Result<Release> {
        let answer = self.core.release(&self.claim, limit).await?;
        self.disarm();
        Ok(answer)
    }

    /// Leaves the queue and gives up what may have been granted; by the watchdog if the store does not answer.
    pub(super) async fn give_up(mut self, limit: Duration) {
        if !self.is_over() && !self.is_stuck() {
            // After a failure the watchdog repeats it.
            let _ = self.release(limit).await;
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let (request, alive) = (self.request.get_mut().take(), self.alive.take());
        let is_known = self.remote != RemoteState::None || request.is_some();
        if is_known && self.core.env.check_process().is_ok() {
            self.core.registry.release_later(self.claim.clone(), request, alive);
        }
    }
}
