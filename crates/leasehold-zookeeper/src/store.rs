//! [`ZooKeeperStore`]: the store behind the trait.

use std::{fmt, sync::Arc};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Store, Wake,
};

use crate::{
    client::ClientState,
    options::ZooKeeperOptions,
    reaper,
    verbs::{claim, inspect, release, renew},
    watcher,
};

/// A client of a ZooKeeper ensemble, with one session for all its locks.
///
/// Nothing is ever sent twice: a request whose answer was lost is an error that says "it may have taken effect", and
/// the engine asks again by the claim's id.
pub struct ZooKeeperStore {
    pub(crate) shared: Arc<ClientState>,
    url: String,
}

impl ZooKeeperStore {
    /// A client of this ensemble. No I/O: the first verb connects. Where the servers make shorter sessions than
    /// [`ZooKeeperOptions::session`], they grant shorter leases than they are asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for options that make no sense.
    pub fn new(options: ZooKeeperOptions, env: Env) -> Result<Self> {
        let shared = ClientState::new(&options, env.clone());
        let shared = shared.map_err(|error| error.verb("connect").store(&*options.url))?;
        Ok(ZooKeeperStore::over(shared, options, &env))
    }

    /// Connects, because how long locks may last is agreed on with the servers: [`Capability::ttl_max`] says it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for options that make no sense, `Unreachable` when no member
    /// serves, `Rejected` for a login that is not accepted. Nothing is written.
    ///
    /// # Cancel safety
    /// Cancel safe: a session that is made too late is closed at once.
    pub async fn open(options: ZooKeeperOptions, env: Env) -> Result<Self> {
        let opened = ClientState::open(&options, env.clone()).await;
        let shared = opened.map_err(|error| error.verb("connect").store(&*options.url))?;
        Ok(ZooKeeperStore::over(shared, options, &env))
    }

    fn over(shared: ClientState, options: ZooKeeperOptions, env: &Env) -> Self {
        let shared = Arc::new(shared);
        env.spawn(reaper::run(Arc::downgrade(&shared), shared.registry.clone(), env.clone()));
        ZooKeeperStore { shared, url: options.url }
    }

    async fn watch_now(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        let shared = &self.shared;
        shared.link.refuse_closed()?;
        match interest {
            // What there is to be watched is known when the claim is answered.
            Interest::Turn(id) => Ok(Box::new(shared.hear(id).await)),
            Interest::Changes => {
                let live = shared.link.ready().await?;
                Ok(Box::new(watcher::changes(shared, &live, name).await?))
            }
        }
    }

    /// Names verb, lock and store in an error.
    pub(crate) fn explain<T>(&self, result: Result<T>, verb: &'static str, name: &LockName) -> Result<T> {
        result.map_err(|error| error.verb(verb).lock(name).store(&*self.url))
    }

    fn explain_all<T>(&self, result: Result<T>, verb: &'static str) -> Result<T> {
        result.map_err(|error| error.verb(verb).store(&*self.url))
    }
}

impl Store for ZooKeeperStore {
    fn capability(&self) -> &Capability {
        &self.shared.capability
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async { self.explain_all(inspect::server_info(&self.shared).await, "vitals") })
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.shared.link.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.explain(claim::claim(&self.shared, claim).await, "claim", &claim.name) })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let answers = renew::renew(&self.shared, claims).await;
            let named = answers.into_iter().zip(claims);
            named.map(|(answer, claim)| self.explain(answer, "renew", &claim.name)).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(
            async move { self.explain(release::release(&self.shared, claim).await, "release", &claim.name) },
        )
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.explain(self.watch_now(name, interest).await, "watch", name) })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move { self.explain(inspect::inspect(&self.shared, name).await, "inspect", name) })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move { self.explain_all(inspect::list(&self.shared, prefix, limit).await, "list") })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move {
            self.explain(inspect::force_release(&self.shared, name).await, "force-release", name)
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.shared.link.close().await;
            Ok(())
        })
    }
}

impl fmt::Debug for ZooKeeperStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ZooKeeperStore").field(&self.url).finish()
    }
}
