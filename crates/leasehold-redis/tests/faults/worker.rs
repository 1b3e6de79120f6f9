//! A client in a process of its own, that can be stopped, killed, starved and told the wrong time.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, SystemTime},
};

use leasehold_core::{Engine, Hold, LockOptions, Release, Wait};
use leasehold_redis::{Endpoint, Servers};

use crate::{
    fixture::{Naive, engine, engine_with, lock, name, run, ttl},
    resource::{Check, Resource},
};

const ROLE: &str = "LEASEHOLD_REDIS_WORKER";

/// Not a test of its own: a client, when the environment says so. It does what each line tells it, and answers with one.
#[test]
fn role() {
    let Ok(address) = std::env::var(ROLE) else { return };
    run(async {
        let (host, port) = address.rsplit_once(':').unwrap();
        let server = Endpoint::tcp(host, port.parse().unwrap());
        let engine = engine_with("single=1", |options| options.servers = Servers::Single(server));
        let mut process = WorkerProcess { engine, address, hold: None, until: None };
        while let Some(line) = next_line() {
            let words: Vec<&str> = line.split(' ').collect();
            let answer = process.answer(&words).await;
            println!("worker says {answer}");
        }
    });
}

fn next_line() -> Option<String> {
    std::io::stdin().lines().next()?.ok()
}

struct WorkerProcess {
    engine: Engine,
    address: String,
    hold: Option<Hold>,
    /// The end of the lease for somebody who looks at the wall clock.
    until: Option<SystemTime>,
}

impl WorkerProcess {
    async fn answer(&mut self, words: &[&str]) -> String {
        match words {
            // Not renewed: what is shown is the end of it.
            ["lock", text, ms] => {
                let terms =
                    LockOptions { note: Some("host:1".into()), renew: false, ..ttl(ms.parse().unwrap()) };
                self.taken(lock(&self.engine, text, &terms).await)
            }
            ["keep", text, ms] => {
                let terms = ttl(ms.parse().unwrap());
                self.taken(lock(&self.engine, text, &terms).await)
            }
            ["try", text, ms] => {
                let terms =
                    LockOptions { retry_timeout: Duration::from_secs(60), ..ttl(ms.parse().unwrap()) };
                self.try_lock(text, &terms).await
            }
            ["naive", key, ms] => {
                let mut naive = Naive::at(&self.address);
                naive.lock(key, "worker", ms.parse().unwrap()).to_string()
            }
            ["check"] => self.hold().lease().check().is_ok().to_string(),
            ["age"] => self.hold().lease().age().as_millis().to_string(),
            ["remaining"] => self.hold().lease().remaining().as_millis().to_string(),
            ["wall"] => self.until.is_some_and(|until| SystemTime::now() < until).to_string(),
            ["release"] => match self.hold.take().expect("a hold").release().await {
                Ok(Release::Released) => "released".into(),
                other => format!("{other:?}"),
            },
            ["add", key, check, pause] => self.add(key, check, *pause == "unchecked").await,
            ["wait", clients, names] => {
                self.crowd(clients.parse().unwrap(), names.parse().unwrap());
                "waiting".into()
            }
            ["child"] => spawn_sleeper().to_string(),
            ["starve"] => self.starve().await,
            ["abort"] => {
                let _bomb = Bomb { _hold: self.hold.take() };
                "never said".into()
            }
            other => format!("what is {other:?}?"),
        }
    }

    fn taken(&mut self, hold: Hold) -> String {
        self.until = Some(SystemTime::now() + hold.lease().remaining());
        let token = hold.lease().fencing_token().expect("Redis orders its grants").get();
        self.hold = Some(hold);
        token.to_string()
    }

    async fn try_lock(&mut self, text: &str, terms: &LockOptions) -> String {
        let mode = leasehold_core::Mode::Exclusive;
        match self
            .engine
            .acquire(&name(text), mode, &LockOptions { renew: false, ..terms.clone() }, Wait::No, None)
            .await
        {
            Ok(Some(hold)) => self.taken(hold),
            Ok(None) => "busy".into(),
            Err(error) => format!("error {:?}", error.kind()),
        }
    }

    /// Adds one to a number, with a pause at the worst moment: between the last look at the lease and the write.
    async fn add(&self, key: &str, check: &str, unchecked: bool) -> String {
        let mut resource = Resource::at(&self.address, key, Check::of(check));
        let token = self.hold().lease().fencing_token().expect("a token").get();
        let value = resource.read(token);
        assert!(self.hold().lease().check().is_ok(), "valid before the pause");
        stop_here();
        // Some other thread may be the first to notice the signal; this one goes no further than here.
        assert_eq!(next_line().as_deref(), Some("go"));
        if !unchecked && self.hold().lease().check().is_err() {
            return "lost".into();
        }
        if resource.write(token, value + 1) { "written".into() } else { "refused".into() }
    }

    /// Each of so many clients queues up for each of so many locks.
    fn crowd(&self, clients: usize, names: usize) {
        for _ in 0..clients {
            let engine = engine(&format!("single={}", self.port()));
            for at in 0..names {
                let (engine, terms) = (engine.clone(), LockOptions { fair: true, ..ttl(600_000) });
                tokio::spawn(async move { lock(&engine, &format!("crowded {at}"), &terms).await });
            }
        }
    }

    fn port(&self) -> &str {
        self.address.rsplit_once(':').expect("an address").1
    }

    /// Opens files until there is no descriptor left, and says what becomes of a new client and of the hold.
    async fn starve(&self) -> String {
        let env = crate::common::env();
        let first = self.hold().lease().deadline();
        // Renewals have a connection of their own, which the first of them opens.
        let renewed = || async { self.hold().lease().deadline() > first };
        crate::fixture::eventually(&env, "a renewal", renewed).await;
        let age = self.hold().lease().age();
        let eaten: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let foreign = engine(&format!("single={}", self.port()));
        let terms = LockOptions { retry_timeout: Duration::from_millis(300), ..ttl(1_000) };
        let refused = crate::fixture::try_lock(&foreign, "other", &terms).await;
        crate::fixture::eventually(&env, "renewals without descriptors", || async {
            self.hold().lease().age() > age + Duration::from_millis(3_000)
        })
        .await;
        let valid = self.hold().lease().check().is_ok();
        let count = eaten.len();
        drop(eaten);
        let later = crate::fixture::try_lock(&foreign, "other", &ttl(1_000)).await;
        let refused = refused.is_err_and(|error| error.is_transient());
        format!(
            "starved {} refused {refused} held {valid} later {}",
            count > 0,
            later.is_ok_and(|hold| hold.is_some())
        )
    }

    fn hold(&self) -> &Hold {
        self.hold.as_ref().expect("a hold")
    }
}

/// Aborts while it is dropped, with a hold in hand.
struct Bomb {
    _hold: Option<Hold>,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// SIGSTOP to the whole process.
fn stop_here() {
    let status = Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status();
    assert!(status.unwrap().success());
}

fn spawn_sleeper() -> u32 {
    let mut command = Command::new("sleep");
    command.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap().id()
}

/// The process, seen from the test. Killed with the value.
pub(crate) struct Worker {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// A client of a server at `host:port`.
    pub(crate) fn start(address: &str) -> Worker {
        Self::start_with(address, |_| {})
    }

    pub(crate) fn start_with(address: &str, change: impl FnOnce(&mut Command)) -> Worker {
        Self::start_as(Command::new(std::env::current_exe().unwrap()), address, change)
    }

    /// By way of a shell script, which replaces itself with `"$@"`.
    pub(crate) fn start_by(script: &str, address: &str, change: impl FnOnce(&mut Command)) -> Worker {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(std::env::current_exe().unwrap());
        Self::start_as(shell, address, change)
    }

    fn start_as(mut command: Command, address: &str, change: impl FnOnce(&mut Command)) -> Worker {
        command.args(["--exact", "worker::role", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, address).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Worker { child, output }
    }

    /// Tells it what to do, and does not wait for the answer.
    pub(crate) fn tell(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Its next answer.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the worker has ended");
            if let Some((_, said)) = line.split_once("worker says ") {
                return said.trim().to_string();
            }
        }
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGSTOP; returns when it stands still.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
        self.await_stopped();
    }

    /// Returns when it stands still.
    pub(crate) fn await_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.id());
        let stands_still = || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        assert!(leasehold_testkit::wait::until(crate::fixture::SOON, stands_still), "the worker stops");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// Wakes it from the pause of `add`.
    pub(crate) fn go_on(&mut self) {
        self.resume();
        self.tell("go");
    }

    /// SIGKILL, or waits for an end that comes by itself.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.await_end();
    }

    pub(crate) fn await_end(&mut self) {
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
