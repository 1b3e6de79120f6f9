//! [`Client`]: one connection to one lock system.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Engine, Env, LockName, LockOptions, Mode, Result, Sequencer, Session, Snapshot, Stance,
    Store, Ticket, Wait,
    engine::{LockWatcher, Observer},
};

use crate::{
    Contender, CountDownLatch, Election, MultiLock, Mutex, MutexGuard, Note, OncePer, ReentrantMutex,
    Release, RwLock, Semaphore, Slot, StoreUrl, reentrant_mutex::OwnerTable,
};

/// A client of one store. Clones are the same client: one session, one watchdog.
///
/// A process must not `fork` and go on using it in both halves: connect after the fork.
#[derive(Clone)]
pub struct Client {
    engine: Engine,
    terms: LockOptions,
    pub(crate) visits: OwnerTable,
}

impl Client {
    /// Connects to the store of a [`StoreUrl`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
    /// let locks = leasehold::Client::connect("memory:?ttl=10s").await?;
    /// assert_eq!(locks.terms().ttl, std::time::Duration::from_secs(10));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) for a bad URL, [`ErrorKind::Unsupported`](crate::ErrorKind) for a store
    /// that is not built in; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn connect(url: &str) -> Result<Client> {
        Client::connect_with(url, |terms| terms).await
    }

    /// As [`Client::connect`], with other terms than the usual ones and those of the URL.
    ///
    /// # Errors
    /// As [`Client::connect`]; also for terms that the store cannot keep.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn connect_with(url: &str, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Client> {
        Client::connect_to(&StoreUrl::parse(url)?, change).await
    }

    /// As [`Client::connect_with`], for a URL that has been read.
    ///
    /// # Errors
    /// As [`Client::connect_with`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn connect_to(
        url: &StoreUrl,
        change: impl FnOnce(LockOptions) -> LockOptions,
    ) -> Result<Client> {
        let env = Env::system()?;
        let store = url.open(&env).await?;
        let client = Client::with_env(store, env).with_terms(|terms| {
            let patience = url.options().timeout().unwrap_or(terms.patience);
            let ttl = url.options().ttl().unwrap_or(terms.ttl);
            change(terms.ttl(ttl).patience(patience))
        });
        // Better told now than at the first lock.
        let probe = LockName::new("x")?;
        let kept = client.engine.store().capability();
        kept.admits(&Claim::new(probe, ClaimId::from_bits(0), client.terms.ttl))
            .map_err(|error| error.store(url.to_string()))?;
        Ok(client)
    }

    /// Makes a client of a store of your own, in the machine's own [`Env`].
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`](crate::ErrorKind) when the background threads cannot be started.
    pub fn with_store(store: impl Store) -> Result<Client> {
        Ok(Client::with_env(Arc::new(store), Env::system()?))
    }

    /// Makes a client of a store in another world: a virtual clock, for tests.
    pub fn with_env(store: Arc<dyn Store>, env: Env) -> Client {
        let note = Note::of_this_process().to_string();
        Client {
            engine: Engine::new(store, env),
            terms: LockOptions::default().note(note),
            visits: OwnerTable::default(),
        }
    }

    /// The same client with other terms for the locks that it makes from now on.
    #[must_use]
    pub fn with_terms(mut self, change: impl FnOnce(LockOptions) -> LockOptions) -> Client {
        self.terms = change(self.terms);
        self
    }

    /// The terms of the locks that it makes.
    pub fn terms(&self) -> &LockOptions {
        &self.terms
    }

    /// Describes a mutual exclusion lock. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) for a bad name or terms that the store cannot keep,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) for what it lacks.
    pub fn mutex(&self, name: impl AsRef<str>) -> Result<Mutex> {
        Mutex::new(self.describe(name, Mode::Exclusive)?)
    }

    /// Describes a readers-writer lock. A mutex of the same name is its writer side.
    ///
    /// # Errors
    /// As [`Client::mutex`].
    pub fn rw_lock(&self, name: impl AsRef<str>) -> Result<RwLock> {
        RwLock::new(self.describe(name, Mode::Shared)?)
    }

    /// Describes a semaphore of `permits` places. All users of the name must state the same number.
    ///
    /// # Errors
    /// As [`Client::mutex`]; also for 0 permits.
    pub fn semaphore(&self, name: impl AsRef<str>, permits: u32) -> Result<Semaphore> {
        Semaphore::new(self.describe(name, Mode::Permits { take: 1, of: permits })?, permits)
    }

    /// Describes a mutex that its owner may lock again. It is the same lock as the mutex of this name.
    ///
    /// # Errors
    /// As [`Client::mutex`].
    pub fn reentrant_mutex(&self, name: impl AsRef<str>) -> Result<ReentrantMutex> {
        self.describe(name, Mode::Exclusive).map(ReentrantMutex::new)
    }

    /// Describes several locks that are held together. Names may come in any order and more than once.
    ///
    /// # Errors
    /// As [`Client::mutex`]; also for no names, and for more than [`MultiLock::NAMES_MAX`].
    pub fn multi_lock<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<MultiLock> {
        MultiLock::new(self, names)
    }

    /// Describes an election.
    ///
    /// # Errors
    /// As [`Client::mutex`].
    pub fn election(&self, name: impl AsRef<str>) -> Result<Election> {
        self.describe(name, Mode::Exclusive).map(Election::new)
    }

    /// Describes a latch that opens after `count` arrivals. All users of the name must state the same number.
    ///
    /// # Errors
    /// As [`Client::mutex`]; also for a count of 0.
    pub fn count_down_latch(&self, name: impl AsRef<str>, count: u32) -> Result<CountDownLatch> {
        CountDownLatch::new(self.describe(name, Mode::Permits { take: 1, of: count })?, count)
    }

    /// Describes a job that runs once per slot on the whole fleet.
    ///
    /// # Errors
    /// As [`Client::mutex`]; also for a slot of no length.
    pub fn once_per(&self, job: impl AsRef<str>, slot: Slot) -> Result<OncePer> {
        OncePer::new(self, job.as_ref(), slot)
    }

    /// How this client stands with its store: safe, in jeopardy before anything is lost, or expired. A value to watch,
    /// for all leases together; each has a [`Status`](crate::Status) of its own. No I/O.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
    /// use leasehold::SessionState;
    /// let locks = leasehold::Client::connect("memory:").await?;
    /// let mut session = locks.session();
    /// let guard = locks.mutex("session")?.lock().await?;
    /// assert_eq!(session.state(), SessionState::Safe);
    /// locks.force_release("session").await?;                       // what an operator may do
    /// assert!(guard.confirm().await.is_err());
    /// assert_eq!(session.changed().await, SessionState::Expired);  // stop what goes on under lost guards
    /// drop(guard);
    /// let guard = locks.mutex("session")?.lock().await?;
    /// assert_eq!(session.changed().await, SessionState::Safe);
    /// # guard.release().await?; Ok(()) }
    /// ```
    pub fn session(&self) -> Session {
        self.engine.session()
    }

    /// Takes over the hold that a ticket stands for.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind) when it has ended; [`ErrorKind::Mismatch`](crate::ErrorKind) when the
    /// ticket is not one of a mutex; those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the hold without a guard until its ttl.
    pub async fn adopt(&self, ticket: &Ticket) -> Result<MutexGuard> {
        let hold = self.engine.adopt(ticket, &self.terms).await?;
        Ok(MutexGuard::new(hold))
    }

    /// Ends the hold that a ticket stands for.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Repeat it when in doubt.
    pub async fn release(&self, ticket: &Ticket) -> Result<Release> {
        self.engine.release_ticket(ticket).await
    }

    /// Who holds a lock and who waits for it.
    ///
    /// # Errors
    /// Those of the store; a bad name.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self, name: impl AsRef<str>) -> Result<Snapshot> {
        self.engine.inspect(&LockName::new(name)?).await
    }

    /// The locks in use whose names begin with `prefix`, at most `limit`.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        self.engine.list(prefix, limit).await
    }

    /// Throws out whoever holds a lock, and raises its fencing counter, so that their late writes are refused.
    ///
    /// # Errors
    /// Those of the store; a bad name.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn force_release(&self, name: impl AsRef<str>) -> Result<Vec<Contender>> {
        self.engine.force_release(&LockName::new(name)?).await
    }

    /// Whether the grant that a sequencer speaks of still holds the lock, by the store's word.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn check(&self, sequencer: &Sequencer) -> Result<bool> {
        let snapshot = self.engine.inspect(sequencer.name()).await?;
        Ok(snapshot.holders.iter().any(|holder| {
            holder.stance == Stance::Holding
                && holder.fence == Some(sequencer.fencing_token())
                && holder.mode == Some(sequencer.mode())
        }))
    }

    /// Ends the client: what it still holds is lost and released, and what is being released is awaited for at most
    /// `patience`.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](crate::ErrorKind) when releases were still under way.
    pub async fn close(&self, patience: Duration) -> Result<()> {
        self.engine.close(patience).await
    }

    /// The engine, for primitives of your own.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn describe(&self, name: impl AsRef<str>, mode: Mode) -> Result<LockSpec> {
        let description = LockSpec {
            client: self.clone(),
            name: LockName::new(name)?,
            mode,
            terms: self.terms.clone(),
            observer: None,
        };
        description.admitted()
    }
}

/// What every lock is made of: a name, a mode and terms, on a client.
#[derive(Clone)]
pub(crate) struct LockSpec {
    pub(crate) client: Client,
    pub(crate) name: LockName,
    pub(crate) mode: Mode,
    pub(crate) terms: LockOptions,
    pub(crate) observer: Option<Observer>,
}

impl LockSpec {
    pub(crate) fn with_terms(mut self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Self> {
        self.terms = change(self.terms);
        self.admitted()
    }

    pub(crate) fn admitted(self) -> Result<Self> {
        self.client.engine.admits(&self.name, self.mode, &self.terms)?;
        Ok(self)
    }

    pub(crate) async fn acquire(&self, mode: Mode, wait: Wait) -> Result<Option<leasehold_core::Hold>> {
        self.client.engine.acquire(&self.name, mode, &self.terms, wait, self.observer.as_ref()).await
    }

    pub(crate) async fn acquire_forever(&self, mode: Mode) -> Result<leasehold_core::Hold> {
        match self.acquire(mode, Wait::Forever).await? {
            Some(hold) => Ok(hold),
            None => Err(leasehold_core::Error::new(
                leasehold_core::ErrorKind::Closed,
                "waiting for ever has ended",
            )),
        }
    }

    pub(crate) fn follow(&self) -> LockWatcher {
        LockWatcher::new(&self.client.engine, &self.name, self.terms.patience)
    }

    pub(crate) async fn inspect(&self) -> Result<Snapshot> {
        self.client.engine.inspect(&self.name).await
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("engine", &self.engine).field("terms", &self.terms).finish()
    }
}

impl std::fmt::Debug for LockSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockSpec")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("terms", &self.terms)
            .field("store", &self.client.engine.store().url())
            .finish()
    }
}
