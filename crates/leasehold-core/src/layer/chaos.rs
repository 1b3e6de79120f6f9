//! [`Chaos`]: loses requests and replies on purpose, at the k-th operation or as a seed has it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::Verb;
use crate::{
    BoxFuture, Capability, Claim, Contender, Env, Error, ErrorKind, Interest, LockName, Release, Renewal,
    Result, ServerInfo, Snapshot, Standing, Store, Wake,
};

/// What happens to one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing: it works.
    None,
    /// It never reaches the store. The caller cannot know that.
    LoseRequest,
    /// It takes effect, and the caller does not hear of it.
    LoseReply,
    /// It reaches the store late.
    Delay(Duration),
    /// It takes effect at once and is answered late.
    DelayReply(Duration),
    /// It reaches the store, and the answer never comes: neither an error nor an end.
    Hang,
}

type Plan = dyn Fn(u64, Verb) -> Fault + Send + Sync;

/// Asks a plan what becomes of each operation. The plan sees the operation's number, from 0, and its verb.
pub struct Chaos {
    inner: Arc<dyn Store>,
    env: Env,
    plan: Box<Plan>,
    operations: AtomicU64,
}

impl Chaos {
    /// Wraps `inner` with a plan.
    pub fn new(
        inner: Arc<dyn Store>,
        env: Env,
        plan: impl Fn(u64, Verb) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Chaos { inner, env, plan: Box::new(plan), operations: AtomicU64::new(0) }
    }

    /// One fault at operation number `at`, nothing else.
    pub fn at(inner: Arc<dyn Store>, env: Env, at: u64, fault: Fault) -> Self {
        Chaos::new(inner, env, move |number, _| if number == at { fault } else { Fault::None })
    }

    /// How many operations there have been.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Acquire)
    }

    async fn suffer<T>(&self, verb: Verb, call: BoxFuture<'_, Result<T>>) -> Result<T> {
        match (self.plan)(self.operations.fetch_add(1, Ordering::AcqRel), verb) {
            Fault::None => call.await,
            Fault::LoseRequest => Err(lost("the request")),
            Fault::LoseReply => {
                // Whether it worked or failed is what the caller does not learn.
                let _ = call.await;
                Err(lost("the reply"))
            }
            Fault::Delay(span) => {
                self.env.sleep(span).await;
                call.await
            }
            Fault::DelayReply(span) => {
                let answer = call.await;
                self.env.sleep(span).await;
                answer
            }
            Fault::Hang => {
                let _ = call.await;
                std::future::pending().await
            }
        }
    }
}

fn lost(what: &str) -> Error {
    Error::new(ErrorKind::Unreachable, format!("{what} was lost on purpose")).store("chaos").unknown()
}

impl fmt::Debug for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos").field("inner", &self.inner).field("operations", &self.operations()).finish()
    }
}

impl Store for Chaos {
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
        Box::pin(self.suffer(Verb::Claim, self.inner.claim(claim)))
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let call = Box::pin(async { Ok(self.inner.renew(claims).await) });
            match self.suffer(Verb::Renew, call).await {
                Ok(answers) => answers,
                Err(_) => claims.iter().map(|_| Err(lost("a renewal"))).collect(),
            }
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(self.suffer(Verb::Release, self.inner.release(claim)))
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(self.suffer(Verb::Watch, self.inner.watch(name, interest)))
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(self.suffer(Verb::Inspect, self.inner.inspect(name)))
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(self.suffer(Verb::List, self.inner.list(prefix, limit)))
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(self.suffer(Verb::ForceRelease, self.inner.force_release(name)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}
