//! The worker: a process of its own that sells until the shelf is empty, and reports each step on its stdout.

use std::{
    io::{BufRead, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use leasehold::Env;
use tokio::sync::mpsc;

use super::{
    door::Door,
    event::{Event, Kind},
    plan::Assignment,
};

/// Everything a worker needs between two sales.
pub(crate) struct Worker {
    env: Env,
    assignment: Assignment,
    words: mpsc::UnboundedReceiver<()>,
    dice: u64,
}

/// Runs the worker of the hidden argument to its end. What goes wrong is for the parent to tell.
pub(crate) async fn run(assignment: Assignment) -> Result<ExitCode> {
    let mut worker = Worker::hire(assignment)?;
    let Err(error) = worker.work().await else { return Ok(ExitCode::SUCCESS) };
    // A parent that is gone cannot be told.
    let _ = worker.say(Kind::Failed { message: format!("{error:#}") });
    Ok(ExitCode::FAILURE)
}

impl Worker {
    fn hire(assignment: Assignment) -> Result<Worker> {
        die_with_parent();
        let dice = assignment.seed.wrapping_mul(1000).wrapping_add(u64::from(assignment.worker));
        Ok(Worker { env: Env::system()?, dice, assignment, words: listen()? })
    }

    async fn work(&mut self) -> Result<()> {
        let mut door = Door::open(&self.assignment, &self.env).await?;
        self.say(Kind::Ready)?;
        self.word().await?;
        while door.sell(self).await? {}
        door.close().await?;
        self.say(Kind::SoldOut)
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.assignment.worker
    }

    /// Talks to the payment service.
    pub(crate) async fn pay(&mut self) {
        let usual = Duration::from_micros(self.assignment.payment_us);
        let time = usual.mul_f64(0.6 + 0.8 * self.roll());
        self.env.sleep(time).await;
    }

    /// Goes for the next customer, who may take a moment to come: otherwise whoever was last would be next.
    pub(crate) async fn greet(&mut self) {
        let time = Duration::from_millis(4).mul_f64(self.roll());
        self.env.sleep(time).await;
    }

    /// Says that it is about to write and, at the one stock at which somebody will be stopped, waits for the word.
    /// Answers whether it is now a worker that may have been stopped.
    pub(crate) async fn about_to_write(&mut self, read: i64) -> Result<bool> {
        if read != self.assignment.pause_at {
            return Ok(false);
        }
        self.say(Kind::AboutToWrite { read })?;
        self.word().await?;
        Ok(true)
    }

    /// Reports. One write a line, and lines are short: those of many workers do not mix in their common pipe.
    pub(crate) fn say(&self, kind: Kind) -> Result<()> {
        let line = Event::now(&self.env, self.number(), kind).line()?;
        std::io::stdout().lock().write_all(line.as_bytes()).context("nobody listens to this worker")
    }

    async fn word(&mut self) -> Result<()> {
        self.words.recv().await.context("the parent is gone")
    }

    /// A number in [0, 1): SplitMix64, so that a seed gives the same payment times everywhere.
    fn roll(&mut self) -> f64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.dice;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Every line on stdin is the word to go on; its end is the end of the parent, and of this process.
fn listen() -> Result<mpsc::UnboundedReceiver<()>> {
    let (sender, words) = mpsc::unbounded_channel();
    // A thread, because a read of stdin cannot be called off; it ends with the process.
    std::thread::Builder::new().name("demo-stdin".into()).spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || sender.send(()).is_err() {
                break;
            }
        }
        std::process::exit(1)
    })?;
    Ok(words)
}

/// Asks the kernel for a SIGKILL when the parent dies: a stopped worker cannot see the end of its stdin.
fn die_with_parent() {
    #[cfg(target_os = "linux")]
    if let Err(errno) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
    {
        tracing::warn!(%errno, "a worker that is stopped would outlive its parent");
    }
}
