//! Lock and unlock on one server, by one task, 16 and 64 with a lock each: ours, and what others send for it, in turns in one
//! run; and a hand-over between two clients. With `fsync` on, as a server in use has it, and off.
//!
//! `cargo bench -p leasehold-postgres --bench pairs`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use leasehold_core::{
    BoxFuture, Env, LockName, Mode, Moment,
    engine::{Engine, LockOptions, Wait},
    url::Address,
};
use leasehold_postgres::{PostgresOptions, PostgresStore};
use leasehold_testkit::{
    peer::{Peer, Program},
    postgres::Server,
};
use tokio::sync::oneshot;
use tokio_postgres::{Client, NoTls};

const ROUNDS: usize = 7;
const SPAN: Duration = Duration::from_millis(700);
const TASKS: [usize; 3] = [1, 16, 64];
const HAND_OVERS: usize = 300;
const TABLES: &str = "CREATE TABLE bare (id int PRIMARY KEY, n int) WITH (fillfactor = 50);
    INSERT INTO bare SELECT i, 0 FROM generate_series(0, 63) AS i;
    CREATE TABLE shedlock (name varchar(64) PRIMARY KEY, lock_until timestamp, locked_at timestamp, locked_by varchar(255));
    GRANT ALL ON bare, shedlock TO locks";
/// As ShedLock's provider for JDBC sends them, with the time of the database.
const SHEDLOCK: [&str; 2] = [
    "INSERT INTO shedlock (name, lock_until, locked_at, locked_by) VALUES
        ($1, timezone('utc', CURRENT_TIMESTAMP) + interval '30 s', timezone('utc', CURRENT_TIMESTAMP), 'me')
        ON CONFLICT (name) DO UPDATE SET lock_until = excluded.lock_until, locked_at = excluded.locked_at, locked_by = 'me'
        WHERE shedlock.lock_until <= timezone('utc', CURRENT_TIMESTAMP)",
    "UPDATE shedlock SET lock_until = timezone('utc', CURRENT_TIMESTAMP) WHERE name = $1 AND locked_by = 'me'",
];

/// Takes and gives back one lock.
type Pair = Arc<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;

fn engine(server: &Server, env: &Env) -> Engine {
    let mut options = PostgresOptions::new(vec![Address::new("127.0.0.1", server.port())]);
    (options.access.user, options.access.password) = ("locks".into(), "pw".into());
    options.config.dbname("postgres");
    Engine::new(Arc::new(PostgresStore::new(options, env.clone()).unwrap()), env.clone())
}

async fn lock(engine: &Engine, name: &LockName) -> leasehold_core::Hold {
    let terms = LockOptions::default();
    engine.acquire(name, Mode::Exclusive, &terms, Wait::Forever, None).await.unwrap().unwrap()
}

fn ours(server: &Server, env: &Env) -> Pair {
    let engine = engine(server, env);
    let names: Arc<Vec<LockName>> =
        Arc::new((0..64).map(|at| LockName::new(format!("ours {at}")).unwrap()).collect());
    Arc::new(move |at| {
        let (engine, names) = (engine.clone(), names.clone());
        Box::pin(async move {
            lock(&engine, &names[at]).await.release().await.unwrap();
        })
    })
}

async fn connect(server: &Server) -> Client {
    let login = format!("host=127.0.0.1 port={} user=locks password=pw dbname=postgres", server.port());
    let (client, connection) = tokio_postgres::connect(&login, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Two prepared statements a pair, on one connection for all tasks, as ours has.
async fn two(server: &Server, first: &str, second: &str) -> Pair {
    let client = Arc::new(connect(server).await);
    let statements = (client.prepare(first).await.unwrap(), client.prepare(second).await.unwrap());
    let by_name = statements.0.params()[0] != tokio_postgres::types::Type::INT4;
    Arc::new(move |at| {
        let (client, (first, second)) = (client.clone(), statements.clone());
        Box::pin(async move {
            let (number, text) = (at as i32, format!("lock {at}"));
            let argument: &(dyn tokio_postgres::types::ToSql + Sync) = if by_name { &text } else { &number };
            client.execute(&first, &[argument]).await.unwrap();
            client.execute(&second, &[argument]).await.unwrap();
        })
    })
}

/// A transaction a lock, and so a connection a task.
async fn for_update(server: &Server) -> Pair {
    let mut clients = Vec::new();
    for _ in 0..64 {
        let client = connect(server).await;
        let select = client.prepare("SELECT n FROM bare WHERE id = $1 FOR UPDATE").await.unwrap();
        clients.push((client, select));
    }
    let clients = Arc::new(clients);
    Arc::new(move |at| {
        let clients = clients.clone();
        Box::pin(async move {
            let (client, select) = &clients[at];
            client.batch_execute("BEGIN").await.unwrap();
            client.query_one(select, &[&(at as i32)]).await.unwrap();
            client.batch_execute("COMMIT").await.unwrap();
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

/// The peer's pairs a second: about as many as fit into a span.
async fn measure_peer(peer: &mut Peer, tasks: usize, last: Option<f64>) -> f64 {
    let times = (last.unwrap_or(500.0) * SPAN.as_secs_f64() / tasks as f64).max(5.0) as usize;
    let said = peer.ask(&format!("pairs advisory {times} {tasks}")).await;
    let nanos: f64 = said.strip_prefix("took ").unwrap().parse().unwrap();
    (times * tasks) as f64 / nanos * 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn hand_overs(server: &Server, env: &Env) -> Vec<f64> {
    let (one, two, name) = (engine(server, env), engine(server, env), LockName::new("x").unwrap());
    let mut waits = Vec::new();
    for _ in 0..HAND_OVERS {
        let hold = lock(&one, &name).await;
        let (answer, got) = oneshot::channel::<Moment>();
        let (other, text, clock) = (two.clone(), name.clone(), env.clone());
        let task = tokio::spawn(async move {
            let hold = lock(&other, &text).await;
            let _ = answer.send(clock.now());
            hold.release().await.unwrap();
        });
        while one.inspect(&name).await.unwrap().waiters.is_empty() {}
        // Queued, and asleep.
        env.sleep(Duration::from_millis(10)).await;
        let begin = env.now();
        hold.release().await.unwrap();
        waits.push(got.await.unwrap().since(begin).as_secs_f64() * 1e3);
        task.await.unwrap();
    }
    waits.sort_by(f64::total_cmp);
    waits
}

/// The middle of so many commits of one row, in milliseconds.
async fn commit(server: &Server) -> f64 {
    let client = connect(server).await;
    let mut took = Vec::new();
    for _ in 0..HAND_OVERS {
        let begin = Instant::now();
        client.batch_execute("UPDATE bare SET n = n + 1 WHERE id = 0").await.unwrap();
        took.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    median(took)
}

async fn run(fsync: &str) {
    let setting = |name: &str| format!("{name}={fsync}");
    let server = Server::builder().with(&setting("fsync")).with(&setting("full_page_writes"));
    let server = server.with("max_connections=300").start().unwrap();
    server.sql(TABLES).unwrap();
    let env = Env::system().unwrap();
    let program = Program::python(env!("CARGO_TARGET_TMPDIR"), "psycopg");
    let url = format!("postgresql://locks:pw@{}/postgres", server.address());
    let mut peer = Peer::start(&program, &url, Duration::from_secs(60)).await;
    let (bare, advisory) = ("UPDATE bare SET n = n + 1 WHERE id = $1", "advisory_lock($1::int)");
    let pairs = [
        ("Leasehold", ours(&server, &env)),
        ("two bare statements", two(&server, bare, bare).await),
        (
            "`pg_try_advisory_lock`",
            two(&server, &format!("SELECT pg_try_{advisory}"), "SELECT pg_advisory_unlock($1::int)").await,
        ),
        ("`SELECT … FOR UPDATE`", for_update(&server).await),
        ("ShedLock's statements", two(&server, SHEDLOCK[0], SHEDLOCK[1]).await),
    ];
    for tasks in TASKS {
        let mut rates = vec![Vec::new(); pairs.len() + 1];
        for _ in 0..ROUNDS {
            for (at, (_, pair)) in pairs.iter().enumerate() {
                rates[at].push(measure(pair, tasks).await);
            }
            let last = rates[pairs.len()].last().copied();
            rates[pairs.len()].push(measure_peer(&mut peer, tasks, last).await);
        }
        let names = pairs.iter().map(|(name, _)| *name).chain(["the same in Python (psycopg)"]);
        for (name, theirs) in names.zip(&rates) {
            let ratios = rates[0].iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
            println!(
                "| {fsync} | {tasks} | {name} | {:.0} | {:.2} |",
                median(theirs.clone()),
                median(ratios)
            );
        }
    }
    let waits = hand_overs(&server, &env).await;
    let at = |part: usize| waits[(waits.len() - 1) * part / 100];
    println!(
        "fsync {fsync}: hand-over p50 {:.2} ms, p99 {:.2} ms; one commit {:.2} ms",
        at(50),
        at(99),
        commit(&server).await
    );
}

fn main() {
    println!("| fsync | tasks | who | pairs/s | ours : theirs |\n|---|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for fsync in ["on", "off"] {
        runtime.block_on(run(fsync));
    }
}
