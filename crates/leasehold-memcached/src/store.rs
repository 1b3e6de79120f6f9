//! [`MemcachedStore`]: the store behind the trait.

use std::{fmt, sync::Arc};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Store, Wake,
};

use crate::{client::ClientState, lock_record::LockKeys, options::MemcachedOptions, waiters::NeverWakes};

/// A client of one Memcached server.
///
/// Nothing is ever sent twice: a request whose answer was lost is an error that says "it may have taken effect", and the
/// engine asks again by the claim's id.
#[derive(Clone)]
pub struct MemcachedStore {
    session: Arc<ClientState>,
    capability: Arc<Capability>,
}

impl MemcachedStore {
    /// A client of this server. No I/O: the first verb connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for options that make no sense.
    pub fn new(options: MemcachedOptions, env: Env) -> Result<Self> {
        options.check()?;
        let capability = Arc::new(options.capability());
        Ok(MemcachedStore { session: Arc::new(ClientState::new(options, env)), capability })
    }

    /// As [`MemcachedStore::new`], and makes sure that it can be used: the server is reached, and how it was started is
    /// looked at. One that may evict locks is warned of, and refused when `strict` is set.
    ///
    /// # Errors
    /// Those of [`MemcachedStore::new`]; [`ErrorKind::Unreachable`](leasehold_core::ErrorKind),
    /// [`ErrorKind::Rejected`](leasehold_core::ErrorKind) for a server that is too old or wants a password,
    /// [`ErrorKind::Unsafe`](leasehold_core::ErrorKind) for one in which no lock can be kept.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(options: MemcachedOptions, env: Env) -> Result<Self> {
        let store = MemcachedStore::new(options, env)?;
        let reached = store.session.node.server(store.session.options.timeout).await;
        reached.map_err(|error| error.verb("connect").store(store.url()))?;
        Ok(store)
    }

    pub(crate) fn session(&self) -> &ClientState {
        &self.session
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        let options = &self.session.options;
        let is_number = options.host.contains(':');
        if is_number {
            format!("[{}]:{}", options.host, options.port)
        } else {
            format!("{}:{}", options.host, options.port)
        }
    }

    /// Names verb, lock and store in an error.
    fn explain<T>(&self, result: Result<T>, verb: &'static str, name: &LockName) -> Result<T> {
        result.map_err(|error| error.verb(verb).lock(name).store(self.url()))
    }

    async fn claim_now(&self, claim: &Claim) -> Result<Standing> {
        self.session.refuse_closed()?;
        self.capability.admits(claim)?;
        let result = self.session.claim(claim).await;
        self.session.mark_in_doubt(claim, &result);
        result
    }

    async fn release_now(&self, claim: &Claim) -> Result<Release> {
        self.session.refuse_closed()?;
        self.session.release_surely(claim).await
    }

    async fn inspect_now(&self, name: &LockName) -> Result<Snapshot> {
        self.session.refuse_closed()?;
        Ok(self.session.look(&LockKeys::of(name)).await?.snapshot(name))
    }

    async fn server_info_now(&self) -> Result<ServerInfo> {
        self.session.refuse_closed()?;
        let server = self.session.node.ask(self.session.options.timeout).await?;
        Ok(ServerInfo {
            server: server.name.clone(),
            lineage: None,
            remembers_for: server.remembers_for(self.session.env.now()),
            wall_us: server.second.saturating_mul(1_000_000),
        })
    }
}

impl Store for MemcachedStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.session.options.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            self.server_info_now().await.map_err(|error| error.verb("vitals").store(self.url()))
        })
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.session.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.explain(self.claim_now(claim).await, "claim", &claim.name) })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let answers = self.session.renew(claims).await;
            let named = answers.into_iter().zip(claims);
            named.map(|(answer, claim)| self.explain(answer, "renew", &claim.name)).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move { self.explain(self.release_now(claim).await, "release", &claim.name) })
    }

    fn watch<'a>(&'a self, name: &'a LockName, _: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move {
            let open = self.session.refuse_closed().map(|()| Box::new(NeverWakes) as Box<dyn Wake>);
            self.explain(open, "watch", name)
        })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move { self.explain(self.inspect_now(name).await, "inspect", name) })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move {
            let listed = match self.session.refuse_closed() {
                Ok(()) => self.session.list(prefix, limit).await,
                Err(error) => Err(error),
            };
            listed.map_err(|error| error.verb("list").store(self.url()))
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move {
            let forced = match self.session.refuse_closed() {
                Ok(()) => self.session.force_release(name).await,
                Err(error) => Err(error),
            };
            self.explain(forced, "force_release", name)
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.session.close();
            Ok(())
        })
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemcachedStore").field(&self.session.options.url).finish()
    }
}
