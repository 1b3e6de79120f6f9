//! [`ReentrantMutex`]: a mutex that its owner may lock again.

use std::{
    collections::HashMap,
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Hold, Lease, LockName, LockOptions, Mode, Moment, Release, Result, Wait};

use crate::client::LockSpec;

/// Who locks a [`ReentrantMutex`] mutex. Clones are the same owner; pass it down the call chain that belongs together.
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
/// let outer = account.lock_as(&me).await?;
/// let inner = account.lock_as(&me).await?;
/// assert_eq!(outer.fencing_token(), inner.fencing_token());
/// assert!(account.try_lock_as(&Owner::new()).await?.is_none());
/// assert_eq!(inner.release().await?, None);     // `outer` still holds it
/// assert!(outer.release().await?.is_some());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ReentrantMutex {
    description: LockSpec,
}

impl ReentrantMutex {
    pub(crate) fn new(description: LockSpec) -> Self {
        ReentrantMutex { description }
    }

    /// The same lock on other terms. An owner who locks again gets the terms of the first lock.
    ///
    /// # Errors
    /// As [`Mutex::with_terms`](crate::Mutex::with_terms).
    pub fn with_terms(self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Self> {
        Ok(ReentrantMutex::new(self.description.with_terms(change)?))
    }

    /// The name.
    pub fn name(&self) -> &LockName {
        &self.description.name
    }

    /// Waits until `owner` has the lock; at once if it has it already.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than the terms' patience.
    ///
    /// # Cancel safety
    /// Cancel safe. Of several tasks that lock for one owner at once, one asks the store and the others share its
    /// lease; when it is dropped, the next of them asks.
    pub async fn lock_as(&self, owner: &Owner) -> Result<ReentrantGuard> {
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
    pub async fn try_lock_as(&self, owner: &Owner) -> Result<Option<ReentrantGuard>> {
        self.enter(owner, Wait::No).await
    }

    /// Waits for the lock for at most `wait`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock_as_for(&self, owner: &Owner, wait: Duration) -> Result<Option<ReentrantGuard>> {
        self.enter(owner, Wait::For(wait)).await
    }

    async fn enter(&self, owner: &Owner, wait: Wait) -> Result<Option<ReentrantGuard>> {
        let env = self.description.client.engine().env().clone();
        let begin = env.now();
        let visit = self.description.client.visits.enter(&self.description.name, owner);
        let place = visit.place();
        let taken = match wait {
            // Who has the place without holding the lock waits for it: then it is not free.
            Wait::No => place.try_lock_owned().ok(),
            Wait::For(span) => env.until(begin + span, place.lock_owned()).await,
            Wait::Forever => Some(place.lock_owned().await),
        };
        let Some(mut place) = taken else { return Ok(None) };
        if let Some(held) = place.upgrade()
            && held.hold.check().is_ok()
        {
            return Ok(Some(ReentrantGuard { held }));
        }
        let wait = shorter(wait, begin, env.now());
        let Some(hold) = self.description.acquire(Mode::Exclusive, wait).await? else { return Ok(None) };
        let held = Arc::new(Held { hold, visit });
        *place = Arc::downgrade(&held);
        Ok(Some(ReentrantGuard { held }))
    }
}

/// What is left of a wait that began at `begin`.
pub(crate) fn shorter(wait: Wait, begin: Moment, now: Moment) -> Wait {
    match wait {
        Wait::For(span) => Wait::For(span.saturating_sub(now.since(begin))),
        Wait::No | Wait::Forever => wait,
    }
}

/// A held [`ReentrantMutex`] mutex. The lock is released with the last guard of its owner.
#[must_use = "dropping the last guard releases the lock"]
pub struct ReentrantGuard {
    held: Arc<Held>,
}

struct Held {
    hold: Hold,
    visit: OwnerEntry,
}

impl ReentrantGuard {
    /// The lease, to share with tasks that work under this guard.
    pub fn lease(&self) -> &Lease {
        self.held.hold.lease()
    }

    /// Another guard of the same lease, without asking anybody.
    pub fn again(&self) -> ReentrantGuard {
        ReentrantGuard { held: self.held.clone() }
    }

    /// Gives this guard back; the last one of the owner releases the lock and answers what the store said. `None`
    /// while there are others.
    ///
    /// # Errors
    /// Those of the store. The watchdog repeats the release until the ttl has ended the hold.
    ///
    /// # Cancel safety
    /// Dropping the future hands the release to the watchdog.
    pub async fn release(self) -> Result<Option<Release>> {
        let Some(Held { hold, visit }) = Arc::into_inner(self.held) else { return Ok(None) };
        let answer = hold.release().await;
        drop(visit);
        answer.map(Some)
    }
}

impl Deref for ReentrantGuard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        self.held.hold.lease()
    }
}

impl fmt::Debug for ReentrantGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.held.hold, f)
    }
}

/// Where the guards of one owner of one lock find each other.
type Place = Arc<tokio::sync::Mutex<Weak<Held>>>;
type Places = Arc<StdMutex<HashMap<(LockName, Owner), Place>>>;

/// The places of all owners of one client.
#[derive(Clone, Default)]
pub(crate) struct OwnerTable(Places);

/// Keeps a place for as long as somebody is there.
struct OwnerEntry {
    places: Places,
    key: (LockName, Owner),
    place: Option<Place>,
}

fn lock(places: &Places) -> StdMutexGuard<'_, HashMap<(LockName, Owner), Place>> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OwnerTable {
    fn enter(&self, name: &LockName, owner: &Owner) -> OwnerEntry {
        let key = (name.clone(), owner.clone());
        let place = lock(&self.0).entry(key.clone()).or_default().clone();
        OwnerEntry { places: self.0.clone(), key, place: Some(place) }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

impl OwnerEntry {
    fn place(&self) -> Place {
        self.place.clone().unwrap_or_default()
    }
}

impl Drop for OwnerEntry {
    fn drop(&mut self) {
        let mut places = lock(&self.places);
        drop(self.place.take());
        // Whoever is there has a clone of the place, and clones are made under the lock that is held here.
        if places.get(&self.key).is_some_and(|place| Arc::strong_count(place) == 1) {
            places.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::{env::Virtual, memory::Memory};

    use super::*;
    use crate::Client;

    #[test]
    fn no_place_is_kept_of_an_owner_who_has_gone() {
        let world = Virtual::new(1);
        let client = Client::with_env(Arc::new(Memory::new(world.env())), world.env());
        let lock = client.reentrant_mutex("x").unwrap();
        let (me, other) = (Owner::new(), Owner::new());
        world.block_on(async {
            let guard = lock.lock_as(&me).await.unwrap();
            let again = guard.again();
            assert!(lock.try_lock_as(&other).await.unwrap().is_none());
            drop(guard);
            assert_eq!(again.release().await.unwrap(), Some(Release::Released));
        });
        assert!(client.visits.is_empty());
    }
}
