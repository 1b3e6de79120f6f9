//! A store that wakes for nothing.

use super::*;

/// A store whose subscriptions always wake.
#[derive(Debug)]
struct AlwaysWakes(Memory);

struct Nag;

impl Wake for Nag {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

impl Store for AlwaysWakes {
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
    fn watch<'a>(&'a self, _: &'a LockName, _: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(async { Ok(Box::new(Nag) as Box<dyn Wake>) })
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

#[test]
fn a_store_that_wakes_for_nothing_is_not_asked_in_a_loop() {
    let bench = bench(1);
    let env = bench.world.env();
    let nagging = Arc::new(AlwaysWakes(bench.memory.client()));
    let counted = Arc::new(Chaos::new(nagging, env.clone(), |_, _| Fault::None));
    let (engine, other) = (Engine::new(counted.clone(), env), bench.engine());
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
