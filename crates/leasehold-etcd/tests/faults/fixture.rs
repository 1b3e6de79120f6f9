//! The fixture of the cases: an engine on members, a runtime, and reads of keys.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{future::Future, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Engine, Env, Hold, LockName, LockOptions, Mode, Queueing, Result, Standing, Store, Wait,
};
use leasehold_etcd::{EtcdOptions, EtcdStore};
use leasehold_testkit::etcd::Member;

use crate::common;

/// How long anything may take that is not about time, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// The limit of a condition that is awaited: a machine that has much other work reaches it, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a case on two threads.
pub(crate) fn run<F: Future>(case: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(case)
}

/// A store that has not connected yet.
pub(crate) fn store(words: &str) -> EtcdStore {
    store_with(words, |_| {})
}

pub(crate) fn store_with(words: &str, change: impl FnOnce(&mut EtcdOptions)) -> EtcdStore {
    let mut options = common::options(words).expect("options of a test");
    change(&mut options);
    EtcdStore::new(options, common::env()).expect("a store")
}

pub(crate) fn engine(words: &str) -> Engine {
    Engine::new(std::sync::Arc::new(store(words)), common::env())
}

pub(crate) fn at(member: &Member) -> String {
    common::at([member])
}

pub(crate) fn port(port: u16) -> String {
    format!("ports={port}")
}

pub(crate) fn name(text: &str) -> LockName {
    LockName::new(text).expect("a name")
}

pub(crate) fn ttl(seconds: u64) -> LockOptions {
    LockOptions { ttl: Duration::from_secs(seconds), retry_timeout: SOON, ..LockOptions::default() }
}

pub(crate) async fn lock(engine: &Engine, text: &str, terms: &LockOptions) -> Hold {
    let hold = engine.acquire(&name(text), Mode::Exclusive, terms, Wait::For(SOON * 2), None).await;
    hold.expect("no error").expect("in time")
}

pub(crate) async fn try_lock(engine: &Engine, text: &str, terms: &LockOptions) -> Result<Option<Hold>> {
    engine.acquire(&name(text), Mode::Exclusive, terms, Wait::No, None).await
}

/// A claim as an engine would make it.
pub(crate) fn claim(env: &Env, text: &str, seconds: u64) -> Claim {
    Claim::new(name(text), ClaimId::mint(env), Duration::from_secs(seconds))
}

pub(crate) fn fifo(env: &Env, text: &str, seconds: u64) -> Claim {
    Claim { queueing: Queueing::Fifo, ..claim(env, text, seconds) }
}

pub(crate) async fn take(store: &EtcdStore, claim: &Claim) {
    let standing = store.claim(claim).await.expect("an answer");
    assert!(matches!(standing, Standing::Granted(_)), "{standing:?}");
}

pub(crate) async fn queue_up(store: &EtcdStore, claim: &Claim) {
    let standing = store.claim(claim).await.expect("an answer");
    assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
}

/// Completes when `what` is so; fails after [`PATIENCE`].
pub(crate) async fn eventually<F: Future<Output = bool>>(env: &Env, what: &str, mut ask: impl FnMut() -> F) {
    let until = env.now() + PATIENCE;
    while !ask().await {
        assert!(env.now() < until, "{what}: not within {PATIENCE:?}");
        env.sleep(Duration::from_millis(10)).await;
    }
}

/// The keys of a lock, in order.
pub(crate) fn keys(member: &Member, text: &str) -> Vec<String> {
    let found = member.ctl(&["get", "--prefix", "--keys-only", &format!("{text}/")]).expect("etcdctl");
    found.lines().filter(|line| !line.is_empty()).map(ToString::to_string).collect()
}

/// The lease that a key lives by, in hexadecimal digits as etcdctl takes it.
pub(crate) fn lease_of(member: &Member, key: &str) -> String {
    let shown = member.ctl(&["get", "--write-out=fields", key]).expect("etcdctl");
    let line = shown.lines().find_map(|line| line.strip_prefix("\"Lease\" : "));
    let lease: i64 = line.expect("a key with a lease").trim().parse().expect("a number");
    format!("{lease:x}")
}

/// Whether a request contains this text.
pub(crate) fn about(text: &'static str) -> impl Fn(&[u8]) -> bool + Send + 'static {
    move |bytes| bytes.windows(text.len()).any(|it| it == text.as_bytes())
}
