//! Lock and unlock on one, three and five servers: ours, rslock's and npm redlock's, in turns in one run; and ours while a
//! minority hangs.
//!
//! `cargo test -p leasehold-redis --test interop` installs npm redlock; then
//! `cargo bench -p leasehold-redis --bench redlock`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use leasehold_core::{
    BoxFuture, Engine, Env, LockName, LockOptions, Mode, Quorum, QuorumOptions, Store, Wait,
};
use leasehold_redis::{Endpoint, QuorumMembership, RedisOptions, RedisStore, Servers};
use leasehold_testkit::redis::Server;

const ROUNDS: usize = 5;
const SPAN: Duration = Duration::from_millis(700);
const LONGEST: Duration = Duration::from_secs(60);

/// Takes and gives back one lock.
type Pair = Arc<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;

/// Pairs a second, and the median and 99th percentile of one in microseconds.
type Figures = [f64; 3];

fn options(server: &Server) -> RedisOptions {
    RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", server.port())))
}

fn ours(store: Arc<dyn Store>) -> Pair {
    let engine = Engine::new(store, Env::system().unwrap());
    let names: Arc<Vec<LockName>> =
        Arc::new((0..64).map(|at| LockName::new(format!("ours {at}")).unwrap()).collect());
    Arc::new(move |at| {
        let (engine, names) = (engine.clone(), names.clone());
        Box::pin(async move {
            let terms = LockOptions::default();
            let hold = engine.acquire(&names[at], Mode::Exclusive, &terms, Wait::No, None).await;
            hold.unwrap().unwrap().release().await.unwrap();
        })
    })
}

fn single(server: &Server) -> Pair {
    ours(Arc::new(RedisStore::new(options(server), Env::system().unwrap()).unwrap()))
}

async fn quorum(servers: &[Server]) -> Pair {
    let env = Env::system().unwrap();
    let mut members: Vec<Arc<dyn Store>> = Vec::new();
    for server in servers {
        let mut options = options(server);
        options.membership = Some(QuorumMembership { members: servers.len() as u32, longest_lease: LONGEST });
        let member = RedisStore::new(options, env.clone()).unwrap();
        member.promote().await.unwrap();
        members.push(Arc::new(member));
    }
    ours(Arc::new(Quorum::open(members, QuorumOptions::default(), env).await.unwrap()))
}

fn rslock(servers: &[Server]) -> Pair {
    let urls = servers.iter().map(|server| format!("redis://127.0.0.1:{}/", server.port()));
    let manager = rslock::LockManager::new(urls.collect::<Vec<_>>());
    Arc::new(move |at| {
        let manager = manager.clone();
        Box::pin(async move {
            let lock =
                manager.lock(format!("rslock {at}").as_bytes(), Duration::from_secs(30)).await.unwrap();
            manager.unlock(&lock).await;
        })
    })
}

async fn measure(pair: &Pair, tasks: usize) -> Figures {
    let (stop, spans) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    pair(0).await;
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|at| {
            let (pair, stop, spans) = (pair.clone(), stop.clone(), spans.clone());
            tokio::spawn(async move {
                let mut mine = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let begin = Instant::now();
                    pair(at).await;
                    mine.push(begin.elapsed().as_secs_f64() * 1e6);
                }
                spans.lock().unwrap().extend(mine);
            })
        })
        .collect();
    tokio::time::sleep(SPAN).await;
    stop.store(true, Ordering::Relaxed);
    for task in running {
        task.await.unwrap();
    }
    let seconds = begin.elapsed().as_secs_f64();
    let mut spans = spans.lock().unwrap().clone();
    spans.sort_by(f64::total_cmp);
    let at = |share: f64| spans[(spans.len() as f64 * share) as usize];
    [spans.len() as f64 / seconds, at(0.5), at(0.99)]
}

/// npm redlock, in a process of its own, if it is installed.
fn node(servers: &[Server], tasks: usize) -> Option<Figures> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop/node-redlock");
    let output = Command::new("node")
        .arg("bench.mjs")
        .args([tasks.to_string(), SPAN.as_millis().to_string()])
        .args(servers.iter().map(|server| server.port().to_string()))
        .current_dir(place)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    figures.try_into().ok()
}

fn median(rounds: &[Figures]) -> Figures {
    [0, 1, 2].map(|at| {
        let mut values: Vec<f64> = rounds.iter().map(|figures| figures[at]).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    })
}

fn show(label: &str, tasks: usize, figures: Figures) {
    let [rate, p50, p99] = figures;
    println!("{label:<26} {tasks:>3} tasks  {rate:>8.0} pairs/s   p50 {p50:>7.0} us   p99 {p99:>7.0} us");
}

fn main() {
    let start = |count: usize| -> Vec<Server> { (0..count).map(|_| Server::start().unwrap()).collect() };
    let groups = [start(1), start(3), start(5)];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mine = [single(&groups[0][0]), quorum(&groups[1]).await, quorum(&groups[2]).await];
        let theirs = [rslock(&groups[0]), rslock(&groups[1]), rslock(&groups[2])];
        for tasks in [1, 64] {
            let mut rounds = vec![Vec::new(); 9];
            for _ in 0..ROUNDS {
                for at in 0..3 {
                    rounds[at].push(measure(&mine[at], tasks).await);
                    rounds[3 + at].push(measure(&theirs[at], tasks).await);
                    rounds[6 + at].extend(node(&groups[at], tasks));
                }
            }
            for (who, name) in ["leasehold", "rslock", "npm redlock"].iter().enumerate() {
                for (at, servers) in groups.iter().enumerate() {
                    show(&format!("{name}, {} of them", servers.len()), tasks, median(&rounds[3 * who + at]));
                }
            }
            let ratio = |one: usize, other: usize, figure: usize| {
                median(&rounds[one])[figure] / median(&rounds[other])[figure]
            };
            println!("p50: 3 servers {:.2} and 5 servers {:.2} of one", ratio(1, 0, 1), ratio(2, 0, 1));
            println!(
                "pairs/s of rslock on 1, 3, 5: {:.2} {:.2} {:.2}",
                ratio(0, 3, 0),
                ratio(1, 4, 0),
                ratio(2, 5, 0)
            );
        }
        for tasks in [1, 64] {
            let mut rounds = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                rounds[0].push(measure(&mine[2], tasks).await);
                for server in &groups[2][..2] {
                    server.pause().unwrap();
                }
                rounds[1].push(measure(&mine[2], tasks).await);
                for server in &groups[2][..2] {
                    server.resume().unwrap();
                }
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            let [healthy, hung] = rounds.map(|rounds| median(&rounds));
            show("5 servers, all well", tasks, healthy);
            show("5 servers, 2 hang", tasks, hung);
            println!("p50 with two that hang: {:.2} of healthy", hung[1] / healthy[1]);
        }
    });
}
