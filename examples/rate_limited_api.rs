//! A partner's API that allows three calls at a time, whatever the number of processes that call it.
//!
//! `cargo run -p leasehold-examples --bin rate_limited_api`. Four workers with a client each make three calls each. A worker that
//! dies gives its permit back after the ttl at the latest.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use leasehold::{Client, Result};
use tokio::{sync::Barrier, task::JoinSet};

const AT_ONCE: u32 = 3;

/// The partner, which counts the calls that it sees at once. Each call lasts until there are three.
struct Partner {
    now: AtomicUsize,
    most: AtomicUsize,
    three: Barrier,
}

impl Partner {
    async fn call(&self) {
        let now = self.now.fetch_add(1, Ordering::AcqRel) + 1;
        self.most.fetch_max(now, Ordering::AcqRel);
        self.three.wait().await;
        self.now.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn worker(partner: Arc<Partner>) -> Result<()> {
    let client = Client::connect("memory:partner").await?;
    // All users of the name state the same number; another one is an error.
    let permits = client.semaphore("partner-api", AT_ONCE)?.ttl(Duration::from_secs(10));
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let (permits, partner) = (permits.clone(), partner.clone());
        calls.spawn(async move {
            let permit = permits.acquire().await?;
            permit.run(partner.call()).await?;
            permit.release().await
        });
    }
    for answer in calls.join_all().await {
        answer?;
    }
    client.close(Duration::from_secs(5)).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let three = Barrier::new(AT_ONCE as usize);
    let partner = Arc::new(Partner { now: AtomicUsize::new(0), most: AtomicUsize::new(0), three });
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        workers.spawn(worker(partner.clone()));
    }
    for ended in workers.join_all().await {
        ended?;
    }
    println!("12 calls by 4 workers, {} at once at most", partner.most.load(Ordering::Acquire));
    Ok(())
}
