//! Crowds: many who want one lock, and many locks held at once.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may panic, and have a runtime of their own"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Engine, LockName, LockOptions, Mode, Wait};
use leasehold_memcached::MemcachedStore;
use leasehold_testkit::memcached::Server;

mod common;

fn engine(server: &Server) -> Engine {
    let options = common::options(&server.port().to_string()).unwrap();
    Engine::new(Arc::new(MemcachedStore::new(options, common::env()).unwrap()), common::env())
}

fn run<F: Future>(case: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(case)
}

/// Nobody wakes them and all change one document: everyone gets it, one at a time, and nobody sees an error.
#[test]
fn a_hundred_who_want_one_lock_all_get_it_one_at_a_time() {
    let server = Server::start().unwrap();
    run(async {
        let engines: Vec<Engine> = (0..10).map(|_| engine(&server)).collect();
        let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let tasks: Vec<_> = (0..100)
            .map(|at| {
                let (engine, inside, most) = (engines[at % 10].clone(), inside.clone(), most.clone());
                let fair = at % 3 == 0;
                tokio::spawn(async move {
                    let mut terms = LockOptions { ttl: Duration::from_secs(60), ..LockOptions::default() };
                    terms.fair = fair;
                    let name = LockName::new("one").unwrap();
                    let wait = Wait::For(Duration::from_secs(90));
                    let hold =
                        engine.acquire(&name, Mode::Exclusive, &terms, wait, None).await.unwrap().unwrap();
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    hold.release().await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
    });
}

/// One task and one connection renew them all.
#[test]
fn five_thousand_locks_are_held_at_once() {
    let server = Server::start().unwrap();
    run(async {
        let engine = engine(&server);
        let terms = LockOptions { ttl: Duration::from_secs(12), ..LockOptions::default() };
        let mut holds = Vec::new();
        for at in 0..5_000 {
            let name = LockName::new(format!("lock {at}")).unwrap();
            let hold = engine.acquire(&name, Mode::Exclusive, &terms, Wait::No, None).await.unwrap();
            holds.push(hold.unwrap());
        }
        common::env().sleep(Duration::from_secs(20)).await;
        let alive = holds.iter().filter(|hold| hold.lease().check().is_ok()).count();
        assert_eq!(alive, holds.len());
        let stats = server.stats().unwrap();
        let connections: u32 = stats["curr_connections"].parse().unwrap();
        assert!(connections <= 3, "ours, this one, and perhaps one of its own: {connections}");
        engine.close(Duration::from_secs(30)).await.unwrap();
    });
}
