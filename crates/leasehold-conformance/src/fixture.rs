//! [`Fixture`]: the backend under test, as the author of a store describes it.

use std::{fmt, future::Future, process::Command, sync::Arc, time::Duration};

use leasehold_core::{BoxFuture, Env, Result, Store};

/// Opens one more independent client of a backend.
pub(crate) type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync>;

/// A backend to be tested: how to open clients of it, and how much time to give it.
#[derive(Clone)]
pub struct Fixture {
    pub(crate) backend: Backend,
    pub(crate) ttl: Option<Duration>,
    pub(crate) slack: Duration,
    pub(crate) limit: Duration,
    pub(crate) taker: Option<Arc<dyn Fn() -> Command + Send + Sync>>,
}

#[derive(Clone)]
pub(crate) enum Backend {
    /// One backend for all cases, on the machine's clock.
    Machine { env: Env, connect: Connect },
    /// A new backend for each case, in a virtual world.
    Simulated { seed: u64, make: Arc<dyn Fn(Env) -> Connect + Send + Sync> },
}

impl Fixture {
    /// A backend on the machine's clock. Every call of `connect` opens a client with its own session on the same
    /// backend; cases run side by side on it, each with its own names.
    pub fn new<F>(env: Env, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Arc<dyn Store>>> + Send + 'static,
    {
        Fixture::on(Backend::Machine { env, connect: Arc::new(move || Box::pin(connect())) })
    }

    /// A backend in virtual time, made anew for each case by `make`: waiting takes no time, and one seed is one run.
    pub fn simulated<C>(seed: u64, make: impl Fn(Env) -> C + Send + Sync + 'static) -> Self
    where
        C: Fn() -> Result<Arc<dyn Store>> + Send + Sync + 'static,
    {
        let make = move |env: Env| -> Connect {
            let connect = make(env);
            Arc::new(move || Box::pin(std::future::ready(connect())))
        };
        Fixture::on(Backend::Simulated { seed, make: Arc::new(make) })
    }

    fn on(backend: Backend) -> Self {
        let (slack, limit) = (Duration::from_secs(5), Duration::from_secs(240));
        Fixture { backend, ttl: None, slack, limit, taker: None }
    }

    /// Sets the time to live for cases that await its end, instead of 300 ms or the shortest that the store keeps.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Fixture { ttl: Some(ttl), ..self }
    }

    /// Sets how late the backend may be in freeing or waking, instead of 5 s. Nothing may be early.
    #[must_use]
    pub fn slack(self, slack: Duration) -> Self {
        Fixture { slack, ..self }
    }

    /// Sets how long one case may take, instead of 240 s; one that hangs fails by its name.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Fixture { limit, ..self }
    }

    /// Sets how to start a [taker](crate::process), a second process on the same backend; without it the cases that
    /// kill and pause processes are listed as not applicable.
    #[must_use]
    pub fn taker(self, program: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        Fixture { taker: Some(Arc::new(program)), ..self }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("ttl", &self.ttl).field("slack", &self.slack).finish_non_exhaustive()
    }
}
