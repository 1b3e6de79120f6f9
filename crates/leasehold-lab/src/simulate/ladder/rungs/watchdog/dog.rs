//! [`Watchdog`]: renews a lock in the background. What it learns it counts; it has nobody to tell.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, ensure};
use leasehold_testkit::redis::Connection;

const RENEW: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) \
                     else return 0 end";

/// A thread that renews every third of the time to live, until it is stopped.
pub(super) struct Watchdog {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<(u64, u64)>,
}

impl Watchdog {
    pub(super) fn start(
        address: &str,
        key: &'static str,
        id: &'static str,
        ttl: Duration,
    ) -> Result<Watchdog> {
        let (stop, stopped) = mpsc::channel();
        let address = address.to_owned();
        let ttl_ms = ttl.as_millis().to_string();
        let mut connection = Some(Connection::open(&address)?);
        let work = move || {
            let (mut renewed, mut failed) = (0, 0);
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(ttl / 3) {
                let open = connection.take().map_or_else(|| Ok(Connection::open(&address)?), Ok);
                match open.and_then(|open| renew(open, &["EVAL", RENEW, "1", key, id, &ttl_ms])) {
                    Ok(open) => {
                        renewed += 1;
                        connection = Some(open);
                    }
                    // It will try again with a new connection: what else could it do?
                    Err(_) => failed += 1,
                }
            }
            (renewed, failed)
        };
        let thread = thread::Builder::new().name("naive-watchdog".into()).spawn(work)?;
        Ok(Watchdog { stop, thread })
    }

    /// How many renewals were confirmed, and how many failed.
    pub(super) fn stop(self) -> (u64, u64) {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

fn renew(mut connection: Connection, command: &[&str]) -> Result<Connection> {
    let renewed = connection.call(command)?.accepted()?.int() == Some(1);
    ensure!(renewed, "the lock is gone");
    Ok(connection)
}
