//! What the cases share: an engine on a server, a runtime, and the naive client.

use std::{future::Future, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Engine, Env, Grant, Hold, LockName, LockOptions, Mode, Result, Standing, Store, Wait,
};
use leasehold_memcached::MemcachedStore;
use leasehold_testkit::memcached::Server;

use crate::common;

/// How long anything may take that is not about time.
pub(crate) const SOON: Duration = Duration::from_secs(15);
/// The limit of a condition that is awaited: a machine that has much other work reaches it, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a case on two threads.
pub(crate) fn run<F: Future>(case: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(case)
}

/// A store that has not connected yet.
pub(crate) fn store(words: &str) -> MemcachedStore {
    MemcachedStore::new(common::options(words).expect("options of a test"), common::env()).expect("a store")
}

pub(crate) fn engine(words: &str) -> Engine {
    Engine::new(std::sync::Arc::new(store(words)), common::env())
}

pub(crate) fn at(server: &Server) -> String {
    server.port().to_string()
}

pub(crate) fn name(text: &str) -> LockName {
    LockName::new(text).expect("a name")
}

pub(crate) fn ttl(seconds: u64) -> LockOptions {
    LockOptions { ttl: Duration::from_secs(seconds), retry_timeout: SOON, ..LockOptions::default() }
}

pub(crate) async fn lock(engine: &Engine, text: &str, terms: &LockOptions) -> Hold {
    let hold = engine.acquire(&name(text), Mode::Exclusive, terms, Wait::For(SOON), None).await;
    hold.expect("no error").expect("in time")
}

pub(crate) async fn try_lock(engine: &Engine, text: &str, terms: &LockOptions) -> Result<Option<Hold>> {
    engine.acquire(&name(text), Mode::Exclusive, terms, Wait::No, None).await
}

/// A claim as an engine would make it.
pub(crate) fn claim(env: &Env, text: &str, seconds: u64) -> Claim {
    Claim::new(name(text), ClaimId::mint(env), Duration::from_secs(seconds))
}

pub(crate) async fn take(store: &dyn Store, claim: &Claim) -> Grant {
    match store.claim(claim).await {
        Ok(Standing::Granted(grant)) => grant,
        other => panic!("{} is answered {other:?}", claim.name),
    }
}

pub(crate) async fn kept_out(store: &dyn Store, claim: &Claim) {
    let standing = store.claim(claim).await.expect("a server that answers");
    assert!(matches!(standing, Standing::Held(_) | Standing::Waiting(_)), "{standing:?}");
}

/// Completes when `what` is so; fails after [`PATIENCE`].
pub(crate) async fn eventually<F: Future<Output = bool>>(env: &Env, what: &str, mut ask: impl FnMut() -> F) {
    let until = env.now() + PATIENCE;
    while !ask().await {
        assert!(env.now() < until, "{what}: not within {PATIENCE:?}");
        env.sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for the loss of a hold, which comes no later than its deadline.
pub(crate) async fn lost_in_time(env: &Env, hold: &Hold) {
    let deadline = hold.lease().deadline();
    let lost = env.until(deadline + SOON, hold.lease().lost()).await;
    assert!(lost.is_some(), "the loss is noticed");
    assert!(hold.lease().check().is_err(), "a lost lease is no lease");
}

pub(crate) async fn holders(store: &dyn Store, text: &str) -> usize {
    store.inspect(&name(text)).await.expect("a server that answers").holders.len()
}
