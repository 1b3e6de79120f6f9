//! [`Hold`]: the RAII value inside of every guard.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use super::{
    Core, LockOptions, counter::CountGuard, deadline, registry::ManagedLease, telemetry, ticket::Ticket,
};
use crate::{
    Binding, Claim, Error, ErrorKind, Grant, Intent, Lease, Lost, Mode, Moment, Outcome, Release, Renewal,
    Result, Standing,
};

/// A held lock. Dropping it hands the claim to the watchdog, which releases it; it never blocks and never panics.
#[must_use = "dropping the hold releases the lock"]
pub struct Hold {
    pub(super) core: Arc<Core>,
    lease: Lease,
    claim: Claim,
    pub(super) retry_timeout: Duration,
    alive: Option<CountGuard>,
}

/// A claim that the store has just granted.
pub(super) struct Granted {
    pub(super) claim: Claim,
    pub(super) grant: Grant,
    pub(super) sent: Moment,
    pub(super) deadline: Moment,
    pub(super) alive: Option<CountGuard>,
}

impl Hold {
    pub(super) fn new(core: &Arc<Core>, granted: Granted, terms: &LockOptions) -> Self {
        let Granted { claim, grant, sent, deadline, alive } = granted;
        let lease = Lease::new(&core.env, &claim, grant.fence, deadline, terms.max_hold);
        core.registry.manage(ManagedLease::new(lease.clone(), claim.clone(), sent, terms.renew));
        telemetry::holds(core, 1.0);
        Hold { core: core.clone(), lease, claim, retry_timeout: terms.retry_timeout, alive }
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
        self.core.registry.remove(self.claim.id);
        let core = self.core.clone();
        // `self` lives across the await: dropped in the middle, or after a failure, it hands over to the watchdog.
        let answer = core.ask(self.retry_timeout, core.store.release(&self.claim)).await;
        let answer = answer.map_err(|error| core.explain(error, "release", &self.claim.name))?;
        self.end(telemetry::End::Released);
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
        let sent = self.core.env.now();
        let claims = std::slice::from_ref(&self.claim);
        let renewal = Box::pin(async {
            let none =
                || Err(Error::new(ErrorKind::Corrupt, "the store gave no answer to a renewal").unknown());
            self.core.store.renew(claims).await.pop().unwrap_or_else(none)
        });
        let answer = self.core.ask(self.retry_timeout, renewal).await;
        match answer.map_err(|error| self.core.explain(error, "confirm", &self.claim.name))? {
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
        let mut claim = Claim { intent: Intent::Amend, ..self.claim.clone() };
        change(&mut claim);
        self.core.store.capability().admits(&claim).map_err(|error| error.lock(&claim.name))?;
        let sent = self.core.env.now();
        let before = self.lease.mode();
        if gives_back(before, claim.mode) {
            // The store may have applied it, and others rely on it, whatever the answer is.
            self.lease.amended(claim.mode, self.lease.fencing_token());
        }
        let answer = self.core.ask(self.retry_timeout, self.core.store.claim(&claim)).await;
        let refused = match answer {
            Ok(Standing::Granted(grant)) => return self.amended(claim, grant, sent),
            Ok(Standing::Gone(reason)) => return Err(self.lose(Lost { reason, certain: true })),
            Ok(Standing::Waiting(_) | Standing::Held(_) | Standing::Mismatch { .. }) => {
                let message = format!("the change to {} waits for other holders", claim.mode);
                Error::new(ErrorKind::WouldDeadlock, message)
                    .lock(&claim.name)
                    .hint("release first, then lock in the new mode")
            }
            Err(error) => self.core.explain(error, "amend", &claim.name),
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
        if self.claim.binding != Binding::Ttl {
            let message = "only a hold that outlives its client can be left as it stands";
            return Err(Error::new(ErrorKind::Unsupported, message).lock(&self.claim.name).hint("detach it"));
        }
        self.lease.check()?;
        Ok(self.ticket())
    }

    fn ticket(&mut self) -> Ticket {
        self.core.registry.remove(self.claim.id);
        let ticket = Ticket {
            name: self.claim.name.clone(),
            id: self.claim.id,
            mode: self.claim.mode,
            fence: self.lease.fencing_token(),
        };
        self.end(telemetry::End::Detached);
        ticket
    }

    fn amended(&mut self, claim: Claim, grant: Grant, sent: Moment) -> Result<()> {
        self.claim = Claim { intent: Intent::Hold, ..claim };
        self.lease.amended(self.claim.mode, grant.fence);
        let claim = self.claim.clone();
        self.core.registry.update(self.claim.id, |managed| managed.claim = claim);
        self.confirmed(sent, grant.valid_for)
    }

    fn confirmed(&self, sent: Moment, valid_for: Duration) -> Result<()> {
        let deadline = deadline::deadline(&*self.core.store, sent, valid_for);
        if !self.lease.confirm(deadline) {
            self.lease.check()?;
        }
        self.core.registry.update(self.claim.id, |_| {});
        self.core.registry.confirm();
        Ok(())
    }

    fn lose(&self, lost: Lost) -> Error {
        self.core.registry.lose(self.claim.id);
        Error::from(self.lease.lose(lost)).lock(&self.claim.name).store(self.core.store.url())
    }

    /// Ends the accounting of the claim.
    fn end(&mut self, end: telemetry::End) {
        if self.alive.take().is_some() {
            telemetry::held(&self.core, &self.lease, end);
        }
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
        self.core.registry.remove(self.claim.id);
        if let Some(alive) = self.alive.take() {
            telemetry::held(&self.core, &self.lease, telemetry::End::Dropped);
            self.core.registry.release_later(self.claim.clone(), None, Some(alive));
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lease, f)
    }
}
