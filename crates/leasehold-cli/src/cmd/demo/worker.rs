//! [`Worker`]: a process that sells items until none is left, and prints each step on stdout.

use std::{
    io::{BufRead, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use leasehold::Env;
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::sync::mpsc;

use super::{
    client::ShopClient,
    config::WorkerArgs,
    event::{Event, Kind},
};

/// The state of a worker process between two sales.
pub(super) struct Worker {
    pub(super) env: Env,
    pub(super) args: WorkerArgs,
    permits: mpsc::UnboundedReceiver<()>,
    random: u64,
}

/// Runs a worker process. The parent reports its failure.
pub(super) async fn run(args: WorkerArgs) -> Result<ExitCode> {
    // A stopped worker cannot see the end of its stdin.
    set_parent_process_death_signal(Some(Signal::KILL)).context("no parent-death signal")?;
    let random = args.seed.wrapping_mul(1000).wrapping_add(u64::from(args.worker));
    let mut worker = Worker { env: Env::system()?, args, permits: read_permits()?, random };
    let Err(error) = worker.work().await else { return Ok(ExitCode::SUCCESS) };
    // Fails if the parent has ended.
    let _ = worker.report(Kind::Failed { message: format!("{error:#}") });
    Ok(ExitCode::FAILURE)
}

impl Worker {
    async fn work(&mut self) -> Result<()> {
        let mut client = ShopClient::open(&self.args).await?;
        self.report(Kind::Ready)?;
        self.permit().await?;
        while client.sell(self).await? {}
        client.close().await?;
        self.report(Kind::SoldOut)
    }

    /// Waits for the payment service.
    pub(super) async fn pay(&mut self) {
        let time = self.args.payment.mul_f64(0.6 + 0.8 * self.random());
        self.env.sleep(time).await;
    }

    /// Waits for the next customer for a moment, so that the worker that sold last is not always the next.
    pub(super) async fn next_customer(&mut self) {
        let time = Duration::from_millis(4).mul_f64(self.random());
        self.env.sleep(time).await;
    }

    /// Asks for permission to write if the stock is the one at which a worker is stopped. Returns whether it did, so that
    /// this worker may be the one that was stopped.
    pub(super) async fn about_to_write(&mut self, read: i64) -> Result<bool> {
        if read != self.args.pause_at {
            return Ok(false);
        }
        self.report(Kind::AboutToWrite { read })?;
        self.permit().await?;
        Ok(true)
    }

    /// Prints an event with one write, so that lines of several workers do not mix in their common pipe.
    pub(super) fn report(&self, kind: Kind) -> Result<()> {
        let line = Event::now(&self.env, self.args.worker, kind).line()?;
        std::io::stdout().lock().write_all(line.as_bytes()).context("the parent does not read events")
    }

    async fn permit(&mut self) -> Result<()> {
        self.permits.recv().await.context("the parent has ended")
    }

    /// A number in [0, 1): SplitMix64, so that a seed gives the same payment times everywhere.
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Reads permits from stdin, one per line. The end of stdin is the end of the parent, and ends this process.
fn read_permits() -> Result<mpsc::UnboundedReceiver<()>> {
    let (sender, permits) = mpsc::unbounded_channel();
    // A thread, since a blocking read cannot be cancelled.
    std::thread::Builder::new().name("demo-stdin".into()).spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || sender.send(()).is_err() {
                break;
            }
        }
        std::process::exit(1)
    })?;
    Ok(permits)
}
