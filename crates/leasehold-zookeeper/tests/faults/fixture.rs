//! What the cases share: stores and engines on a server, and a runtime.

use std::{future::Future, sync::Arc, time::Duration};

use leasehold_core::{Claim, ClaimId, Engine, Env, Hold, LockName, LockOptions, Mode, Result, Store, Wait};
use leasehold_zookeeper::ZooKeeperStore;

use crate::common;

/// How long anything may take that is not about time.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Runs a case on two threads.
pub(crate) fn run<F: Future>(case: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(case)
}

pub(crate) async fn store(words: &str) -> ZooKeeperStore {
    common::open(common::env(), words.to_string()).await.expect("a server that serves")
}

pub(crate) async fn engine(words: &str) -> Engine {
    Engine::new(Arc::new(store(words).await), common::env())
}

pub(crate) fn name(text: &str) -> LockName {
    LockName::new(text).expect("a name")
}

pub(crate) fn ttl(ms: u64) -> LockOptions {
    LockOptions { ttl: Duration::from_millis(ms), retry_timeout: SOON, ..LockOptions::default() }
}

pub(crate) async fn lock(engine: &Engine, text: &str, terms: &LockOptions) -> Hold {
    let hold = engine.acquire(&name(text), Mode::Exclusive, terms, Wait::For(SOON * 2), None).await;
    hold.expect("no error").expect("in time")
}

pub(crate) async fn try_lock(engine: &Engine, text: &str, terms: &LockOptions) -> Result<Option<Hold>> {
    engine.acquire(&name(text), Mode::Exclusive, terms, Wait::No, None).await
}

/// A claim as an engine would make it.
pub(crate) fn claim(env: &Env, text: &str, ttl_ms: u64) -> Claim {
    Claim::new(name(text), ClaimId::mint(env), Duration::from_millis(ttl_ms))
}

/// Completes when `what` is so; fails after [`SOON`].
pub(crate) async fn eventually<F: Future<Output = bool>>(env: &Env, what: &str, mut ask: impl FnMut() -> F) {
    let until = env.now() + SOON * 2;
    while !ask().await {
        assert!(env.now() < until, "{what}: not within {:?}", SOON * 2);
        env.sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn holders(store: &dyn Store, text: &str) -> usize {
    store.inspect(&name(text)).await.expect("a server that answers").holders.len()
}
