//! [`Client`]: one connection to one lock system.

use std::{fmt, sync::Arc, time::Duration};

use leasehold_core::{
    Capability, Claim, ClaimId, Contender, Engine, Env, Error, LockName, LockOptions, Mode, Release, Result,
    Sequencer, Session, Snapshot, Stance, Store, Ticket, engine::LockWatcher,
};

use crate::{
    CountDownLatch, Election, MultiLock, Mutex, MutexGuard, Note, OncePer, ReentrantMutex, RwLock, Semaphore,
    Slot, block_on,
    locks::{LockSpec, blocking, option_methods, owners::OwnerTable},
    url::StoreUrl,
};

/// A client of one store. Clones are the same client: one session, one watchdog.
///
/// The option methods set the defaults of the locks that it makes from then on. Methods that take a name accept text
/// and a [`LockName`], which is not checked again.
///
/// Guards that are dropped are released in the background: [`close`](Client::close) a client before the process ends, or
/// the store may keep their locks until the ttl.
///
/// In a child that was forked from its process, every call fails at once: connect after the fork.
#[derive(Clone)]
pub struct Client {
    pub(crate) engine: Engine,
    pub(crate) owners: OwnerTable,
    options: LockOptions,
}

option_methods!(Client);

impl Client {
    /// Connects to the store of a URL: text, or a [`StoreUrl`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
    /// use std::time::Duration;
    /// let locks = leasehold::Client::connect("memory:?ttl=10s").await?;
    /// assert_eq!(locks.options().ttl, Duration::from_secs(10));
    /// let locks = locks.ttl(Duration::from_secs(5)).fair();       // for all locks that it makes from now on
    /// # let _ = locks; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) for a bad URL or a ttl that the store cannot keep;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) for a store that is not built in; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn connect(url: impl TryInto<StoreUrl, Error: Into<Error>>) -> Result<Client> {
        let url: StoreUrl = url.try_into().map_err(Into::into)?;
        let env = Env::system()?;
        let client = Client::new(url.open(&env).await?, env).change(|options| {
            options.ttl = url.options().ttl().unwrap_or(options.ttl);
            options.retry_timeout = url.options().timeout().unwrap_or(options.retry_timeout);
        });
        client.build().map_err(|error| error.store(url.to_string()))
    }

    /// [`Client::connect`] without async: the thread blocks.
    ///
    /// # Errors
    /// As [`Client::connect`]; [`ErrorKind::WouldDeadlock`](crate::ErrorKind) in an async task.
    pub fn blocking_connect(url: impl TryInto<StoreUrl, Error: Into<Error>>) -> Result<Client> {
        block_on::wait(Client::connect(url))
    }

    /// Makes a client of a store of your own, on the clock of `env`: [`Env::system`], or a virtual one in tests. Its locks live for
    /// 30 s, or for the longest time that the store can keep.
    pub fn new(store: Arc<dyn Store>, env: Env) -> Client {
        let note = Some(Note::of_this_process().to_string().into());
        let (mut options, capability) = (LockOptions::default(), store.capability());
        (options.note, options.ttl) = (note, options.ttl.clamp(capability.ttl_min, capability.ttl_max));
        Client { engine: Engine::new(store, env), owners: OwnerTable::default(), options }
    }

    fn change(mut self, change: impl FnOnce(&mut LockOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Checks the options now instead of when a lock is made.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) and [`ErrorKind::Unsupported`](crate::ErrorKind) for options that the
    /// store cannot keep.
    pub fn build(self) -> Result<Self> {
        let claim = Claim::new(LockName::new("x")?, ClaimId::from_bits(0), self.options.ttl);
        self.capability().admits(&claim)?;
        self.engine.admits(&claim.name, Mode::Exclusive, &self.options).map(|()| self)
    }

    /// Groups locks in the metrics: the rule makes the label `lock.group` of a name. Its values must be few, for each makes a
    /// series of its own; names are no labels. The first rule of a client counts.
    #[must_use]
    pub fn group_by(self, rule: impl Fn(&LockName) -> String + Send + Sync + 'static) -> Self {
        self.engine.group_by(rule);
        self
    }

    /// The options of the locks that it makes.
    pub fn options(&self) -> &LockOptions {
        &self.options
    }

    /// The capability of the store.
    pub fn capability(&self) -> &Capability {
        self.engine.store().capability()
    }

    /// The URL of the store, without passwords.
    pub fn url(&self) -> &str {
        self.engine.store().url()
    }

    /// The clock that deadlines are measured on.
    pub fn env(&self) -> &Env {
        self.engine.env()
    }

    /// The number of claims that it holds, asks for or releases at this moment.
    pub fn claims_alive(&self) -> usize {
        self.engine.claims_alive()
    }

    /// Describes a mutual exclusion lock. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind) for a bad name, or options of the client that the store cannot keep;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) for a kind of lock or an option that the store lacks.
    pub fn mutex(&self, name: impl TryInto<LockName, Error: Into<Error>>) -> Result<Mutex> {
        self.spec(name, Mode::Exclusive).map(Mutex::new)
    }

    /// Describes a readers-writer lock. A mutex of the same name is its writer side.
    ///
    /// # Errors
    /// As [`Client::mutex`].
    pub fn rw_lock(&self, name: impl TryInto<LockName, Error: Into<Error>>) -> Result<RwLock> {
        self.spec(name, Mode::Shared).map(RwLock::new)
    }

    /// Describes a semaphore. All users of the name must state the same number of permits.
    ///
    /// # Errors
    /// As [`Client::mutex`]; also for 0 permits.
    pub fn semaphore(
        &self,
        name: impl TryInto<LockName, Error: Into<Error>>,
        permits: u32,
    ) -> Result<Semaphore> {
        let spec = self.spec(name, Mode::Permits { take: 1, of: permits })?;
        Ok(Semaphore::new(spec, permits))
    }

    /// Describes a mutex that its owner may lock again. It is the same lock as the mutex of this name.
    ///
    /// # Errors
    /// As [`Client::mutex`].
    pub fn reentrant_mutex(
        &self,
        name: impl TryInto<LockName, Error: Into<Error>>,
    ) -> Result<ReentrantMutex> {
        self.spec(name, Mode::Exclusive).map(ReentrantMutex::new)
    }

    /// Describes several locks that are held together. Names may come in any order and more than once.
    ///
    /// # Errors
    /// As [`Client::mutex`]; also for no names, and for more than [`MultiLock::NAMES_MAX`].
    pub fn multi_lock<N>(&self, names: impl IntoIterator<Item = N>) -> Result<MultiLock>
    where
        N: TryInto<LockName, Error: Into<Error>>,
    {
        MultiLock::new(names.into_iter().map(|name| self.spec(name, Mode::Exclusive)))
    }

    /// Describes an election.
    ///
    /// # Errors
    /// As [`Client::mutex`].
    pub fn election(&self, name: impl TryInto<LockName, Error: Into<Error>>) -> Result<Election> {
        self.spec(name, Mode::Exclusive).map(Election::new)
    }

    /// Describes a latch that opens after `count` arrivals. All users of the name must state the same number.
    ///
    /// # Errors
    /// As [`Client::mutex`]; also for a count of 0.
    pub fn count_down_latch(
        &self,
        name: impl TryInto<LockName, Error: Into<Error>>,
        count: u32,
    ) -> Result<CountDownLatch> {
        CountDownLatch::new(self.spec(name, Mode::Permits { take: 1, of: count })?, count)
    }

    /// Describes a job that runs once per slot on the whole fleet.
    ///
    /// # Errors
    /// As [`Client::mutex`]; also for a slot of no length.
    pub fn once_per(&self, job: impl AsRef<str>, slot: Slot) -> Result<OncePer> {
        OncePer::new(self.unchecked_spec(LockName::new("x")?, Mode::Exclusive), job.as_ref(), slot)
    }

    /// The state of the client's session with its store: safe, in jeopardy before anything is lost, or expired. A value to
    /// watch, for all leases together; each has a [`Status`](crate::session::Status) of its own. No I/O.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
    /// use leasehold::session::SessionState;
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

    /// Takes over the hold of a ticket.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind) when it has ended; [`ErrorKind::Mismatch`](crate::ErrorKind) when the
    /// ticket is not one of a mutex; those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the hold without a guard until its ttl.
    pub async fn adopt(&self, ticket: &Ticket) -> Result<MutexGuard> {
        let hold = self.engine.adopt(ticket, &self.options).await?;
        Ok(MutexGuard::new(hold))
    }

    /// Ends the hold of a ticket.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Repeat it when in doubt.
    pub async fn release(&self, ticket: &Ticket) -> Result<Release> {
        self.engine.release_ticket(ticket).await
    }

    /// Holders and waiters of a lock, as the store knew them a moment ago.
    ///
    /// # Errors
    /// Those of the store; a bad name.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self, name: impl TryInto<LockName, Error: Into<Error>>) -> Result<Snapshot> {
        self.engine.inspect(&name.try_into().map_err(Into::into)?).await
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

    /// A watcher of a lock, for its changes as the store pushes them. No I/O until it is asked.
    ///
    /// # Errors
    /// A bad name.
    pub fn watcher(&self, name: impl TryInto<LockName, Error: Into<Error>>) -> Result<LockWatcher> {
        let name = name.try_into().map_err(Into::into)?;
        Ok(LockWatcher::new(&self.engine, &name, self.options.retry_timeout))
    }

    /// Ends all holds of a lock and raises its fencing counter, so that late writes of the evicted holders are refused.
    ///
    /// # Errors
    /// Those of the store; a bad name.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn force_release(
        &self,
        name: impl TryInto<LockName, Error: Into<Error>>,
    ) -> Result<Vec<Contender>> {
        self.engine.force_release(&name.try_into().map_err(Into::into)?).await
    }

    /// Asks the store whether the grant that a sequencer states still holds the lock.
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

    /// Ends the client: its leases are lost and released, and releases under way are awaited for at most `wait`.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](crate::ErrorKind) when releases were still under way.
    pub async fn close(&self, wait: Duration) -> Result<()> {
        self.engine.close(wait).await
    }

    pub(crate) fn spec(
        &self,
        name: impl TryInto<LockName, Error: Into<Error>>,
        mode: Mode,
    ) -> Result<LockSpec> {
        let spec = self.unchecked_spec(name.try_into().map_err(Into::into)?, mode);
        spec.check().map(|()| spec)
    }

    fn unchecked_spec(&self, name: LockName, mode: Mode) -> LockSpec {
        let (engine, owners) = (self.engine.clone(), self.owners.clone());
        LockSpec { engine, owners, name, mode, options: self.options.clone(), observer: None }
    }
}

blocking!(Client, self: [&self] {
    blocking_adopt = adopt(ticket: &Ticket) -> MutexGuard;
    blocking_release = release(ticket: &Ticket) -> Release;
    blocking_inspect = inspect(name: impl TryInto<LockName, Error: Into<Error>>) -> Snapshot;
    blocking_list = list(prefix: &str, limit: usize) -> Vec<Snapshot>;
    blocking_force_release = force_release(name: impl TryInto<LockName, Error: Into<Error>>) -> Vec<Contender>;
    blocking_check = check(sequencer: &Sequencer) -> bool;
    blocking_close = close(wait: Duration) -> ();
});

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("engine", &self.engine).field("options", &self.options).finish()
    }
}
