//! A process that forks and goes on in both halves: the child has its parent's clients, and none of their threads.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use fork::Fork;
use leasehold::{Client, Result};
use leasehold_testkit::{etcd, memcached, redis, zookeeper};

/// The URL for the forking program.
const URL: &str = "LEASEHOLD_FORK_URL";
/// The time for all calls of the child together.
const AT_ONCE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);
const WORDS: &str = "connect after the fork";
const CALLS: [&str; 15] = [
    "check",
    "lost",
    "confirm",
    "mutex",
    "lock",
    "try_lock",
    "try_lock_for",
    "inspect",
    "list",
    "force_release",
    "async check",
    "async lock",
    "async inspect",
    "async release",
    "async close",
];

/// The body of the forking program: a test that does nothing unless another starts it.
#[test]
fn program() {
    let Ok(url) = std::env::var(URL) else { return };
    let client = Client::blocking_connect(&*url).unwrap();
    let guard = client.mutex("held").unwrap().blocking_lock().unwrap();
    let mutex = client.mutex("free").unwrap();
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let in_async = other.block_on(Client::connect(&*url)).unwrap();
    let async_guard = other.block_on(async { in_async.mutex("held 2")?.lock().await }).unwrap();
    let naive = naive();
    match fork::fork().unwrap() {
        Fork::Child => {
            say("control", &naive());
            child(&url, &client, &mutex, guard, &in_async, async_guard);
            std::process::exit(0);
        }
        Fork::Parent(pid) => {
            fork::waitpid(pid).unwrap();
            // The child has used and dropped all of it.
            guard.check().unwrap();
            guard.blocking_confirm().unwrap();
            async_guard.blocking_confirm().unwrap();
            assert!(mutex.blocking_try_lock().unwrap().is_some());
            guard.blocking_release().unwrap();
            say("parent", "goes on");
        }
    }
}

/// A client as most are: a thread that answers requests. It is the control.
fn naive() -> impl Fn() -> String {
    let (requests, inbox) = mpsc::channel::<mpsc::Sender<()>>();
    let answer = move || inbox.iter().for_each(|answer| answer.send(()).unwrap());
    std::thread::Builder::new().spawn(answer).unwrap();
    move || {
        let (answer, answered) = mpsc::channel();
        requests.send(answer).unwrap();
        answered.recv_timeout(Duration::from_millis(300)).map_or("hangs".into(), |()| "answers".into())
    }
}

fn say(what: &str, answer: &str) {
    let mut output = std::io::stderr().lock();
    writeln!(output, "{what}: {answer}").unwrap();
}

/// Reports a call that has to fail.
fn fails<T>(what: &str, answer: Result<T>) {
    say(what, &answer.map_or_else(|error| error.to_string(), |_| "succeeded".into()));
}

fn child(
    url: &str,
    client: &Client,
    mutex: &leasehold::Mutex,
    guard: leasehold::MutexGuard,
    in_async: &Client,
    async_guard: leasehold::MutexGuard,
) {
    let (env, begin) = (client.env(), client.env().now());
    let (_running, ended) = mpsc::channel::<()>();
    // A call that hangs ends the child, without the words of those after it.
    let limit = move || {
        let _ = ended.recv_timeout(PATIENCE);
        std::process::exit(1);
    };
    std::thread::Builder::new().spawn(limit).unwrap();
    fails("check", guard.check().map_err(Into::into));
    say("lost", &guard.blocking_lost().unwrap().to_string());
    fails("confirm", guard.blocking_confirm());
    fails("mutex", client.mutex("x"));
    fails("lock", mutex.blocking_lock());
    fails("try_lock", mutex.blocking_try_lock());
    fails("try_lock_for", mutex.blocking_try_lock_for(Duration::from_secs(30)));
    fails("inspect", client.blocking_inspect("held"));
    fails("list", client.blocking_list("", 10));
    fails("force_release", client.blocking_force_release("held"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        fails("async check", async_guard.check().map_err(Into::into));
        fails("async lock", mutex.lock().await);
        fails("async inspect", in_async.inspect("held 2").await);
        fails("async force_release", in_async.force_release("held 2").await);
        fails("async release", async_guard.release().await);
        fails("async close", in_async.close(Duration::from_secs(30)).await);
    });
    drop(guard);
    fails("close", client.blocking_close(Duration::from_secs(30)));
    say("child", if env.now().since(begin) < AT_ONCE { "at once" } else { "late" });
    match Client::blocking_connect(url) {
        Ok(own) => {
            say("own", if own.mutex("own").unwrap().blocking_lock().is_ok() { "locks" } else { "fails" })
        }
        Err(error) => say("own", &error.to_string()),
    }
}

/// Runs the forking program on a store; `own` is the answer to a client that the child connects.
fn forks(url: &str, own: &str) {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "program", "--nocapture"]).env(URL, url);
    let output = program.stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{url}: {said}");
    let answers: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once(": ")).collect();
    let answer = |wanted: &str| {
        let found = answers.iter().find(|(what, _)| *what == wanted);
        found.unwrap_or_else(|| panic!("{url}: no `{wanted}` in {said}")).1
    };
    for what in CALLS {
        assert!(answer(what).contains(WORDS), "{url}: {what}: {said}");
    }
    assert_eq!(
        (answer("control"), answer("child"), answer("parent")),
        ("hangs", "at once", "goes on"),
        "{url}"
    );
    assert!(answer("own").contains(own), "{url}: {said}");
}

/// A19. The control: a request to a thread of the parent has no answer in the child. SQLite and the client library of
/// ZooKeeper cannot be used anew by a child of a process that uses them, which is said at once, too.
#[test]
fn a19_every_call_of_a_forked_child_fails_at_once_on_every_server() {
    let (one, memcached) = (redis::Server::start().unwrap(), memcached::Server::start().unwrap());
    let (zookeeper, etcd) = (zookeeper::Server::start().unwrap(), etcd::Member::start().unwrap());
    let cluster = redis::Cluster::start().unwrap();
    forks(&one.url(), "locks");
    forks(&memcached.url(), "locks");
    forks(&format!("zookeeper://{}", zookeeper.address()), "was in use before this process was forked");
    forks(&format!("etcd://{}", etcd.address()), "locks");
    forks(&cluster.url(), "locks");
}

/// A database that the parent has open is refused in the child: SQLite would take its parent's locks for its own.
#[test]
fn a_forked_child_fails_at_once_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    forks("memory:", "locks");
    forks(&format!("sqlite:{}", directory.path().join("locks.db").display()), "was open in the process");
}
