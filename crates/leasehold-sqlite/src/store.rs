//! [`SqliteStore`]: the store.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, LostReason, Release, Renewal, Result,
    ServerInfo, Snapshot, Standing, Store, Wake,
    store_kit::{Explain, Topic},
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

    /// Runs a verb in a transaction.
    async fn execute<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Txn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.client.state.check_open()?;
        self.client.transport.execute(work).await
    }

    async fn claim_one(&self, claim: &Claim) -> Result<Standing> {
        CAPABILITY.admits(claim)?;
        self.client.state.check_open()?;
        self.client.ensure_session()?;
        let watched = self.client.transport.waiters.has(&Topic::Changes(claim.name.clone()));
        let claim = claim.clone();
        self.client.transport.execute(move |txn| verbs::claim(txn, &claim, watched)).await
    }

    /// Renews some claims in one transaction.
    async fn renew_some(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let refused: Vec<_> = claims.iter().map(|claim| CAPABILITY.admits(claim).err()).collect();
        let admitted = claims.iter().zip(&refused).filter(|(_, refused)| refused.is_none());
        let admitted: Vec<Claim> = admitted.map(|(claim, _)| claim.clone()).collect();
        let renewed = self.execute(move |txn| {
            admitted.iter().map(|claim| verbs::renew(txn, claim)).collect::<Result<Vec<_>>>()
        });
        let mut renewed = renewed.await.map(Vec::into_iter);
        let answer = refused.into_iter().zip(claims).map(|(refused, claim)| {
            let answer = match (refused, &mut renewed) {
                (Some(error), _) => Err(error),
                (None, Ok(renewed)) => Ok(renewed.next().expect("one answer for each admitted claim")),
                // No other process can see a hold in a file that is gone, so it is lost. An error would leave hope
                // until the deadline; this answer stops the work sooner.
                (None, Err(_)) if self.client.transport.has_moved() => Ok(Renewal::Gone(LostReason::Gone)),
                (None, Err(error)) => Err(error.clone()),
            };
            answer.explain("renew", &claim.name, &self.url)
        });
        answer.collect()
    }

    /// Reads locks.
    fn view<T>(&self, read: impl Fn(&mut Txn<'_>, &Waiters) -> Result<T>) -> Result<T> {
        self.client.state.check_open()?;
        let transport = &self.client.transport;
        transport.read(|txn| read(txn, &transport.waiters))
    }
}

impl Store for SqliteStore {
    fn capability(&self) -> &Capability {
        &CAPABILITY
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            self.client.state.check_open().explain_store("server-info", &self.url)?;
            Ok(ServerInfo {
                server: self.client.transport.paths.database.to_string_lossy().into(),
                lineage: None,
                // The end of the file that a restart of the machine may lose is void anyway: see `server_info`.
                remembers_for: Duration::MAX,
                wall_us: self.client.transport.env.wall_us(),
            })
        })
    }

    fn revalidation<'a>(&'a self, _seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    /// Runs on the calling thread in some tens of microseconds when nobody else is writing.
    ///
    /// # Cancel safety
    /// Dropped before it has begun, the claim is never made.
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.claim_one(claim).await.explain("claim", &claim.name, &self.url) })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(claims.len());
            for some in claims.chunks(RENEWALS_MAX) {
                answers.extend(self.renew_some(some).await);
            }
            answers
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move {
            let own = claim.clone();
            let released = self.execute(move |txn| verbs::release(txn, &own)).await;
            released.explain("release", &claim.name, &self.url)
        })
    }

    /// The first watch of a store starts its watching thread.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`](leasehold_core::ErrorKind) when the user has no inotify instance left.
    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move {
            let subscribed = self.client.subscribe(Topic::of(name, interest)).await;
            let subscription = subscribed.explain("watch", name, &self.url)?;
            Ok(Box::new(subscription) as Box<dyn Wake>)
        })
    }

    /// Reads without waiting for writers. The token is the counter of the whole file: no lower than any token of this
    /// lock, and below every later one.
    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move {
            self.view(|txn, waiters| verbs::inspect(txn, waiters, name)).explain("inspect", name, &self.url)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move {
            self.view(|txn, waiters| verbs::list(txn, waiters, prefix, limit))
                .explain_store("list", &self.url)
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move {
            let own = name.clone();
            let evicted = self.execute(move |txn| verbs::force_release(txn, &own)).await;
            evicted.explain("force-release", name, &self.url)
        })
    }

    /// Ends what is held by this client, removes its session file, ends its threads and closes its files.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](leasehold_core::ErrorKind) when a stopped process lets nobody write; what was held is
    /// free as soon as that process goes on, because others see that the session has ended.
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.client.close().await.explain_store("close", &self.url) })
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
