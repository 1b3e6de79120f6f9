//! [`MemcachedStore`]: the [`Store`] of Memcached.

use std::{fmt, sync::Arc};

use leasehold_core::{
    Claim, Contender, Env, LockName, Release, Renewal, Result, ServerInfo, Snapshot, Standing,
    store_kit::{ClientState, Explain, Verbs},
};

use crate::{client::Client, options::MemcachedOptions};

/// A client of one Memcached server.
///
/// Each request is sent at most once: when the reply is lost, the error says "it may have taken effect", and the engine
/// asks again by the claim's id.
#[derive(Clone)]
pub struct MemcachedStore {
    pub(crate) client: Arc<Client>,
}

impl MemcachedStore {
    /// A client of this server. No I/O: the first operation connects.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](leasehold_core::ErrorKind) for invalid options.
    pub fn new(options: MemcachedOptions, env: Env) -> Result<Self> {
        options.check()?;
        Ok(MemcachedStore { client: Arc::new(Client::new(options, env)) })
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
        let connected = store.client.transport.server().await;
        connected.explain_store("connect", &store.client.state.url)?;
        Ok(store)
    }
}

impl Verbs for MemcachedStore {
    fn state(&self) -> &ClientState {
        &self.client.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        self.client.server_info().await
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        let standing = self.client.claim(claim).await;
        self.client.mark_in_doubt(claim.id, &standing);
        standing
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        self.client.renew(claims).await
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        self.client.release(claim).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        self.client.inspect(name).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        self.client.list(prefix, limit).await
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        self.client.force_release(name).await
    }

    async fn close(&self) -> Result<()> {
        self.client.state.close();
        self.client.transport.close();
        Ok(())
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemcachedStore").field(&self.client.options.url).finish()
    }
}
