//! Promise: the work of many tasks under one lock comes out as if one had done it all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::prelude::*;

cases![
    no_increment_is_lost,
    no_increment_is_lost_in_a_fair_queue[FIFO],
    a_writer_is_alone_among_readers[SHARED],
    permits_are_never_oversold[PERMITS],
];

const TASKS: usize = 6;
const ROUNDS: usize = 8;

/// Runs `TASKS` × `ROUNDS` critical sections, each of a claim that `mint` makes.
async fn contend<F, Body>(
    test: &Test,
    clients: [Client; 3],
    mint: impl Fn(usize, &LockName) -> Claim,
    section: F,
) -> CaseResult
where
    F: Fn(&Claim) -> Body,
    Body: Future<Output = CaseResult> + Send + 'static,
{
    let name = test.name();
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let claims = (0..ROUNDS).map(|round| mint(task + round, &name));
        let rounds: Vec<_> = claims.map(|claim| (section(&claim), claim)).collect();
        let (test, store) = (test.clone(), clients[task % clients.len()].clone());
        tasks.push(async move {
            for (body, claim) in rounds {
                test.wins(&store, &claim, test.slack() * 4, "all take turns").await?;
                body.await?;
                let_go(&store, &claim).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    test.together(tasks).await?.into_iter().collect()
}

/// Reads, lets others run, writes back one more.
async fn increment(test: Test, counter: Arc<AtomicI64>) -> CaseResult {
    let read = counter.load(Ordering::Relaxed);
    test.sleep(test.env.jitter(Duration::from_millis(1))).await;
    counter.store(read + 1, Ordering::Relaxed);
    Ok(())
}

async fn count(test: &Test, clients: [Client; 3], queueing: Queueing) -> CaseResult {
    let counter = Arc::new(AtomicI64::new(0));
    let mint = |_, name: &LockName| Claim { queueing, ..test.claim(name) };
    contend(test, clients, mint, |_| increment(test.clone(), counter.clone())).await?;
    same(counter.load(Ordering::Relaxed), (TASKS * ROUNDS) as i64, "the counter after all increments")
}

/// A counter that is read, then written, comes out right.
pub async fn no_increment_is_lost(test: &Test, clients: [Client; 3]) -> CaseResult {
    count(test, clients, Queueing::Barging).await
}

/// The same, in order.
pub async fn no_increment_is_lost_in_a_fair_queue(test: &Test, clients: [Client; 3]) -> CaseResult {
    count(test, clients, Queueing::Fifo).await
}

/// Adds `weight` to what is inside while a section lasts, and fails when that is more than `most`.
async fn occupy(test: Test, inside: Arc<AtomicI64>, weight: i64, most: i64) -> CaseResult {
    let now = inside.fetch_add(weight, Ordering::SeqCst) + weight;
    test.sleep(test.env.jitter(Duration::from_millis(1))).await;
    inside.fetch_sub(weight, Ordering::SeqCst);
    ensure(now <= most, format!("at most {most} inside"), now)
}

/// A writer weighs as much as all readers together may.
pub async fn a_writer_is_alone_among_readers(test: &Test, clients: [Client; 3]) -> CaseResult {
    const ALL: i64 = 1000;
    let inside = Arc::new(AtomicI64::new(0));
    let mint = |turn: usize, name: &LockName| {
        let mode = if turn.is_multiple_of(3) { Mode::Exclusive } else { Mode::Shared };
        Claim { mode, ..test.barging(name) }
    };
    contend(test, clients, mint, |claim| {
        let weight = if claim.mode == Mode::Shared { 1 } else { ALL };
        occupy(test.clone(), inside.clone(), weight, ALL)
    })
    .await
}

/// Three places, claims of one and of two.
pub async fn permits_are_never_oversold(test: &Test, clients: [Client; 3]) -> CaseResult {
    let inside = Arc::new(AtomicI64::new(0));
    let mint = |turn: usize, name: &LockName| {
        let mode = Mode::Permits { take: 1 + (turn % 2) as u32, of: 3 };
        Claim { mode, ..test.barging(name) }
    };
    contend(test, clients, mint, |claim| {
        let weight = if let Mode::Permits { take, .. } = claim.mode { i64::from(take) } else { 3 };
        occupy(test.clone(), inside.clone(), weight, 3)
    })
    .await
}
