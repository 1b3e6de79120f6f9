//! [`TestContext`]: one foreign and us on one server.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    Claim, ClaimId, Contender, Engine, Env, Hold, LockName, LockOptions, Mode, Moment, Standing, Store, Wait,
};
use leasehold_redis::{Dialect, Endpoint, RedisOptions, RedisStore, Servers};
use leasehold_testkit::{
    peer::{Peer, Program},
    redis::Server,
};

use crate::{install, role};

/// How long a case may take; one that hangs fails by its name.
pub(crate) const CASE_LIMIT: Duration = Duration::from_secs(120);
/// How long a peer may take to answer, also when it waits for a lock.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);
/// How long a hold lives that is to be given up.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// How long a lock is waited for that others give up or lose.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Another library.
pub(crate) struct ForeignClient {
    pub(crate) label: &'static str,
    pub(crate) program: fn() -> Program,
    /// The library that `inspect` names.
    pub(crate) looks_like: &'static str,
    /// Whether its values are 32 hexadecimal digits, as our claim ids are.
    pub(crate) writes_as_we_do: bool,
}

pub(crate) const FOREIGN_CLIENTS: &[ForeignClient] = &[
    ForeignClient {
        label: "redis_py",
        program: install::redis_py,
        looks_like: "redis-py or node-redlock",
        writes_as_we_do: true,
    },
    ForeignClient {
        label: "node_redlock",
        program: install::node_redlock,
        looks_like: "redis-py or node-redlock",
        writes_as_we_do: true,
    },
    ForeignClient {
        label: "rslock",
        program: || Program::itself(role::RSLOCK),
        looks_like: "rslock or redlock-rs",
        writes_as_we_do: false,
    },
];

/// How we lock.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) label: &'static str,
    /// The keys of the plain dialect; `None` for the native one.
    pub(crate) template: Option<&'static str>,
    pub(crate) mode: Mode,
}

/// Every way of ours that excludes foreign clients and waits for them.
pub(crate) const WAYS: [Way; 3] = [
    Way { label: "native exclusive", template: None, mode: Mode::Exclusive },
    Way { label: "native shared", template: None, mode: Mode::Shared },
    Way { label: "plain", template: Some("*"), mode: Mode::Exclusive },
];

/// A semaphore excludes foreign clients too, and does not wait for them: what they hold is a lock, and no places of one.
pub(crate) const PERMITS: Way =
    Way { label: "native permits", template: None, mode: Mode::Permits { take: 1, of: 3 } };

/// A client that locks another key, as one does that was told of the wrong template: what it is not kept out of, a case
/// would notice that we are not kept out of either.
pub(crate) const BLIND: Way = Way { label: "blind", template: Some("blind:*"), mode: Mode::Exclusive };

pub(crate) fn store(way: Way, port: u16, env: &Env) -> RedisStore {
    let mut options = RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", port)));
    if let Some(template) = way.template {
        options.dialect = Dialect::Plain { template: template.into() };
    }
    RedisStore::new(options, env.clone()).expect("options that go together")
}

pub(crate) fn engine(way: Way, port: u16, env: &Env) -> Engine {
    Engine::new(Arc::new(store(way, port, env)), env.clone())
}

pub(crate) fn terms(ttl: Duration) -> LockOptions {
    LockOptions { ttl, ..LockOptions::default() }
}

pub(crate) struct TestContext {
    pub(crate) env: Env,
    pub(crate) server: Arc<Server>,
    pub(crate) foreign: &'static ForeignClient,
    pub(crate) program: Program,
}

impl TestContext {
    /// A process of the foreign.
    pub(crate) async fn peer(&self) -> Peer {
        Peer::start(&self.program, &self.server.url(), ANSWER_LIMIT).await
    }

    /// A process of ours.
    pub(crate) async fn process_of_ours(&self, way: Way) -> Peer {
        Peer::start(&Program::itself(way.label), &self.server.url(), ANSWER_LIMIT).await
    }

    pub(crate) fn store(&self, way: Way) -> RedisStore {
        store(way, self.server.port(), &self.env)
    }

    pub(crate) fn engine(&self, way: Way) -> Engine {
        engine(way, self.server.port(), &self.env)
    }

    /// A name that no other case uses.
    pub(crate) fn name(&self) -> LockName {
        LockName::new(format!("{}-{:032x}", self.foreign.label, self.env.random())).expect("a short name")
    }

    pub(crate) fn claim(&self, way: Way, name: &LockName, ttl: Duration) -> Claim {
        Claim { mode: way.mode, ..Claim::new(name.clone(), ClaimId::mint(&self.env), ttl) }
    }

    /// Locks what is free.
    pub(crate) async fn locked(&self, engine: &Engine, way: Way, name: &LockName) -> Hold {
        let hold = engine.acquire(name, way.mode, &terms(LONG), Wait::No, None).await;
        hold.expect("an answer of the store").unwrap_or_else(|| panic!("{}: {name} is free", way.label))
    }

    /// Waits until we have it.
    pub(crate) async fn won(&self, engine: &Engine, way: Way, name: &LockName) -> Hold {
        let hold = engine.acquire(name, way.mode, &terms(LONG), Wait::For(PATIENCE), None).await;
        hold.expect("an answer of the store")
            .unwrap_or_else(|| panic!("{}: {name} is free in the end", way.label))
    }

    /// One try of ours, which the foreign's hold has to keep out.
    pub(crate) async fn is_kept_out(&self, store: &RedisStore, way: Way, name: &LockName) {
        let standing = store.claim(&self.claim(way, name, LONG)).await.expect("an answer of the store");
        let Standing::Held(busy) = standing else { panic!("{} is answered {standing:?}", way.label) };
        self.is_foreign(way, busy.holder.as_ref().expect("a holder that can be seen"));
    }

    /// Asserts that a holder is the foreign client. Its value may look like ours, and the plain dialect shows nothing else.
    pub(crate) fn is_foreign(&self, way: Way, holder: &Contender) {
        assert_eq!(holder.fence, None, "foreign clients have no tokens: {holder:?}");
        if way.template.is_some() && self.foreign.writes_as_we_do {
            return assert_eq!((holder.mode, &holder.note), (Some(Mode::Exclusive), &None));
        }
        assert_eq!(holder.mode, None, "nobody knows how a foreign shares: {holder:?}");
        let note = holder.note.as_deref().unwrap_or_default();
        assert!(note.contains(self.foreign.looks_like), "{note}");
    }

    /// Nobody may have it before `ttl` has passed since it was asked for at `sent`: now is late enough.
    pub(crate) fn is_not_early(&self, store: &dyn Store, sent: Moment, ttl: Duration) {
        let (now, earliest) = (self.env.now(), sent + ttl - store.capability().drift.of(ttl));
        assert!(now >= earliest, "freed {:?} after a lock of {ttl:?} was asked for", now.since(sent));
    }
}
