//! A store that wakes for nothing.

use super::*;

/// A store with subscriptions of another kind; `None` for those of memory.
struct Subscribed(Memory, Watch, std::sync::atomic::AtomicU64);

type Watch = Box<dyn Fn(u64) -> Option<Box<dyn Wake>> + Send + Sync>;

impl fmt::Debug for Subscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscribed")
    }
}

struct Nag;

impl Wake for Nag {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// Wakes for nothing on a busy machine: every fourth wait takes 2 ms.
struct BusyNag(Env, u32);

impl Wake for BusyNag {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.1 += 1;
            if self.1.is_multiple_of(4) {
                self.0.sleep(Duration::from_millis(2)).await;
            }
            Ok(())
        })
    }
}

struct Broken;

impl Wake for Broken {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Err(Error::new(ErrorKind::Unreachable, "it broke")) })
    }
}

impl Store for Subscribed {
    fn capability(&self) -> &crate::Capability {
        self.0.capability()
    }
    fn url(&self) -> &str {
        self.0.url()
    }
    fn server_info(&self) -> BoxFuture<'_, Result<crate::ServerInfo>> {
        self.0.server_info()
    }
    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        self.0.revalidation(seen)
    }
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<crate::Standing>> {
        self.0.claim(claim)
    }
    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<crate::Renewal>>> {
        self.0.renew(claims)
    }
    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        self.0.release(claim)
    }
    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        let number = self.2.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        match (self.1)(number) {
            Some(wake) => Box::pin(async { Ok(wake) }),
            None => self.0.watch(name, interest),
        }
    }
    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        self.0.inspect(name)
    }
    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        self.0.list(prefix, limit)
    }
    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        self.0.force_release(name)
    }
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.0.close()
    }
}

fn subscribed(
    bench: &Bench,
    watch: impl Fn(u64) -> Option<Box<dyn Wake>> + Send + Sync + 'static,
) -> Arc<Chaos> {
    let store = Subscribed(bench.memory.client(), Box::new(watch), Default::default());
    Arc::new(Chaos::new(Arc::new(store), bench.world.env(), |_, _| Fault::None))
}

#[test]
fn a_subscription_that_broke_is_made_anew_and_the_store_is_not_polled() {
    let bench = bench(1);
    let counted = subscribed(&bench, |number| (number == 0).then(|| Box::new(Broken) as Box<dyn Wake>));
    let (engine, other) = (Engine::new(counted.clone(), bench.world.env()), bench.engine());
    let hold = bench.world.block_on(lock(&other));
    let waiting = Wait::For(Duration::from_secs(2));
    let answer = bench.world.block_on(engine.acquire(&name(), Mode::Exclusive, &terms(), waiting, None));
    assert!(answer.unwrap().is_none());
    assert!(counted.operations() < 10, "{} operations in two seconds", counted.operations());
    drop(hold);
}

#[test]
fn a_store_that_wakes_for_nothing_is_not_asked_in_a_loop() {
    let bench = bench(1);
    let counted = subscribed(&bench, |_| Some(Box::new(Nag)));
    let (engine, other) = (Engine::new(counted.clone(), bench.world.env()), bench.engine());
    let hold = bench.world.block_on(lock(&other));
    let waiting = Wait::For(Duration::from_secs(2));
    let answer = bench.world.block_on(engine.acquire(&name(), Mode::Exclusive, &terms(), waiting, None));
    assert!(answer.unwrap().is_none());
    assert!(counted.operations() < 60, "{} operations in two seconds", counted.operations());
    drop(hold);
    // The same for a holder that waits for contention.
    let (before, env) = (counted.operations(), bench.world.env());
    bench.world.block_on(async {
        let hold = lock(&engine).await;
        let listening = env.until(env.now() + Duration::from_secs(2), hold.contended()).await;
        assert!(listening.is_none());
    });
    let asked = counted.operations() - before;
    assert!(asked < 60, "{asked} operations in two seconds");
}

#[test]
fn a_flood_on_a_busy_machine_is_a_flood() {
    let bench = bench(1);
    let env = bench.world.env();
    let counted = subscribed(&bench, move |_| Some(Box::new(BusyNag(env.clone(), 0))));
    let (engine, other) = (Engine::new(counted.clone(), bench.world.env()), bench.engine());
    let hold = bench.world.block_on(lock(&other));
    let waiting = Wait::For(Duration::from_secs(2));
    let answer = bench.world.block_on(engine.acquire(&name(), Mode::Exclusive, &terms(), waiting, None));
    assert!(answer.unwrap().is_none());
    assert!(counted.operations() < 80, "{} operations in two seconds", counted.operations());
    drop(hold);
}
