//! Holders in processes of their own, that are stopped and killed.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use leasehold_core::{Claim, Env, LockOptions};
use leasehold_testkit::zookeeper::Server;

use crate::{
    common,
    fixture::{SOON, claim, engine, eventually, lock, name, run, store, ttl},
    naive::Naive,
};

const ROLE: &str = "LEASEHOLD_ZOOKEEPER_HOLDER";

/// Not a test of its own: a holder, when the environment says so. It says what it believes, whenever it is asked.
#[test]
fn holder() {
    let Ok(words) = std::env::var(ROLE) else { return };
    let (words, delay) = words.split_once(';').expect("words and a delay");
    run(async {
        let engine = engine(words).await;
        let terms = LockOptions { lock_delay: Duration::from_millis(delay.parse().unwrap()), ..ttl(2_000) };
        let hold = lock(&engine, "orders", &terms).await;
        let servers = words.split(' ').find_map(|word| word.strip_prefix("servers=")).unwrap();
        // The recipe of the library below: it holds until somebody tells it otherwise.
        let connector = zookeeper_client::Client::connector().with_session_timeout(Duration::from_secs(2));
        let client = connector.connect(servers).await.unwrap();
        let naive = Naive { client };
        let number = naive.enqueue("/naive").await.unwrap();
        say(&format!("holds {number}"));
        for line in std::io::stdin().lock().lines() {
            // What a critical section asks between two steps: no network, no await.
            let believes = line.is_ok() && hold.lease().check().is_ok();
            let naively = !naive.client.state().is_terminated();
            say(&format!("believes {believes} naive {naively}"));
        }
    });
}

fn say(line: &str) {
    println!("ZK {line}");
}

struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(words: &str, delay: Duration) -> Holder {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process::holder", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, format!("{words};{}", delay.as_millis()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Holder { child, output }
    }

    fn hears(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the holder has ended");
            if let Some((_, said)) = line.split_once("ZK ") {
                return said.trim().to_string();
            }
        }
    }

    fn ask(&mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.hears()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn is_free(env: &Env, server: &Server) {
    let naive = Naive::at(&server.address()).await;
    eventually(env, "the session ends", || async {
        naive.client.list_children("/orders").await.unwrap_or_default().is_empty()
    })
    .await;
}

/// S12. A holder stands still for longer than its session: another one enters, and when it goes on it knows so in its
/// first instruction, before any packet. The client of the library below says "connected" until it hears.
#[test]
fn a_holder_that_slept_through_its_session_knows_at_once() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        naive.make("/naive").await;
        let words = format!("servers={} session=2000", server.address());
        let mut holder = Holder::start(&words, Duration::ZERO);
        let number = holder.hears().strip_prefix("holds ").unwrap().parse::<i64>().unwrap();
        assert_eq!(holder.ask(), "believes true naive true");
        assert!(naive.is_first("/naive", number).await);
        holder.signal("-STOP");
        let other = engine(&format!("servers={}", server.address())).await;
        let next = lock(&other, "orders", &ttl(30_000)).await;
        eventually(&env, "the naive one's session ends too", || async {
            !naive.is_first("/naive", number).await || {
                naive.client.list_children("/naive").await.unwrap().is_empty()
            }
        })
        .await;
        // The question is there before the holder runs: it is answered with the clock alone.
        holder.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        holder.signal("-CONT");
        let said = holder.hears();
        assert!(said.starts_with("believes false"), "{said}");
        assert_eq!(said, "believes false naive true", "the control: it has not heard yet");
        env.sleep(Duration::from_secs(1)).await;
        next.confirm().await.expect("what the old holder does late touches nobody");
    });
}

/// Chubby's lock-delay: killed, the next one enters no earlier than the delay; released, at once.
#[test]
fn a_killed_holder_keeps_the_lock_shut_for_its_delay() {
    let server = Server::start().unwrap();
    run(async {
        let (env, naive) = (common::env(), Naive::at(&server.address()).await);
        naive.make("/naive").await;
        let delay = Duration::from_secs(4);
        let words = format!("servers={} session=2000", server.address());
        let mut holder = Holder::start(&words, delay);
        holder.hears();
        let raw = store(&format!("servers={}", server.address())).await;
        holder.signal("-KILL");
        let killed = env.now();
        let waiter = Claim { queueing: leasehold_core::Queueing::Fifo, ..claim(&env, "orders", 30_000) };
        let other = engine(&format!("servers={}", server.address())).await;
        let next = lock(&other, "orders", &ttl(30_000)).await;
        let entered = env.now().since(killed);
        assert!(entered >= delay, "after {entered:?}");
        next.release().await.unwrap();
        assert!(matches!(raw.claim(&waiter).await.unwrap(), leasehold_core::Standing::Granted(_)));
        assert!(entered < delay + SOON, "after {entered:?}");
        use leasehold_core::Store;
        raw.release(&waiter).await.unwrap();
        assert!(raw.inspect(&name("orders")).await.unwrap().holders.is_empty());

        // The control: without a delay the next one enters when the session has ended.
        let mut holder = Holder::start(&words, Duration::ZERO);
        holder.hears();
        holder.signal("-KILL");
        is_free(&env, &server).await;
        lock(&other, "orders", &ttl(30_000)).await.release().await.unwrap();
    });
}
