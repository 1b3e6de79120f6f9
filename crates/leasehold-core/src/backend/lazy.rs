//! [`LazyStore`]: a store that is opened by its first request.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, OnceCell};

use crate::{
    BoxFuture, Capability, Claim, Contender, Error, ErrorKind, Interest, LockName, Release, Renewal, Result,
    ServerInfo, Snapshot, Standing, Store, Wake,
};

type Opening = dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync;

/// A store that cannot be opened now: each request tries to open it until one succeeds.
pub struct LazyStore {
    url: String,
    capability: Capability,
    open: Box<Opening>,
    inner: OnceCell<Arc<dyn Store>>,
    opened: Notify,
    closed: AtomicBool,
}

impl LazyStore {
    /// A store that `open` opens. `capability` is the one it will have.
    pub fn new(
        url: String,
        capability: Capability,
        open: impl Fn() -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync + 'static,
    ) -> Self {
        let (inner, opened, closed) = Default::default();
        LazyStore { url, capability, open: Box::new(open), inner, opened, closed }
    }

    async fn inner(&self) -> Result<&Arc<dyn Store>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "this client is closed").store(&*self.url));
        }
        let inner = self.inner.get_or_try_init(|| (self.open)()).await?;
        self.opened.notify_waiters();
        Ok(inner)
    }
}

impl Store for LazyStore {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async { self.inner().await?.server_info().await })
    }

    /// Nothing is held in a store that was never open.
    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            loop {
                let opened = self.opened.notified();
                if let Some(inner) = self.inner.get() {
                    return inner.revalidation(seen).await;
                }
                opened.await;
            }
        })
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(async move { self.inner().await?.claim(claim).await })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            match self.inner().await {
                Ok(inner) => inner.renew(claims).await,
                Err(error) => claims.iter().map(|_| Err(error.clone())).collect(),
            }
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(async move { self.inner().await?.release(claim).await })
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async move { self.inner().await?.watch(name, interest).await })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(async move { self.inner().await?.inspect(name).await })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(async move { self.inner().await?.list(prefix, limit).await })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(async move { self.inner().await?.force_release(name).await })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.closed.store(true, Ordering::Release);
            match self.inner.get() {
                Some(inner) => inner.close().await,
                None => Ok(()),
            }
        })
    }
}

impl fmt::Debug for LazyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyStore")
            .field("url", &self.url)
            .field("inner", &self.inner.get())
            .finish_non_exhaustive()
    }
}
