//! [`TestContext`]: clients, names and time of one case.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold_core::{
    Busy, Capability, Claim, ClaimId, Contender, Env, Grant, Interest, LockName, Moment, Standing, Store,
    engine::Engine,
};
use tokio::sync::oneshot;

use crate::{
    CaseResult, Failure, Fixture,
    fixture::Connect,
    outcome::{granted, take},
};

/// The bound of waiting rounds: a store that makes its waiters spin fails.
const ROUNDS_MAX: u32 = 10_000;

/// One client of the backend.
pub type Client = Arc<dyn Store>;

/// The context of one case: clients of one backend, unique names, and time.
#[derive(Clone)]
pub struct TestContext {
    env: Env,
    connect: Connect,
    fixture: Fixture,
    capability: Capability,
    names: Arc<Mutex<Vec<LockName>>>,
}

impl TestContext {
    pub(crate) fn new(env: Env, connect: Connect, fixture: Fixture, capability: Capability) -> Self {
        TestContext { env, connect, fixture, capability, names: Arc::default() }
    }

    /// The environment: clock and randomness.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The fixture of the store's author.
    pub fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    /// The capability of the store.
    pub fn capability(&self) -> &Capability {
        &self.capability
    }

    /// One more client of the backend, with a session of its own.
    ///
    /// # Errors
    /// A [`Failure`] that says why the backend cannot be reached.
    pub async fn client(&self) -> Result<Client, Failure> {
        (self.connect)()
            .await
            .map_err(|error| Failure::new("one more client of the backend", format!("{error:?}")))
    }

    /// Several clients.
    ///
    /// # Errors
    /// As [`TestContext::client`].
    pub async fn clients<const N: usize>(&self) -> Result<[Client; N], Failure> {
        let mut clients = Vec::with_capacity(N);
        for _ in 0..N {
            clients.push(self.client().await?);
        }
        clients.try_into().map_err(|_| Failure::new("as many clients as asked for", "fewer"))
    }

    /// A client with an engine on it, and one without.
    pub(crate) async fn engine_and_client(&self) -> Result<(Engine, Client), Failure> {
        let [one, two] = self.clients().await?;
        Ok((Engine::new(one, self.env.clone()), two))
    }

    /// A unique text.
    pub fn unique(&self) -> String {
        format!("{:016x}", self.env.random() >> 64)
    }

    /// A lock with a unique name.
    ///
    /// # Panics
    /// Never: the name is short and not empty.
    pub fn name(&self) -> LockName {
        self.named(format!("conformance/{}", self.unique())).expect("a short name is a name")
    }

    /// The lock of this name, cleared away when the case is over.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn named(&self, text: impl AsRef<str>) -> Result<LockName, Failure> {
        let name = LockName::new(text)?;
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        Ok(name)
    }

    /// A new exclusive claim, without a queue, that lives longer than the case.
    pub fn claim(&self, name: &LockName) -> Claim {
        Claim::new(name.clone(), ClaimId::mint(&self.env), self.long())
    }

    /// A new exclusive claim that lives for [`TestContext::ttl`].
    pub fn brief(&self, name: &LockName) -> Claim {
        Claim { ttl: self.ttl(), ..self.claim(name) }
    }

    /// A new lock that `store` holds exclusively for longer than the case.
    ///
    /// # Errors
    /// When the claim is not granted.
    pub async fn held(&self, store: &Client) -> Result<Claim, Failure> {
        let claim = self.claim(&self.name());
        take(&**store, &claim, "the lock is free").await.map(|_| claim)
    }

    /// A new lock that `store` holds exclusively for [`TestContext::ttl`].
    ///
    /// # Errors
    /// When the claim is not granted.
    pub async fn held_briefly(&self, store: &Client) -> Result<Claim, Failure> {
        let claim = self.brief(&self.name());
        take(&**store, &claim, "the lock is free").await.map(|_| claim)
    }

    /// The time to live for cases that await its end.
    pub fn ttl(&self) -> Duration {
        self.fixture.ttl_for(&self.capability)
    }

    /// A time to live that outlasts the case.
    pub fn long(&self) -> Duration {
        Duration::from_secs(120).clamp(self.capability.ttl_min, self.capability.ttl_max)
    }

    /// How late the backend may be.
    pub fn slack(&self) -> Duration {
        self.fixture.slack_allowed()
    }

    /// Sleeps past the end of what `ttl` from now ends, drift and the grain of the store's clock included.
    pub async fn outlive(&self, ttl: Duration) {
        self.env.sleep(ttl + self.capability.drift.of(ttl) * 2 + Duration::from_millis(20)).await;
    }

    /// The earliest moment at which a hold of `ttl`, asked for at `sent`, may end.
    pub fn earliest_end(&self, sent: Moment, ttl: Duration) -> Moment {
        sent + ttl - self.capability.drift.of(ttl)
    }

    /// Claims again and again as a waiter does (subscribe, claim, wait) until it is granted; fails when that takes
    /// longer than `within` and the slack.
    ///
    /// # Errors
    /// The last answer, when time is up.
    pub async fn wins(
        &self,
        store: &Client,
        claim: &Claim,
        within: Duration,
        expected: &str,
    ) -> Result<Grant, Failure> {
        let patience = within + self.slack();
        let until = self.env.now() + patience;
        for round in 0..ROUNDS_MAX {
            let mut wake = store.watch(&claim.name, Interest::Turn(claim.id)).await?;
            let standing = store.claim(claim).await?;
            let (Standing::Held(Busy { recheck_in, .. }) | Standing::Waiting(Busy { recheck_in, .. })) =
                standing
            else {
                return granted(standing, expected);
            };
            if self.env.now() >= until {
                let expected = format!("Granted within {patience:?}: {expected}");
                return Err(Failure::new(expected, format!("{standing:?}")));
            }
            let recheck = (self.env.now() + recheck_in.max(Duration::from_millis(1))).min(until);
            if let Some(news) = self.env.until(recheck, wake.wait()).await {
                news?;
                if round >= 8 {
                    // After many spurious wake-ups time has to pass: a virtual clock would stand still.
                    self.env.sleep(Duration::from_millis(1)).await;
                }
            }
        }
        Err(Failure::new(
            "a waiter that sleeps",
            format!("woken or told to ask again {ROUNDS_MAX} times for nothing"),
        ))
    }

    /// The same, without the grant.
    pub(crate) async fn expect_win(
        &self,
        store: &Client,
        claim: &Claim,
        within: Duration,
        why: &str,
    ) -> CaseResult {
        self.wins(store, claim, within, why).await.map(drop)
    }

    /// Runs tasks side by side, on several threads where the clock is the machine's, and answers all their results.
    ///
    /// # Errors
    /// When a task panicked.
    pub async fn together<T: Send + 'static>(
        &self,
        tasks: Vec<impl Future<Output = T> + Send + 'static>,
    ) -> Result<Vec<T>, Failure> {
        let mut results = Vec::new();
        for task in tasks {
            let (send, receive) = oneshot::channel();
            self.fixture.spawn(&self.env, async move {
                let _ = send.send(task.await);
            });
            results.push(receive);
        }
        let mut answers = Vec::new();
        for result in results {
            answers
                .push(result.await.map_err(|_| Failure::new("a task that runs to its end", "it panicked"))?);
        }
        Ok(answers)
    }

    /// Fails unless nobody holds the lock and nobody waits for it.
    ///
    /// # Errors
    /// The remaining contenders.
    pub async fn expect_nothing_left(&self, store: &Client, name: &LockName, when: &str) -> CaseResult {
        let snapshot = store.inspect(name).await?;
        let left: Vec<&Contender> = snapshot.holders.iter().chain(&snapshot.waiters).collect();
        let expected = format!("nobody holds or waits {when}");
        crate::outcome::ensure(left.is_empty(), expected, left)
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
