//! Pairs of lock and unlock a second on one member and on three, next to Go's `concurrency.Mutex`, and how long a hand-over
//! takes, from the moment at which the holder begins to release.
//!
//! `cargo bench -p leasehold-etcd --bench lock_unlock`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/faults/fixture.rs"]
mod fixture;
#[path = "../tests/interop/install.rs"]
mod install;

use std::time::Duration;

use leasehold_core::{Engine, Env, LockName, LockOptions, Mode, Moment, Wait};
use leasehold_testkit::{
    etcd::{Cluster, Member},
    peer::Peer,
};
use tokio::sync::oneshot;

const PAIRS: u32 = 300;
const HAND_OVERS: usize = 100;

async fn pairs(engine: &Engine, env: &Env) -> f64 {
    let (name, terms) = (LockName::new("pairs").unwrap(), LockOptions::default());
    let pair = || async {
        let hold = engine.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None).await;
        hold.unwrap().unwrap().release().await.unwrap();
    };
    pair().await;
    let begin = env.now();
    for _ in 0..PAIRS {
        pair().await;
    }
    f64::from(PAIRS) / env.now().since(begin).as_secs_f64()
}

async fn go_pairs(peer: &mut Peer) -> f64 {
    peer.send("pairs go 10 1");
    peer.answer().await;
    peer.send(&format!("pairs go {PAIRS} 1"));
    let answer = peer.answer().await;
    let nanos = answer.strip_prefix("took ").and_then(|nanos| nanos.parse().ok());
    f64::from(PAIRS) / Duration::from_nanos(nanos.unwrap()).as_secs_f64()
}

async fn hand_overs(words: &str, env: &Env) -> Vec<Duration> {
    let (one, two) = (fixture::engine(words), fixture::engine(words));
    let (name, terms) = (LockName::new("hand-over").unwrap(), LockOptions::default());
    let mut waits = Vec::new();
    for _ in 0..HAND_OVERS {
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
            env.sleep(Duration::from_millis(1)).await;
        }
        // Queued, and asleep.
        env.sleep(Duration::from_millis(5)).await;
        let begin = env.now();
        hold.release().await.unwrap();
        waits.push(got.await.unwrap().since(begin));
        task.await.unwrap();
    }
    waits.sort_unstable();
    waits
}

async fn measure(label: &str, words: &str, first: &Member, env: &Env) {
    let engine = fixture::engine(words);
    let mut peer = install::start(&install::etcd_go(), first).await;
    // In turns, so that what else the machine does is shared.
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        ours.push(pairs(&engine, env).await);
        theirs.push(go_pairs(&mut peer).await);
    }
    let best = |rates: Vec<f64>| rates.into_iter().fold(0.0, f64::max);
    let (ours, theirs) = (best(ours), best(theirs));
    println!("{label:<8} pairs/s  leasehold {ours:.0}  Go {theirs:.0}  ratio {:.2}", ours / theirs);
    let waits = hand_overs(words, env).await;
    let at = |part: usize| waits[(waits.len() - 1) * part / 100];
    println!("{label:<8} hand-over  p50 {:?}  p99 {:?}", at(50), at(99));
}

fn main() {
    let (single, three) = (Member::start().unwrap(), Cluster::start().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let env = common::env();
        measure("single", &fixture::at(&single), &single, &env).await;
        measure("three", &common::at(three.members()), three.member(0), &env).await;
    });
}
