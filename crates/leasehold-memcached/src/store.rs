//! [`MemcachedStore`]: the [`Store`] of Memcached.

use std::{fmt, sync::Arc};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Release, Renewal, Result, ServerInfo,
    Snapshot, Standing, Store, Wake,
    store_kit::{Explain, NeverWakes},
};

use crate::{client::Client, options::MemcachedOptions};

/// A client of one Memcached server.
///
/// Each request is sent at most once: when the reply is lost, the error says "it may have taken effect", and the engine
/// asks again by the claim's id.
#[derive(Clone)]
pub struct MemcachedStore {
    client: Arc<Client>,
    capability: Arc<Capability>,
}

impl MemcachedStore {
    /// A client of this server. No I/O: the first operation connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for invalid options.
    pub fn new(options: MemcachedOptions, env: Env) -> Result<Self> {
        options.check()?;
        let capability = Arc::new(options.capability());
        Ok(MemcachedStore { client: Arc::new(Client::new(options, env)), capability })
    }

    /// As [`MemcachedStore::new`], and connects: the server's version and settings are checked. A server that may evict
    /// locks is logged, and refused when `strict` is set.
    ///
    /// # Errors
    /// Those of [`MemcachedStore::new`]; [`ErrorKind::Unreachable`](leasehold_core::ErrorKind),
    /// [`ErrorKind::Rejected`](leasehold_core::ErrorKind) for a server that is too old or demands a password,
    /// [`ErrorKind::Unsafe`](leasehold_core::ErrorKind) for one whose settings make locks impossible.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(options: MemcachedOptions, env: Env) -> Result<Self> {
        let store = MemcachedStore::new(options, env)?;
        let connected = store.client.transport.server(store.client.options.timeout).await;
        connected.explain_store("connect", store.url())?;
        Ok(store)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

impl Store for MemcachedStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.client.options.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async { self.client.server_info().await.explain_store("server_info", self.url()) })
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.client.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move {
            let standing = match self.client.check_open().and_then(|()| self.capability.admits(claim)) {
                Ok(()) => self.client.claim(claim).await,
                Err(error) => Err(error),
            };
            self.client.mark_in_doubt(claim.id, &standing);
            standing.explain("claim", &claim.name, self.url())
        })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let answers = self.client.renew(claims).await.into_iter().zip(claims);
            answers.map(|(answer, claim)| answer.explain("renew", &claim.name, self.url())).collect()
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move { self.client.release(claim).await.explain("release", &claim.name, self.url()) })
    }

    fn watch<'a>(&'a self, name: &'a LockName, _: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move {
            let open = self.client.check_open().map(|()| Box::new(NeverWakes) as Box<dyn Wake>);
            open.explain("watch", name, self.url())
        })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move { self.client.inspect(name).await.explain("inspect", name, self.url()) })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move { self.client.list(prefix, limit).await.explain_store("list", self.url()) })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(
            async move { self.client.force_release(name).await.explain("force_release", name, self.url()) },
        )
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.client.close();
            Ok(())
        })
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemcachedStore").field(&self.client.options.url).finish()
    }
}
