//! Lock and unlock on one server, ours and bare `add` and `delete`, in turns in one run; and the hand-over to a client that
//! waits.
//!
//! `cargo bench -p leasehold-memcached --bench pairs`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use leasehold_core::{BoxFuture, Engine, Env, LockName, LockOptions, Mode, Wait};
use leasehold_memcached::{MemcachedOptions, MemcachedStore};
use leasehold_testkit::memcached::Server;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::Mutex,
};

const ROUNDS: usize = 7;
const SPAN: Duration = Duration::from_millis(700);
const HAND_OVERS: usize = 200;

/// Takes and gives back one lock.
type Pair = Arc<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;

fn engine(port: u16) -> Engine {
    let env = Env::system().unwrap();
    let options = MemcachedOptions::new("127.0.0.1", port);
    Engine::new(Arc::new(MemcachedStore::new(options, env.clone()).unwrap()), env)
}

fn name(at: usize) -> LockName {
    LockName::new(format!("ours-{at}")).unwrap()
}

fn ours(port: u16) -> Pair {
    let engine = engine(port);
    Arc::new(move |at| {
        let engine = engine.clone();
        Box::pin(async move {
            let hold =
                engine.acquire(&name(at), Mode::Exclusive, &LockOptions::default(), Wait::No, None).await;
            hold.unwrap().unwrap().release().await.unwrap();
        })
    })
}

/// Without token, note, owner, watchdog and deadline. A connection for each task: it does not pipeline.
async fn bare(port: u16, tasks: usize) -> Pair {
    let mut streams = Vec::new();
    for _ in 0..tasks {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(Mutex::new(BufReader::new(stream)));
    }
    let streams = Arc::new(streams);
    Arc::new(move |at| {
        let streams = streams.clone();
        Box::pin(async move {
            let mut stream = streams[at].lock().await;
            for (command, wanted) in [
                (format!("add bare-{at} 0 30 2\r\nme\r\n"), "STORED\r\n"),
                (format!("delete bare-{at}\r\n"), "DELETED\r\n"),
            ] {
                stream.get_mut().write_all(command.as_bytes()).await.unwrap();
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                assert_eq!(line, wanted);
            }
        })
    })
}

/// Pairs a second of so many tasks.
async fn measure(pair: &Pair, tasks: usize) -> f64 {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|at| {
            let (pair, stop, count) = (pair.clone(), stop.clone(), count.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    pair(at).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    tokio::time::sleep(SPAN).await;
    stop.store(true, Ordering::Relaxed);
    for task in running {
        task.await.unwrap();
    }
    count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// From the beginning of a release to the moment at which the other, which has long been waiting, holds the lock.
async fn hand_overs(port: u16) -> Vec<Duration> {
    let (one, two) = (engine(port), engine(port));
    let mut spans = Vec::new();
    for _ in 0..HAND_OVERS {
        let hold = one.acquire(&name(0), Mode::Exclusive, &LockOptions::default(), Wait::No, None).await;
        let hold = hold.unwrap().unwrap();
        let waiter = two.clone();
        let waiting = tokio::spawn(async move {
            let wait = Wait::For(Duration::from_secs(30));
            let hold = waiter.acquire(&name(0), Mode::Exclusive, &LockOptions::default(), wait, None).await;
            (Instant::now(), hold.unwrap().unwrap())
        });
        tokio::time::sleep(Duration::from_millis(60)).await;
        let begin = Instant::now();
        hold.release().await.unwrap();
        let (end, hold) = waiting.await.unwrap();
        spans.push(end - begin);
        hold.release().await.unwrap();
    }
    spans.sort();
    spans
}

fn main() {
    let server = Server::start().unwrap();
    let port = server.port();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for tasks in [1, 64, 512] {
            let (ours, bare) = (ours(port), bare(port, tasks).await);
            let (mut mine, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                mine.push(measure(&ours, tasks).await);
                theirs.push(measure(&bare, tasks).await);
            }
            let ratio = median(mine.iter().zip(&theirs).map(|(mine, theirs)| mine / theirs).collect());
            let (mine, theirs) = (median(mine), median(theirs));
            println!(
                "{tasks} tasks: ours {mine:.0} pairs/s, bare add and delete {theirs:.0}, ratio {ratio:.2}"
            );
        }
        let spans = hand_overs(port).await;
        let at = |share: usize| spans[(spans.len() * share / 100).min(spans.len() - 1)];
        println!("hand-over: p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100));
    });
}
