//! Lock and unlock on one server: ours, Curator's and kazoo's, in turns in one run; one task, many tasks of one client with
//! a lock each, two clients that hand one lock to each other, and one task whose server is 1 ms away in each direction.
//!
//! `cargo bench -p leasehold-zookeeper --bench pairs`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "../tests/interop/install.rs"]
mod install;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use leasehold_core::{Engine, LockName, LockOptions, Mode, Wait};
use leasehold_testkit::{
    peer::{Peer, Program},
    proxy::Proxy,
    zookeeper::Server,
};

/// The time limit of a peer's answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
const ROUNDS: usize = 5;
const PAIRS: usize = 400;
const TASKS: usize = 16;

async fn ours(address: &str) -> Engine {
    let words = format!("servers={address} chroot=/locks session=30000");
    Engine::new(Arc::new(common::open(common::env(), words).await.unwrap()), common::env())
}

async fn our_pairs(engine: &Engine, name: &str) {
    let (name, terms) = (LockName::new(name).unwrap(), LockOptions { fair: true, ..LockOptions::default() });
    for _ in 0..PAIRS {
        let hold = engine.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None).await;
        hold.unwrap().unwrap().release().await.unwrap();
    }
}

async fn their_pairs(peer: &mut Peer, name: &str, threads: usize) {
    let said = peer.ask(&format!("pairs {name} {PAIRS} {threads}")).await;
    assert!(said.starts_with("took "), "{said}");
}

fn rate(pairs: usize, took: Duration) -> f64 {
    pairs as f64 / took.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one client reaches with one task and with many, and two on one lock.
struct Row {
    label: &'static str,
    alone: Vec<f64>,
    tasks: Vec<f64>,
    contended: Vec<f64>,
    far: Vec<f64>,
}

async fn measure_ours(row: &mut Row, engines: &[Engine; 3], round: usize) {
    let begin = Instant::now();
    our_pairs(&engines[0], &format!("alone-ours-{round}")).await;
    row.alone.push(rate(PAIRS, begin.elapsed()));
    let names: Vec<_> = (0..TASKS).map(|at| format!("tasks-ours-{round}-{at}")).collect();
    let begin = Instant::now();
    let tasks = names.into_iter().map(|name| {
        let engine = engines[0].clone();
        tokio::spawn(async move { our_pairs(&engine, &name).await })
    });
    join_all(tasks).await.into_iter().for_each(|task| task.unwrap());
    row.tasks.push(rate(TASKS * PAIRS, begin.elapsed()));
    let (name, begin) = (format!("both-ours-{round}"), Instant::now());
    join_all(engines[..2].iter().map(|engine| our_pairs(engine, &name))).await;
    row.contended.push(rate(2 * PAIRS, begin.elapsed()));
    let begin = Instant::now();
    our_pairs(&engines[2], &format!("far-ours-{round}")).await;
    row.far.push(rate(PAIRS, begin.elapsed()));
}

async fn measure_theirs(row: &mut Row, peers: &mut [Peer; 3], round: usize) {
    let begin = Instant::now();
    their_pairs(&mut peers[0], &format!("alone-{}-{round}", row.label), 1).await;
    row.alone.push(rate(PAIRS, begin.elapsed()));
    let begin = Instant::now();
    their_pairs(&mut peers[0], &format!("tasks-{}-{round}", row.label), TASKS).await;
    row.tasks.push(rate(TASKS * PAIRS, begin.elapsed()));
    let (name, begin) = (format!("both-{}-{round}", row.label), Instant::now());
    join_all(peers[..2].iter_mut().map(|peer| their_pairs(peer, &name, 1))).await;
    row.contended.push(rate(2 * PAIRS, begin.elapsed()));
    let begin = Instant::now();
    their_pairs(&mut peers[2], &format!("far-{}-{round}", row.label), 1).await;
    row.far.push(rate(PAIRS, begin.elapsed()));
}

fn main() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    proxy.delay(Duration::from_millis(1));
    let programs: [(&'static str, Program); 2] =
        [("Curator", install::curator()), ("kazoo", install::kazoo())];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let row = |label| Row { label, alone: vec![], tasks: vec![], contended: vec![], far: vec![] };
        let (near, far) = (server.address(), proxy.address());
        let engines = [ours(&near).await, ours(&near).await, ours(&far).await];
        let mut us = row("Leasehold");
        let mut interop = Vec::new();
        for (label, program) in &programs {
            let start = |address| Peer::start(program, address, ANSWER_LIMIT);
            interop.push((row(label), [start(&near).await, start(&near).await, start(&far).await]));
        }
        // The first round warms the servers and the virtual machines.
        for round in 0..=ROUNDS {
            measure_ours(&mut us, &engines, round).await;
            for (row, peers) in &mut interop {
                measure_theirs(row, peers, round).await;
            }
        }
        println!("| | pairs/s, one task | {TASKS} tasks, a lock each | two clients on one lock | one task, 1 ms away |\n|---|---|---|---|---|");
        for row in std::iter::once(us).chain(interop.into_iter().map(|(row, _)| row)) {
            let [one, many, both, far] =
                [row.alone, row.tasks, row.contended, row.far].map(|rates| median(rates[1..].to_vec()));
            println!("| {} | {one:.0} | {many:.0} | {both:.0} | {far:.0} |", row.label);
        }
    });
}
