//! Shared by the tests: a small engine, and other processes.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    future::Future,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use leasehold_core::{
    Binding, Claim, ClaimId, Env, FencingToken, Interest, LockName, Mode, Queueing, Result, Standing, Store,
};
use rustix::process::{Pid, Signal, kill_process};

/// No step of a test takes longer, unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn env() -> Env {
    Env::system().unwrap()
}

pub(crate) fn name(text: &str) -> LockName {
    LockName::new(text).unwrap()
}

/// An exclusive claim without a queue.
pub(crate) fn exclusive(text: &str, ttl: Duration) -> Claim {
    Claim::new(name(text), ClaimId::mint(&env()), ttl)
}

/// An exclusive claim that queues.
pub(crate) fn fifo(text: &str, ttl: Duration) -> Claim {
    Claim { queueing: Queueing::Fifo, ..exclusive(text, ttl) }
}

pub(crate) fn shared(text: &str, ttl: Duration) -> Claim {
    Claim { mode: Mode::Shared, ..fifo(text, ttl) }
}

pub(crate) fn detached(text: &str, ttl: Duration) -> Claim {
    Claim { binding: Binding::Ttl, ..exclusive(text, ttl) }
}

/// The token of a grant; anything else fails the test.
#[track_caller]
pub(crate) fn granted(standing: Result<Standing>) -> FencingToken {
    match standing {
        Ok(Standing::Granted(grant)) => grant.fence.unwrap(),
        other => panic!("not granted: {other:?}"),
    }
}

/// Waits for the lock as the engine does: claim, subscribe, claim again, wait for news or the recheck.
pub(crate) async fn acquire(
    store: &dyn Store,
    env: &Env,
    claim: &Claim,
    on_wait: impl FnOnce(),
) -> Result<FencingToken> {
    let (mut wake, mut on_wait) = (None, Some(on_wait));
    loop {
        match store.claim(claim).await? {
            Standing::Granted(grant) => return Ok(grant.fence.unwrap()),
            Standing::Waiting(busy) => match &mut wake {
                None => wake = Some(store.watch(&claim.name, Interest::Turn(claim.id)).await?),
                Some(wake) => {
                    if let Some(on_wait) = on_wait.take() {
                        on_wait();
                    }
                    if let Some(news) = env.until(env.now() + busy.recheck_in, wake.wait()).await {
                        news?;
                    }
                }
            },
            other => panic!("neither granted nor waiting: {other:?}"),
        }
    }
}

const ROLE: &str = "LEASEHOLD_TEST_ROLE";

/// The role and arguments of this process, if it is a peer of a test.
pub(crate) fn my_role() -> Option<(String, Vec<String>)> {
    let role = std::env::var(ROLE).ok()?;
    let mut words = role.split('\u{1f}').map(str::to_owned);
    Some((words.next()?, words.collect()))
}

/// Tells the test that started this process.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n@{line}").unwrap();
    out.flush().unwrap();
}

/// The next order from the test that started this process; `None` when it is gone.
pub(crate) fn order() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line).unwrap() {
        0 => None,
        _ => Some(line.trim().to_owned()),
    }
}

/// Another process: this test binary once more, in a role. Killed when dropped.
pub(crate) struct Peer {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Peer {
    pub(crate) fn start(role: &str, arguments: &[&str]) -> Peer {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "role", "--nocapture", "--test-threads=1"]);
        Peer::start_as(command, role, arguments)
    }

    pub(crate) fn start_as(mut command: Command, role: &str, arguments: &[&str]) -> Peer {
        let words: Vec<_> = [role].iter().chain(arguments).copied().collect();
        command.env(ROLE, words.join("\u{1f}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::Builder::new()
            .spawn(move || {
                for line in out.lines().map_while(std::result::Result::ok) {
                    if let Some(line) = line.strip_prefix('@') {
                        let _ = sender.send(line.to_owned());
                    }
                }
            })
            .unwrap();
        Peer { orders: child.stdin.take(), child, lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its next line.
    #[track_caller]
    pub(crate) fn hears(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the peer says something")
    }

    #[track_caller]
    pub(crate) fn expect(&self, word: &str) -> String {
        let line = self.hears();
        line.strip_prefix(word).unwrap_or_else(|| panic!("expected {word}, heard {line}")).trim().to_owned()
    }

    /// Its next line, if it comes within `span`.
    pub(crate) fn hears_within(&self, span: Duration) -> Option<String> {
        self.lines.recv_timeout(span).ok()
    }

    pub(crate) fn order(&mut self, line: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it, and returns once the kernel says that it stands still.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let status = format!("/proc/{}/stat", self.pid());
        while !std::fs::read_to_string(&status).unwrap().contains(") T ") {
            std::thread::yield_now();
        }
    }

    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) fn ends(mut self) {
        drop(self.orders.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
