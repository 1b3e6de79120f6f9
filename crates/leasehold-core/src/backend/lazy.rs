//! [`LazyStore`]: a store that is opened by its first request.

use std::{fmt, sync::Arc};

use tokio::sync::{Notify, OnceCell};

use crate::{
    BoxFuture, Capability, Claim, Contender, Interest, LockName, Release, Renewal, Result, Revalidations,
    ServerInfo, Snapshot, Standing, Store, Wake,
    store_kit::{ClientState, Verbs},
};

type Opening = dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync;

/// A store that cannot be opened now: each request tries to open it until one succeeds.
pub struct LazyStore {
    open: Box<Opening>,
    inner: OnceCell<Arc<dyn Store>>,
    opened: Notify,
    state: ClientState,
}

impl LazyStore {
    /// A store that `open` opens. `capability` is the one it will have.
    pub fn new(
        url: String,
        capability: Capability,
        open: impl Fn() -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync + 'static,
    ) -> Self {
        let (inner, opened) = Default::default();
        let state = ClientState::new(capability, url, Revalidations::default());
        LazyStore { open: Box::new(open), inner, opened, state }
    }

    async fn inner(&self) -> Result<&Arc<dyn Store>> {
        let inner = self.inner.get_or_try_init(|| (self.open)()).await?;
        self.opened.notify_waiters();
        Ok(inner)
    }
}

impl Verbs for LazyStore {
    fn state(&self) -> &ClientState {
        &self.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        self.inner().await?.server_info().await
    }

    /// Nothing is held in a store that was never open.
    async fn revalidation(&self, seen: &mut u64) {
        loop {
            let opened = self.opened.notified();
            if let Some(inner) = self.inner.get() {
                return inner.revalidation(seen).await;
            }
            opened.await;
        }
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        self.inner().await?.claim(claim).await
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        match self.inner().await {
            Ok(inner) => inner.renew(claims).await,
            Err(error) => vec![Err(error); claims.len()],
        }
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        self.inner().await?.release(claim).await
    }

    async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        self.inner().await?.watch(name, interest).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        self.inner().await?.inspect(name).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        self.inner().await?.list(prefix, limit).await
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        self.inner().await?.force_release(name).await
    }

    async fn close(&self) -> Result<()> {
        self.state.close();
        match self.inner.get() {
            Some(inner) => inner.close().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for LazyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyStore")
            .field("url", &self.state.url)
            .field("inner", &self.inner.get())
            .finish_non_exhaustive()
    }
}
