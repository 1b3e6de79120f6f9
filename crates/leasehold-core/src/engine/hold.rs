//! [`Hold`]: the RAII value inside of every guard.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use tracing::Span;

use super::{attempt::Attempt, lock_options::LockOptions, registry::ManagedLease, telemetry, ticket::Ticket};
use crate::{
    Binding, Claim, Error, ErrorKind, FencingToken, Grant, Intent, Lease, Lost, LostReason, Mode, Moment,
    Outcome, Release, Renewal, Result, Standing, Store,
};

/// A held lock. Dropping it hands the claim to the watchdog, which releases it; it never blocks and never panics.
#[must_use = "dropping the hold releases the lock"]
pub struct Hold {
    pub(super) attempt: Attempt,
    pub(super) retry_timeout: Duration,
    lease: Lease,
    /// Its span, if anybody wants it; boxed, for a guard is moved about.
    span: Option<Box<Span>>,
}

/// The grant of a claim that was sent at `sent`.
pub(super) struct Granted {
    pub(super) fence: Option<FencingToken>,
    pub(super) sent: Moment,
    pub(super) at: Moment,
    pub(super) deadline: Moment,
}

impl Hold {
    pub(super) fn new(attempt: Attempt, granted: Granted, options: &LockOptions) -> Self {
        let (core, claim) = (&attempt.core, &attempt.claim);
        let lease = Lease::new(
            &core.env,
            claim.clone(),
            granted.fence,
            granted.at,
            granted.deadline,
            options.max_hold,
        );
        core.registry.manage(ManagedLease::new(lease.clone(), claim.clone(), granted.sent, options.renew));
        telemetry::holds(core, &claim.name, 1.0);
        Hold { attempt, retry_timeout: options.retry_timeout, lease, span: None }
    }

    /// Begins its span. Outside of that of the call: the hold outlives it.
    pub(super) fn traced(mut self) -> Self {
        let span = telemetry::holding(&self.attempt.core, &self.lease);
        self.span = (!span.is_disabled()).then(|| Box::new(span));
        self
    }

    fn ended(&self, end: &'static str) {
        let end = telemetry::held(&self.attempt.core, &self.lease, end);
        if let Some(span) = &self.span {
            span.record("lock.end", end);
        }
    }

    /// The store that granted it.
    pub fn store(&self) -> &dyn Store {
        &*self.attempt.core.store
    }

    /// The lease, to share with tasks under this hold.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Releases the lock and waits for the store's answer: [`Release::NotHeld`] when it was lost before.
    ///
    /// # Errors
    /// Those of the store. The watchdog repeats the release until the ttl ends the hold.
    ///
    /// # Cancel safety
    /// Dropping the future hands the release to the watchdog.
    pub async fn release(mut self) -> Result<Release> {
        self.attempt.core.env.check_process()?;
        self.attempt.core.registry.remove(self.id());
        self.leave();
        let answer = self.attempt.release(self.retry_timeout).await;
        let answer = self.attempt.core.explain(answer, "release", self.name())?;
        self.ended("released");
        Ok(answer)
    }

    /// Asks the store whether the lock is still held, and prolongs it: one round trip.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when it is not; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn confirm(&self) -> Result<()> {
        self.lease.check()?;
        let core = &self.attempt.core;
        let sent = core.env.now();
        let renewal = async {
            let none =
                || Err(Error::new(ErrorKind::Corrupt, "the store gave no answer to a renewal").unknown());
            core.store.renew(std::slice::from_ref(&*self.attempt.claim)).await.pop().unwrap_or_else(none)
        };
        match core.explain(core.ask(self.retry_timeout, renewal).await, "confirm", self.name())? {
            Renewal::Renewed { valid_for } => self.confirmed(sent, valid_for),
            Renewal::Gone(reason) => Err(self.lose(Lost { reason, certain: true })),
        }
    }

    /// Changes the hold in place: mode, note, ttl or binding. Never makes a new one.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when there is none any more; [`ErrorKind::WouldDeadlock`] when others keep the change
    /// from being granted; those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the change made or not made; the hold stays. What a change gives back (exclusiveness, or
    /// permits) is given up as soon as the change may have been made: see [`Lease::mode`].
    pub async fn amend(&mut self, change: impl FnOnce(&mut Claim)) -> Result<()> {
        self.lease.check()?;
        let core = &self.attempt.core;
        let mut claim = Claim { intent: Intent::Amend, ..(*self.attempt.claim).clone() };
        change(&mut claim);
        core.store.capability().admits(&claim).map_err(|error| error.lock(&claim.name))?;
        let sent = core.env.now();
        let before = self.lease.mode();
        if gives_back(before, claim.mode) {
            // The store may have applied it, and others rely on it, whatever the answer is.
            self.lease.amended(claim.mode, self.lease.fencing_token());
        }
        let answer = core.ask(self.retry_timeout, core.store.claim(&claim)).await;
        let refused = match answer {
            Ok(Standing::Granted(grant)) => return self.amended(claim, grant, sent),
            Ok(Standing::Gone(reason)) => return Err(self.lose(Lost { reason, certain: true })),
            Ok(Standing::Waiting(_) | Standing::Held(_) | Standing::Mismatch { .. }) => {
                let message = format!("the change to {} waits for other holders", claim.mode);
                Error::new(ErrorKind::WouldDeadlock, message)
                    .lock(&claim.name)
                    .hint("release first, then lock in the new mode")
            }
            Err(error) => core.explain(error, "amend", &claim.name),
        };
        if refused.outcome() == Outcome::NotApplied {
            self.lease.amended(before, self.lease.fencing_token());
        }
        Err(refused)
    }

    /// Ends the guard without releasing the hold: the store keeps it for `keep_for`, or for its remaining time if that
    /// is longer, also after the end of this client. The ticket adopts or releases it.
    ///
    /// # Errors
    /// Those of [`Hold::amend`]; the lock is released then.
    ///
    /// # Cancel safety
    /// Dropping the future releases the lock.
    pub async fn detach(mut self, keep_for: Duration) -> Result<Ticket> {
        self.amend(|claim| {
            claim.binding = Binding::Ttl;
            claim.ttl = keep_for;
        })
        .await?;
        Ok(self.ticket())
    }

    /// Ends the guard of a hold of [`Binding::Ttl`] without I/O: the store keeps the hold until its ttl ends it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a hold that is bound to its client, [`ErrorKind::Lost`] for one that has ended;
    /// the lock is released then.
    pub fn into_ticket(mut self) -> Result<Ticket> {
        if self.attempt.claim.binding != Binding::Ttl {
            let message = "only a hold that outlives its client can be left as it stands";
            return Err(Error::new(ErrorKind::Unsupported, message).lock(self.name()).hint("detach it"));
        }
        self.lease.check()?;
        Ok(self.ticket())
    }

    fn ticket(&mut self) -> Ticket {
        self.attempt.core.registry.remove(self.id());
        self.attempt.disarm();
        self.leave();
        self.ended("detached");
        Ticket {
            name: self.name().clone(),
            id: self.id(),
            mode: self.attempt.claim.mode,
            fence: self.fencing_token(),
        }
    }

    fn amended(&mut self, claim: Claim, grant: Grant, sent: Moment) -> Result<()> {
        let claim = Arc::new(Claim { intent: Intent::Hold, ..claim });
        self.lease.amended(claim.mode, grant.fence);
        self.attempt.core.local.freed(&claim.name);
        self.attempt.claim = claim.clone();
        self.attempt.core.registry.with(|state| state.with_lease(claim.id, |managed| managed.claim = claim));
        self.confirmed(sent, grant.valid_for)
    }

    fn confirmed(&self, sent: Moment, valid_for: Duration) -> Result<()> {
        let core = &self.attempt.core;
        if !self.lease.confirm(core.deadline(sent, valid_for)) {
            self.lease.check()?;
        }
        core.registry.with(|state| {
            // The deadline moves its timer.
            state.with_lease(self.id(), |_| ());
            state.totals.confirm();
        });
        Ok(())
    }

    /// Records the end of the hold among the client's own grants of the lock.
    /// Ends the lease: a task that has a clone of it may go on while the next holder begins.
    fn leave(&self) {
        self.lease.lose(Lost { reason: LostReason::Released, certain: true });
        let core = &self.attempt.core;
        if let Some(streaks) = &core.streaks {
            streaks.released(&self.attempt.claim, core.env.now());
        }
    }

    fn lose(&self, lost: Lost) -> Error {
        let core = &self.attempt.core;
        let managed = core.registry.with(|state| {
            state.totals.lose(self.id());
            state.remove(self.id())
        });
        let lost = self.lease.lose(lost);
        // The watchdog has counted what it found.
        if managed.is_some_and(|managed| !managed.is_over) {
            telemetry::lost(core, &self.lease, lost);
        }
        Error::from(lost).lock(self.name()).store(core.store.url())
    }
}

/// Whether others may do more beside `after` than beside `before`.
fn gives_back(before: Mode, after: Mode) -> bool {
    match (before, after) {
        (Mode::Permits { take: before, .. }, Mode::Permits { take: after, .. }) => after < before,
        (before, after) => before == Mode::Exclusive && after != Mode::Exclusive,
    }
}

impl Deref for Hold {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.attempt.is_over() {
            return;
        }
        if self.attempt.core.env.check_process().is_err() {
            // The hold is the parent's.
            return self.attempt.disarm();
        }
        // The attempt hands its claim to the watchdog.
        self.attempt.core.registry.remove(self.id());
        self.leave();
        self.ended("dropped");
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lease, f)
    }
}
