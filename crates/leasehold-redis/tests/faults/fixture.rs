//! The fixture of the cases: an engine on a server, a runtime, and the naive client.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{future::Future, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Engine, Env, Error, Hold, LockName, LockOptions, Mode, Result, Store, Wait,
};
use leasehold_redis::{RedisOptions, RedisStore};
use leasehold_testkit::redis::{Connection, Reply, Server};

use crate::common;

/// How long anything may take that is not about time.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// The limit of a condition that is awaited: a machine that has much other work reaches it, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a busy machine may take to let a task run that is due. What is due when is tested in virtual time, to the
/// nanosecond (`engine::tests`); here it is that it comes at all, and long before anything else could have brought it.
pub(crate) const LATE: Duration = Duration::from_millis(500);

/// Runs a case on two threads.
pub(crate) fn run<F: Future>(case: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(case)
}

pub(crate) fn options(words: &str) -> RedisOptions {
    common::options(words).expect("options of a test")
}

/// A store that has not connected yet.
pub(crate) fn store(words: &str) -> RedisStore {
    RedisStore::new(options(words), common::env()).expect("a store")
}

pub(crate) fn engine(words: &str) -> Engine {
    Engine::new(std::sync::Arc::new(store(words)), common::env())
}

pub(crate) fn engine_with(words: &str, change: impl FnOnce(&mut RedisOptions)) -> Engine {
    let mut options = options(words);
    change(&mut options);
    let store = RedisStore::new(options, common::env()).expect("a store");
    Engine::new(std::sync::Arc::new(store), common::env())
}

pub(crate) fn at(server: &Server) -> String {
    format!("single={}", server.port())
}

pub(crate) fn name(text: &str) -> LockName {
    LockName::new(text).expect("a name")
}

pub(crate) fn ttl(ms: u64) -> LockOptions {
    LockOptions { ttl: Duration::from_millis(ms), retry_timeout: SOON, ..LockOptions::default() }
}

pub(crate) async fn lock(engine: &Engine, text: &str, terms: &LockOptions) -> Hold {
    let hold = engine.acquire(&name(text), Mode::Exclusive, terms, Wait::For(SOON), None).await;
    hold.expect("no error").expect("in time")
}

pub(crate) async fn try_lock(engine: &Engine, text: &str, terms: &LockOptions) -> Result<Option<Hold>> {
    engine.acquire(&name(text), Mode::Exclusive, terms, Wait::No, None).await
}

/// A claim as an engine would make it.
pub(crate) fn claim(env: &Env, text: &str, ttl_ms: u64) -> Claim {
    Claim::new(name(text), ClaimId::mint(env), Duration::from_millis(ttl_ms))
}

/// Completes when `what` is so; fails after [`PATIENCE`].
pub(crate) async fn eventually<F: Future<Output = bool>>(env: &Env, what: &str, mut ask: impl FnMut() -> F) {
    let until = env.now() + PATIENCE;
    while !ask().await {
        assert!(env.now() < until, "{what}: not within {PATIENCE:?}");
        env.sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for the loss of a hold, and answers how long it took.
pub(crate) async fn loss(env: &Env, hold: &Hold) -> Duration {
    let begin = env.now();
    let lost = env.until(begin + SOON, hold.lease().lost()).await;
    assert!(lost.is_some(), "the loss is noticed");
    env.now().since(begin)
}

pub(crate) fn holder(server: &Server, key: &str) -> Option<String> {
    let value = server.command(&["GET", key]).expect("a server that answers");
    value.text().map(|value| value.split([' ', '/']).next().unwrap_or_default().to_string())
}

pub(crate) async fn holders(store: &dyn Store, text: &str) -> usize {
    store.inspect(&name(text)).await.expect("a server that answers").holders.len()
}

/// A lock as it is written on the first day: `SET NX PX`, and `DEL`.
pub(crate) struct Naive {
    connection: Connection,
}

impl Naive {
    pub(crate) fn at(address: &str) -> Naive {
        Naive { connection: Connection::open(address).expect("a server") }
    }

    /// Whether a server answers there.
    pub(crate) fn reaches(address: &str) -> bool {
        Connection::open(address).is_ok_and(|mut connection| connection.call(&["PING"]).is_ok())
    }

    /// Sends `SET key value NX PX ttl` and does not wait for the answer.
    pub(crate) fn ask(&mut self, key: &str, value: &str, ttl_ms: u64) {
        let command = ["SET", key, value, "NX", "PX", &ttl_ms.to_string()];
        self.connection.send(&command).expect("a connection");
    }

    pub(crate) fn lock(&mut self, key: &str, value: &str, ttl_ms: u64) -> bool {
        self.ask(key, value, ttl_ms);
        self.connection.reply().expect("a reply").text() == Some("OK")
    }

    pub(crate) fn unlock(&mut self, key: &str) -> bool {
        self.connection.call(&["DEL", key]).expect("a reply") == Reply::Int(1)
    }

    /// How long it waits for answers from now on.
    pub(crate) fn waits(&self, within: Duration) {
        self.connection.set_read_timeout(within).expect("a timeout");
    }

    /// Whether an answer comes; an error when the connection is cut or silent.
    pub(crate) fn hears(&mut self, within: Duration) -> bool {
        self.waits(within);
        self.connection.reply().is_ok()
    }
}

/// The text of an error with its hint: what a user sees.
pub(crate) fn shown(error: &Error) -> String {
    format!("{error:?}")
}
