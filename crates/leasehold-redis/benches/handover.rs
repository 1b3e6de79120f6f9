//! From the moment at which one client begins to release to the moment at which another, which waits, holds the lock: by
//! push, and by a client that asks every 100 ms.
//!
//! `cargo bench -p leasehold-redis --bench handover`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

use std::{sync::Arc, time::Duration};

use leasehold_core::{Engine, Env, LockName, LockOptions, Mode, Moment, Wait};
use leasehold_redis::{Endpoint, RedisOptions, RedisStore, Servers};
use leasehold_testkit::redis::Server;
use tokio::sync::oneshot;

const ROUNDS: usize = 2_000;
const POLLED: usize = 60;

fn engine(port: u16, env: &Env) -> Engine {
    let options = RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", port)));
    Engine::new(Arc::new(RedisStore::new(options, env.clone()).unwrap()), env.clone())
}

async fn pushed(server: &Server, env: &Env) -> Vec<Duration> {
    let (one, two) = (engine(server.port(), env), engine(server.port(), env));
    let (name, terms) = (LockName::new("x").unwrap(), LockOptions::default());
    let mut waits = Vec::new();
    for _ in 0..ROUNDS {
        let hold = one.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None).await.unwrap().unwrap();
        let (answer, got) = oneshot::channel::<Moment>();
        let task = tokio::spawn({
            let (two, name, terms, env) = (two.clone(), name.clone(), terms.clone(), env.clone());
            async move {
                let hold =
                    two.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None).await.unwrap().unwrap();
                let _ = answer.send(env.now());
                hold.release().await.unwrap();
            }
        });
        while one.inspect(&name).await.unwrap().waiters.is_empty() {
            env.sleep(Duration::from_micros(200)).await;
        }
        // Queued, and asleep.
        env.sleep(Duration::from_millis(1)).await;
        let begin = env.now();
        hold.release().await.unwrap();
        waits.push(got.await.unwrap().since(begin));
        task.await.unwrap();
    }
    waits
}

async fn polled(server: &Server, env: &Env) -> Vec<Duration> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port())).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let set = || {
        let mut connection = connection.clone();
        async move {
            let mut set = redis::cmd("SET");
            set.arg("polled").arg("me").arg("NX").arg("PX").arg(30_000);
            set.query_async::<Option<String>>(&mut connection).await.unwrap().is_some()
        }
    };
    let mut waits = Vec::new();
    for _ in 0..POLLED {
        assert!(set().await);
        let poll = async {
            while !set().await {
                env.sleep(Duration::from_millis(100)).await;
            }
            env.now()
        };
        let release = async {
            env.sleep(Duration::from_millis(20) + env.jitter(Duration::from_millis(100))).await;
            let begin = env.now();
            redis::cmd("DEL").arg("polled").query_async::<i64>(&mut connection.clone()).await.unwrap();
            begin
        };
        let (got, begin) = tokio::join!(poll, release);
        waits.push(got.since(begin));
        redis::cmd("DEL").arg("polled").query_async::<i64>(&mut connection.clone()).await.unwrap();
    }
    waits
}

fn report(label: &str, mut waits: Vec<Duration>) {
    waits.sort_unstable();
    let at = |part: usize| waits[(waits.len() - 1) * part / 100];
    println!("{label:<24} p50 {:?}  p99 {:?}  max {:?}", at(50), at(99), at(100));
}

fn main() {
    let server = Server::start().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let env = Env::system().unwrap();
        report("leasehold, by push", pushed(&server, &env).await);
        report("polling every 100 ms", polled(&server, &env).await);
    });
}
