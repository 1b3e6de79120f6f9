//! A store that says that holds may have been lost.

use tokio::sync::watch;

use super::*;

/// Counts revalidations when the test says so.
#[derive(Debug)]
struct Upset(Memory, watch::Sender<u64>);

impl Store for Upset {
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
        Box::pin(async move {
            let mut count = self.1.subscribe();
            *seen = *count.wait_for(|count| count != seen).await.unwrap();
        })
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
        self.0.watch(name, interest)
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

/// Without being told, the holder finds out at the next renewal, a third of the ttl after the grant; told, at once.
#[test]
fn an_upset_store_is_asked_for_all_leases_at_once() {
    for told in [false, true] {
        let bench = bench(1);
        let upset = Arc::new(Upset(bench.memory.client(), watch::Sender::new(0)));
        let engine = Engine::new(upset.clone(), bench.world.env());
        let hold = bench.world.block_on(engine.acquire(&name(), Mode::Exclusive, &terms(), Wait::No, None));
        let hold = hold.unwrap().unwrap();
        bench.world.block_on(bench.memory.force_release(&name())).unwrap();
        if told {
            upset.1.send_replace(1);
        }
        bench.world.advance(TTL / 100);
        assert_eq!(hold.check().is_err(), told);
    }
}
