//! [`TestContext`]: a server, peers on it, and us.

use std::{
    io::{BufRead, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use leasehold_core::{
    Claim, ClaimId, Contender, Engine, Env, Error, Finding, Hold, LockName, Mode, Standing, Store,
    backend::{BackendEntry, Registry},
    engine::{LockOptions, Wait},
    url::ParsedUrl,
};
use leasehold_postgres::BACKEND;
use leasehold_testkit::{
    peer::{Peer, Program, STORE},
    postgres::Server,
};

static STORES: Registry =
    Registry(&[BackendEntry { title: "", feature: "", schemes: &[], backend: Some(&BACKEND) }]);

/// How long a peer may take to answer, also when it waits for a lock.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// How long a lock is waited for that others give up or lose.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

async fn open(url: &str, env: &Env) -> Arc<dyn Store> {
    let url = ParsedUrl::parse(url, &STORES).unwrap();
    (BACKEND.open)(&url, None, env).await.unwrap()
}

pub(crate) struct TestContext {
    pub(crate) env: Env,
    pub(crate) server: Arc<Server>,
    /// A name that no other case uses.
    pub(crate) name: LockName,
}

impl TestContext {
    pub(crate) fn new(server: Arc<Server>) -> TestContext {
        let env = Env::system().unwrap();
        let name = LockName::new(format!("{:032x}", env.random())).unwrap();
        TestContext { env, server, name }
    }

    /// A store with these keys in its URL.
    pub(crate) async fn store(&self, keys: &str) -> Arc<dyn Store> {
        open(&self.url(keys), &self.env).await
    }

    /// The findings of the doctor.
    pub(crate) async fn diagnosis(&self, keys: &str) -> Vec<Finding> {
        (BACKEND.diagnose)(&ParsedUrl::parse(&self.url(keys), &STORES).unwrap(), &self.env).await.unwrap()
    }

    /// The error of a store that is not opened.
    pub(crate) async fn refused(&self, url: &str) -> Error {
        let url = ParsedUrl::parse(url, &STORES).unwrap();
        (BACKEND.open)(&url, None, &self.env).await.unwrap_err()
    }

    pub(crate) fn url(&self, keys: &str) -> String {
        format!("{}?timeout=20s&{keys}", self.server.url())
    }

    pub(crate) async fn engine(&self, keys: &str) -> Engine {
        Engine::new(self.store(keys).await, self.env.clone())
    }

    pub(crate) async fn peer(&self, program: &Program) -> Peer {
        Peer::start(program, &self.server.url(), ANSWER_LIMIT).await
    }

    /// A process of ours.
    pub(crate) async fn process_of_ours(&self, keys: &str) -> Peer {
        Peer::start(&Program::itself("ours"), &self.url(keys), ANSWER_LIMIT).await
    }

    pub(crate) fn claim(&self) -> Claim {
        Claim::new(self.name.clone(), ClaimId::mint(&self.env), Duration::from_secs(60))
    }

    /// The holder that keeps us out.
    pub(crate) async fn kept_out(&self, store: &Arc<dyn Store>) -> Contender {
        match store.claim(&self.claim()).await.unwrap() {
            Standing::Held(busy) => busy.holder.expect("the holder is known"),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until we have it.
    pub(crate) async fn won(&self, engine: &Engine) -> Hold {
        self.acquired(engine, Wait::For(PATIENCE)).await.expect("it is free in the end")
    }

    /// One try, of what is free.
    pub(crate) async fn locked(&self, engine: &Engine) -> Hold {
        self.acquired(engine, Wait::No).await.expect("it is free")
    }

    async fn acquired(&self, engine: &Engine, wait: Wait) -> Option<Hold> {
        let terms = LockOptions { ttl: PATIENCE, retry_timeout: PATIENCE, ..LockOptions::default() };
        engine.acquire(&self.name, Mode::Exclusive, &terms, wait, None).await.unwrap()
    }
}

/// A process of ours that claims and never renews: `lock NAME TTL_MS`.
pub(crate) fn play() -> ExitCode {
    let env = Env::system().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let store = runtime.block_on(open(&std::env::var(STORE).unwrap(), &env));
    let say = |line: &str| {
        let mut output = std::io::stdout().lock();
        writeln!(output, "{line}").and_then(|()| output.flush()).unwrap();
    };
    say("ready leasehold");
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let ["lock", name, ttl] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let ttl = Duration::from_millis(ttl.parse().unwrap());
        let claim = Claim::new(LockName::new(name).unwrap(), ClaimId::mint(&env), ttl);
        let standing = runtime.block_on(store.claim(&claim)).unwrap();
        say(if matches!(standing, Standing::Granted(_)) { "granted" } else { "busy" });
    }
    ExitCode::SUCCESS
}
