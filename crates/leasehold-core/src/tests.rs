//! A store and a visitor that the tests of engines and of quorums share.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

use crate::{
    BoxFuture, Capability, Claim, Contender, Engine, Interest, LockName, LockOptions, Mode, Release, Renewal,
    Result, ServerInfo, Snapshot, Standing, Store, Wait, Wake, memory::Memory,
};

/// The subscription with a number; `None`: that of memory.
type Watch = Box<dyn Fn(u64) -> Option<Box<dyn Wake>> + Send + Sync>;

/// A client of memory that answers otherwise where a test says so.
pub(crate) struct Altered {
    memory: Memory,
    /// How far its calendar is ahead.
    pub(crate) ahead_us: AtomicU64,
    /// How often holds may have been lost.
    pub(crate) revalidations: watch::Sender<u64>,
    watch: Watch,
    watches: AtomicU64,
}

impl Altered {
    pub(crate) fn new(memory: Memory) -> Self {
        Altered::watching(memory, |_| None)
    }

    /// With other subscriptions.
    pub(crate) fn watching(
        memory: Memory,
        watch: impl Fn(u64) -> Option<Box<dyn Wake>> + Send + Sync + 'static,
    ) -> Self {
        let (ahead_us, watches) = (AtomicU64::new(0), AtomicU64::new(0));
        Altered { memory, ahead_us, revalidations: watch::Sender::new(0), watch: Box::new(watch), watches }
    }
}

impl fmt::Debug for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Altered")
    }
}

impl Store for Altered {
    fn capability(&self) -> &Capability {
        self.memory.capability()
    }
    fn url(&self) -> &str {
        "altered:"
    }
    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            let info = self.memory.server_info().await?;
            let wall_us = info.wall_us + self.ahead_us.load(Ordering::Acquire);
            Ok(ServerInfo { wall_us, ..info })
        })
    }
    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut count = self.revalidations.subscribe();
            *seen = *count.wait_for(|count| count != seen).await.unwrap();
        })
    }
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        self.memory.claim(claim)
    }
    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        self.memory.renew(claims)
    }
    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        self.memory.release(claim)
    }
    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        match (self.watch)(self.watches.fetch_add(1, Ordering::AcqRel)) {
            Some(wake) => Box::pin(async { Ok(wake) }),
            None => self.memory.watch(name, interest),
        }
    }
    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        self.memory.inspect(name)
    }
    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        self.memory.list(prefix, limit)
    }
    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        self.memory.force_release(name)
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.memory.close()
    }
}

/// A resource that detects two workers at once and tokens that do not grow.
#[derive(Default)]
pub(crate) struct Witness {
    highest: AtomicU64,
    pub(crate) entered: AtomicU32,
}

impl Witness {
    /// Locks a few times, works in steps under the lease, and sees that nobody else does.
    pub(crate) async fn visit(self: Arc<Self>, engine: Engine, name: LockName, options: LockOptions) {
        let (env, ttl) = (engine.env(), options.ttl);
        for _ in 0..4 {
            let entry = engine.acquire(&name, Mode::Exclusive, &options, Wait::For(ttl * 20), None).await;
            let Ok(Some(hold)) = entry else { continue };
            let token = hold.fencing_token().unwrap().get();
            let steps = async {
                for step in 0..5 {
                    let highest = self.highest.fetch_max(token, Ordering::AcqRel);
                    if step == 0 {
                        assert!(highest < token, "tokens grow in the order of entry");
                        self.entered.fetch_add(1, Ordering::AcqRel);
                    }
                    assert!(highest <= token, "somebody entered while this lease was valid");
                    env.sleep(env.jitter(ttl / 2)).await;
                }
            };
            let _ = hold.run(steps).await;
            if env.random().is_multiple_of(2) {
                let _ = hold.release().await;
            }
        }
    }
}
