//! [`run_round`]: runs the workers with one strategy, and continues the stopped one when it is too late.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use leasehold::env::Env;
use serde_json::{Value, json};

use super::{
    config::{Config, Strategy, WorkerArgs},
    event::{Event, Kind},
    shop::Shop,
    summary::Round,
    workers::Workers,
};
use crate::output::Output;

const ROUND_MAX: Duration = Duration::from_secs(60);
/// Interval between two checks for workers that ended unexpectedly.
const CHECK: Duration = Duration::from_millis(100);

/// Runs one round in a directory for its databases.
pub(super) async fn run_round(
    strategy: Strategy,
    config: &Config,
    env: &Env,
    directory: &Path,
    output: Output,
) -> Result<Round> {
    let (title, method) = strategy.titles();
    output.say(format!("{title}: {} processes sell {} items; {method}", config.workers, config.stock));
    let path = directory.join(format!("{}.db", title.replace(' ', "-")));
    let shop = Shop::create(&path, config.stock)?;
    let args = |worker| WorkerArgs {
        strategy,
        worker,
        shop: path.clone(),
        locks: directory.join("locks.db"),
        config: config.clone(),
    };
    let workers = Workers::spawn((1..=config.workers).map(args))?;
    let mut runner = Runner { strategy, config, env, output, workers, began_ns: 0, events: Vec::new() };
    runner.run().await?;
    Ok(Round::new(strategy, config, runner.began_ns, runner.events, shop.count()?))
}

struct Runner<'a> {
    strategy: Strategy,
    config: &'a Config,
    env: &'a Env,
    output: Output,
    workers: Workers,
    began_ns: u64,
    events: Vec<Event>,
}

impl Runner<'_> {
    async fn run(&mut self) -> Result<()> {
        let end = self.env.now() + ROUND_MAX;
        while self.count(|kind| *kind == Kind::SoldOut) < self.config.workers {
            ensure!(self.env.now() < end, "the workers did not sell out within {ROUND_MAX:?}");
            tokio::select! {
                event = self.workers.next() => {
                    let event = event?.context("the workers ended before they had sold out")?;
                    self.report(&event);
                    self.events.push(event.clone());
                    self.react(&event)?;
                }
                () = self.env.sleep(CHECK) => {
                    if let Some(status) = self.workers.failure() {
                        bail!("a worker ended unexpectedly: {status}");
                    }
                }
            }
        }
        Ok(())
    }

    fn count(&self, is_counted: impl Fn(&Kind) -> bool) -> u32 {
        self.events.iter().map(|event| u32::from(is_counted(&event.kind))).sum()
    }

    fn react(&mut self, event: &Event) -> Result<()> {
        match &event.kind {
            Kind::Ready if self.count(|kind| *kind == Kind::Ready) == self.config.workers => {
                self.began_ns = self.env.now().nanos();
                self.workers.start()
            }
            Kind::Paused => self.workers.wait_until_stopped(event.worker),
            Kind::Failed { message } => bail!("worker {}: {message}", event.worker),
            _ => match self.stopped() {
                Some(paused) if self.must_resume(event, paused) => {
                    self.workers.resume(self.events[paused].worker)
                }
                _ => Ok(()),
            },
        }
    }

    /// Whether the stopped worker has to continue: its lock has expired, the others have sold enough and one of them has
    /// just entered; or all others have sold out.
    fn must_resume(&self, event: &Event, paused: usize) -> bool {
        let pause = Duration::from_nanos(event.at_ns.saturating_sub(self.events[paused].at_ns));
        let sold =
            self.events[paused..].iter().filter(|event| matches!(event.kind, Kind::Sold { .. })).count();
        let is_overtaken = pause >= self.config.ttl().mul_f64(1.3)
            && sold >= self.config.sales_in_pause() as usize
            && matches!(event.kind, Kind::Entered { .. });
        is_overtaken || self.count(|kind| *kind == Kind::SoldOut) + 1 >= self.config.workers
    }

    /// The index of the event since which a worker is stopped.
    fn stopped(&self) -> Option<usize> {
        let change = |event: &Event| matches!(event.kind, Kind::Paused | Kind::Resumed);
        let last = self.events.iter().rposition(change)?;
        (self.events[last].kind == Kind::Paused).then_some(last)
    }

    fn report(&self, event: &Event) {
        if let Some(message) = self.message(event) {
            let seconds = event.at_ns.saturating_sub(self.began_ns) as f64 / 1e9;
            self.output.say(format!("  {seconds:5.2} s {message}"));
        }
        let mut fields = json!(event);
        fields["strategy"] = json!(self.strategy);
        if let Some(Value::String(name)) = fields.as_object_mut().and_then(|fields| fields.remove("event")) {
            self.output.event(&name, fields);
        }
    }

    /// The message of an event that matters.
    fn message(&self, event: &Event) -> Option<String> {
        let worker = event.worker;
        Some(match event.kind {
            Kind::Paused => {
                format!("worker {worker} has read the stock and is stopped before it writes (SIGSTOP)")
            }
            Kind::Entered { fence } => self.entered(worker, fence)?,
            Kind::Resumed => format!("worker {worker} continues (SIGCONT)"),
            Kind::LeaseLost { deadline_ns, writes_anyway } => {
                let ago_ms = event.at_ns.saturating_sub(deadline_ns) / 1_000_000;
                let reaction = if writes_anyway {
                    "writes anyway, as a client without a check would"
                } else {
                    "does not write"
                };
                format!("worker {worker} sees that its lease ended {ago_ms} ms ago, and {reaction}")
            }
            Kind::Sold { read, found } if self.has_just_resumed(worker) => {
                let (wrote, lost) = (read - 1, read - found);
                format!("worker {worker} writes a stock of {wrote} over {found}: {lost} sales are lost")
            }
            Kind::Refused { fence, mark } => {
                format!("the shop refuses the write of worker {worker}: token {fence} < {mark}")
            }
            _ => return None,
        })
    }

    /// The message for the first worker that enters while another is stopped.
    fn entered(&self, worker: u32, fence: Option<u64>) -> Option<String> {
        let paused = self.stopped()?;
        let (stopped, later) = (self.events[paused].worker, &self.events[paused..]);
        if later.iter().any(|event| matches!(event.kind, Kind::Entered { .. })) {
            return None;
        }
        Some(match (self.strategy, fence) {
            (Strategy::Leasehold, Some(fence)) => {
                format!("worker {worker} enters with token {fence}: the lease of worker {stopped} has ended")
            }
            (Strategy::NaiveLock, _) => {
                format!("worker {worker} enters: the lock of worker {stopped} has expired")
            }
            _ => format!("worker {worker} goes on selling"),
        })
    }

    fn has_just_resumed(&self, worker: u32) -> bool {
        let last = self.events.iter().rfind(|event| event.worker == worker);
        last.is_some_and(|event| event.kind == Kind::Resumed)
    }
}
