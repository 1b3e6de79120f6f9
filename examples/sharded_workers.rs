//! Eight shards over the workers that are there: each takes its part, and gives back what is too much when another one comes.
//!
//! `cargo run -p leasehold-examples --bin sharded_workers`. A worker holds one lock as a member, by which the others count it, and
//! one a shard. There is no coordinator: a worker that dies is missing from the count when its lock has ended.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{collections::BTreeMap, time::Duration};

use leasehold::{Client, MutexGuard, Result};
use tokio::{select, sync::watch, task::JoinSet};

const SHARDS: usize = 8;
/// Between two looks at the others. A second or more in earnest.
const PAUSE: Duration = Duration::from_millis(20);

struct Worker {
    client: Client,
    shards: BTreeMap<usize, MutexGuard>,
    /// The number of shards that it holds, for those who want to see.
    held: watch::Sender<usize>,
}

impl Worker {
    /// Works until it is dropped.
    async fn run(mut self, id: &str) -> Result<()> {
        let member = self.client.mutex(format!("member/{id}"))?.lock().await?;
        loop {
            member.check()?;
            let members = self.client.list("member/", 1000).await?.len().max(1);
            self.balance(SHARDS.div_ceil(members)).await?;
            self.held.send_replace(self.shards.len());
            self.client.env().sleep(PAUSE).await;
        }
    }

    /// Holds `share` shards, if so many are to be had. The work on a shard goes on in `guard.run`.
    async fn balance(&mut self, share: usize) -> Result<()> {
        self.shards.retain(|_, guard| guard.check().is_ok());
        while self.shards.len() > share {
            let Some((_, guard)) = self.shards.pop_last() else { break };
            guard.release().await?;
        }
        for shard in 0..SHARDS {
            if self.shards.len() < share
                && !self.shards.contains_key(&shard)
                && let Some(guard) = self.client.mutex(format!("shard/{shard}"))?.try_lock().await?
            {
                self.shards.insert(shard, guard);
            }
        }
        Ok(())
    }
}

/// Starts a worker that ends when its end is sent.
async fn start(
    id: &'static str,
    workers: &mut JoinSet<Result<()>>,
) -> Result<(watch::Receiver<usize>, watch::Sender<()>)> {
    let client = Client::connect("memory:shards").await?.ttl(Duration::from_secs(10));
    let ((held, seen), (end, mut ended)) = (watch::channel(0), watch::channel(()));
    let worker = Worker { client: client.clone(), shards: BTreeMap::new(), held };
    workers.spawn(async move {
        select! {
            failed = worker.run(id) => failed?,
            _ = ended.changed() => {}
        }
        // All that it held is released in the background: this waits for it.
        client.close(Duration::from_secs(5)).await
    });
    Ok((seen, end))
}

/// Waits until a worker holds so many shards.
async fn holds(worker: &mut watch::Receiver<usize>, shards: usize) {
    worker.wait_for(|held| *held == shards).await.expect("the worker runs");
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut workers = JoinSet::new();
    let (mut first, end_first) = start("first", &mut workers).await?;
    holds(&mut first, 8).await;
    println!("one worker: 8");
    let (mut second, end_second) = start("second", &mut workers).await?;
    holds(&mut first, 4).await;
    holds(&mut second, 4).await;
    println!("two workers: 4 and 4");
    end_first.send_replace(());
    holds(&mut second, 8).await;
    println!("the first has ended: 8");
    end_second.send_replace(());
    for ended in workers.join_all().await {
        ended?;
    }
    Ok(())
}
