//! [`Attempt`]: a claim that is asked for and must not be forgotten, whenever its future is dropped.

use std::{future::poll_fn, sync::Arc, time::Duration};

use super::{Core, cleanup::Request, registry::CountGuard};
use crate::{Claim, Error, ErrorKind, Mechanism, Moment, Outcome, Result, Standing};

/// Exists before the first byte is sent. Dropped before [`Attempt::settle`], it hands the claim to the watchdog,
/// together with the request that is under way.
pub(super) struct Attempt {
    core: Arc<Core>,
    pub(super) claim: Claim,
    request: Option<Request>,
    alive: Option<CountGuard>,
    trace: Trace,
}

/// What the store may know of the claim.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trace {
    /// Nothing.
    None,
    /// It has answered that there is a hold or a place in the queue.
    Known,
    /// An answer was lost: whatever is answered later, that request may still arrive.
    InDoubt,
}

impl Attempt {
    pub(super) fn new(core: &Arc<Core>, claim: Claim) -> Result<Self> {
        let alive = core.registry.enlist()?;
        Ok(Attempt { core: core.clone(), claim, request: None, alive: Some(alive), trace: Trace::None })
    }

    /// Asks the store once, and answers also when the request was sent. Gives up asking after `patience`; the
    /// request itself goes on until the attempt is given up.
    pub(super) async fn ask(&mut self, patience: Duration) -> (Moment, Result<Standing>) {
        let env = self.core.env.clone();
        let sent = env.now();
        let request = self.request.insert(self.core.request(&self.claim));
        let answer = env.until(sent + patience, poll_fn(|context| request.as_mut().poll(context))).await;
        let Some(answer) = answer else {
            self.trace = Trace::InDoubt;
            let message = format!("the store did not answer within {patience:?}");
            return (sent, Err(Error::new(ErrorKind::TimedOut, message).unknown()));
        };
        self.request = None;
        self.note(&answer);
        (sent, answer)
    }

    fn note(&mut self, answer: &Result<Standing>) {
        self.trace = match (self.trace, answer) {
            (Trace::InDoubt, _) => Trace::InDoubt,
            (_, Ok(Standing::Granted(_) | Standing::Waiting(_))) => Trace::Known,
            (_, Ok(_)) => Trace::None,
            (_, Err(error)) if error.outcome() == Outcome::Unknown => Trace::InDoubt,
            (before, Err(_)) => before,
        };
    }

    /// Whether a request is under way that was given up on.
    pub(super) fn is_stuck(&self) -> bool {
        self.request.is_some()
    }

    /// Somebody else cares for the claim from now on.
    pub(super) fn settle(mut self) -> Option<CountGuard> {
        self.trace = Trace::None;
        self.alive.take()
    }

    /// Leaves the queue and gives up what may have been granted; by the watchdog if the store does not answer.
    pub(super) async fn give_up(self, patience: Duration) {
        if self.trace == Trace::None || self.is_stuck() {
            return;
        }
        let (core, claim) = (self.core.clone(), self.claim.clone());
        // `self` lives across the await: dropped in the middle, or after a failure, it hands over to the watchdog.
        if core.ask(patience, core.store.release(&claim)).await.is_ok() {
            drop(self.settle());
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let request = self.request.take();
        let is_kept = self.core.env.keeps(Mechanism::ReleaseAfterCancel);
        if is_kept && (self.trace != Trace::None || request.is_some()) {
            self.core.registry.order(self.claim.clone(), request, self.alive.take());
        }
    }
}
