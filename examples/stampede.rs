//! A cache that is filled by one process when an entry has expired, while the others wait for it or take the old value.
//!
//! `cargo run -p leasehold-examples --bin stampede`. A hundred requests find the entry stale at the same moment. Without the
//! lock, the database would be asked a hundred times.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use leasehold::{Client, Result};
use tokio::task::{JoinSet, yield_now};

/// An entry that all processes share: Redis or Memcached in earnest.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Entry {
    value: u32,
    is_fresh: bool,
}

#[derive(Clone)]
struct Cache {
    entry: Arc<RwLock<Entry>>,
    queries: Arc<AtomicU32>,
    locks: Client,
}

impl Cache {
    fn read(&self) -> Entry {
        *self.entry.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get(&self) -> Result<u32> {
        let seen = self.read();
        if seen.is_fresh {
            return Ok(seen.value);
        }
        // The process that has the lock fills the cache. If that takes longer than 30 s, better an old value than none.
        let lock = self.locks.mutex("cache/price")?.ttl(Duration::from_secs(10));
        let Some(guard) = lock.try_lock_for(Duration::from_secs(30)).await? else { return Ok(seen.value) };
        // Again under the lock: whoever had it before has filled the cache.
        let seen = self.read();
        if seen.is_fresh {
            guard.release().await?;
            return Ok(seen.value);
        }
        let value = guard.run(self.query()).await?;
        *self.entry.write().unwrap_or_else(PoisonError::into_inner) = Entry { value, is_fresh: true };
        guard.release().await?;
        Ok(value)
    }

    /// The expensive query.
    async fn query(&self) -> u32 {
        for _ in 0..1000 {
            yield_now().await;
        }
        self.queries.fetch_add(1, Ordering::AcqRel) + 42
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let entry = Arc::new(RwLock::new(Entry { value: 7, is_fresh: false }));
    let cache = Cache { entry, queries: Arc::default(), locks: Client::connect("memory:").await? };
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let cache = cache.clone();
        requests.spawn(async move { cache.get().await });
    }
    let values: Result<Vec<u32>> = requests.join_all().await.into_iter().collect();
    assert_eq!(values?, [42; 100]);
    println!("100 requests, {} query", cache.queries.load(Ordering::Acquire));
    cache.locks.close(Duration::from_secs(5)).await
}
