//! [`Chaos`]: injected faults, at the k-th operation or by a seed.

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

/// The fault of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing: it works.
    None,
    /// It never reaches the store, and the caller cannot know that.
    LoseRequest,
    /// It takes effect, and its reply is lost.
    LoseReply,
    /// It reaches the store late.
    Delay(Duration),
    /// It takes effect at once and is answered late.
    DelayReply(Duration),
    /// It reaches the store, and the answer never comes: neither an error nor an end.
    Hang,
}

type Plan = dyn Fn(u64, Verb) -> Fault + Send + Sync;

/// A store whose faults a plan chooses, by the number of the operation, from 0, and its verb.
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

    /// The number of operations so far.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Acquire)
    }

    async fn around<T>(
        &self,
        verb: Verb,
        _lock: &(dyn fmt::Display + Sync),
        _show: fn(&T) -> &dyn fmt::Debug,
        call: BoxFuture<'_, Result<T>>,
    ) -> Result<T> {
        match (self.plan)(self.operations.fetch_add(1, Ordering::AcqRel), verb) {
            Fault::None => call.await,
            Fault::LoseRequest => Err(lost("the request")),
            Fault::LoseReply => {
                // The caller does not learn whether it worked or failed.
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

impl Chaos {
    async fn renew_around(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let call = Box::pin(async { Ok(self.inner.renew(claims).await) });
        match self.around(Verb::Renew, &"", |it| it, call).await {
            Ok(answers) => answers,
            Err(_) => claims.iter().map(|_| Err(lost("a renewal"))).collect(),
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

store_around!(Chaos);
