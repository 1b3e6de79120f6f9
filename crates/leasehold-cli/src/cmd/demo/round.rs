//! [`run_round`]: runs the workers with one strategy, stops one of them and continues it later.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use leasehold::Env;
use serde_json::{Value, json};

use super::{
    config::{Config, Strategy, shop_path},
    event::{Event, Kind},
    messages::Messages,
    shop::{Count, Shop},
    workers::Workers,
};
use crate::output::Output;

/// Time limit of a round.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// Interval between two checks for workers that ended unexpectedly.
const CHECK: Duration = Duration::from_millis(100);

/// The history and the result of a round.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) strategy: Strategy,
    /// Start of the sale.
    pub(super) began_ns: u64,
    /// Time of the last event.
    pub(super) ended_ns: u64,
    /// All events, in the order of the common pipe.
    pub(super) events: Vec<Event>,
    /// Numbers in the shop's database.
    pub(super) count: Count,
}

/// Runs one round.
pub(super) async fn run_round(
    strategy: Strategy,
    config: &Config,
    env: &Env,
    directory: &Path,
    output: Output,
) -> Result<Round> {
    let shop = Shop::create(&shop_path(directory, strategy), config.stock)?;
    let args = |worker| config.worker_args(strategy, worker, directory);
    let workers = Workers::start((1..=config.workers).map(args))?;
    output.say(Messages::title(strategy, config));
    let mut runner = Runner {
        config,
        env,
        output,
        workers,
        messages: Messages::new(strategy),
        events: Vec::new(),
        ready: 0,
        finished: Vec::new(),
        began_ns: 0,
        has_paused: false,
        paused: None,
    };
    runner.run().await?;
    let (began_ns, events) = (runner.began_ns, runner.events);
    let ended_ns = events.last().map_or(began_ns, |event| event.at_ns);
    Ok(Round { strategy, began_ns, ended_ns, events, count: shop.count()? })
}

struct Runner<'a> {
    config: &'a Config,
    env: &'a Env,
    output: Output,
    workers: Workers,
    messages: Messages,
    events: Vec<Event>,
    ready: u32,
    finished: Vec<u32>,
    began_ns: u64,
    has_paused: bool,
    paused: Option<Paused>,
}

/// The worker that is stopped.
struct Paused {
    worker: u32,
    since_ns: u64,
    sales_of_others: u32,
}

impl Runner<'_> {
    async fn run(&mut self) -> Result<()> {
        let end = self.env.now() + ROUND_MAX;
        while self.finished.len() < self.config.workers as usize {
            ensure!(self.env.now() < end, "the workers did not sell out within {ROUND_MAX:?}");
            tokio::select! {
                event = self.workers.next() => {
                    self.handle(event?.context("the workers ended before they had sold out")?)?;
                }
                () = self.env.sleep(CHECK) => {
                    if let Some((worker, status)) = self.workers.ended(&self.finished) {
                        bail!("worker {worker} ended unexpectedly: {status}");
                    }
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        self.record(event.clone());
        match &event.kind {
            Kind::Ready => {
                self.ready += 1;
                if self.ready == self.config.workers {
                    self.start_sale()?;
                }
            }
            Kind::AboutToWrite { .. } => {
                if !std::mem::replace(&mut self.has_paused, true) {
                    self.pause(event.worker)?;
                }
                self.workers.permit(event.worker)?;
            }
            Kind::Sold { .. } => {
                if let Some(paused) = &mut self.paused {
                    paused.sales_of_others += u32::from(event.worker != paused.worker);
                }
            }
            Kind::SoldOut => self.finished.push(event.worker),
            Kind::Failed { message } => bail!("worker {}: {message}", event.worker),
            _ => {}
        }
        self.resume_if_due(&event)
    }

    fn start_sale(&mut self) -> Result<()> {
        self.began_ns = self.env.now().nanos();
        self.messages.start(self.began_ns);
        (1..=self.config.workers).try_for_each(|worker| self.workers.permit(worker))
    }

    fn pause(&mut self, worker: u32) -> Result<()> {
        self.workers.pause(worker)?;
        let event = Event::now(self.env, worker, Kind::Paused);
        self.paused = Some(Paused { worker, since_ns: event.at_ns, sales_of_others: 0 });
        self.record(event);
        Ok(())
    }

    /// Continues the stopped worker when its lock has expired, the others have sold enough and one of them has just
    /// entered; or when no other worker is left.
    fn resume_if_due(&mut self, event: &Event) -> Result<()> {
        let Some(paused) = &self.paused else { return Ok(()) };
        let worker = paused.worker;
        let pause = Duration::from_nanos(event.at_ns.saturating_sub(paused.since_ns));
        let is_overtaken = pause >= self.config.pause_min()
            && paused.sales_of_others >= self.config.sales_in_pause()
            && matches!(event.kind, Kind::Entered { .. });
        if !is_overtaken && self.finished.len() + 1 < self.config.workers as usize {
            return Ok(());
        }
        self.paused = None;
        self.record(Event::now(self.env, worker, Kind::Resumed));
        self.workers.resume(worker)
    }

    fn record(&mut self, event: Event) {
        if let Some(message) = self.messages.message(&event) {
            self.output.say(message);
        }
        let mut fields = json!(event);
        fields["strategy"] = json!(self.messages.strategy());
        if let Some(Value::String(name)) = fields.as_object_mut().and_then(|fields| fields.remove("event")) {
            self.output.event(&name, fields);
        }
        self.events.push(event);
    }
}
