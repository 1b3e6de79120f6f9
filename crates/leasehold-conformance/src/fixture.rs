//! [`Fixture`]: what the author of a store supplies.

use std::{
    fmt,
    future::Future,
    process::Command,
    sync::{Arc, mpsc},
    time::Duration,
};

use leasehold_core::{BoxFuture, Capability, Env, Result, Store, env::Virtual};

use crate::{Case, CaseResult, Failure, TestContext};

/// Opens one more independent client of a backend.
pub(crate) type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Store>>> + Send + Sync>;

/// A backend to be tested: how to open clients of it, and how much time to give it.
#[derive(Clone)]
pub struct Fixture {
    backend: Backend,
    ttl: Option<Duration>,
    slack: Duration,
    limit: Duration,
    taker: Option<Arc<dyn Fn() -> Command + Send + Sync>>,
}

#[derive(Clone)]
enum Backend {
    /// One backend for all cases, on the machine's clock.
    Machine { env: Env, connect: Connect },
    /// A new backend for each case, in a virtual world.
    Simulated { seed: u64, make: Arc<dyn Fn(Env) -> Connect + Send + Sync> },
}

/// The report of one case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// The store keeps the promise.
    Kept,
    /// The case does not apply, and why.
    NotApplicable(String),
    /// The store breaks the promise.
    Broken(Failure),
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
            Arc::new(move || {
                let client = connect();
                Box::pin(async move { client })
            })
        };
        Fixture::on(Backend::Simulated { seed, make: Arc::new(make) })
    }

    fn on(backend: Backend) -> Self {
        let (slack, limit) = (Duration::from_secs(5), Duration::from_secs(90));
        Fixture { backend, ttl: None, slack, limit, taker: None }
    }

    /// The time to live for cases that await its end, instead of 300 ms or the shortest that the store keeps.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How late the backend may be in freeing or waking, instead of 5 s. Bounds only lateness: nothing may be early.
    #[must_use]
    pub fn slack(mut self, slack: Duration) -> Self {
        self.slack = slack;
        self
    }

    /// How long one case may take, instead of 90 s; one that hangs fails by its name.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// How to start a [taker](crate::process), a second process on the same backend; without it the cases that kill
    /// and pause processes are listed as not applicable.
    #[must_use]
    pub fn taker(mut self, program: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        self.taker = Some(Arc::new(program));
        self
    }

    pub(crate) fn taker_command(&self) -> Option<Command> {
        self.taker.as_ref().map(|program| program())
    }

    pub(crate) fn ttl_for(&self, capability: &Capability) -> Duration {
        self.ttl.unwrap_or(Duration::from_millis(300)).max(capability.ttl_min)
    }

    pub(crate) fn slack_allowed(&self) -> Duration {
        self.slack
    }

    /// Runs a task beside the case. The machine's cases run on two threads of their own, so that tasks really meet
    /// in the store; `Env::spawn` would put them all on the one background thread.
    pub(crate) fn spawn(&self, env: &Env, task: impl Future<Output = ()> + Send + 'static) {
        match &self.backend {
            Backend::Machine { .. } => drop(tokio::runtime::Handle::current().spawn(task)),
            Backend::Simulated { .. } => env.spawn(task),
        }
    }

    /// Runs one case to its end.
    pub fn run(&self, case: &Case) -> Report {
        match &self.backend {
            Backend::Machine { env, connect } => self.run_on_machine(case, env.clone(), connect.clone()),
            Backend::Simulated { seed, make } => {
                let world = Virtual::new(*seed);
                let env = world.env();
                world.block_on(self.judge(case, env.clone(), make(env)))
            }
        }
    }

    /// On a thread of its own, so that a store that blocks its thread for ever fails by the case's name too.
    fn run_on_machine(&self, case: &Case, env: Env, connect: Connect) -> Report {
        let (send, receive) = mpsc::channel();
        let (fixture, run) = (self.clone(), *case);
        let thread = std::thread::Builder::new().name(case.path()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let report = match runtime {
                Err(error) => Report::Broken(Failure::new("a runtime to run the case on", error.to_string())),
                Ok(runtime) => {
                    let report = runtime.block_on(fixture.judge(&run, env, connect));
                    runtime.shutdown_background();
                    report
                }
            };
            // Nobody listens any more when the time was over.
            let _ = send.send(report);
        });
        let broken = |expected: String, found: &str| {
            Report::Broken(Failure { promise: case.path(), ..Failure::new(expected, found) })
        };
        match thread.map(|_| receive.recv_timeout(self.limit + Duration::from_secs(5))) {
            Ok(Ok(report)) => report,
            Ok(Err(mpsc::RecvTimeoutError::Timeout)) => {
                broken(format!("the case to end within {:?}", self.limit), "a verb blocks its thread")
            }
            Ok(Err(mpsc::RecvTimeoutError::Disconnected)) => {
                broken("a case that runs to its end".into(), "it panicked")
            }
            Err(error) => broken("a thread to run the case on".into(), &error.to_string()),
        }
    }

    async fn judge(&self, case: &Case, env: Env, connect: Connect) -> Report {
        let until = env.now() + self.limit;
        let verdict = env.until(until, self.attempt(case, &env, connect)).await.unwrap_or_else(|| {
            let expected = format!("the case to end within {:?}", self.limit);
            Report::Broken(Failure::new(expected, "it hangs: a verb or a wake-up never came back"))
        });
        match verdict {
            Report::Broken(failure) => Report::Broken(Failure { promise: case.path(), ..failure }),
            other => other,
        }
    }

    async fn attempt(&self, case: &Case, env: &Env, connect: Connect) -> Report {
        let capability = match connect().await {
            Ok(store) => store.capability().clone(),
            Err(error) => {
                return Report::Broken(Failure::new("a client of the backend", format!("{error:?}")));
            }
        };
        if let Some(lacking) = case.lacking(&capability) {
            return Report::NotApplicable(lacking);
        }
        if case.promise == "process" && self.taker.is_none() {
            return Report::NotApplicable(format!(
                "not applicable to {}: no taker was given",
                capability.scheme
            ));
        }
        let context = TestContext::new(env.clone(), connect, self.clone(), capability);
        let verdict: CaseResult = (case.run)(context.clone()).await;
        context.clear().await;
        verdict.map_or_else(Report::Broken, |()| Report::Kept)
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("ttl", &self.ttl).field("slack", &self.slack).finish_non_exhaustive()
    }
}
