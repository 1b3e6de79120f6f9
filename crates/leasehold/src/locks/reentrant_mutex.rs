//! [`ReentrantMutex`]: a mutex that its owner may lock again.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Contender, Error, Hold, Lease, LockName, Lost, Mode, Release, Result, Ticket, Wait};

use super::{LockSpec, blocking, lock_methods, shorter, with_methods};
use crate::guard::hold_methods;

/// The owner of a [`ReentrantMutex`]. Clones are the same owner; pass it down the call chain that belongs together.
///
/// An owner is a value and not a thread or a task, so it works across both.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Owner(u64);

impl Owner {
    /// An owner unlike any other of this process.
    #[expect(clippy::new_without_default, reason = "each call answers another one")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Owner(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

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
with_methods!(ReentrantMutex, lock(owner: &Owner), release, with, try_with, blocking_with);

impl ReentrantMutex {
    pub(crate) fn new(spec: LockSpec) -> Self {
        ReentrantMutex { spec }
    }

    /// Waits until `owner` has the lock; at once if it has it already.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than `retry_timeout`.
    ///
    /// # Cancel safety
    /// Cancel safe. Of several tasks that lock for one owner at once, one asks the store and the others share its
    /// lease; when it is dropped, the next of them asks.
    pub async fn lock(&self, owner: &Owner) -> Result<ReentrantGuard> {
        loop {
            if let Some(guard) = self.enter(owner, Wait::Forever).await? {
                return Ok(guard);
            }
        }
    }

    /// Takes the lock for `owner` if it is free, or the owner's already.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock(&self, owner: &Owner) -> Result<Option<ReentrantGuard>> {
        self.enter(owner, Wait::No).await
    }

    /// Waits for the lock for at most `wait`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock_for(&self, owner: &Owner, wait: Duration) -> Result<Option<ReentrantGuard>> {
        self.enter(owner, Wait::For(wait)).await
    }

    async fn enter(&self, owner: &Owner, wait: Wait) -> Result<Option<ReentrantGuard>> {
        let env = self.spec.client.env().clone();
        let begin = env.now();
        let entry = self.spec.client.owners.enter(&self.spec.name, owner);
        let slot = entry.slot();
        let taken = match wait {
            // A task that has the slot without a hold waits for the lock: then it is not free.
            Wait::No => slot.try_lock_owned().ok(),
            Wait::For(span) => env.until(begin + span, slot.lock_owned()).await,
            Wait::Forever => Some(slot.lock_owned().await),
        };
        let Some(mut slot) = taken else { return Ok(None) };
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

blocking!(ReentrantMutex, self: [&self] {
    blocking_lock = lock(owner: &Owner) -> ReentrantGuard;
    blocking_try_lock = try_lock(owner: &Owner) -> Option<ReentrantGuard>;
    blocking_try_lock_for = try_lock_for(owner: &Owner, wait: Duration) -> Option<ReentrantGuard>;
});

/// A held [`ReentrantMutex`]. The lock is released with the last guard of its owner.
#[must_use = "dropping the last guard releases the lock"]
pub struct ReentrantGuard {
    held: Arc<Held>,
}

/// The hold that the guards of one owner share.
struct Held {
    hold: Hold,
    entry: OwnerEntry,
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

/// The hold of one owner of one lock, for the owner's next guard.
type OwnerSlot = Arc<tokio::sync::Mutex<Weak<Held>>>;
type Slots = HashMap<(LockName, Owner), OwnerSlot>;

/// The slots of all owners of one client.
#[derive(Clone, Default)]
pub(crate) struct OwnerTable(Arc<StdMutex<Slots>>);

/// Keeps a slot for as long as its owner holds the lock or waits for it.
struct OwnerEntry {
    table: OwnerTable,
    key: (LockName, Owner),
    slot: Option<OwnerSlot>,
}

impl OwnerTable {
    fn enter(&self, name: &LockName, owner: &Owner) -> OwnerEntry {
        let key = (name.clone(), owner.clone());
        let slot = self.slots().entry(key.clone()).or_default().clone();
        OwnerEntry { table: self.clone(), key, slot: Some(slot) }
    }

    fn slots(&self) -> StdMutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots().is_empty()
    }
}

impl OwnerEntry {
    fn slot(&self) -> OwnerSlot {
        self.slot.clone().unwrap_or_default()
    }
}

impl Drop for OwnerEntry {
    fn drop(&mut self) {
        let mut slots = self.table.slots();
        drop(self.slot.take());
        // Every other entry of this owner has a clone of the slot, and clones are made under the lock that is held here.
        if slots.get(&self.key).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            slots.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::{env::Virtual, memory::Memory};

    use super::*;
    use crate::Client;

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
