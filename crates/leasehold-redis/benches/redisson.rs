//! Pairs of lock and unlock beside Redisson's own on one server, names that nobody else wants, and how long after a release by one
//! side a waiter of the other holds:
//! `cargo bench -p leasehold-redis --bench redisson`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints, and lives in real time"
)]

#[path = "../tests/redisson/context.rs"]
mod context;
#[path = "../tests/redisson/wake.rs"]
mod wake;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use context::{TestContext, VERSIONS, terms};
use leasehold_core::{Engine, Env, LockName, Mode, Wait};
use leasehold_testkit::{peer::Peer, redis::Server};
use wake::{WAYS, woken_by_it, woken_by_us};

/// How long each of them runs in a round.
const SPAN: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
/// The number of hand-overs of each kind.
const HANDOVERS: usize = 200;

/// The pairs of so many tasks within [`SPAN`].
async fn pairs(engine: &Engine, tasks: usize) -> u64 {
    let until = Instant::now() + SPAN;
    let tasks: Vec<_> = (0..tasks)
        .map(|at| {
            let (engine, name) = (engine.clone(), LockName::new(format!("ours-{at}")).expect("a short name"));
            tokio::spawn(async move {
                let (terms, mut pairs) = (terms(Duration::from_secs(30)), 0);
                while Instant::now() < until {
                    let hold = engine.acquire(&name, Mode::Exclusive, &terms, Wait::For(SPAN), None).await;
                    hold.expect("an answer")
                        .expect("nobody else wants it")
                        .release()
                        .await
                        .expect("a release");
                    pairs += 1;
                }
                pairs
            })
        })
        .collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await.expect("a task that ends");
    }
    sum
}

fn main() {
    let env = Env::system().expect("this machine can start a thread");
    let server = Arc::new(Server::start().unwrap_or_else(|error| panic!("{error}")));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("this machine can start a thread").block_on(async {
        for version in VERSIONS {
            let (servers, url, ports) = (context::single(server.port()), server.url(), vec![server.port()]);
            let (env, server, program) = (env.clone(), server.clone(), context::program(version));
            let context = TestContext { env, server, servers, url, ports, version, program };
            let (mut peer, engine) = (context.peer().await, context.engine());
            for tasks in [1, 64] {
                for round in 0..ROUNDS {
                    let asked = format!("pairs java- {tasks} {}", SPAN.as_millis());
                    let (ours, its) = (pairs(&engine, tasks).await, peer.ask(&asked).await);
                    let its: u64 = its.parse().expect("a number");
                    println!(
                        "{} tasks {tasks} round {round}: {} pairs/s of ours, {} of Redisson: {:.2} times",
                        version.label,
                        ours / SPAN.as_secs(),
                        its / SPAN.as_secs(),
                        ours as f64 / its as f64,
                    );
                }
            }
            handovers(&context, &mut peer, &engine).await;
        }
    });
}

async fn handovers(context: &TestContext, peer: &mut Peer, engine: &Engine) {
    for way in &WAYS {
        let (mut its, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..HANDOVERS {
            its.push(woken_by_it(context, peer, engine, way).await);
            ours.push(woken_by_us(context, peer, engine, way).await);
        }
        for (who, mut late) in [("Redisson's", its), ("our", ours)] {
            late.sort();
            let (p50, p99) = (late[HANDOVERS / 2], late[HANDOVERS * 99 / 100 - 1]);
            println!(
                "{} {}: {who} release wakes after {p50:?} (p50), {p99:?} (p99)",
                context.version.label, way.take
            );
        }
    }
}
