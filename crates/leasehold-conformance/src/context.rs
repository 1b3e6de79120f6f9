//! [`Test`]: clients, names and time of one case that runs.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold_core::{
    BoxFuture, Capability, Claim, ClaimId, Contender, Env, Grant, Liveness, LockName, Mode, Moment, Queueing,
    engine::{Engine, Hold, LockOptions, Wait},
};
use tokio::sync::oneshot;

use crate::{
    CaseResult, Client, Failure, Fixture,
    fixture::{Backend, Connect},
    outcome::{ensure, take, wins},
};

/// The running case: clients of one backend, unique names, and time.
#[derive(Clone)]
pub struct Test {
    pub(crate) env: Env,
    connect: Connect,
    pub(crate) fixture: Fixture,
    pub(crate) capability: Capability,
    names: Arc<Mutex<Vec<LockName>>>,
}

/// The options of a lease of this time to live.
pub(crate) fn options(ttl: Duration) -> LockOptions {
    LockOptions { ttl, ..LockOptions::default() }
}

/// An engine, and a client beside it.
pub(crate) type Pair = (Engine, Client);

/// The participants that a case asks for in its signature.
pub(crate) trait Setup: Sized {
    /// Sets them up.
    fn of(test: &Test) -> BoxFuture<'_, Result<Self, Failure>>;
}

impl Setup for () {
    fn of(_: &Test) -> BoxFuture<'_, Result<Self, Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Setup for Client {
    fn of(test: &Test) -> BoxFuture<'_, Result<Self, Failure>> {
        Box::pin(test.client())
    }
}

impl<const N: usize> Setup for [Client; N] {
    fn of(test: &Test) -> BoxFuture<'_, Result<Self, Failure>> {
        Box::pin(test.clients())
    }
}

impl Setup for Pair {
    fn of(test: &Test) -> BoxFuture<'_, Result<Self, Failure>> {
        Box::pin(async {
            let [one, two] = test.clients().await?;
            Ok((Engine::new(one, test.env.clone()), two))
        })
    }
}

impl Test {
    pub(crate) fn new(env: Env, connect: Connect, fixture: Fixture, capability: Capability) -> Self {
        Test { env, connect, fixture, capability, names: Arc::default() }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Moment {
        self.env.now()
    }

    /// Sleeps on the clock of the case.
    pub(crate) async fn sleep(&self, span: Duration) {
        self.env.sleep(span).await;
    }

    /// The output of a future, if it is done within `span`.
    pub(crate) async fn within<F: Future + Send>(&self, span: Duration, future: F) -> Option<F::Output> {
        self.env.until(self.now() + span, future).await
    }

    /// One more client of the backend, with a session of its own.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        let client = (self.connect)().await;
        client.map_err(|error| Failure::new("one more client of the backend", format!("{error:?}")))
    }

    /// Several clients.
    pub(crate) async fn clients<const N: usize>(&self) -> Result<[Client; N], Failure> {
        let mut clients = Vec::with_capacity(N);
        for _ in 0..N {
            clients.push(self.client().await?);
        }
        clients.try_into().map_err(|_| Failure::new("as many clients as asked for", "fewer"))
    }

    /// A unique text.
    pub(crate) fn unique(&self) -> String {
        format!("{:016x}", self.env.random() >> 64)
    }

    /// A lock with a unique name.
    pub(crate) fn name(&self) -> LockName {
        self.named(format!("conformance/{}", self.unique())).expect("a short name is a name")
    }

    /// The lock of this name, cleared away when the case is over.
    pub(crate) fn named(&self, text: impl AsRef<str>) -> Result<LockName, Failure> {
        let name = LockName::new(text)?;
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        Ok(name)
    }

    /// The names of the listed locks; `wanted` where the store lists none.
    pub(crate) async fn listed(
        &self,
        store: &Client,
        prefix: &str,
        wanted: &[LockName],
    ) -> Result<Vec<LockName>, Failure> {
        match self.capability.lists {
            true => Ok(store.list(prefix, 10).await?.into_iter().map(|snapshot| snapshot.name).collect()),
            false => Ok(wanted.to_vec()),
        }
    }

    /// A new exclusive claim, without a queue, that lives longer than the case.
    pub(crate) fn claim(&self, name: &LockName) -> Claim {
        Claim::new(name.clone(), ClaimId::mint(&self.env), self.long())
    }

    /// A new exclusive claim that lives for [`Test::ttl`].
    pub(crate) fn brief(&self, name: &LockName) -> Claim {
        Claim { ttl: self.ttl(), ..self.claim(name) }
    }

    /// A new claim of a reader.
    pub(crate) fn reader(&self, name: &LockName) -> Claim {
        Claim { mode: Mode::Shared, ..self.claim(name) }
    }

    /// A new claim of several permits.
    pub(crate) fn permits(&self, name: &LockName, take: u32, of: u32) -> Claim {
        Claim { mode: Mode::Permits { take, of }, ..self.claim(name) }
    }

    /// A new exclusive claim that waits in the fair queue.
    pub(crate) fn fifo(&self, name: &LockName) -> Claim {
        Claim { queueing: Queueing::Fifo, ..self.claim(name) }
    }

    /// A new exclusive claim that waits and may be overtaken.
    pub(crate) fn barging(&self, name: &LockName) -> Claim {
        Claim { queueing: Queueing::Barging, ..self.claim(name) }
    }

    /// The claim, after it was granted.
    pub(crate) async fn grant(&self, store: &Client, claim: Claim) -> Result<Claim, Failure> {
        take(store, &claim, "the lock is free").await.map(|_| claim)
    }

    /// A new lock that `store` holds exclusively for longer than the case.
    pub(crate) async fn held(&self, store: &Client) -> Result<Claim, Failure> {
        self.grant(store, self.claim(&self.name())).await
    }

    /// A new lock that `store` holds exclusively for [`Test::ttl`].
    pub(crate) async fn held_briefly(&self, store: &Client) -> Result<Claim, Failure> {
        self.grant(store, self.brief(&self.name())).await
    }

    /// A new lock that the engine holds exclusively, and renews.
    pub(crate) async fn locked(&self, engine: &Engine, ttl: Duration) -> Result<Hold, Failure> {
        let hold = engine.acquire(&self.name(), Mode::Exclusive, &options(ttl), Wait::No, None).await?;
        hold.ok_or_else(|| Failure::new("a hold: the lock is free", "busy"))
    }

    /// The time to live for cases that await its end.
    pub(crate) fn ttl(&self) -> Duration {
        self.fixture.ttl.unwrap_or(Duration::from_millis(300)).max(self.capability.ttl_min)
    }

    /// The time to live of leases: long enough that a busy machine renews it in time.
    pub(crate) fn lease_ttl(&self) -> Duration {
        self.ttl() * 5
    }

    /// A time to live that outlasts the case.
    pub(crate) fn long(&self) -> Duration {
        Duration::from_secs(120).clamp(self.capability.ttl_min, self.capability.ttl_max)
    }

    /// How late the backend may be.
    pub(crate) fn slack(&self) -> Duration {
        self.fixture.slack
    }

    /// Whether the store frees a hold as soon as its process ends.
    pub(crate) fn sees_death(&self) -> bool {
        self.capability.liveness == Liveness::Process
    }

    /// A claim that ends in time to be waited for, or with the process where the store sees that.
    pub(crate) fn mortal(&self, name: &LockName) -> Claim {
        if self.sees_death() { self.claim(name) } else { self.brief(name) }
    }

    /// How long the hold of a dead process may last.
    pub(crate) fn freed_within(&self, claim: &Claim) -> Duration {
        if self.sees_death() { Duration::ZERO } else { claim.ttl }
    }

    /// Sleeps past the end of what `ttl` from now ends, drift and the grain of the store's clock included.
    pub(crate) async fn outlive(&self, ttl: Duration) {
        self.sleep(ttl + self.capability.drift.of(ttl) * 2 + Duration::from_millis(20)).await;
    }

    /// Fails when a hold of `ttl` that was asked for at `sent` must last longer than until now.
    pub(crate) fn expect_not_early(&self, sent: Moment, ttl: Duration) -> CaseResult {
        let (now, earliest) = (self.now(), sent + ttl - self.capability.drift.of(ttl));
        let found = format!("freed {:?} after it was asked for", now.since(sent));
        ensure(now >= earliest, format!("it lasts {ttl:?}, less the drift"), found)
    }

    /// Claims again and again as a waiter does (subscribe, claim, wait) until it is granted; fails when that takes
    /// longer than `within` and the slack.
    pub(crate) async fn wins(
        &self,
        store: &Client,
        claim: &Claim,
        within: Duration,
        expected: &str,
    ) -> Result<Grant, Failure> {
        wins(&self.env, store, claim, within + self.slack(), expected).await
    }

    /// Runs tasks side by side, on several threads where the clock is the machine's, and answers all their results.
    pub(crate) async fn together<T: Send + 'static>(
        &self,
        tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
    ) -> Result<Vec<T>, Failure> {
        let start = |task| {
            let (send, receive) = oneshot::channel();
            self.spawn(async move {
                let _ = send.send(task.await);
            });
            receive
        };
        let results: Vec<_> = tasks.into_iter().map(start).collect();
        let mut answers = Vec::new();
        for result in results {
            let answer = result.await;
            answers.push(answer.map_err(|_| Failure::new("a task that runs to its end", "it panicked"))?);
        }
        Ok(answers)
    }

    /// Runs a task beside the case. The machine's cases run on two threads of their own, so that tasks really meet
    /// in the store; `Env::spawn` would put them all on the one background thread.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.fixture.backend {
            Backend::Machine { .. } => drop(tokio::runtime::Handle::current().spawn(task)),
            Backend::Simulated { .. } => self.env.spawn(task),
        }
    }

    /// Fails unless nobody holds the lock and nobody waits for it.
    pub(crate) async fn expect_nothing_left(
        &self,
        store: &Client,
        name: &LockName,
        when: &str,
    ) -> CaseResult {
        let snapshot = store.inspect(name).await?;
        let left: Vec<&Contender> = snapshot.holders.iter().chain(&snapshot.waiters).collect();
        ensure(left.is_empty(), format!("nobody holds or waits {when}"), left)
    }

    /// Ends what the case left behind, so that a shared backend does not fill up.
    pub(crate) async fn clear(&self) {
        let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
        let Ok(store) = (self.connect)().await else { return };
        for name in names {
            // What still lives by a client ends with it; only real leftovers are worth a change.
            if store.inspect(&name).await.is_ok_and(|snapshot| !snapshot.holders.is_empty()) {
                let _ = store.force_release(&name).await;
            }
        }
        let _ = store.close().await;
    }
}
