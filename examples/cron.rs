//! A job once a slot of time, on whichever node comes first, with nothing but a loop.
//!
//! `cargo run -p leasehold-examples --bin cron`. Three nodes, slots of one second. Each node has its own client, as if it were
//! a machine of its own; `memory:` would be `redis://db`, and the slot an hour or a day.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold::{Client, RunOutcome, Slot};
use tokio::task::JoinSet;

const RUNS: usize = 3;

/// The slots in which the job has run. A slot that is there twice would be an error.
#[derive(Clone, Default)]
struct Report(Arc<Mutex<BTreeSet<String>>>);

impl Report {
    fn write(&self, slot: &str) -> Result<(), String> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(slot.into());
        is_new.then_some(()).ok_or_else(|| format!("{slot} ran twice"))
    }

    fn runs(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

async fn node(report: Report) -> leasehold::Result<()> {
    let client = Client::connect("memory:cron").await?;
    let hourly = client.once_per("report", Slot::every(Duration::from_secs(1)))?;
    while report.runs() < RUNS {
        // The work is dropped if it takes longer than it may, or if the lease is lost.
        match hourly.try_run(|lease| std::future::ready(report.write(lease.name().as_str()))).await? {
            RunOutcome::Ran(Ok(())) | RunOutcome::AlreadyTaken { .. } => {}
            RunOutcome::Ran(Err(error)) => panic!("{error}"),
        }
        client.env().sleep(hourly.next_in().unwrap_or_default()).await;
    }
    client.close(Duration::from_secs(5)).await
}

#[tokio::main]
async fn main() -> leasehold::Result<()> {
    let report = Report::default();
    let mut nodes = JoinSet::new();
    for _ in 0..3 {
        nodes.spawn(node(report.clone()));
    }
    while let Some(ended) = nodes.join_next().await {
        ended.expect("no node panics")?;
    }
    println!("3 nodes, {} slots, one run in each", report.runs());
    Ok(())
}
