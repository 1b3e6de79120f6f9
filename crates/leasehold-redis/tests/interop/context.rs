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
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(45);
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
    /// Our ways to its keys.
    pub(crate) ways: &'static [Way],
}

pub(crate) const FOREIGN_CLIENTS: &[ForeignClient] = &[
    ForeignClient {
        label: "redis_py",
        program: install::redis_py,
        looks_like: "redis-py or node-redlock",
        writes_as_we_do: true,
        ways: &WAYS,
    },
    ForeignClient {
        label: "node_redlock",
        program: || install::node("node-redlock"),
        looks_like: "redis-py or node-redlock",
        writes_as_we_do: true,
        ways: &WAYS,
    },
    ForeignClient {
        label: "rslock",
        program: || Program::itself(role::RSLOCK),
        looks_like: "rslock or redlock-rs",
        writes_as_we_do: false,
        ways: &WAYS,
    },
    ForeignClient {
        label: "redsync",
        program: || install::go_redis("redsync"),
        looks_like: "redsync",
        writes_as_we_do: false,
        ways: &WAYS,
    },
    ForeignClient {
        label: "redislock",
        program: || install::go_redis("redislock"),
        looks_like: "bsm/redislock",
        writes_as_we_do: false,
        ways: &WAYS,
    },
    ForeignClient {
        label: "redis_semaphore",
        program: || install::node("redis-semaphore"),
        looks_like: "redis-semaphore",
        writes_as_we_do: false,
        ways: &[plain("redis-semaphore", "mutex:*")],
    },
    ForeignClient {
        label: "spring",
        program: || install::spring("spring"),
        looks_like: "Spring",
        writes_as_we_do: false,
        ways: &[Way { registry: Some("locks"), ..plain("spring", "locks:*") }],
    },
    ForeignClient {
        label: "shedlock",
        program: || install::spring("shedlock"),
        looks_like: "ShedLock",
        writes_as_we_do: false,
        ways: &[plain("shedlock", "job-lock:default:*")],
    },
];

/// How we lock.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) label: &'static str,
    /// The keys of the plain dialect; `None` for the native one.
    pub(crate) template: Option<&'static str>,
    /// The registry of Spring whose keys they are.
    pub(crate) registry: Option<&'static str>,
    pub(crate) mode: Mode,
}

/// Every way of ours that excludes clients whose key is the name, and waits for them.
pub(crate) const WAYS: [Way; 3] =
    [native("native exclusive", Mode::Exclusive), native("native shared", Mode::Shared), plain("plain", "*")];

/// A semaphore excludes foreign clients too, and does not wait for them: what they hold is a lock, and no places of one.
pub(crate) const PERMITS: Way = native("native permits", Mode::Permits { take: 1, of: 3 });

/// A client that locks another key, as one does that was told of the wrong template: what it is not kept out of, a case
/// would notice that we are not kept out of either.
pub(crate) const BLIND: Way = plain("blind", "blind:*");

const fn native(label: &'static str, mode: Mode) -> Way {
    Way { label, template: None, registry: None, mode }
}

const fn plain(label: &'static str, template: &'static str) -> Way {
    Way { label, template: Some(template), registry: None, mode: Mode::Exclusive }
}

/// The way of ours with this label.
pub(crate) fn way(label: &str) -> Option<Way> {
    let all = FOREIGN_CLIENTS.iter().flat_map(|foreign| foreign.ways).copied().chain([PERMITS]);
    all.into_iter().find(|way| way.label == label)
}

pub(crate) fn store(way: Way, port: u16, env: &Env) -> RedisStore {
    let mut options = RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", port)));
    if let Some(template) = way.template {
        options.dialect = Dialect::Plain { template: template.into() };
    }
    if let Some(registry) = way.registry {
        options.dialect = Dialect::Spring { registry: registry.into() };
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

    /// Our ways to its keys; with that of permits, if native ones are among them.
    pub(crate) fn ways(&self) -> impl Iterator<Item = Way> {
        let is_native = self.foreign.ways.iter().any(|way| way.template.is_none());
        self.foreign.ways.iter().copied().chain(is_native.then_some(PERMITS))
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

    /// The same on a server of its own.
    pub(crate) fn alone(&self) -> TestContext {
        let server = Arc::new(Server::start().unwrap_or_else(|error| panic!("{error}")));
        TestContext { env: self.env.clone(), server, foreign: self.foreign, program: self.program.clone() }
    }

    /// Completes when the first client of Spring on this server sleeps: it has tried, subscribed, and tried again.
    pub(crate) async fn is_listened_for(&self) {
        while self.server.calls("evalsha") < 2 {
            self.env.sleep(Duration::from_millis(5)).await;
        }
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
