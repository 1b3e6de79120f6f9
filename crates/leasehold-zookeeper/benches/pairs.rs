//! Lock and unlock on one server: ours, Curator's and kazoo's, in turns in one run; alone, and two clients that hand one
//! lock to each other.
//!
//! `cargo bench -p leasehold-zookeeper --bench pairs`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "../tests/strangers/install.rs"]
mod install;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "../tests/strangers/peer.rs"]
mod peer;

mod case {
    /// How long a peer may take to answer.
    pub(crate) const ANSWER_LIMIT: std::time::Duration = std::time::Duration::from_secs(120);
}

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use leasehold_core::{Engine, LockName, Mode, Terms, Wait};
use leasehold_testkit::zookeeper::Server;
use peer::{Peer, Program};

const ROUNDS: usize = 5;
const PAIRS: usize = 400;

async fn ours(server: &Server) -> Engine {
    let words = format!("servers={} chroot=/locks session=30000", server.address());
    Engine::new(Arc::new(common::open(common::env(), words).await.unwrap()), common::env())
}

async fn our_pairs(engine: &Engine, name: &str) {
    let (name, terms) = (LockName::new(name).unwrap(), Terms::default().fair());
    for _ in 0..PAIRS {
        let hold = engine.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None).await;
        hold.unwrap().unwrap().release().await.unwrap();
    }
}

async fn their_pairs(peer: &mut Peer, name: &str) {
    let said = peer.ask(&format!("pairs {name} {PAIRS}")).await;
    assert!(said.starts_with("took "), "{said}");
}

fn rate(pairs: usize, took: Duration) -> f64 {
    pairs as f64 / took.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What two clients reach, each alone on a lock of its own (the first of them), and both on one.
struct Row {
    label: &'static str,
    alone: Vec<f64>,
    contended: Vec<f64>,
}

async fn measure_ours(row: &mut Row, engines: &[Engine; 2], round: usize) {
    let begin = Instant::now();
    our_pairs(&engines[0], &format!("alone-ours-{round}")).await;
    row.alone.push(rate(PAIRS, begin.elapsed()));
    let (name, begin) = (format!("both-ours-{round}"), Instant::now());
    join_all(engines.iter().map(|engine| our_pairs(engine, &name))).await;
    row.contended.push(rate(2 * PAIRS, begin.elapsed()));
}

async fn measure_theirs(row: &mut Row, peers: &mut [Peer; 2], round: usize) {
    let begin = Instant::now();
    their_pairs(&mut peers[0], &format!("alone-{}-{round}", row.label)).await;
    row.alone.push(rate(PAIRS, begin.elapsed()));
    let (name, begin) = (format!("both-{}-{round}", row.label), Instant::now());
    join_all(peers.iter_mut().map(|peer| their_pairs(peer, &name))).await;
    row.contended.push(rate(2 * PAIRS, begin.elapsed()));
}

fn main() {
    let server = Server::start().unwrap();
    let programs: [(&'static str, Program); 2] =
        [("Curator", install::curator()), ("kazoo", install::kazoo())];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let row = |label| Row { label, alone: Vec::new(), contended: Vec::new() };
        let engines = [ours(&server).await, ours(&server).await];
        let (mut us, address) = (row("Leasehold"), server.address());
        let mut strangers = Vec::new();
        for (label, program) in &programs {
            let start = || Peer::start(program, &address, engines[0].env());
            strangers.push((row(label), [start().await, start().await]));
        }
        // The first round warms the servers and the virtual machines.
        for round in 0..=ROUNDS {
            measure_ours(&mut us, &engines, round).await;
            for (row, peers) in &mut strangers {
                measure_theirs(row, peers, round).await;
            }
        }
        println!("| | pairs a second, alone | pairs a second, two clients on one lock |\n|---|---|---|");
        for row in std::iter::once(us).chain(strangers.into_iter().map(|(row, _)| row)) {
            let (alone, contended) = (median(row.alone[1..].to_vec()), median(row.contended[1..].to_vec()));
            println!("| {} | {alone:.0} | {contended:.0} |", row.label);
        }
    });
}
