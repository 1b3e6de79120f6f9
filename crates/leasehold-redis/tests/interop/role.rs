//! This program as a peer: rslock, or Leasehold in a process of its own.

use std::{
    collections::HashMap,
    io::{BufRead, Write},
    process::ExitCode,
    time::Duration,
};

use leasehold_core::{Engine, Env, Hold, LockName, LockOptions, Wait};
use leasehold_testkit::peer::STORE;
use rslock::{Lock, LockError, LockManager};

use crate::context::{Way, engine, terms, way};

type Answer = Result<&'static str, Box<dyn std::error::Error>>;

/// How often rslock asks while it waits.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// `rslock 0.10.0`: what was built is what the lock file names.
const LOCK_FILE: &str = include_str!("../../../../Cargo.lock");

/// Which one it is when it is rslock; otherwise it is ours, in the [`way`] of that label.
pub(crate) const RSLOCK: &str = "rslock";

/// Serves until the input ends.
pub(crate) fn play(role: &str, env: Env) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("this machine can start a thread");
    let url = std::env::var(STORE).expect("who starts a peer says where the store is");
    match way(role) {
        Some(way) => runtime.block_on(serve(Ours::new(way, &url, env))),
        None => runtime.block_on(serve(Rslock::new(&url))),
    }
    ExitCode::SUCCESS
}

/// A library that locks.
trait Library {
    fn version(&self) -> String;
    async fn lock(&mut self, name: &str, ttl: Duration, wait: Duration) -> Answer;
    async fn unlock(&mut self, name: &str) -> Answer;
}

async fn serve(mut library: impl Library) {
    say(&format!("ready {}", library.version()));
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["lock", name, ttl_ms] => library.lock(name, millis(ttl_ms), Duration::ZERO).await,
            ["wait", name, ttl_ms, timeout_ms] => {
                library.lock(name, millis(ttl_ms), millis(timeout_ms)).await
            }
            ["unlock", name] => library.unlock(name).await,
            ["quit"] => return,
            _ => Err(format!("unknown: {line}").into()),
        };
        match answer {
            Ok(answer) => say(answer),
            Err(error) => say(&format!("error {error}")),
        }
    }
}

/// Answers the other side. When that has gone, so does this process, at the end of its input.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}");
    let _ = output.flush();
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(text.parse().expect("the cases send numbers"))
}

struct Rslock {
    manager: LockManager,
    locks: HashMap<String, Lock>,
}

impl Rslock {
    fn new(url: &str) -> Rslock {
        Rslock { manager: LockManager::new(vec![url]), locks: HashMap::new() }
    }
}

impl Library for Rslock {
    fn version(&self) -> String {
        let entry = LOCK_FILE.split_once("name = \"rslock\"\nversion = \"").map(|(_, rest)| rest);
        let version = entry.and_then(|rest| rest.split('"').next());
        format!("rslock {}", version.unwrap_or_default())
    }

    async fn lock(&mut self, name: &str, ttl: Duration, wait: Duration) -> Answer {
        // It draws each delay from nothing up to the one it is told, so half of it on average.
        let tries = 1 + 2 * wait.as_millis() / RETRY_DELAY.as_millis();
        self.manager.set_retry(tries.try_into()?, RETRY_DELAY);
        match self.manager.lock(name, ttl).await {
            Ok(lock) => {
                self.locks.insert(name.into(), lock);
                Ok("granted")
            }
            Err(LockError::Unavailable) => Ok("busy"),
            Err(error) => Err(error.into()),
        }
    }

    async fn unlock(&mut self, name: &str) -> Answer {
        let lock = self.locks.remove(name).ok_or("nothing of that name was locked")?;
        // Its unlock answers nothing, so it is asked before.
        let freed = self.manager.is_freed(&lock).await;
        self.manager.unlock(&lock).await;
        match freed {
            Ok(false) => Ok("released"),
            Ok(true) | Err(LockError::RedisKeyMismatch | LockError::RedisKeyNotFound) => Ok("gone"),
            Err(error) => Err(error.into()),
        }
    }
}

struct Ours {
    way: Way,
    engine: Engine,
    holds: HashMap<String, Hold>,
}

impl Ours {
    fn new(way: Way, url: &str, env: Env) -> Ours {
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        let engine = engine(way, port.expect("an address that ends in a port"), &env);
        Ours { way, engine, holds: HashMap::new() }
    }
}

impl Library for Ours {
    fn version(&self) -> String {
        format!("leasehold {}", env!("CARGO_PKG_VERSION"))
    }

    /// Without renewal: a hold ends when the case says so.
    async fn lock(&mut self, name: &str, ttl: Duration, wait: Duration) -> Answer {
        let terms = LockOptions { renew: false, ..terms(ttl) };
        let wait = if wait.is_zero() { Wait::No } else { Wait::For(wait) };
        let hold = self.engine.acquire(&LockName::new(name)?, self.way.mode, &terms, wait, None).await?;
        let Some(hold) = hold else { return Ok("busy") };
        self.holds.insert(name.into(), hold);
        Ok("granted")
    }

    async fn unlock(&mut self, name: &str) -> Answer {
        let hold = self.holds.remove(name).ok_or("nothing of that name was locked")?;
        match hold.release().await? {
            leasehold_core::Release::Released => Ok("released"),
            leasehold_core::Release::NotHeld => Ok("gone"),
        }
    }
}
