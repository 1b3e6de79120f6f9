//! Lock and unlock on one, three and five servers: ours, rslock's and npm redlock's, in turns in one run; ours on one and on five
//! servers that are a millisecond away in each direction; and ours while a minority hangs.
//!
//! `cargo bench -p leasehold-redis --bench redlock`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

#[path = "../tests/interop/install.rs"]
#[expect(dead_code, reason = "one of its libraries is measured here")]
mod install;

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
use leasehold_testkit::{proxy::Proxy, redis::Server};

const ROUNDS: usize = 5;
const SPAN: Duration = Duration::from_millis(700);
const LONGEST: Duration = Duration::from_secs(60);
/// The way to a distant server.
const WAY: Duration = Duration::from_millis(1);

/// Takes and gives back one lock.
type Pair = Arc<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;

/// Pairs a second, and the median and 99th percentile of one in microseconds.
type Figures = [f64; 3];

fn options(port: u16) -> RedisOptions {
    RedisOptions::new(Servers::Single(Endpoint::tcp("127.0.0.1", port)))
}

fn ports(servers: &[Server]) -> Vec<u16> {
    servers.iter().map(Server::port).collect()
}

fn distant(server: &Server) -> Proxy {
    let proxy = Proxy::to(&server.address()).unwrap();
    proxy.delay(WAY);
    proxy
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

fn single(port: u16) -> Pair {
    ours(Arc::new(RedisStore::new(options(port), Env::system().unwrap()).unwrap()))
}

async fn quorum(ports: &[u16]) -> Pair {
    let env = Env::system().unwrap();
    let mut members: Vec<Arc<dyn Store>> = Vec::new();
    for port in ports {
        let mut options = options(*port);
        options.membership = Some(QuorumMembership { members: ports.len() as u32, longest_lease: LONGEST });
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

/// npm redlock, in a process of its own.
fn node(servers: &[Server], tasks: usize) -> Figures {
    let program = install::node("node-redlock");
    let place = program.args[0].as_ref() as &Path;
    let output = Command::new("node")
        .arg("bench.mjs")
        .args([tasks.to_string(), SPAN.as_millis().to_string()])
        .args(ports(servers).iter().map(u16::to_string))
        .current_dir(place.parent().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    figures.try_into().unwrap()
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
        let single_server = single(groups[0][0].port());
        let mine = [single_server, quorum(&ports(&groups[1])).await, quorum(&ports(&groups[2])).await];
        let theirs = [rslock(&groups[0]), rslock(&groups[1]), rslock(&groups[2])];
        for tasks in [1, 64] {
            let mut rounds = vec![Vec::new(); 9];
            for _ in 0..ROUNDS {
                for at in 0..3 {
                    rounds[at].push(measure(&mine[at], tasks).await);
                    rounds[3 + at].push(measure(&theirs[at], tasks).await);
                    rounds[6 + at].push(node(&groups[at], tasks));
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
        far_away(&groups).await;
        while_two_hang(&mine[2], &groups[2]).await;
    });
}

/// One server and five, each behind a proxy. Five servers that voted for the clients of before know these, too.
async fn far_away(groups: &[Vec<Server>; 3]) {
    let proxies = [&groups[0], &groups[2]].map(|servers| servers.iter().map(distant).collect::<Vec<_>>());
    let far: Vec<u16> = proxies[1].iter().map(Proxy::port).collect();
    let mine = [single(proxies[0][0].port()), quorum(&far).await];
    for tasks in [1, 64] {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (pair, rounds) in mine.iter().zip(&mut rounds) {
                rounds.push(measure(pair, tasks).await);
            }
        }
        let [one, five] = rounds.map(|rounds| median(&rounds));
        show("1 server, 1 ms away", tasks, one);
        show("5 servers, 1 ms away", tasks, five);
        println!("p50 of five that are 1 ms away: {:.2} of one", five[1] / one[1]);
    }
}

async fn while_two_hang(mine: &Pair, servers: &[Server]) {
    for tasks in [1, 64] {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            rounds[0].push(measure(mine, tasks).await);
            for server in &servers[..2] {
                server.pause().unwrap();
            }
            rounds[1].push(measure(mine, tasks).await);
            for server in &servers[..2] {
                server.resume().unwrap();
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let [healthy, hung] = rounds.map(|rounds| median(&rounds));
        show("5 servers, all well", tasks, healthy);
        show("5 servers, 2 hang", tasks, hung);
        println!("p50 with two that hang: {:.2} of healthy", hung[1] / healthy[1]);
    }
}
