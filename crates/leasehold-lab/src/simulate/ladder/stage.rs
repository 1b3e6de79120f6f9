//! [`Stage`]: the server that the rungs share, the clock, and waiting that a signal can end.

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
use leasehold_testkit::{
    redis::{Connection, Server},
    wait,
};

/// How often whoever can be awaited asks whether the program is to end.
const LOOK: Duration = Duration::from_millis(50);

/// What all rungs play on.
pub(crate) struct Stage {
    pub(crate) env: Env,
    pub(crate) server: Server,
    stop: Arc<AtomicBool>,
}

impl Stage {
    /// Starts the server.
    pub(crate) fn start(env: Env, stop: Arc<AtomicBool>) -> Result<Stage> {
        Ok(Stage { env, server: Server::start()?, stop })
    }

    /// A connection to the server, for one client.
    pub(crate) fn connect(&self) -> Result<Connection> {
        Ok(self.server.connect()?)
    }

    /// Looks until the condition holds; whether it held within the limit.
    pub(crate) fn until(&self, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
        let mut answer = Ok(false);
        wait::until(limit, || {
            answer = if self.is_stopped() { stopped() } else { condition() };
            !matches!(answer, Ok(false))
        });
        answer
    }

    /// Work takes its time.
    pub(crate) fn work(&self, until: Moment) -> Result<()> {
        let length = until.since(self.env.now());
        self.until(length + LOOK, || Ok(self.env.now() >= until)).map(drop)
    }

    /// Plays something with futures; a signal ends it.
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
            self.env.sleep(LOOK).await;
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn stopped<T>() -> Result<T> {
    bail!("ended by a signal")
}

/// Whether the search path has it.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = var_os("PATH").unwrap_or_default();
    split_paths(&path).any(|place| place.join(program).is_file())
}

/// Whether a server's clock can be made to jump.
pub(crate) fn has_compiler() -> bool {
    is_installed("cc")
}
