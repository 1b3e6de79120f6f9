//! [`Harness`]: the Redis server of the ladder, the clock, and waits that a signal ends.

use std::{
    env::{split_paths, var_os},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use leasehold::env::{Env, Moment};
use leasehold_testkit::{redis::Server, wait};

use crate::naive_redis::NaiveRedis;

/// The time to live of the naive locks.
const TTL: Duration = Duration::from_millis(300);
/// The interval between two checks for a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The shared server and clock.
pub(crate) struct Harness {
    pub(crate) env: Env,
    pub(crate) server: Server,
    stop: Arc<AtomicBool>,
}

impl Harness {
    pub(crate) fn start(env: Env, stop: Arc<AtomicBool>) -> Result<Harness> {
        Ok(Harness { env, server: Server::start()?, stop })
    }

    pub(crate) fn client(&self, key: &str, id: &str) -> NaiveRedis {
        NaiveRedis::new(&[self.server.address()], key, id, TTL)
    }

    /// Polls until the condition holds; whether it held within the limit.
    pub(crate) fn until(&self, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
        let mut answer = Ok(false);
        wait::until(limit, || {
            answer = if self.is_stopped() { stopped() } else { condition() };
            !matches!(answer, Ok(false))
        });
        answer
    }

    pub(crate) fn work(&self, until: Moment) -> Result<()> {
        let length = until.since(self.env.now());
        self.until(length + POLL_INTERVAL, || Ok(self.env.now() >= until)).map(drop)
    }

    /// Runs a future that a signal ends.
    pub(crate) fn block_on<T>(&self, play: impl Future<Output = Result<T>>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let play = Box::pin(play);
        runtime.block_on(async {
            tokio::select! {
                played = play => played,
                () = self.signal() => stopped(),
            }
        })
    }

    async fn signal(&self) {
        while !self.is_stopped() {
            self.env.sleep(POLL_INTERVAL).await;
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn stopped<T>() -> Result<T> {
    bail!("ended by a signal")
}

/// Whether a program is in the search path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = var_os("PATH").unwrap_or_default();
    split_paths(&path).any(|place| place.join(program).is_file())
}

/// Whether the library that moves the clock of a server can be compiled.
pub(crate) fn has_compiler() -> bool {
    is_installed("cc")
}
