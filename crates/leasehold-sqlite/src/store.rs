//! [`SqliteStore`]: the store.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use leasehold_core::{
    Capability, Claim, Contender, Env, Interest, LockName, LostReason, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Wake,
    store_kit::{ClientState, Explain, Locked, Topic, Verbs},
};

use crate::{
    capability::CAPABILITY,
    options::SqliteOptions,
    platform::{Events, Thread, platform},
    session::Liveness,
    transport::Transport,
    txn::Txn,
    verbs,
    waiters::{wake, woken},
};

/// Locks in one SQLite file, shared by the processes of one machine. See the [crate].
///
/// Each value is a client of its own: what it claims with [`Binding::Client`](leasehold_core::Binding) ends when it is
/// closed or dropped, and when its process ends, however it ends.
pub struct SqliteStore {
    transport: Arc<Transport>,
    /// The watching thread.
    watching: Locked<Option<Thread>>,
}

/// The renewals that share a transaction: enough to make its cost small, few enough to let others in between.
const RENEWALS_MAX: usize = 256;
/// The dead sessions that one new session ends.
const REAPED_MAX: usize = 64;

impl SqliteStore {
    /// The capability of every store of this kind, known before one is opened.
    pub const CAPABILITY: Capability = CAPABILITY;

    /// Opens the database at `path`, and makes it if there is none.
    ///
    /// Blocks for the time of some file operations (milliseconds when the file is made).
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`](leasehold_core::ErrorKind) on a network file system,
    /// [`ErrorKind::Corrupt`](leasehold_core::ErrorKind) when the file is another program's, damaged, or of a newer
    /// version (it is left as it is), [`ErrorKind::Unreachable`](leasehold_core::ErrorKind) when the directory is missing
    /// or not writable, [`ErrorKind::TimedOut`](leasehold_core::ErrorKind) when the file must be made or carried over a
    /// restart and a stopped process keeps it locked.
    pub fn open(path: impl AsRef<Path>, env: Env) -> Result<SqliteStore> {
        SqliteStore::open_with(path, env, SqliteOptions::default())
    }

    /// Opens the database with other options.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(path: impl AsRef<Path>, env: Env, options: SqliteOptions) -> Result<SqliteStore> {
        let path = path.as_ref();
        let url = format!("sqlite:{}", path.display());
        let transport = Arc::new(Transport::open(path, &url, env, options).explain_store("open", &url)?);
        Ok(SqliteStore { transport, watching: Locked::default() })
    }

    /// Makes the session at its first use, so that read-only use leaves no file; then ends what dead sessions have left.
    fn ensure_session(&self) -> Result<()> {
        let transport = &self.transport;
        if transport.sessions.open(&transport.env)? {
            let dead = transport.sessions.having(Liveness::Dead).take(REAPED_MAX);
            dead.for_each(|dead| transport.reap_later(dead));
        }
        Ok(())
    }

    fn ensure_watcher(&self) -> Result<()> {
        let mut watching = self.watching.lock();
        if watching.is_none()
            && let Some(own) = self.transport.sessions.own()
        {
            let watcher = platform().watch(&self.transport.paths.session(own))?;
            let (transport, running) = (self.transport.clone(), watcher.clone());
            // A thread of its own because it blocks in poll(2), on whatever runtime the callers are.
            let watch = move || running.run(&|events| handle(&transport, events));
            *watching = Some(Thread::spawn("leasehold-watch", watch)?);
            self.transport.sessions.set_watcher(Some(watcher));
        }
        Ok(())
    }

    /// Renews some claims in one transaction.
    async fn renew_some(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let own = claims.to_vec();
        let renew = |txn: &mut Txn<'_>, claim: &Claim| verbs::renew(txn, claim).map(Ok);
        let renew_all = move |txn: &mut Txn<'_>| own.iter().map(|claim| renew(txn, claim)).collect();
        match self.transport.execute(renew_all).await {
            Ok(renewed) => renewed,
            // No other process can see a hold in a file that is gone, so it is lost. An error would leave hope
            // until the deadline; this answer stops the work sooner.
            Err(_) if self.transport.has_moved() => {
                vec![Ok(Renewal::Gone(LostReason::Gone)); claims.len()]
            }
            Err(error) => vec![Err(error); claims.len()],
        }
    }

    /// Ends new requests and all subscriptions; `true` for the first call.
    fn shut(&self) -> bool {
        let first = self.transport.state.close();
        self.transport.waiters.close(&ClientState::closed_error());
        first
    }

    fn stop_threads(&self) {
        self.transport.stop();
        if let Some(watcher) = self.transport.sessions.set_watcher(None) {
            watcher.stop();
        }
    }
}

impl Verbs for SqliteStore {
    fn state(&self) -> &ClientState {
        &self.transport.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        Ok(ServerInfo {
            server: self.transport.paths.database.to_string_lossy().into(),
            lineage: None,
            // The end of the file that a restart of the machine may lose is void anyway: see `server_info`.
            remembers_for: Duration::MAX,
            wall_us: self.transport.env.wall_us(),
        })
    }

    /// Runs on the calling thread in some tens of microseconds when nobody else is writing. Dropped before it has begun,
    /// the claim is never made.
    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        self.ensure_session()?;
        let watched = self.transport.waiters.has(&Topic::Changes(claim.name.clone()));
        let claim = claim.clone();
        self.transport.execute(move |txn| verbs::claim(txn, &claim, watched)).await
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let mut answers = Vec::with_capacity(claims.len());
        for some in claims.chunks(RENEWALS_MAX) {
            answers.extend(self.renew_some(some).await);
        }
        answers
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        let own = claim.clone();
        self.transport.execute(move |txn| verbs::release(txn, &own)).await
    }

    /// The first watch of a store starts its watching thread. Fails with
    /// [`ErrorKind::Exhausted`](leasehold_core::ErrorKind) when the user has no inotify instance left.
    async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        self.ensure_session()?;
        self.ensure_watcher()?;
        let transport = self.transport.clone();
        let subscription = transport.waiters.subscribe(Topic::of(name, interest));
        let subscription = subscription.when_last_ends(move |topic| unwatch_later(&transport, topic));
        if interest == Interest::Changes {
            let name = name.clone();
            self.transport.execute(move |txn| verbs::watch(txn, &name)).await?;
        }
        Ok(Box::new(subscription))
    }

    /// Reads without waiting for writers. The token is the counter of the whole file: no lower than any token of this
    /// lock, and below every later one.
    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        self.transport.read(|txn| verbs::inspect(txn, &self.transport.waiters, name))
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        self.transport.read(|txn| verbs::list(txn, &self.transport.waiters, prefix, limit))
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let own = name.clone();
        self.transport.execute(move |txn| verbs::force_release(txn, &own)).await
    }

    /// Ends what is held by this client, removes its session file, ends its threads and closes its files. Fails with
    /// [`ErrorKind::TimedOut`](leasehold_core::ErrorKind) when a stopped process lets nobody write; what was held is free
    /// as soon as that process goes on, because others see that the session has ended.
    async fn close(&self) -> Result<()> {
        if !self.shut() {
            return Ok(());
        }
        let sessions = &self.transport.sessions;
        let ended = match sessions.own() {
            Some(_) => self.transport.execute(verbs::end_own_session).await,
            None => Ok(()),
        };
        sessions.close(ended.is_ok());
        self.stop_threads();
        let watching = self.watching.lock().take();
        ended.and(self.transport.close(watching).await)
    }
}

/// Closes in the background a store that was not closed.
impl Drop for SqliteStore {
    fn drop(&mut self) {
        if !self.shut() {
            return;
        }
        if self.transport.sessions.own().is_some() {
            let transport = Arc::downgrade(&self.transport);
            self.transport.execute_later(move |txn| {
                verbs::end_own_session(txn).inspect(|()| {
                    if let Some(transport) = transport.upgrade() {
                        transport.sessions.close(true);
                    }
                })
            });
        }
        self.stop_threads();
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteStore").field(&self.transport.state.url).finish()
    }
}

/// Ends the subscription of this session to a lock, unless a newer one of this process needs it.
fn unwatch_later(transport: &Arc<Transport>, topic: Topic) {
    let waiters = transport.waiters.clone();
    if let Topic::Changes(name) = topic
        && !transport.state.is_closed()
    {
        transport.execute_later(move |txn| {
            if waiters.has(&Topic::Changes(name.clone())) { Ok(()) } else { verbs::unwatch(txn, &name) }
        });
    }
}

/// Wakes the waiters that other processes have marked, and ends the sessions of dead processes.
fn handle(transport: &Arc<Transport>, events: Events) {
    if events.notified
        && let Some(session) = transport.sessions.own()
    {
        match transport.read(|txn| woken(txn, session)) {
            Ok(woken) => woken.iter().for_each(|(topic, count)| wake(&transport.waiters, topic, *count)),
            Err(error) => {
                tracing::debug!(%error, "all waiters are woken, because the marked ones cannot be read");
                transport.waiters.wake_all();
            }
        }
    }
    for session in events.closed {
        if transport.sessions.has_ended(session) {
            transport.reap_later(session);
        }
    }
}
