//! Jobs of tokio-cron-scheduler that run on one node of the fleet: the schedule says when, and the lock says where.
//!
//! `cargo run -p leasehold-examples --bin scheduler`. Two nodes have the same schedule, as replicas of a service have. A plain
//! lock would not do: clocks differ, and a job that takes a moment is over on one node before the other one begins.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::{error::Error, time::Duration};

use leasehold::{Client, OncePer, Slot};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_cron_scheduler::{Job, JobScheduler};

/// A job of one node that sends the name of each slot it runs in.
fn every_second(once: OncePer, runs: UnboundedSender<String>) -> Result<Job, Box<dyn Error>> {
    let job = Job::new_async("* * * * * *", move |_id, _scheduler| {
        let (once, runs) = (once.clone(), runs.clone());
        Box::pin(async move {
            // `Ok(AlreadyTaken)` is the other node's run.
            let outcome = once.run(|lease| async move { runs.send(lease.name().to_string()) }).await;
            if let Err(error) = outcome {
                eprintln!("this run is skipped: {error}");
            }
        })
    })?;
    Ok(job)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (sender, mut runs) = unbounded_channel();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let client = Client::connect("memory:scheduler").await?;
        // The slot is as long as the schedule's interval.
        let once = client.once_per("clean up", Slot::every(Duration::from_secs(1)))?;
        let scheduler = JobScheduler::new().await?;
        scheduler.add(every_second(once, sender.clone())?).await?;
        scheduler.start().await?;
        nodes.push((scheduler, client));
    }
    let mut slots = Vec::new();
    while slots.len() < 3 {
        slots.extend(runs.recv().await);
    }
    let count = slots.len();
    slots.dedup();
    println!("{count} runs in {} slots", slots.len());
    for (mut scheduler, client) in nodes {
        scheduler.shutdown().await?;
        client.close(Duration::from_secs(5)).await?;
    }
    Ok(())
}
