//! Two processes that take one lock again and again, and a client that polls for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Claim, ClaimId, Env, LockName, Mode, Moment, Result, Standing, Store,
    engine::{Engine, LockOptions, Wait},
};

/// How long a client that polls sleeps after each try.
const POLL: Duration = Duration::from_millis(50);

/// The times in which grants are counted.
pub(super) struct Windows {
    begin: Moment,
    length: Duration,
    grants: Vec<AtomicU64>,
}

impl Windows {
    pub(super) fn new(begin: Moment, length: Duration, count: usize) -> Windows {
        Windows { begin, length, grants: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    fn end(&self) -> Moment {
        self.begin + self.length * self.grants.len() as u32
    }

    /// Counts a grant at `now`.
    fn count(&self, now: Moment) {
        let at = now.since(self.begin).as_nanos() / self.length.as_nanos().max(1);
        if let Some(grants) = self.grants.get(at as usize) {
            grants.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn grants(&self) -> Vec<u64> {
        self.grants.iter().map(|grants| grants.load(Ordering::Relaxed)).collect()
    }
}

/// Four tasks of one engine lock and release as fast as they can.
pub(super) async fn contend(
    env: &Env,
    store: Arc<dyn Store>,
    name: &LockName,
    ttl: Duration,
    windows: &Windows,
) -> Result<()> {
    let engine = Engine::new(store, env.clone());
    let options = LockOptions { ttl, ..LockOptions::default() };
    let task = async || -> Result<()> {
        env.sleep_until(windows.begin).await;
        while env.now() < windows.end() {
            let hold = engine.acquire(name, Mode::Exclusive, &options, Wait::Forever, None).await?;
            if let Some(hold) = hold {
                windows.count(env.now());
                hold.release().await?;
            }
        }
        Ok(())
    };
    let (one, two, three, four) = tokio::join!(task(), task(), task(), task());
    one.and(two).and(three).and(four)
}

/// A client without a place tries, and sleeps.
pub(super) async fn poll(
    env: &Env,
    store: &Arc<dyn Store>,
    name: &LockName,
    ttl: Duration,
    windows: &Windows,
) -> Result<()> {
    env.sleep_until(windows.begin).await;
    while env.now() < windows.end() {
        let claim = Claim::new(name.clone(), ClaimId::mint(env), ttl);
        if let Standing::Granted(_) = store.claim(&claim).await? {
            windows.count(env.now());
            store.release(&claim).await?;
        }
        env.sleep(POLL).await;
    }
    Ok(())
}
