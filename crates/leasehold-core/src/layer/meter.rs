//! [`Meter`]: one histogram a store, by verb and outcome.

use std::sync::Arc;

use metrics::histogram;

use super::Verb;
use crate::{
    BoxFuture, Capability, Claim, Contender, Env, Interest, LockName, Moment, Release, Renewal, Result,
    ServerInfo, Snapshot, Standing, Store, Wake,
};

/// Records `lock.store.duration`, in seconds, with the labels `lock.backend`, `verb` and `outcome` (`ok` or `error`).
#[derive(Debug)]
pub struct Meter {
    inner: Arc<dyn Store>,
    env: Env,
}

impl Meter {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, env: Env) -> Self {
        Meter { inner, env }
    }

    fn record(&self, verb: Verb, begin: Moment, ok: bool) {
        let outcome = if ok { "ok" } else { "error" };
        let scheme = self.inner.capability().scheme;
        histogram!("lock.store.duration", "lock.backend" => scheme, "verb" => verb.label(), "outcome" => outcome)
            .record(self.env.now().since(begin).as_secs_f64());
    }

    async fn measure<T>(&self, verb: Verb, call: BoxFuture<'_, Result<T>>) -> Result<T> {
        let begin = self.env.now();
        let answer = call.await;
        self.record(verb, begin, answer.is_ok());
        answer
    }
}

impl Store for Meter {
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
        Box::pin(self.measure(Verb::Claim, self.inner.claim(claim)))
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let begin = self.env.now();
            let answers = self.inner.renew(claims).await;
            self.record(Verb::Renew, begin, answers.iter().all(Result::is_ok));
            answers
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(self.measure(Verb::Release, self.inner.release(claim)))
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(self.measure(Verb::Watch, self.inner.watch(name, interest)))
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(self.measure(Verb::Inspect, self.inner.inspect(name)))
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(self.measure(Verb::List, self.inner.list(prefix, limit)))
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(self.measure(Verb::ForceRelease, self.inner.force_release(name)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}
