//! Lock and unlock on one server: ours, the raw client's `SET NX PX` and compare-and-delete, and rslock's, in turns in one
//! run; and what the server alone can do with our scripts.
//!
//! `cargo bench -p leasehold-redis --bench pairs`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use leasehold_core::{BoxFuture, Engine, Env, LockName, LockOptions, Mode, Wait};
use leasehold_redis::{Dialect, Endpoint, RedisOptions, RedisStore, Servers};
use leasehold_testkit::redis::Server;
use redis::aio::MultiplexedConnection;

const ROUNDS: usize = 7;
const SPAN: Duration = Duration::from_millis(700);
const DELETE: &str = include_str!("../scripts/plain/release.lua");
const CLAIM: &str = include_str!("../scripts/native/claim_quiet.lua");
const RELEASE: &str = include_str!("../scripts/native/release_quiet.lua");

/// Takes and gives back one lock.
type Pair = Arc<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;

fn ours(port: u16, dialect: Dialect) -> Pair {
    let env = Env::system().unwrap();
    let mut options = RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", port)));
    options.dialect = dialect;
    let engine = Engine::new(Arc::new(RedisStore::new(options, env.clone()).unwrap()), env);
    let names: Arc<Vec<LockName>> =
        Arc::new((0..512).map(|at| LockName::new(format!("ours {at}")).unwrap()).collect());
    Arc::new(move |at| {
        let (engine, names) = (engine.clone(), names.clone());
        Box::pin(async move {
            let terms = LockOptions::default();
            let hold = engine.acquire(&names[at], Mode::Exclusive, &terms, Wait::No, None).await;
            hold.unwrap().unwrap().release().await.unwrap();
        })
    })
}

async fn raw(port: u16) -> Pair {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/?protocol=resp3")).unwrap();
    let info = client.get_connection_info().clone();
    let info = info.set_tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true));
    let connection = redis::Client::open(info).unwrap().get_multiplexed_async_connection().await.unwrap();
    let delete = Arc::new(redis::Script::new(DELETE));
    Arc::new(move |at| {
        let (mut connection, delete): (MultiplexedConnection, _) = (connection.clone(), delete.clone());
        Box::pin(async move {
            let (key, value) = (format!("raw {at}"), "0123456789abcdef0123456789abcdef");
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(value).arg("NX").arg("PX").arg(30_000);
            let set: Option<String> = set.query_async(&mut connection).await.unwrap();
            assert!(set.is_some());
            let deleted: i64 = delete.key(&key).arg(value).invoke_async(&mut connection).await.unwrap();
            assert_eq!(deleted, 1);
        })
    })
}

fn rslock(port: u16) -> Pair {
    let manager = rslock::LockManager::new(vec![format!("redis://127.0.0.1:{port}/")]);
    Arc::new(move |at| {
        let manager = manager.clone();
        Box::pin(async move {
            let lock =
                manager.lock(format!("rslock {at}").as_bytes(), Duration::from_secs(30)).await.unwrap();
            manager.unlock(&lock).await;
        })
    })
}

/// Pairs a second of so many tasks, and microseconds of this process's CPU for each.
async fn measure(pair: &Pair, tasks: usize) -> (f64, f64) {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (begin, cpu) = (Instant::now(), cpu_us());
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
    let pairs = count.load(Ordering::Relaxed) as f64;
    (pairs / begin.elapsed().as_secs_f64(), (cpu_us() - cpu) / pairs)
}

/// CPU time of this process: fields 14 and 15 of its stat, in ticks of 10 ms.
fn cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10_000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The rate that `redis-benchmark` reaches with one of our scripts, one connection and this many requests under way.
fn benchmark(
    port: u16,
    script: &str,
    keys: &[&str],
    arguments: &[&str],
    under_way: usize,
    range: &str,
) -> f64 {
    let (port, under_way, count) = (port.to_string(), under_way.to_string(), keys.len().to_string());
    let output = Command::new("redis-benchmark")
        .args([
            "-p", &port, "-c", "1", "-P", &under_way, "-n", "200000", "-r", range, "--csv", "EVALSHA",
            script, &count,
        ])
        .args(keys)
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let rate = line.rsplit("\",\"").find_map(|field| field.trim_matches('"').parse::<f64>().ok());
    // The columns are: test, requests a second, and latencies.
    line.split("\",\"")
        .nth(1)
        .and_then(|field| field.trim_matches('"').parse().ok())
        .or(rate)
        .unwrap_or(f64::NAN)
}

/// CPU time of the server.
fn server_us(server: &Server) -> f64 {
    let info = server.command(&["INFO", "cpu"]).unwrap();
    let field = |name: &str| {
        info.text().unwrap().lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    ["used_cpu_sys:", "used_cpu_user:"].into_iter().map(|name| field(name).unwrap_or(f64::NAN)).sum::<f64>()
        * 1e6
}

/// The pairs a second that `redis-benchmark` reaches with our two short scripts, and the server's CPU for each.
fn limit(server: &Server, under_way: usize) -> (f64, f64) {
    let load = |text: &str| server.command(&["SCRIPT", "LOAD", text]).unwrap().text().unwrap().to_string();
    let (claim, release) = (load(CLAIM), load(RELEASE));
    let (id, port) = ("0123456789abcdef0123456789abcdef ", server.port());
    let (hold, fence, meta) = ("ours __rand_int__", "leasehold:{1}:fence", "leasehold:{1}:meta");
    let value = format!("{id}0");
    let arguments = [&value, "30000", "0", "0"];
    let before = server_us(server);
    let claims = benchmark(port, &claim, &[hold, fence, meta], &arguments, under_way, "1000000000");
    let claimed = server_us(server) - before;
    let holds =
        "for i = 0, 199999 do redis.call('SET', string.format('ours %012d', i), ARGV[1], 'PX', 600000) end";
    server.command(&["EVAL", holds, "0", &value]).unwrap();
    let before = server_us(server);
    let releases = benchmark(port, &release, &[hold, meta], &[id], under_way, "200000");
    let released = server_us(server) - before;
    server.command(&["FLUSHALL"]).unwrap();
    (1.0 / (1.0 / claims + 1.0 / releases), (claimed + released) / 200_000.0)
}

fn main() {
    let server = Server::start().unwrap();
    for (threads, label) in [(0, "current thread"), (2, "two workers")] {
        let runtime = match threads {
            0 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            _ => tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
        };
        runtime.unwrap().block_on(async {
            let plain = Dialect::Plain { template: "plain:*".into() };
            let pairs = [
                ("native", ours(server.port(), Dialect::Native)),
                ("plain", ours(server.port(), plain)),
                ("raw client", raw(server.port()).await),
                ("rslock", rslock(server.port())),
            ];
            for tasks in [1, 64, 512] {
                let mut rates = vec![Vec::new(); pairs.len()];
                let mut cpu = vec![Vec::new(); pairs.len()];
                for _ in 0..ROUNDS {
                    for (at, (_, pair)) in pairs.iter().enumerate() {
                        let (rate, used) = measure(pair, tasks).await;
                        rates[at].push(rate);
                        cpu[at].push(used);
                    }
                }
                let ratio = |one: usize, other: usize| {
                    median(rates[one].iter().zip(&rates[other]).map(|(ours, theirs)| ours / theirs).collect())
                };
                let (limit, server_cpu) = if tasks == 1 { (f64::NAN, f64::NAN) } else { limit(&server, tasks) };
                let of_limit = median(rates[0].clone()) / limit;
                println!("{label}, {tasks} tasks:");
                for (at, (name, _)) in pairs.iter().enumerate() {
                    println!(
                        "  {name:<11} {:>9.0} pairs/s  {:>6.1} us CPU a pair",
                        median(rates[at].clone()),
                        median(cpu[at].clone())
                    );
                }
                println!("  native is {:.2} of the raw client and {:.2} of rslock", ratio(0, 2), ratio(0, 3));
                println!("  plain is {:.2} of the raw client and {:.2} of rslock", ratio(1, 2), ratio(1, 3));
                println!("  native is {of_limit:.2} of redis-benchmark with its scripts: {server_cpu:.1} us of the server a pair");
            }
        });
    }
}
