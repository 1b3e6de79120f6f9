//! [`Trace`]: one `tracing` event a verb.

use std::{fmt, sync::Arc};

use super::Verb;
use crate::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Moment, Release, Renewal, Result,
    ServerInfo, Snapshot, Standing, Store, Wake,
};

/// Writes what is asked of a store and what it answers, at level `TRACE`, with the time it took.
#[derive(Debug)]
pub struct Trace {
    inner: Arc<dyn Store>,
    env: Env,
}

impl Trace {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, env: Env) -> Self {
        Trace { inner, env }
    }

    fn write<T: fmt::Debug>(
        &self,
        verb: Verb,
        lock: &(dyn fmt::Display + Sync),
        begin: Moment,
        answer: T,
    ) -> T {
        let micros = self.env.now().since(begin).as_micros() as u64;
        tracing::trace!(store = self.inner.url(), verb = verb.label(), %lock, micros, ?answer);
        answer
    }
}

impl Store for Trace {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn url(&self) -> &str {
        self.inner.url()
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        self.inner.server_info()
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        self.inner.revalidation(seen)
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        let begin = self.env.now();
        Box::pin(async move { self.write(Verb::Claim, &claim.name, begin, self.inner.claim(claim).await) })
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        let begin = self.env.now();
        Box::pin(async move {
            let answers = self.inner.renew(claims).await;
            for (claim, answer) in claims.iter().zip(&answers) {
                self.write(Verb::Renew, &claim.name, begin, answer);
            }
            answers
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        let begin = self.env.now();
        Box::pin(
            async move { self.write(Verb::Release, &claim.name, begin, self.inner.release(claim).await) },
        )
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        let begin = self.env.now();
        Box::pin(async move {
            let wake = self.inner.watch(name, interest).await;
            let _ = self.write(Verb::Watch, name, begin, wake.as_ref().map(|_| interest));
            wake
        })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        let begin = self.env.now();
        Box::pin(async move { self.write(Verb::Inspect, name, begin, self.inner.inspect(name).await) })
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        let begin = self.env.now();
        Box::pin(async move {
            let lock = format!("{}*", prefix.escape_debug());
            self.write(Verb::List, &lock, begin, self.inner.list(prefix, limit).await)
        })
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        let begin = self.env.now();
        Box::pin(
            async move { self.write(Verb::ForceRelease, name, begin, self.inner.force_release(name).await) },
        )
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}
