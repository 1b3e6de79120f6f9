//! What the cases share: stores and engines on a server, a runtime, and the naive client.

use std::{future::Future, sync::Arc, time::Duration};

use leasehold_core::{Claim, ClaimId, Engine, Env, Hold, LockName, Mode, Result, Store, Terms, Wait};
use leasehold_zookeeper::ZooKeeperStore;
use zookeeper_client::{Acls, Client, CreateMode};

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

pub(crate) fn ttl(ms: u64) -> Terms {
    Terms::default().ttl(Duration::from_millis(ms)).patience(SOON)
}

pub(crate) async fn lock(engine: &Engine, text: &str, terms: &Terms) -> Hold {
    let hold = engine.acquire(&name(text), Mode::Exclusive, terms, Wait::For(SOON * 2), None).await;
    hold.expect("no error").expect("in time")
}

pub(crate) async fn try_lock(engine: &Engine, text: &str, terms: &Terms) -> Result<Option<Hold>> {
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

/// The library below, as somebody uses it who writes a lock on the first day.
pub(crate) struct Naive {
    pub(crate) client: Client,
}

impl Naive {
    pub(crate) async fn at(address: &str) -> Naive {
        let connector =
            Client::connector().with_session_timeout(Duration::from_secs(10)).with_server_version(3, 6, 0);
        Naive { client: connector.connect(address).await.expect("a server") }
    }

    pub(crate) async fn make(&self, path: &str) {
        self.client.mkdir(path, &CreateMode::Persistent.with_acls(Acls::anyone_all())).await.expect("a node");
    }

    /// Stands in a queue, without a name of its own, and answers the number of its node.
    pub(crate) async fn enqueue(&self, directory: &str) -> Result<i64, zookeeper_client::Error> {
        let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        let made = self.client.create(&format!("{directory}/lock-"), b"", &options).await;
        made.map(|(_, number)| number.into_i64())
    }

    /// Whether a node of this number is the first of its queue.
    pub(crate) async fn is_first(&self, directory: &str, number: i64) -> bool {
        let children = self.client.list_children(directory).await.expect("a server that answers");
        let numbers = children.iter().filter_map(|child| child.rsplit('-').next()?.parse::<i64>().ok());
        numbers.min() == Some(number)
    }
}
