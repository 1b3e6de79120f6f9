//! [`ReentrantMutex`]: a mutex that its owner may lock again.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use leasehold_core::{
    Contender, Error, Lease, Lost, Mode, Release, Result, Ticket, Wait, store_kit::in_time,
};

use super::{
    LockSpec, blocking, lock_methods,
    owners::{Held, Owner},
    shorter, wait_methods, with_methods,
};
use crate::guard::hold_methods;

/// A mutex that its [`Owner`] may lock again while holding it: a cheap description, `Clone`, no I/O.
///
/// All guards of one owner share one lease with one fencing token; it is released with the last of them. Other
/// owners wait, and so does everybody who locks the same name as a [`Mutex`](crate::Mutex). A lease that was lost is
/// not entered again: the next lock is a new one with a new token, and the guards of the old one stay lost.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// use leasehold::Owner;
/// let locks = leasehold::Client::connect("memory:").await?;
/// let account = locks.reentrant_mutex("account/7")?;
/// let me = Owner::new();
/// let outer = account.lock(&me).await?;
/// let inner = account.lock(&me).await?;
/// assert_eq!(outer.fencing_token(), inner.fencing_token());
/// assert!(account.try_lock(&Owner::new()).await?.is_none());
/// assert_eq!(inner.release().await?, None);     // `outer` still holds it
/// assert!(outer.release().await?.is_some());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ReentrantMutex {
    spec: LockSpec,
}

lock_methods!(ReentrantMutex);
wait_methods!(ReentrantMutex, "the lock for `owner`, or enters it again", enter(owner: &Owner) -> ReentrantGuard {
    lock / blocking_lock,
    try_lock / blocking_try_lock,
    try_lock_for / blocking_try_lock_for,
});
with_methods!(ReentrantMutex, lock(owner: &Owner), release, |guard| guard.lease().clone() => Lease {
    with, try_with, blocking_with
});

/// The time for the store to show that it answers, after a wait for another task of the owner.
const ANSWER_MAX: Duration = Duration::from_millis(100);

impl ReentrantMutex {
    pub(crate) fn new(spec: LockSpec) -> Self {
        ReentrantMutex { spec }
    }

    async fn enter(&self, owner: &Owner, wait: Wait) -> Result<Option<ReentrantGuard>> {
        let env = self.spec.engine.env().clone();
        let begin = env.now();
        let entry = self.spec.owners.enter(&self.spec.name, owner);
        let slot = entry.slot();
        let taken = match wait {
            // A task that has the slot without a hold waits for the lock: then it is not free.
            Wait::No => slot.try_lock_owned().ok(),
            Wait::For(span) => env.until(begin + span, slot.lock_owned()).await,
            Wait::Forever => Some(slot.lock_owned().await),
        };
        let Some(mut slot) = taken else {
            // Another task of the owner asks for the lock. It is not free, if the store still answers.
            let limit = self.spec.options.retry_timeout.min(ANSWER_MAX);
            in_time(&env, limit, "answer of the store", self.spec.inspect()).await??;
            return Ok(None);
        };
        if let Some(held) = slot.upgrade()
            && held.hold.check().is_ok()
        {
            return Ok(Some(ReentrantGuard { held }));
        }
        let wait = shorter(wait, begin, env.now());
        let Some(hold) = self.spec.acquire(Mode::Exclusive, wait).await? else { return Ok(None) };
        let held = Arc::new(Held { hold, entry });
        *slot = Arc::downgrade(&held);
        Ok(Some(ReentrantGuard { held }))
    }
}

/// A held [`ReentrantMutex`]. The lock is released with the last guard of its owner.
#[must_use = "dropping the last guard releases the lock"]
pub struct ReentrantGuard {
    held: Arc<Held>,
}

impl ReentrantGuard {
    /// Another guard of the same lease. No I/O.
    pub fn again(&self) -> ReentrantGuard {
        ReentrantGuard { held: self.held.clone() }
    }

    /// Ends this guard; the last one of the owner releases the lock and answers the store's answer. `None` while there
    /// are others.
    ///
    /// # Errors
    /// Those of the store. The watchdog repeats the release until the ttl has ended the hold.
    ///
    /// # Cancel safety
    /// Dropping the future hands the release to the watchdog.
    pub async fn release(self) -> Result<Option<Release>> {
        let Some(Held { hold, entry }) = Arc::into_inner(self.held) else { return Ok(None) };
        let answer = hold.release().await;
        drop(entry);
        answer.map(Some)
    }

    /// As [`MutexGuard::detach`](crate::MutexGuard::detach), for the last guard of the owner; `None` while there are others.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Dropping the future releases the lock.
    pub async fn detach(self, keep_for: Duration) -> Result<Option<Ticket>> {
        let Some(Held { hold, entry }) = Arc::into_inner(self.held) else { return Ok(None) };
        let answer = hold.detach(keep_for).await;
        drop(entry);
        answer.map(Some)
    }
}

hold_methods!(ReentrantGuard, held.hold);

blocking!(ReentrantGuard, self: [self] {
    blocking_release = release() -> Option<Release>;
    blocking_detach = detach(keep_for: Duration) -> Option<Ticket>;
});

impl fmt::Debug for ReentrantGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.held.hold, f)
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::{env::Virtual, memory::Memory};

    use crate::Client;

    use super::*;

    #[test]
    fn no_slot_is_kept_of_an_owner_who_has_gone() {
        let world = Virtual::new(1);
        let client = Client::new(Arc::new(Memory::new(world.env())), world.env());
        let lock = client.reentrant_mutex("x").unwrap();
        let (me, other) = (Owner::new(), Owner::new());
        world.block_on(async {
            let guard = lock.lock(&me).await.unwrap();
            let again = guard.again();
            assert!(lock.try_lock(&other).await.unwrap().is_none());
            drop(guard);
            assert_eq!(again.release().await.unwrap(), Some(Release::Released));
        });
        assert!(client.owners.is_empty());
    }
}
