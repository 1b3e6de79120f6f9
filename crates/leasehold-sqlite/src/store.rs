//! [`SqliteStore`]: the store.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use leasehold_core::{
    Capability, Claim, Contender, Env, Interest, LockName, LostReason, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Wake,
    store_kit::{Explain, Topic, Verbs},
};

use crate::{SqliteOptions, capability::CAPABILITY, client::SqliteClient, txn::Txn, verbs, waiters::Waiters};

/// Locks in one SQLite file, shared by the processes of one machine. See the [crate].
///
/// Each value is a client of its own: what it claims with [`Binding::Client`](leasehold_core::Binding) ends when it is
/// closed or dropped, and when its process ends, however it ends.
pub struct SqliteStore {
    client: Arc<SqliteClient>,
    url: String,
}

/// The renewals that share a transaction: enough to make its cost small, few enough to let others in between.
const RENEWALS_MAX: usize = 256;

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
        let client = SqliteClient::open(path, env, options).explain_store("open", &url)?;
        Ok(SqliteStore { client: Arc::new(client), url })
    }

    /// Renews some claims in one transaction.
    async fn renew_some(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let own = claims.to_vec();
        let renew = |txn: &mut Txn<'_>, claim: &Claim| match CAPABILITY.admits(claim) {
            Ok(()) => verbs::renew(txn, claim).map(Ok),
            Err(refused) => Ok(Err(refused)),
        };
        let renew_all = move |txn: &mut Txn<'_>| own.iter().map(|claim| renew(txn, claim)).collect();
        match self.client.transport.execute(renew_all).await {
            Ok(renewed) => renewed,
            // No other process can see a hold in a file that is gone, so it is lost. An error would leave hope
            // until the deadline; this answer stops the work sooner.
            Err(_) if self.client.transport.has_moved() => {
                vec![Ok(Renewal::Gone(LostReason::Gone)); claims.len()]
            }
            Err(error) => vec![Err(error); claims.len()],
        }
    }

    /// Reads locks.
    fn view<T>(&self, read: impl Fn(&mut Txn<'_>, &Waiters) -> Result<T>) -> Result<T> {
        let transport = &self.client.transport;
        transport.read(|txn| read(txn, &transport.waiters))
    }
}

impl Verbs for SqliteStore {
    fn capability(&self) -> &Capability {
        &CAPABILITY
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn check_open(&self) -> Result<()> {
        self.client.state.check_open()
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        Ok(ServerInfo {
            server: self.client.transport.paths.database.to_string_lossy().into(),
            lineage: None,
            // The end of the file that a restart of the machine may lose is void anyway: see `server_info`.
            remembers_for: Duration::MAX,
            wall_us: self.client.transport.env.wall_us(),
        })
    }

    async fn revalidation(&self, _seen: &mut u64) {
        std::future::pending().await
    }

    /// Runs on the calling thread in some tens of microseconds when nobody else is writing. Dropped before it has begun,
    /// the claim is never made.
    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        self.client.ensure_session()?;
        let watched = self.client.transport.waiters.has(&Topic::Changes(claim.name.clone()));
        let claim = claim.clone();
        self.client.transport.execute(move |txn| verbs::claim(txn, &claim, watched)).await
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
        self.client.transport.execute(move |txn| verbs::release(txn, &own)).await
    }

    /// The first watch of a store starts its watching thread. Fails with
    /// [`ErrorKind::Exhausted`](leasehold_core::ErrorKind) when the user has no inotify instance left.
    async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        Ok(Box::new(self.client.subscribe(Topic::of(name, interest)).await?))
    }

    /// Reads without waiting for writers. The token is the counter of the whole file: no lower than any token of this
    /// lock, and below every later one.
    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        self.view(|txn, waiters| verbs::inspect(txn, waiters, name))
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        self.view(|txn, waiters| verbs::list(txn, waiters, prefix, limit))
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let own = name.clone();
        self.client.transport.execute(move |txn| verbs::force_release(txn, &own)).await
    }

    /// Ends what is held by this client, removes its session file, ends its threads and closes its files. Fails with
    /// [`ErrorKind::TimedOut`](leasehold_core::ErrorKind) when a stopped process lets nobody write; what was held is free
    /// as soon as that process goes on, because others see that the session has ended.
    async fn close(&self) -> Result<()> {
        self.client.close().await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.client.close_later();
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteStore").field(&self.url).finish()
    }
}
