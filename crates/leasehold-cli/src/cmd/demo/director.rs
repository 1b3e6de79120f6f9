//! [`Director`]: plays one lane. Decides who is stopped and when it goes on; the rest happens by itself.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use leasehold::Env;

use super::{
    crew::Crew,
    event::{Event, Kind},
    plan::{Lane, Plan},
    shop::{Count, Shop},
    signals::Signals,
    view::View,
};

/// What one lane came to.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Which.
    pub(crate) lane: Lane,
    /// When the workers got the word to begin.
    pub(crate) began_ns: u64,
    /// When the last one went home.
    pub(crate) ended_ns: u64,
    /// All that happened, in the order in which it was said.
    pub(crate) events: Vec<Event>,
    /// What the shop has.
    pub(crate) count: Count,
}

/// How long a lane may take before it is called stuck.
const LANE_MAX: Duration = Duration::from_secs(60);
/// How often the picture is drawn again when nothing happens.
const FRAME: Duration = Duration::from_millis(80);

/// Plays one lane at a time.
pub(crate) struct Director<'d> {
    /// The numbers.
    pub(crate) plan: &'d Plan,
    /// The clock.
    pub(crate) env: &'d Env,
    /// A directory for the shop and the lock file.
    pub(crate) home: &'d Path,
    /// Who watches.
    pub(crate) view: &'d mut View,
    /// Who wants us to end.
    pub(crate) signals: &'d mut Signals,
}

/// How far a lane is.
#[derive(Default)]
struct Progress {
    events: Vec<Event>,
    ready: u32,
    gone: Vec<u32>,
    began_ns: u64,
    chosen: bool,
    paused: Option<Paused>,
}

struct Paused {
    worker: u32,
    since_ns: u64,
    sales_of_others: u32,
}

impl Director<'_> {
    /// Plays a lane to its end.
    pub(crate) async fn play(&mut self, lane: Lane) -> Result<Record> {
        let shop_path = self.home.join(format!("{}.db", lane.slug()));
        let shop = Shop::create(&shop_path, self.plan.stock)?;
        let locks = self.home.join("locks.db");
        let assign = |worker| self.plan.assignment(lane, worker, shop_path.clone(), locks.clone());
        let mut crew = Crew::start((1..=self.plan.workers).map(assign))?;
        self.view.begin(lane, self.plan);
        let progress = self.direct(&mut crew).await;
        crew.end().await;
        let progress = progress?;
        let ended_ns = progress.events.last().map_or(progress.began_ns, |event| event.at_ns);
        let count = shop.count()?;
        let record = Record { lane, began_ns: progress.began_ns, ended_ns, events: progress.events, count };
        Ok(record)
    }

    async fn direct(&mut self, crew: &mut Crew) -> Result<Progress> {
        let mut progress = Progress::default();
        let end = self.env.now() + LANE_MAX;
        while progress.gone.len() < self.plan.workers as usize {
            ensure!(self.env.now() < end, "the workers have not sold out within {LANE_MAX:?}");
            let event = tokio::select! {
                event = crew.next() => event?.context("the workers ended before they had sold out")?,
                () = self.env.sleep(FRAME) => {
                    self.view.frame();
                    if let Some((worker, status)) = crew.fallen(&progress.gone) {
                        bail!("worker {worker} ended in the middle of its work: {status}");
                    }
                    continue;
                }
                interrupted = self.signals.next() => return Err(interrupted.into()),
            };
            self.see(&mut progress, event.clone());
            self.react(&mut progress, crew, &event).await?;
        }
        Ok(progress)
    }

    async fn react(&mut self, progress: &mut Progress, crew: &mut Crew, event: &Event) -> Result<()> {
        match &event.kind {
            Kind::Ready => {
                progress.ready += 1;
                if progress.ready == self.plan.workers {
                    self.open_shop(progress, crew).await?;
                }
            }
            Kind::AboutToWrite { .. } => {
                if !std::mem::replace(&mut progress.chosen, true) {
                    self.pause(progress, crew, event.worker)?;
                }
                crew.give_word(event.worker).await?;
            }
            Kind::Sold { .. } => progress.sold(event.worker),
            Kind::SoldOut => progress.gone.push(event.worker),
            Kind::Failed { message } => bail!("worker {}: {message}", event.worker),
            _ => {}
        }
        self.wake_if_due(progress, crew, event)
    }

    /// All begin at the same moment.
    async fn open_shop(&mut self, progress: &mut Progress, crew: &mut Crew) -> Result<()> {
        progress.began_ns = self.env.now().nanos();
        self.view.open(progress.began_ns);
        for worker in 1..=self.plan.workers {
            crew.give_word(worker).await?;
        }
        Ok(())
    }

    fn pause(&mut self, progress: &mut Progress, crew: &mut Crew, worker: u32) -> Result<()> {
        crew.pause(worker)?;
        let event = Event::now(self.env, worker, Kind::Paused);
        progress.paused = Some(Paused { worker, since_ns: event.at_ns, sales_of_others: 0 });
        self.see(progress, event);
        Ok(())
    }

    /// The stopped worker goes on when its lock has run out and the others have sold, however long that takes, and
    /// somebody is in the shop; or when there is nobody left who could be.
    fn wake_if_due(&mut self, progress: &mut Progress, crew: &mut Crew, event: &Event) -> Result<()> {
        let Some(paused) = &progress.paused else { return Ok(()) };
        let worker = paused.worker;
        let paused_ns = u128::from(event.at_ns.saturating_sub(paused.since_ns));
        let overtaken = paused_ns >= self.plan.pause_min().as_nanos()
            && paused.sales_of_others >= self.plan.sales_in_pause()
            && matches!(event.kind, Kind::Entered { .. });
        if !overtaken && progress.gone.len() + 1 < self.plan.workers as usize {
            return Ok(());
        }
        progress.paused = None;
        self.see(progress, Event::now(self.env, worker, Kind::Woken));
        crew.wake(worker)
    }

    fn see(&mut self, progress: &mut Progress, event: Event) {
        self.view.see(&event);
        progress.events.push(event);
    }
}

impl Progress {
    fn sold(&mut self, worker: u32) {
        if let Some(paused) = &mut self.paused {
            paused.sales_of_others += u32::from(worker != paused.worker);
        }
    }
}
